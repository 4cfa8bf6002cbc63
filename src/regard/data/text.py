"""Texts that were read: what they hold, in numbers, which part is held out, and the texts themselves once more."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from regard.data.decode import LineEnds, TextFile
from regard.data.held_out import Split
from regard.data.labelled import first_difference
from regard.data.rows import Skipped, texts_of_rows
from regard.errors import Notice, counted, printable
from regard.tokens.text import pieces

PARTS = ("train", "held_out")
ROWS = (".jsonl", ".ndjson")
"""Files whose every line is a row, and every row a document; any other file is one document."""


@dataclass(frozen=True)
class Reading:
    """How the user wants the files to be read."""

    encoding: str | None = None
    """As Python calls it; None for UTF-8."""
    skip_bad: bool = False
    """Whether bad rows are skipped and counted instead of refused."""
    text_key: str = "text"
    """Where a row has its text."""


@dataclass(frozen=True)
class Read:
    """A file that has been counted, and the place of its documents among all."""

    file: TextFile
    first: int
    """Number of its first document."""
    documents: int

    def described(self) -> dict[str, Any]:
        """What tells whether the file is the same later."""
        return {"name": self.file.name, "size": self.file.size, "sha256": self.file.sha256}


@dataclass(frozen=True, kw_only=True)
class TextSource:
    """Text from files, a folder, rows or a stream. The text is not kept: the files are read again each time."""

    kind: str = "text"
    name: str
    """What a run on it is called: the file's or folder's name, or stdin."""
    documents: int
    characters: int
    """After line ends have become line feeds and byte order marks are gone."""
    bytes: int
    """Of those characters as UTF-8."""
    lines: int
    distinct: Counter[str]
    """How often each character comes."""
    train_characters: int
    held_out_characters: int
    repeated_share: float
    """Of the held-out lines of 40 and more characters: the share that also stands in the training part (T15)."""
    notices: tuple[Notice, ...]
    """What was skipped, changed or is worth a warning, each with its count."""
    reading: Reading
    files: tuple[Read, ...] = field(repr=False)
    split: Split = field(repr=False)

    def summary(self) -> str:
        """What was found, in numbers."""
        documents = counted(self.documents, "document")
        characters = f"{counted(self.characters, 'character')} ({len(self.distinct):,} different)"
        parts = f"{counted(self.train_characters, 'character')} to learn from, {self.held_out_characters:,} held out"
        return f"read {printable(self.name)}: {documents}, {characters}\n  {parts}"

    def parts(self) -> tuple[str, ...]:
        """The parts that `texts` knows, besides "all"."""
        return PARTS

    def texts(self, part: str) -> Iterator[Iterator[str]]:
        """For each document of the part, in order, its pieces. Take a document's pieces before the next document.

        Bounded memory. Raises RegardError if a file has changed since it was counted.
        """
        if part not in (*PARTS, "all"):
            raise ValueError(f"no part is called {part!r}")
        yield from texts_of(self.files, self.split, part, self.reading)  # keeps this source, and so a spool, alive

    def fingerprint(self) -> dict[str, Any]:
        """What data.json keeps: each file's name, size and SHA-256, the counts, and how it was read and split."""
        return {
            "kind": self.kind,
            "files": [read.described() for read in self.files],
            "encoding": self.reading.encoding,
            "text_key": self.reading.text_key,
            "documents": self.documents,
            "characters": self.characters,
            "bytes": self.bytes,
            "lines": self.lines,
            "train_characters": self.train_characters,
            "held_out_characters": self.held_out_characters,
            "held_out_documents": len(self.split.whole),
            "held_out_tails": sorted([document, start] for document, start in self.split.cut.items()),
            "repeated_share": self.repeated_share,
        }

    def differs(self, other: dict[str, Any]) -> str | None:
        """What first differs from another fingerprint: a file (name, size, SHA-256; R15), else a count; or None."""
        return first_difference(self.fingerprint(), other)


Documents = Callable[[TextFile, Iterator[str], Reading, LineEnds, Skipped], Iterator[Iterator[str]]]
"""(a file, its chunks, how it is read, two counts) -> its documents, each as its chunks."""


def documents_of(
    file: TextFile, chunks: Iterator[str], reading: Reading, ends: LineEnds, skipped: Skipped
) -> Iterator[Iterator[str]]:
    """The documents of a file, each as its chunks, line ends made one; `ends` and `skipped` count.

    Raises RegardError at a bad row, unless such rows are to be skipped. A document of white space alone is empty here.
    """
    if PurePath(file.name).suffix.lower() in ROWS:
        rows = texts_of_rows(chunks, file.shown, reading.text_key, skipped if reading.skip_bad else None)
        for text in rows:
            one = ends.made_one_in(text)
            yield iter([one] if one and not one.isspace() else [])
    else:
        yield _from_first_sign(ends.made_one(chunks))


def _from_first_sign(chunks: Iterable[str]) -> Iterator[str]:
    """The same text, without empty chunks; nothing at all if it is only white space."""
    coming, held = iter(chunks), list[str]()
    for chunk in coming:
        held.append(chunk)
        if chunk and not chunk.isspace():
            yield from filter(None, held)
            break
    yield from filter(None, coming)


def texts_of(files: Iterable[Read], split: Split, part: str, reading: Reading) -> Iterator[Iterator[str]]:
    """For each document of the part, in order, its pieces, from the files once more."""
    for read in files:
        numbers = iter(range(read.first, read.first + read.documents))
        if all(split.span(number, part) is None for number in range(read.first, read.first + read.documents)):
            continue
        for document in documents_of(read.file, read.file.chunks(), reading, LineEnds(), Skipped()):
            first = next(document, None)
            if first is None:
                continue  # white space alone: it was not counted either
            span = split.span(next(numbers), part)
            if span is not None:
                yield pieces(_cut_out(itertools.chain([first], document), *span))


def _cut_out(chunks: Iterable[str], start: int, end: int | None) -> Iterator[str]:
    """The characters from `start` to `end`; all chunks are taken, so that the file is checked to its last byte."""
    position = 0
    for chunk in chunks:
        yield chunk[max(start - position, 0) : None if end is None else max(end - position, 0)]
        position += len(chunk)
