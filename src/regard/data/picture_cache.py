"""Pictures on the disk as a model takes them: each decoded once, by threads, in order, into one file that is mapped.

In a run's folder: cache/pictures.u8, the bytes of (count, height, width, channels); cache/pictures.safetensors, what is
known of each picture; and last, so that without it nothing else counts, cache/pictures.json. Pillow and hashlib work
outside Python's lock, so threads are enough.
"""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from regard import files
from regard.data.class_split import HELD_OUT, TRAIN
from regard.data.copies import digest, fields_of
from regard.data.labelled import overlap
from regard.data.ordered import in_order
from regard.data.picture_decode import KINDS, Seen, from_array, see
from regard.data.picture_facts import Prints, settle
from regard.data.picture_sets import Aside, Given
from regard.data.sniff import Unreadable
from regard.data.spool import RESERVE
from regard.errors import Notice, RegardError, places

if TYPE_CHECKING:
    from regard.data.pictures import PictureSource

CACHE, PIXELS, FACTS, STAMP = "cache", "pictures.u8", "pictures.safetensors", "pictures.json"
FORMAT = 1
TOGETHER = 1 << 20
"""Bytes of pictures whose coarse brightness is taken at once."""


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """The pictures of a run, mapped from the disk."""

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


class _Job(NamedTuple):
    given: Given
    label: int
    part: int


def too_many(bad: Sequence[str], seen: int, shown: str) -> None:
    """Raises RegardError where more than 1 % and more than 3 pictures cannot be read (bad-inputs, rule 6)."""
    if len(bad) > 3 and len(bad) > 0.01 * seen:
        what = f"{len(bad):,} of {seen:,} pictures cannot be read: {places(bad)}"
        raise RegardError(shown, what, "repair them, or leave them out")


def write_decoded(
    source: "PictureSource", folder: Path, height: int, width: int, progress: Callable[[int, int], None] | None = None
) -> Decoded:
    """Decodes the source's pictures into `folder`/cache (PictureSource.decode)."""
    cache, shape = files.make_folder(folder / CACHE), (height, width, source.channels)
    needed, free = source.count * height * width * source.channels, files.free_bytes(cache)
    if free is not None and needed + RESERVE > free:
        what = f"its pictures at {height} x {width} need {needed:,} bytes, and only {free:,} are free"
        raise RegardError(source.shown, what, "free some space, or choose fewer pixels", code=1)
    files.durable.discard(cache / STAMP)
    writing = _Writing(source, shape, progress)
    files.write(cache / PIXELS, writing, overwrite=True)
    facts, notices = writing.facts()
    files.write(cache / FACTS, files.safetensors_bytes(facts), overwrite=True)
    said = {"format": FORMAT, "shape": [len(facts["labels"]), *shape], "classes": source.classes,
            "notices": [asdict(notice) for notice in notices]}  # fmt: skip
    files.write(cache / STAMP, json.dumps(said).encode(), overwrite=True)
    decoded = open_decoded(folder)
    assert decoded is not None
    return decoded


def open_decoded(folder: Path) -> Decoded | None:
    """The pictures of a run's folder, or None where they are not there as a whole."""
    cache = folder / CACHE
    try:
        said = json.loads((cache / STAMP).read_bytes())
        shape = tuple(map(int, said["shape"]))
        facts = {name: stored.array for name, stored in files.read_safetensors(cache / FACTS)[0].items()}
        labels, parts, copied = facts["labels"], facts["parts"], facts["copied"].astype(np.bool_)
        prints = Prints(facts["digests"], facts["fields"])
        whole = (cache / PIXELS).stat().st_size == math.prod(shape) and len(shape) == 4 and min(shape) > 0
        if said["format"] != FORMAT or not whole or {array.shape[:1] for array in facts.values()} != {shape[:1]}:
            return None
        pictures = np.memmap(cache / PIXELS, np.uint8, "r", shape=shape)
        notices = tuple(Notice(one["what"], one["count"], tuple(one["places"])) for one in said["notices"])
        classes = tuple(said["classes"])
    except (OSError, ValueError, KeyError, TypeError, RegardError):
        return None
    return Decoded(
        pictures=pictures, labels=labels, parts=parts, copied=copied, prints=prints, classes=classes, notices=notices
    )


class _Writing:
    """The pixels' file while it is written: called with it, decodes all pictures into it in their order."""

    def __init__(
        self, source: "PictureSource", shape: tuple[int, int, int], progress: Callable[[int, int], None] | None
    ) -> None:
        self.source, self.shape, self.progress = source, shape, progress
        self._bad = list(source.bad)
        self._labels, self._parts = list[int](), list[int]()
        self._names = list[str]()
        self._digests = bytearray()
        self._waiting, self._fields = list[npt.NDArray[np.uint8]](), list[npt.NDArray[np.uint8]]()
        self._kinds: list[Notice] = [Notice(kind, 0) for kind in KINDS]

    def __call__(self, file: BinaryIO) -> None:
        source = self.source
        for job, found in in_order(self._jobs(), self._decoded):
            if isinstance(found, Unreadable):
                self._bad.append(f"{found.where} {found.what}")
                too_many(self._bad, source.count + len(source.bad), source.shown)
            else:
                seen, its = found
                file.write(seen.pixels.data)
                self._digests += its
                self._waiting.append(seen.pixels)
                if len(self._waiting) * seen.pixels.size > TOGETHER:
                    self._take_fields()
                self._labels.append(job.label)
                self._parts.append(job.part)
                self._names.append(job.given.name)
                self._count(seen.kinds, job.given.name)
            if self.progress:
                self.progress(len(self._labels), source.count)

    def _jobs(self) -> Iterator[tuple[_Job, int]]:
        """Each picture of the source, and the bytes that it takes packed and while it is decoded."""
        source, aside, place, row = self.source, Aside(), 0, 0
        for where in source.places:
            for given in where.pictures(aside):
                if source.taken[place]:
                    job = _Job(given, int(source.labels[row]), int(source.parts[row]))
                    size = 0 if isinstance(given.content, Unreadable) else len(given.content)
                    yield job, size + 4 * int(source.pixels[row]) + math.prod(self.shape)
                    row += 1
                place += 1

    def _decoded(self, job: _Job) -> tuple[Seen, bytes] | Unreadable:
        given = job.given
        if isinstance(given.content, Unreadable):
            return given.content
        try:
            if isinstance(given.content, bytes):
                seen = see(given.content, given.shown, *self.shape)
            else:
                seen = from_array(given.content, *self.shape)
        except Unreadable as error:
            return error
        return seen, digest(seen.pixels)

    def _count(self, kinds: int, name: str) -> None:
        for bit, notice in enumerate(self._kinds):
            if kinds >> bit & 1:
                named = notice.places if len(notice.places) == 5 else (*notice.places, name)
                self._kinds[bit] = Notice(notice.what, notice.count + 1, named)

    def facts(self) -> tuple[dict[str, npt.NDArray[Any]], list[Notice]]:
        """What is known of each picture, and what is said of all. Raises RegardError if they teach nothing."""
        labels, parts = np.array(self._labels, np.int32), np.array(self._parts, np.uint8)
        prints = Prints(np.frombuffer(bytes(self._digests), "<u8").reshape(-1, 2), self._fields_of_all())
        parts, copied, said = settle(self.source, labels, parts, prints, self._names)
        notices = [
            Notice("pictures skipped as they cannot be read", len(self._bad), tuple(self._bad[:5])),
            *(notice for notice in self._kinds if notice.count),
            *said,
        ]
        return {"labels": labels, "parts": parts, "copied": copied, **prints._asdict()}, notices

    def _fields_of_all(self) -> npt.NDArray[np.uint8]:
        self._take_fields()
        return np.concatenate(self._fields) if self._fields else np.zeros((0, 1, 1), np.uint8)

    def _take_fields(self) -> None:
        if self._waiting:
            self._fields.append(fields_of(np.stack(self._waiting)))
            self._waiting.clear()
