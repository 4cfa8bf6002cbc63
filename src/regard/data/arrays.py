"""Pictures of one size one behind the other in a file, as plain numbers: .npy, the members of an .npz, IDX (P13, P14).

Headers are read here and compared with what the file holds before any memory is taken; numpy never opens a file, so
that nothing is ever unpickled. Shapes: n pictures; height; width; channels.
"""

import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import prod
from typing import IO, Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from regard.data.content import PIECE, digest_of, passed, steady, taken
from regard.data.decode import Entry, State
from regard.data.packed import BROKEN, most_inside
from regard.data.picture_sets import Aside, Given
from regard.data.sniff import Unreadable
from regard.data.zips import BROKEN as ZIP_BROKEN
from regard.data.zips import zip_members

LONGEST_HEADER = 10_000
LARGEST = 64 << 20
"""Bytes of one picture."""
MOST_LABELS = 1 << 30
"""Bytes of labels."""

_DESCR = re.compile(r"""'descr'\s*:\s*'([<>|=]?)([?a-zA-Z])(\d*)'""")
_ORDER = re.compile(r"'fortran_order'\s*:\s*(True|False)")
_SHAPE = re.compile(r"'shape'\s*:\s*\(([\d,\s]*)\)")
_DO = "save it anew as whole numbers from 0 to 255 (uint8)"

Opened = Callable[[BinaryIO, int], "BinaryIO | IO[bytes]"]
"""The file and its size -> a stream that begins with the array's header."""


class Wrong(ValueError):
    """What is wrong with an array, and what to do."""

    def __init__(self, what: str, do: str = _DO) -> None:
        super().__init__(what)
        self.what, self.do = what, do


BROKEN_ARRAY: tuple[type[Exception], ...] = (Wrong, *BROKEN, *ZIP_BROKEN)


@dataclass(frozen=True)
class Header:
    """What an array says of itself."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    start: int
    """Bytes of the header."""
    columns: bool = False
    """Whether the first axis changes fastest (numpy's fortran_order)."""

    @property
    def size(self) -> int:
        """Bytes of header and numbers."""
        return self.start + prod(self.shape) * self.dtype.itemsize


def npy_header(stream: BinaryIO | IO[bytes]) -> Header:
    """Reads the header of a .npy file. Raises Wrong for one that numpy would not have written for plain numbers.

    Source: numpy.lib.format, versions 1.0 to 3.0.
    """
    head = taken(cast(BinaryIO, stream), 10)
    if len(head) < 10 or head[:6] != b"\x93NUMPY" or head[6] not in (1, 2, 3):
        raise Wrong("is no NumPy array")
    more = b"" if head[6] == 1 else taken(cast(BinaryIO, stream), 2)
    length = int.from_bytes(head[8:10] + more, "little")
    if length > LONGEST_HEADER:
        raise Wrong(f"is a NumPy array whose header has {length:,} bytes, more than {LONGEST_HEADER:,}")
    text = taken(cast(BinaryIO, stream), length).decode("utf-8", "replace")
    descr, order, shape = _DESCR.search(text), _ORDER.search(text), _SHAPE.search(text)
    if "'O'" in text or "|O" in text:
        raise Wrong("is a NumPy array of Python objects, which are never opened, as they could run code")
    if not (descr and order and shape):
        raise Wrong("is a NumPy array of no plain numbers")
    try:
        dtype = np.dtype("".join(descr.groups()))
        sizes = tuple(int(size) for size in shape[1].split(",") if size.strip())
    except (TypeError, ValueError) as error:
        raise Wrong("is a NumPy array of no plain numbers") from error
    return Header(sizes, dtype, 10 + len(more) + length, order[1] == "True")


@dataclass
class Numbers:
    """An array that lies in a file, its header read and compared with what is there."""

    entry: Entry
    shown: str
    header: Header
    opened: Opened
    exact: int | None
    """Bytes that header and numbers together have, where the file says so."""

    def __post_init__(self) -> None:
        if self.exact is not None and self.header.size != self.exact:
            what = f"promises {self.header.size:,} bytes ({_shape(self.header)}) and has {self.exact:,}"
            raise Unreadable(self.shown, what, "make it anew")


def _shape(header: Header) -> str:
    return " x ".join(map(str, header.shape)) + f" {header.dtype}"


def labels_of(numbers: Numbers) -> list[str]:
    """The class of each picture, whole numbers as their digits. Raises Unreadable."""
    header, shown = numbers.header, numbers.shown
    if len(header.shape) == 2 and header.shape[1] == 1:
        header = Header(header.shape[:1], header.dtype, header.start)
    if header.dtype.kind not in "biuSU" or len(header.shape) != 1 or header.columns:
        raise Unreadable(shown, f"labels are {_shape(header)}, no whole numbers or names", "save one a picture")
    with steady(numbers.entry.path, shown) as (file, state):
        if header.size > min(MOST_LABELS, most_inside(state.size)):
            raise Unreadable(shown, f"promises {header.shape[0]:,} labels, too many for its size", "make it anew")
        raw = _exactly(numbers, numbers.opened(file, state.size), header.size)[header.start :]
    found = np.frombuffer(raw, header.dtype)
    if header.dtype.kind == "S":
        return [name.decode("utf-8", "backslashreplace") for name in found.tolist()]
    return [str(name) for name in found.astype(np.int64 if header.dtype.kind == "b" else found.dtype).tolist()]


def _exactly(numbers: Numbers, stream: BinaryIO | IO[bytes], size: int) -> bytes:
    """So many bytes and not one more; reads at most one more. Raises Unreadable."""
    try:
        found = taken(cast(BinaryIO, stream), size + 1)
    except BROKEN_ARRAY as error:
        raise damaged(numbers.shown, error) from error
    if len(found) != size:
        much = f"{len(found):,}" if len(found) < size else "more"
        raise Unreadable(numbers.shown, f"promises {size:,} bytes and holds {much}", "make it anew")
    return found


def damaged(shown: str, error: Exception) -> Unreadable:
    if isinstance(error, Wrong):
        return Unreadable(shown, error.what, error.do)
    return Unreadable(shown, f"is damaged ({str(error)[:80] or type(error).__name__})", "make it anew")


@dataclass
class Stack:
    """The pictures of an array: a place where pictures lie, as Loose and Archive are."""

    numbers: Numbers
    size: tuple[int, int, int] = field(init=False)
    """height, width, channels"""
    _first: bool = field(init=False)
    """Whether the channels stand before height and width."""
    _state: State | None = None
    _sha256: str = ""

    def __post_init__(self) -> None:
        header, shown = self.numbers.header, self.numbers.shown
        sides = header.shape[1:]
        self._first = len(sides) == 3 and sides[0] in (1, 3) and sides[2] not in (1, 3)
        if len(sides) == 2:
            self.size = (sides[0], sides[1], 1)
        elif len(sides) == 3 and (self._first or sides[2] in (1, 3)):
            self.size = (sides[1], sides[2], sides[0]) if self._first else (sides[0], sides[1], sides[2])
        else:
            raise Unreadable(shown, f"has the shape {header.shape}", "give n x height x width, or x 3 for colours")
        if header.dtype != np.uint8:
            raise Unreadable(shown, f"holds pictures of {header.dtype}, whose white is not known", _DO)
        if header.columns:
            raise Unreadable(shown, "is stored column by column", "save it again after numpy.ascontiguousarray")
        if not all(sides) or prod(sides) > LARGEST:
            raise Unreadable(shown, f"promises pictures of {' x '.join(map(str, sides))}", "make it anew")

    @property
    def shown(self) -> str:
        return self.numbers.shown

    @property
    def count(self) -> int:
        return self.numbers.header.shape[0]

    def given(self, aside: Aside) -> Iterator[Given]:
        """As Places says; each picture's content is (height, width, channels)."""
        with steady(self.numbers.entry.path, self.shown, self._state) as (file, state):
            if self._state is None:
                self._sha256 = digest_of(file)
            self._state = state
            if self.numbers.header.size > most_inside(state.size):
                raise Unreadable(self.shown, f"promises {self.count:,} pictures, too many for its size", "make it anew")
            try:
                yield from self._of(self.numbers.opened(file, state.size))
            except BROKEN_ARRAY as error:
                raise damaged(self.shown, error) from error

    def described(self) -> list[dict[str, Any]]:
        """The file as a whole."""
        size = self._state.size if self._state else 0
        return [{"name": self.numbers.entry.name, "size": size, "sha256": self._sha256}]

    def _of(self, stream: BinaryIO | IO[bytes]) -> Iterator[Given]:
        stream, one = cast(BinaryIO, stream), prod(self.size)
        passed(stream, self.numbers.header.start)
        together = max(1, PIECE // one)
        for first in range(0, self.count, together):
            wanted = min(together, self.count - first)
            raw = taken(stream, wanted * one)
            if len(raw) < wanted * one:
                raise Wrong(f"promises {self.count:,} pictures and holds {first + len(raw) // one:,}", "make it anew")
            for number, picture in enumerate(self._shaped(np.frombuffer(raw, np.uint8), wanted), start=first):
                yield Given(f"{self.numbers.entry.name}/{number}", f"{self.shown}: picture {number}", picture)
        if stream.read(1):
            raise Wrong(f"goes on after the {self.count:,} pictures that it promises", "make it anew")

    def _shaped(self, flat: npt.NDArray[np.uint8], count: int) -> npt.NDArray[np.uint8]:
        height, width, channels = self.size
        if self._first:
            return flat.reshape(count, channels, height, width).transpose(0, 2, 3, 1)  # (n, height, width, channels)
        return flat.reshape(count, height, width, channels)


def npz_arrays(entry: Entry) -> dict[str, Numbers]:
    """The arrays of an .npz by name, only their headers read. Raises Unreadable."""
    found = dict[str, Numbers]()
    with steady(entry.path, entry.shown) as (file, state):
        shown = entry.shown
        try:
            for member in zip_members(file, state.size):
                name = member.name.removesuffix(".npy")
                if name != member.name and member.kind == "file":
                    shown = f"{entry.shown}: {name}"
                    header = npy_header(cast(BinaryIO, member))
                    found[name] = Numbers(entry, shown, header, _member_opened(member.name), member.size)
        except BROKEN_ARRAY as error:
            raise damaged(shown, error) from error
    return found


def _member_opened(name: str) -> Opened:
    return lambda file, size: zipfile.ZipFile(file).open(name)


def npy_array(entry: Entry) -> Numbers:
    """The array of an .npy file, only its header read. Raises Unreadable."""
    with steady(entry.path, entry.shown) as (file, state):
        try:
            header = npy_header(file)
        except Wrong as error:
            raise damaged(entry.shown, error) from error
    return Numbers(entry, entry.shown, header, _from_start, state.size)


def _from_start(file: BinaryIO, size: int) -> BinaryIO:
    file.seek(0)
    return file
