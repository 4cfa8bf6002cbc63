"""What was taken for what: a matrix of counts, each coloured by its share of its row on a fixed scale from 0 to 1.

Rows are the true classes, columns what was said. Drawing computes nothing but shares and colours. Lengths are CSS
pixels; shapes: classes.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from regard.looking.drawing import Box, Cells, Item, Text, shown
from regard.looking.frame import FAINT, INK, QUIET, SMALL
from regard.looking.palette import colour_index
from regard.looking.png import text_width

LARGEST_CELL = 52
ROOM = 900
"""Pixels on a side that a matrix takes at most, unless its cells would be smaller than one."""
READABLE = 7
"""A cell at least so high has its class written beside it."""
LONGEST = 28
"""Signs of a class's name."""
WHITE_BELOW = 130
"""Entries of the palette on which white is read better than ink."""
SIZES = (13.0, 12.0, 11.0, 10.0, 9.0)
"""Of the counts in the cells: the largest at which all fit."""


class Drawn(NamedTuple):
    items: list[Item]
    right: float
    bottom: float


def draw_confusion(counts: npt.NDArray[np.int64], classes: Sequence[str], x: int, y: float) -> Drawn:
    """counts (classes, classes). x, y: the corner of all of it, with its names."""
    cell = _cell(len(classes))
    names, totals = [shown(name, LONGEST) for name in classes], counts.sum(axis=1)
    size = min(12.0, float(cell)) if cell >= READABLE else 0.0
    wide = max(text_width(name, size) for name in names) if size else 0.0
    left, turned = round(x + wide + 10), size > 0 and wide > cell - 2
    top = round(y + 24 + (0 if not size else wide + 8 if turned else 16))
    items: list[Item] = [Text(left, y + 10, "rows: the true class; columns: what was said", SMALL, QUIET)]
    items += _cells(counts, totals, cell, left, top)
    right = left + len(classes) * cell
    for k, (name, n) in enumerate(zip(names, totals.tolist(), strict=True)) if size else ():
        middle = (k + 0.5) * cell + 0.36 * size
        items.append(Text(left - 8, top + middle, name, size, INK, "end"))
        found = f"{counts[k, k] / n:.1%} of {n:,}" if n else "none here"
        items.append(Text(right + 8, top + middle, found, min(size, 11), QUIET))
        at = (left + middle, top - 6) if turned else (left + (k + 0.5) * cell, top - 6)
        items.append(Text(*at, name, size, INK, "start" if turned else "middle", turned))
    beside = max(text_width(f"100.0% of {n:,}", min(size, 11)) for n in totals.tolist()) if size else 0.0
    return Drawn(items, right + 8 + beside, top + len(classes) * cell)


def _cell(classes: int) -> int:
    """Pixels on a side."""
    return max(1, min(LARGEST_CELL, ROOM // classes))


def _size(counts: npt.NDArray[np.int64], cell: int) -> float | None:
    """Of the counts in the cells; None where they have no room."""
    widest = f"{int(counts.max()):,}"
    return next((size for size in SIZES if text_width(widest, size) <= cell - 4 and size <= cell - 8), None)


def _cells(counts: npt.NDArray[np.int64], totals: npt.NDArray[np.int64], cell: int, x: int, y: int) -> list[Item]:
    side = len(counts) * cell
    shares = counts / np.maximum(totals, 1)[:, None]
    colours, hidden = colour_index(shares, "linear"), np.repeat(totals[:, None] == 0, len(counts), axis=1)
    items: list[Item] = [Box(x, y, side, side, "hatch")] if bool(hidden.any()) else []
    items.append(Cells(x, y, cell, colours, hidden, "how often each class was taken for each"))
    items.append(Box(x - 1, y - 1, side + 2, side + 2, None, FAINT))
    size = _size(counts, cell)
    if size is None:
        return items
    for i, j in np.argwhere(counts).tolist():
        colour = "#ffffff" if colours[i, j] < WHITE_BELOW else INK
        place = x + (j + 0.5) * cell, y + (i + 0.5) * cell + 0.36 * size
        items.append(Text(*place, f"{int(counts[i, j]):,}", size, colour, "middle"))
    return items


class Figure(NamedTuple):
    """A column of a table of scores."""

    key: str
    """Of the scores."""
    name: str
    form: str
    """As Python formats numbers."""


def compared(scores: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """By their names: the run's scores, those on what has no copy among what was learnt from, the answers beside."""
    others = scores.get("without_copies", {"examples": 0})
    fresh = {f"the {others['examples']:,} not learnt from": others} if others["examples"] else {}
    return {"this run": scores, **fresh, **scores["baselines"]}


def draw_scores(scores: Mapping[str, Any], figures: Sequence[Figure], x: float, y: float) -> Drawn:
    """The run's figures and those of the answers that look at little; then what was confused most often, if known.

    scores: as evaluated (tasks/scores.py).
    """
    ends = [x + 190 + 70 * k for k in range(len(figures))]
    items: list[Item] = [Text(end, y + 10, figure.name, SMALL, QUIET, "end")
                         for end, figure in zip(ends, figures, strict=True)]  # fmt: skip
    for name, one in compared(scores).items():
        y += 20
        items.append(Text(x, y + 10, name, 13, INK))
        items += [Text(end, y + 10, f"{one[figure.key]:{figure.form}}", 13, INK, "end")
                  for end, figure in zip(ends, figures, strict=True)]  # fmt: skip
    confused = scores.get("confused", ())
    if confused:
        y += 44
        items.append(Text(x, y + 10, "most often taken for another", SMALL, QUIET))
    for one in confused:
        y += 20
        pair = f"{shown(one['true'], LONGEST)} as {shown(one['said'], LONGEST)}"
        items.append(Text(x, y + 10, f"{pair}: {one['count']:,} of {one['of']:,}", 13, INK))
    right = max(item.x + text_width(item.text, item.size) for item in items if isinstance(item, Text))
    return Drawn(items, max(ends[-1], right), y + 16)


def words_of_confusion(counts: npt.NDArray[np.int64]) -> list[str]:
    """What the matrix means, in sentences."""
    cell = _cell(len(counts))
    found = ["A cell has the colour of its share of its row, on the same scale for every run."]
    if _size(counts, cell) is not None:
        found.append("The numbers are counts, and a cell without one is 0.")
    if cell < READABLE:
        found.append(f"The {len(counts):,} classes stand in their order; there is no room for their names.")
    else:
        found.append("Beside each row: which part of the class was found, and of how many.")
    if not counts.sum(axis=1).all():
        found.append("Hatched: a class of which there is no example here.")
    return found
