"""One file as a stream of text: read strictly, in bounded memory, and refused if it changes meanwhile."""

import codecs
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from regard.data.sniff import HEAD, Encoding, NotText, OtherEncoding, Unreadable, encoding_of
from regard.errors import RegardError

CHUNK = 1 << 20
"""Bytes read at once; at least HEAD."""

_AGAIN = "try again when nothing writes to it"


@dataclass(frozen=True)
class Entry:
    """A file that was found."""

    path: Path
    name: str
    """Relative to the folder that was given: what fingerprints say."""
    shown: str
    """As the user gave it: what refusals say."""
    lenient: bool = False
    """Found inside a folder: skipped and counted where a named file is refused."""


@dataclass(frozen=True)
class State:
    """What tells that a file has changed."""

    size: int
    mtime_ns: int
    inode: int
    device: int

    @classmethod
    def of(cls, status: os.stat_result) -> "State":
        return cls(status.st_size, status.st_mtime_ns, status.st_ino, status.st_dev)


@dataclass
class TextFile:
    """A file and how its bytes become text; `state`, `sha256` and `encoding` are known once it has been read."""

    entry: Entry
    given: str | None = None
    """The encoding that was asked for; None means UTF-8, and a byte order mark decides before either."""
    state: State | None = None
    sha256: str = ""
    encoding: Encoding = field(default_factory=lambda: Encoding("utf-8"))

    @property
    def name(self) -> str:
        """Relative to the folder that was given."""
        return self.entry.name

    @property
    def shown(self) -> str:
        """As the user gave it."""
        return self.entry.shown

    @property
    def size(self) -> int:
        """Bytes."""
        return self.state.size if self.state else 0

    def chunks(self) -> Iterator[str]:
        """The text, its line ends as they are. Raises Unreadable, NotText, or RegardError if it changes meanwhile."""
        digest = hashlib.sha256()
        decoder: _Decoder | None = None
        for chunk in self._bytes():
            digest.update(chunk)
            if decoder is None:
                self.encoding = encoding_of(chunk[:HEAD], self.shown, self.given)
                decoder = _Decoder(self.encoding, self.shown)
            yield decoder.text(chunk)
        if decoder is not None:
            yield decoder.text(b"", final=True)
        if self.sha256 not in ("", digest.hexdigest()):
            raise RegardError(self.shown, "changed while being read", _AGAIN)
        self.sha256 = digest.hexdigest()

    def _bytes(self) -> Iterator[bytes]:
        name, opened = self.shown, False
        try:
            # Not waiting: since it was found to be a file, a pipe without a writer may have taken its place.
            flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
            descriptor = os.open(self.entry.path, flags)
            with os.fdopen(descriptor, "rb", buffering=0) as file:
                before, opened = os.fstat(descriptor), True
                if not stat.S_ISREG(before.st_mode):
                    raise RegardError(name, "changed while being read: it is no file any more", _AGAIN)
                state = State.of(before)
                if self.state not in (None, state):
                    raise RegardError(name, "changed while being read", _AGAIN)
                while chunk := file.read(CHUNK):
                    yield chunk
                if state != State.of(os.stat(self.entry.path)):
                    raise RegardError(name, "changed while being read", _AGAIN)
                self.state = state
        except OSError as error:
            if opened and isinstance(error, FileNotFoundError):
                raise RegardError(name, "changed while being read: it is gone", _AGAIN) from error
            raise Unreadable(name, f"cannot be read ({error.strerror})", "give a file that can be read") from error


class _Decoder:
    """Bytes to text, strictly; says line and offset of what is wrong."""

    def __init__(self, encoding: Encoding, name: str) -> None:
        self._decode = codecs.getincrementaldecoder(encoding.name)("strict").decode
        self._encoding, self._name = encoding, name
        self._skip = encoding.mark
        self._read = self._lines = 0

    def text(self, chunk: bytes, *, final: bool = False) -> str:
        self._read += len(chunk)
        try:
            text = self._decode(chunk[self._skip :], final)
        except UnicodeDecodeError as error:
            raise self._refusal(error) from error
        self._skip = 0
        # A NUL is text in no file that a person wrote; in UTF-8 it is what binary data look like.
        if "\0" in text:
            line = self._lines + text.count("\n", 0, text.index("\0")) + 1
            raise NotText(f"{self._name}:{line}", "is binary: it holds a NUL character", "leave it out")
        self._lines += text.count("\n")
        return text

    def _refusal(self, error: UnicodeDecodeError) -> OtherEncoding:
        good = error.object[: error.start]
        line = self._lines + good.decode(self._encoding.name, "replace").count("\n") + 1
        offset = self._read - len(error.object) + error.start
        name = self._encoding.name.upper() if self._encoding.name.startswith("utf") else self._encoding.name
        what = f"byte 0x{error.object[error.start]:02X} at offset {offset:,} is not {name}"
        if any(word in error.reason for word in ("end of data", "truncated", "incomplete")):
            what = f"ends within a character of {name}, at offset {offset:,}"
        do = "give the file's encoding, for instance --encoding latin-1 or cp1252"
        return OtherEncoding(f"{self._name}:{line}", what, do)


@dataclass
class LineEnds:
    """How many line ends became a line feed (T6); U+2028, U+0085, form feeds and the like stay what they are."""

    pairs: int = 0
    """Carriage return and line feed."""
    returns: int = 0
    """Lone carriage returns."""

    def made_one(self, chunks: Iterable[str]) -> Iterator[str]:
        """The same text with line feeds alone."""
        held = ""
        for chunk in chunks:
            chunk = held + chunk
            held = "\r" if chunk.endswith("\r") else ""  # a line feed may follow in the next chunk
            yield self.made_one_in(chunk[: len(chunk) - len(held)])
        yield self.made_one_in(held)

    def made_one_in(self, text: str) -> str:
        """A whole text with line feeds alone."""
        if "\r" not in text:
            return text
        pairs = text.count("\r\n")
        self.pairs += pairs
        self.returns += text.count("\r") - pairs
        return text.replace("\r\n", "\n").replace("\r", "\n")


def with_line_feeds(text: str) -> str:
    """The text with every line end a line feed: what training saw, for prompts too."""
    return LineEnds().made_one_in(text)
