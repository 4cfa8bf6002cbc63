"""From files to labelled pictures or sounds, and their parts: each is measured, nothing is decoded yet."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt

from regard.data.class_folders import Layout, lay_out, masks_beside, part_in_name
from regard.data.decode import Entry
from regard.data.labelled import choose
from regard.data.picture_arrays import labelled_stacks
from regard.data.picture_cache import too_many
from regard.data.picture_columns import Columns
from regard.data.picture_facts import LEAST
from regard.data.picture_labels import TABLES, labels_beside
from regard.data.picture_sets import PICTURES, Archive, Aside, Loose, Places, Wanted
from regard.data.picture_vote import Kind, kind_of
from regard.data.pictures import PictureSource
from regard.errors import Notice, RegardError, counted, noticed, places

MASKS = "mask(s) passed over"
PASSED = "layout of folders that says no classes, passed over"
TOO_FEW = "add pictures of another class, or give the folder they lie in to learn without labels"


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
    """What is known before anything is read, and what is wanted of it."""

    name: str
    shown: str
    unreadable: Sequence[RegardError]
    """Files that could not even be looked at."""
    notices: Sequence[Notice]
    skip_bad: bool
    scoring: bool
    """Whether they are only to be scored: those of test/ if there, else of val/, else all."""
    labelled: bool = True
    """Whether labels must fit wherever there are some; else those that do not are passed over."""


@dataclass(frozen=True)
class Listed:
    """What was found."""

    columns: Columns
    places: list[Places]
    notices: list[Notice]

    def taken(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Of everything that the places give, whether it is one of these rows of the columns."""
        taken = np.zeros(len(self.columns.good), np.bool_)
        taken[np.flatnonzero(self.columns.good)[rows]] = True
        return taken


def open_pictures(kind: Kind, roots: Sequence[Root], asked: Asked) -> PictureSource:
    """The pictures in files of this kind. Raises RegardError for what nothing can be learnt from (P1 to P17)."""
    return _made(listed(kind, roots, asked, PICTURES, kind_of), asked)


def listed(
    kind: Kind, roots: Sequence[Root], asked: Asked, wanted: Wanted, kind_of: Callable[[Entry], Kind | None]
) -> Listed:
    """What is wanted, in files of this kind, with parts and labels. Raises RegardError where too much cannot be read.

    kind_of: what kind a file is of, where not all are loose.
    """
    columns = Columns([f"{error.where} {error.what}" for error in asked.unreadable])
    found = Listed(columns, [], list(asked.notices))
    listing = _Listing(found, asked, wanted)
    if kind == "loose":
        listing.loose(roots)
    else:
        entries = [(entry, kind_of(entry)) for root in roots for entry in root.entries]
        found.notices.extend(_counted({wanted.others: [entry.shown for entry, its in entries if its != kind]}))
        (listing.archives if kind == "archive" else listing.arrays)([entry for entry, its in entries if its == kind])
    if not columns.names:
        what = f"no {wanted.thing} can be read: {places(columns.bad)}" if columns.bad else f"holds no {wanted.thing}"
        raise RegardError(asked.shown, what, f"give {wanted.formats}")
    too_many(columns.bad, len(columns.names) + len(columns.bad), asked.shown, wanted.things)
    return found


@dataclass(frozen=True)
class _Listing:
    """While it is found."""

    found: Listed
    asked: Asked
    wanted: Wanted

    def loose(self, roots: Sequence[Root]) -> None:
        files = [entry for root in roots for entry in root.entries if not entry.lenient]
        folders = [root for root in roots if any(entry.lenient for entry in root.entries)]
        for root in [Root(self.asked.shown, files, ()), *folders] if files else folders:
            own = part_in_name(PurePosixPath(root.path).name) if len(roots) > 1 else None
            self._lay_out(Loose(root.entries, root.path), Aside(self.wanted, folders=set(root.folders)), own)

    def archives(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            own = part_in_name(entry.name.rpartition("/")[2].partition(".")[0]) if len(entries) > 1 else None
            self._lay_out(Archive(entry), Aside(self.wanted), own)

    def arrays(self, entries: Sequence[Entry]) -> None:
        stacks, said = labelled_stacks(entries, self.asked.shown)
        self.found.notices.extend(said)
        for one in stacks:
            self.found.columns.survey(one.stack, Aside(self.wanted))
            self.found.columns.told([one.part] * one.stack.count, one.labels)
            self.found.places.append(one.stack)

    def _lay_out(self, place: Places, aside: Aside, own: str | None) -> None:
        """Parts and classes of what a folder or archive holds: a table says them, or folders, or files beside.

        own: the part that the folder's or archive's own name says, where no folder inside does.
        """
        columns, things, notices = self.found.columns, self.wanted.things, list[Notice]()
        found = columns.survey(place, aside)
        masks = masks_beside(found)
        names = [name for name, mask in zip(found, masks, strict=True) if not mask]
        if any(masks):
            notices.append(Notice(MASKS, sum(masks), (f"{place.shown}/masks/",)))
        if names:
            layout = lay_out(names, place.shown, things)
            table = any(PurePosixPath(name).name in TABLES for name in aside.labels)
            labels = None if table else self._by_folder(layout, aside.folders)
            beside = None
            if labels is None:
                beside = labels_beside(names, aside.labels, place.shown, self.asked.skip_bad, things)
            if beside is not None:
                notices += beside.notices
                labels = beside.of if beside.files else None
            unused = [name for name in aside.labels if beside is None or name not in beside.files]
            aside.passed.setdefault(self.wanted.others, []).extend(f"{place.shown}/{name}" for name in unused)
            columns.told(layout.parts or [own] * len(names), labels, [not mask for mask in masks])
        self.found.places.append(place)
        self.found.notices.extend([*_counted(aside.passed), *notices])

    def _by_folder(self, layout: Layout, folders: set[str]) -> Sequence[str | None] | None:
        """The classes that folders say."""
        try:
            return layout.labels(folders)
        except RegardError as error:
            if self.asked.labelled:
                raise
            self.found.notices.append(Notice(PASSED, 1, (error.what,)))
            return None


def _counted(passed: dict[str, list[str]]) -> list[Notice]:
    return [notice for what, names in passed.items() for notice in noticed(what, names)]


def _made(found: Listed, asked: Asked) -> PictureSource:
    """Chooses what is learnt from and what is held out, and numbers the classes."""
    columns = found.columns
    said = {label for label, kept in zip(columns.labels, columns.kept, strict=True) if kept}
    if not asked.labelled and (None in said or len(said) < 2):
        columns.labels[:] = [None] * len(columns.labels)
    chosen = choose(columns, asked.shown, PICTURES.things, asked.scoring, TOO_FEW)
    if not len(chosen.rows):
        raise RegardError(asked.shown, "no table of labels names one of its pictures", "add rows to it, or remove it")
    if not chosen.classes and len(chosen.rows) < LEAST and not asked.scoring:
        what = f"has {counted(len(chosen.rows), 'picture')} without labels, fewer than {LEAST}"
        raise RegardError(asked.shown, what, "give more, or put those of each class into a folder named after it")
    sizes = np.array(columns.sizes)[chosen.rows]
    unlike, counts = np.unique(sizes, axis=0, return_counts=True)
    return PictureSource(
        name=asked.name, shown=asked.shown, classes=chosen.classes, labels=chosen.labels, parts=chosen.parts,
        pixels=sizes.prod(axis=1, dtype=np.int64), channels=columns.channels,
        sizes={(int(h), int(w)): int(n) for (h, w), n in zip(unlike, counts, strict=True)},
        notices=(*found.notices, *chosen.notices), held_from=chosen.held_from, left=chosen.left,
        places=tuple(found.places), taken=found.taken(chosen.rows), bad=tuple(columns.bad),
    )  # fmt: skip
