"""All that is known of a head's whole matrix, from one pass over its rows: log-sum-exps, the zoomed-out picture, sums.

Nothing n x m is kept. Shapes: n query positions; m key positions; r rows of a strip; c keys that they may look at.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from regard.looking.formula import Strip, allowed, strips
from regard.looking.kept import Call
from regard.looking.tiles import added, finest_kept, size_at

MEASURED = ("entropy", "first", "previous", "itself", "induction", "distance")

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Sums:
    """Of one head's measures (measures.py), over rows that may look at more than one key."""

    values: dict[str, float]
    rows: dict[str, int]
    """How many each is over."""


@dataclass(frozen=True)
class Sweep:
    """Of one head."""

    total: Tensor
    """(n,) float64, the log-sum-exp of each row."""
    level: Array
    """At the first zoom that is kept: float32, the largest weight of each square, NaN where all of it is masked."""
    sums: Sums


def sweep(call: Call, head: int, ids: Sequence[int]) -> Sweep:
    """ids: the tokens, for the induction score. Ends early by Stopped where nobody waits for it any more."""
    z = finest_kept(call.n, call.m)
    level = np.full((size_at(z, call.n), size_at(z, call.m)), math.nan, np.float32)
    sums = Sums(dict.fromkeys(MEASURED, 0.0), dict.fromkeys(MEASURED, 0))
    targets, total = _targets(call, ids), torch.empty(call.n, dtype=torch.float64)
    for strip in strips(call, head):
        total[strip.rows] = strip.total
        log_weights = strip.entering.sub_((strip.total - strip.largest)[:, None])
        squares = _largest(log_weights, z)
        level[strip.rows.start >> z :][: len(squares), : squares.shape[1]] = squares
        for name, values in _measured(call, strip, log_weights, targets).items():
            sums.values[name] += float(values.sum())
            sums.rows[name] += len(values)
    return Sweep(total, level, sums)


def added_weights(call: Call, head: int, z: int) -> Tensor:
    """Of each 2^z x 2^z square the sum of its weights and how many are not masked: (2, n / 2^z, m / 2^z) float64.

    Strips must hold whole squares: z is at most log2(STRIP).
    """
    found = torch.zeros(2, size_at(z, call.n), size_at(z, call.m), dtype=torch.float64)
    for strip in strips(call, head):
        may = strip.entering > -math.inf
        for part, cells in zip(found, (strip.weights, may), strict=True):
            squares = added(cells, z)
            part[strip.rows.start >> z :][: len(squares), : squares.shape[1]] = squares
    return found


def _largest(log_weights: Tensor, z: int) -> Array:
    """The largest weight of each 2^z x 2^z square: the exponential is taken of the largest alone."""
    step = 1 << z
    rows, columns = (-size % step for size in log_weights.shape)
    if rows or columns:
        log_weights = pad(log_weights, (0, columns, 0, rows), value=-math.inf)
    high, wide = (size >> z for size in log_weights.shape)
    largest = log_weights.view(high, step, -1).amax(dim=1).view(high, wide, step).amax(dim=2)
    return torch.where(largest > -math.inf, largest.exp(), math.nan).float().numpy()


def _targets(call: Call, ids: Sequence[int]) -> dict[str, Tensor]:
    """Which key each measure reads in each row, (n,), negative where it has none; empty where rows are no columns."""
    if call.site != "self" or call.n != call.m:
        return {}
    query = torch.arange(call.n)
    return {"itself": query, "previous": query - 1, "induction": after_the_same(ids)}


def after_the_same(ids: Sequence[int]) -> Tensor:
    """(n,) the position after the last earlier occurrence of each token, -1 where there is none."""
    last: dict[int, int] = {}
    found = []
    for position, token in enumerate(ids):
        found.append(last.get(token, -2) + 1)
        last[token] = position
    return torch.tensor(found)


def _measured(call: Call, strip: Strip, log_weights: Tensor, targets: dict[str, Tensor]) -> dict[str, Tensor]:
    """Each measure's values in those rows that have one."""
    shares, sums, columns = strip.shares, strip.sums, strip.shares.shape[1]
    keys, seen = _sight(call, strip)
    free = keys > 1
    found = {
        "entropy": (_entropy(strip, log_weights) / keys.double().log())[free],
        "first": (shares[:, 0] / sums)[free],
    }
    for name, keys_read in targets.items():
        at = keys_read[strip.rows]
        inside = at.clamp(min=0, max=columns - 1)[:, None]
        exists = free & (at >= 0) & (at < columns) & seen(inside)
        found[name] = (shares.gather(1, inside)[:, 0] / sums)[exists]
    if targets:
        found["distance"] = (_distance(call, strip) / sums)[free]
    return found


def _sight(call: Call, strip: Strip) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """How many keys each row may look at, (r,), and whether it may look at one of them: (r, 1) -> (r,)."""
    if call.mask.kind == "causal":
        query = torch.arange(strip.rows.start, strip.rows.stop)
        return (query + 1).clamp(max=call.m), lambda at: at[:, 0] <= query
    may = allowed(call.mask, strip.rows, slice(0, strip.shares.shape[1]))
    return may.sum(dim=-1), lambda at: may.gather(1, at)[:, 0]


def _entropy(strip: Strip, log_weights: Tensor) -> Tensor:
    """-sum_j w_j log w_j, (r,); where masked the logarithm is made 0, as 0 log 0 is. Changes it."""
    edge = strip.edge
    log_weights[:, edge:].masked_fill_(log_weights[:, edge:] == -math.inf, 0.0)
    return -torch.bmm(strip.shares[:, None], log_weights[:, :, None])[:, 0, 0] / strip.sums


def _distance(call: Call, strip: Strip) -> Tensor:
    """sum_j share_j |i - j|, (r,)."""
    key = torch.arange(strip.shares.shape[1], dtype=torch.float64)
    query = torch.arange(strip.rows.start, strip.rows.stop, dtype=torch.float64)
    if call.mask.kind == "causal":  # no key lies after the query
        return query * strip.sums - strip.shares @ key
    return (strip.shares * (query[:, None] - key[None, :]).abs()).sum(dim=-1)
