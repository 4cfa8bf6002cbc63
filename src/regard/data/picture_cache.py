"""Pictures, and sounds as pictures, on the disk as a model takes them: each decoded once, by threads, into one file.

In a run's folder: cache/pictures.u8, the bytes of (count, height, width, channels), which are mapped;
cache/pictures.safetensors, what is known of each; and last, so that without it nothing else counts,
cache/pictures.json. Of sounds the names begin with sounds. Pillow, hashlib and numpy work outside Python's lock, so
threads are enough.
"""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from regard import files
from regard.data.class_split import HELD_OUT, TRAIN
from regard.data.copies import digest
from regard.data.labelled import overlap
from regard.data.names import Names, names_of, taken_from
from regard.data.ordered import in_order
from regard.data.picture_facts import Prints, settle
from regard.data.picture_sets import Aside, Given, Places, Wanted
from regard.data.sniff import Unreadable
from regard.data.spool import RESERVE
from regard.errors import Notice, RegardError, places

CACHE = "cache"
FORMAT = 1
Pixels = npt.NDArray[np.uint8]
TOGETHER = 1 << 20
"""Bytes of pictures whose coarse brightness is taken at once."""


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """The pictures of a run, or its sounds, mapped from the disk."""

    pictures: npt.NDArray[np.uint8]
    """(count, height, width, channels)"""
    labels: npt.NDArray[np.int32]
    """(count,) the class's number, -1 without labels."""
    parts: npt.NDArray[np.uint8]
    """(count,) TRAIN (0) or HELD_OUT (1)."""
    copied: npt.NDArray[np.bool_]
    """(count,) held-out pictures of which training has a copy: the score is also given without them (P11)."""
    prints: Prints
    """What tells whether they are the same as others."""
    names: Names
    """What each is called, relative to what was given."""
    classes: tuple[str, ...]
    notices: tuple[Notice, ...]
    """What was skipped, changed or found while decoding, each with its count."""

    @property
    def height(self) -> int:
        return int(self.pictures.shape[1])

    @property
    def width(self) -> int:
        return int(self.pictures.shape[2])

    @property
    def channels(self) -> int:
        return int(self.pictures.shape[3])

    def rows(self, part: str) -> npt.NDArray[np.int64]:
        """The numbers of the pictures of "train", "held_out" or "all"."""
        if part == "all":
            return np.arange(len(self.labels))
        return np.flatnonzero(self.parts == {"train": TRAIN, "held_out": HELD_OUT}[part])

    def copied_in(self, other: "Decoded") -> npt.NDArray[np.bool_]:
        """(count of the other,) which of its pictures, of the same size, are copies of one that is learnt from here."""
        mine = self.rows("train")
        one, two = self.prints, other.prints
        both = Prints(np.concatenate([one.digests[mine], two.digests]), np.concatenate([one.fields[mine], two.fields]))
        parts = np.full(len(both.digests), HELD_OUT, np.uint8)
        parts[: len(mine)] = TRAIN
        return overlap(parts, both.groups()[1])[len(mine) :]


class Decoder(Protocol):
    """How a picture or sound becomes bytes of one shape."""

    @property
    def wanted(self) -> Wanted: ...

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""

    @property
    def kinds(self) -> Sequence[str]:
        """What may be done to one, or is worth counting; each has a bit."""

    @property
    def fields(self) -> Callable[[Pixels], Pixels] | None:
        """What tells those that are nearly the same (copies.fields_of); None where only equal ones are sought."""

    def __call__(self, content: bytes | Pixels, shown: str) -> tuple[Pixels, int]:
        """(its bytes, its bits of kinds). Raises Unreadable."""


class Listed(Protocol):
    """What is decoded: what was found, and what is wanted of it (pictures.py, sounds.py)."""

    @property
    def kind(self) -> str:
        """pictures or sounds."""

    @property
    def shown(self) -> str: ...

    @property
    def classes(self) -> tuple[str, ...]: ...

    @property
    def labels(self) -> npt.NDArray[np.int32]: ...

    @property
    def parts(self) -> npt.NDArray[np.uint8]: ...

    @property
    def held_from(self) -> str: ...

    @property
    def places(self) -> tuple[Places, ...]: ...

    @property
    def taken(self) -> npt.NDArray[np.bool_]: ...

    @property
    def bad(self) -> tuple[str, ...]: ...

    @property
    def memory(self) -> npt.NDArray[np.int64]:
        """(count,) bytes that each takes while it is decoded."""


class _Job(NamedTuple):
    given: Given
    label: int
    part: int


def too_many(bad: Sequence[str], seen: int, shown: str, things: str) -> None:
    """Raises RegardError where more than 1 % and more than 3 of them cannot be read (bad-inputs, rule 6)."""
    if len(bad) > 3 and len(bad) > 0.01 * seen:
        what = f"{len(bad):,} of {seen:,} {things} cannot be read: {places(bad)}"
        raise RegardError(shown, what, "repair them, or leave them out")


def write_decoded(
    source: Listed, folder: Path, decoder: Decoder, progress: Callable[[int, int], None] | None = None
) -> Decoded:
    """Decodes the source's pictures or sounds into `folder`/cache (PictureSource.decode)."""
    things, shape = source.kind, decoder.shape
    cache = files.make_folder(folder / CACHE)
    pixels, facts_of, stamp = _names(cache, things)
    needed, free = len(source.labels) * math.prod(shape), files.free_bytes(cache)
    if free is not None and needed + RESERVE > free:
        what = f"its {things} at {shape[0]} x {shape[1]} need {needed:,} bytes, and only {free:,} are free"
        raise RegardError(source.shown, what, "free some space, or choose fewer pixels", code=1)
    files.durable.discard(stamp)
    writing = _Writing(source, decoder, progress)
    files.write(pixels, writing, overwrite=True)
    facts, notices = writing.facts()
    files.write(facts_of, files.safetensors_bytes(facts), overwrite=True)
    said = {"format": FORMAT, "shape": [len(facts["labels"]), *shape], "classes": source.classes,
            "notices": [asdict(notice) for notice in notices]}  # fmt: skip
    files.write(stamp, json.dumps(said).encode(), overwrite=True)
    decoded = open_decoded(folder, things)
    assert decoded is not None
    return decoded


def _names(cache: Path, things: str) -> tuple[Path, Path, Path]:
    return cache / f"{things}.u8", cache / f"{things}.safetensors", cache / f"{things}.json"


def open_decoded(folder: Path, things: str = "pictures") -> Decoded | None:
    """The pictures of a run's folder, or its sounds, or None where they are not there as a whole."""
    pixels, facts_of, stamp = _names(folder / CACHE, things)
    try:
        said = json.loads(stamp.read_bytes())
        shape = tuple(map(int, said["shape"]))
        facts = {name: stored.array for name, stored in files.read_safetensors(facts_of)[0].items()}
        names = taken_from(facts)
        labels, parts, copied = facts["labels"], facts["parts"], facts["copied"].astype(np.bool_)
        prints = Prints(facts["digests"], facts["fields"])
        whole = pixels.stat().st_size == math.prod(shape) and len(shape) == 4 and min(shape) > 0
        if said["format"] != FORMAT or not whole or {array.shape[:1] for array in facts.values()} != {shape[:1]}:
            return None
        pictures = np.memmap(pixels, np.uint8, "r", shape=shape)
        notices = tuple(Notice(one["what"], one["count"], tuple(one["places"])) for one in said["notices"])
        classes = tuple(said["classes"])
    except (OSError, ValueError, KeyError, TypeError, RegardError):
        return None
    return Decoded(
        pictures=pictures, labels=labels, parts=parts, copied=copied, prints=prints, names=names, classes=classes,
        notices=notices,
    )  # fmt: skip


class _Writing:
    """The file while it is written: called with it, decodes all pictures or sounds into it in their order."""

    def __init__(self, source: Listed, decoder: Decoder, progress: Callable[[int, int], None] | None) -> None:
        self.source, self.decoder, self.progress = source, decoder, progress
        self._bad = list(source.bad)
        self._labels, self._parts = list[int](), list[int]()
        self._names = list[str]()
        self._digests = bytearray()
        self._waiting, self._fields = list[Pixels](), list[Pixels]()
        self._kinds: list[Notice] = [Notice(kind, 0) for kind in decoder.kinds]

    def __call__(self, file: BinaryIO) -> None:
        source, count = self.source, len(self.source.labels)
        for job, found in in_order(self._jobs(), self._decoded):
            if isinstance(found, Unreadable):
                self._bad.append(f"{found.where} {found.what}")
                too_many(self._bad, count + len(source.bad), source.shown, source.kind)
            else:
                pixels, kinds, its = found
                file.write(pixels.data)
                self._digests += its
                self._waiting.append(pixels)
                if len(self._waiting) * pixels.size > TOGETHER:
                    self._take_fields()
                self._labels.append(job.label)
                self._parts.append(job.part)
                self._names.append(job.given.name)
                self._count(kinds, job.given.name)
            if self.progress:
                self.progress(len(self._labels), count)

    def _jobs(self) -> Iterator[tuple[_Job, int]]:
        """Each picture or sound of the source, and the bytes that it takes packed and while it is decoded."""
        source, aside, place, row = self.source, Aside(self.decoder.wanted), 0, 0
        for where in source.places:
            for given in where.given(aside):
                if source.taken[place]:
                    job = _Job(given, int(source.labels[row]), int(source.parts[row]))
                    size = 0 if isinstance(given.content, Unreadable) else len(given.content)
                    yield job, size + int(source.memory[row]) + math.prod(self.decoder.shape)
                    row += 1
                place += 1

    def _decoded(self, job: _Job) -> tuple[Pixels, int, bytes] | Unreadable:
        given = job.given
        if isinstance(given.content, Unreadable):
            return given.content
        try:
            pixels, kinds = self.decoder(given.content, given.shown)
        except Unreadable as error:
            return error
        return pixels, kinds, digest(pixels)

    def _count(self, kinds: int, name: str) -> None:
        for bit, notice in enumerate(self._kinds):
            if kinds >> bit & 1:
                named = notice.places if len(notice.places) == 5 else (*notice.places, name)
                self._kinds[bit] = Notice(notice.what, notice.count + 1, named)

    def facts(self) -> tuple[dict[str, npt.NDArray[Any]], list[Notice]]:
        """What is known of each, and what is said of all. Raises RegardError if they teach nothing."""
        labels, parts = np.array(self._labels, np.int32), np.array(self._parts, np.uint8)
        prints = Prints(np.frombuffer(bytes(self._digests), "<u8").reshape(-1, 2), self._fields_of_all())
        parts, copied, said = settle(self.source, labels, parts, prints, self._names)
        notices = [
            Notice(f"{self.decoder.wanted.thing}(s) skipped as unreadable", len(self._bad), tuple(self._bad[:5])),
            *(notice for notice in self._kinds if notice.count),
            *said,
        ]
        known = {"labels": labels, "parts": parts, "copied": copied, **prints._asdict()}
        return {**known, **names_of(self._names).facts()}, notices

    def _fields_of_all(self) -> Pixels:
        self._take_fields()
        return np.concatenate(self._fields) if self._fields else np.zeros((len(self._labels), 0, 0), np.uint8)

    def _take_fields(self) -> None:
        if self._waiting and self.decoder.fields is not None:
            self._fields.append(self.decoder.fields(np.stack(self._waiting)))
        self._waiting.clear()
