"""A series that was read: a table of numbers, its last tenth held out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

import numpy as np
import numpy.typing as npt

from regard.data.decode import Entry, TextFile
from regard.data.labelled import first_difference, short
from regard.data.picture_open import Asked
from regard.data.rows import Skipped
from regard.data.series_table import NoNumbers, Table, read_table
from regard.data.sniff import NotText, Unreadable
from regard.data.text import Reading
from regard.errors import Notice, RegardError, counted, places

LEAST = 100
"""Rows from which on there is something to learn and something to test on."""
WANTED = "a series is one table of numbers (.csv, .tsv), its columns named in the first line"
AS_TEXT = "table that begins with numbers taken as plain text, as not all of it is numbers"


@dataclass(frozen=True, kw_only=True)
class SeriesSource:
    kind: str = "series"
    name: str
    """What a run on it is called."""
    shown: str
    """What refusals call it."""
    columns: tuple[str, ...]
    values: npt.NDArray[np.float64] = field(repr=False)
    """(rows, columns)."""
    notices: tuple[Notice, ...]
    """What was left out or skipped."""
    file: TextFile = field(repr=False)

    @property
    def rows(self) -> int:
        return len(self.values)

    @property
    def train(self) -> int:
        """Rows that are learnt from: the first nine tenths."""
        return int(0.9 * self.rows)

    def fingerprint(self) -> dict[str, Any]:
        """What data.json keeps: the file's name, size and SHA-256, the columns and the counts."""
        return {
            "kind": self.kind,
            "files": [{"name": self.file.name, "size": self.file.size, "sha256": self.file.sha256}],
            "columns": list(self.columns),
            "rows": self.rows,
            "train": self.train,
            "held_out": self.rows - self.train,
        }

    def differs(self, other: dict[str, Any]) -> str | None:
        """What first differs from another fingerprint: the file (name, size, SHA-256; R15), else a count; or None."""
        return first_difference(self.fingerprint(), other)

    def summary(self) -> str:
        """What was found, in numbers; at most 80 columns."""
        lines = [
            f": {counted(self.rows, 'row')} of {counted(len(self.columns), 'column')} of numbers",
            f"  {places(self.columns)}",
            f"  {counted(self.train, 'row')} to learn from, the last {self.rows - self.train:,} held out",
        ]
        return f"read {short(self.name, 75 - len(lines[0]))}" + "\n".join(line[:80] for line in lines)


def open_series(
    entries: Sequence[Entry], reading: Reading, asked: Asked, certain: bool
) -> SeriesSource | Sequence[Notice]:
    """The series in the one file that was found; else what there is to say of a file that looked like one.

    certain: a series is asked for, so that anything else is refused. Raises RegardError at a row that lacks a number,
    and for a series that is too short to learn from.
    """
    if len(entries) != 1 or PurePath(entries[0].name).suffix.lower() not in (".csv", ".tsv"):
        if certain:
            raise RegardError(asked.shown, "this is no series of numbers", WANTED)
        return ()
    file = TextFile(entries[0], reading.encoding)
    try:
        table = read_table(file, reading.skip_bad, certain)
    except NoNumbers as no:
        if certain:
            raise RegardError(no.where, no.what, no.do) from None
        return [Notice(AS_TEXT, 1, (f"{no.where} {no.what}",))] if no.begun else ()
    except (NotText, Unreadable):  # as a text it is refused or skipped, and said
        if certain:
            raise
        return ()
    return _made(table, file, asked)


def _made(table: Table, file: TextFile, asked: Asked) -> SeriesSource:
    columns, values, time = table.columns, table.values, table.time
    if not asked.scoring:  # what is only scored goes by the names of its columns
        if len(values) < LEAST:
            what = f"{counted(len(values), 'row')} of numbers leave nothing to learn from"
            raise RegardError(asked.shown, what, f"give {LEAST} or more, or --task language to learn it as a text")
        if table.counts:
            columns, values, time = columns[1:], values[:, 1:], columns[0]
    notices = [*asked.notices, _skipped(table.skipped)]
    if time is not None:
        notices.append(Notice("column left out, as it tells the time of a row", 1, (time,)))
    return SeriesSource(name=asked.name, shown=asked.shown, columns=columns, values=values, notices=tuple(notices),
                        file=file)  # fmt: skip


def _skipped(rows: Skipped) -> Notice:
    return Notice("row(s) skipped", rows.count, tuple(rows.places))
