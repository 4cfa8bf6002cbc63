"""A stream kept in a file, so that it can be read twice, and once more when a run goes on (T13)."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from regard import files
from regard.errors import RegardError

CHUNK = 1 << 20

RESERVE = 256 << 20
"""Bytes of the disk that a stream may not take: checkpoints need them."""


def spool_stdin(stream: BinaryIO, path: Path, shown: str = "standard input") -> None:
    """Writes all of the stream to `path`, which appears when it is whole, and replaces an older one.

    Raises RegardError at once if the stream is a terminal, and if the disk would fill.
    """
    if stream.isatty():
        raise RegardError(shown, "is a terminal, not data", "pipe a text into the command, or name a file")
    needed = _known_size(stream)
    free = files.free_bytes(path.parent)
    if free is not None and needed + RESERVE > free:
        raise _full(shown, f"has {needed:,} bytes", free)
    files.write(path, lambda file: _copy(stream, file, path.parent, shown), overwrite=True)


def _copy(stream: BinaryIO, file: BinaryIO, folder: Path, shown: str) -> None:
    copied = 0
    for chunk in _chunks(stream, shown):
        free = files.free_bytes(folder)
        if free is not None and len(chunk) + RESERVE > free:
            raise _full(shown, f"is longer than the first {copied:,} bytes", free)
        file.write(chunk)
        copied += len(chunk)


def _chunks(stream: BinaryIO, shown: str) -> Iterator[bytes]:
    while True:
        try:
            chunk = stream.read(CHUNK)
        except OSError as error:
            raise RegardError(shown, f"cannot be read ({error.strerror})", "give a stream that can be read") from error
        if not chunk:
            return
        yield chunk


def _known_size(stream: BinaryIO) -> int:
    """Bytes of the file behind a `<` redirection; 0 where nobody knows."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


def _full(shown: str, what: str, free: int) -> RegardError:
    do = "free some space, or put the run where there is more"
    return RegardError(shown, f"{what}, and only {free:,} are free (with {RESERVE:,} kept)", do, code=1)
