"""gzip, bzip2 and xz as streams that never give more than was asked for, nor take more memory than they need."""

import bz2
import gzip
import io
import lzma
import zlib
from typing import Any, BinaryIO, cast

BROKEN: tuple[type[Exception], ...] = (OSError, EOFError, zlib.error, lzma.LZMAError)
"""What reading raises where the packed data are damaged or cut short."""

MEMORY = 100 << 20
"""Bytes that unpacking xz may take; `xz -9` needs 65 MiB, a header can ask for 4 GiB."""

MOST, RATIO, SMALL = 16 << 30, 200, 80 << 10
"""What is packed may hold 16 GiB and 200 times its own size; one below 80 KiB counts as that large."""

_MAGIC = {b"\x1f\x8b\x08": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz"}


def packing(head: bytes) -> str | None:
    """How the file that begins so is packed."""
    return next((name for magic, name in _MAGIC.items() if head.startswith(magic)), None)


def most_inside(size: int) -> int:
    """Bytes that a packed file or an archive of this size may hold (bad-inputs, P15)."""
    return min(MOST, RATIO * max(size, SMALL))


class Limited:
    """A stream to read from, which refuses to give more than `most` bytes."""

    def __init__(self, stream: BinaryIO, most: int) -> None:
        self._stream, self._most, self._left = stream, most, most

    def read(self, size: int) -> bytes:
        """At most `size` bytes. Raises EOFError past the limit."""
        found = self._stream.read(min(size, self._left + 1))
        self._left -= len(found)
        if self._left < 0:
            raise EOFError(f"it holds more than {self._most:,} bytes, {RATIO} times its own size")
        return found


def unpacked(file: BinaryIO, size: int) -> BinaryIO:
    """The file's content from its beginning, unpacked where it is packed; `size` is the file's own, in bytes."""
    file.seek(0)
    packed = packing(file.read(6))
    file.seek(0)
    if packed is None:
        return file
    if packed == "gzip":
        stream = cast(BinaryIO, gzip.GzipFile(fileobj=file, mode="rb"))
    elif packed == "bzip2":
        stream = cast(BinaryIO, bz2.BZ2File(file))
    else:
        stream = cast(BinaryIO, io.BufferedReader(_Xz(file), 1 << 16))
    return cast(BinaryIO, Limited(stream, most_inside(size)))


class _Xz(io.RawIOBase):
    """lzma.LZMAFile takes whatever memory a header asks for; this one does not."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MEMORY)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        while True:
            if self._decompressor.eof:
                rest = (self._decompressor.unused_data or self._file.read(1 << 16)).lstrip(b"\0")
                if not rest:
                    return 0
                self._decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MEMORY)
            else:
                rest = self._file.read(1 << 16) if self._decompressor.needs_input else b""
                if not rest and self._decompressor.needs_input:
                    raise EOFError("cut short")
            piece = self._decompressor.decompress(rest, len(buffer))
            if piece:
                buffer[: len(piece)] = piece
                return len(piece)
