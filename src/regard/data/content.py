"""A file's bytes while they are needed: refused if the file changes; memory grows with what is there, not promised."""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from regard.data.decode import State
from regard.data.sniff import Unreadable
from regard.errors import RegardError

LARGEST = 256 << 20
"""Bytes of one picture's file, or of an archive's member, that are taken into memory."""

PIECE = 1 << 20

AGAIN = "try again when nothing writes to it"


@contextmanager
def steady(
    path: Path, shown: str, known: State | None = None, do: str = "check the name"
) -> Iterator[tuple[BinaryIO, State]]:
    """The file and its state. `known` is that of an earlier reading; do: what to do where nothing is there.

    Raises Unreadable where the system refuses, and RegardError if the file is not what it was, before or after.
    """
    if "\0" in str(path):
        raise Unreadable(shown, "is not there", do)
    opened = False
    try:
        # Not waiting: since it was found to be a file, a pipe without a writer may have taken its place.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(path, flags), "rb") as file:
            status, opened = os.fstat(file.fileno()), True
            state = State.of(status)
            if not stat.S_ISREG(status.st_mode) or known not in (None, state):
                raise RegardError(shown, "changed while being read", AGAIN)
            yield file, state
            if state != State.of(os.stat(path)):
                raise RegardError(shown, "changed while being read", AGAIN)
    except (FileNotFoundError, NotADirectoryError) as error:
        if opened or known is not None:
            raise RegardError(shown, "changed while being read: it is gone", AGAIN) from error
        raise Unreadable(shown, "is not there", do) from error
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise Unreadable(shown, "is no file, as no name is so long", do) from error
        why = error.strerror or str(error)
        raise Unreadable(shown, f"cannot be read ({why})", "give a file that can be read") from error


def taken(file: BinaryIO, size: int) -> bytes:
    """`size` bytes, or fewer where the file ends: whatever a header promises, only what is there takes memory."""
    found = bytearray()
    while len(found) < size and (piece := file.read(min(size - len(found), PIECE))):
        found += piece
    return bytes(found)


def passed(file: BinaryIO, size: int) -> int:
    """Reads on past `size` bytes; returns how many there were."""
    left = size
    while left and (piece := file.read(min(left, PIECE))):
        left -= len(piece)
    return size - left


def digest_of(file: BinaryIO) -> str:
    """SHA-256 of the whole file, which stands at its beginning again."""
    digest = hashlib.sha256()
    file.seek(0)
    while piece := file.read(PIECE):
        digest.update(piece)
    file.seek(0)
    return digest.hexdigest()
