"""What changes the odds before a token is drawn: each filter is a function of scores, which are logits or log
probabilities; a token that is out has minus infinity.

Shapes: scores (batch, vocabulary); seen (batch, vocabulary), True for tokens that a text already holds. All but the
repetition penalty give the same odds whatever constant is added to a row. The order in which sample.py applies them is
that of transformers: repetition penalty, temperature, top-k, top-p, min-p.
"""

import math

import torch
from torch import Tensor


def repetition_penalty(scores: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """Logits of seen tokens divided by the penalty, or multiplied where negative (Keskar et al. 2019, CTRL, 4.1).

    Prompt and answer count. Unlike the others it needs logits: log probabilities are never positive.
    """
    return torch.where(seen, torch.where(scores < 0, scores * penalty, scores / penalty), scores)


def temperature(scores: Tensor, degree: float) -> Tensor:
    """Below 1 the likely become likelier, above 1 the unlikely do."""
    return scores / degree


def top_k(scores: Tensor, k: int) -> Tensor:
    """Only the k likeliest (Fan et al. 2018), and what is as likely as the last of them."""
    least = scores.topk(min(k, scores.shape[-1])).values[:, -1:]  # (batch, 1)
    return scores.masked_fill(scores < least, -math.inf)


def top_p(scores: Tensor, mass: float) -> Tensor:
    """Only the likeliest that together have at least this probability (Holtzman et al. 2020), at least one."""
    ascending, order = scores.sort(dim=-1)
    out = ascending.softmax(dim=-1).cumsum(dim=-1) <= 1 - mass  # these and all less likely ones can be spared
    out[:, -1] = False
    return scores.masked_fill(out.scatter(1, order, out), -math.inf)


def min_p(scores: Tensor, share: float) -> Tensor:
    """Only tokens at least `share` times as likely as the likeliest (Nguyen et al. 2024)."""
    probabilities = scores.softmax(dim=-1)
    out = probabilities < share * probabilities.amax(dim=-1, keepdim=True)
    return scores.masked_fill(out, -math.inf)
