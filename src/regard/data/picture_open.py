"""From files to pictures with labels and parts: each picture's header is read, nothing is decoded yet."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt

from regard.data.decode import Entry
from regard.data.picture_arrays import labelled_stacks
from regard.data.picture_cache import too_many
from regard.data.picture_columns import Columns
from regard.data.picture_facts import LEAST
from regard.data.picture_labels import TABLES, labels_beside
from regard.data.picture_layout import class_names, lay_out, masks_beside, matched, part_in_name
from regard.data.picture_sets import OTHERS, Archive, Aside, Loose, Places
from regard.data.picture_split import HELD_OUT, TRAIN, UNPARTED
from regard.data.picture_vote import Kind, kind_of
from regard.data.pictures import PictureSource
from regard.errors import Notice, RegardError, places

MASKS = "masks passed over"


@dataclass(frozen=True)
class Root:
    """What one path of the command line gave."""

    path: str
    entries: Sequence[Entry]
    """A file has one; all of a folder are lenient."""
    folders: Sequence[str]
    """All below a folder."""


@dataclass(frozen=True)
class Asked:
    """What is known before pictures are looked for, and what is wanted of them."""

    name: str
    shown: str
    unreadable: Sequence[RegardError]
    """Files that could not even be looked at."""
    notices: Sequence[Notice]
    skip_bad: bool
    scoring: bool
    """Whether pictures are only to be scored: those of test/ if there, else of val/, else all."""


def open_pictures(kind: Kind, roots: Sequence[Root], asked: Asked) -> PictureSource:
    """The pictures in files of this kind. Raises RegardError for what nothing can be learnt from (P1 to P17)."""
    columns, notices = Columns([f"{error.where} {error.what}" for error in asked.unreadable]), list(asked.notices)
    if kind == "loose":
        found = _loose(roots, asked, columns, notices)
    else:
        entries = [(entry, kind_of(entry)) for root in roots for entry in root.entries]
        notices += _counted({OTHERS: [entry.shown for entry, its in entries if its != kind]})
        wanted = [entry for entry, its in entries if its == kind]
        found = (_archives if kind == "archive" else _arrays)(wanted, asked, columns, notices)
    if not columns.names:
        what = f"no picture can be read: {places(columns.bad)}" if columns.bad else "holds no picture"
        raise RegardError(asked.shown, what, "give PNG, JPEG, BMP, GIF, WebP, PPM, PGM or TIFF")
    too_many(columns.bad, len(columns.names) + len(columns.bad), asked.shown)
    return _made(columns, found, asked, notices)


def _loose(roots: Sequence[Root], asked: Asked, columns: Columns, notices: list[Notice]) -> list[Places]:
    files = [entry for root in roots for entry in root.entries if not entry.lenient]
    folders = [root for root in roots if any(entry.lenient for entry in root.entries)]
    found = list[Places]()
    for root in [Root(asked.shown, files, ()), *folders] if files else folders:
        place = Loose(root.entries, root.path)
        own = part_in_name(PurePosixPath(root.path).name) if len(roots) > 1 else None
        notices += _lay_out(place, Aside(folders=set(root.folders)), asked, columns, own)
        found.append(place)
    return found


def _archives(entries: Sequence[Entry], asked: Asked, columns: Columns, notices: list[Notice]) -> list[Places]:
    found = list[Places]()
    for entry in entries:
        own = part_in_name(entry.name.rpartition("/")[2].partition(".")[0]) if len(entries) > 1 else None
        found.append(Archive(entry))
        notices += _lay_out(found[-1], Aside(), asked, columns, own)
    return found


def _arrays(entries: Sequence[Entry], asked: Asked, columns: Columns, notices: list[Notice]) -> list[Places]:
    stacks, said = labelled_stacks(entries, asked.shown)
    notices += said
    for one in stacks:
        columns.survey(one.stack, Aside())
        columns.told([one.part] * one.stack.count, one.labels)
    return [one.stack for one in stacks]


def _lay_out(place: Places, aside: Aside, asked: Asked, columns: Columns, own: str | None) -> list[Notice]:
    """Parts and classes of a folder's or an archive's pictures: a table says them, or folders, or files beside.

    own: the part that the folder's or archive's own name says, where no folder inside does.
    """
    found, notices = columns.survey(place, aside), list[Notice]()
    masks = masks_beside(found)
    names = [name for name, mask in zip(found, masks, strict=True) if not mask]
    if any(masks):
        notices.append(Notice(MASKS, sum(masks), (f"{place.shown}/masks/",)))
    if names:
        layout = lay_out(names, place.shown)
        table = any(PurePosixPath(name).name in TABLES for name in aside.labels)
        labels: Sequence[str | None] | None = None if table else layout.labels(aside.folders)
        beside = None if labels is not None else labels_beside(names, aside.labels, place.shown, asked.skip_bad)
        if beside is not None:
            notices += beside.notices
            labels = beside.of if beside.files else None
        unused = [name for name in aside.labels if beside is None or name not in beside.files]
        aside.passed.setdefault(OTHERS, []).extend(f"{place.shown}/{name}" for name in unused)
        columns.told(layout.parts or [own] * len(names), labels, [not mask for mask in masks])
    return [*_counted(aside.passed), *notices]


def _counted(passed: dict[str, list[str]]) -> list[Notice]:
    return [Notice(what, len(names), tuple(names[:5])) for what, names in passed.items() if names]


def _made(columns: Columns, found: list[Places], asked: Asked, notices: list[Notice]) -> PictureSource:
    """Chooses what is learnt from and what is held out, and numbers the classes."""
    parts = set(columns.parts)
    if None in parts and len(parts) > 1:
        unsaid = columns.names[columns.parts.index(None)]
        raise RegardError(
            asked.shown, f"only some pictures lie in a part, {unsaid} does not", "put all into train/ or val/"
        )
    held_from = _held_from(parts, asked)
    part = np.array(["" if part is None else part for part in columns.parts])
    wanted = np.array(columns.kept)
    if held_from == "all":
        chosen = next((name for name in ("test", "val") if name in parts), None)
        wanted &= part == chosen if chosen else True
        codes = np.full(len(part), HELD_OUT, np.uint8)
    elif held_from == "a tenth":
        codes = np.full(len(part), UNPARTED, np.uint8)
    else:
        wanted &= (part == "train") | (part == held_from)
        codes = np.where(part == held_from, HELD_OUT, TRAIN).astype(np.uint8)
    left = int((np.array(columns.kept) & (part == "test")).sum()) if held_from == "val" else 0
    rows = np.flatnonzero(wanted)
    classes, labels, said = _numbered(columns, rows, codes[rows], asked)
    if not classes and len(rows) < LEAST and not asked.scoring:
        what = f"has {len(rows):,} pictures without labels, fewer than {LEAST}"
        raise RegardError(asked.shown, what, "give more, or put those of each class into a folder named after it")
    sizes = np.array(columns.sizes)[rows]
    unlike, counts = np.unique(sizes, axis=0, return_counts=True)
    taken = np.zeros(len(columns.good), np.bool_)
    taken[np.flatnonzero(columns.good)[rows]] = True
    return PictureSource(
        name=asked.name, shown=asked.shown, classes=classes, labels=labels, parts=codes[rows],
        pixels=sizes.prod(axis=1, dtype=np.int64), channels=columns.channels,
        sizes={(int(h), int(w)): int(n) for (h, w), n in zip(unlike, counts, strict=True)},
        notices=(*notices, *said), held_from=held_from, left=left, places=tuple(found), taken=taken,
        bad=tuple(columns.bad),
    )  # fmt: skip


def _held_from(parts: set[str | None], asked: Asked) -> str:
    if asked.scoring:
        return "all"
    if parts == {None}:
        return "a tenth"
    if "train" not in parts:
        there = places(sorted(f"{part}/" for part in parts if part))
        raise RegardError(asked.shown, f"holds {there} and no train/", "give the folder that holds train/, too")
    return next((part for part in ("val", "test") if part in parts), "a tenth")


def _numbered(
    columns: Columns, rows: npt.NDArray[np.int64], codes: npt.NDArray[np.uint8], asked: Asked
) -> tuple[tuple[str, ...], npt.NDArray[np.int32], list[Notice]]:
    """The classes, the number of each picture's, and what is odd: classes come from what is learnt from (P12)."""
    said = [columns.labels[row] for row in rows]
    named = [label for label in said if label is not None]
    if not named:
        return (), np.full(len(rows), -1, np.int32), []
    if len(named) < len(said):
        without = columns.names[next(row for row, label in zip(rows, said, strict=True) if label is None)]
        raise RegardError(
            asked.shown, f"only some pictures have a class, {without} has none", "give it one, or remove it"
        )
    learnt = named if asked.scoring else [label for label, code in zip(named, codes, strict=True) if code != HELD_OUT]
    classes, notices = class_names(learnt, asked.shown, least=1 if asked.scoring else 2)
    number = matched(classes, named, asked.shown)
    labels = np.array([number[label] for label in named], np.int32)
    return classes, labels, notices
