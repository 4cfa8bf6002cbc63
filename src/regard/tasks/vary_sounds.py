"""Sounds varied while learning, so that what changes nothing for a listener changes nothing for the model.

Shapes: batch; bands of pitch; frames of time; one channel. Spectrograms are bytes, 0 for silence (data/sounds.py).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from regard.tasks.vary import Pixels


@dataclass(frozen=True)
class SoundVariation:
    shift: int = 0
    """Frames at most by which a sound comes later or earlier; what is pushed out is lost, silence takes its place. That
    is never more than a quarter of the sound."""
    louder: int = 0
    """Steps of a byte at most by which all that is no silence is made louder or quieter."""
    masked: float = 0.0
    """Share of the bands, and of the frames, that one silenced stripe has at most (Park et al. 2019, SpecAugment)."""

    def __call__(
        self, pictures: Pixels, rows: npt.NDArray[np.int64], epochs: npt.NDArray[np.int64], rng: np.random.Generator
    ) -> Pixels:
        """pictures (count, bands, frames, 1), of which rows (batch,) are taken -> the same with batch first."""
        _, bands, frames, _ = pictures.shape
        count = len(rows)
        silent = (pictures[rows] == 0).all(axis=(1, 3))  # (batch, frames)
        ends = frames - np.argmin(silent[:, ::-1], axis=1)  # (batch,) where the last of each sound ends
        later = np.minimum(self.shift, frames - ends + ends // 4)
        late = rng.integers(-np.minimum(self.shift, ends // 4), later + 1)
        come = np.arange(frames) - late[:, None]  # (batch, frames)
        inside = (come >= 0) & (come < frames)
        taken = pictures[rows[:, None, None], np.arange(bands)[:, None], come.clip(0, frames - 1)[:, None, :]]
        louder = rng.integers(-self.louder, self.louder + 1, (count, 1, 1, 1))
        loud = np.where(taken > 0, np.clip(taken.astype(np.int16) + louder, 0, 255), 0).astype(np.uint8)
        heard = inside & ~stripes(count, frames, self.masked, rng)  # (batch, frames)
        sung = ~stripes(count, bands, self.masked, rng)  # (batch, bands)
        varied: Pixels = loud * (heard[:, None, :, None] & sung[:, :, None, None])
        return varied


def stripes(count: int, length: int, share: float, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """(count, length): in each row one stripe of at most this share of the length, anywhere, is True."""
    wide = rng.integers(0, round(share * length) + 1, (count, 1))
    start = rng.integers(0, length - wide + 1)
    place = np.arange(length)
    found: npt.NDArray[np.bool_] = (place >= start) & (place < start + wide)
    return found
