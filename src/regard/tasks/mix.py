"""Pictures of a batch mixed while learning, their labels in proportion; squares blanked; colours changed.

Where there are few pictures and much time, each is seen so often that it would be learnt by heart: so it is never quite
the same twice. Shapes: batch; channels; height; width; classes.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from regard.tasks.crops import Colours, recoloured

Weights = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Mixing:
    mixed: float = 0.0
    """Share of the pictures that have a rectangle of another one in them (Yun et al. 2019, CutMix)."""
    blended: float = 0.0
    """Share that another one shines through (Zhang et al. 2018, mixup)."""
    blanked: float = 0.0
    """Side of a square without a picture, as a share of the picture's own sides (DeVries and Taylor 2017, cutout)."""
    colours: float = 0.0
    """By which part brightness, contrast and saturation change at most."""

    @property
    def does_something(self) -> bool:
        return any((self.mixed, self.blended, self.blanked, self.colours))

    def __call__(self, x: Tensor, labels: Tensor, classes: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """x (batch, channels, height, width), 0 to 255, and its labels (batch,) -> pictures of the same shape, and of
        each class what part of a picture is of it (batch, classes), which sums to 1."""
        count, _, height, width = x.shape
        if self.colours:
            c = self.colours
            x = recoloured(x, rng, Colours(changed=1.0, greyed=0.0, hue=0.0, saturation=c, contrast=c, brightness=c))
        truth = F.one_hot(labels, classes).to(x.dtype)
        if self.mixed or self.blended:
            other = torch.from_numpy(rng.permutation(count)).to(x.device)
            own = torch.from_numpy(self._own(count, height, width, rng)).to(x.device)
            x = torch.lerp(x[other], x, own[:, None])
            share = own.mean(dim=(1, 2))[:, None]
            truth = torch.lerp(truth[other], truth, share)
        if self.blanked:
            square = rectangles(np.full(count, self.blanked**2), height, width, rng)
            blank = torch.from_numpy(square).to(x.device)[:, None]
            x = torch.where(blank, x.mean(dim=(0, 2, 3), keepdim=True), x)
        return x, truth

    def _own(self, count: int, height: int, width: int, rng: np.random.Generator) -> Weights:
        """(batch, height, width): how much of each pixel is a picture's own; the rest is another one's."""
        chosen, shares = rng.random(count), rng.random(count)
        own = np.ones((count, height, width), np.float32)
        own[rectangles(1 - shares, height, width, rng) & (chosen < self.mixed)[:, None, None]] = 0
        through = (chosen >= self.mixed) & (chosen < self.mixed + self.blended)
        own[through] = np.maximum(shares, 1 - shares)[through, None, None]
        return own


def rectangles(
    areas: npt.NDArray[np.float64], height: int, width: int, rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """(count, height, width): True in a rectangle of each area, 0 to 1, anywhere in a picture and of its proportions.

    Sides are whole pixels, so the area is met only nearly.
    """
    inside = np.ones((len(areas), height, width), bool)
    for axis, size in ((1, height), (2, width)):
        side = np.rint(np.sqrt(areas) * size)
        start = np.floor(rng.random(len(areas)) * (size - side + 1))
        place = np.arange(size)
        within = (place >= start[:, None]) & (place < (start + side)[:, None])
        inside &= np.expand_dims(within, 3 - axis)
    return inside
