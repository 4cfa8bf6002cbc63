"""What a block of a head's matrix holds in all: rows a to b by columns c to d, in float64, by one pass over its rows.

Shapes: r rows of a strip that lie in the block, by those of its columns that they may look at.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from regard.looking.formula import Strip, strips
from regard.looking.kept import Call


@dataclass(frozen=True)
class Amount:
    """Of one number a cell, over the allowed cells of a block."""

    sum: float
    mean: float
    """NaN where no cell is allowed."""
    largest: float
    """NaN where no cell is allowed."""
    at: tuple[int, int] | None
    """Row and column of the largest, the first such; None where no cell is allowed."""


@dataclass(frozen=True)
class Block:
    rows: range
    columns: range
    allowed: int
    """Cells whose row may look at their column; the others are in no sum, no mean and are never the largest."""
    weights: Amount
    contributions: Amount | None
    """Lengths |w_ij v_j W_O^h| (Kobayashi et al. 2020): their sum is no length of a sum. None without the model."""

    @property
    def cells(self) -> int:
        return len(self.rows) * len(self.columns)

    @property
    def share(self) -> float:
        """Of the mass of these rows: a row's weights sum to 1, so the sum of the block's by the number of its rows."""
        return self.weights.sum / len(self.rows)


def block_of(call: Call, head: int, rows: range, columns: range, value_norms: Tensor | None) -> Block:
    """value_norms: (m,) sizes of the values after the output matrix, for contributions; None without the model.

    Never more than a strip of rows at once. Ends early by Stopped where nobody waits for it any more.
    """
    norms: dict[str, Tensor | None] = {"weights": None}
    if value_norms is not None:
        norms["contributions"] = value_norms[columns.start : columns.stop]
    sums: dict[str, list[float]] = {name: [] for name in norms}
    largest: dict[str, tuple[float, tuple[int, int] | None]] = dict.fromkeys(norms, (math.nan, None))
    allowed = 0
    for strip in strips(call, head, rows.start, rows.stop):
        first, weights, may = _inside(strip, rows, columns)
        allowed += int(may.sum())
        for name, norm in norms.items():
            cells = weights if norm is None else weights * norm[: weights.shape[1]]
            sums[name].append(float(cells.sum()))
            if bool(may.any()):
                most, at = (float(found) for found in cells.masked_fill(~may, -math.inf).flatten().max(dim=0))
                if not most <= largest[name][0]:  # or the first of all
                    i, j = divmod(int(at), cells.shape[1])
                    largest[name] = most, (first + i, columns.start + j)

    def amount(name: str) -> Amount:
        total = math.fsum(sums[name])
        return Amount(total, total / allowed if allowed else math.nan, *largest[name])

    contributions = amount("contributions") if value_norms is not None else None
    return Block(rows, columns, allowed, amount("weights"), contributions)


def _inside(strip: Strip, rows: range, columns: range) -> tuple[int, Tensor, Tensor]:
    """The first row that lies in the block; its and the following rows' weights there, and which are allowed."""
    first = max(rows.start, strip.rows.start)
    here = slice(first - strip.rows.start, rows.stop - strip.rows.start), slice(columns.start, columns.stop)
    return first, strip.weights[here], strip.entering[here] > -torch.inf
