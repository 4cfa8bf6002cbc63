"""A waveform as a picture: how loud each pitch is at each moment, its log-mel spectrogram, to be cut into patches.

Shapes: samples of one channel; frames, short stretches of time; bins of the Fourier transform; mels, bands of pitch.
Times are in seconds and pitches in hertz, so the same sound at another rate gives nearly the same spectrogram, and
nothing is resampled.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from regard.errors import RegardError

BLOCK = 1 << 20
"""Numbers that are transformed at once, so that memory does not grow with the length of a sound."""

HIGHEST_RATE = 192_000
"""Samples a second of the best sound cards; a file that claims more must not decide how much memory is taken."""


@dataclass(frozen=True, kw_only=True)
class MelSettings:
    """How a spectrogram is made; `TELEPHONE` and `WIDE` are choices for speech.

    Raises RegardError for a setting out of its range.
    """

    mels: int = 64
    """Bands of pitch."""
    lowest: float = 0.0
    """Hertz where the lowest band begins."""
    highest: float = 8000.0
    """Hertz where the highest band ends; a sound needs at least twice as many samples a second."""
    window: float = 0.025
    """Seconds of sound in one frame."""
    hop: float = 0.010
    """Seconds from one frame to the next; not more than the window, or sound would be passed over."""
    floor: float = 1e-10
    """The power below which all is silence: 100 dB below a full-scale sine."""

    def __post_init__(self) -> None:
        wrong = {
            "mels": self.mels < 1,
            "highest": not 0 <= self.lowest < self.highest < math.inf,
            "hop": not 0 < self.hop <= self.window < math.inf,
            "floor": not 0 < self.floor < math.inf,
        }
        for name in (name for name, is_wrong in wrong.items() if is_wrong):
            do = "give mels of 1 or more, 0 <= lowest < highest, 0 < hop <= window and a floor above 0"
            raise RegardError(name, f"{getattr(self, name)} is out of its range in {self}", do)

    def edges(self) -> npt.NDArray[np.float64]:
        """(mels + 2,) hertz, equally far apart in mel: band b rises from edge b to its centre b + 1, falls to b + 2."""
        return hertz_of(np.linspace(mel_of(self.lowest), mel_of(self.highest), self.mels + 2))

    def frames(self, samples: int, rate: int) -> int:
        """Frames of a sound: one for each hop that has begun."""
        return math.ceil(samples / (self.hop * rate))


TELEPHONE = MelSettings(mels=40, highest=4000.0)
"""For 8,000 samples a second."""

WIDE = MelSettings(mels=64, highest=8000.0)
"""For 16,000 samples a second and more."""


def settings_for(rate: int) -> MelSettings:
    """TELEPHONE or WIDE, whichever a sound with so many samples a second can fill. Raises RegardError below 8,000."""
    if rate < 8000:
        raise RegardError("rate", f"{rate:,} samples a second are too few for speech", "give sounds of 8,000 or more")
    return WIDE if rate >= 16000 else TELEPHONE


def mel_of(hertz: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Hertz as mel: 3 mel each 200 Hz up to 1,000 Hz, then 27 for each factor of 6.4.

    Source: Slaney 1998, Auditory Toolbox. With the common
    2595 log10(1 + f / 700) the low ones of 64 bands would be narrower than a window of 25 ms can tell apart.
    """
    f = np.asarray(hertz, dtype=np.float64)
    return np.where(f < 1000, f * 3 / 200, 15 + 27 * np.log(np.maximum(f, 1000) / 1000) / np.log(6.4))


def hertz_of(mel: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Mel as hertz, the inverse of `mel_of`."""
    m = np.asarray(mel, dtype=np.float64)
    return np.where(m < 15, m * 200 / 3, 1000 * np.exp((np.maximum(m, 15) - 15) * np.log(6.4) / 27))


def filters(rate: int, bins: int, settings: MelSettings) -> npt.NDArray[np.float64]:
    """(mels, bins) the triangle over the bins by which each band takes their mean; rows sum to 1.

    Raises RegardError if the bands are so narrow that one has no bin.
    """
    hertz = np.linspace(0, rate / 2, bins)
    left, centre, right = (settings.edges()[i : i + settings.mels, None] for i in range(3))
    triangles = np.minimum((hertz - left) / (centre - left), (right - hertz) / (right - centre)).clip(0)
    areas = triangles.sum(axis=1, keepdims=True)
    if not areas.all():
        what = f"of {settings.mels} bands, {int((areas == 0).sum())} are narrower than {hertz[1]:.1f} Hz"
        raise RegardError("mels", what, "give fewer mels or a longer window")
    return np.asarray(triangles / areas)


def log_mel(
    waveform: npt.NDArray[np.floating], rate: int, settings: MelSettings | None = None
) -> npt.NDArray[np.float32]:
    """(samples,) in [-1, 1] at `rate` samples a second -> (frames, mels) log of power; a full-scale sine is about 0.

    Frame i is the sound around the middle of the i-th hop, weighted by a Hann window, with silence before the start and
    after the end; its power spectrum is averaged over each mel band. `settings`: those for the rate if not given.
    Raises RegardError if the waveform is empty, no row of finite floats, or has a rate too low for the settings or
    over HIGHEST_RATE.
    """
    settings = settings or settings_for(rate)
    _check(waveform, rate, settings)
    length, hop, frames = round(settings.window * rate), settings.hop * rate, settings.frames(len(waveform), rate)
    lead = round((length - hop) / 2)  # silence before the start, so that hop 0 is the middle of frame 0
    starts = np.round(np.arange(frames) * hop).astype(np.int64)
    padded = np.zeros(lead + len(waveform) + length, waveform.dtype)
    padded[lead : lead + len(waveform)] = waveform

    hann = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(length) + 0.5) / length)
    size = 2 << (length - 1).bit_length()  # a power of two; twice the window gives a narrow band several bins
    bands = filters(rate, size // 2 + 1, settings).T * (2 / hann.sum()) ** 2  # a full-scale sine has power 1
    result = np.empty((frames, settings.mels), np.float32)
    at_once = max(1, BLOCK // size)
    for first in range(0, frames, at_once):
        block = padded[starts[first : first + at_once, None] + np.arange(length)]  # (frames, length)
        power = np.abs(np.fft.rfft(block * hann, size)) ** 2  # (frames, bins)
        result[first : first + at_once] = np.log(np.maximum(power @ bands, settings.floor))
    return result


def _check(waveform: npt.NDArray[np.floating], rate: int, settings: MelSettings) -> None:
    if waveform.ndim != 1:
        raise RegardError("waveform", f"it has {waveform.ndim} axes", "give the samples of one channel")
    if waveform.dtype.kind != "f":
        raise RegardError("waveform", f"its samples are {waveform.dtype}", "give floats from -1 to 1")
    if not len(waveform):
        raise RegardError("waveform", "it holds no samples", "leave it out")
    if not np.isfinite(waveform).all():
        raise RegardError("waveform", "it holds NaN or infinity", "leave it out")
    if rate > HIGHEST_RATE:
        raise RegardError(
            "rate", f"{rate:,} samples a second are more than {HIGHEST_RATE:,}", "check the sound's header"
        )
    if rate < 2 * settings.highest:
        what = f"{rate:,} samples a second hold nothing up to {settings.highest:,.0f} Hz"
        raise RegardError("rate", what, "give settings with a lower `highest`, or a sound of a higher rate")


class Fitted(NamedTuple):
    """A spectrogram of a set length, and what that took."""

    spectrogram: npt.NDArray[np.float32]
    """(length, mels)"""
    cut: int
    """Frames cut off at the end."""
    added: int
    """Frames of silence added at the end."""


def fit(spectrogram: npt.NDArray[np.float32], length: int, settings: MelSettings) -> Fitted:
    """(frames, mels) -> its first `length` frames, filled up with silence. Raises RegardError if length is under 1."""
    if length < 1:
        raise RegardError("length", f"{length} frames hold nothing", "give 1 or more")
    frames, mels = spectrogram.shape
    fitted = np.full((length, mels), np.log(settings.floor), np.float32)
    fitted[:frames] = spectrogram[:length]
    return Fitted(fitted, max(0, frames - length), max(0, length - frames))
