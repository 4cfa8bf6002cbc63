"""WAV files against what Python's own `wave` wrote and reads; broken, foreign and lying ones are refused by name."""

import io
import struct
import wave

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regard.data.sniff import Unreadable
from regard.data.wav import Header, header_of, is_named_so, is_wav, waveform

RNG = np.random.default_rng


def packed(numbers: np.ndarray, bits: int) -> bytes:
    """numbers (samples, channels) in the range of `bits`, as the format has them, one by one."""
    flat = [int(n) for n in numbers.ravel()]
    if bits == 8:
        return bytes(n + 128 for n in flat)
    return b"".join(n.to_bytes(bits // 8, "little", signed=True) for n in flat)


def written(numbers: np.ndarray, bits: int, rate: int = 8000) -> bytes:
    """By the standard library."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(numbers.shape[1])
        out.setsampwidth(bits // 8)
        out.setframerate(rate)
        out.writeframes(packed(numbers, bits))
    return file.getvalue()


def made(
    coding: int = 1, channels: int = 1, rate: int = 8000, bits: int = 16, align: int | None = None,
    data: bytes = b"\0\1" * 50, size: int | None = None, more: bytes = b"", before: bytes = b"",
) -> bytes:  # fmt: skip
    """By hand, so that it can lie."""
    align = channels * bits // 8 if align is None else align
    form = struct.pack("<HHIIHH", coding, channels, rate, rate * align, align, bits) + more
    chunks = before + b"fmt " + struct.pack("<I", len(form)) + form
    chunks += b"data" + struct.pack("<I", len(data) if size is None else size) + data
    return b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WAVE" + chunks


def noise(samples: int, channels: int, bits: int, seed: int = 0) -> np.ndarray:
    numbers = RNG(seed).integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (samples, channels))
    numbers.flat[: min(2, numbers.size)] = [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1][: numbers.size]
    return numbers


@given(bits=st.sampled_from([8, 16, 24, 32]), channels=st.integers(1, 6), samples=st.integers(1, 40),
       rate=st.sampled_from([8000, 11025, 44100]), seed=st.integers(0, 9))  # fmt: skip
def test_what_python_writes_is_read_to_the_last_bit(
    bits: int, channels: int, samples: int, rate: int, seed: int
) -> None:
    numbers = noise(samples, channels, bits, seed)
    content = written(numbers, bits, rate)
    header = header_of(content, "x.wav")
    assert (header.rate, header.channels, header.bits, header.samples) == (rate, channels, bits, samples)
    assert header.seconds == samples / rate
    found = waveform(content, header)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, (numbers / 2 ** (bits - 1)).mean(axis=1), rtol=1e-6, atol=1e-7)
    assert np.abs(found).max() <= 1


def test_only_the_beginning_is_unpacked_where_no_more_is_wanted() -> None:
    content = written(noise(50, 2, 24), 24)
    header = header_of(content, "x.wav")
    assert np.array_equal(waveform(content, header, 7), waveform(content, header)[:7])
    assert len(waveform(content, header, 100)) == 50


def test_an_extensible_header_says_what_it_is_further_on() -> None:
    numbers = noise(20, 3, 24)
    guid = bytes.fromhex("000000001000800000aa00389b71")
    more = struct.pack("<HHI", 22, 24, 7) + struct.pack("<H", 1) + guid
    content = made(0xFFFE, 3, bits=24, data=packed(numbers, 24), more=more)
    assert np.array_equal(waveform(content, header_of(content, "x")), waveform(*_plain(numbers, 24)))
    floating = made(0xFFFE, 1, bits=32, data=b"\0" * 40, more=struct.pack("<HHI", 22, 32, 4) + b"\3\0" + guid)
    with pytest.raises(Unreadable, match="WAV file of floating-point numbers"):
        header_of(floating, "x")


def _plain(numbers: np.ndarray, bits: int) -> tuple[bytes, Header]:
    content = written(numbers, bits)
    return content, header_of(content, "x")


def test_other_chunks_before_the_samples_are_passed_over_whole() -> None:
    odd = b"LIST" + struct.pack("<I", 5) + b"INFOx\0"  # of odd size, so a byte follows that is no chunk's
    content = made(before=odd)
    assert header_of(content, "x").samples == 50
    assert np.array_equal(waveform(content, header_of(content, "x")), waveform(made(), header_of(made(), "x")))


def test_what_was_written_into_a_pipe_ends_where_it_ends() -> None:
    assert header_of(made(size=0xFFFFFFFF), "x").samples == 50


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"hello, this is a text", "is named as a sound and is none"),
        (b"fLaC\0\0\0\x22" + bytes(60), "is a sound as FLAC, which is not read"),
        (b"OggS\0" + bytes(60), "as Ogg"),
        (b"ID3\3" + bytes(60), "as MP3"),
        (b"FORM\0\0\0\0AIFF" + bytes(60), "as AIFF"),
        (b"RF64\xff\xff\xff\xffWAVE" + bytes(60), "as RF64"),
        (made(3, bits=32), "WAV file of floating-point numbers, which is not read"),
        (made(7, bits=8), "WAV file of mu-law"),
        (made(17, bits=4, align=36), "WAV file of IMA ADPCM"),
        (made(0x1234), "the coding 0x1234"),
        (made(bits=12, align=2), "1 channels of 12 bits"),
        (made(channels=0), "0 channels"),
        (made(channels=65), "65 channels"),
        (made(align=3), "3 bytes together"),
        (made(rate=0), "0 times a second"),
        (made(rate=10**9), "1,000,000,000 times a second"),
        (made(data=b""), "holds no samples"),
        (made(data=b"\0"), "holds no samples"),
        (made(size=101), "is cut short: 101 bytes of samples are promised and 100 there"),
        (made(size=2**31), "is cut short: 2,147,483,648"),
        (made()[:30], "is cut short within its header"),
        (made()[:44], "is cut short: 100 bytes of samples are promised and 0 there"),
        (made()[:20], "cut short within its header"),
        (made()[:12], "holds no samples"),
        (made()[:12] + made()[36:], "does not say how its samples are written"),
    ],
)
def test_P01_what_cannot_be_read_is_named(content: bytes, said: str) -> None:
    with pytest.raises(Unreadable) as error:
        header_of(content, "a/b.wav")
    assert error.value.where == "a/b.wav"
    assert said in error.value.what


@given(cut=st.integers(0, 200), place=st.integers(0, 60), byte=st.integers(0, 255))
def test_a_damaged_file_is_read_or_refused_and_nothing_else(cut: int, place: int, byte: int) -> None:
    content = bytearray(written(noise(60, 1, 16), 16))
    content[place] = byte
    try:
        header = header_of(bytes(content[:cut]), "x")
    except Unreadable:
        return
    assert len(waveform(bytes(content[:cut]), header)) == header.samples <= cut


def test_names_and_first_bytes_tell_sounds() -> None:
    assert is_wav(made())
    assert not is_wav(b"RIFF\0\0\0\0AVI ")
    assert is_named_so("a/B.WAV")
    assert is_named_so("x.flac")
    assert not is_named_so("x.txt")
