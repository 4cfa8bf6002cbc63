"""What is kept from training: whole documents or the tail of one, a function of the data alone (contract 9, T15)."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

LARGEST = 1_000_000
"""Characters held out at most."""

LONG_LINE = 40
"""Characters of a line that does not come twice by chance."""


@dataclass(frozen=True)
class Split:
    """Which documents are held out: some wholly, or the tail of one (and of its copies)."""

    whole: frozenset[int] = frozenset()
    """Numbers of documents, from 0."""
    cut: dict[int, int] = field(default_factory=dict)
    """Number of a document: the character at which its tail begins."""

    def span(self, document: int, part: str) -> tuple[int, int | None] | None:
        """First character and end (None: the last) of what a document gives to "train", "held_out" or "all"."""
        if part == "all":
            return 0, None
        held_out = part == "held_out"
        if document in self.cut:
            return (self.cut[document], None) if held_out else (0, self.cut[document])
        return (0, None) if (document in self.whole) == held_out else None


def split(lengths: npt.NDArray[np.int64], digests: npt.NDArray[np.uint64]) -> Split:
    """The split of documents with these lengths (documents,) in characters; equal digests mean equal documents.

    A tenth of the characters is held out, at most LARGEST. One document: its tail from int(0.9 * characters) on.
    Several: whole documents from the last one backwards, until the tenth is reached; one that would make it over
    a fifth is passed over; equal documents go together. Where they make less than a twentieth (few large documents),
    the tail of the largest is held out instead, and that of its copies.
    """
    characters = int(lengths.sum())
    wanted = min(characters - int(0.9 * characters), LARGEST)
    _, group = np.unique(digests, return_inverse=True)
    sizes = np.bincount(group, weights=lengths)
    room = min(characters // 5, LARGEST)
    chosen, held, tried = set[int](), 0, set[int]()
    for number in map(int, group[::-1]):
        if held >= wanted:
            break
        if number not in tried and held + sizes[number] <= room:
            chosen.add(number)
            held += int(sizes[number])
        tried.add(number)
    if 2 * held >= wanted:
        return Split(frozenset(np.flatnonzero(np.isin(group, list(chosen))).tolist()))
    largest = len(lengths) - 1 - int(np.argmax(lengths[::-1]))
    copies = np.flatnonzero(group == group[largest])
    tail = min(max(wanted // len(copies), 1), int(lengths[largest]))
    return Split(cut={int(copy): int(lengths[copy]) - tail for copy in copies})


def repeated_lines(held_out: Iterable[Iterable[str]], train: Iterable[Iterable[str]]) -> tuple[int, int]:
    """Lines of LONG_LINE characters and more that are held out: how many stand in training too, and of how many.

    Memory: the held-out lines; a training line of more than LARGEST characters is none of them and is passed over.
    """
    counts = Counter(
        line for document in held_out for row in _lines(document) for line in row if len(line) >= LONG_LINE
    )
    seen = set[str]()
    for document in train if counts else ():
        for row in _lines(document):
            seen.update(counts.keys() & row)
    return sum(counts[line] for line in seen), counts.total()


def _lines(pieces: Iterable[str]) -> Iterator[list[str]]:
    """The lines of a document, many at a time; those longer than LARGEST are left out."""
    begun, length = list[str](), 0
    for piece in pieces:
        first, *others = piece.split("\n")
        length += len(first)
        begun = [*begun, first] if length <= LARGEST else []
        if others:
            *whole, last = others
            yield ["".join(begun), *whole] if length <= LARGEST else whole
            begun, length = [last], len(last)
    if length <= LARGEST:
        yield ["".join(begun)]
