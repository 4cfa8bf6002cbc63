"""Where pictures or sounds lie: loose files or an archive; each gives them in one order, as often as it is asked."""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, BinaryIO, Protocol

import numpy as np
import numpy.typing as npt

from regard.data.content import LARGEST, digest_of, steady, taken
from regard.data.decode import Entry, State
from regard.data.packed import BROKEN, unpacked
from regard.data.picture_decode import examine, not_read
from regard.data.picture_kinds import HEAD, READ, format_of, is_hidden, is_named_so, other_format_of
from regard.data.sniff import Unreadable
from regard.data.tar import Damaged, TarMember, tar_members
from regard.data.zips import BadMember, ZipMember, zip_members

ZIP = (b"PK\x03\x04", b"PK\x05\x06")
MOST_MEMBERS = 2_000_000
MOST_BESIDE = 64 << 20
"""Bytes of all the small files with labels that are kept."""

_BROKEN: tuple[type[Exception], ...] = (Damaged, *BROKEN)
_LABELS = re.compile(r"(?:.*/)?metadata\.(?:jsonl|csv)|.*\.(?:cls|txt)")
_LEADS_OUT = re.compile(r"/|[A-Za-z]:|(?:.*/)?\.\.(?:/|$)")


@dataclass(frozen=True)
class Given:
    """A picture or sound as it lies there."""

    name: str
    """Relative to what was given, with `/` between folders."""
    shown: str
    """What refusals call it."""
    content: bytes | npt.NDArray[np.uint8] | Unreadable
    """A file's bytes; or pixels (height, width, channels); or why there are none."""


@dataclass(frozen=True)
class Wanted:
    """What is looked for, and how one of it is told and measured."""

    things: str
    """What refusals call them, in the plural."""
    formats: str
    """Those that are read."""
    takes: Callable[[bytes, str, str], bool | Unreadable]
    """(first bytes, name, what refusals call it) -> whether it is one; or why it is a bad one."""
    measure: Callable[[bytes | npt.NDArray[np.uint8], str], tuple[int, int, int]]
    """Its sizes, before it is decoded; the last is how many channels it has. Raises Unreadable."""

    @property
    def thing(self) -> str:
        return self.things.removesuffix("s")

    @property
    def others(self) -> str:
        """What is said of other files."""
        return f"file(s) other than {self.things} ignored"


def _is_picture(head: bytes, name: str, shown: str) -> bool | Unreadable:
    """By content, whatever the name says; but what is named as a picture and is none is a bad picture (P1, P3)."""
    if format_of(head, name):
        return True
    return not_read(head, shown) if is_named_so(name) or other_format_of(head) else False


def _size_of(content: bytes | npt.NDArray[np.uint8], shown: str) -> tuple[int, int, int]:
    """Height, width and channels."""
    if isinstance(content, bytes):
        header = examine(content, shown)
        return header.height, header.width, header.channels
    height, width, channels = content.shape
    return height, width, channels


PICTURES = Wanted("pictures", READ, _is_picture, _size_of)


@dataclass
class Aside:
    """What was met beside what was looked for."""

    wanted: Wanted
    passed: dict[str, list[str]] = field(default_factory=dict)
    """What was passed over: of what kind, and its names."""
    folders: set[str] = field(default_factory=set)
    """Folders that an archive names."""
    labels: dict[str, bytes] = field(default_factory=dict)
    """Small files that may hold labels."""
    _room: int = MOST_BESIDE

    def skip(self, kind: str, name: str) -> None:
        self.passed.setdefault(kind, []).append(name)

    def sort(self, name: str, shown: str, size: int, read: Callable[[int], bytes]) -> bytes | Unreadable | None:
        """The bytes of what is wanted, or why there are none; None for another file, which is kept or counted here."""
        head = read(HEAD)
        its = self.wanted.takes(head, name, shown)
        if isinstance(its, Unreadable):
            return its
        if its:
            too_large = Unreadable(shown, f"has more than {LARGEST >> 20} MB", "make it smaller")
            return too_large if size > LARGEST else head + read(size - len(head))
        if _LABELS.fullmatch(name) and size <= self._room:
            self._room -= size
            self.labels[name] = head + read(size - len(head))
        else:
            self.skip(self.wanted.others, shown)
        return None


class Places(Protocol):
    """Where they lie."""

    @property
    def shown(self) -> str: ...

    def given(self, aside: Aside) -> Iterator[Given]:
        """Each picture or sound, in the same order each time; `aside` gets to know the rest.

        Raises RegardError if what is read has changed since the first time, Unreadable if all of it is damaged.
        """

    def described(self) -> list[dict[str, Any]]:
        """What tells later whether it is the same: name, size and SHA-256, of folders also how many there are."""


class Loose:
    """Files in folders, or named one by one."""

    def __init__(self, entries: Sequence[Entry], shown: str) -> None:
        self.entries, self.shown = entries, shown
        self._states: dict[int, State] = {}
        self._folders: dict[str, _Folder] | None = None

    def given(self, aside: Aside) -> Iterator[Given]:
        """As Places says."""
        folders = dict[str, _Folder]()
        for number, entry in enumerate(self.entries):
            content: bytes | Unreadable | None
            try:
                with steady(entry.path, entry.shown, self._states.get(number)) as (file, state):
                    content = aside.sort(entry.name, entry.shown, state.size, partial(taken, file))
                self._states[number] = state
            except Unreadable as error:
                content = error
            if content is not None:
                if self._folders is None:
                    name = entry.name.rpartition("/")[0]
                    folders.setdefault(name, _Folder(name, aside.wanted.things)).add(entry.name, content)
                yield Given(entry.name, entry.shown, content)
        self._folders = self._folders or folders

    def described(self) -> list[dict[str, Any]]:
        """Folder by folder."""
        return [folder.described() for folder in (self._folders or {}).values()]


@dataclass
class _Folder:
    """What lies right inside a folder, and one digest of their names and contents."""

    name: str
    things: str
    count: int = 0
    size: int = 0
    _digest: Any = field(default_factory=hashlib.sha256)

    def add(self, name: str, content: bytes | Unreadable) -> None:
        own = b"" if isinstance(content, Unreadable) else content
        self.count += 1
        self.size += len(own)
        self._digest.update(name.encode() + b"\0" + hashlib.sha256(own).digest())

    def described(self) -> dict[str, Any]:
        sha256 = self._digest.hexdigest()
        return {"name": self.name or ".", self.things: self.count, "size": self.size, "sha256": sha256}


class Archive:
    """A tar archive, packed or not, or a zip archive. Nothing of it is ever written out (P15)."""

    def __init__(self, entry: Entry) -> None:
        self.entry, self.shown = entry, entry.shown
        self._state: State | None = None
        self._sha256 = ""

    def given(self, aside: Aside) -> Iterator[Given]:
        """As Places says."""
        with steady(self.entry.path, self.shown, self._state) as (file, state):
            if self._state is None:
                self._sha256 = digest_of(file)
            self._state = state
            try:
                yield from self._of(members(file, state.size), aside)
            except _BROKEN as error:
                do = "make it anew, or give the folder that it was made of"
                raise Unreadable(self.shown, f"is a damaged archive: {error or type(error).__name__}", do) from error

    def described(self) -> list[dict[str, Any]]:
        """The archive as a whole."""
        return [{"name": self.entry.name, "size": self._state.size if self._state else 0, "sha256": self._sha256}]

    def _of(self, found: Iterable[TarMember | ZipMember], aside: Aside) -> Iterator[Given]:
        names = set[str]()
        for number, member in enumerate(found):
            if number >= MOST_MEMBERS:
                raise Damaged(f"it has more than {MOST_MEMBERS:,} members")
            name = re.sub(r"^(\./+)+|/+$", "", member.name)
            shown = f"{self.shown}: {name}"
            if not name or (is_hidden(name) and not _LEADS_OUT.match(name)):
                if member.kind != "folder":
                    aside.skip("hidden archive member(s) ignored", shown)
            elif _LEADS_OUT.match(name):
                aside.skip("archive member(s) with a name that leads out of it ignored", shown)
            elif member.kind == "folder":
                aside.folders.add(name)
            elif name in names:
                aside.skip("second archive member(s) of the same name ignored", shown)
            elif member.kind != "file":
                aside.skip(f"archive member(s) other than plain files ({member.kind}) ignored", shown)
            else:
                names.add(name)
                try:
                    content = aside.sort(name, shown, member.size, member.read)
                except BadMember as error:
                    content = Unreadable(self.shown, str(error), "make the archive anew")
                if content is not None:
                    yield Given(name, shown, content)


def members(file: BinaryIO, size: int) -> Iterable[TarMember | ZipMember]:
    """What lies in an archive, in order; which kind of archive its first bytes say."""
    file.seek(0)
    if file.read(4) in ZIP:
        return zip_members(file, size)
    return tar_members(unpacked(file, size))
