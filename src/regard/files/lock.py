"""One writer for a run's folder: a kernel lock that dies with its holder, whatever is written inside the file."""

import errno
import json
import os
import socket
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from regard.errors import RegardError
from regard.files import durable

_held: set["Lock"] = set()


class Lock:
    """Held while training: `with Lock(folder): ...`; a second holder is refused, naming the first (R5, R6).

    `no_lock` goes on where the file system cannot lock; it opens no folder that another process has locked.
    The descriptor is closed on exec and in forked children, so that no orphan keeps the lock.
    """

    def __init__(self, folder: Path | str, no_lock: bool = False) -> None:
        self.folder, self.no_lock = Path(folder), no_lock
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        path = self.folder / ".lock"
        with durable.refusing(path):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | durable.NO_LINK, 0o666)
            try:
                self._take(descriptor)
                _write_holder(descriptor)
            except BaseException:
                os.close(descriptor)
                raise
        self._descriptor = descriptor
        _held.add(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Lets go, by closing alone: an explicit unlock in a forked child would free its parent's lock."""
        _held.discard(self)
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _take(self, descriptor: int) -> None:
        where = str(self.folder)
        try:
            _flock(descriptor)
        except BlockingIOError:
            do = "wait until it ends, or stop it, or choose another folder with --out"
            raise RegardError(where, f"{_holder(descriptor)} is writing to this run", do) from None
        except OSError as error:
            if error.errno not in _CANNOT_LOCK:
                raise
            if not self.no_lock:
                what = "this file system cannot lock, so two processes could write to one run"
                do = "give --no-lock if no other process uses this folder"
                raise RegardError(where, what, do) from None


_CANNOT_LOCK = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


def holds(folder: Path) -> bool:
    """Whether this process holds the folder's lock, or was told to go on without one."""
    return any(os.path.realpath(lock.folder) == os.path.realpath(folder) for lock in _held)


def _flock(descriptor: int) -> None:
    try:
        import fcntl
    except ImportError:  # not a POSIX system
        raise OSError(errno.ENOTSUP, "no flock") from None
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _write_holder(descriptor: int) -> None:
    """For the sentence that the next one reads; it decides nothing."""
    started = datetime.now().astimezone().isoformat(timespec="seconds")
    raw = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "started": started}).encode()
    with suppress(OSError):  # a full disk shall not keep anyone from reading or freeing
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, raw + b"\n", 0)


def _holder(descriptor: int) -> str:
    for _ in range(20):
        time.sleep(0.01)  # it may have taken the lock a moment ago and be about to write its name
        with suppress(ValueError, KeyError, TypeError):
            said = json.loads(os.pread(descriptor, 4096, 0))
            return f"process {int(said['pid'])} on {said['host']}, started {said['started']},"
    return "another process"


def _forget_in_child() -> None:
    for lock in list(_held):
        lock.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
