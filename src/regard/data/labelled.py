"""Pictures, sounds or texts with labels: which of them are learnt from, which are held out, and what the classes are.

`things` is what refusals call them, in the plural. Shapes: all that were found; count that are taken.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from regard.data.class_folders import class_names, matched
from regard.data.class_split import HELD_OUT, TRAIN, UNPARTED
from regard.errors import Notice, RegardError, agreeing, counted, noticed, places, printable

FLATTERS = "; warning: the held-out score flatters"
LEFT = "those left (test) are scored by `regard eval RUN PATHS` with the same paths"
"""Said where some of test/ are left, as val/ is held out."""


class Found(Protocol):
    """What was found, in order, one column a fact."""

    @property
    def names(self) -> Sequence[str]: ...

    @property
    def parts(self) -> Sequence[str | None]:
        """train, val or test; None where nothing says it."""

    @property
    def labels(self) -> Sequence[str | None]: ...

    @property
    def kept(self) -> Sequence[bool]:
        """False for what is left out."""


@dataclass(frozen=True)
class Chosen:
    rows: npt.NDArray[np.int64]
    """(count,) which of all."""
    parts: npt.NDArray[np.uint8]
    """(count,) TRAIN, HELD_OUT, or UNPARTED where nothing says it."""
    classes: tuple[str, ...]
    """In order; () without labels."""
    labels: npt.NDArray[np.int32]
    """(count,) the class's number; -1 without labels."""
    held_from: str
    """What is held out: "val", "test", "a tenth", or "all" where they are only to be scored."""
    left: int
    """How many in test/ are left for scoring, as val/ is held out."""
    notices: list[Notice]


def choose(found: Found, shown: str, things: str, scoring: bool, too_few: str) -> Chosen:
    """scoring: those of test/ if there, else of val/, else all; too_few: what to do where all are of one class.

    Raises RegardError where only some lie in a part or have a class, and where there is nothing to learn from.
    """
    parts, kept = set(found.parts), np.array(found.kept)
    if None in parts and len(parts) > 1:
        unsaid = found.names[found.parts.index(None)]
        what = f"only some {things} lie in a part, {unsaid} does not"
        raise RegardError(shown, what, "put all into train/ or val/")
    held_from = _held_from(parts, shown, scoring)
    part = np.array(["" if part is None else part for part in found.parts])
    wanted, codes = kept.copy(), np.full(len(part), HELD_OUT, np.uint8)
    if held_from == "all":
        chosen = next((name for name in ("test", "val") if name in parts), None)
        wanted &= part == chosen if chosen else True
    elif held_from == "a tenth":
        codes[:] = UNPARTED
    else:
        wanted &= (part == "train") | (part == held_from)
        codes[part != held_from] = TRAIN
    left = int((kept & (part == "test")).sum()) if held_from == "val" else 0
    rows = np.flatnonzero(wanted)
    said = [found.labels[row] for row in rows.tolist()]
    if all(label is None for label in said):
        return Chosen(rows, codes[rows], (), np.full(len(rows), -1, np.int32), held_from, left, [])
    if None in said:
        without = found.names[rows[said.index(None)]]
        what = f"only some {things} have a class, {without} has none"
        raise RegardError(shown, what, "give it one, or remove it")
    classes, labels, notices = _numbered([str(label) for label in said], codes[rows], shown, things, scoring, too_few)
    return Chosen(rows, codes[rows], classes, labels, held_from, left, notices)


def _held_from(parts: set[str | None], shown: str, scoring: bool) -> str:
    if scoring:
        return "all"
    if parts == {None}:
        return "a tenth"
    if "train" not in parts:
        there = places(sorted(f"{part}/" for part in parts if part))
        raise RegardError(shown, f"holds {there} and no train/", "give the folder that holds train/, too")
    return next((part for part in ("val", "test") if part in parts), "a tenth")


def _numbered(
    named: list[str], codes: npt.NDArray[np.uint8], shown: str, things: str, scoring: bool, too_few: str
) -> tuple[tuple[str, ...], npt.NDArray[np.int32], list[Notice]]:
    """The classes, the number of each label, and what is odd: classes come from what is learnt from (P12)."""
    learnt = named if scoring else [label for label, code in zip(named, codes, strict=True) if code != HELD_OUT]
    classes, notices = class_names(learnt, shown, things, too_few, least=1 if scoring else 2)
    number = matched(classes, named, shown)
    return classes, np.array([number[label] for label in named], np.int32), notices


def overlap(parts: npt.NDArray[np.uint8], groups: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """(count,) whether each is held out and one of its group, its copies, stands in training, too."""
    learnt = np.zeros(int(groups.max(initial=0)) + 1, np.bool_)
    learnt[groups[parts == TRAIN]] = True
    copied: npt.NDArray[np.bool_] = (parts == HELD_OUT) & learnt[groups]
    return copied


def overlap_notice(copied: npt.NDArray[np.bool_], held: int, names: Sequence[str], how: str) -> Notice:
    """How many of the held-out ones, and which. how: such as "held-out picture(s) with a copy in training"."""
    rows = np.flatnonzero(copied)
    share = len(rows) / max(held, 1)
    text = f"of {held:,} {agreeing(how, held)} ({share:.1%}){FLATTERS if share > 0.01 else ''}"
    return Notice(text, len(rows), tuple(names[row] for row in rows[:5]))


def conflicts(
    labels: npt.NDArray[np.int32], groups: npt.NDArray[np.int64], names: Sequence[str], what: str
) -> list[Notice]:
    """Copies under two classes or more."""
    order = np.lexsort((labels, groups))
    sorted_groups, ordered = groups[order], labels[order]
    mixed = sorted_groups[1:][(sorted_groups[1:] == sorted_groups[:-1]) & (ordered[1:] != ordered[:-1])]
    rows = np.flatnonzero(np.isin(groups, mixed))
    return noticed(what, [names[row] for row in rows.tolist()])


def not_measured(classes: Sequence[str], held: npt.NDArray[np.int32], thing: str) -> list[Notice]:
    """The classes of which nothing is held out (P9)."""
    there = set(held.tolist())
    missing = [name for number, name in enumerate(classes) if number not in there]
    return noticed(f"class(es) without a held-out {thing}, not measured", missing)


# what is said of all


def first_difference(mine: dict[str, Any], other: dict[str, Any]) -> str | None:
    """What first differs between two fingerprints: a file (name, size, SHA-256; R15) or a folder, else a count."""
    for here, there in itertools.zip_longest(mine["files"], other.get("files", [])):
        if here is None or there is None:
            return f"{(here or there)['name']} {'is new' if there is None else 'is gone'}"
        if here["name"] != there["name"]:
            return f"{here['name']} stands where {there['name']} was"
        for things in ("pictures", "sounds"):
            if here.get(things) != there.get(things):
                return f"{here['name']} has {here.get(things)} {things} instead of {there.get(things)}"
        if here["size"] != there["size"]:
            return f"{here['name']} has {counted(here['size'], 'byte')} instead of {there['size']:,}"
        if here["sha256"] != there["sha256"]:
            return f"{here['name']} has the same size but other contents"
    changed = [key for key in mine if key != "files" and mine[key] != other.get(key)]
    return f"{changed[0]} is {mine[changed[0]]} instead of {other.get(changed[0])}" if changed else None


def classes_text(labels: npt.NDArray[np.int32], classes: Sequence[str], things: str) -> str:
    """How many there are of each class to learn from."""
    counts = np.bincount(labels, minlength=len(classes))
    least, most = int(counts.argmin()), int(counts.argmax())
    if counts[least] == counts[most]:
        return f"{counted(int(counts[least]), things.removesuffix('s'))} of each class to learn from"
    names = [short(classes[number], 20) for number in (least, most)]
    return f"from {counts[least]:,} ({names[0]}) to {counts[most]:,} ({names[1]}) {things} a class"


def parts_text(parts: npt.NDArray[np.uint8], held_from: str, left: int) -> str:
    """How many are learnt from and how many held out."""
    train, held = int((parts == TRAIN).sum()), int((parts == HELD_OUT).sum())
    if held_from == "all":
        return "all are scored"
    if held_from == "a tenth" and (parts == UNPARTED).all():
        return "about a tenth will be held out"
    more = f", {left:,} left (test)" if left else ""
    return f"{train:,} to learn from, {held:,} held out ({held_from}){more}"


def short(name: str, room: int) -> str:
    """The name in so many columns."""
    shown = printable(name)
    return shown if len(shown) <= room else shown[: room - 1] + "…"
