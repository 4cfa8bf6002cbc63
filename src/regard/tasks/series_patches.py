"""A series as tokens: a patch of rows is one, in units of what came up to it; what comes out becomes rows again.

A patch is cut as a picture of height 1 is. Its numbers are counted from the mean, and in deviations, of all rows of the
window up to its own last one; what follows is counted from that last row: so nothing is known of what is to come, and
where all comes to rest, numbers of 0 say "as it was". Instance normalisation (Kim et al. 2022), made causal.
Shapes: batch; n patches; patch rows; columns; features = patch * columns numbers of a token.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from regard.model.sequence import Sequence
from regard.tokens.patches import Grid, cut

Numbers = npt.NDArray[np.float64]

FLOOR = 0.01
"""Of a column's own deviation: where a window's is less, as where nothing moves at all, it is this."""


@dataclass(frozen=True)
class Scale:
    """What a column's numbers are counted from, and in."""

    mean: Numbers
    """(columns,)."""
    deviation: Numbers
    """(columns,); 1 where nothing moves."""

    @classmethod
    def of(cls, values: Numbers) -> "Scale":
        """Of all rows, (rows, columns)."""
        deviation = values.std(axis=0)
        still = np.ptp(values, axis=0) == 0
        return cls(values.mean(axis=0), np.where(still | (deviation == 0), 1.0, deviation))

    def shrunk(self, values: Numbers) -> Numbers:
        """(..., columns) in deviations from the mean."""
        found: Numbers = (values - self.mean) / self.deviation
        return found

    def grown(self, values: Numbers) -> Numbers:
        """The inverse of shrunk."""
        found: Numbers = values * self.deviation + self.mean
        return found

    def to_json(self) -> dict[str, Any]:
        return {"mean": self.mean.tolist(), "deviation": self.deviation.tolist()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Scale":
        return cls(np.array(values["mean"]), np.array(values["deviation"]))


@dataclass(frozen=True)
class Patches:
    """Windows of whole patches, as a model is given them."""

    numbers: Numbers
    """(batch, n, patch, columns), each in deviations from the mean of the rows up to its patch's last."""
    last: Numbers
    """(batch, n, 1, columns): each patch's last row."""
    deviation: Numbers
    """(batch, n, 1, columns): of the rows up to it."""

    @classmethod
    def of(cls, rows: Numbers, patch: int) -> "Patches":
        """rows (batch, n * patch, columns), counted as Scale has them."""
        parts = patches(rows, patch)
        count = patch * np.arange(1, parts.shape[1] + 1)[:, None, None]
        mean = parts.sum(axis=2, keepdims=True).cumsum(axis=1) / count  # (batch, n, 1, columns)
        square = (parts**2).sum(axis=2, keepdims=True).cumsum(axis=1) / count
        deviation = np.sqrt(np.maximum(square - mean**2, FLOOR**2))
        return cls((parts - mean) / deviation, parts[:, :, -1:], deviation)

    def tokens(self, device: torch.device) -> Sequence:
        """One causal sequence an example, each token a patch: (batch, n, features)."""
        batch, n, patch, columns = self.numbers.shape
        vectors = torch.from_numpy(self.numbers.reshape(batch, n, patch * columns)).float().to(device)
        return Sequence.text(vectors)

    def targets(self, following: Numbers, device: torch.device) -> Tensor:
        """What the model is to say at each patch of the one that follows it: (batch, n, patch, columns) -> features."""
        batch, n, patch, columns = following.shape
        aims = (following - self.last) / self.deviation
        return torch.from_numpy(aims.reshape(batch, n, patch * columns)).float().to(device)

    def rows(self, said: Tensor) -> Numbers:
        """The inverse of targets, of the last positions: (batch, m, features) -> (batch, m, patch, columns)."""
        batch, m, _ = said.shape
        numbers = said.double().cpu().numpy().reshape(batch, m, *self.numbers.shape[2:])
        found: Numbers = numbers * self.deviation[:, -m:] + self.last[:, -m:]
        return found


def patches(rows: Numbers, patch: int) -> Numbers:
    """(batch, n * patch, columns) -> (batch, n, patch, columns)."""
    batch, length, columns = rows.shape
    grid = Grid(1, length, 1, patch)
    parts: Numbers = cut(rows[:, None], grid)  # type: ignore[type-var]
    return parts.reshape(batch, grid.n, patch, columns)


class Windows:
    """Every place where context + 1 patches find room: example k begins at row k."""

    def __init__(self, rows: Numbers, patch: int, context: int) -> None:
        """rows: (rows, columns), counted as Scale has them."""
        self.rows, self.patch, self.context = rows, patch, context

    def __len__(self) -> int:
        return len(self.rows) - (self.context + 1) * self.patch + 1

    def size(self, example: int) -> int:
        return self.context

    def take(self, starts: npt.NDArray[np.integer]) -> tuple[Patches, Numbers]:
        """(batch,) -> what is seen, and of each patch the one that follows, (batch, context, patch, columns)."""
        within = np.arange((self.context + 1) * self.patch)
        rows = self.rows[starts[:, None] + within]  # (batch, rows of a window, columns)
        return Patches.of(rows[:, : -self.patch], self.patch), patches(rows, self.patch)[:, 1:]
