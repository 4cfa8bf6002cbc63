"""The formula again, in float64: scores, log-sum-exp and weights of a recorded call, for any rows and columns.

Shapes: r chosen rows (queries); c chosen columns (keys). Rows and columns are slices or tensors of whole numbers.
A weight is exp(score - L) with L the row's log-sum-exp, so a tile needs only its own queries and keys and L: what fused
kernels do in their own backward pass (Dao et al. 2022).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from regard.looking.kept import Call
from regard.looking.stopping import stop_if_unwanted
from regard.model.block import Attention
from regard.model.mask import Mask

Index = slice | Tensor

CELLS = 1 << 22
"""Cells computed at once: 32 MiB of float64."""

STRIP = 128
"""Rows of a strip. Always the same rows, so that a row's log-sum-exp is the same number however it is asked for."""

WeightsOf = Callable[[Call, int, Index, Index, Tensor], Tensor]
"""(call, head, rows, columns, L of these rows) -> weights (r, c) float64."""


def allowed(mask: Mask, rows: Index, columns: Index) -> Tensor:
    """True = may look, (r, c)."""
    if mask.kind == "mixed":
        assert mask.allowed is not None
        return mask.allowed[0][rows][:, columns]
    i, j = torch.arange(mask.n)[rows], torch.arange(mask.m)[columns]
    if mask.kind == "causal":
        return j[None, :] <= i[:, None]
    return torch.ones(len(i), len(j), dtype=torch.bool)


def scores(call: Call, head: int, rows: Index, columns: Index) -> Tensor:
    """What enters the softmax, before masking: (r, c) float64."""
    key = call.key[call.group(head)][columns].double()
    return call.query[head][rows].double() @ key.T * call.scale


def masked_scores(call: Call, head: int, rows: Index, columns: Index) -> Tensor:
    """Scores with minus infinity where a query may not look: (r, c) float64."""
    return scores(call, head, rows, columns).masked_fill_(~allowed(call.mask, rows, columns), -torch.inf)


@dataclass(frozen=True)
class Strip:
    """Some whole rows of a head's matrix, up to the last key that any of them may look at."""

    rows: slice
    entering: Tensor
    """(r, c) float64: the score minus the row's largest; minus infinity where masked."""
    shares: Tensor
    """(r, c) float64: exp(entering); the row's weights are these over their sum."""
    largest: Tensor
    """(r,) the row's largest score; 0 for a row that may look at nothing."""
    sums: Tensor
    """(r,) of the shares."""
    edge: int
    """All keys before this one are allowed in each row."""

    @property
    def total(self) -> Tensor:
        """L of each row, (r,); 0 for a row that may look at nothing, whose weights are then 0."""
        return torch.where(self.sums > 0, self.largest + self.sums.log(), 0.0)

    @property
    def weights(self) -> Tensor:
        """(r, c), 0 where masked."""
        return self.shares / torch.where(self.sums > 0, self.sums, 1.0)[:, None]


def strips(call: Call, head: int, start: int = 0, stop: int | None = None) -> Iterator[Strip]:
    """The strips that hold rows start to stop - 1. Each is written over by the next one.

    Ends early by Stopped where nobody waits for it any more.
    """
    query, key = call.query[head].double(), call.key[call.group(head)].double().T.contiguous()
    stop = call.n if stop is None else stop
    room = torch.empty(2, STRIP * call.m, dtype=torch.float64)
    for first in range(start - start % STRIP, stop, STRIP):
        stop_if_unwanted()
        rows = slice(first, min(first + STRIP, call.n))
        columns = min(call.m, rows.stop) if call.mask.kind == "causal" else call.m
        entering, shares = (part[: (rows.stop - first) * columns].view(-1, columns) for part in room)
        torch.addmm(entering, query[rows], key[:, :columns], beta=0, alpha=call.scale, out=entering)
        edge = {"causal": first, "full": columns}.get(call.mask.kind, 0)
        if call.mask.kind != "full":
            entering[:, edge:].masked_fill_(~allowed(call.mask, rows, slice(edge, columns)), -torch.inf)
        largest = entering.amax(dim=-1)
        largest = torch.where(torch.isfinite(largest), largest, 0.0)
        torch.exp(entering.sub_(largest[:, None]), out=shares)
        yield Strip(rows, entering, shares, largest, shares.sum(dim=-1), min(edge, columns))


def logsumexp(call: Call, head: int, start: int = 0, stop: int | None = None) -> Tensor:
    """L of rows start to stop - 1 (of all), (r,) float64; 0 for a row that may look at nothing."""
    found = torch.cat([strip.total for strip in strips(call, head, start, stop)])
    return found[start % STRIP :][: (call.n if stop is None else stop) - start]


def weights(call: Call, head: int, rows: Index, columns: Index, total: Tensor) -> Tensor:
    """The weights that the page shows, before they are rounded to float32; total is L of these rows, (r,)."""
    return masked_scores(call, head, rows, columns).sub_(total[:, None]).exp_()


def value_norms(call: Call, head: int, attention: Attention) -> Tensor:
    """|v_j W_O^h|: how far each value would move the stream at weight 1, (m,) float64."""
    d = call.value.shape[-1]
    matrix = attention.output.weight[:, head * d : (head + 1) * d].detach().cpu().double()  # (width, d)
    moved = call.value[call.group(head)].double() @ matrix.T  # (m, width)
    return moved.square().sum(dim=-1).sqrt()


def blocks(n: int, m: int) -> Iterator[slice]:
    """The rows of an n x m matrix in runs of at most CELLS cells."""
    height = max(1, CELLS // max(1, m))
    for start in range(0, n, height):
        yield slice(start, min(n, start + height))
