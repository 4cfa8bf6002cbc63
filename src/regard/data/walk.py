"""The files of a folder, each once, in one order on every file system; what is passed over is counted (T11)."""

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from regard.data.decode import Entry
from regard.data.sniff import Unreadable
from regard.errors import Notice, noticed

Identity = tuple[int, int]
"""Device and inode: two names with the same are one file."""


@dataclass
class Walk:
    """Walks folders; a file or folder that was met under another name is not taken again."""

    entries: list[Entry] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    """Names of all folders below the roots, as the entries' are."""
    unreadable: list[Unreadable] = field(default_factory=list)
    met: set[Identity] = field(default_factory=set)
    _passed: dict[str, list[str]] = field(default_factory=dict)

    def folder(self, root: Path) -> None:
        """Takes the regular files below `root`, by name. Links that lead out of it are not followed."""
        inside = Path(os.path.realpath(root))
        waiting = [root]
        while waiting:
            path = waiting.pop()
            if path != root and path.name.startswith("."):
                self._pass("hidden file(s) or folder(s) skipped", path)
                continue
            try:
                status = os.stat(path)
                if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(inside):
                    self._pass("link(s) out of the folder skipped", path)
                elif not (stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode)):
                    self._pass("pipe(s), socket(s) or device(s) skipped", path)
                elif not self.take((status.st_dev, status.st_ino)):
                    self._pass("second name(s) of the same file or folder skipped", path)
                elif stat.S_ISREG(status.st_mode):
                    self.entries.append(Entry(path, _name(path.relative_to(root)), str(path), lenient=True))
                else:
                    if path != root:
                        self.folders.append(_name(path.relative_to(root)))
                    # The last is taken next: a folder's names in order, and all below one before the next one.
                    waiting += sorted(_children(path), key=lambda child: os.fsencode(child.name), reverse=True)
            except OSError as error:
                self._refused(path, error)

    def take(self, identity: Identity) -> bool:
        """Whether this file or folder is met for the first time."""
        new = identity not in self.met
        self.met.add(identity)
        return new

    def notices(self) -> tuple[Notice, ...]:
        """What was passed over: kind, count, five of them."""
        return tuple(one for what, paths in self._passed.items() for one in noticed(what, paths))

    def _pass(self, what: str, path: Path) -> None:
        self._passed.setdefault(what, []).append(str(path))

    def _refused(self, path: Path, error: OSError) -> None:
        if path.is_symlink():
            self._pass("link(s) to nowhere or in a circle skipped", path)
        else:
            do = "make it readable, or leave it out"
            self.unreadable.append(Unreadable(str(path), f"cannot be read ({error.strerror})", do))


def _children(folder: Path) -> list[Path]:
    with os.scandir(folder) as children:
        return [Path(child.path) for child in children]


def _name(relative: Path) -> str:
    """The name below the folder; bytes that are no UTF-8 are escaped, for JSON."""
    return os.fsencode(relative.as_posix()).decode("utf-8", "backslashreplace")
