"""Attention rollout: what reaches a layer's tokens from the input's, if nothing but attention and residuals mixed them.

It is derived, no number of the model's own: values, the feed-forward layers and the difference between heads are left
out. Shapes: n tokens.
"""

from typing import Any

import numpy as np
import torch

from regard.errors import RegardError
from regard.looking.formula import logsumexp, weights
from regard.looking.kept import Call
from regard.looking.record import Recording

LARGEST = 2048
"""Tokens at most: products of n x n matrices are computed, one a layer."""
FORMULA = "R_l = (I / 2 + A_l / 2) R_(l-1), A_l the mean over the heads of layer l, R_(-1) = I"
"""Abnar and Zuidema 2020, section 3: A = 0.5 W_att + 0.5 I, with W_att averaged over heads."""


def rollout(recording: Recording, layer: int) -> np.ndarray[Any, Any]:
    """(n, n) float64 of the tokens that leave `layer`: rows are those tokens, columns the input's; rows sum to 1.

    Raises RegardError for a layer that does not exist, more than 2,048 tokens.
    Source: Abnar and Zuidema 2020; the formula is FORMULA.
    """
    last = recording.kept.call("self", layer)
    if last.n > LARGEST:
        what = f"it multiplies matrices of all tokens by all, and {last.n:,} tokens are over its limit of {LARGEST:,}"
        raise RegardError("rollout", what, "look at one head instead")
    found = torch.eye(last.n, dtype=torch.float64)
    for at in range(layer + 1):
        found = (found + mean_over_heads(recording.kept.call("self", at)) @ found) / 2
    return found.numpy()


def mean_over_heads(call: Call) -> torch.Tensor:
    """(n, n) float64 of one layer; masked cells are 0."""
    every, total = slice(None), torch.zeros(call.n, call.m, dtype=torch.float64)
    for head in range(call.heads):
        total += weights(call, head, every, every, logsumexp(call, head))
    return total / call.heads
