"""Labels in small files: a table metadata.jsonl or metadata.csv, or beside each picture a file of the same name.

A table has a row a picture: file_name, relative to the table's folder, and label. A file beside is 0001.cls or 0001.txt
with the class of 0001.jpg. Rows are strict: what is wrong is refused at its line (bad-inputs, rule 6).
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from regard.data.rows import Skipped, Wrong, lines_of, parsed
from regard.errors import Notice, RegardError, counted, noticed, places

TABLES = ("metadata.jsonl", "metadata.csv")
LONGEST = 200
"""Characters of a class's name."""

_OUT = re.compile(r"[a-z][a-z0-9+.-]*:|/|(?:.*/)?\.\.(?:/|$)", re.IGNORECASE)


@dataclass
class Labels:
    """What small files say: the class of each picture, or None where no row names it."""

    of: list[str | None]
    notices: list[Notice] = field(default_factory=list)
    files: frozenset[str] = frozenset()
    """Names of the files that say so; none where files of the same name hold other texts than classes."""


def labels_beside(
    names: Sequence[str], files: Mapping[str, bytes], shown: str, skip_bad: bool, things: str
) -> Labels | None:
    """The labels that `files` (by name) give to things of these names, or None where there is no such file.

    things: what refusals call them, in the plural. Raises RegardError at a wrong line, and where only some have a file
    beside.
    """
    tables = [name for name in sorted(files) if PurePosixPath(name).name in TABLES]
    if tables:
        return _from_tables(names, {name: files[name] for name in tables}, shown, skip_bad, things)
    for suffix in (".cls", ".txt"):
        found = [files.get(str(PurePosixPath(name).with_suffix(suffix))) for name in names]
        if any(text is not None for text in found):
            return _from_files(names, found, suffix, shown, things)
    return None


def _from_tables(names: Sequence[str], tables: Mapping[str, bytes], shown: str, skip_bad: bool, things: str) -> Labels:
    place = {name: number for number, name in enumerate(names)}
    of: list[str | None] = [None] * len(names)
    skipped = Skipped()
    for table, content in tables.items():
        where = f"{shown}/{table}"
        for line, row in _rows(table, _text(content, where), where):
            try:
                if isinstance(row, Wrong):
                    raise row
                number, label = _labelled(row, PurePosixPath(table).parent, place, things.removesuffix("s"))
                if of[number] is not None:
                    raise Wrong(f"{row['file_name']!r} has a row already")
                of[number] = label
            except Wrong as wrong:
                if not skip_bad:
                    raise RegardError(f"{where}:{line}", wrong.what, wrong.do) from None
                skipped.add(f"{where}:{line}")
    without = [name for name, label in zip(names, of, strict=True) if label is None]
    notices = [Notice("bad row(s) skipped", skipped.count, tuple(skipped.places))] if skip_bad else []
    notices += noticed(f"{things.removesuffix('s')}(s) without a row left out", without)
    return Labels(of, notices, frozenset(tables))


def _labelled(
    row: Mapping[str, Any], folder: PurePosixPath, place: Mapping[str, int], thing: str
) -> tuple[int, str]:  # fmt: skip
    """The number of the one that is named, and its class. Raises Wrong."""
    for key in ("file_name", "label"):
        if row.get(key) is None:
            raise Wrong(f"no {key}; there are: {places(key for key in row if key) or 'none'}", "name the columns so")
    name, label = row["file_name"], row["label"]
    if not isinstance(name, str) or _OUT.match(name):
        raise Wrong(f"file_name {name!r} is no name below the table's folder", "give names relative to it")
    whole = str(folder / name)
    if whole not in place:
        raise Wrong(f"there is no {thing} {name!r}{_nearly(whole, place)}", f"add the {thing} or correct the row")
    if isinstance(label, bool) or not isinstance(label, str | int):
        raise Wrong(f"the label is no name and no whole number but {type(label).__name__}")
    return place[whole], class_name(str(label))


def _nearly(name: str, place: Mapping[str, int]) -> str:
    """The picture whose name differs by upper case, slashes or the form of Unicode alone."""
    wanted = name.replace("\\", "/").casefold()
    near = next((other for other in place if other.casefold() == wanted), None)
    return f", but {near!r}" if near else ""


def class_name(label: str) -> str:
    """The label without white space around it. Raises Wrong for what is no name."""
    label = label.strip()
    if not label or len(label) > LONGEST or "\n" in label:
        raise Wrong(f"the label is {'empty' if not label else 'no short name'}")
    return label


def _text(content: bytes, where: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise RegardError(f"{where}:{line}", "is not UTF-8", "save it as UTF-8") from error


def _rows(table: str, text: str, where: str) -> Iterator[tuple[int, dict[str, Any] | Wrong]]:
    """Line number and row; a row that cannot be read is what is wrong with it."""
    if table.endswith(".csv"):
        yield from _rows_of_csv(text, where)
        return
    for number, line in lines_of([text]):
        if line is None or line.strip():
            try:
                row = parsed(line)
                yield number, row if isinstance(row, dict) else Wrong(f"the line is no object but {type(row).__name__}")
            except Wrong as wrong:
                yield number, wrong


def _rows_of_csv(text: str, where: str) -> Iterator[tuple[int, dict[str, Any] | Wrong]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header, line = list[str](), 1
    try:
        for row in reader:
            if not header:
                header = row
            elif any("\n" in cell for cell in row):  # a stray quotation mark takes the next rows for one cell (S4)
                yield line, Wrong("a quotation mark opens here and ends on another line")
            elif row and len(row) != len(header):
                yield line, Wrong(f"{counted(len(row), 'column')} instead of {len(header)}")
            elif row:
                yield line, dict(zip(header, row, strict=True))
            line = reader.line_num + 1
    except csv.Error as error:
        raise RegardError(f"{where}:{line}", f"broken CSV ({error})", "correct the line") from error


def _from_files(
    names: Sequence[str], found: Sequence[bytes | None], suffix: str, shown: str, things: str
) -> Labels:  # fmt: skip
    """Texts of .txt files are classes only if they are few: else they are captions or whatever, and not guessed."""
    without = [name for name, text in zip(names, found, strict=True) if text is None]
    labels = list[str | None]()
    for name, text in zip(names, found, strict=True):
        try:
            labels.append(class_name((text or b"").decode()))
        except (Wrong, UnicodeDecodeError):
            labels.append(None)
            if suffix == ".cls" and text is not None:
                where = f"{shown}/{PurePosixPath(name).with_suffix(suffix)}"
                raise RegardError(where, "holds no class's name", "write one name or number into it") from None
    if suffix == ".txt" and (None in labels or 2 * len(set(labels)) > len(labels)):
        notice = Notice(f"text(s) beside {things} not taken as classes, as most are different", len(names))
        return Labels([None] * len(names), [notice])
    if without:
        what = f"{len(without)} of {len(names)} {things} have no {suffix} file beside them: {places(without)}"
        raise RegardError(shown, what, f"add the files, or leave the {things} out")
    return Labels(labels, files=frozenset(str(PurePosixPath(name).with_suffix(suffix)) for name in names))
