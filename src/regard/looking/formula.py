"""The formula again, in float64: scores, log-sum-exp and weights of a recorded call, for any rows and columns.

Shapes: r chosen rows (queries); c chosen columns (keys). Rows and columns are slices or tensors of whole numbers.
A weight is exp(score - L) with L the row's log-sum-exp, so a tile needs only its own queries and keys and L: what fused
kernels do in their own backward pass (Dao et al. 2022).
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from regard.looking.kept import Call
from regard.model.block import Attention
from regard.model.mask import Mask

Index = slice | Tensor

CELLS = 1 << 22
"""Cells computed at once: 32 MiB of float64."""

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


def logsumexp(call: Call, head: int) -> Tensor:
    """L of each row, (n,) float64; 0 for a row that may look at nothing, whose weights are then 0."""
    found = torch.empty(call.n, dtype=torch.float64)
    for rows in blocks(call.n, call.m):
        columns = slice(0, min(call.m, rows.stop)) if call.mask.kind == "causal" else slice(None)
        entering = masked_scores(call, head, rows, columns)
        largest = entering.amax(dim=-1)
        largest = torch.where(torch.isfinite(largest), largest, 0.0)
        total = entering.sub_(largest[:, None]).exp_().sum(dim=-1)
        found[rows] = torch.where(total > 0, largest + total.log(), 0.0)
    return found


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
