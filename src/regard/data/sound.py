"""One sound to numbers: a .wav file with whole numbers of 8, 16, 24 or 32 bits, its channels averaged to one.

Source: Microsoft and IBM, "Multimedia Programming Interface and Data Specifications 1.0", 1991, "Waveform Audio File
Format"; for the extensible header, Microsoft's mmreg.h. Shapes: n samples.
"""

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from regard.data.content import steady, taken
from regard.data.sniff import Unreadable

LARGEST = 32 << 20
"""Bytes of a sound: three minutes of two channels as on a CD, half an hour of speech."""

PCM, EXTENSIBLE = 1, 0xFFFE
_OTHERS = {2: "ADPCM", 3: "floating-point numbers", 6: "A-law", 7: "mu-law", 17: "IMA ADPCM", 80: "MPEG", 85: "MP3"}
_FORMATS = {b"fLaC": "FLAC", b"OggS": "Ogg", b"ID3": "MP3", b"\xff\xfb": "MP3", b"FORM": "AIFF", b".snd": "AU"}
_DO = "save it as .wav with 16 bits a sample (PCM)"


@dataclass(frozen=True)
class Sound:
    """What a microphone took down."""

    samples: npt.NDArray[np.float32]
    """(n,) from -1 to 1; the mean of the channels."""
    rate: int
    """Samples a second."""
    channels: int
    """How many there were."""
    bits: int
    """Of a sample, as stored."""


def decode_sound(given: str | Path | bytes, name: str = "the sound") -> Sound:
    """A sound from its file, or from bytes that refusals call `name`. Raises Unreadable, saying what is wrong."""
    if not isinstance(given, bytes):
        name = str(given)
        with steady(Path(given), name, do="check the name: the run takes a sound's file") as (file, _):
            given = taken(file, LARGEST + 1)
    if len(given) > LARGEST:
        raise Unreadable(name, f"has more than {LARGEST >> 20} MB", "cut it into shorter ones")
    head, data = _parts(given, name)
    if len(head) < 16:
        raise Unreadable(name, "is a WAV sound without the description of its samples", _DO)
    coding, channels, rate, _, frame, bits = struct.unpack_from("<HHIIHH", head)
    if coding == EXTENSIBLE and len(head) >= 26:
        coding = int.from_bytes(head[24:26], "little")
    if coding != PCM:
        raise Unreadable(name, f"is a WAV sound of {_OTHERS.get(coding, f'coding {coding}')}, which is not read", _DO)
    if bits not in (8, 16, 24, 32) or not 0 < channels <= 64 or not 0 < rate <= 1 << 20:
        what = f"is a WAV sound of {bits} bits, {channels} channels and {rate:,} samples a second"
        raise Unreadable(name, f"{what}, which is not read", _DO)
    if frame != channels * bits // 8 or len(data) % frame:
        raise Unreadable(name, "is a damaged WAV sound: its sizes do not fit together", _DO)
    if not data:
        raise Unreadable(name, "is a WAV sound without a sample", "leave it out")
    samples = _numbers(data, bits).reshape(-1, channels)  # (n, channels)
    return Sound(samples.mean(axis=1) if channels > 1 else samples[:, 0], rate, channels, bits)


def _parts(content: bytes, name: str) -> tuple[bytes, bytes]:
    """(the chunk that describes the samples, the samples)."""
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        other = next((kind for magic, kind in _FORMATS.items() if content.startswith(magic)), None)
        what = "is empty" if not content else f"is {other}, which is not read" if other else "is no WAV sound"
        raise Unreadable(name, what, _DO)
    head, place = b"", 12
    while place + 8 <= len(content):
        kind, size = content[place : place + 4], int.from_bytes(content[place + 4 : place + 8], "little")
        held = content[place + 8 : place + 8 + size]
        if len(held) < size:
            raise Unreadable(name, f"is a WAV sound cut short: it promises {size:,} bytes and has {len(held):,}", _DO)
        if kind == b"data":
            return head, held
        head = held if kind == b"fmt " else head
        place += 8 + size + size % 2
    raise Unreadable(name, "is a WAV sound without samples: it is cut short", _DO)


def _numbers(data: bytes, bits: int) -> npt.NDArray[np.float32]:
    """From -1 to 1; 8 bits are without a sign, the others with one."""
    found: npt.NDArray[np.float32]
    if bits == 24:
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)  # the upper three of four bytes
        found, bits = wide.view("<i4")[:, 0].astype(np.float32), 32
    else:
        found = np.frombuffer(data, "u1" if bits == 8 else f"<i{bits // 8}").astype(np.float32)
    if bits == 8:
        found -= 128
    found /= 1 << (bits - 1)
    return found
