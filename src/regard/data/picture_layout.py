"""Which part and which class a picture belongs to, by the folders that it lies in (P7, P8, P10).

root/CLASS/..., or root/train/CLASS/... beside val or test; what lies deeper below a class belongs to it. Without class
folders the pictures have no labels. A folder around all of it, as archives often have, is passed through.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from regard.errors import Notice, RegardError, places

PARTS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
"""Folders that are parts and no classes."""

_WORDS = re.compile(r"[^-_. ]+")

CLASS_FOLDERS = "put the pictures of each class into a folder named after it"


@dataclass(frozen=True)
class Layout:
    """What the folders say of pictures whose names are `rows`, cut at each `/`."""

    rows: list[list[str]]
    at: str
    """What the folder that holds parts or classes is called."""
    parts: list[str] | None
    """Of each picture train, val or test; None where no folder says it."""
    skip: int
    """How many folders lie around those of the classes."""

    def labels(self, folders: Iterable[str]) -> list[str] | None:
        """Of each picture its class, or None where no picture lies in a folder.

        `folders` are all there are. Raises RegardError for loose pictures beside folders, and an empty class folder.
        """
        loose = ["/".join(row) for row in self.rows if len(row) == self.skip + 1]
        if len(loose) == len(self.rows):
            return None
        if loose:
            folder = next("/".join(row[: self.skip + 1]) for row in self.rows if len(row) > self.skip + 1)
            what = f"holds loose pictures ({places(loose)}) beside the folder {folder}/"
            raise RegardError(self.at, what, f"{CLASS_FOLDERS}, or leave them out")
        held = {"/".join(row[: self.skip + 1]) for row in self.rows}
        around = {"/".join(row[: self.skip]) for row in self.rows}
        for folder in sorted(folders):
            above, _, _ = folder.rpartition("/")
            if folder.count("/") == self.skip and above in around and folder not in held:
                do = "put pictures of this class into it, or remove it"
                raise RegardError(f"{self.at}: {folder}/", "is a class folder without a picture", do)
        return [row[self.skip] for row in self.rows]


def masks_beside(names: Sequence[str]) -> list[bool]:
    """Which pictures lie in a folder masks/ beside the folders of parts: they say where things are, and of no class."""
    tops = [name.partition("/")[0].casefold() for name in names]
    return [top == "masks" for top in tops] if any(top in PARTS for top in tops) else [False] * len(names)


def lay_out(names: Sequence[str], shown: str) -> Layout:
    """The layout of pictures' names, at least one. Raises RegardError for pictures beside the folders of parts."""
    rows = [name.split("/") for name in names]
    skip = _around(rows)
    at = "/".join([shown, *rows[0][:skip]])
    parted = [PARTS.get(row[skip].casefold()) if len(row) > skip + 1 else None for row in rows]
    if not any(parted):
        return Layout(rows, at, None, skip)
    outside = [name for name, part in zip(names, parted, strict=True) if part is None]
    if outside:
        inside = next(row[skip] for row, part in zip(rows, parted, strict=True) if part)
        what = f"holds pictures beside the folder {inside}/: {places(outside)}"
        raise RegardError(at, what, f"move them into {inside}/ or another part, or leave them out")
    return Layout(rows, at, [str(part) for part in parted], skip + 1)


def _around(rows: list[list[str]]) -> int:
    """How many folders lie around all pictures and hold nothing but one folder or more."""
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


def class_names(labels: Iterable[str], shown: str, least: int = 2) -> tuple[tuple[str, ...], list[Notice]]:
    """The classes in order: by name, whole numbers by value; and what is odd about them.

    Raises RegardError for fewer than `least`, and for two that look the same (P8, P10).
    """
    classes = tuple(sorted(set(labels), key=_order))
    if len(classes) < least:
        what = f"all pictures are of one class, {classes[0]!r}"
        raise RegardError(shown, what, f"{CLASS_FOLDERS}; pictures without labels lie in no folder below the one given")
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
    said = "names of classes that differ in upper and lower case alone, taken as classes of their own; warning"
    return classes, [Notice(said, len(alike), tuple(alike[:5]))] if alike else []


def _order(name: str) -> tuple[bool, int, str]:
    number = name.isascii() and name.isdigit() and len(name) < 16
    return not number, int(name) if number else 0, name
