"""Examples as every layer has them: a small plot for each layer, a mark for each example, its class's colour and shape.

Where a mark lies comes from outside, as do the figures beneath. Lengths are CSS pixels; shapes: count examples.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from regard.looking.drawing import Box, Item, Marks, Text, shown
from regard.looking.frame import FAINT, INK, MARGIN, QUIET, Placed
from regard.looking.png import text_width

SIDE, GAP = 232, 20
"""Of a plot, and between two."""
SIZE = 5.0
"""Of a mark."""
OTHERS = "#c4c9cf"
BLUE, RED, GREEN, PINK = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
"""Of Okabe and Ito (2008), those that stand out from white; a class's shape tells it from the others', too."""
Shape = Literal["disc", "square", "cross"]
KINDS: tuple[tuple[str, Shape], ...] = (
    (BLUE, "disc"), (RED, "cross"), (GREEN, "square"), (PINK, "disc"), (INK, "cross"),
    (BLUE, "square"), (RED, "disc"), (GREEN, "cross"), (PINK, "square"), (INK, "disc"),
)  # fmt: skip
"""Colour and shape of at most ten classes."""
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Plot:
    """One layer."""

    places: Array
    """(count, 2) along two directions."""
    explained: tuple[float, float]
    """The share of the variance along each."""
    right: float | None
    """Which part of the examples is nearest to the mean of its own class, 0 to 1; None where that is not known."""


def named_classes(truth: Array, classes: int) -> list[int]:
    """The classes that have a mark of their own, in their order: all, or of many the commonest; truth (count,)."""
    counts = np.bincount(truth, minlength=classes)
    commonest = np.argsort(-counts, kind="stable")[: len(KINDS)]
    return sorted(commonest[counts[commonest] > 0].tolist())


def draw_layers(plots: Sequence[Plot], truth: Array, classes: Sequence[str], width: int, y: float) -> Placed:
    """The layers in their order, the first the embeddings, below what the marks mean. truth (count,): the classes."""
    named = named_classes(truth, len(classes))
    items, y = _meanings(named, truth, classes, width, y)
    abreast = max(1, (width - 2 * MARGIN + GAP) // (SIDE + GAP))
    for layer, plot in enumerate(plots):
        column = layer % abreast
        y += SIDE + 84 if layer and not column else 0
        items += _plot(layer, plot, truth, named, classes, MARGIN + column * (SIDE + GAP), round(y))
    return items, y + SIDE + 64


def _plot(
    layer: int, plot: Plot, truth: Array, named: list[int], classes: Sequence[str], x: int, y: int
) -> list[Item]:  # fmt: skip
    low, high = plot.places.min(axis=0), plot.places.max(axis=0)
    scale = (SIDE - 4 * SIZE) / max(float((high - low).max()), 1e-12)  # the same along both directions
    places = (plot.places - (low + high) / 2) * [scale, -scale] + [x + SIDE / 2, y + SIDE / 2]
    items: list[Item] = [Box(x, y, SIDE, SIDE, None, FAINT)]
    others = ~np.isin(truth, named)
    if bool(others.any()):
        items.append(Marks(places[others], "disc", SIZE, OTHERS, "the other classes"))
    for (colour, shape), number in zip(KINDS, named, strict=False):
        mine = places[truth == number]
        items.append(Marks(mine, shape, SIZE, colour, shown(classes[number])))
    name = f"layer {layer}" + ": the embeddings" * (layer == 0)
    right = "nearest mean: not known" if plot.right is None else f"nearest mean right: {plot.right:.1%}"
    told = [(name, 13.0, INK), *([(right, 13.0, INK)] if len(classes) > 1 else [])]  # of one kind none is told apart
    told.append((f"variance shown: {plot.explained[0]:.0%} + {plot.explained[1]:.0%}", 11.0, QUIET))
    below = y + SIDE
    return [*items, *(Text(x, below + 18 * (k + 1), text, size, colour) for k, (text, size, colour) in enumerate(told))]


def _meanings(named: list[int], truth: Array, classes: Sequence[str], width: int, y: float) -> Placed:
    told = [(colour, shape, shown(classes[number], 28))
            for (colour, shape), number in zip(KINDS, named, strict=False)]  # fmt: skip
    kinds: list[tuple[str, Shape, str]] = [*told]
    if rest := len(np.unique(truth)) - len(named):
        kinds.append((OTHERS, "disc", f"the other {rest:,} classes"))
    items, x = list[Item](), float(MARGIN)
    for colour, shape, name in kinds:
        wide = 16 + text_width(name, 13)
        if x > MARGIN and x + wide > width - MARGIN:
            x, y = float(MARGIN), y + 22
        items.append(Marks(np.array([[x + 5, y + 5.5]]), shape, 2 * SIZE, colour, name))
        items.append(Text(x + 16, y + 10, name, 13, INK))
        x += wide + 20
    return items, y + 26
