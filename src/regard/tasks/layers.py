"""What each layer makes of examples: the mean over an example's tokens of the residual stream, layer by layer.

Shapes: batch; n tokens; width; count examples; classes. Layer 0 is what enters the first block, the embeddings; the
last is what leaves the last block.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from regard.model.sequence import Sequence

Array = npt.NDArray[Any]
Mean = Callable[[Tensor, Sequence], Tensor]
"""(a number for each token (batch, n, width), the tokens) -> its mean over those of each example (examples, width)."""
MOST = 2_000
"""Examples that are taken, as if by chance."""


def spread(count: int, most: int) -> npt.NDArray[np.bool_]:
    """(count,): at most so many of them True, as if by chance, always the same ones."""
    chosen = np.zeros(count, bool)
    chosen[np.random.default_rng(0).permutation(count)[:most]] = True
    return chosen


def mean_of_rows(x: Tensor, tokens: Sequence) -> Tensor:
    """Where each row is an example: (batch, n, width) -> (batch, width)."""
    return x.mean(dim=1)


class Streams:
    """Listens to forward passes, and keeps of some examples the mean stream at each layer."""

    def __init__(self, count: int, mean: Mean) -> None:
        """count: how many examples there are in all; of these MOST at most are kept."""
        self._wanted = spread(count, MOST)
        self._mean, self._kept = mean, list[list[Array]]()

    def of(self, start: int, tokens: Sequence) -> "Streams":
        """Before each pass: the tokens it is over, those of the examples from number `start` on."""
        self._first, self._tokens = start, tokens
        self._kept.append([])
        return self

    def __call__(self, *attention: Any, **named: Any) -> None:
        """Queries, keys, values: what a layer looked at is not asked here."""

    def stream(self, layer: int, place: str, x: Tensor) -> None:
        """x (batch, n, width)."""
        if place == "in":
            found = self._mean(x, self._tokens).float().cpu().numpy()
            self._kept[-1].append(found[self._wanted[self._first : self._first + len(found)]])

    @property
    def layers(self) -> list[Array]:
        """(count, width) float32 of each layer."""
        return [np.concatenate(parts) for parts in zip(*self._kept, strict=True)]

    def chosen(self, values: Array) -> Array:
        """Of values (count of all,) those of the examples that are kept."""
        return values[self._wanted]


def nearest_mean(known: Array, labels: Array, asked: Array, classes: int) -> Array:
    """asked (m, width) -> (m,) the class whose mean over known (count, width) is nearest, in Euclid's distance.

    labels (count,). A class of which nothing is known is not said; of equally near ones the first is.
    """
    counts = np.bincount(labels, minlength=classes)
    sums = np.zeros((classes, known.shape[1]))
    np.add.at(sums, labels, known.astype(np.float64))
    means, there = sums[counts > 0] / counts[counts > 0, None], np.flatnonzero(counts)
    distance = (means**2).sum(axis=1) - 2 * (asked.astype(np.float64) @ means.T)  # less |asked|^2, the same for all
    said: Array = there[distance.argmin(axis=1)]
    return said
