"""Texts with a class each: how many, of which classes, which are held out, and the texts themselves once more."""

import hashlib
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from regard.data.class_split import HELD_OUT, TRAIN
from regard.data.decode import LineEnds
from regard.data.labelled import LEFT, classes_text, first_difference, parts_text, short
from regard.data.rows import Skipped
from regard.data.text import Documents, Read, Reading
from regard.errors import Notice, counted
from regard.tokens.text import pieces

CODES = {"train": (TRAIN,), "held_out": (HELD_OUT,), "all": (TRAIN, HELD_OUT)}
PASSED = 2
"""The code of a document that is neither learnt from nor held out."""


@dataclass(frozen=True, kw_only=True)
class LabelledTextSource:
    """Texts from the rows of tables, or from class folders. They are not kept: the files are read again each time."""

    kind: str = "labelled_text"
    name: str
    """What a run on it is called."""
    shown: str
    """What refusals call all of it."""
    classes: tuple[str, ...]
    """In order."""
    labels: npt.NDArray[np.int32]
    """(count,) the number of each text's class."""
    parts: npt.NDArray[np.uint8]
    """(count,) TRAIN (0) or HELD_OUT (1)."""
    copied: npt.NDArray[np.bool_] = field(repr=False)
    """(count,) held-out texts that stand in training, too (P11)."""
    digests: npt.NDArray[np.uint64] = field(repr=False)
    """(count,) equal for equal texts."""
    names: Sequence[str] = field(repr=False)
    """(count,) what refusals call each: its file, and its line in a table."""
    characters: int
    train_characters: int
    distinct: Counter[str] = field(repr=False)
    """How often each character comes."""
    notices: tuple[Notice, ...]
    """What was skipped, changed or is odd, each with its count."""
    held_from: str
    """What is held out: "val", "test", "a tenth", or "all" where the texts are only to be scored."""
    left: int
    """Texts in test/ that are left for scoring, as val/ is held out."""
    reading: Reading
    files: tuple[Read, ...] = field(repr=False)
    documents: Documents = field(repr=False)
    """What a file holds."""
    codes: npt.NDArray[np.uint8] = field(repr=False)
    """Of every document of the files TRAIN, HELD_OUT or PASSED."""

    @property
    def count(self) -> int:
        return len(self.labels)

    def texts(self, part: str) -> Iterator[Iterator[str]]:
        """For each text of "train", "held_out" or "all", in order, its pieces. Take one's pieces before the next one.

        Raises RegardError if a file has changed since it was counted.
        """
        for read in self.files:
            codes = iter(self.codes[read.first : read.first + read.documents])
            for document in self.documents(read.file, read.file.chunks(), self.reading, LineEnds(), Skipped()):
                first = next(document, None)
                if first is None:
                    continue  # white space alone: it was not counted either
                if next(codes) in CODES[part]:
                    yield pieces(itertools.chain([first], document))
                for _ in document:  # to the last byte, so that the whole file is compared with what it was
                    pass

    def fingerprint(self) -> dict[str, Any]:
        """What data.json keeps: each file's name, size and SHA-256, how it was read, the classes and the counts."""
        return {
            "kind": self.kind,
            "files": [read.described() for read in self.files],
            "encoding": self.reading.encoding,
            "text_key": self.reading.text_key,
            "classes": list(self.classes),
            "labels": hashlib.sha256(self.labels.tobytes()).hexdigest(),
            "texts": self.count,
            "train": int((self.parts == TRAIN).sum()),
            "held_out": int((self.parts == HELD_OUT).sum()),
            "held_from": self.held_from,
            "characters": self.characters,
        }

    def differs(self, other: dict[str, Any]) -> str | None:
        """What first differs from another fingerprint: a file (name, size, SHA-256; R15), else a count; or None."""
        return first_difference(self.fingerprint(), other)

    def summary(self) -> str:
        """What was found, in numbers; at most 80 columns."""
        learnt = self.labels if self.held_from == "all" else self.labels[self.parts == TRAIN]
        lines = [
            f": {counted(self.count, 'text')} in {counted(len(self.classes), 'class(es)')}",
            f"  {counted(self.characters, 'character')} ({len(self.distinct):,} different)",
            f"  {parts_text(self.parts, self.held_from, self.left)}",
            f"  {classes_text(learnt, self.classes, 'texts')}",
            *([f"  {LEFT}"] if self.left else []),
        ]
        return f"read {short(self.name, 75 - len(lines[0]))}" + "\n".join(line[:80] for line in lines)
