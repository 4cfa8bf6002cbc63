"""Whole texts as examples: several short ones side by side in a row, none of which sees another.

Shapes: batch texts; rows of n tokens that hold them all; classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from regard.model.mask import PADDING, Places
from regard.model.sequence import Sequence as Tokens

Ids = npt.NDArray[np.integer]

LINEAR = 1024
"""Tokens that a linear classifier counts: the commonest."""


def side_by_side(texts: Sequence[Ids]) -> Tokens:
    """Texts, at least one token each, in rows as long as the longest: each token sees all of its text and no other's.

    A text's number, from 0, is its sequence (design, decision 2); positions count from 0 within it. What is left of a
    row is padding. Long texts come first, each into the first row with room, so that little is left.
    """
    lengths = np.array([len(text) for text in texts])
    n, room, rows = int(lengths.max()), list[int](), list[list[int]]()
    for number in np.argsort(-lengths, kind="stable").tolist():
        size = int(lengths[number])
        row = next((at for at, free in enumerate(room) if free >= size), len(room))
        if row == len(room):
            room.append(n)
            rows.append([])
        room[row] -= size
        rows[row].append(number)
    ids, of, position = (np.full((len(rows), n), value, np.int64) for value in (0, PADDING, 0))
    for row, numbers in enumerate(rows):
        at = 0
        for number in numbers:
            end = at + len(texts[number])
            ids[row, at:end], of[row, at:end] = texts[number], number
            position[row, at:end] = np.arange(end - at)
            at = end
    sequence = torch.from_numpy(of)
    same = torch.zeros_like(sequence)
    return Tokens.of(torch.from_numpy(ids), torch.from_numpy(position)[:, :, None], Places(sequence, same, same))


def pool(logits: Tensor, tokens: Tokens) -> Tensor:
    """Each text's scores are the mean of its tokens': (rows, n, classes) -> (batch, classes)."""
    of = tokens.places.sequence.flatten()
    there = of >= 0
    of = of[there]
    counts = torch.bincount(of)  # (batch,)
    sums = logits.new_zeros(len(counts), logits.shape[-1]).index_add(0, of, logits.flatten(0, 1)[there])
    return sums / counts[:, None]


@dataclass(frozen=True)
class TextExamples:
    """Labelled texts, some of many: what the loop numbers from 0 on."""

    tokens: Ids = field(repr=False)
    """All of all texts, one after another, mapped from the disk."""
    starts: npt.NDArray[np.int64]
    """(count + 1,) where each text begins; the last is where they end."""
    labels: npt.NDArray[np.int64]
    """(count,) of all of them."""
    rows: npt.NDArray[np.int64]
    """Which of them these examples are."""
    common: npt.NDArray[np.int64]
    """Ids of the tokens that a linear classifier counts."""
    context: int
    """Tokens of a text that are looked at, from its beginning on."""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def truth(self) -> npt.NDArray[np.int64]:
        """(len,) the class of each."""
        return self.labels[self.rows]

    def some(self, rows: slice | npt.NDArray[np.bool_]) -> "TextExamples":
        return replace(self, rows=self.rows[rows])

    def size(self, example: int) -> int:
        return len(self.text(example))

    def text(self, example: int) -> Ids:
        """Its tokens that are looked at."""
        return self._text(self.rows[example])

    def _text(self, row: int) -> Ids:
        start = self.starts[row]
        return self.tokens[start : min(self.starts[row + 1], start + self.context)]

    def numbers(self) -> npt.NDArray[np.float32]:
        """(len, features): which of the common tokens stand in each text; 1 where one does (a bag of tokens)."""
        place = np.full(int(self.common.max(initial=0)) + 2, -1)  # the last is that of every larger id
        place[self.common] = np.arange(len(self.common))
        found = np.zeros((len(self), len(self.common)), np.float32)
        for k, row in enumerate(self.rows):
            columns = place[np.minimum(self._text(row), len(place) - 1)]
            found[k, columns[columns >= 0]] = 1
        return found

    def varied(
        self, ids: np.ndarray, rng: np.random.Generator, device: torch.device, progress: float = 1.0
    ) -> tuple[Tokens, Tensor]:
        """ids (batch, 2), each (epoch, example) -> the texts, the same in every epoch, and their labels."""
        return self._made(self.rows[ids[:, 1]], device)

    def plain(self, start: int, end: int, device: torch.device) -> tuple[Tokens, Tensor]:
        """Examples start to end - 1."""
        return self._made(self.rows[start:end], device)

    def _made(self, rows: npt.NDArray[np.int64], device: torch.device) -> tuple[Tokens, Tensor]:
        tokens = side_by_side([self._text(row) for row in rows]).to(device)
        return tokens, torch.from_numpy(self.labels[rows]).to(device)
