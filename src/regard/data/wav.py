"""A WAV file's bytes as a waveform: whole numbers of 8, 16, 24 or 32 bits, channels averaged; anything else by name.

Python's own `wave` refuses the header that recorders write for 24 bits or more than two channels (until Python 3.12),
and takes a promised size for a real one; the format is a row of chunks, so it is read here.
Source: Multimedia Programming Interface and Data Specifications 1.0 (IBM and Microsoft 1991), "WAVE"; its extensible
header is Microsoft's of 2001.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
import numpy.typing as npt

from regard.data.sniff import Unreadable
from regard.tokens.sound import HIGHEST_RATE

READ = "WAV files of whole numbers (PCM)"

SUFFIXES = (".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".m4a", ".aac", ".aif", ".aiff", ".aifc", ".au",
            ".snd", ".wma", ".caf", ".amr", ".w64", ".rf64")  # fmt: skip
"""Names that say so: a file with one that is no WAV file is a bad sound, not some other file."""

_OTHERS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"fLaC", "FLAC"),
    (0, b"OggS", "Ogg"),
    (0, b"ID3", "MP3"),
    (0, b"\xff\xfb", "MP3"),
    (0, b"\xff\xf3", "MP3"),
    (0, b"\xff\xf2", "MP3"),
    (0, b"\xff\xf1", "AAC"),
    (0, b"\xff\xf9", "AAC"),
    (4, b"ftypM4A", "MPEG-4 sound"),
    (8, b"AIFF", "AIFF"),
    (8, b"AIFC", "AIFF"),
    (0, b".snd\0", "AU"),
    (0, b"caff\0", "Core Audio"),
    (0, b"#!AMR", "AMR"),
    (0, b"RF64", "RF64"),
    (0, b"RIFX", "RIFX"),
    (0, b"riff\x2e\x91", "Wave64"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "Windows Media"),
)
PCM, EXTENSIBLE = 1, 0xFFFE
_CODINGS = {2: "Microsoft ADPCM", 3: "floating-point numbers", 6: "A-law", 7: "mu-law", 17: "IMA ADPCM", 49: "GSM 6.10",
            80: "MPEG", 85: "MP3"}  # fmt: skip
_GUID = bytes.fromhex("000000001000800000aa00389b71")
"""What follows the number of a coding in an extensible header."""
_UNKNOWN = 0xFFFFFFFF
"""The size of a chunk that was written into a pipe."""
MOST_CHANNELS = 64


@dataclass(frozen=True)
class Header:
    """What a WAV file says of itself, held against its size."""

    rate: int
    """Samples a second."""
    channels: int
    bits: int
    start: int
    """The byte at which the samples begin."""
    samples: int
    """Of each channel."""

    @property
    def seconds(self) -> float:
        return self.samples / self.rate


def is_wav(head: bytes) -> bool:
    return head.startswith(b"RIFF") and head[8:12] == b"WAVE"


def other_format_of(head: bytes) -> str | None:
    """The format of a sound that is not read."""
    return next((kind for offset, magic, kind in _OTHERS if head.startswith(magic, offset)), None)


def is_named_so(name: str) -> bool:
    return PurePath(name).suffix.lower() in SUFFIXES


def not_read(head: bytes, shown: str) -> Unreadable:
    """Why a file that is named as a sound, or is one, cannot be read."""
    if not head:
        return Unreadable(shown, "is empty", "leave it out")
    other = other_format_of(head)
    what = f"is a sound as {other}, which is not read" if other else "is named as a sound and is none"
    return Unreadable(shown, what, f"save it as one of the {READ}")


def header_of(content: bytes, shown: str) -> Header:
    """Raises Unreadable, naming it, for another coding, and for a file that is cut short or contradicts itself."""
    if not is_wav(content):
        raise not_read(content[:64], shown)
    said: tuple[int, int, int] | None = None
    for name, start, size in _chunks(content):
        if name == b"fmt ":
            said = _said(content[start : start + size], shown)
        elif name == b"data":
            if said is None:
                raise Unreadable(shown, "does not say how its samples are written", "make it anew")
            return _held(content, start, size, said, shown)
    raise Unreadable(shown, "is cut short: it holds no samples", "make it anew")


def _chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, first byte and size of each; a chunk of odd size is followed by a byte that belongs to none."""
    at = 12
    while at + 8 <= len(content):
        name, size = struct.unpack_from("<4sI", content, at)
        yield name, at + 8, size
        at += 8 + size + size % 2


def _said(form: bytes, shown: str) -> tuple[int, int, int]:
    """Rate, channels and bits."""
    if len(form) < 16:
        raise Unreadable(shown, "is cut short within its header", "make it anew")
    coding, channels, rate, _, align, bits = struct.unpack_from("<HHIIHH", form)
    if coding == EXTENSIBLE and len(form) >= 40 and form[26:40] == _GUID:
        (coding,) = struct.unpack_from("<H", form, 24)
    if coding != PCM:
        kind = _CODINGS.get(coding, f"the coding {coding:#06x}")
        raise Unreadable(shown, f"is a WAV file of {kind}, which is not read", f"save it as one of the {READ}")
    right = bits in (8, 16, 24, 32) and 1 <= channels <= MOST_CHANNELS and align == channels * bits // 8
    if not right or not 1 <= rate <= HIGHEST_RATE:
        what = f"claims {channels} channels of {bits} bits, {align} bytes together, {rate:,} times a second"
        raise Unreadable(shown, what, "make it anew, with 8, 16, 24 or 32 bits")
    return rate, channels, bits


def _held(content: bytes, start: int, size: int, said: tuple[int, int, int], shown: str) -> Header:
    rate, channels, bits = said
    there = len(content) - start
    if size > there and size != _UNKNOWN:
        raise Unreadable(
            shown, f"is cut short: {size:,} bytes of samples are promised and {there:,} there", "repair it"
        )
    samples = min(size, there) // (channels * bits // 8)
    if not samples:
        raise Unreadable(shown, "holds no samples", "leave it out")
    return Header(rate, channels, bits, start, samples)


def waveform(content: bytes, header: Header, most: int | None = None) -> npt.NDArray[np.float32]:
    """(samples,) from -1 to 1, the mean of the channels; at most the first `most`."""
    samples = header.samples if most is None else min(header.samples, most)
    width, count = header.bits // 8, samples * header.channels
    raw = np.frombuffer(content, np.uint8, count * width, header.start)
    if width == 1:
        whole = raw.astype(np.float32) - 128  # the only ones without a sign
    else:
        wide = np.zeros((count, 4), np.uint8)  # little-endian: the bytes of most weight come last
        wide[:, 4 - width :] = raw.reshape(count, width)
        whole = wide.view("<i4")[:, 0].astype(np.float64)
    scale = 128.0 if width == 1 else 2.0**31
    each = (whole / scale).reshape(samples, header.channels)
    mean: npt.NDArray[np.float32] = each.mean(axis=1, dtype=np.float64).astype(np.float32)
    return mean
