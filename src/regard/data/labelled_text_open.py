"""From files to texts with labels and parts: the rows of tables, or .txt files in a folder for each class."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath

import numpy as np

from regard.data.class_folders import lay_out, part_in_name
from regard.data.class_split import HELD_OUT, TRAIN, held_out
from regard.data.decode import Entry, LineEnds, TextFile
from regard.data.labelled import choose, conflicts, not_measured, overlap, overlap_notice, short
from regard.data.labelled_text import PASSED, LabelledTextSource
from regard.data.picture_labels import class_name
from regard.data.picture_open import Asked, Root
from regard.data.rows import Skipped, Wrong
from regard.data.scan import Counting
from regard.data.sniff import HEAD, encoding_of
from regard.data.table import Cell, column_names, has_columns, is_table, rows_of
from regard.data.text import Reading, documents_of
from regard.errors import Notice, RegardError, counted, noticed

TEXTS, LABEL = "texts", "label"
"""What refusals call them; and the column or key that holds a row's class."""
WANTED = "labelled texts are a table (.csv, .tsv, .jsonl) with text and label, or a folder of .txt files for each class"
UNNAMED = "table(s) as plain text; as classes with columns named text (or --text-key) and label"
MIXED = "table(s) with text and label as plain text beside other files; as classes if given alone"
TOO_FEW = "add texts of another class"
TWICE = "texts that stand under two classes or more; they are not held out by chance"
EQUAL = "held-out text(s) with a copy in training"
NO_TABLES, NO_TEXTS = "file(s) other than tables with text and label ignored", "file(s) other than .txt ignored"


def are_tables(entries: Sequence[Entry], reading: Reading) -> bool:
    """Whether more of the files are tables with a text and a label in each row than are not."""
    return 2 * sum(_is_labelled(entry, reading) for entry in entries) > len(entries)


def _is_labelled(entry: Entry, reading: Reading) -> bool:
    """By its name and its first line."""
    return is_table(entry.name) and has_columns(entry.name, _beginning(entry, reading), (reading.text_key, LABEL))


def _beginning(entry: Entry, reading: Reading) -> str:
    """Of the file's text; "" where it cannot be read."""
    try:
        with open(entry.path, "rb") as file:
            head = file.read(HEAD)
        encoding = encoding_of(head, entry.shown, reading.encoding)
    except (OSError, RegardError):
        return ""
    return head[encoding.mark :].decode(encoding.name, "ignore").replace("\r\n", "\n").replace("\r", "\n")


def could_be_classes(entries: Sequence[Entry], reading: Reading) -> list[Notice]:
    """Said of what is read as one text to go on with, though it lies or is named as classes are, or nearly."""
    labelled, others = list[str](), list[str]()
    for entry in entries:
        if _is_labelled(entry, reading):
            labelled.append(entry.shown)
        elif PurePath(entry.name).suffix.lower() in (".csv", ".tsv"):
            names = [short(name, 20) for name in column_names(entry.name, _beginning(entry, reading))]
            if len(names) > 1:
                others.append(f"{entry.shown}: {' | '.join(names[:5])}{' | …' if len(names) > 5 else ''}")
    return [*noticed(MIXED, labelled), *noticed(UNNAMED, others), *_folders_of_texts(entries)]


def _folders_of_texts(entries: Sequence[Entry]) -> list[Notice]:
    folders = Counter(PurePath(entry.name).parts[0] for entry in entries)
    inside = all(len(PurePath(entry.name).parts) > 1 and entry.name.lower().endswith(".txt") for entry in entries)
    if not inside or len(folders) < 2 or min(folders.values()) < 2:
        return []
    return noticed("folder(s) of .txt as one text; as classes with --task classification", list(folders))


def open_labelled_texts(roots: Sequence[Root], reading: Reading, asked: Asked) -> LabelledTextSource:
    """The texts of tables, if most of the files are such, else of class folders.

    Raises RegardError for a wrong row or folder, and for what nothing can be learnt from.
    """
    entries = [entry for root in roots for entry in root.entries]
    alone = not any(map(_is_text, entries)) and any(is_table(entry.name) for entry in entries)
    return (_of_tables if alone or are_tables(entries, reading) else _of_folders)(roots, reading, asked)


def _is_text(entry: Entry) -> bool:
    return PurePath(entry.name).suffix.lower() == ".txt"


# what files hold


@dataclass
class Columns:
    """What is known of each text, one column a fact."""

    names: list[str] = field(default_factory=list)
    parts: list[str | None] = field(default_factory=list)
    labels: list[str | None] = field(default_factory=list)

    @property
    def kept(self) -> list[bool]:
        return [True] * len(self.names)

    def note(self, name: str, part: str | None, label: str) -> None:
        self.names.append(name)
        self.parts.append(part)
        self.labels.append(label)


Note = Callable[[str, str | None, str], None]
"""Told of each text what it is called, its part and its class, before it is read."""


def nobody(name: str, part: str | None, label: str) -> None:
    """Of a second reading."""


@dataclass(frozen=True)
class Rows:
    """The documents of tables are the texts of their rows."""

    parts: Mapping[str, str | None]
    """By the file's name."""
    note: Note

    def __call__(
        self, file: TextFile, chunks: Iterator[str], reading: Reading, ends: LineEnds, skipped: Skipped
    ) -> Iterator[Iterator[str]]:
        """Raises RegardError at a wrong row, unless such rows are to be skipped."""
        for line, row in rows_of(ends.made_one(chunks), file.shown, (reading.text_key, LABEL)):
            where = f"{file.shown}:{line}"
            try:
                if isinstance(row, Wrong):
                    raise row
                text, label = _text(row[0]), class_name(str(row[1]))
            except Wrong as wrong:
                if not reading.skip_bad:
                    raise RegardError(where, wrong.what, wrong.do) from None
                skipped.add(where)
                continue
            text = ends.made_one_in(text)  # JSON writes a carriage return as \r
            there = text and not text.isspace()
            if there:
                self.note(where, self.parts[file.name], label)
            yield iter([text] if there else [])


def _text(cell: Cell) -> str:
    if not isinstance(cell, str):
        raise Wrong(f"the text is no string but {type(cell).__name__}")
    return cell


@dataclass(frozen=True)
class Folders:
    """The one document of each file; its class is its folder's."""

    said: Mapping[str, tuple[str | None, str]]
    """Part and class, by what refusals call the file."""
    note: Note

    def __call__(
        self, file: TextFile, chunks: Iterator[str], reading: Reading, ends: LineEnds, skipped: Skipped
    ) -> Iterator[Iterator[str]]:
        for document in documents_of(file, chunks, reading, ends, skipped):
            yield self._noted(document, file.shown)

    def _noted(self, document: Iterator[str], shown: str) -> Iterator[str]:
        for number, chunk in enumerate(document):
            if number == 0:  # white space alone has no chunk, and is no text
                self.note(shown, *self.said[shown])
            yield chunk


# what is learnt from it


def _of_tables(roots: Sequence[Root], reading: Reading, asked: Asked) -> LabelledTextSource:
    found = [entry for root in roots for entry in root.entries]
    entries = [entry for entry in found if _is_labelled(entry, reading)]
    entries = entries or [entry for entry in found if is_table(entry.name)]  # the first says what it lacks
    taken = set(entries)
    others = [entry.shown for entry in found if entry not in taken]
    several = len(entries) > 1
    parts = {entry.name: _part_said(entry.name) if several else None for entry in entries}
    return _made(entries, Rows(parts, nobody), reading, asked, noticed(NO_TABLES, others))


def _part_said(name: str) -> str | None:
    """By the names of the table and of the folders around it."""
    return part_in_name(" ".join(PurePath(name).with_suffix("").parts))


def _of_folders(roots: Sequence[Root], reading: Reading, asked: Asked) -> LabelledTextSource:
    said, entries, others = dict[str, tuple[str | None, str]](), list[Entry](), list[str]()
    for root in roots:
        texts = list[Entry]()
        for entry in root.entries:
            if _is_text(entry):
                texts.append(entry)
            else:
                others.append(entry.shown)
        if not texts:
            continue
        layout = lay_out([entry.name for entry in texts], root.path, TEXTS)
        labels = layout.labels(root.folders)
        if labels is None:
            raise RegardError(root.path, "its texts have no labels", WANTED)
        own = part_in_name(PurePath(root.path).name) if len(roots) > 1 else None
        parts: Sequence[str | None] = layout.parts or [own] * len(texts)
        said |= {text.shown: (part, label) for text, part, label in zip(texts, parts, labels, strict=True)}
        entries += texts
    if not entries:
        raise RegardError(asked.shown, "holds no labelled texts", WANTED)
    return _made(entries, Folders(said, nobody), reading, asked, noticed(NO_TEXTS, others))


def _made(
    entries: Sequence[Entry], documents: Rows | Folders, reading: Reading, asked: Asked, ignored: list[Notice]
) -> LabelledTextSource:
    """Counts the texts, and chooses what is learnt from and what is held out."""
    columns = Columns()
    counting = Counting(reading, asked.unreadable, replace(documents, note=columns.note))
    counting.read(entries, asked.shown)
    tally = counting.tally
    chosen = choose(columns, asked.shown, TEXTS, asked.scoring, TOO_FEW)
    lengths, digests = tally.lengths()[chosen.rows], tally.digests()[chosen.rows]
    groups = np.unique(digests, return_inverse=True)[1].astype(np.int64)
    parts = chosen.parts
    if chosen.held_from == "a tenth":
        parts = np.where(held_out(chosen.labels, groups), HELD_OUT, TRAIN).astype(np.uint8)
    held, names = parts == HELD_OUT, [columns.names[row] for row in chosen.rows.tolist()]
    if not held.any():
        there = f"{counted(len(parts), 'text')} in {counted(len(chosen.classes), 'class(es)')}"
        raise RegardError(asked.shown, f"of {there} none is left to test on", "give two or more of a class")
    copied = overlap(parts, groups)
    said = [*chosen.notices, *conflicts(chosen.labels, groups, names, TWICE)]
    if not asked.scoring:
        said.append(overlap_notice(copied, int(held.sum()), names, EQUAL))
        said += not_measured(chosen.classes, chosen.labels[held], "text")
    codes = np.full(tally.documents, PASSED, np.uint8)
    codes[chosen.rows] = parts
    return LabelledTextSource(
        name=asked.name, shown=asked.shown, classes=chosen.classes, labels=chosen.labels, parts=parts, copied=copied,
        digests=digests, names=names, characters=int(lengths.sum()),
        train_characters=int(lengths[parts == TRAIN].sum()), distinct=tally.distinct(),
        notices=(*asked.notices, *ignored, *counting.notices(), *said),
        held_from=chosen.held_from, left=chosen.left, reading=reading, files=tuple(counting.files),
        documents=documents, codes=codes,
    )  # fmt: skip
