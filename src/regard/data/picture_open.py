"""From files to pictures with labels and parts: each picture's header is read, nothing is decoded yet."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from regard.data.class_folders import class_folders, lay_out, masks_beside, part_in_name
from regard.data.decode import Entry
from regard.data.labelled import choose
from regard.data.picture_arrays import labelled_stacks
from regard.data.picture_cache import too_many
from regard.data.picture_columns import Columns
from regard.data.picture_facts import LEAST
from regard.data.picture_labels import TABLES, labels_beside
from regard.data.picture_sets import OTHERS, Archive, Aside, Loose, Places
from regard.data.picture_vote import Kind, kind_of
from regard.data.pictures import PictureSource
from regard.errors import Notice, RegardError, places

PICTURES, MASKS = "pictures", "masks passed over"
TOO_FEW = f"{class_folders(PICTURES)}; pictures without labels lie in no folder below the one given"


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
        layout = lay_out(names, place.shown, PICTURES)
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
    chosen = choose(columns, asked.shown, PICTURES, asked.scoring, TOO_FEW)
    if not len(chosen.rows):
        raise RegardError(asked.shown, "no table of labels names one of its pictures", "add rows to it, or remove it")
    if not chosen.classes and len(chosen.rows) < LEAST and not asked.scoring:
        what = f"has {len(chosen.rows):,} pictures without labels, fewer than {LEAST}"
        raise RegardError(asked.shown, what, "give more, or put those of each class into a folder named after it")
    sizes = np.array(columns.sizes)[chosen.rows]
    unlike, counts = np.unique(sizes, axis=0, return_counts=True)
    taken = np.zeros(len(columns.good), np.bool_)
    taken[np.flatnonzero(columns.good)[chosen.rows]] = True
    return PictureSource(
        name=asked.name, shown=asked.shown, classes=chosen.classes, labels=chosen.labels, parts=chosen.parts,
        pixels=sizes.prod(axis=1, dtype=np.int64), channels=columns.channels,
        sizes={(int(h), int(w)): int(n) for (h, w), n in zip(unlike, counts, strict=True)},
        notices=(*notices, *chosen.notices), held_from=chosen.held_from, left=chosen.left, places=tuple(found),
        taken=taken, bad=tuple(columns.bad),
    )  # fmt: skip
