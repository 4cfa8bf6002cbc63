"""How far a forecast of the next patch is off, beside two that learn nothing: the last row, and the last season.

Shapes: rows and columns of a series; count patches that are told; patch rows of each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from regard.tasks.series_patches import Numbers, Patches, Scale
from regard.training.average import evaluating
from regard.training.ranks import Ranks

Starts = npt.NDArray[np.int64]
"""(count,) the row at which each patch begins that is told."""

TOGETHER = 64
"""Patches that are told at once."""
LONGEST_PERIOD, SEASONS = 1000, 8
"""Rows of a period at most, and how many of it there have to be in what it is chosen by: a few are alike by chance."""
COMPARED = 200_000
"""Numbers that choose the period, the last ones."""


@dataclass(frozen=True)
class Errors:
    """Sums over what was told, in the deviations of Scale."""

    absolute: Numbers
    """(columns,)."""
    squared: Numbers
    """(columns,)."""
    count: float
    """Numbers of a column."""

    @classmethod
    def of(cls, said: Numbers, truth: Numbers) -> "Errors":
        """Both (count, patch, columns)."""
        off = said - truth
        return cls(np.abs(off).sum(axis=(0, 1)), (off**2).sum(axis=(0, 1)), float(truth.shape[0] * truth.shape[1]))

    def summed(self, ranks: Ranks) -> "Errors":
        """Over all ranks, each of which calls this."""
        columns = len(self.absolute)
        *sums, count = ranks.sum(*self.absolute.tolist(), *self.squared.tolist(), self.count)
        return Errors(np.array(sums[:columns]), np.array(sums[columns:]), count)

    @property
    def mae(self) -> float:
        """Mean absolute error, over all columns, in deviations."""
        return float(self.absolute.mean() / max(self.count, 1.0))

    def scores(self, columns: Sequence[str], scale: Scale) -> dict[str, Any]:
        """mae and mse over all columns, in deviations and their squares; of each column in its own units."""
        absolute, squared = self.absolute / max(self.count, 1.0), self.squared / max(self.count, 1.0)
        own = zip(columns, absolute * scale.deviation, squared * scale.deviation**2, strict=True)
        each = {name: {"mae": float(a), "mse": float(s)} for name, a, s in own}
        return {"mae": float(absolute.mean()), "mse": float(squared.mean()), "per_column": each}


@dataclass(frozen=True)
class Forecasts:
    """What is asked of a series: its next patch, from so many before it."""

    patch: int
    context: int
    columns: tuple[str, ...]
    scale: Scale
    period: int
    """Rows after which a season begins again (`best_period`)."""

    @property
    def before(self) -> int:
        """Rows before a patch that are looked at, by the model or by the baselines."""
        return max(self.context * self.patch, self.period * -(-self.patch // self.period))

    def starts(self, first: int, end: int) -> Starts:
        """The patches one after another that lie in rows `first` to end - 1 and have so many before them."""
        return np.arange(max(first, self.before), end - self.patch + 1, self.patch)

    def told(self, model: nn.Module, rows: Numbers, starts: Starts, ranks: Ranks) -> Numbers:
        """(count, patch, columns): what the model says of the patches, from the context before each, or from the whole
        patches that there are."""
        reach = min(self.context * self.patch, int(starts.min()) // self.patch * self.patch)
        found = list[Numbers]()
        with evaluating(model):
            for at in range(0, len(starts), TOGETHER):
                seen = rows[starts[at : at + TOGETHER, None] + np.arange(-reach, 0)]  # (batch, reach, columns)
                given = Patches.of(seen, self.patch)
                found.append(given.rows(model(given.tokens(ranks.device), last=True))[:, 0])
        return np.concatenate(found)

    def errors(self, model: nn.Module, rows: Numbers, starts: Starts, ranks: Ranks) -> Errors:
        """Ranks share the patches; all of them must call this."""
        mine, nothing = starts[ranks.rank :: ranks.count], np.zeros(len(self.columns))
        if len(mine) == 0:
            return Errors(nothing, nothing, 0.0).summed(ranks)
        return Errors.of(self.told(model, rows, mine, ranks), truth_of(rows, mine, self.patch)).summed(ranks)

    def evaluate(self, model: nn.Module, rows: Numbers, starts: Starts, ranks: Ranks) -> dict[str, Any]:
        """The scores, and the baselines'. rows: counted as the scale has them; starts: as `starts` gives them."""
        truth = truth_of(rows, starts, self.patch)

        def of_baseline(period: int) -> dict[str, Any]:
            said = seasonal(rows, starts, self.patch, period)
            return Errors.of(said, truth).scores(self.columns, self.scale)

        season = {**of_baseline(self.period), "period": self.period}
        baselines = {"last_value": of_baseline(1), "seasonal_naive": season}
        scores = self.errors(model, rows, starts, ranks).scores(self.columns, self.scale)
        return {**scores, "patches": len(starts), "patch": self.patch, "baselines": baselines}


def truth_of(rows: Numbers, starts: Starts, patch: int) -> Numbers:
    """(count, patch, columns)."""
    found: Numbers = rows[starts[:, None] + np.arange(patch)]
    return found


def seasonal(rows: Numbers, starts: Starts, patch: int, period: int) -> Numbers:
    """Each row as the latest known one, whole periods before it, (count, patch, columns); 1: the last value."""
    ahead = np.arange(patch)
    back = period * (ahead // period + 1)
    found: Numbers = rows[starts[:, None] + ahead - back]
    return found


def best_period(rows: Numbers, patch: int) -> int:
    """The period, of two rows or more, whose seasonal forecast is off least in these rows, which are learnt from; of
    those within 1 % of it the shortest, as seasons repeat."""
    rows = rows[-max(COMPARED // rows.shape[1], 4 * patch) :]
    most = max(2, min(LONGEST_PERIOD, len(rows) // SEASONS))
    starts = np.arange(max(most, 2 * patch), len(rows) - patch + 1, patch)
    truth = truth_of(rows, starts, patch)
    off = np.array([Errors.of(seasonal(rows, starts, patch, period), truth).mae for period in range(2, most + 1)])
    return 2 + int(np.argmax(off <= 1.01 * off.min() + 1e-9))
