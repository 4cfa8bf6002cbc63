"""Nearest neighbours: the class of an example is that of those it is most like; nothing is learnt.

Shapes: known and asked examples; features of each; classes.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

NEIGHBOURS = 20
TEMPERATURE = 0.07
TOGETHER = 1024
"""Examples that are asked at once."""

Labels = npt.NDArray[np.int64]


def votes(known: Tensor, labels: Labels, asked: Tensor, classes: int, neighbours: int = NEIGHBOURS) -> Tensor:
    """known (count, features) of these labels (count,), asked (m, features) -> (m, classes), rows sum to 1.

    Each of the nearest by cosine votes for its class with exp(cosine / 0.07) (Wu et al. 2018, section 3.4).
    """
    bank, truth = F.normalize(known.float(), dim=-1), torch.from_numpy(labels).to(known.device)
    found = []
    for start in range(0, len(asked), TOGETHER):
        some = F.normalize(asked[start : start + TOGETHER].float(), dim=-1)
        cosine, which = (some @ bank.mT).topk(min(neighbours, len(bank)), dim=-1)
        weight = (cosine / TEMPERATURE).softmax(dim=-1)  # of one example's neighbours, so only ratios count
        found.append(torch.zeros(len(some), classes, device=known.device).scatter_add_(1, truth[which], weight))
    return torch.cat(found)


def nearest_class(known: Tensor, labels: Labels, asked: Tensor, classes: int) -> Labels:
    """(m,) the class with the most votes."""
    said: Labels = votes(known, labels, asked, classes).argmax(dim=-1).cpu().numpy()
    return said
