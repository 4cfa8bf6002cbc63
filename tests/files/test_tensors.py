"""Safetensors: what we write the library reads, what is wrong is refused by name, and nothing else ever happens."""

import json
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from regard.errors import RegardError
from regard.files import count_not_finite, read_safetensors, read_safetensors_header, safetensors_bytes
from regard.files.header import LONGEST_HEADER

library: Callable[[bytes], list[tuple[str, dict[str, Any]]]] = safetensors.deserialize
CHECK = settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
ROUND_TRIP = settings(CHECK, max_examples=100)
NATIVE = [np.float64, np.float32, np.float16, np.int64, np.int32, np.int16, np.int8, np.uint8, np.uint16, np.bool_]


def saved(path: Path, tensors: Any, metadata: dict[str, str] | None = None) -> bytes:
    with open(path, "wb") as file:  # not write(): its fsync is slow, and tested elsewhere
        safetensors_bytes(tensors, metadata)(file)
    return path.read_bytes()


def framed(header: Any, data: bytes = b"") -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(raw).to_bytes(8, "little") + raw + data


def refusal(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(RegardError) as caught:
        read_safetensors(path)
    assert str(path)[-20:] in caught.value.where
    assert "\n" not in str(caught.value)
    return f"{caught.value.where}: {caught.value.what}; {caught.value.do}"


def one(shape: Any = (2, 3), dtype: Any = "F32", offsets: Any = (0, 24)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


arrays = st.sampled_from(NATIVE).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
)
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8).filter(lambda name: name != "__metadata__")


@ROUND_TRIP
@given(tensors=st.dictionaries(names, arrays, max_size=5), metadata=st.dictionaries(names, names, max_size=3))
def test_the_library_reads_what_we_write(tmp_path: Path, tensors: Any, metadata: Any) -> None:
    raw = saved(tmp_path / "x.safetensors", tensors, metadata)
    theirs = safetensors.numpy.load(raw)
    ours, found = read_safetensors(tmp_path / "x.safetensors")
    assert found == metadata
    assert set(ours) == set(theirs) == set(tensors)
    for name, array in tensors.items():
        for read in (ours[name].array, theirs[name]):
            assert (read.dtype, read.shape) == (array.dtype, array.shape)
            assert read.tobytes() == array.tobytes()
    assert raw == saved(tmp_path / "y.safetensors", dict(reversed(tensors.items())), dict(reversed(metadata.items())))
    again = saved(tmp_path / "z.safetensors", ours, found)  # what was read can be written again
    assert again == raw


@ROUND_TRIP
@given(tensors=st.dictionaries(names, arrays, max_size=4))
def test_we_read_what_the_library_writes(tmp_path: Path, tensors: Any) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(safetensors.numpy.save(tensors))
    ours, _ = read_safetensors(path)
    assert {name: read.array.tobytes() for name, read in ours.items()} == {n: a.tobytes() for n, a in tensors.items()}


def test_bfloat16_travels_as_its_bits(tmp_path: Path) -> None:
    bits = np.array([[0x3F80, 0xC000, 0x7F80]], np.uint16)
    raw = saved(tmp_path / "x.safetensors", {"w": (bits, "BF16"), "counts": bits})
    assert dict(library(raw))["w"]["dtype"] == "BF16"
    ours, _ = read_safetensors(tmp_path / "x.safetensors")
    assert ours["w"].dtype == "BF16"
    assert ours["counts"].dtype == "U16"
    np.testing.assert_array_equal(ours["w"].array, bits)


def test_strided_and_big_endian_arrays_are_written_in_order(tmp_path: Path) -> None:
    matrix = np.arange(35, dtype=np.float32).reshape(5, 7)
    saved(tmp_path / "x.safetensors", {"t": matrix.T, "odd": matrix[:, ::2], "big": matrix.astype(">f4")})
    ours, _ = read_safetensors(tmp_path / "x.safetensors")
    np.testing.assert_array_equal(ours["t"].array, matrix.T)
    np.testing.assert_array_equal(ours["odd"].array, matrix[:, ::2])
    np.testing.assert_array_equal(ours["big"].array, matrix)


def test_data_begin_at_multiples_of_their_width(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    given: dict[str, Any] = {"a": np.ones(3, np.uint8), "b": np.ones(3, np.float64), "c": np.ones(1, np.float16)}
    content = safetensors_bytes(given, {"k": "v"})
    assert len(saved(path, given, {"k": "v"})) == content.size
    header, metadata, start = read_safetensors_header(path)
    assert (list(header), metadata, start % 8) == (["b", "c", "a"], {"k": "v"}, 0)


def test_what_cannot_be_stored_is_refused() -> None:
    wrong: list[Any] = [
        {"w": np.ones(2, np.complex64)},
        {"w": (np.ones(2, np.float32), "BF16")},
        {"__metadata__": np.ones(1)},
    ]
    for tensors in wrong:
        with pytest.raises(RegardError):
            safetensors_bytes(tensors)
    with pytest.raises(RegardError, match="Unicode"):
        safetensors_bytes({"\ud800": np.ones(1)})


def test_M01_pickles_and_zips_under_any_name(tmp_path: Path) -> None:
    for raw in (
        b"PK\x03\x04" + bytes(60),
        b"\x80\x02}q\x00.",
        b"\x80\x04\x95\x1a" + bytes(30),
        b"\x80\x05\x95\x03" + bytes(30),
    ):
        for name in ("model.safetensors", "weights", "model.bin"):
            assert "convert it to safetensors" in refusal(tmp_path / name, raw)
    good = saved(tmp_path / "x.safetensors", {"w": np.ones(3)})
    for suffix in (".bin", ".pt", ".pth", ".ckpt", ".PKL"):
        assert "never unpickles" in refusal(tmp_path / f"model{suffix}", good)


def test_M02_every_length_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    whole = saved(path, {f"w{i}": np.full((10, 9), i, np.float32) for i in range(10)}, {"format": "pt"})
    assert 4000 < len(whole) < 5000
    for length in reversed(range(len(whole))):
        os.truncate(path, length)
        with pytest.raises(RegardError) as caught:
            read_safetensors_header(path)
        said = caught.value.what
        assert ("empty" if length == 0 else f"{length:,}") in said, (length, said)
    declared = f"declares {len(whole):,} bytes, the file has"
    assert declared in refusal(path, whole[:-1])
    assert f"{declared} {len(whole) + 1:,}" in refusal(path, whole + b"\0")
    path.write_bytes(whole)
    os.truncate(path, len(whole) + (1 << 30))
    with pytest.raises(RegardError, match="something was added"):
        read_safetensors(path)


def test_M03_a_header_longer_than_the_limit_or_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"\xff" * 8)
    os.truncate(path, 1 << 30)
    tracemalloc.start()
    with pytest.raises(RegardError, match="18,446,744,073,709,551,615"):
        read_safetensors(path)
    assert tracemalloc.get_traced_memory()[1] < 10 << 20
    tracemalloc.stop()
    assert "100,000,001" in refusal(path, (LONGEST_HEADER + 1).to_bytes(8, "little") + b"{}")
    assert "99 bytes, but has 10" in refusal(path, (99).to_bytes(8, "little") + b"{}")
    with pytest.raises(RegardError, match="2,000,000 values"):
        read_safetensors(_with(path, framed(b'{"a":[' + b"1," * 2_000_001 + b"1]}")))


def _with(path: Path, raw: bytes) -> Path:
    path.write_bytes(raw)
    return path


WRONG_TENSORS = {
    "hole before": ({"w": one(offsets=(4, 28))}, 28, "leaves 4 bytes unused"),
    "hole between": ({"v": one(), "w": one(offsets=(28, 52))}, 52, "leaves 4 bytes unused"),
    "overlap": ({"v": one(), "w": one(offsets=(20, 44))}, 44, "overlaps"),
    "same place": ({"v": one(), "w": one()}, 24, "overlaps"),
    "size": ({"w": one((2, 4))}, 24, "needs 32 bytes, its data_offsets give 24"),
    "overflow": ({"w": one((2**61, 8, 3))}, 24, "more than any memory"),
    "empty but huge": ({"w": one((0, 2**61), offsets=(0, 0))}, 0, "more than any memory"),
    "negative": ({"w": one((-2, -3))}, 24, "shape"),
    "bool": ({"w": one((True, 6))}, 24, "shape"),
    "float": ({"w": one((2.0, 3))}, 24, "shape"),
    "axes": ({"w": one((1,) * 65, "U8", (0, 1))}, 1, "shape"),
    "backwards": ({"w": one(offsets=(24, 0))}, 24, "data_offsets"),
    "three offsets": ({"w": one(offsets=(0, 12, 24))}, 24, "data_offsets"),
    "dtype": ({"w": one(dtype="F8_E4M3")}, 24, "F8_E4M3"),
    "dtype kind": ({"w": one(dtype=["F32"])}, 24, "dtype"),
    "missing field": ({"w": {"dtype": "F32", "shape": [6]}}, 24, "not dtype, shape and data_offsets"),
    "no dict": ({"w": 3}, 24, "not dtype, shape and data_offsets"),
}


@pytest.mark.parametrize("case", WRONG_TENSORS)
def test_M04_a_wrong_tensor_is_named(tmp_path: Path, case: str) -> None:
    header, size, said = WRONG_TENSORS[case]
    told = refusal(tmp_path / "x.safetensors", framed(header, bytes(size)))
    assert said in told
    assert "tensor 'w'" in told


WRONG_HEADERS = {
    "twice": (b'{"w":%b,"w":%b}' % ((json.dumps(one()).encode(),) * 2), "'w' twice"),
    "field twice": (b'{"w":{"dtype":"F32","dtype":"I32","shape":[6],"data_offsets":[0,24]}}', "'dtype' twice"),
    "leading space": (b' {"w":%b}' % json.dumps(one()).encode(), "does not begin"),
    "list": (b"[]", "does not begin"),
    "nothing": (b"", "does not begin"),
    "metadata": ({"__metadata__": {"step": 3}, "w": one()}, "__metadata__"),
    "metadata list": ({"__metadata__": ["x"], "w": one()}, "__metadata__"),
    "NaN": (b'{"w":NaN}', "JSON"),
    "digits": (b'{"w":' + b"9" * 5000 + b"}", "JSON"),
    "depth": (b'{"w":' + b"[" * 100_000, "JSON"),
    "surrogate": (b'{"\\ud800":%b}' % json.dumps(one()).encode(), "JSON"),
    "metadata surrogate": (b'{"__metadata__":{"a":"\\udc00"}}', "JSON"),
    "latin": (b'{"\xe9":1}', "JSON"),
    "half": (b'{"w":', "JSON"),
    "two values": (b"{}{}", "JSON"),
}


@pytest.mark.parametrize("case", WRONG_HEADERS)
def test_M04_a_wrong_header(tmp_path: Path, case: str) -> None:
    header, said = WRONG_HEADERS[case]
    assert said in refusal(tmp_path / "x.safetensors", framed(header, bytes(24)))


def test_M04_a_bool_is_one_or_zero(tmp_path: Path) -> None:
    assert "neither 0 nor 1" in refusal(tmp_path / "x", framed({"w": one((2,), "BOOL", (0, 2))}, b"\x01\x02"))


def test_M05_what_was_downloaded_instead(tmp_path: Path) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    assert "git lfs pull" in refusal(tmp_path / "m.safetensors", pointer)
    for page in (b"<!DOCTYPE html><html>", b"\n <html><head>", b"<?xml version='1.0'?><Error/>"):
        assert "web page" in refusal(tmp_path / "m.safetensors", page)
    assert "JSON text" in refusal(tmp_path / "m.safetensors", b'{"error":"Invalid credentials"}')
    assert "this file is empty" in refusal(tmp_path / "m.safetensors", b"")
    assert "GGUF" in refusal(tmp_path / "m.safetensors", b"GGUF\x03" + bytes(40))


def test_M05_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("missing.safetensors", ".", "pipe"):
        with pytest.raises(RegardError):
            read_safetensors(tmp_path / name)


def test_M09_numbers_that_are_none_are_counted() -> None:
    spoiled = np.array([1, np.nan, np.inf, -np.inf, 0], np.float32)
    assert count_not_finite((spoiled.astype(np.float16), "F16")) == 3
    assert count_not_finite((spoiled.reshape(5, 1), "F32")) == 3
    assert count_not_finite(((spoiled.view(np.uint32) >> 16).astype(np.uint16), "BF16")) == 3
    assert count_not_finite((np.arange(5), "I64")) == 0
    assert count_not_finite((np.array(np.nan), "F64")) == 1
    assert count_not_finite((np.zeros((0, 3)), "F64")) == 0


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=4)
    | st.sampled_from(["F32", "I64", "BOOL"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
offsets = st.lists(st.integers(-1, 60), min_size=1, max_size=3)
fields = st.fixed_dictionaries(
    {"dtype": st.sampled_from(["F32", "U8", "BF16", "F4", ""]), "shape": st.lists(st.integers(-1, 4), max_size=3)},
    optional={"data_offsets": offsets | json_values, "extra": json_values},
)


def accepted(path: Path, raw: bytes) -> bool:
    """Read or refused; anything else is the finding. What we accept, the library accepts."""
    path.write_bytes(raw)
    try:
        read_safetensors(path)
    except RegardError:
        return False
    library(raw)
    return True


@CHECK
@given(
    header=st.dictionaries(st.sampled_from(["a", "b", "__metadata__"]), fields | json_values), size=st.integers(0, 64)
)
def test_F1_any_header_is_read_or_refused(tmp_path: Path, header: Any, size: int) -> None:
    accepted(tmp_path / "x", framed(header, bytes(size)))


@CHECK
@given(data=st.data())
def test_F1_any_change_of_bytes_is_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    raw = bytearray(saved(tmp_path / "x", {"w": np.ones((2, 3), np.float32), "v": np.ones(4, np.bool_)}, {"k": "v"}))
    assert accepted(tmp_path / "x", bytes(raw))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    accepted(tmp_path / "x", bytes(raw))


@CHECK
@given(raw=st.binary(max_size=64))
def test_F1_any_bytes_are_read_or_refused(tmp_path: Path, raw: bytes) -> None:
    accepted(tmp_path / "x", raw)
