"""Sounds to numbers, against those that Python's own writer was given; and what is refused."""

import io
import math
import struct
import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regard.data.sound import LARGEST, decode_sound
from regard.errors import RegardError

from .drawn import measured

RATE, N = 8000, 501


def tone(channels: int = 1) -> np.ndarray:
    """(n, channels) from -1 to 1, another pitch in each channel."""
    time = np.arange(N)[:, None] / RATE
    return 0.9 * np.sin(2 * math.pi * time * (300 + 200 * np.arange(channels)))


def wav(samples: np.ndarray, bits: int = 16) -> bytes:
    """As Python's own writer makes it; samples (n, channels)."""
    whole = np.round(samples * (2 ** (bits - 1) - 1)).astype(np.int64)
    if bits == 8:
        whole += 128
    raw = b"".join(int(one).to_bytes(bits // 8, "little", signed=bits > 8) for one in whole.ravel())
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(bits // 8)
        file.setframerate(RATE)
        file.writeframes(raw)
    return buffer.getvalue()


def refused(content: bytes) -> str:
    with pytest.raises(RegardError) as caught:
        decode_sound(content, "a.wav")
    assert str(caught.value).startswith("a.wav: ")
    return str(caught.value)


@pytest.mark.parametrize("bits", [8, 16, 24, 32])
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_samples_are_those_that_were_written_and_channels_are_averaged(bits: int, channels: int) -> None:
    sound = decode_sound(wav(tone(channels), bits))
    assert (sound.rate, sound.channels, sound.bits, sound.samples.dtype) == (RATE, channels, bits, np.float32)
    np.testing.assert_allclose(sound.samples, tone(channels).mean(axis=1), atol=2.0 ** (2 - min(bits, 20)))


@pytest.mark.parametrize("bits", [8, 16, 24, 32])
def test_the_loudest_and_the_quietest_stay_between_minus_one_and_one(bits: int) -> None:
    sound = decode_sound(wav(np.array([[1.0], [-1.0], [0.0]]), bits))
    np.testing.assert_allclose(sound.samples, [1, -1, 0], atol=2.0 ** (2 - bits) + 1e-7)
    assert abs(sound.samples).max() <= 1


def test_an_extensible_header_and_other_chunks_are_understood(tmp_path: Path) -> None:
    plain = wav(tone())
    described, samples = plain[20:36], plain[44:]
    guid = struct.pack("<H", 1) + bytes.fromhex("000000001000800000aa00389b71")
    extended = struct.pack("<H", 0xFFFE) + described[2:] + struct.pack("<HHI", 22, 16, 4) + guid
    parts = {b"LIST": b"odd", b"fmt ": extended, b"fact": bytes(4), b"data": samples, b"junk": b"more"}
    chunks = b"".join(name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2) for name, data in parts.items())
    (tmp_path / "a.wav").write_bytes(b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks)
    np.testing.assert_array_equal(decode_sound(tmp_path / "a.wav").samples, decode_sound(plain).samples)


def test_what_is_not_read_is_named() -> None:
    plain = wav(tone())
    for coding, name in {3: "floating-point numbers", 7: "mu-law", 85: "MP3", 999: "coding 999"}.items():
        assert f"is a WAV sound of {name}, which is not read" in refused(
            plain[:20] + struct.pack("<H", coding) + plain[22:]
        )
    assert "is FLAC, which is not read; save it as .wav" in refused(b"fLaC" + bytes(99))
    assert "is empty" in refused(b"")
    assert "is no WAV sound" in refused(b"some words")
    assert "12 bits" in refused(plain[:34] + struct.pack("<H", 12) + plain[36:])
    assert "0 channels" in refused(plain[:22] + struct.pack("<H", 0) + plain[24:])
    assert "its sizes do not fit" in refused(plain[:32] + struct.pack("<H", 3) + plain[34:])
    assert "without a sample" in refused(wav(np.zeros((0, 1))))
    assert "has more than 32 MB" in refused(bytes(LARGEST + 1))


def test_a_sound_cut_short_is_never_filled_up() -> None:
    content = wav(tone()[:50])
    for end in range(len(content)):
        refused(content[:end])
    assert "promises 100 bytes and has 99" in refused(content[:-1])


@given(st.integers(0, 60), st.binary(max_size=20))
def test_any_bytes_are_a_sound_or_a_refusal(place: int, noise: bytes) -> None:
    content = wav(tone()[:9])
    changed = content[:place] + noise + content[place + len(noise) :]
    try:
        sound = decode_sound(changed)
    except RegardError:
        return
    assert np.isfinite(sound.samples).all()
    assert 0 < len(sound.samples) <= len(changed)


def test_the_longest_sound_takes_bounded_memory(tmp_path: Path) -> None:
    header = wav(np.zeros((0, 1)), 8)
    size = LARGEST - len(header)
    (tmp_path / "a.wav").write_bytes(header[:40] + struct.pack("<I", size) + bytes(size))
    code = """
from regard.data.sound import decode_sound
report(n=len(decode_sound(sys.argv[1]).samples))
"""
    result = measured(code, tmp_path / "a.wav")
    assert result["n"] == size
    assert result["memory"] < 300_000_000
