"""What kind of thing a head does, in numbers: one figure each for the patterns that are known by name.

Rows that may look at one key only have no choice and are left out everywhere; a figure without any row is NaN.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from regard.looking.checkpoint import attention_of
from regard.looking.kept import Call
from regard.looking.sweep import Sums
from regard.model.mask import Mask
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


def measure(call: Call, model: Transformer | None, swept: Callable[[int], Sums]) -> list[HeadMeasures]:
    """One entry a head. model: for the share; swept: each head's sums (sweep.py)."""
    lengths = output_lengths(call, model)
    total = sum(lengths)
    found = []
    for head in range(call.heads):
        sums = swept(head)
        mean = {name: sums.values[name] / rows if rows else math.nan for name, rows in sums.rows.items()}
        share = lengths[head] / total if total > 0 else math.nan
        few = sums.rows["induction"]
        found.append(HeadMeasures(site=call.site, layer=call.layer, head=head, **mean, induction_rows=few, share=share))
    return found


def with_choice(mask: Mask) -> Tensor:
    """(n,) whether a row may look at more than one key."""
    if mask.kind == "mixed":
        return mask.matrix()[0].sum(dim=-1) > 1
    return torch.arange(mask.n) > 0 if mask.kind == "causal" else torch.full((mask.n,), mask.m > 1)


def output_lengths(call: Call, model: Transformer | None) -> list[float]:
    """Mean length of each head's output after its part of the output matrix, |o_i W_O^h|, over rows with a choice.

    NaN without the model, and without such a row.
    """
    if model is None:
        return [math.nan] * call.heads
    rows = with_choice(call.mask)
    d = call.out.shape[-1]
    matrix = attention_of(model, call.site, call.layer).output.weight.detach().cpu().float()  # (width, heads * d)
    added = [out.float() @ matrix[:, h * d : (h + 1) * d].T for h, out in enumerate(call.out)]  # each (n, width)
    return [float(x[rows].square().sum(dim=-1).sqrt().mean()) for x in added]
