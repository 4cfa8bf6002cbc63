"""Tables of .csv, .tsv and .jsonl to rows with the columns that are wanted; what is wrong is told at its line.

A line ends at a line feed and nowhere else (bad-inputs, S2). The first line of .csv and .tsv names the columns; which
of , and ; parts those of .csv is the one that makes the wanted names out of it, be they in capitals. Cells of .tsv are
what stands there; those of .csv may be quoted, and then hold commas, doubled quotation marks and line ends (RFC 4180).
"""

import csv
import io
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from regard.data.rows import ANOTHER, OR_SKIP, Wrong, lines_of, parsed, place_of, value_of
from regard.errors import RegardError, counted, places

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")
TALLEST, LONGEST = 20, 1 << 20
"""Lines and characters of a row that a quotation mark opens; one that was never closed takes all the rest (S4)."""

Cell = str | int
Row = tuple[int, tuple[Cell, ...] | Wrong]
"""The number of its first line, and the wanted cells in their order, or what is wrong with it."""


@dataclass(frozen=True)
class _Columns:
    """Where the wanted cells stand in a row of .csv or .tsv."""

    mark: str
    """Between the cells."""
    names: Sequence[str]
    at: Sequence[int]

    def cells(self, found: Sequence[str]) -> tuple[Cell, ...]:
        """Raises Wrong where the row has not as many cells as the table has columns (S3)."""
        if len(found) != len(self.names):
            mark = {"\t": "tabs", ",": "commas", ";": "semicolons"}[self.mark]
            there = counted(len(self.names), "column")
            raise Wrong(f"{counted(len(found), 'cell')} between {mark}, and the table has {there}")
        return tuple(found[at] for at in self.at)


def is_table(name: str) -> bool:
    return PurePath(name).suffix.lower() in SUFFIXES


def has_columns(name: str, beginning: str, wanted: Sequence[str]) -> bool:
    """Whether the first line that says something has these columns. Never raises: what is wrong is told on reading."""
    line = next((line for line in beginning.split("\n") if line.strip()), "")
    try:
        if PurePath(name).suffix.lower() not in (".csv", ".tsv"):
            row = parsed(line)
            return isinstance(row, dict) and all(place_of(list(row), key) is not None for key in wanted)
        return _columns(line, PurePath(name).suffix.lower(), wanted) is not None
    except Wrong:
        return False


def column_names(name: str, beginning: str) -> list[str]:
    """What the first line that says something calls its columns, of .csv or .tsv; parted by the mark that makes the
    most of them. [] where it cannot be parted."""
    line = next((line for line in beginning.split("\n") if line.strip()), "")
    found = list[str]()
    for mark in "\t" if PurePath(name).suffix.lower() == ".tsv" else ",;":
        try:
            cells = line.split(mark) if mark == "\t" else _csv_cells(line, mark)
        except Wrong:
            continue
        found = max(found, [cell.strip() for cell in cells], key=len)
    return found


def rows_of(chunks: Iterable[str], name: str, wanted: Sequence[str]) -> Iterator[Row]:
    """Each row of a table, in order; blank lines are none. name: its file's, which says of what kind it is.

    Raises RegardError for a table of .csv or .tsv without those columns.
    """
    lines, suffix = lines_of(chunks), PurePath(name).suffix.lower()
    if suffix not in (".csv", ".tsv"):
        return _objects(lines, wanted)
    for number, line in lines:
        if line is None or line.strip():
            columns = None if line is None else _columns(line, suffix, wanted)
            if columns is None:
                raise RegardError(f"{name}:{number}", *_lacking(column_names(name, line or ""), wanted))
            return _split(lines, columns) if suffix == ".tsv" else _quoted(lines, columns)
    return iter(())


def _lacking(names: Sequence[str], wanted: Sequence[str]) -> tuple[str, str]:
    """What is wrong with the names of a table's columns, and what to do; the first wanted is that of the text."""
    missing = [name for name in wanted if place_of(names, name) is None]
    twice = [name for name in missing if name in names]
    if twice:
        return f"the column {twice[0]!r} stands twice", "give each column a name of its own"
    there = places(name[:40] for name in names if name) or "none"
    other = ", or that of the text with --text-key" if wanted[0] in missing else ""
    what = f"no column {' and none '.join(map(repr, missing))} among {there}"
    return what, f"name the columns so in the first line{other}"


def _columns(line: str, suffix: str, wanted: Sequence[str]) -> _Columns | None:
    for mark in "\t" if suffix == ".tsv" else ",;":
        try:
            names = [name.strip() for name in (line.split(mark) if suffix == ".tsv" else _csv_cells(line, mark))]
        except Wrong:  # quoted, and parted by the other
            continue
        at = [place_of(names, name) for name in wanted]
        if None not in at:
            return _Columns(mark, names, [place for place in at if place is not None])
    return None


def _objects(lines: Iterator[tuple[int, str | None]], wanted: Sequence[str]) -> Iterator[Row]:
    for number, line in lines:
        if line is None or line.strip():
            try:
                yield number, _values(parsed(line), wanted)
            except Wrong as wrong:
                yield number, wrong


def _values(row: Any, wanted: Sequence[str]) -> tuple[Cell, ...]:
    if not isinstance(row, dict):
        raise Wrong(f"the line is no object but {type(row).__name__}")
    found = list[Cell]()
    for key in wanted:
        value = value_of(row, key, ANOTHER if key == wanted[0] else f"name one so{OR_SKIP}lines with --skip-bad")
        if not isinstance(value, str | int) or isinstance(value, bool):
            raise Wrong(f"the value of {key!r} is no string but {type(value).__name__}")
        _check_characters(str(value))
        found.append(value)
    return tuple(found)


def _check_characters(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Wrong("it holds half a surrogate pair, which is no character") from None


def _split(lines: Iterator[tuple[int, str | None]], columns: _Columns) -> Iterator[Row]:
    """Cells of .tsv: a quotation mark is one character like others (S4)."""
    for number, line in lines:
        if line is None or line.strip():
            try:
                yield number, columns.cells(_there(line).split(columns.mark))
            except Wrong as wrong:
                yield number, wrong


def _there(line: str | None) -> str:
    if line is None:
        raise Wrong("the line is too long")
    return line


def _quoted(lines: Iterator[tuple[int, str | None]], columns: _Columns) -> Iterator[Row]:
    """Rows of .csv. One that is too tall is wrong where it begins, and what follows its first line is read as rows."""
    held = deque[tuple[int, str | None]]()  # lines that were looked at and are still to be read

    def following() -> tuple[int, str | None] | None:
        return held.popleft() if held else next(lines, None)

    while (first := following()) is not None:
        number, line = first
        if line is not None and not line.strip():
            continue
        taken, marks, size = [first], (line or "").count('"'), len(line or "")
        while marks % 2 and len(taken) <= TALLEST and size <= LONGEST and (more := following()) is not None:
            taken.append(more)
            marks, size = marks + (more[1] or "").count('"'), size + len(more[1] or "")
        if marks % 2:
            do = "close it, or double it to mean itself"
            yield number, Wrong("a quotation mark opens here and none closes it", do)
            held.extendleft(reversed(taken[1:]))
            continue
        try:
            text = "\n".join(_there(part) for _, part in taken)
            yield number, columns.cells(_csv_cells(text, columns.mark))
        except Wrong as wrong:
            yield number, wrong


def _csv_cells(record: str, mark: str) -> list[str]:
    """Raises Wrong. The limit of Python's csv is of the process: it is put back at once."""
    before = csv.field_size_limit(max(len(record), 1))
    try:
        rows = list(csv.reader(io.StringIO(record, newline=""), delimiter=mark, strict=True))
    except csv.Error as error:
        raise Wrong(f"broken CSV ({error})") from None
    finally:
        csv.field_size_limit(before)
    if len(rows) != 1:
        raise Wrong("a quotation mark inside a cell makes several rows of it", "put the cell into quotation marks")
    return rows[0]
