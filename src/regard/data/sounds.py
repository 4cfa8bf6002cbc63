"""Sounds that were found: how many, of which classes and lengths, which are held out; spectrograms when asked for.

A spectrogram is kept as a grey picture: high pitches above, time to the right. Shapes: bands of pitch; frames of time.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from regard.data.class_split import HELD_OUT, TRAIN
from regard.data.labelled import LEFT, classes_text, first_difference, parts_text, short
from regard.data.picture_cache import Decoded, write_decoded
from regard.data.picture_sets import Places, Wanted
from regard.data.sniff import Unreadable
from regard.data.sound import Sound, decode_sound
from regard.data.sound_kinds import is_named_so, is_sound
from regard.errors import Notice, counted
from regard.tokens.sound import HIGHEST_RATE, MelSettings, fit, log_mel, settings_for

Pixels = npt.NDArray[np.uint8]
LOWEST_RATE = 8000
"""Samples a second that speech needs (tokens/sound.py)."""
STEPS = 2.5
"""Of a byte for a decibel: 0 is silence, 100 dB below a full-scale sine, and 255 is 2 dB above one."""
KINDS = (
    "sound(s) of several channels, averaged",
    "sound(s) longer than what is kept, the end cut off",
    "sound(s) shorter than what is kept, silence added",
    "sound(s) of silence alone",
)
"""What was done to a sound, or is worth counting; a sound has a bit for each."""
CHANNELS, CUT, FILLED, SILENT = (1 << bit for bit in range(len(KINDS)))


def _is_wanted(head: bytes, name: str, shown: str) -> bool:
    """What is named as a sound and is none is a bad sound: sound.py says why."""
    return is_named_so(name) or is_sound(head, name)


def _measured(content: bytes | Pixels, shown: str) -> tuple[int, int, int]:
    """Samples, samples a second, and one channel, as they are averaged."""
    assert isinstance(content, bytes)
    sound = decode_sound(content, shown)
    if not LOWEST_RATE <= sound.rate <= HIGHEST_RATE:
        what = f"has {sound.rate:,} samples a second, and {LOWEST_RATE:,} to {HIGHEST_RATE:,} are read"
        raise Unreadable(shown, what, "leave it out")
    return len(sound.samples), sound.rate, 1


SOUNDS = Wanted("sounds", "WAV files of whole numbers (PCM)", _is_wanted, _measured)


def picture_of(sound: Sound, frames: int, settings: MelSettings, shown: str) -> tuple[Pixels, int]:
    """(bands, frames, 1) how loud each band is at each moment, and bits of KINDS.

    Raises Unreadable for a sound whose rate cannot fill the bands.
    """
    if sound.rate < 2 * settings.highest:
        what = f"has {sound.rate:,} samples a second, and what was learnt from {2 * settings.highest:,.0f} or more"
        raise Unreadable(shown, what, "give a sound of a higher rate")
    needed = int((frames * settings.hop + settings.window) * sound.rate) + 1  # the rest is cut off anyway
    spectrogram = log_mel(sound.samples[:needed], sound.rate, settings)
    fitted, _, added = fit(spectrogram, frames, settings)
    decibels = fitted * (10 / np.log(10)) - 10 * np.log10(settings.floor)
    pixels = np.clip(np.round(STEPS * decibels), 0, 255).astype(np.uint8).T[::-1]
    cut = settings.frames(len(sound.samples), sound.rate) > frames
    kinds = CHANNELS * (sound.channels > 1) | CUT * cut | FILLED * (added > 0) | SILENT * (not pixels.any())
    return np.ascontiguousarray(pixels)[:, :, None], int(kinds)


@dataclass(frozen=True)
class SoundDecoder:
    """Sounds as spectrograms of one length."""

    frames: int
    settings: MelSettings
    wanted = SOUNDS
    kinds = KINDS
    fields = None

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.settings.mels, self.frames, 1

    def __call__(self, content: bytes | Pixels, shown: str) -> tuple[Pixels, int]:
        assert isinstance(content, bytes)
        return picture_of(decode_sound(content, shown), self.frames, self.settings, shown)


@dataclass(frozen=True, kw_only=True)
class SoundSource:
    """Sounds from folders or archives. No samples are kept: they are read again when they are decoded."""

    kind: str = "sounds"
    name: str
    """What a run on it is called."""
    shown: str
    """What refusals call all of it."""
    classes: tuple[str, ...]
    """In order."""
    labels: npt.NDArray[np.int32]
    """(count,) the number of each sound's class."""
    parts: npt.NDArray[np.uint8]
    """(count,) TRAIN (0), HELD_OUT (1), or UNPARTED (255): no folder says it, and decoding will, as it finds copies."""
    samples: npt.NDArray[np.int64] = field(repr=False)
    """(count,) of each."""
    rates: npt.NDArray[np.int64] = field(repr=False)
    """(count,) samples a second."""
    notices: tuple[Notice, ...]
    """What was passed over or is odd, each with its count."""
    held_from: str
    """What is held out: "val", "test", "a tenth", or "all" where the sounds are only to be scored."""
    left: int
    """Sounds in test/ that are left for scoring, as val/ is held out."""
    places: tuple[Places, ...] = field(repr=False)
    taken: npt.NDArray[np.bool_] = field(repr=False)
    """Of everything that the places give, in order, whether it is one of these sounds."""
    bad: tuple[str, ...] = field(repr=False)
    """What could not be read when it was found, and why."""

    @property
    def count(self) -> int:
        return len(self.labels)

    @property
    def memory(self) -> npt.NDArray[np.int64]:
        """(count,) bytes that each takes while it is decoded."""
        return 16 * self.samples

    @property
    def settings(self) -> MelSettings:
        """What every sound has the rate for."""
        return settings_for(int(self.rates.min()))

    @property
    def seconds(self) -> npt.NDArray[np.float64]:
        """(count,) of each."""
        return self.samples / self.rates

    def decode(
        self, folder: Path, frames: int, settings: MelSettings, progress: Callable[[int, int], None] | None = None
    ) -> Decoded:
        """Makes every sound a spectrogram once, in `folder`/cache, whole or not at all; (bands, frames) of each.

        Raises RegardError if too many are damaged (over 1 % and over 3), if one has changed, or if the disk would fill.
        """
        return write_decoded(self, folder, SoundDecoder(frames, settings), progress)

    def fingerprint(self) -> dict[str, Any]:
        """What data.json keeps: each folder or archive with its size and SHA-256, the classes and the counts."""
        return {
            "kind": self.kind,
            "files": [described for place in self.places for described in place.described()],
            "classes": list(self.classes),
            "labels": hashlib.sha256(self.labels.tobytes()).hexdigest(),
            "sounds": self.count,
            "train": int((self.parts == TRAIN).sum()),
            "held_out": int((self.parts == HELD_OUT).sum()),
            "held_from": self.held_from,
        }

    def differs(self, other: dict[str, Any]) -> str | None:
        """What first differs from another fingerprint: a folder or file, else a count; or None."""
        return first_difference(self.fingerprint(), other)

    def summary(self) -> str:
        """What was found, in numbers; at most 80 columns."""
        low, high = float(self.seconds.min()), float(self.seconds.max())
        rates = np.unique(self.rates)
        rate = f"{rates[0]:,}" if len(rates) == 1 else f"{rates[0]:,} to {rates[-1]:,}"
        learnt = self.labels if self.held_from == "all" else self.labels[self.parts != HELD_OUT]
        lines = [
            f": {counted(self.count, 'sound')} in {counted(len(self.classes), 'class(es)')}",
            f"  {low:.2f} to {high:.2f} s, {rate} samples a second, {self.seconds.sum() / 60:,.1f} minutes in all",
            f"  {parts_text(self.parts, self.held_from, self.left)}",
            f"  {classes_text(learnt, self.classes, 'sounds')}",
            *([f"  {LEFT}"] if self.left else []),
        ]
        return f"read {short(self.name, 75 - len(lines[0]))}" + "\n".join(line[:80] for line in lines)
