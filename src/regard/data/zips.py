"""The members of a zip archive, one after the other into memory and never written out."""

import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, BinaryIO

from regard.data.packed import RATIO, most_inside
from regard.data.tar import Damaged

MOST_CONTENTS = 16 << 20
"""Bytes of the table of contents, of which zipfile makes about thirteen times as much memory."""

BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, ValueError, RuntimeError)
"""What zipfile raises over damaged members."""

_END = re.compile(rb"PK\x05\x06.{8}(.{4}).{4}..", re.DOTALL)


class BadMember(Damaged):
    """What is wrong with one member, which says nothing of the others."""


@dataclass
class ZipMember:
    """What lies in the archive; `read` takes its bytes in order."""

    name: str
    kind: str
    """file, folder, link, encrypted file, or file packed in a way that is not read"""
    size: int
    _archive: zipfile.ZipFile
    _info: zipfile.ZipInfo
    _file: IO[bytes] | None = None

    def read(self, size: int) -> bytes:
        """The next bytes of it. Raises BadMember."""
        try:
            if self._file is None:
                self._file = self._archive.open(self._info)
            return self._file.read(size)
        except BROKEN as error:
            raise BadMember(f"{self.name} is damaged ({error})") from error


def zip_members(file: BinaryIO, size: int) -> Iterator[ZipMember]:
    """Each member in the order of the table of contents. Raises Damaged if that is damaged or too large."""
    _check_contents(file, size)
    left = most_inside(size)
    try:
        archive = zipfile.ZipFile(file)
    except BROKEN as error:
        raise Damaged(str(error)) from error
    for info in archive.infolist():
        left -= info.file_size
        if left < 0:
            raise Damaged(f"it holds more than {most_inside(size):,} bytes, {RATIO} times its own size")
        yield ZipMember(info.filename.replace("\\", "/"), _kind(info), info.file_size, archive, info)


def _kind(info: zipfile.ZipInfo) -> str:
    if info.is_dir():
        return "folder"
    if stat.S_ISLNK(info.external_attr >> 16):
        return "link"
    if info.flag_bits & 1:
        return "encrypted file"
    # Of the others Python's can be made to unpack any amount at once.
    known = info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    return "file" if known else "file packed in a way that is not read"


def _check_contents(file: BinaryIO, size: int) -> None:
    """zipfile makes an object of every entry in the table of contents before anything else can be asked."""
    file.seek(max(size - (1 << 16) - 22, 0))
    ends = list(_END.finditer(file.read()))
    if not ends:
        raise Damaged("it ends without a table of contents: it is cut short")
    contents = int.from_bytes(ends[-1][1], "little")
    if contents == 0xFFFFFFFF:  # the true number stands in a record of its own before
        file.seek(max(size - (1 << 17), 0))
        records = re.findall(rb"PK\x06\x06.{36}(.{8})", file.read(), re.DOTALL)
        contents = int.from_bytes(records[-1], "little") if records else size
    if contents > MOST_CONTENTS:
        raise Damaged(f"its table of contents has {contents >> 20} MB, more than {MOST_CONTENTS >> 20}")
    file.seek(0)
