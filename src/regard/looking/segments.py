"""What a class token looks at, as a part of the picture: the fewest patches that hold most of a head's attention.

Without a label a head of the last layer often outlines what is in front (Caron et al. 2021, section 4.2.2, figure 4).
Shapes: batch of pictures; heads; n = rows * columns patches; height and width in pixels; objects of a picture.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from regard.model.mask import Mask
from regard.model.sequence import Sequence
from regard.model.transformer import Transformer
from regard.tokens.patches import Grid

MASS = 0.6
"""Of a head's attention to patches, that its segment holds (the paper's figure)."""

Masks = npt.NDArray[np.bool_]


class _First:
    """Keeps the first token's row of one layer's attention, for the whole batch."""

    def __init__(self, layer: int) -> None:
        self.layer, self.weights = layer, torch.empty(0)

    def __call__(
        self, site: str, layer: int, query: Tensor, key: Tensor, value: Tensor, mask: Mask, score: Any, out: Tensor,
        kernel: str, logsumexp: Tensor | None,
    ) -> None:  # fmt: skip
        if layer == self.layer:
            scores = query[:, :, :1].double() @ key.double().mT * score.of(query)  # (batch, heads, 1, tokens)
            self.weights = scores.softmax(dim=-1)[:, :, 0]

    def stream(self, layer: int, place: str, x: Tensor) -> None:
        pass


def class_attention(model: Transformer, pictures: Sequence, layer: int | None = None) -> Tensor:
    """(batch, heads, n): the weights of the class token, which is first, on the patches; of the last layer if None.

    What it looks at besides, itself and registers, is left out, so that rows sum to less than 1. pictures: each sees
    all of its own tokens.
    """
    assert pictures.mask.kind == "full", "the rows of other masks are not computed here"
    kept = _First(model.config.layers - 1 if layer is None else layer)
    with torch.inference_mode():
        model.stream(pictures, record=kept)
    return kept.weights[:, :, model.config.learned :]


def segments(weights: Tensor, grid: Grid, mass: float = MASS) -> Masks:
    """weights (batch, heads, n) -> (batch, heads, height, width): whether a pixel's patch is in the head's segment.

    The fewest patches that hold `mass` of the row's weights; pixels of the lost border are in none.
    """
    largest, order = weights.sort(dim=-1, descending=True, stable=True)
    before = largest.cumsum(dim=-1) - largest
    kept = torch.zeros(weights.shape, dtype=torch.bool, device=weights.device)
    kept.scatter_(-1, order, before < mass * weights.sum(dim=-1, keepdim=True))
    pixels = kept.unflatten(-1, (grid.rows, grid.columns))  # type: ignore[no-untyped-call]
    pixels = pixels.repeat_interleave(grid.patch_height, -2).repeat_interleave(grid.patch_width, -1)
    below, right = grid.lost
    found: Masks = torch.nn.functional.pad(pixels, (0, right, 0, below)).cpu().numpy()
    return found


def jaccard(one: Masks, other: Masks) -> npt.NDArray[np.float64]:
    """Pixels in both over pixels in either, 0 to 1: (..., height, width) each, broadcast; 1 where both are empty."""
    both, either = (one & other).sum(axis=(-2, -1)), (one | other).sum(axis=(-2, -1))
    found: npt.NDArray[np.float64] = np.where(either == 0, 1.0, both / np.maximum(either, 1))
    return found


def agreement(heads: Masks, objects: Masks) -> dict[str, float]:
    """How well the best head outlines a picture's objects, as Jaccard indices.

    heads (heads, height, width): the segments; objects (objects, height, width): the truth. `union` is of all objects
    together, `object` of each alone, with the head that is best for it, the mean over objects; `best` is of the object
    that is outlined best.
    """
    each = jaccard(heads[None], objects[:, None]).max(axis=1)  # (objects,)
    union = jaccard(heads, np.logical_or.reduce(objects)).max()
    return {"union": float(union), "object": float(each.mean()), "best": float(each.max())}


def mean_agreement(found: list[dict[str, float]]) -> dict[str, float]:
    """Over pictures."""
    return {name: math.fsum(one[name] for one in found) / len(found) for name in found[0]}
