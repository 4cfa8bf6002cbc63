"""Pictures varied while learning, so that what changes nothing for a person changes nothing for the model.

Shapes: batch; height; width; channels. Pictures are bytes, 0 to 255.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Vary = Callable[[Pixels, npt.NDArray[np.int64], npt.NDArray[np.int64], np.random.Generator], Pixels]
"""(pictures (count, ...), rows (batch,), their epochs (batch,), rng) -> those rows as they are seen then."""


@dataclass(frozen=True)
class Variation:
    flip: bool = False
    """Whether a picture is mirrored, left for right, in every second epoch: half of them begin mirrored, so that both
    sides are seen equally often (Jordan 2024, "94% on CIFAR-10 in 3.29 seconds", section 3.6)."""
    shift: int = 0
    """Pixels at most by which it is moved, up or down and left or right; the border's pixels are repeated."""

    def __call__(
        self, pictures: Pixels, rows: npt.NDArray[np.int64], epochs: npt.NDArray[np.int64], rng: np.random.Generator
    ) -> Pixels:
        """pictures (count, height, width, channels), of which rows (batch,) are taken -> the same with batch first."""
        _, height, width, _ = pictures.shape
        down, right = rng.integers(-self.shift, self.shift + 1, (2, len(rows), 1))
        y = np.clip(np.arange(height) + down, 0, height - 1)  # (batch, height)
        x = np.clip(np.arange(width) + right, 0, width - 1)  # (batch, width)
        if self.flip:
            mirrored = (epochs + begins_mirrored(rows)) % 2 == 1
            x[mirrored] = x[mirrored, ::-1]
        taken: Pixels = pictures[rows[:, None, None], y[:, :, None], x[:, None, :]]
        return taken


def begins_mirrored(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """0 or 1 for each picture's number, as if by chance: the top bit after a multiplication that stirs them all."""
    stirred = rows.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return ((stirred ^ (stirred >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9) >> np.uint64(63)).astype(np.int64)


def smaller(pictures: Pixels, numbers: int) -> npt.NDArray[np.float32]:
    """Pictures as rows of at most so many numbers, 0 to 1: (count, height, width, channels) -> (count, numbers).

    Squares of pixels are averaged, of the smallest side for which it is enough; what is left over at the right and the
    bottom is not looked at.
    """
    count, height, width, channels = pictures.shape
    side = 1
    while (height // side) * (width // side) * channels > numbers:
        side += 1
    rows, columns = height // side, width // side
    squares = pictures[:, : rows * side, : columns * side].reshape(count, rows, side, columns, side, channels)
    means: npt.NDArray[np.float32] = squares.mean(axis=(2, 4), dtype=np.float32) / np.float32(255)
    return means.reshape(count, rows * columns * channels)
