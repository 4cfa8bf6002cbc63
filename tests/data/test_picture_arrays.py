"""Pictures as arrays: IDX, .npz and .npy, whatever their headers promise."""

import bz2
import gzip
import io
import lzma
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from regard.data.open import open_source
from regard.data.pictures import HELD_OUT
from regard.errors import RegardError

from .drawn import measured, opened, refusal, said, write, zipped

COUNTS = {"train": 60, "t10k": 20}


def idx(array: np.ndarray) -> bytes:
    """An IDX file of bytes."""
    return idx_header(*array.shape) + array.astype(np.uint8).tobytes()


def idx_header(*sizes: int) -> bytes:
    return bytes([0, 0, 8, len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes)


def images(count: int, channels: int = 0, seed: int = 0) -> np.ndarray:
    shape = (count, 7, 9, channels) if channels else (count, 7, 9)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def labels(count: int) -> np.ndarray:
    return np.arange(count) % 3 + 8  # 8, 9, 10


def mnist(pack: Any = lambda content: content, ending: str = "") -> dict[str, bytes]:
    tree = dict[str, bytes]()
    for seed, (part, count) in enumerate(COUNTS.items()):
        tree[f"{part}-images-idx3-ubyte{ending}"] = pack(idx(images(count, seed=seed)))
        tree[f"{part}-labels-idx1-ubyte{ending}"] = pack(idx(labels(count)))
    return tree


def npy(array: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def check_both_parts(found: Any) -> None:
    for seed, (part, count) in enumerate(zip(("train", "held_out"), COUNTS.values(), strict=True)):
        rows = found.rows(part)
        np.testing.assert_array_equal(found.pictures[rows][..., 0], images(count, seed=seed))
        assert [found.classes[number] for number in found.labels[rows]] == [str(label) for label in labels(count)]
    assert found.classes == ("8", "9", "10")


PACKINGS: dict[str, Any] = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress, ".bz2": bz2.compress}


@pytest.mark.parametrize("ending", PACKINGS)
def test_idx_files_are_read_as_they_ship(ending: str, tmp_path: Path) -> None:
    root = write(tmp_path / "a", mnist(PACKINGS[ending], ending))
    source = opened(root)
    assert (source.channels, source.sizes, source.held_from) == (1, {(7, 9): 80}, "test")
    check_both_parts(source.decode(tmp_path / "run", 7, 9))
    check_both_parts(opened(*sorted(root.iterdir(), reverse=True)).decode(tmp_path / "run", 7, 9))


@pytest.mark.parametrize("keys", ["x_train y_train x_test y_test", "train_images train_labels test_images test_labels"])
def test_npz_keys_say_which_is_which(keys: str, tmp_path: Path) -> None:
    values = [images(60), labels(60), images(20, seed=1), labels(20)]
    content = npz(**dict(zip(keys.split(), values, strict=True)), extra=np.arange(3))
    source = opened(write(tmp_path, {"a.npz": content}) / "a.npz")
    check_both_parts(source.decode(tmp_path / "run", 7, 9))
    (notice,) = said(source.notices)
    assert notice.startswith("1 array other than pictures and labels ignored (")


def test_npz_without_parts_and_npy_without_labels(tmp_path: Path) -> None:
    names = np.array(["cat", "dog", "é"])[np.arange(60) % 3]
    for number, given in enumerate((names, names.astype("U9"), (np.arange(60) % 3)[:, None])):
        source = opened(write(tmp_path, {f"{number}.npz": npz(images=images(60), labels=given)}) / f"{number}.npz")
        assert source.classes == (("cat", "dog", "é") if number < 2 else ("0", "1", "2"))
        assert source.held_from == "a tenth"
    source = opened(write(tmp_path, {"a.npy": npy(images(80, 3))}) / "a.npy")
    assert (source.classes, source.count, source.channels) == ((), 80, 3)


def test_channels_may_stand_before_height_and_width(tmp_path: Path) -> None:
    pixels = images(80, 3)
    write(tmp_path, {"a.npy": npy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))})
    source = opened(tmp_path / "a.npy", scoring=True)
    np.testing.assert_array_equal(source.decode(tmp_path / "run", 7, 9).pictures, pixels)
    assert (source.parts == HELD_OUT).all()


BAD_IDX = {
    "magic": ("no header of IDX", "train-labels-idx1-ubyte"),
    "type": ("IDX type 13", "train-images-idx3-ubyte"),
    "counts": ("has 60 pictures, and", "train-labels-idx1-ubyte"),
    "short": ("promises 3,796 bytes", "train-images-idx3-ubyte"),
    "long": ("promises 3,796 bytes", "train-images-idx3-ubyte"),
    "absurd": ("promises", "train-images-idx3-ubyte"),
    "no sides": ("promises", "train-images-idx3-ubyte"),
    "alone": ("do not go together", "t10k-labels-idx1-ubyte"),
    "empty": ("no header of IDX", "train-labels-idx1-ubyte"),
}


@pytest.mark.parametrize("kind", BAD_IDX)
def test_P13_a_bad_idx_file_is_refused(kind: str, tmp_path: Path) -> None:
    part, name = BAD_IDX[kind]
    tree = mnist()
    whole = tree[name]
    tree[name] = {
        "magic": b"\1\2" + whole[2:], "type": whole[:2] + b"\x0d" + whole[3:], "counts": idx(labels(59)),
        "short": whole[:-1], "long": whole + b"\0", "absurd": whole[:4] + b"\xff" * 12 + whole[16:],
        "no sides": whole[:8] + bytes(8) + whole[16:], "alone": idx(labels(20)), "empty": b"",
    }[kind]  # fmt: skip
    if kind == "alone":
        tree.pop("t10k-images-idx3-ubyte")
    write(tmp_path, tree)
    sentence = refusal(*(tmp_path / name for name in tree))
    assert part in sentence
    assert name in sentence
    if kind == "counts":
        assert "59 labels" in sentence


@pytest.mark.parametrize("ending", [".gz", ".xz"])
@pytest.mark.parametrize("change", ["short", "long", "broken"])
def test_P13_a_packed_file_must_hold_what_its_header_promises(ending: str, change: str, tmp_path: Path) -> None:
    content = idx(images(60))
    content = {"short": content[:-70], "long": content + b"\0", "broken": content}[change]
    packed = bytearray(PACKINGS[ending](content))
    if change == "broken":
        packed[len(packed) // 2] ^= 255
    write(tmp_path, {f"train-images-idx3-ubyte{ending}": bytes(packed), "train-labels-idx1-ubyte": idx(labels(60))})
    sentence = refusal(*tmp_path.iterdir())
    assert {"short": "promises 60 pictures and holds 58", "long": "goes on after the 60 pictures",
            "broken": "is damaged"}[change] in sentence  # fmt: skip


def test_P13_a_bomb_is_unpacked_no_further_than_its_header_promises(tmp_path: Path) -> None:
    zeros = bytes(1 << 30)
    write(tmp_path, {
        "a.gz": gzip.compress(idx_header(50, 8, 8) + zeros, 1),
        "b.gz": gzip.compress(idx_header(50, 8, 8) + zeros[: 50 * 64]),
        "c.gz": gzip.compress(idx_header(1 << 20, 32, 32) + zeros[: 1 << 26], 1),
        "d.xz": lzma.compress(idx_header(1 << 30, 32, 32) + zeros[: 1 << 20]),
    })  # fmt: skip
    code = """
said = []
for path in sys.argv[1:]:
    try:
        said.append(open_source([path], scoring=True).count)
    except RegardError as error:
        said.append(str(error))
report(said=said)
"""
    result = measured(code, *(tmp_path / name for name in ("a.gz", "b.gz", "c.gz", "d.xz")))
    assert "goes on after the 50 pictures that it promises" in result["said"][0]
    assert result["said"][1] == 50
    assert "promises 1,048,576 pictures, too many for its size" in result["said"][2]
    assert "too many for its size" in result["said"][3]
    assert result["memory"] < 120_000_000
    assert result["seconds"] < 5


def raw_npy(header: str, data: bytes = b"", version: int = 1) -> bytes:
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + length + header.encode() + data


LYING = {
    "objects": ("{'descr': '|O', 'fortran_order': False, 'shape': (9, 8, 8), }", "never opened, as they could"),
    "structured": ("{'descr': [('a', '<i4')], 'fortran_order': False, 'shape': (9, 8, 8), }", "no plain numbers"),
    "expression": ("{'descr': '|u1', 'fortran_order': False, 'shape': (9*9, 8, 8), }", "no plain numbers"),
    "32 GiB": ("{'descr': '|u1', 'fortran_order': False, 'shape': (32768, 1024, 1024), }", "promises 34,359,738,"),
    "negative": ("{'descr': '|u1', 'fortran_order': False, 'shape': (-1, 8, 8), }", "no plain numbers"),
    "floats": ("{'descr': '<f4', 'fortran_order': False, 'shape': (9, 8, 8), }", "promises 2,"),
    "long": ("{'descr': '|u1', 'fortran_order': False, 'shape': (9, 8, 8), }" + " " * 10_000, "more than 10,000"),
    "columns": ("{'descr': '|u1', 'fortran_order': True, 'shape': (9, 8, 8), }", "column by column"),
}


@pytest.mark.parametrize("kind", LYING)
@pytest.mark.parametrize("packing", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_P14_a_lying_header_is_refused(kind: str, packing: int, tmp_path: Path) -> None:
    header, part = LYING[kind]
    content = raw_npy(header, bytes(9 * 8 * 8))
    write(tmp_path, {"a.npz": zipped({"x.npy": content, "y.npy": npy(np.arange(9) % 2)}, packing), "a.npy": content})
    assert part in refusal(tmp_path / "a.npz")
    assert part in refusal(tmp_path / "a.npy")


def test_P14_what_a_member_says_of_its_own_size_is_not_believed(tmp_path: Path) -> None:
    content = bytearray(zipped({"x.npy": npy(images(9)), "y.npy": npy(labels(9))}))
    size = len(npy(images(9)))
    for place in range(len(content) - 4):  # in both headers of the member
        if content[place : place + 4] == struct.pack("<I", size):
            content[place : place + 4] = struct.pack("<I", 128 + 40 * 63)
    changed = content.replace(b"(9, 7, 9)", b"(40,7, 9)")
    write(tmp_path, {"a.npz": bytes(changed)})
    assert "a.npz" in refusal(tmp_path / "a.npz")


def test_P14_keys_lengths_and_labels_must_fit(tmp_path: Path) -> None:
    cases = {
        "holds no pictures, n x height x width: there are words, z": npz(words=np.arange(9), z=np.arange(4)),
        "do not go together": npz(x_train=images(9), y_train=labels(9), x_test=images(9)),
        "has 9 pictures, and": npz(x=images(9), y=labels(8)),
        "labels are 9 float64, no whole numbers or names": npz(x=images(9), y=labels(9) / 2),
        "labels are 9 x 2 int64, no whole numbers or names": npz(x=images(9), y=np.zeros((9, 2), int)),
        "holds pictures of float64, whose white is not known": npz(x=images(9) / 255, y=labels(9)),
        "has the shape (9, 7, 9, 5)": npz(x=np.zeros((9, 7, 9, 5), np.uint8), y=labels(9)),
    }
    for number, (part, content) in enumerate(cases.items()):
        path = write(tmp_path, {f"{number}.npz": content}) / f"{number}.npz"
        assert part in refusal(path), part


def test_P14_an_object_array_is_never_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array = np.empty((9, 2, 2), object)
    array[:] = 1
    write(tmp_path, {"a.npy": npy(array, allow_pickle=True), "b.npz": npz(x=array, y=labels(9))})
    monkeypatch.setattr("pickle.loads", None)
    monkeypatch.setattr("pickle.load", None)
    monkeypatch.setattr("pickle.Unpickler", None)
    for name in ("a.npy", "b.npz"):
        assert "Python objects, which are never opened" in refusal(tmp_path / name)


def test_P14_hostile_arrays_take_no_memory(tmp_path: Path) -> None:
    tree = {f"{number}.npz": zipped({"x.npy": raw_npy(header), "y.npy": raw_npy(header)})
            for number, (header, _) in enumerate(LYING.values())}  # fmt: skip
    header = "{'descr': '|u1', 'fortran_order': False, 'shape': (400, 1024, 1024), }"
    tree["zeros.npz"] = zipped({"x.npy": raw_npy(header, bytes(400 << 20))})
    header = "{'descr': '<U99999999', 'fortran_order': False, 'shape': (9,), }"
    tree["labels.npz"] = zipped({"x.npy": npy(images(9)), "y.npy": raw_npy(header, bytes(99))})
    write(tmp_path, tree)
    code = """
for path in sys.argv[1:]:
    try:
        open_source([path], scoring=True)
        raise SystemExit(path)
    except RegardError:
        pass
report()
"""
    result = measured(code, *(tmp_path / name for name in tree))
    assert result["memory"] < 120_000_000
    assert result["seconds"] < 5


def test_other_arrays_are_no_pictures(tmp_path: Path) -> None:
    write(tmp_path, {"a.npy": npy(np.arange(9))})
    with pytest.raises(RegardError, match="is a NumPy array"):
        open_source([str(tmp_path / "a.npy")])
