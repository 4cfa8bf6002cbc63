"""Checks B, C, D, E and G on one call: recomputed weights against the kernel that ran, which is used as a multiplier.

Shapes: heads; n query positions; m key positions; d numbers in a value; r rows of a block; k probing columns.
Source of C: Freivalds 1979, a product checked by multiplying with random signs.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from regard.looking.formula import Index, WeightsOf, allowed, blocks, logsumexp, scores
from regard.looking.kept import Call
from regard.looking.stopping import stop_if_unwanted
from regard.model.attention import Path, ScaledDot, fused, plain, unfused

SIGNS = 128
"""Random sign columns of check C: a row that is wrong by more than twice what is found passes with p <= 0.8125^128."""
ALL_ROWS = 1024
"""Up to so many queries each one's masked keys are probed in check E, beyond it a random part of them."""
SAMPLE = 64
"""Rows on which check G tries its wrong recomputations."""

Kernel = Callable[[Tensor], Tensor]
"""What the call would have returned for other values: (m, k) -> (heads, n, k), the same for each group."""


@dataclass
class Worst:
    """The largest number of one check, and where it was."""

    number: float = 0.0
    site: str | None = None
    layer: int | None = None
    head: int | None = None

    def see(self, number: float, call: Call, head: int | None) -> None:
        if not math.isnan(self.number) and not number <= self.number:  # NaN is the worst of all
            self.number, self.site, self.layer, self.head = number, call.site, call.layer, head


@dataclass
class Probed:
    """The worst of each check over all calls that were probed."""

    output: Worst = field(default_factory=Worst)
    probe: Worst = field(default_factory=Worst)
    column: Worst = field(default_factory=Worst)
    row_sum: Worst = field(default_factory=Worst)
    forbidden: Worst = field(default_factory=Worst)
    """What the kernel returns for values that only masked keys have: exactly 0."""
    logsumexp: Worst = field(default_factory=Worst)
    """The kernel's own log-sum-exp against the recomputed one, relative where it is larger than 1."""
    wrong: list[tuple[str, Call, float]] = field(default_factory=list)
    """Each wrong recomputation, of which call, and the number by which B or C sees it."""


def kernel_of(call: Call, device: torch.device) -> Kernel | None:
    """The kernel that ran, with the recorded queries, keys, mask and scale; None if it is not to be had here."""
    path: Path = {"plain": plain, "unfused": unfused}.get(call.kernel, fused)
    query, key, value = (x[None].to(device, getattr(torch, call.dtype)) for x in (call.query, call.key, call.value))
    moved = None if call.mask.allowed is None else call.mask.allowed.to(device)
    mask, score, d = replace(call.mask, allowed=moved), ScaledDot(call.scale), call.out.shape[-1]

    def run(columns: Tensor) -> Tensor:
        found = []
        for start in range(0, columns.shape[1], d):
            chunk = columns[:, start : start + d].to(value)
            other = torch.zeros_like(value)  # the recorded shape, so the same kernel
            other[..., : chunk.shape[1]] = chunk
            found.append(path(query, key, other, mask, score).out[0, :, :, : chunk.shape[1]].cpu())
        return torch.cat(found, dim=-1)

    tried = path(query, key, value, mask, score)
    return run if tried.kernel == call.kernel else None


def probe(
    call: Call, kernel: Kernel | None, weights: WeightsOf, seed: int, found: Probed, everything: bool = True
) -> None:
    """Probes one call. Without its kernel only B and the rows of E; not everything: B and E."""
    generator = torch.Generator().manual_seed(seed)
    signs = torch.randint(2, (call.m, SIGNS), generator=generator).double() * 2 - 1
    keys = torch.randperm(call.m, generator=generator)[: call.out.shape[-1]]
    probed = columns = None
    if kernel is not None and everything:
        probed = kernel(signs)  # (heads, n, SIGNS)
        columns = kernel(torch.nn.functional.one_hot(keys, call.m).T)  # (heads, n, k): the weights of k keys
    for head in range(call.heads):
        stop_if_unwanted()
        _compare(call, head, weights, signs, keys, probed, columns, found)
    if kernel is not None:
        _probe_masked(call, kernel, generator, found)
    if probed is not None:
        _try_wrong_ones(call, signs, probed, generator, found)


def _compare(
    call: Call, head: int, weights: WeightsOf, signs: Tensor, keys: Tensor, probed: Tensor | None,
    columns: Tensor | None, found: Probed,
) -> None:  # fmt: skip
    """B, C, D and the rows of E for one head, in blocks of rows."""
    total, value = logsumexp(call, head), call.value[call.group(head)].double()
    multiplied, d, size = torch.cat((value, signs), dim=1), value.shape[1], _largest(value) or 1.0
    seeing = ~blind(call)
    for rows in blocks(call.n, call.m):
        w = weights(call, head, rows, slice(None), total[rows])  # (r, m)
        product = w @ multiplied
        error = product[:, :d] - call.out[head][rows].double()
        found.output.see(_largest(error) / size, call, head)
        found.row_sum.see(float((w.sum(dim=-1) - seeing[rows].double()).abs().max()), call, head)
        if probed is not None and columns is not None:
            found.probe.see(float((product[:, d:] - probed[head][rows].double()).abs().max()), call, head)
            found.column.see(float((w[:, keys] - columns[head][rows].double()).abs().max()), call, head)
    if call.logsumexp is not None:
        off = (total - call.logsumexp[head].double()).abs() / total.abs().clamp(min=1)
        found.logsumexp.see(float(torch.where(seeing, off, 0.0).max()), call, head)


def _largest(vectors: Tensor) -> float:
    """The largest Euclidean norm of the rows."""
    return float(vectors.square().sum(dim=-1).max().sqrt())


def blind(call: Call) -> Tensor:
    """True where a query may look at nothing, (n,)."""
    none = call.mask.blind()
    return torch.zeros(call.n, dtype=torch.bool) if none is None else none[0]


def _probe_masked(call: Call, kernel: Kernel, generator: torch.Generator, found: Probed) -> None:
    """E: values that only the keys masked for some query have must not reach it, nor any query with the same right."""
    if call.mask.kind == "full":
        return
    width = call.out.shape[-1]
    chosen = torch.randperm(call.n, generator=generator)[: call.n if call.n <= ALL_ROWS else 4 * width]
    for start in range(0, len(chosen), width):
        queries = chosen[start : start + width]
        hidden = (~allowed(call.mask, queries, slice(None))).T  # (m, k): column c has the keys masked for query c
        reached = kernel(hidden)  # (heads, n, k)
        for rows in blocks(call.n, call.m):
            may = allowed(call.mask, rows, slice(None)).float() @ hidden.float() > 0  # (r, k): something may arrive
            wrong = reached[:, rows].float().abs().masked_fill(may, 0.0).amax(dim=(1, 2))
            for head, number in enumerate(wrong.tolist()):
                found.forbidden.see(number, call, head)


WRONG = ("a scale 1 % off", "a mask off by one", "heads swapped", "keys shifted by one")


def wrong_weights(name: str, call: Call, head: int, rows: Index) -> Tensor:
    """A recomputation with one known error, (r, m) float64."""
    if name == "a scale 1 % off":
        call = replace(call, scale=1.01 * call.scale)
    elif name == "heads swapped":
        head = (head + 1) % call.heads
    elif name == "keys shifted by one":
        call = replace(call, key=call.key.roll(1, dims=1))
    may = allowed(call.mask, rows, slice(None))
    if name == "a mask off by one":  # each row loses the last key that it sees, unless it is the only one
        last = may & (may.flip(1).cumsum(dim=1).flip(1) == 1)
        may = may & ~(last & (may.sum(dim=1, keepdim=True) > 1))
    return scores(call, head, rows, slice(None)).masked_fill(~may, -torch.inf).softmax(dim=-1).nan_to_num(0.0)


def _try_wrong_ones(call: Call, signs: Tensor, probed: Tensor, generator: torch.Generator, found: Probed) -> None:
    """G: what B and C would say of each wrong recomputation, on some of the rows."""
    rows = torch.cat((torch.tensor([call.n - 1]), torch.randperm(call.n - 1, generator=generator)[: SAMPLE - 1]))
    for name in WRONG:
        if name != "heads swapped" or call.heads > 1:
            seen = [_visible(name, call, head, rows, signs, probed) for head in range(call.heads)]
            found.wrong.append((name, call, max(seen)))


def _visible(name: str, call: Call, head: int, rows: Tensor, signs: Tensor, probed: Tensor) -> float:
    """The larger of what B and C would say of a wrong recomputation of one head."""
    value, w = call.value[call.group(head)].double(), wrong_weights(name, call, head, rows)
    output = _largest(w @ value - call.out[head][rows].double()) / (_largest(value) or 1.0)
    return max(output, float((w @ signs - probed[head][rows].double()).abs().max()))
