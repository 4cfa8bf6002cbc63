"""What the model would have said with something in it changed: each edit beside a control and beside random others.

Shapes: n positions; vocabulary. All differences are edited minus original, in nats.
"""

import math
import random
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Sequence as Many
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regard.errors import RegardError
from regard.looking.formula import allowed, blocks
from regard.looking.kept import Readings
from regard.looking.readings import next_tokens, read
from regard.looking.surgery import Activations, Edit, Original, activations, edited, unedited
from regard.model.sequence import Sequence
from regard.model.transformer import Transformer

__all__ = ["Edit", "Effect", "Source", "Summary", "edit", "summary"]

Array = np.ndarray[Any, Any]

CONTROL = 5e-5
"""How far the identity edit may move a logit, relative to the largest one if over 1 (as check B in float32)."""
TRIES = 100
"""Random targets looked at before one of the same size is given up."""


@dataclass(frozen=True)
class Source:
    """A named set of inputs: means are taken over all their positions, other inputs are drawn from it."""

    name: str
    inputs: tuple[Sequence, ...]


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What a list of edits did to one input."""

    edits: tuple[Edit, ...]
    source: str
    """The named set and its size, where means or draws were asked for; else empty."""
    draws: int
    """How many inputs were drawn for resampling; the numbers below are means over them. 1 where nothing is drawn."""
    seed: int
    change: Array
    """(n,) log p of the true token, after minus before; NaN where no truth is known."""
    divergence: Array
    """(n,) KL of the next-token distributions, before against after."""
    before: Readings
    after: Readings
    """Of the mean distribution over the draws."""
    control: float
    """Largest change of a logit by the identity edit through the same code, relative to the largest logit if over 1."""
    others: Array
    """(at most 20,) `moved` by the same edit on random targets of the same size."""
    moved: float
    """What the random targets are compared by, in nats: the mean change, or what was asked for instead."""

    @property
    def badge(self) -> str:
        held = "" if self.control <= CONTROL else f" (control failed: {self.control:.0e})"
        return f"Edited run{held}"

    @property
    def mean_change(self) -> float:
        """Over the positions whose true token is known, in nats."""
        return _mean_change(self.change)

    @property
    def percentile(self) -> float | None:
        """Share of the random targets that moved it less than this edit, in percent; None without any."""
        if len(self.others) == 0:
            return None
        return float(100 * (np.abs(self.others) < abs(self.moved)).mean())


def edit(
    model: Transformer, sequence: Sequence, edits: Many[Edit], *, source: Source | None = None, seed: int = 0,
    draws: int = 20, others: int = 20, truth: Tensor | None = None,
    moves: Callable[[Tensor, Tensor], float] | None = None,
) -> Effect:  # fmt: skip
    """Runs the model with the edits, without them, with the identity edit, and with the edits on random other targets.

    source: for mean and resample. draws: inputs drawn from it for resample. moves: of logits before and after, one
    number by which edits are compared; the mean change of log p of the true tokens unless given. Raises RegardError
    for an edit that does not exist, that needs a source, or whose source holds shorter inputs than this one.
    """
    edits = tuple(edits)
    if not edits:
        raise RegardError("edit", "nothing was given to change", "give at least one edit")
    for one in edits:
        one.check(model, sequence.n)
    truth = next_tokens(sequence) if truth is None else truth
    fills = list(_fills(model, sequence, edits, source, seed, draws))
    original = unedited(model, sequence)
    change, divergence, mean = _effect(model, sequence, edits, fills, original, truth)
    identity = edited(model, sequence, [replace(one, kind="none") for one in edits], None, original)
    control = float((identity - original.logits).abs().max() / original.logits.abs().max().clamp(min=1))
    targets = _elsewhere(edits, model, sequence, random.Random(seed), others)

    def moved(change: Array, mean: Tensor) -> float:
        return _mean_change(change) if moves is None else moves(original.logits, mean)

    elsewhere = [_effect(model, sequence, other, fills, original, truth) for other in targets]
    each = np.array([moved(change, mean) for change, _, mean in elsewhere])
    asked = source is not None and any(one.kind in ("mean", "resample") for one in edits)
    return Effect(
        edits=edits, source=f"{source.name} ({len(source.inputs)})" if asked and source is not None else "",
        draws=len(fills), seed=seed, change=change, divergence=divergence, control=control,
        before=read([original.logits], truth), after=read([mean], truth),
        others=each[np.isfinite(each)], moved=moved(change, mean),
    )  # fmt: skip


def _effect(
    model: Transformer, sequence: Sequence, edits: Many[Edit], fills: Many[Activations | None], original: Original,
    truth: Tensor,
) -> tuple[Array, Array, Tensor]:  # fmt: skip
    """(change of the truth's log p (n,), KL (n,), log of the mean distribution (n, vocabulary)), means over fills."""
    change, divergence = (torch.zeros(len(truth), dtype=torch.float64) for _ in range(2))
    total = torch.zeros_like(original.logits)
    for fill in fills:
        logits = edited(model, sequence, edits, fill, original)
        for rows in blocks(*logits.shape):  # in double: the divergence of a small edit is a difference of near equals
            before, after = original.logits[rows].double().log_softmax(-1), logits[rows].double().log_softmax(-1)
            change[rows] += _of(after - before, truth[rows]) / len(fills)
            divergence[rows] += (before.exp() * (before - after)).sum(dim=-1) / len(fills)
            total[rows] += after.exp() / len(fills)
    return change.numpy(), divergence.numpy(), total.log()


def _mean_change(change: Array) -> float:
    return float(np.nanmean(change)) if np.isfinite(change).any() else math.nan


def _of(x: Tensor, truth: Tensor) -> Tensor:
    """Each row's entry at the true token, NaN where none is known: x (n, vocabulary) -> (n,)."""
    truth = truth.to(x.device)
    found = x.gather(1, truth.clamp(min=0)[:, None])[:, 0]
    return torch.where(truth >= 0, found, torch.nan)


def _fills(
    model: Transformer, sequence: Sequence, edits: Iterable[Edit], source: Source | None, seed: int, draws: int
) -> Iterator[Activations | None]:
    """What comes in place of what is edited: one mean, or one set a draw."""
    kinds = {one.kind for one in edits}
    if not kinds & {"mean", "resample"}:
        yield None
        return
    if source is None or not source.inputs:
        raise RegardError(
            "edit", f"{' and '.join(sorted(kinds))} need other inputs", "give source=, a named set of them"
        )
    mean = _mean(model, source) if "mean" in kinds else {}
    if "resample" not in kinds:
        yield mean
        return
    if mean:
        raise RegardError("edit", "mean and resample cannot be asked for at once", "edit in two steps")
    short = [at for at, one in enumerate(source.inputs) if one.n < sequence.n]
    if short:
        what = f"input {short[0]} of {source.name!r} has {source.inputs[short[0]].n} tokens, fewer than {sequence.n}"
        raise RegardError("edit", what, "leave short inputs out")
    for drawn in random.Random(seed).choices(range(len(source.inputs)), k=draws):
        yield activations(model, source.inputs[drawn])


def _mean(model: Transformer, source: Source) -> Activations:
    """The mean of each activation over all positions of all inputs, one row each."""
    sums: dict[tuple[str, int], Tensor] = {}
    count = 0
    for one in source.inputs:
        count += one.n
        for name, x in activations(model, one).items():
            sums[name] = sums.get(name, torch.zeros(1)) + x.double().sum(dim=-2, keepdim=True)
    return {name: x / count for name, x in sums.items()}


def _elsewhere(
    edits: tuple[Edit, ...], model: Transformer, sequence: Sequence, rng: random.Random, count: int
) -> Iterator[tuple[Edit, ...]]:
    """Random targets of the same size, each once and none the given one; fewer than asked for where there are fewer."""
    failures, seen = 0, {edits}
    while count and failures < TRIES:
        other = tuple(_other(one, model, sequence, rng) for one in edits)
        if other in seen or len(set(other)) < len(other):
            failures += 1
        else:
            count -= 1
            seen.add(other)
            yield other


def _other(one: Edit, model: Transformer, sequence: Sequence, rng: random.Random) -> Edit:
    """The same edit at a random place: layer, heads, and for edges a block of as many allowed cells."""
    config, n = model.config, sequence.n
    moved = replace(one, layer=rng.randrange(config.layers))
    if one.heads:
        moved = replace(moved, heads=tuple(sorted(rng.sample(range(config.attention.heads), len(one.heads)))))
    if one.part == "value":
        return replace(moved, cols=tuple(sorted(rng.sample(range(n), len(one.cols)))))
    if one.part != "edges":
        return moved

    def cells(rows: tuple[int, ...], cols: tuple[int, ...]) -> int:
        return int(allowed(sequence.mask, torch.tensor(rows), torch.tensor(cols)).sum())

    wanted, best = cells(one.rows, one.cols), replace(moved, rows=one.rows, cols=one.cols)
    for _ in range(TRIES):
        down, right = (rng.randint(-min(at), n - 1 - max(at)) for at in (one.rows, one.cols))
        rows, cols = tuple(i + down for i in one.rows), tuple(j + right for j in one.cols)
        if cells(rows, cols) == wanted:
            return replace(moved, rows=rows, cols=cols)
    return best


@dataclass(frozen=True)
class Summary:
    """The mean change of log p over a data set, with a 95 % bootstrap interval over its inputs; nats."""

    mean: float
    low: float
    high: float
    inputs: int


def summary(effects: Many[Effect], seed: int = 0, samples: int = 2000) -> Summary:
    """Over the same edits on several inputs. Raises RegardError where there are none with a known truth."""
    means = np.array([one.mean_change for one in effects if math.isfinite(one.mean_change)])
    if len(means) == 0:
        raise RegardError("edit", "no effect with a known truth was given", "edit at least one input")
    drawn = np.random.default_rng(seed).choice(means, size=(samples, len(means)))
    low, high = np.quantile(drawn.mean(axis=1), [0.025, 0.975])
    return Summary(float(means.mean()), float(low), float(high), len(means))
