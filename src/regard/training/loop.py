"""The loop: a batch, its loss, the gradient, a step; until the steps or the minutes are over."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from regard.errors import RegardError
from regard.training.optimiser import AdamW, Muon, is_hidden_matrix
from regard.training.ranks import Ranks
from regard.training.schedule import factor
from regard.training.settings import Value
from regard.training.task import Order, Task

LOWER = "lower --learning-rate or look at the data"
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Step:
    number: int
    """Counted from 1."""
    loss: float
    """Nats a target, over the global batch."""
    norm: float
    """Length of the whole gradient."""
    targets: int
    """What the loss was counted over."""
    seconds: float
    """Of this step alone."""


class Learner:
    """What is being trained: the weights, their average, the optimisers, and the order of the data."""

    def __init__(self, task: Task, model: nn.Module, examples: int, settings: Mapping[str, Any], ranks: Ranks) -> None:
        self.task, self.settings, self.ranks = task, settings, ranks
        self.model = model.to(ranks.device).train()
        self.average = task.averaged(self.model, settings)
        self.order = Order(examples, settings["batch"], settings["seed"])
        self.called: nn.Module = DistributedDataParallel(self.model) if ranks.count > 1 else self.model
        self.optimisers = optimisers(self.model, settings)
        self.peaks = [optimiser.lr for optimiser in self.optimisers]
        self.saved: int | None = None
        """The step of the last checkpoint."""

    def step(self, number: int, progress: float) -> Step:
        """Step `number`, counted from 1. Raises RegardError, weights untouched, for a loss that is no number (R20)."""
        began = time.perf_counter()
        loss, targets = self._gradients(number - 1, progress)
        norm = float(torch.nn.utils.get_total_norm([p.grad for p in self.model.parameters() if p.grad is not None]))
        if not (np.isfinite(norm) and np.isfinite(loss)):
            what = f"the loss is {loss:g} and the gradient's length {norm:g}: step not taken"
            raise self.spoiled(number, what, LOWER)
        scale = factor(number - 1, progress, self.settings["warm_up"], self.settings["cool_down"])
        for optimiser, peak in zip(self.optimisers, self.peaks, strict=True):
            optimiser.lr = peak * scale
            optimiser.step()
        for parameter in self.model.parameters():
            parameter.grad = None
        self.average.update(number, progress)
        return Step(number, loss, norm, targets, time.perf_counter() - began)

    def check(self, number: int) -> None:
        """Raises RegardError if a weight is no finite number after step `number`: such a state is never saved (R20)."""
        weights = [*self.model.parameters(), *self.average.model.parameters()]
        if not bool(torch.stack([torch.isfinite(weight).all() for weight in weights]).all()):
            raise self.spoiled(number, "weights became infinite or no number, and were not saved", LOWER)

    def spoiled(self, number: int, what: str, do: str) -> RegardError:
        """What ends a training that went wrong, said by one rank: with the last step that is worth going on from."""
        good = "nothing was saved yet" if self.saved is None else f"the last good checkpoint is of step {self.saved}"
        return self.ranks.of_all(RegardError(f"step {number}", what, f"{do}; {good}", code=1))

    def _gradients(self, index: int, progress: float) -> tuple[float, int]:
        """Fills the gradients of the mean loss over the global batch; returns that loss in nats, and its targets.

        Each piece adds the gradient of its sum; one division follows, by the targets of all pieces and ranks.
        """
        seed, ranks = self.settings["seed"], self.ranks
        torch.manual_seed(int(np.random.SeedSequence((seed, index, ranks.rank)).generate_state(1)[0]))
        ids = self.order.ids(index)[ranks.share(self.order.batch)]
        pieces = np.array_split(ids, -(-len(ids) // self.settings["micro_batch"]))
        total, count = 0.0, 0.0
        for k, piece in enumerate(pieces):
            batch = self.task.batch(piece, np.random.default_rng((seed, index, ranks.rank, k)), progress)
            with adding(self.called, k == len(pieces) - 1), self._precision():
                loss, targets = self.task.loss(self.called, batch, self.average.model)
            loss.backward()  # type: ignore[no-untyped-call]
            total, count = total + loss.item(), count + targets.item()
        total, count = ranks.sum(total, count)
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        torch._foreach_mul_(gradients, ranks.count / max(count, 1.0))  # DDP has averaged over the ranks
        return total / max(count, 1.0), int(count)

    def _precision(self) -> torch.autocast:
        precision = PRECISIONS[self.settings["precision"]]
        return torch.autocast(self.ranks.device.type, torch.bfloat16, enabled=precision is torch.bfloat16)


def adding(model: nn.Module, last: bool) -> AbstractContextManager[None]:
    """DDP adds up the ranks' gradients in the backward pass; of several pieces, only in the last one's."""
    if isinstance(model, DistributedDataParallel) and not last:
        quiet: AbstractContextManager[None] = model.no_sync()
        return quiet
    return nullcontext()


def optimisers(model: nn.Module, settings: Mapping[str, Value]) -> list[Muon | AdamW]:
    """Muon for the matrices inside blocks, AdamW for the rest."""
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    matrices = [p for n, p in named if is_hidden_matrix(n, p)]
    rest = [p for n, p in named if not is_hidden_matrix(n, p)]
    lr, table_lr, decay = (float(settings[name]) for name in ("learning_rate", "table_learning_rate", "weight_decay"))
    precision = PRECISIONS[str(settings["precision"])]
    return [Muon(matrices, lr, weight_decay=decay, precision=precision), AdamW(rest, table_lr)]


class Clock:
    """How much of the training is over: of its steps, or of its seconds, those used before a restart included."""

    def __init__(self, *, steps: int | None = None, seconds: float | None = None, used: float = 0.0,
                 now: Callable[[], float] = time.monotonic) -> None:  # fmt: skip
        self.steps, self.seconds, self._used, self._now = steps, seconds, used, now
        self._began = now()

    @property
    def used(self) -> float:
        """Seconds of training, stopped time included; the wall clock has no say."""
        return self._used + self._now() - self._began

    def progress(self, done: int) -> float:
        """0 to 1 after `done` steps; 1 or more: over."""
        if self.steps is not None:
            return done / self.steps
        assert self.seconds is not None
        return self.used / self.seconds if self.seconds > 0 else 1.0


def train(learner: Learner, clock: Clock, done: int, stopping: Callable[[], int]) -> Iterator[Step]:
    """Steps after the first `done`, until the clock says 1 or someone asks to stop. At least one step is made.

    Rank 0's clock counts; a wish to stop counts on whichever rank it came up: all leave at the same step.
    """
    while True:
        progress, stop = learner.ranks.max(clock.progress(done) if learner.ranks.first else 0.0, float(stopping()))
        if stop or (progress >= 1 and done > 0):
            return
        done += 1
        yield learner.step(done, min(progress, 1.0))
