"""Arrays into safetensors and back, streamed, so that the fsync is ours and the bytes depend on the content alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from regard.errors import RegardError
from regard.files.durable import PIECE, refusing
from regard.files.header import CODES, WIDTHS, Entry, header_of, open_safetensors

if TYPE_CHECKING:
    import numpy as np


class Stored(NamedTuple):
    """A tensor as it lies in a file: BF16 is given and returned as uint16 with dtype "BF16"."""

    array: np.ndarray[Any, Any]
    dtype: str


Tensors = Mapping[str, "np.ndarray[Any, Any] | tuple[np.ndarray[Any, Any], str]"]


class SafetensorsContent:
    """The content of a safetensors file: call it with a file object to stream it there. `size` is in bytes."""

    def __init__(self, tensors: Tensors, metadata: Mapping[str, str] | None = None) -> None:
        stored = {name: _stored(name, given) for name, given in tensors.items()}
        # The widest dtypes first, so that every tensor begins at a multiple of its number's width.
        self._stored = sorted(stored.items(), key=lambda item: (-WIDTHS[item[1].dtype], item[0]))
        self._header = _header_bytes(self._stored, metadata or {})
        self.size = len(self._header) + sum(one.array.nbytes for one in stored.values())

    def __call__(self, file: BinaryIO) -> None:
        file.write(self._header)
        for _, (array, _dtype) in self._stored:
            for piece in _pieces(array):
                file.write(piece)


def safetensors_bytes(tensors: Tensors, metadata: Mapping[str, str] | None = None) -> SafetensorsContent:
    """A safetensors file's content, for `create`, `write` or `commit_checkpoint`, never all in memory at once.

    A tensor is an array of a dtype in WIDTHS, or (uint16 array, "BF16"). Equal content gives equal bytes. Raises
    RegardError for another dtype or a name that the format reserves. The arrays must not change until written.
    """
    return SafetensorsContent(tensors, metadata)


def read_safetensors(path: Path | str) -> tuple[dict[str, Stored], dict[str, str]]:
    """(tensors, metadata); arrays own their memory. Raises RegardError as `read_safetensors_header` does.

    Nothing is memory-mapped: a map of a file that someone shortens ends the process (SIGBUS).
    """
    import numpy as np

    path = Path(path)
    with open_safetensors(path) as file:
        header, metadata, start = header_of(file, path)
        tensors = {}
        with refusing(path):
            file.seek(start)
            for name, entry in header.items():  # in the order of their data
                raw = np.empty(entry.end - entry.begin, np.uint8)
                if file.readinto(raw.data) < len(raw):  # type: ignore[attr-defined]
                    raise RegardError(str(path), "it became shorter while it was read", "give the command again")
                tensors[name] = Stored(_array(raw, name, entry, path), entry.dtype)
    return tensors, metadata


def count_not_finite(tensor: Stored | tuple[np.ndarray[Any, Any], str]) -> int:
    """How many numbers are NaN or infinite (M9); 0 for whole numbers."""
    import numpy as np

    array, dtype = tensor
    flat, count = array.reshape(-1), 0
    for start in range(0, len(flat), PIECE):  # in pieces, for the mask takes memory as well
        piece = flat[start : start + PIECE]
        if dtype == "BF16":  # all bits of the exponent set
            count += int(np.count_nonzero((piece & 0x7F80) == 0x7F80))
        elif array.dtype.kind == "f":
            count += int(np.count_nonzero(~np.isfinite(piece)))
    return count


def _stored(name: str, given: np.ndarray[Any, Any] | tuple[np.ndarray[Any, Any], str]) -> Stored:
    array, dtype = given if isinstance(given, tuple) else (given, None)
    code = array.dtype.newbyteorder("<").str
    names = [known for known, its in CODES.items() if its == code]
    dtype = dtype or next((known for known in names if known != "BF16"), None)
    if dtype not in names:
        raise RegardError(f"tensor {name!r}", f"numpy's {array.dtype} cannot be stored as {dtype}", "convert it", 1)
    return Stored(array, dtype)


def _header_bytes(stored: list[tuple[str, Stored]], metadata: Mapping[str, str]) -> bytes:
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    end = 0
    for name, (array, dtype) in stored:
        if name == "__metadata__":
            raise RegardError("tensor '__metadata__'", "the format keeps this name for itself", "rename the tensor", 1)
        begin, end = end, end + array.nbytes
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [begin, end]}
    try:
        raw = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError as error:
        raise RegardError("safetensors header", f"a name is not valid Unicode ({error})", "rename it", 1) from None
    raw += b" " * (-len(raw) % 8)  # so that the data begin at a multiple of 8
    return len(raw).to_bytes(8, "little") + raw


def _pieces(array: np.ndarray[Any, Any]) -> Iterator[memoryview]:
    """Little-endian bytes in C order."""
    import numpy as np

    flat = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(-1).view(np.uint8)
    for start in range(0, len(flat), PIECE):
        yield flat[start : start + PIECE].data


def _array(raw: np.ndarray[Any, Any], name: str, entry: Entry, path: Path) -> np.ndarray[Any, Any]:
    if entry.dtype == "BOOL" and raw.size and raw.max() > 1:  # numpy would carry such a byte on as neither
        raise RegardError(f"{path}: tensor {name[:60]!r}", "a BOOL is neither 0 nor 1", "download it again")
    array: np.ndarray[Any, Any] = raw.view(CODES[entry.dtype]).reshape(entry.shape)
    return array
