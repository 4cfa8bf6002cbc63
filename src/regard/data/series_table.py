"""A table of numbers, a row a moment and a column a series; what is no number is told at its line and column.

A first column of dates or times is not read: rows are taken as equally far apart.
"""

import math
import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain

import numpy as np
import numpy.typing as npt

from regard.data.decode import LineEnds, TextFile
from regard.data.rows import OR_SKIP, Skipped, Wrong
from regard.data.table import Cell, Row, column_names, rows_of
from regard.errors import RegardError, printable

MISSING = {"", "na", "n/a", "#n/a", "nan", "null", "none", "-", "?", "."}
"""What tables write where a number is missing, in small letters."""
LARGEST = 1e100
"""The square of a larger number may be none."""
FILL = f"fill it in{OR_SKIP}rows with --skip-bad"

_PART = r"(?:\d{1,4}|(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*)"
_TIME = r"\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?(?: ?[ap]m)?(?:z| ?[+-]\d\d:?\d\d)?"
_DATE = rf"(?:\d{{4}}-?[qw]\d\d?|{_PART}(?:[-/. ]{_PART}){{1,2}})"
_MOMENT = re.compile(rf"(?=.*\d)(?:{_TIME}|{_DATE}(?:[ t]{_TIME})?)", re.I)


class NoNumbers(Exception):
    """That a file is no table of numbers, so that it may be a text."""

    def __init__(self, where: str, what: str, do: str, begun: bool) -> None:
        """begun: whether it begins like one."""
        super().__init__(where, what, do)
        self.where, self.what, self.do, self.begun = where, what, do, begun


class Missing(Wrong):
    """That a row of a table of numbers lacks one."""


@dataclass(frozen=True)
class Table:
    columns: tuple[str, ...]
    """Of numbers."""
    values: npt.NDArray[np.float64] = field(repr=False)
    """(rows, columns)."""
    time: str | None
    """What a first column of dates or times is called, which is left out."""
    skipped: Skipped
    """Rows without all of their numbers."""

    @property
    def counts(self) -> bool:
        """Whether the first column rises in every row, as a count of the rows or a time in seconds does."""
        return len(self.columns) > 1 and len(self.values) > 1 and bool((np.diff(self.values[:, 0]) > 0).all())


def read_table(file: TextFile, skip_bad: bool = False, certain: bool = True) -> Table:
    """All of it. certain: it is a table of numbers, so that what is none is wrong; else NoNumbers is raised then.

    Raises RegardError at the first row that lacks a number, unless such rows are skipped and counted.
    """
    chunks = LineEnds().made_one(file.chunks())
    begun = next(chunks, "")
    names = column_names(file.shown, begun)
    _check_names(file.shown, names)
    reader = _Reader(file.shown, names, skip_bad, certain)
    reader.read(rows_of(chain([begun], chunks), file.shown, names))
    columns = tuple(names[1:] if reader.timed else names)
    values = np.array(reader.numbers, np.float64).reshape(-1, len(columns))
    return Table(columns, values, names[0] if reader.timed else None, reader.skipped)


def _check_names(shown: str, names: Sequence[str]) -> None:
    """Raises NoNumbers for a first line that does not name the columns."""
    do = "name each column in the first line"
    if not any(names):
        raise NoNumbers(shown, "its first line names no columns", do, False)
    if all(_is_number(name) for name in names):
        raise NoNumbers(f"{shown}:1", "the first line holds numbers and no names", do, True)
    twice = [name for name in names if names.count(name) > 1 or (not name and names.index(name) > 0)]
    if twice:
        raise NoNumbers(f"{shown}:1", f"the name {twice[0]!r} stands twice, or a column has none", do, False)


class _Reader:
    """Rows become numbers, one after another."""

    def __init__(self, shown: str, names: Sequence[str], skip_bad: bool, certain: bool) -> None:
        self.shown, self.names, self.skip_bad, self.certain = shown, names, skip_bad, certain
        self.numbers, self.skipped, self.timed = array("d"), Skipped(), False
        self._first = self._last = ""  # dates
        self._wrong: RegardError | None = None

    def read(self, rows: Iterator[Row]) -> None:
        before = 0
        for line, row in rows:
            if before and line > before + 1:
                self._note(before + 1, Missing("the line is empty", FILL))
            elif not self.numbers and not isinstance(row, Wrong):  # until a row was taken: it may begin with units
                first = str(row[0]).strip()
                self.timed = len(row) > 1 and not _is_number(first) and _MOMENT.fullmatch(first) is not None
            before = line
            try:
                self._take(row)
            except Wrong as wrong:
                self._note(line, wrong)
        if self._wrong is not None:
            raise self._wrong
        if not self.numbers:
            raise NoNumbers(self.shown, "it holds no row of numbers", "give one with rows below the names", False)
        if _goes_back(self._first, self._last):
            what = f"its rows go back in time, from {self._first!r} to {self._last!r}"
            raise RegardError(self.shown, what, "sort them by time, the earliest first")

    def _take(self, row: tuple[Cell, ...] | Wrong) -> None:
        """Raises Wrong, and takes nothing, where not every cell is a number."""
        if isinstance(row, Wrong):
            raise row
        cells = [str(cell).strip() for cell in row]
        if self.timed:
            if _MOMENT.fullmatch(cells[0]) is None:
                raise Wrong(f"column {self.names[0]!r} has {cells[0][:40]!r}, which is no date or time")
            self._first, self._last = self._first or cells[0], cells[0]
        first = int(self.timed)
        named = zip(self.names[first:], cells[first:], strict=True)
        self.numbers.extend([_number(name, cell) for name, cell in named])

    def _note(self, line: int, wrong: Wrong) -> None:
        """Of a row that lacks a number the first is refused, but not before all has been seen to be numbers."""
        where = f"{self.shown}:{line}"
        if not self.certain and not isinstance(wrong, Missing):
            raise NoNumbers(where, wrong.what, wrong.do, bool(self.numbers))
        if self.skip_bad:
            self.skipped.add(where)
        elif self._wrong is None:
            self._wrong = RegardError(where, wrong.what, wrong.do)
            if self.certain:
                raise self._wrong


def _number(name: str, cell: str) -> float:
    """Raises Missing, or Wrong for what is no number at all."""
    if cell.lower() in MISSING:
        raise Missing(f"column {printable(name)!r} has no number ({cell!r})", FILL)
    if not _is_number(cell):
        raise Wrong(f"column {printable(name)!r} has {cell[:40]!r}, which is no number")
    value = float(cell)
    if not abs(value) <= LARGEST:
        raise Missing(f"column {printable(name)!r} has {cell[:40]!r}, and numbers reach to {LARGEST:g}", FILL)
    return value


def _is_number(cell: str) -> bool:
    """Python would also take 1_000 and Arabic digits."""
    if not cell.isascii() or "_" in cell:
        return False
    try:
        return not math.isnan(float(cell))
    except ValueError:
        return False


def _goes_back(first: str, last: str) -> bool:
    """Whether the last of two dates is the earlier one; of dates that are not in ISO 8601's order nothing is known."""
    try:
        one, other = (datetime.fromisoformat(text) for text in (first, last))
    except ValueError:
        return False
    return other.replace(tzinfo=other.tzinfo or UTC) < one.replace(tzinfo=one.tzinfo or UTC)
