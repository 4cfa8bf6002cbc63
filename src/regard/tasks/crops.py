"""Crops: parts of a picture at random places and sizes, resized, mirrored, recoloured and disturbed, that all
show the same thing.

Boxes are whole pixels, so that a crop is a resized cut and nothing else. Resizing is two matrix products, one for rows
and one for columns, and so one call does a whole batch, each picture with a box of its own.
Shapes: count of crops; channels; height and width of the pictures; rows and columns of a crop.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Whole = npt.NDArray[np.int64]
STRETCH = math.log(4 / 3)
"""A box's sides change against each other by 3/4 to 4/3, evenly in logarithms."""
THROUGH = 0.4
"""Share of another picture that shines through a crop, at most."""
GRAIN = 40.0
"""Standard deviation of the noise over a crop, of 255, at most."""
LUMINANCE = (0.299, 0.587, 0.114)
"""Parts of red, green and blue in what is seen as grey (ITU-R BT.601)."""


@dataclass(frozen=True, kw_only=True)
class Colours:
    """How colours are changed; as it is, for distillation (Caron et al. 2021, appendix A)."""

    changed: float = 0.8
    """Share of the pictures whose colours are changed."""
    greyed: float = 0.2
    """Share that is turned grey."""
    hue: float = 0.1
    """Turns of the circle of hues, at most, either way."""
    saturation: float = 0.2
    """A factor of each of these lies between 1 less so much and 1 plus so much."""
    contrast: float = 0.4
    brightness: float = 0.4


@dataclass(frozen=True)
class View:
    """One kind of crop."""

    height: int
    """Rows that every crop is brought to."""
    width: int
    """Columns."""
    least: float
    """Share of the picture's area that a box takes at least."""
    most: float
    """And at most."""
    flip: bool
    """Whether every second one, by chance, is mirrored left for right."""

    def of(self, pictures: Tensor, rng: np.random.Generator) -> Tensor:
        """(count, channels, height, width), 0 to 255 -> a crop of each, (count, channels, rows, columns), 0 to 255."""
        count, _, height, width = pictures.shape
        box = boxes(rng, count, height, width, self.least, self.most)
        mirrored = rng.random(count) < 0.5 if self.flip else np.zeros(count, bool)
        return disturbed(recoloured(cropped(pictures, box, mirrored, self.height, self.width), rng), rng)


def boxes(rng: np.random.Generator, count: int, height: int, width: int, least: float, most: float) -> Whole:
    """(count, 4): top, left, height and width, in whole pixels of a picture, anywhere in it."""
    share, stretch = rng.uniform(least, most, count), rng.uniform(-STRETCH, STRETCH, count)
    sides = np.sqrt(share)[:, None] * np.exp(np.stack([stretch, -stretch], axis=1) / 2)  # parts of height and width
    size = np.clip(np.rint(sides * [height, width]), 1, [height, width]).astype(np.int64)
    corner = (rng.random((count, 2)) * (np.array([height, width]) - size + 1)).astype(np.int64)
    return np.concatenate([corner, size], axis=1)


def cropped(pictures: Tensor, box: Whole, mirrored: npt.NDArray[np.bool_], rows: int, columns: int) -> Tensor:
    """Of each picture (channels, height, width) its box, resized to (channels, rows, columns), mirrored where true."""
    _, _, height, width = pictures.shape
    down = resampling(box[:, 0], box[:, 2], height, rows)  # (count, rows, height)
    across = resampling(box[:, 1], box[:, 3], width, columns)  # (count, columns, width)
    across[mirrored] = across[mirrored, ::-1]
    left, right = (torch.from_numpy(x).to(pictures.device)[:, None] for x in (down, across))
    return left @ pictures @ right.mT


def resampling(start: Whole, length: Whole, size: int, made: int) -> npt.NDArray[np.float32]:
    """(count, made, size): how much each of `size` pixels gives to each of `made` new ones, those of the box alone.

    A triangle over two pixels, the new ones' where they are the larger: linear interpolation, that averages where it
    makes smaller. Rows sum to 1.
    """
    scale = (length / made)[:, None, None]
    centre = start[:, None, None] + (np.arange(made)[:, None] + 0.5) * scale
    pixel = np.arange(size) + 0.5
    inside = (pixel > start[:, None, None]) & (pixel < (start + length)[:, None, None])
    near = np.maximum(0, 1 - abs(pixel - centre) / np.maximum(scale, 1)) * inside
    weights: npt.NDArray[np.float32] = (near / near.sum(axis=-1, keepdims=True)).astype(np.float32)
    return weights


def recoloured(x: Tensor, rng: np.random.Generator, how: Colours | None = None) -> Tensor:
    """(count, channels, rows, columns), 0 to 255: hue, saturation, contrast and brightness changed, or turned grey."""
    (count, channels), how = x.shape[:2], how or Colours()
    changed, greyed = rng.random(count) < how.changed, rng.random(count) < how.greyed
    most = [how.hue, how.saturation, how.contrast, how.brightness]
    by = rng.uniform(-1, 1, (count, 4)) * most * changed[:, None]
    if channels == 3:
        mixed = torch.from_numpy(mixing(by[:, 0], np.where(greyed, 0.0, 1 + by[:, 1]))).to(x.device)
        x = (mixed @ x.flatten(2)).view_as(x)
    contrast, brightness = (torch.from_numpy(1 + by[:, k : k + 1].astype(np.float32)).to(x.device) for k in (2, 3))
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    x = torch.lerp(mean, x, contrast[..., None, None]) * brightness[..., None, None]
    return x.clamp(0, 255)


def disturbed(x: Tensor, rng: np.random.Generator) -> Tensor:
    """(count, channels, rows, columns), 0 to 255: another of them shines through each, and grain lies over it.

    What is faint, a background most of all, then tells pictures apart no more; what stands out still does (for sounds:
    Niizumi et al. 2021, BYOL-A).
    """
    count = len(x)
    through, grain = (torch.from_numpy(rng.uniform(0, most, (count, 1, 1, 1)).astype(np.float32)).to(x.device)
                      for most in (THROUGH, GRAIN))  # fmt: skip
    x = torch.lerp(x, x[torch.from_numpy(rng.permutation(count)).to(x.device)], through)
    drawn = torch.randn(x.shape, generator=torch.Generator().manual_seed(int(rng.integers(2**62))))
    return x.addcmul_(drawn.to(x.device), grain).clamp_(0, 255)


def mixing(turns: npt.NDArray[np.float64], saturation: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """(count, 3, 3), red, green and blue as sums of what they were: towards grey or away, then turned around the greys.

    turns (count,): of the circle of hues; saturation (count,): 0 is grey, 1 leaves it. A grey stays what it is.
    """
    grey = np.broadcast_to(LUMINANCE, (3, 3))
    paler = saturation[:, None, None] * np.eye(3) + (1 - saturation)[:, None, None] * grey
    angle = 2 * np.pi * turns[:, None, None]
    across = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    turned = np.cos(angle) * np.eye(3) + (1 - np.cos(angle)) / 3 + np.sin(angle) * across  # Rodrigues' formula
    mixed: npt.NDArray[np.float32] = (turned @ paler).astype(np.float32)
    return mixed
