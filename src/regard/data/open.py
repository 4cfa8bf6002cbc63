"""What is this? The one place where that is decided, in one written order.

1. `-` is standard input. 2. A path that is not there is refused. 3. A pipe (FIFO, /dev/fd/N, /dev/stdin) is read as a
stream. 4. What lies in /proc or /sys is refused. 5. A folder is walked. 6. What is no regular file is refused. 7. If
more of the files are pictures, or archives or arrays of them, than are not, they are pictures (picture_vote.py); what
comes in a stream never is. 8. If more of them are sounds, or archives of sounds, than are not, they are sounds
(sound_kinds.py). 9. If more of them are tables (.csv, .tsv, .jsonl) whose first line has the columns text and label
than are not, they are labelled texts, unless language is asked. 10. Where classification is asked, all else is labelled
texts, too: .txt files in a folder for each class. 11. One table (.csv, .tsv) whose cells below the names are all
numbers, but for a first column of dates or times, is a series, unless language is asked; where forecasting is, all else
is refused. 12. Files named .jsonl or .ndjson are rows with a text each. 13. Any other file is one text, unless its
first bytes say that it is something else (sniff.py): then it is refused, or skipped and counted inside a folder.
"""

import json
import os
import shutil
import stat
import sys
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import BinaryIO

from regard.data.decode import Entry
from regard.data.labelled_text import LabelledTextSource
from regard.data.labelled_text_open import WANTED, are_tables, could_be_classes, open_labelled_texts
from regard.data.picture_open import Asked, Root, open_pictures
from regard.data.picture_vote import picture_kind
from regard.data.pictures import PictureSource
from regard.data.scan import Found, scan
from regard.data.series import WANTED as WANTED_SERIES
from regard.data.series import SeriesSource, open_series
from regard.data.sniff import STANDARD_INPUT, check_encoding
from regard.data.sound_kinds import misnamed, sound_kind
from regard.data.sound_open import open_sounds
from regard.data.sounds import SoundSource
from regard.data.spool import spool_stdin
from regard.data.text import ROWS, Reading, TextSource
from regard.data.walk import Walk
from regard.errors import Notice, RegardError, noticed

__all__ = ["Source", "open_source", "spool_stdin"]

Source = TextSource | PictureSource | SoundSource | LabelledTextSource | SeriesSource

LANGUAGE, CLASSIFICATION, DISTILLATION, FORECASTING = "language", "classification", "distillation", "forecasting"
_NO_DATA = ("/proc", "/sys")


def open_source(
    paths: Sequence[str],
    *,
    encoding: str | None = None,
    skip_bad: bool = False,
    text_key: str = "text",
    spool: Path | None = None,
    resume: bool = False,
    scoring: bool = False,
    task: str | None = None,
) -> Source:
    """Finds out what the paths are, and reads all of it once; `scoring` takes what is only to be scored.

    task: what is asked of it, where that is known. It decides between texts with labels and a corpus.

    A stream is kept in the file `spool` (that of the second path in `spool` with .1 at its end), or in a temporary file
    that lives as long as the source. With `resume` a stream is not read: what was kept of it stands for it.
    Raises RegardError naming the path or the line, and what to do; then nothing new is kept.
    """
    reading = Reading(check_encoding(encoding), skip_bad, text_key)
    if not paths:
        raise RegardError("data", "nothing was given to read", "name a file, a folder, or - for standard input")
    opening, said = _Opening(spool, resume), list[Notice]()
    try:
        for number, path in enumerate(paths):
            opening.add(path, number)
        walk, name = opening.walk, _run_name(paths[0])
        shown = _shown(paths[0]) if len(paths) == 1 else f"{_shown(paths[0])} and {len(paths) - 1} more"
        if not walk.entries and not walk.unreadable:
            passed = "".join(f", but {notice}" for notice in walk.notices())
            raise RegardError(shown, f"there is no file in it{passed}", "give texts, pictures, sounds or a table")
        asked = Asked(name, shown, walk.unreadable, walk.notices(), skip_bad, scoring, task != DISTILLATION)
        if not opening.streams:
            kind = picture_kind(walk.entries)
            if kind is not None:
                return open_pictures(kind, opening.roots, asked)
            kind = sound_kind(walk.entries)
            if kind is not None:
                return open_sounds(kind, opening.roots, asked)
            if task == CLASSIFICATION or (task != LANGUAGE and are_tables(walk.entries, reading)):
                return open_labelled_texts(opening.roots, reading, asked)
            if task != LANGUAGE:
                series = open_series(walk.entries, reading, asked, certain=task == FORECASTING)
                if isinstance(series, SeriesSource):
                    return series
                said += series
                if task is None and not scoring and not series:
                    said += could_be_classes(walk.entries, reading)
        elif task == CLASSIFICATION:
            raise RegardError(shown, "what comes in a stream has no labels", WANTED)
        elif task == FORECASTING:
            raise RegardError(shown, "what comes in a stream is read as text", WANTED_SERIES)
        notices = (*walk.notices(), *opening.notices(), *said, *misnamed(walk.entries))
        source = scan(
            Found(name=name, shown=shown, entries=walk.entries, unreadable=walk.unreadable, notices=notices), reading
        )
    except BaseException:
        opening.discard()
        raise
    if opening.temporary:
        weakref.finalize(source, shutil.rmtree, opening.temporary, True)
    return source


class _Opening:
    """The paths become files to read."""

    def __init__(self, spool: Path | None, resume: bool) -> None:
        self.walk = Walk()
        self.roots: list[Root] = []
        self.streams = False
        self._unnamed_rows: list[str] = []
        self.temporary: Path | None = None
        self._spool, self._resume = spool, resume
        self._made: list[Path] = []

    def add(self, path: str, number: int) -> None:
        """Decides what the path is; `number` is its place on the command line."""
        entries, folders = len(self.walk.entries), len(self.walk.folders)
        self._add(path, number)
        self.roots.append(Root(path, self.walk.entries[entries:], self.walk.folders[folders:]))

    def _add(self, path: str, number: int) -> None:
        kept = self._kept(number)
        if self._resume and kept and kept.exists():
            return self._take_stream(path, kept)
        if path == "-":
            return self._read_stream(_standard_input(), path, number)
        status = _status(path)
        if stat.S_ISFIFO(status.st_mode):
            with open(path, "rb", buffering=0) as stream:
                return self._read_stream(stream, path, number)
        if any(Path(os.path.realpath(path)).is_relative_to(place) for place in _NO_DATA):
            raise RegardError(path, "is made up by the system, no data", "name a file or a folder of your own")
        if stat.S_ISDIR(status.st_mode):
            return self.walk.folder(Path(path))
        if not stat.S_ISREG(status.st_mode):
            raise RegardError(path, "is a device or a socket, no file", "name a file, a folder, a pipe, or -")
        if self.walk.take((status.st_dev, status.st_ino)):
            self._take(Entry(Path(path), Path(path).name, path))
        return None

    def notices(self) -> list[Notice]:
        """What is odd about the files that were named."""
        what = "file(s) of JSON rows taken as plain text; named .jsonl, the text of each row is read"
        return noticed(what, self._unnamed_rows)

    def discard(self) -> None:
        """Removes what was kept of streams."""
        for path in self._made:
            path.unlink(missing_ok=True)
        if self.temporary:
            shutil.rmtree(self.temporary, ignore_errors=True)

    def _kept(self, number: int) -> Path | None:
        if self._spool is None or number == 0:
            return self._spool
        return self._spool.with_name(f"{self._spool.name}.{number}")

    def _read_stream(self, stream: BinaryIO, path: str, number: int) -> None:
        if self._resume and self._spool:
            raise RegardError(_shown(path), "was not kept when this run began", "start a new run")
        kept = self._kept(number)
        if kept is None:
            self.temporary = self.temporary or Path(tempfile.mkdtemp(prefix="regard-"))
            kept = self.temporary / str(number)
        spool_stdin(stream, kept, _shown(path))
        self._made.append(kept)
        self._take_stream(path, kept)

    def _take_stream(self, path: str, kept: Path) -> None:
        self.streams = True
        self._take(Entry(kept, "stdin" if path == "-" else Path(path).name, _shown(path)))

    def _take(self, entry: Entry) -> None:
        self.walk.entries.append(entry)
        if PurePath(entry.name).suffix.lower() not in ROWS and _begins_with_a_row(entry.path):
            self._unnamed_rows.append(entry.shown)


def _shown(path: str) -> str:
    return STANDARD_INPUT if path == "-" else path


def _standard_input() -> BinaryIO:
    if sys.stdin is None:
        raise RegardError(STANDARD_INPUT, "is closed", "pipe a text into the command, or name a file")
    return sys.stdin.buffer


def _status(path: str) -> os.stat_result:
    try:
        return os.stat(path)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        parent = next((str(parent) for parent in Path(path).parents if os.path.isdir(parent)), ".")
        parent = "the working folder" if parent == "." else parent
        why = (
            "is not there"
            if isinstance(error, FileNotFoundError | NotADirectoryError | ValueError)
            else "cannot be read"
        )
        raise RegardError(path, why, f"check the name; the nearest folder that is there is {parent}") from error


def _run_name(path: str) -> str:
    """What a run on this path is called."""
    if path == "-":
        return "stdin"
    if path.startswith("/dev/"):
        return "pipe"
    return Path(path).stem.removesuffix(".tar") or Path(os.path.realpath(path)).name or "data"


def _begins_with_a_row(path: Path) -> bool:
    """Whether the first line is a JSON object."""
    try:
        with open(path, "rb") as file:
            line = file.readline(1 << 16)
        return line.startswith(b"{") and isinstance(json.loads(line), dict)
    except (OSError, ValueError, RecursionError):
        return False
