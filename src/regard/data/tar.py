"""The members of a tar archive, read from front to back and never written out; sizes are believed only as far as read.

Not tarfile: from a header of 512 bytes that claims 8 GiB it asks for that much memory, and with crafted ones it never
ends. Here each step goes forward, so that every archive ends. Source: POSIX.1-2017 pax, ustar; GNU's long names.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from regard.data.content import passed, taken

BLOCK = 512
LONGEST_NAME, LONGEST_RECORDS = 64 << 10, 1 << 20
"""Bytes of a long name, and of a pax header, that are taken into memory."""

_OCTAL = re.compile(rb"[0-7]{1,12}")
_KINDS = {b"0": "file", b"\0": "file", b"7": "file", b"1": "link", b"2": "link", b"5": "folder", b"S": "sparse file"}


class Damaged(ValueError):
    """What is wrong with the archive, and at which byte."""


@dataclass
class TarMember:
    """What lies in the archive here; `read` takes its bytes in order, until the next member is asked for."""

    name: str
    kind: str
    """file, folder, link, sparse file or device"""
    size: int
    _stream: BinaryIO
    _left: int

    def read(self, size: int) -> bytes:
        """The next bytes of it. Raises Damaged where the archive ends before."""
        found = taken(self._stream, min(size, self._left))
        self._left -= len(found)
        if len(found) < size and self._left:
            raise Damaged(f"{self.name} is cut short")
        return found

    def finish(self) -> None:
        """Goes to where the next header begins."""
        rest = self._left + -self.size % BLOCK
        if passed(self._stream, rest) < rest:
            raise Damaged(f"{self.name} is cut short")


def is_tar(block: bytes) -> bool:
    """Whether a first block of 512 bytes is a header with the right sum."""
    return len(block) == BLOCK and block != bytes(BLOCK) and _sum_is_right(block)


def tar_members(stream: BinaryIO) -> Iterator[TarMember]:
    """Each member in order. Raises Damaged, and whatever reading from the stream raises."""
    place, given = 0, dict[str, str]()
    while True:
        block = taken(stream, BLOCK)
        if len(block) < BLOCK:
            raise Damaged("it ends without the mark of its end: it is cut short")
        if block == bytes(BLOCK):
            return
        if not _sum_is_right(block):
            raise Damaged(f"no header at byte {place:,}")
        size, kind = _number(block[124:136], place), block[156:157]
        member = TarMember(_name(block), _KINDS.get(kind, "device"), size, stream, size)
        if kind == b"L":
            given["path"] = _text(_whole(member, LONGEST_NAME).rstrip(b"\0"))
        elif kind == b"x":
            given |= _records(_whole(member, LONGEST_RECORDS))
        elif kind not in (b"g", b"K"):
            if "size" in given:
                member.size = member._left = _decimal(given["size"], place)
            if any(key.startswith("GNU.sparse") for key in given):
                member.kind = "sparse file"
            member.name, given = given.get("path", member.name), {}
            yield member
        if member.kind in ("link", "folder"):  # some writers give the size of what they stand for, without its bytes
            member.size = member._left = 0
        member.finish()
        place += BLOCK + member.size + -member.size % BLOCK


def _whole(member: TarMember, most: int) -> bytes:
    if member.size > most:
        raise Damaged(f"a header of {member.size:,} bytes before a member")
    return member.read(member.size)


def _sum_is_right(block: bytes) -> bool:
    stated = block[148:156].strip(b"\0 ")
    return bool(_OCTAL.fullmatch(stated)) and int(stated, 8) == sum(block) - sum(block[148:156]) + 8 * ord(" ")


def _number(field: bytes, place: int) -> int:
    """Octal digits, or after a first byte of 0x80 the rest as one number."""
    stated = field.strip(b"\0 ") or b"0"
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    if not _OCTAL.fullmatch(stated):
        raise Damaged(f"no size in the header at byte {place:,}")
    return int(stated, 8)


def _decimal(text: str, place: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise Damaged(f"no size in the header before byte {place:,}")
    return int(text)


def _name(block: bytes) -> str:
    name, prefix = block[:100].split(b"\0")[0], block[345:500].split(b"\0")[0]
    return _text(prefix + b"/" + name if prefix and block[257:262] == b"ustar" and block[263:265] == b"00" else name)


def _text(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")


def _records(raw: bytes) -> dict[str, str]:
    """The records "LENGTH key=value\\n" of a pax header."""
    found, place = dict[str, str](), 0
    while place < len(raw) and raw[place]:
        length, _, rest = raw[place : place + 24].partition(b" ")
        if not (length.isdigit() and rest and place + int(length) <= len(raw) and int(length) > len(length) + 2):
            raise Damaged("a pax header that cannot be read")
        key, _, value = raw[place + len(length) + 1 : place + int(length) - 1].partition(b"=")
        found[_text(key)] = _text(value)
        place += int(length)
    return found
