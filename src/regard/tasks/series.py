"""Forecasting: the next patch of a series of numbers from those before it; every position is an example.

Shapes: batch windows; n patches of context; features numbers of a patch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.data.series import SeriesSource
from regard.errors import Notice, RegardError, printable
from regard.model.config import TransformerConfig
from regard.model.sequence import Sequence
from regard.model.transformer import Transformer, check_sizes, check_way
from regard.tasks.language import transformer_config
from regard.tasks.series_patches import Windows
from regard.tasks.series_plan import choose_cut, held_back, needs_of_series
from regard.tasks.series_rows import CACHE, Series, open_rows, write_rows
from regard.tasks.series_scores import Forecasts, Starts, best_period, truth_of
from regard.tasks.transformer_task import TransformerTask
from regard.training.average import evaluating
from regard.training.by_time import Budget, choose_all
from regard.training.measure import Probe
from regard.training.plan import Plan
from regard.training.ranks import Ranks

QUICK = 64
"""Held-out patches that are scored while training."""
SHOWN = 4
"""Numbers of a sample."""


class Forecasting(TransformerTask):
    name, unit, loss_in = "forecasting", "patches", "deviations (Huber's of them in training)"

    def __init__(
        self, series: Series, settings: Mapping[str, Any], ranks: Ranks, model: Mapping[str, Any] | None = None
    ) -> None:  # fmt: skip
        """model: the transformer's configuration, else it follows from the settings."""
        self.series, self.ranks, self.model = series, ranks, model
        self.seed, self.patch, self.context = (int(settings[name]) for name in ("seed", "patch", "context"))
        self.learnt = series.train - held_back(series.train, self.patch, float(settings["monitor"]))
        self.examples = Windows(series.rows[: self.learnt], self.patch, self.context)

    @cached_property
    def forecasts(self) -> Forecasts:
        """What is scored; not needed by a training step."""
        series = self.series
        period = best_period(series.rows[: series.train], self.patch)
        return Forecasts(self.patch, self.context, series.columns, series.scale, period)

    @cached_property
    def held_out(self) -> Starts:
        return self.forecasts.starts(self.series.train, len(self.series.rows))

    @staticmethod
    def prepare(source: SeriesSource, plan: Plan, folder: Path, base: Any | None, budget: Budget) -> "Prepared":
        """Writes the rows into the folder's cache/, and chooses how they are cut."""
        if base is not None:
            raise RegardError("--from", "a series cannot go on from another model yet", "leave it out")
        series = write_rows(source, folder)
        return Prepared(series, choose_cut(plan, series))

    @staticmethod
    def restore_cache(source: SeriesSource, folder: Path, config: Mapping[str, Any]) -> None:
        """Writes the run's rows again where they are incomplete."""
        if open_rows(folder) is None:
            write_rows(source, folder)

    @classmethod
    def open(
        cls, folder: Path, settings: Mapping[str, Any], ranks: Ranks, model: Mapping[str, Any] | None
    ) -> "Forecasting":
        """From a run's folder. Raises RegardError where the cache is incomplete."""
        series = open_rows(folder)
        if series is None:
            do = "give the training command again with its data"
            raise RegardError(str(folder / CACHE), "the run's rows are incomplete", do)
        return cls(series, settings, ranks, model)

    def configured(self, settings: Mapping[str, Any]) -> TransformerConfig:
        if self.model is None:
            return config_of(settings, self.patch * len(self.series.columns))
        return replace(TransformerConfig.from_json(dict(self.model)), dropout=float(settings["dropout"]))

    def batch(self, ids: np.ndarray, rng: np.random.Generator, progress: float = 1.0) -> tuple[Sequence, Tensor]:
        """(windows as tokens, targets (batch, n, features)): each target is the patch that follows."""
        seen, following = self.examples.take(ids[:, 1])
        device = self.ranks.device
        return seen.tokens(device), seen.targets(following, device)

    def loss(self, model: nn.Module, batch: tuple[Sequence, Tensor], average: nn.Module) -> tuple[Tensor, Tensor]:
        """Huber's: half the square of small errors, of those beyond 1 the size (Huber 1964); the mean of a patch."""
        sequence, targets = batch
        said = model(sequence)  # (batch, n, features)
        total = F.huber_loss(said, targets, reduction="sum") / targets.shape[-1]
        return total, torch.tensor(targets.shape[0] * targets.shape[1])

    def watched(self, model: nn.Module) -> dict[str, float]:
        return {}

    def beside(self) -> None:
        """The last value and the season take no time that has to be planned."""

    def evaluate(self, model: nn.Module) -> dict[str, Any]:
        """The errors on the whole held-out part, and the baselines'."""
        return self.forecasts.evaluate(model, self.series.rows, self.held_out, self.ranks)

    def quick_score(self, model: nn.Module) -> float:
        """Mean absolute error on some of the held-out part: for the eye while training, not a result."""
        return self._mae(model, self._quick)

    def _mae(self, model: nn.Module, starts: Starts) -> float:
        return self.forecasts.errors(model, self.series.rows, starts, self.ranks).mae

    @property
    def whole_score(self) -> float:
        """How many times the quick score the whole one costs."""
        return max(1.0, len(self.held_out) / max(1, len(self._quick)))

    @property
    def _quick(self) -> Starts:
        return self.held_out[:: max(1, -(-len(self.held_out) // QUICK))]

    def monitor(self, model: nn.Module) -> float | None:
        """Mean absolute error on the rows of the training part that were held back, or None where none were."""
        if self.learnt == self.series.train:
            return None
        return self._mae(model, self.forecasts.starts(self.learnt, self.series.train))

    def sample(self, model: Transformer) -> str:
        """What it says of the last held-out patch: the first numbers of the first column."""
        at = self.held_out[-1:]
        with evaluating(model):
            said = self.forecasts.told(model, self.series.rows, at, Ranks(device=self.ranks.device))
        both = (said, truth_of(self.series.rows, at, self.patch))
        shown = (self.series.scale.grown(rows)[0, :SHOWN, 0] for rows in both)
        found, truth = (", ".join(f"{number:.4g}" for number in numbers) for numbers in shown)
        return f"{printable(self.series.columns[0])} {found} (is {truth})"


@dataclass
class Prepared:
    """Rows in the cache, their cutting chosen: what the plan's second half starts from."""

    series: Series
    period: int
    notices: list[Notice] = field(default_factory=list)

    @property
    def kept(self) -> dict[str, Any]:
        """What the run's config.json keeps: how rows become tokens, and what is compared with."""
        series = self.series
        counts = {"rows": len(series.values), "train": series.train, "held_out": len(series.values) - series.train}
        return {"columns": list(series.columns), "scale": series.scale.to_json(), "period": self.period,
                "counts": counts}  # fmt: skip

    def choose(self, plan: Plan, budget: Budget, probe: Probe) -> tuple[dict[str, Any], float]:
        """The sizes and the rest; returns the model's configuration, and the seconds that the end is going to take."""
        patch = int(plan["patch"])
        reserve = choose_all(plan, needs_of_series(self.series, patch, int(plan["context"])), budget, probe)
        config = config_of(plan.settings, patch * len(self.series.columns))
        check_sizes(config)  # before anything says that this is a run
        check_way(config, plan["attention"])
        return config.to_json(), reserve


def config_of(settings: Mapping[str, Any], features: int) -> TransformerConfig:
    """The settings as a model: as for language, but a patch's numbers go in and the next one's come out."""
    return replace(transformer_config({**settings, "tied": "no"}, features), features=features)


TASK = Forecasting
