"""The few operations by which regard changes a disk, each of which a test can watch, fail or be killed at.

Everything here raises OSError as the system does; `refusing` turns it into a RegardError where a person is told.
Source of the order of operations: bad-inputs 3.2; PostgreSQL's `durable_rename`; Pillai et al. 2014 (ALICE).
"""

import errno
import hashlib
import io
import os
import secrets
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from regard.errors import RegardError

hook: Callable[[str, str], None] | None = None
"""For tests: called as hook("fsync", path) before and hook("fsync done", path) after each operation.

The operations: open, write, fsync, rename (path is "old -> new"), mkdir, remove, rmdir, truncate, fsync folder.
"""

Content = bytes | Callable[[BinaryIO], None]
"""What goes into a file: the bytes, or a function that writes them into the file object it is given."""

NO_LINK = getattr(os, "O_NOFOLLOW", 0)
"""A folder from a stranger may hold a link named log.jsonl or .lock that leads to a file of the user's."""

PIECE = 4 << 20
"""Bytes handed to the system at once: few calls, and a signal or a full disk is noticed between two."""


@dataclass(frozen=True)
class Written:
    """What a file holds, as found while it was written."""

    size: int
    sha256: str


@contextmanager
def _watched(operation: str, path: Path | str) -> Iterator[None]:
    if hook is not None:
        hook(operation, str(path))
    yield
    if hook is not None:
        hook(operation + " done", str(path))


class StreamedFile(io.RawIOBase):
    """A file that can only be written from front to back, keeping its size and SHA-256.

    It offers no fileno(), for what is written past it (numpy's tofile, say) would be missing from the digest.
    """

    def __init__(self, descriptor: int, path: Path) -> None:
        self._descriptor, self._path = descriptor, path
        self._digest, self._size = hashlib.sha256(), 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._size

    def write(self, data: Any, /) -> int:
        """Writes all of any buffer; raises OSError."""
        view = memoryview(data).cast("B")
        write_all(self._descriptor, view, self._path)
        self._digest.update(view)
        self._size += len(view)
        return len(view)

    def written(self) -> Written:
        return Written(self._size, self._digest.hexdigest())


def write_all(descriptor: int, data: memoryview | bytes, path: Path) -> None:
    """Writes everything, however little the system takes at a time."""
    rest = memoryview(data)
    while len(rest):
        with _watched("write", path):
            rest = rest[os.write(descriptor, rest[:PIECE]) :]


def create(path: Path, content: Content) -> Written:
    """Makes a new file and brings its bytes to the disk; raises FileExistsError where there is one already.

    The descriptor that was written is the one that is fsynced: an error that the system met while writing back is told
    to that descriptor, and only once. A file whose fsync failed is left to the caller to remove, never tried again.
    """
    with _watched("open", path):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        file = StreamedFile(descriptor, path)
        if isinstance(content, bytes):
            file.write(content)
        else:
            content(cast(BinaryIO, file))
        sync(descriptor, path)
    finally:
        os.close(descriptor)
    return file.written()


def open_to_append(path: Path) -> int:
    """A descriptor at the end of a file, which is made if missing."""
    with _watched("open", path):
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | NO_LINK, 0o666)


def truncate(descriptor: int, size: int, path: Path) -> None:
    with _watched("truncate", path):
        os.ftruncate(descriptor, size)


def sync(descriptor: int, path: Path) -> None:
    with _watched("fsync", path):
        _to_disk(descriptor)


def sync_folder(path: Path) -> None:
    """Brings the names in a folder to the disk: a file without its name is lost as well."""
    if os.name == "nt":  # Windows cannot open a folder, and keeps names itself
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with _watched("fsync folder", path):
            _to_disk(descriptor)
    finally:
        os.close(descriptor)


def _to_disk(descriptor: int) -> None:
    if sys.platform == "darwin":  # there fsync stops at the drive's own cache
        import fcntl

        try:
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTSUP, errno.ENOTTY, errno.EINVAL):
                raise
    os.fsync(descriptor)


def sync_tree(path: Path) -> None:
    """fsync of every file and folder below `path`, and of itself: for what another library has written there."""
    for entry in sorted(os.scandir(path), key=lambda entry: entry.name):
        if entry.is_dir(follow_symlinks=False):
            sync_tree(Path(entry.path))
        elif entry.is_file(follow_symlinks=False):
            descriptor = os.open(entry.path, os.O_RDONLY)
            try:
                sync(descriptor, Path(entry.path))
            finally:
                os.close(descriptor)
    sync_folder(path)


def rename(old: Path, new: Path) -> None:
    with _watched("rename", f"{old} -> {new}"):
        os.rename(old, new)


def mkdir(path: Path) -> None:
    with _watched("mkdir", path):
        os.mkdir(path)


def make_folder(path: Path) -> Path:
    """The folder with its missing parents, each one's name brought to the disk; returns `path`."""
    if not path.is_dir():
        if path.parent != path:
            make_folder(path.parent)
        try:
            mkdir(path)
        except FileExistsError:
            if not path.is_dir():  # another process may have made the same folder a moment ago
                raise
        sync_folder(path.parent)
    return path


def remove(path: Path) -> None:
    with _watched("remove", path):
        os.unlink(path)


def remove_tree(path: Path) -> None:
    """Removes a folder and what it holds; a link is removed, never followed."""
    for entry in list(os.scandir(path)):
        if entry.is_dir(follow_symlinks=False):
            remove_tree(Path(entry.path))
        else:
            remove(Path(entry.path))
    with _watched("rmdir", path):
        os.rmdir(path)


def discard(path: Path) -> None:
    """Removes a file or folder of ours if that can be done; what stays is a leftover that nobody reads."""
    with suppress(OSError):
        if stat.S_ISDIR(os.lstat(path).st_mode):
            remove_tree(path)
        else:
            remove(path)


def unused(folder: Path, kind: str) -> Path:
    """A free name in a folder: .KIND-PID-RANDOM."""
    return folder / f".{kind}-{os.getpid()}-{secrets.token_hex(4)}"


def free_bytes(path: Path) -> int | None:
    """Bytes that this user may still write there, or None where the file system does not say."""
    usage = shutil.disk_usage(path)
    return usage.free if usage.total else None


_ELSEWHERE = "choose another place or change its rights"
_AGAIN = "free some space and give the same command again"
_MEANING = {  # errno: what it means, what to do, exit code (2: the command's fault, 1: the machine's)
    errno.ENOSPC: ("the disk is full", _AGAIN, 1),
    errno.EDQUOT: ("your quota on this disk is used up", _AGAIN, 1),
    errno.EFBIG: ("the file would grow past the limit for one file", "raise the limit (`ulimit -f`)", 1),
    errno.EIO: ("the disk reports an error", "check the disk and the system's messages", 1),
    errno.EMFILE: ("too many files are open", "raise the limit (`ulimit -n`)", 1),
    errno.EROFS: ("the file system is read-only", _ELSEWHERE, 2),
    errno.EACCES: ("you may not write or read there", _ELSEWHERE, 2),
    errno.EPERM: ("you may not write or read there", _ELSEWHERE, 2),
    errno.ENOENT: ("there is no such file or folder", "check the spelling, or make the folder first", 2),
    errno.ENOTDIR: ("a part of this path is a file, not a folder", "choose another place", 2),
    errno.ELOOP: ("this is a link, which is not followed here", "put the file itself in its place", 2),
    errno.EISDIR: ("this is a folder", "name a file", 2),
    errno.ENAMETOOLONG: ("the name is too long", "choose a shorter one", 2),
}


def refusal(path: Path | str, error: OSError) -> RegardError:
    """The sentence for a person: which path, what the system said, what to do."""
    unknown = (error.strerror or type(error).__name__, "check the disk and the path", 1)
    what, do, code = _MEANING.get(error.errno or 0, unknown)
    return RegardError(str(path), what, do, code)


@contextmanager
def refusing(path: Path | str) -> Iterator[None]:
    """Raises RegardError, naming `path`, for any OSError inside."""
    try:
        yield
    except OSError as error:
        raise refusal(path, error) from error
