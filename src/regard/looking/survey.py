"""What every head does over a data set: its measures in many windows of a text, each window recorded by itself.

Shapes: windows; layers; heads; size tokens of a window.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from regard.errors import RegardError
from regard.looking.kept import Tokenizer, Tokens
from regard.looking.measures import FEW
from regard.looking.record import record
from regard.looking.stopping import stop_if_unwanted
from regard.model.sequence import Sequence
from regard.model.transformer import Transformer

MEASURES = ("first", "itself", "previous", "induction", "entropy", "distance", "share")
WINDOWS = 64
SIZE = 256
"""Tokens of a window, at most: far looks are seen, and 64 windows are a matter of seconds for a small model."""
LISTED = 10
"""Windows that are listed for a head: so many with the largest number, and so many at random."""

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Windows:
    """Parts of one text, equally long, none over another."""

    named: tuple[Tokens, ...]
    starts: tuple[int, ...]
    """The first token of each, counted in the text."""
    tokens: int
    """Of the whole text."""
    seed: int
    source: str
    """What the text is called."""
    digest: str
    """SHA-256 of its tokens (64-bit, little-endian), 16 hexadecimal digits."""

    def __len__(self) -> int:
        return len(self.named)

    @property
    def size(self) -> int:
        return len(self.named[0])

    def text(self, window: int) -> str:
        """What stands there; marks of documents, and half a character at its ends, are nothing."""
        return b"".join(self.named[window].raw).decode(errors="ignore")


HELD_OUT = "held-out text"


def choose(
    tokens: Array, tokenizer: Tokenizer, *, windows: int = WINDOWS, size: int = SIZE, seed: int = 0,
    source: str = HELD_OUT,
) -> Windows:  # fmt: skip
    """The text in as many equal parts as there are windows, and one at a random place in each.

    tokens: (n,) ids. There are fewer windows, or a shorter one, where the text has no room for more. Raises
    RegardError for fewer than two tokens, no window, and a seed below 0.
    """
    if windows < 1:
        raise RegardError("windows", f"{windows} are none", "ask for 1 or more")
    if seed < 0:
        raise RegardError("seed", f"{seed} is below 0", "give 0 or more")
    if len(tokens) < 2:
        raise RegardError("held-out text", "it has fewer than two tokens, so no head has a choice", "give more text")
    size = min(size, len(tokens))
    count = min(windows, len(tokens) // size)
    generator = np.random.default_rng(seed)
    edges = pairwise(part * len(tokens) // count for part in range(count + 1))
    starts = tuple(int(generator.integers(begin, end - size, endpoint=True)) for begin, end in edges)
    named = tuple(Tokens.of_text(tokens[at : at + size].tolist(), tokenizer) for at in starts)
    digest = hashlib.sha256(np.asarray(tokens).astype("<i8").tobytes()).hexdigest()[:16]
    return Windows(named, starts, len(tokens), seed, source, digest)


@dataclass(frozen=True)
class Survey:
    """The measures (measures.py) of every head in every window; where a window has no such number it is NaN."""

    windows: Windows
    values: Mapping[str, Array]
    """Of each of MEASURES (windows, layers, heads) float64."""
    induction_rows: Array
    """(windows, layers, heads) int64: how many rows a window's induction score is over."""

    def mean(self, measure: str) -> Array:
        """(layers, heads) over the windows that have the number, each counted once; NaN where none has."""
        values = self.values[measure]
        total, count = np.nansum(values, axis=0), self.count(measure)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)

    def spread(self, measure: str) -> Array:
        """(layers, heads) the standard deviation between windows (of a sample, by count - 1); NaN below two."""
        away, count = self.values[measure] - self.mean(measure), self.count(measure)
        return np.where(count > 1, np.sqrt(np.nansum(away**2, axis=0) / np.maximum(count - 1, 1)), np.nan)

    def count(self, measure: str) -> Array:
        """(layers, heads) how many windows have the number."""
        found: Array = np.isfinite(self.values[measure]).sum(axis=0)
        return found

    def few(self) -> Array:
        """(layers, heads) whether induction scores rest on too few rows to be trusted, all windows together."""
        found: Array = self.induction_rows.sum(axis=0) < FEW
        return found

    def strongest(self, measure: str, layer: int, head: int, most: int = LISTED) -> list[int]:
        """The windows with a head's largest numbers, the largest first; of equal ones the earlier first."""
        values = self.values[measure][:, layer, head]
        return [int(window) for window in np.argsort(-values, kind="stable")[:most] if np.isfinite(values[window])]

    def random(self, most: int = LISTED, seed: int = 0) -> list[int]:
        """Windows drawn without looking at any number, in the text's order: the same for every head."""
        drawn = np.random.default_rng(seed).permutation(len(self.windows))[:most]
        return [int(window) for window in np.sort(drawn)]


class Surveying(Iterator[int]):
    """A survey that is being made: each step measures one window, and says how many are done.

    A step that is stopped (stopping.py) has done nothing, and the next one makes it anew.
    """

    def __init__(self, model: Transformer, windows: Windows) -> None:
        self.windows = windows
        self._model = model
        self._values: list[dict[str, Array]] = []
        self._rows: list[Array] = []

    @property
    def done(self) -> int:
        return len(self._rows)

    def __next__(self) -> int:
        """Raises RegardError for what cannot be recorded (record.py)."""
        if self.done == len(self.windows):
            raise StopIteration
        stop_if_unwanted()
        named = self.windows.named[self.done]
        recording = record(self._model, Sequence.text(torch.tensor([named.ids])), named)
        every = recording.measures()  # layer by layer, all heads of each
        shape = recording.layers, recording.heads
        self._values.append({name: np.array([getattr(one, name) for one in every]).reshape(shape) for name in MEASURES})
        self._rows.append(np.array([one.induction_rows for one in every]).reshape(shape))
        return self.done

    def survey(self) -> Survey:
        """Of all windows: what is left of them is measured first."""
        for _ in self:
            pass
        values = {name: np.stack([one[name] for one in self._values]) for name in MEASURES}
        return Survey(self.windows, values, np.stack(self._rows))
