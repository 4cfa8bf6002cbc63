"""Which part and which class a picture, a sound or a text belongs to, by the folders that it lies in (P7, P8, P10).

root/CLASS/..., or root/train/CLASS/... beside val or test; what lies deeper below a class belongs to it. Without class
folders there are no labels. A folder around all of it, as archives often have, is passed through. `things` is what
refusals call them, in the plural.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from regard.errors import Notice, RegardError, noticed, places

PARTS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
"""Folders that are parts and no classes."""

_WORDS = re.compile(r"[^-_. ]+")


def class_folders(things: str) -> str:
    """What to do where there are none."""
    return f"put the {things} of each class into a folder named after it"


@dataclass(frozen=True)
class Layout:
    """What the folders say of things whose names are `rows`, cut at each `/`."""

    rows: list[list[str]]
    at: str
    """What the folder that holds parts or classes is called."""
    parts: list[str] | None
    """Of each train, val or test; None where no folder says it."""
    skip: int
    """How many folders lie around those of the classes."""
    shown: str
    """What the folder around all of it is called."""
    things: str

    def labels(self, folders: Iterable[str]) -> list[str] | None:
        """The class of each, or None where none lies in a folder.

        `folders` are all there are. Raises RegardError for loose ones beside folders, and an empty class folder.
        """
        loose = ["/".join(row) for row in self.rows if len(row) == self.skip + 1]
        if len(loose) == len(self.rows):
            return None
        if loose:
            folder = next("/".join(row[: self.skip + 1]) for row in self.rows if len(row) > self.skip + 1)
            what = f"holds loose {self.things} ({places(loose)}) beside the folder {folder}/"
            raise RegardError(self.at, what, f"{class_folders(self.things)}, or leave them out")
        held = {"/".join(row[: self.skip + 1]) for row in self.rows}
        around = {"/".join(row[: self.skip]) for row in self.rows}
        for folder in sorted(folders):
            above, _, _ = folder.rpartition("/")
            if folder.count("/") == self.skip and above in around and folder not in held:
                what = f"is a class folder without a {self.things.removesuffix('s')}"
                do = f"put {self.things} of this class into it, or remove it"
                raise RegardError(str(PurePath(self.shown, folder)), what, do)
        return [row[self.skip] for row in self.rows]


def masks_beside(names: Sequence[str]) -> list[bool]:
    """Which pictures lie in a folder masks/ beside the folders of parts: they say where things are, and of no class."""
    tops = [name.partition("/")[0].casefold() for name in names]
    return [top == "masks" for top in tops] if any(top in PARTS for top in tops) else [False] * len(names)


def lay_out(names: Sequence[str], shown: str, things: str) -> Layout:
    """The layout of names, at least one. Raises RegardError for things beside the folders of parts."""
    rows = [name.split("/") for name in names]
    skip = _around(rows)
    at = "/".join([shown, *rows[0][:skip]])
    parted = [PARTS.get(row[skip].casefold()) if len(row) > skip + 1 else None for row in rows]
    if not any(parted):
        return Layout(rows, at, None, skip, shown, things)
    outside = [name for name, part in zip(names, parted, strict=True) if part is None]
    if outside:
        inside = next(row[skip] for row, part in zip(rows, parted, strict=True) if part)
        what = f"holds {things} beside the folder {inside}/: {places(outside)}"
        raise RegardError(at, what, f"move them into {inside}/ or another part, or leave them out")
    return Layout(rows, at, [str(part) for part in parted], skip + 1, shown, things)


def _around(rows: list[list[str]]) -> int:
    """How many folders lie around all of them and hold nothing but one folder or more."""
    skip = 0
    while True:
        tops = {row[skip] for row in rows}
        deeper = all(len(row) > skip + 2 for row in rows)
        if len(tops) > 1 or not deeper or next(iter(tops)).casefold() in PARTS:
            return skip
        skip += 1


def part_in_name(name: str) -> str | None:
    """The part that a folder's or archive's name says by one of its words: flowers-train is train."""
    said = {PARTS[word] for word in _WORDS.findall(name.casefold()) if word in PARTS}
    return said.pop() if len(said) == 1 else None


def matched(known: Sequence[str], found: Iterable[str], shown: str) -> dict[str, int]:
    """The number among `known` of each class that was found: by name, never by order (P12).

    Raises RegardError, listing them, for classes that are not known.
    """
    number = {name: at for at, name in enumerate(known)}
    unknown = sorted(set(found) - number.keys(), key=_order)
    if unknown:
        what = f"holds classes that training has not: {places(unknown)}"
        raise RegardError(shown, what, f"rename or remove them; known are {places(known)}")
    return number


def class_names(
    labels: Iterable[str], shown: str, things: str, do: str, least: int = 2
) -> tuple[tuple[str, ...], list[Notice]]:
    """The classes in order: by name, whole numbers by value; and what is odd about them. do: where they are too few.

    Raises RegardError for fewer than `least`, and for two that look the same (P8, P10).
    """
    classes = tuple(sorted(set(labels), key=_order))
    if len(classes) < least:
        raise RegardError(shown, f"all {things} are of one class, {classes[0]!r}", do)
    forms = dict[str, str]()
    for name in classes:
        other = forms.setdefault(unicodedata.normalize("NFC", name), name)
        if other != name:
            what = f"two classes look the same and are spelt in two forms of Unicode: {other!a} and {name!a}"
            raise RegardError(shown, what, "give both the same name")
    cases = dict[str, list[str]]()
    for name in classes:
        cases.setdefault(name.casefold(), []).append(name)
    alike = [" and ".join(names) for names in cases.values() if len(names) > 1]
    said = "set(s) of classes whose names differ in upper and lower case alone, kept apart; warning"
    return classes, noticed(said, alike)


def _order(name: str) -> tuple[bool, int, str]:
    number = name.isascii() and name.isdigit() and len(name) < 16
    return not number, int(name) if number else 0, name
