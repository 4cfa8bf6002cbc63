"""What kind of thing a head does, in numbers: one figure each for the patterns that are known by name.

Shapes: n query positions; m key positions; r rows of a block. Rows that may look at one key only have no choice and are
left out everywhere; a figure without any row is NaN.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from regard.looking.checkpoint import attention_of
from regard.looking.formula import allowed, blocks, logsumexp, weights
from regard.looking.kept import Call
from regard.model.transformer import Transformer

FEW = 20
"""An induction score over fewer rows is marked."""


@dataclass(frozen=True, kw_only=True)
class HeadMeasures:
    """Means over the rows of one head, of one text."""

    site: str
    layer: int
    head: int
    entropy: float
    """Of a row's weights, divided by the log of how many keys it may look at: 0 one key, 1 all alike."""
    previous: float
    """Weight on the token just before."""
    itself: float
    """Weight on the token itself."""
    first: float
    """Weight on the first token."""
    induction: float
    """Weight on the token after the last earlier occurrence of the same token (Olsson et al. 2022)."""
    induction_rows: int
    """How many rows have such an occurrence."""
    distance: float
    """Mean distance looked at, in tokens."""
    share: float
    """Mean length of what the head adds to the stream, as a part of the layer's heads' sum; NaN without the model."""

    @property
    def few(self) -> bool:
        """Whether the induction score rests on too few rows to be trusted."""
        return self.induction_rows < FEW


def measure(call: Call, ids: Sequence[int], model: Transformer | None) -> list[HeadMeasures]:
    """One entry a head. ids: the tokens, for the induction score; model: for the share."""
    lengths = output_lengths(call, model)
    total = sum(lengths)
    found = []
    for head in range(call.heads):
        sums, counts = _sums(call, head, ids)
        mean = {name: sums[name] / counts[name] if counts[name] else math.nan for name in sums}
        share = lengths[head] / total if total > 0 else math.nan
        rows = counts["induction"]
        found.append(
            HeadMeasures(site=call.site, layer=call.layer, head=head, **mean, induction_rows=rows, share=share)
        )
    return found


def output_lengths(call: Call, model: Transformer | None) -> list[float]:
    """Mean length of each head's output after its part of the output matrix, |o_i W_O^h|; NaN without the model."""
    if model is None:
        return [math.nan] * call.heads
    d = call.out.shape[-1]
    matrix = attention_of(model, call.site, call.layer).output.weight.detach().cpu().float()  # (width, heads * d)
    added = [out.float() @ matrix[:, h * d : (h + 1) * d].T for h, out in enumerate(call.out)]  # each (n, width)
    return [float(x.square().sum(dim=-1).sqrt().mean()) for x in added]


def after_the_same(ids: Sequence[int]) -> Tensor:
    """(n,) the position after the last earlier occurrence of each token, -1 where there is none."""
    last: dict[int, int] = {}
    found = []
    for position, token in enumerate(ids):
        found.append(last.get(token, -2) + 1)
        last[token] = position
    return torch.tensor(found)


def _sums(call: Call, head: int, ids: Sequence[int]) -> tuple[dict[str, float], dict[str, int]]:
    """Sums over rows and how many rows they are over, by measure."""
    total = logsumexp(call, head)
    sums = dict.fromkeys(("entropy", "previous", "itself", "first", "induction", "distance"), 0.0)
    counts = dict.fromkeys(sums, 0)
    square = call.site == "self" and call.n == call.m
    key = torch.arange(call.m)
    for rows in blocks(call.n, call.m):
        may = allowed(call.mask, rows, slice(None))
        keys = may.sum(dim=-1)
        free = keys > 1
        query = torch.arange(call.n)[rows][free]
        w, may, keys = weights(call, head, rows, slice(None), total[rows])[free], may[free], keys[free]  # w (r, m)
        per_row: dict[str, Tensor] = {}
        per_row["entropy"] = torch.special.entr(w).sum(dim=-1) / keys.double().log()
        per_row["first"] = w[:, 0]
        if square:
            target = {"itself": query, "previous": query - 1, "induction": after_the_same(ids)[query]}
            for name, at in target.items():
                exists = (at >= 0) & may.gather(1, at.clamp(min=0)[:, None])[:, 0]
                per_row[name] = w.gather(1, at.clamp(min=0)[:, None])[exists, 0]
            per_row["distance"] = (w * (query[:, None] - key[None, :]).abs()).sum(dim=-1)
        for name, values in per_row.items():
            sums[name] += float(values.sum())
            counts[name] += len(values)
    return sums, counts
