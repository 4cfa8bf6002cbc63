"""The safetensors header, checked by ourselves before a byte of memory is taken on its word.

A file is 8 bytes (the header's length, little-endian), the header (JSON: name -> dtype, shape, data_offsets), then the
data without a gap. Source: the format's README in huggingface/safetensors, whose limits and order of bytes we keep.
"""

import json
import math
import os
import stat
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from regard.errors import RegardError
from regard.files.durable import refusing

LONGEST_HEADER = 100_000_000
"""Bytes; the format's own limit."""
MOST_VALUES = 2_000_000
"""Commas in a header: about 300,000 tensors. Python's JSON would take gigabytes for 100 MB of `1,1,1,`."""
MOST_AXES = 32

CODES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "|i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "|u1",
    "BOOL": "|b1",
}
"""The dtypes that regard reads, and numpy's name for each; what is not here is quantised or exotic (M8).

numpy has no bfloat16, whose bits travel as uint16.
"""
WIDTHS = {dtype: int(code[-1]) for dtype, code in CODES.items()}
"""Bytes of one number."""

_AGAIN = "download it again"
_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_NEVER_RUN = "convert it to safetensors on a machine where you trust it; regard never unpickles, as that can run code"


@dataclass(frozen=True)
class Entry:
    """One tensor of a header: its bytes are data[begin:end], counted from the end of the header."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def read_safetensors_header(path: Path | str) -> tuple[dict[str, Entry], dict[str, str], int]:
    """(tensors in the order of their data, metadata, where the data begin in bytes) of a file without fault.

    Raises RegardError naming file and tensor: rows M1 to M5 of bad-inputs, and M8 for a dtype that is not read.
    """
    with open_safetensors(Path(path)) as file:
        return header_of(file, Path(path))


def open_safetensors(path: Path) -> BinaryIO:
    """The file, opened if it is a regular one; a pipe would wait for ever. Raises RegardError."""
    if path.suffix.lower() in _PICKLED:
        raise RegardError(str(path), f"{path.suffix} files hold pickled objects", _NEVER_RUN)
    with refusing(path):
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise RegardError(str(path), "this is not a regular file", "name a .safetensors file")
        return open(path, "rb")


def header_of(file: BinaryIO, path: Path) -> tuple[dict[str, Entry], dict[str, str], int]:
    """As `read_safetensors_header`, from an open file, so that header and data are of one file."""
    with refusing(path):
        size = os.fstat(file.fileno()).st_size
        head = file.read(256)
        length = int.from_bytes(head[:8], "little")
        _check_beginning(head, length, size, path)
        file.seek(8)
        raw = file.read(length)
    if len(raw) < length:
        raise RegardError(str(path), "it became shorter while it was read", "give the command again")
    tensors, metadata = _parse(raw, path)
    entries = {name: _entry(name, fields, path) for name, fields in tensors.items()}
    ordered = dict(sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)))
    _check_places(ordered, 8 + length, size, path)
    return ordered, metadata, 8 + length


def _check_beginning(head: bytes, length: int, size: int, path: Path) -> None:
    """Refuses what is no safetensors file, from its first bytes and its size alone."""
    if size == 0:
        raise RegardError(str(path), "this file is empty", _AGAIN)
    if length > LONGEST_HEADER or head[8:9] not in (b"{", b"") or size < 8:
        what, do = _what_it_is(head)
        if what:
            raise RegardError(str(path), what, do)
    if size < 8:
        raise RegardError(str(path), f"it has {size} bytes, too few for a safetensors file", _AGAIN)
    if length > LONGEST_HEADER:
        what = f"it declares a header of {length:,} bytes, over the format's limit of {LONGEST_HEADER:,}"
        raise RegardError(str(path), what, "this is not a safetensors file; " + _AGAIN)
    if 8 + length > size:
        what = f"it declares a header of {length:,} bytes, but has {size:,} bytes in all"
        raise RegardError(str(path), what, "it was cut short; " + _AGAIN)
    if length == 0 or head[8:9] != b"{":
        raise RegardError(str(path), "its header does not begin with '{'", "give a safetensors file")


def _what_it_is(head: bytes) -> tuple[str, str]:
    """What a file that is not safetensors really is, and what to do; ("", "") if its first bytes do not say."""
    text = head.lstrip().lower()
    if head.startswith(b"version https://git-lfs"):
        return "this is a Git LFS pointer, not the weights", "run `git lfs pull` in its folder to get the real file"
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return "this is a web page, not weights", "download the file itself, logged in where that is asked for"
    if text.startswith(b"{"):
        return "this is JSON text, not weights", "download the file itself; this may be a server's error message"
    if head.startswith(b"PK"):
        return "this is a zip archive, as torch.save writes", _NEVER_RUN
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05") and head[2:3] != b"\x00":
        return "this is a pickle", _NEVER_RUN
    if head.startswith(b"GGUF"):
        return "this is a GGUF file", "give the safetensors file it was made from"
    if head.startswith(b"\x93NUMPY"):
        return "this is a numpy file", "convert it to safetensors"
    if head.startswith(b"\x89HDF"):
        return "this is an HDF5 file", "convert it to safetensors"
    return "", ""


def _parse(raw: bytes, path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """(name -> fields as found, metadata); no name twice, metadata only strings."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
            raise RegardError(str(path), f"its header holds the name {twice[:60]!r} twice", _AGAIN)
        return found

    def no_number(text: str) -> None:
        raise ValueError(f"{text} is no JSON")

    if raw.count(b",") > MOST_VALUES:
        raise RegardError(
            str(path), f"its header lists more than {MOST_VALUES:,} values", "split it into several files"
        )
    try:
        found = json.loads(raw.decode(), object_pairs_hook=once, parse_constant=no_number)
        for text in _strings(found):
            text.encode()  # half a surrogate pair: JSON can write it, Unicode has no such text
    except (ValueError, RecursionError) as error:
        raise RegardError(str(path), f"its header is not valid JSON ({error})", _AGAIN) from None
    metadata = found.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise RegardError(str(path), "__metadata__ in its header holds something else than strings", _AGAIN)
    return found, metadata


def _strings(found: dict[str, Any]) -> list[str]:
    metadata = found.get("__metadata__")
    pairs = metadata.items() if isinstance(metadata, dict) else ()
    return [*found, *(text for pair in pairs for text in pair if isinstance(text, str))]


def _entry(name: str, fields: Any, path: Path) -> Entry:
    """One tensor's fields, each of the right kind, its bytes exactly shape x dtype."""

    def wrong(what: str, do: str = _AGAIN) -> RegardError:
        return RegardError(f"{path}: tensor {name[:60]!r}", what, do)

    if not isinstance(fields, dict) or set(fields) != {"dtype", "shape", "data_offsets"}:
        raise wrong("its header entry is not dtype, shape and data_offsets")
    dtype, shape, offsets = fields["dtype"], fields["shape"], fields["data_offsets"]
    if not isinstance(dtype, str) or dtype not in WIDTHS:
        raise wrong(f"dtype {str(dtype)[:20]!r} is not read here", f"convert it to one of {', '.join(WIDTHS)}")
    if not _counts(shape) or len(shape) > MOST_AXES:
        raise wrong(f"its shape is not a list of at most {MOST_AXES} counts")
    if not _counts(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise wrong("its data_offsets are not a begin and an end")
    if math.prod(max(size, 1) for size in shape) * WIDTHS[dtype] >= 2**62:
        raise wrong("its shape asks for more than any memory holds")
    needed, given = math.prod(shape) * WIDTHS[dtype], offsets[1] - offsets[0]
    if needed != given:
        raise wrong(f"shape {shape} of {dtype} needs {needed:,} bytes, its data_offsets give {given:,}")
    return Entry(dtype, tuple(shape), offsets[0], offsets[1])


def _counts(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 2**62 for value in values)


def _check_places(ordered: dict[str, Entry], data: int, size: int, path: Path) -> None:
    """The tensors fill the file from the header to its end, without a hole and without sharing a byte."""
    end = 0
    for name, entry in ordered.items():
        if entry.begin != end:
            what = "overlaps the one before it" if entry.begin < end else f"leaves {entry.begin - end:,} bytes unused"
            raise RegardError(f"{path}: tensor {name[:60]!r}", f"its place in the file {what}", _AGAIN)
        end = entry.end
    if data + end != size:
        found = "it was cut short; " if size < data + end else "something was added to it; "
        what = f"its header declares {data + end:,} bytes, the file has {size:,}"
        raise RegardError(str(path), what, found + _AGAIN)
