"""Pictures that were found: how many, of which classes and sizes, which are held out; decoded when a size is known."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from regard.data.class_split import HELD_OUT, TRAIN, UNPARTED
from regard.data.copies import fields_of
from regard.data.labelled import LEFT, classes_text, first_difference, parts_text, short
from regard.data.picture_cache import Decoded, write_decoded
from regard.data.picture_decode import KINDS, from_array, see
from regard.data.picture_sets import PICTURES, Places
from regard.errors import Notice, counted

__all__ = ["HELD_OUT", "TRAIN", "UNPARTED", "PictureSource"]

WIDE = 80
"""Columns of a summary."""


@dataclass(frozen=True)
class PictureDecoder:
    """Pictures brought to one size."""

    shape: tuple[int, int, int]
    wanted = PICTURES
    kinds = KINDS
    fields = staticmethod(fields_of)

    def __call__(self, content: bytes | npt.NDArray[np.uint8], shown: str) -> tuple[npt.NDArray[np.uint8], int]:
        """(height, width, channels), and bits of KINDS. Raises Unreadable."""
        seen = see(content, shown, *self.shape) if isinstance(content, bytes) else from_array(content, *self.shape)
        return seen.pixels, seen.kinds


@dataclass(frozen=True, kw_only=True)
class PictureSource:
    """Pictures from folders, archives or arrays. No pixels are kept: they are read again when they are decoded."""

    kind: str = "pictures"
    name: str
    """What a run on it is called."""
    shown: str
    """What refusals call all of it."""
    classes: tuple[str, ...]
    """In order; () where pictures have no labels."""
    labels: npt.NDArray[np.int32]
    """(count,) the number of each picture's class; -1 without labels."""
    parts: npt.NDArray[np.uint8]
    """(count,) TRAIN (0), HELD_OUT (1), or UNPARTED (255): no folder says it, and decoding will, as it finds copies."""
    pixels: npt.NDArray[np.int64] = field(repr=False)
    """(count,) height times width of each."""
    sizes: dict[tuple[int, int], int]
    """How many pictures there are of each (height, width)."""
    channels: int
    """1 where all are grey, else 3."""
    notices: tuple[Notice, ...]
    """What was passed over or is odd, each with its count."""
    held_from: str
    """What is held out: "val", "test", "a tenth", or "all" where the pictures are only to be scored."""
    left: int
    """Pictures in test/ that are left for scoring, as val/ is held out."""
    places: tuple[Places, ...] = field(repr=False)
    taken: npt.NDArray[np.bool_] = field(repr=False)
    """Of everything that the places give, in order, whether it is one of these pictures."""
    bad: tuple[str, ...] = field(repr=False)
    """What could not be read when it was found, and why."""

    @property
    def count(self) -> int:
        return len(self.labels)

    def decode(
        self, folder: Path, height: int, width: int, progress: Callable[[int, int], None] | None = None
    ) -> Decoded:
        """Decodes every picture once into `folder`/cache, whole or not at all; `progress` is told (done, of how many).

        Raises RegardError if too many are damaged (over 1 % and over 3), if one has changed, or if the disk would fill.
        """
        return write_decoded(self, folder, PictureDecoder((height, width, self.channels)), progress)

    @property
    def memory(self) -> npt.NDArray[np.int64]:
        """(count,) bytes that each takes while it is decoded."""
        return 4 * self.pixels

    def fingerprint(self) -> dict[str, Any]:
        """What data.json keeps: each folder, archive or array with its size and SHA-256, the classes and the counts."""
        return {
            "kind": self.kind,
            "files": [described for place in self.places for described in place.described()],
            "classes": list(self.classes),
            "labels": hashlib.sha256(self.labels.tobytes()).hexdigest(),
            "pictures": self.count,
            "train": int((self.parts == TRAIN).sum()),
            "held_out": int((self.parts == HELD_OUT).sum()),
            "held_from": self.held_from,
            "channels": self.channels,
        }

    def differs(self, other: dict[str, Any]) -> str | None:
        """What first differs from another fingerprint: a folder or file, else a count; or None."""
        return first_difference(self.fingerprint(), other)

    def summary(self) -> str:
        """What was found, in numbers; at most 80 columns."""
        classes = f"in {counted(len(self.classes), 'class(es)')}" if self.classes else "without labels"
        colour = "grey" if self.channels == 1 else "colour"
        lines = [
            f": {counted(self.count, 'picture')} {classes}",
            f"  {_sizes_text(self.sizes)}, {colour}",
            f"  {parts_text(self.parts, self.held_from, self.left)}",
        ]
        if self.classes:
            learnt = self.labels if self.held_from == "all" else self.labels[self.parts != HELD_OUT]
            lines += [f"  {classes_text(learnt, self.classes, 'pictures')}", *([f"  {LEFT}"] if self.left else [])]
        room = WIDE - len("read ") - len(lines[0])
        return f"read {short(self.name, room)}" + "\n".join(line[:WIDE] for line in lines)


def _sizes_text(sizes: dict[tuple[int, int], int]) -> str:
    if len(sizes) == 1:
        ((height, width),) = sizes
        return f"{height:,} x {width:,}"
    (low, narrow), (high, wide) = (min(sizes, key=lambda s: s[0] * s[1]), max(sizes, key=lambda s: s[0] * s[1]))
    return f"{len(sizes):,} sizes from {low:,} x {narrow:,} to {high:,} x {wide:,}"
