"""What a picture is made of, before it is SVG or PNG: boxes, lines, texts, cells and pixels at places, in that order.

Lengths are CSS pixels from the upper left corner.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from regard.errors import RegardError, printable
from regard.files import write

Array = np.ndarray[Any, Any]

VECTOR_CELLS = 200 * 200
"""Cells of a whole drawing up to which an SVG holds each as a shape; beyond, pictures with exactly one pixel a cell."""
HATCH = 6
"""Pixels from one line of the hatching to the next."""


@dataclass(frozen=True)
class Box:
    x: float
    y: float
    width: float
    height: float
    fill: str | None = None
    """A colour as #rrggbb, or "hatch": what is not allowed."""
    stroke: str | None = None


@dataclass(frozen=True)
class Line:
    x1: float
    y1: float
    x2: float
    y2: float
    stroke: str
    thick: float = 1.0


@dataclass(frozen=True)
class Disc:
    x: float
    y: float
    radius: float
    fill: str


@dataclass(frozen=True)
class Marks:
    """Points of a plot, all of one kind."""

    places: Array
    """(count, 2): x and y of each middle."""
    shape: Literal["disc", "square", "cross"]
    size: float
    """Its width and height."""
    fill: str
    title: str


@dataclass(frozen=True)
class Text:
    x: float
    y: float
    """The baseline."""
    text: str
    size: float
    fill: str
    anchor: Literal["start", "middle", "end"] = "start"
    turned: bool = False
    """Read from bottom to top; anchored at its start."""


@dataclass(frozen=True)
class Cells:
    """A matrix, each cell `cell` pixels wide and high; where `hidden` nothing is drawn."""

    x: int
    y: int
    cell: int
    colours: Array
    """(r, c) uint8: entries of the palette."""
    hidden: Array
    """(r, c) bool."""
    title: str


@dataclass(frozen=True)
class Pixels:
    """A picture itself, made larger or smaller without smoothing."""

    x: int
    y: int
    width: int
    height: int
    pixels: Array
    """(h, w, 1 or 3) uint8."""
    title: str


Item = Box | Line | Disc | Marks | Text | Cells | Pixels


@dataclass(frozen=True)
class Drawing:
    width: int
    height: int
    title: str
    """One sentence for those who cannot see it."""
    items: tuple[Item, ...]
    facts: Mapping[str, Any]
    """Provenance: goes into the SVG's metadata and the PNG's text."""

    def svg(self) -> str:
        from regard.looking.svg import render

        return render(self)

    def png(self, scale: int = 2) -> bytes:
        """1 to 4 pixels for each CSS pixel. Raises RegardError for another scale."""
        from regard.looking.png import render

        if scale not in (1, 2, 3, 4):
            raise RegardError("scale", f"{scale} is not drawn", "choose 1, 2, 3 or 4")
        return render(self, scale)

    def save(self, path: str | Path, overwrite: bool = False, scale: int = 2) -> None:
        """An .svg or a .png, whole or not at all. Raises RegardError for another ending."""
        path = Path(path)
        if path.suffix.lower() not in (".svg", ".png"):
            raise RegardError(
                str(path), f"{path.suffix or 'no ending'} is no picture of ours", "end it in .svg or .png"
            )
        write(path, self.svg().encode() if path.suffix.lower() == ".svg" else self.png(scale), overwrite)


def shown(text: str, most: int = 40) -> str:
    """A stranger's text, safe to draw: nothing that hides, turns the line or piles up; at most so many signs.

    What is cut ends in an ellipsis; a third mark on one letter is written as its code point.
    """
    found: list[str] = []
    piled = 0
    for character in text:
        piled = piled + 1 if unicodedata.combining(character) else 0
        found.append(character.encode("unicode_escape").decode() if piled > 2 else printable(character))
    whole = "".join(found)
    return whole if len(whole) <= most else whole[: most - 1] + "…"
