"""What is settled when all pictures or sounds are decoded: copies, what is held out, and what is not measured."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from regard.data.class_split import HELD_OUT, TRAIN, held_out
from regard.data.copies import Groups, groups_of, nearly
from regard.data.labelled import conflicts, not_measured, overlap, overlap_notice
from regard.errors import Notice, RegardError, counted, places

if TYPE_CHECKING:
    from regard.data.picture_cache import Listed

LEAST = 64
"""Pictures without labels that something can be learnt from (P17)."""

TWICE = "that stand under two classes or more, number for number; they are not held out by chance"
EQUAL = "with a copy in training"
NEAR = "nearly the same as one in training, or mirrored"


class Prints(NamedTuple):
    """What tells whether two are the same, (n, ...) each."""

    digests: npt.NDArray[np.uint64]
    """(n, 2) equal for equal numbers."""
    fields: npt.NDArray[np.uint8]
    """(n, rows, columns) brightness, coarsely (copies.py); (n, 0, 0) of sounds, of which only equal ones are sought."""

    def groups(self) -> tuple[Groups, Groups]:
        """(n,) each: the same for equal ones; the same for those that are nearly the same."""
        equal = groups_of(self.digests)
        return equal, nearly(self.fields, equal) if self.fields.size else equal


class Settled(NamedTuple):
    """(n,) each, and what is to be said."""

    parts: npt.NDArray[np.uint8]
    copied: npt.NDArray[np.bool_]
    """Held-out pictures of which training has a copy."""
    notices: list[Notice]


def settle(
    source: "Listed", labels: npt.NDArray[np.int32], parts: npt.NDArray[np.uint8], prints: Prints,
    names: Sequence[str],
) -> Settled:  # fmt: skip
    """Of those that could be decoded. Raises RegardError if they teach nothing."""
    scoring, things, thing = source.held_from == "all", source.kind, source.kind.removesuffix("s")
    if not len(labels):
        raise RegardError(source.shown, f"none of its {things} can be read", "give others")
    if not scoring:
        _check(source, labels, prints)
    equal, near = prints.groups()
    if source.held_from == "a tenth":
        parts = np.where(held_out(labels, near), HELD_OUT, TRAIN).astype(np.uint8)
        if not (parts == HELD_OUT).any():
            classes = f" in {counted(len(source.classes), 'class(es)')}" if source.classes else ""
            what = f"of {counted(len(parts), thing)}{classes} none is left to test on"
            raise RegardError(source.shown, what, "give two or more different ones of a class")
    copied = overlap(parts, near)
    notices = conflicts(labels, equal, names, f"{things} {TWICE}")
    if not scoring:
        exactly, held = overlap(parts, equal), int((parts == HELD_OUT).sum())
        notices.append(overlap_notice(exactly, held, names, f"held-out {thing}(s) {EQUAL}"))
        if near is not equal:
            notices.append(overlap_notice(copied & ~exactly, held, names, f"held-out {thing}(s) {NEAR}"))
        notices += not_measured(source.classes, labels[parts == HELD_OUT], thing)
    return Settled(parts, copied, notices)


def _check(source: "Listed", labels: npt.NDArray[np.int32], prints: Prints) -> None:
    shown, classes, things = source.shown, source.classes, source.kind
    counts = np.bincount(labels[labels >= 0], minlength=len(classes))
    gone = [name for name, count in zip(classes, counts, strict=True) if not count]
    if gone:
        what = f"no {things.removesuffix('s')} of {places(gone)} can be read"
        raise RegardError(shown, what, f"repair the {things} or remove the class")
    if not classes and len(labels) < LEAST:
        what = f"only {counted(len(labels), things.removesuffix('s'))} without labels can be read"
        raise RegardError(shown, what, f"give at least {LEAST}")
    if len(labels) > 1 and (prints.digests == prints.digests[0]).all():
        raise RegardError(shown, f"all its {things} are the same", "give different ones")
