"""Pictures of what heads look at: all of them side by side, or one of them large.

Drawing computes nothing but colours: weights come from the recording, the scale is fixed, masked cells are hatched, and
a picture says what it shows, whether that is proven, and where it comes from. Lengths are CSS pixels.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from regard.errors import counted
from regard.looking.drawing import Box, Cells, Drawing, Item, Text, shown
from regard.looking.frame import (
    ACCENT,
    FAINT,
    INK,
    MARGIN,
    QUIET,
    caption,
    header,
    legend,
    origin,
    provenance,
    strip,
    struck,
)  # fmt: skip
from regard.looking.measures import HeadMeasures
from regard.looking.palette import Scale, colour_index
from regard.looking.png import text_width
from regard.looking.record import Recording

LOG_ABOVE = 64
"""Tokens above which the scale is logarithmic unless chosen."""
LARGEST_CELL = 28
LARGEST_OF_MANY = 480
"""Pixels on a side of one head among others."""
NARROWEST = 720
"""Pixels across of a sheet with few heads: room for the scale and for lines that can be read."""
READABLE = 7
"""A cell at least so high has its token written beside it."""
STRONG = 0.3
"""Mean weight from which a head's largest number is set in the accent colour."""
TELLING = (("previous", "previous"), ("self", "itself"), ("first", "first"), ("induction", "induction"))
OTHERS = (("entropy", "entropy"), ("distance", "distance"), ("share", "share"))


@dataclass(frozen=True)
class _Square:
    """How one head's matrix is laid out."""

    z: int
    """Each cell is the largest of 2^z x 2^z weights."""
    cell: int
    """Its width and height."""
    rows: int
    cols: int

    @property
    def wide(self) -> int:
        return self.cols * self.cell

    @property
    def high(self) -> int:
        return self.rows * self.cell

    @property
    def titled(self) -> bool:
        """Wide enough for layer and head above each; else they stand beside rows and above columns."""
        return self.wide >= 90

    @property
    def tabled(self) -> bool:
        """Wide enough for every number under it."""
        return self.wide >= 240

    @property
    def foot(self) -> int:
        """Pixels for the numbers underneath."""
        return 52 if self.tabled else 20 if self.wide >= 60 else 4

    @classmethod
    def within(cls, n: int, m: int, room: float) -> "_Square":
        """The finest that fits into so many pixels each way, its cells whole pixels."""
        z = 0
        while max(_halved(n, z), _halved(m, z)) > max(room, 1):
            z += 1
        rows, cols = _halved(n, z), _halved(m, z)
        return cls(z, max(1, min(LARGEST_CELL, int(room // max(rows, cols)))), rows, cols)


def _halved(n: int, z: int) -> int:
    return -(-n // (1 << z))


def draw_heads(
    recording: Recording, *, measures: Sequence[HeadMeasures] | None = None, badge: str | None = None,
    site: str = "self", scale: Scale | None = None, width: int = 1440, title: str = "",
) -> Drawing:  # fmt: skip
    """Every head of every layer, each a square of cells, layers downwards and heads to the right.

    measures: recording.measures(site) unless given. badge: the recording's own unless given. scale: linear from 0 to 1,
    or log from 1e-6 to 1, which is the default above 64 tokens. width: of the picture at most, and less where few heads
    need no more; its height follows.
    """
    known = {(one.layer, one.head): one for one in (recording.measures(site) if measures is None else measures)}
    said, call = recording.badge if badge is None else badge, recording.kept.call(site, 0)
    scale = scale or _default_scale(call.n, call.m)
    layers, heads = recording.layers, recording.heads
    gap = 28 if heads <= 6 else 14
    left, labelled = _room_for_labels(recording, heads, gap, width, site)
    square = _Square.within(call.n, call.m, _room(heads, gap, width - left))
    spread = (width - 2 * MARGIN - left - square.wide) // max(1, heads - 1)  # from margin to margin, if that is not far
    step = min(spread, square.wide + 2 * gap)
    width = min(width, max(NARROWEST, 2 * MARGIN + left + (heads - 1) * step + square.wide))
    above = _turned_room(recording) if labelled else 0
    items, y = header(title or recording.facts.name or "What each head looks at", _under(recording, site), said, width)
    more, y = strip(recording.tokens.labels, width, y + 20)
    top, y = y + 20, y + 20 + above
    items += more
    for layer in range(layers):
        y += 30 if square.titled else 26 if layer == 0 else 12
        for head in range(heads):
            x = MARGIN + left + head * step
            name = f"layer {layer}  head {head}" if square.titled else f"head {head}" if layer == 0 else ""
            items.append(Text(x, y - 9 - (above if layer == 0 else 0), name, 12 if square.titled else 11, QUIET))
            items += _matrix(recording, layer, head, site, scale, square, x, round(y))
            items += _numbers(known.get((layer, head)), square, x, y + square.high)
            items += _key_labels(recording, square, x, y) if labelled and layer == 0 else []
        items += _query_labels(recording, square, MARGIN + left, y) if labelled else []
        items += [] if square.titled else [Text(MARGIN, y + 11, f"layer {layer}", 11, QUIET)]
        y += square.high + square.foot
    items += struck(said, MARGIN / 2, top - 4, width - MARGIN, y - top + 8)
    facts = provenance(recording, said, site, scale)
    items += legend(scale, MARGIN, round(y) + 24)
    more, y = caption([*_words(square, recording.tokens.labels), origin(facts)], width, y + 84)
    sentence = f"What each of {heads} heads in {layers} layers looks at: {recording.n} tokens, {said}."
    return Drawing(width, math.ceil(y) + 20, sentence, (*items, *more), facts)


def draw_head(
    recording: Recording, layer: int, head: int, *, measures: Sequence[HeadMeasures] | None = None,
    badge: str | None = None, site: str = "self", scale: Scale | None = None, width: int = 1100, title: str = "",
) -> Drawing:  # fmt: skip
    """One head, large, with the tokens' names where there is room, and each row's weight on the first token.

    width: of the picture at most, as in draw_heads.
    """
    said, call = recording.badge if badge is None else badge, recording.kept.call(site, layer)
    scale = scale or _default_scale(call.n, call.m)
    found = recording.measures(site) if measures is None else measures
    one = next((one for one in found if (one.layer, one.head) == (layer, head)), None)
    left = round(max(text_width(shown(label, 24), 12) for label in recording.tokens.labels)) + 12
    square = _Square.within(call.n, call.m, width - 2 * MARGIN - left - 70)
    labelled = site == "self" and square.cell >= READABLE and square.z == 0
    left = left if labelled else 0
    width = min(width, max(NARROWEST, 2 * MARGIN + left + square.wide + 70))
    name = title or f"layer {layer}, head {head}"
    of = f"{shown(recording.facts.name, 40)}, " if recording.facts.name and not title else ""
    items, y = header(name, of + _under(recording, site), said, width)
    x, top = MARGIN + left, y + 12
    y = round(top + 30 + (_turned_room(recording, 12) if labelled else 0))
    items += _matrix(recording, layer, head, site, scale, square, x, y)
    if labelled:
        items += _key_labels(recording, square, x, y, 12) + _query_labels(recording, square, x, y, 12)
        items += _first_mass(recording, layer, head, site, square, x + square.wide + 12, y)
    items += _numbers(one, replace(square, cell=1, cols=max(square.wide, 420)), x, y + square.high + 6)
    y += square.high + 64
    items += struck(said, MARGIN / 2, top, width - MARGIN, y - top)
    facts = provenance(recording, said, site, scale, layer=layer, head=head)
    items += legend(scale, MARGIN, y + 20)
    more, end = caption([*_words(square, recording.tokens.labels), origin(facts)], width, y + 80)
    sentence = f"What head {head} of layer {layer} looks at: {recording.n} tokens, {said}."
    return Drawing(width, math.ceil(end) + 20, sentence, (*items, *more), facts)


def _default_scale(n: int, m: int) -> Scale:
    return "log" if max(n, m) > LOG_ABOVE else "linear"


def _under(recording: Recording, site: str) -> str:
    kind = "" if site == "self" else f"{site} attention, "
    layers, heads = counted(recording.layers, "layer"), counted(recording.heads, "head")
    return f"{kind}{layers} of {heads}, {counted(recording.n, 'token')}"


def _room_for_labels(recording: Recording, heads: int, gap: int, width: int, site: str) -> tuple[int, bool]:
    """(pixels on the left of the first head, whether tokens are named there), where rows and columns are the same."""
    labels = recording.tokens.labels
    wide = round(max(text_width(shown(label, 16), 11) for label in labels)) + 10
    square = _Square.within(len(labels), len(labels), _room(heads, gap, width - wide))
    if site == "self" and square.cell >= READABLE and square.z == 0 and square.titled:
        return wide, True
    return (0 if _Square.within(len(labels), len(labels), _room(heads, gap, width)).titled else 56), False


def _room(heads: int, gap: int, width: float) -> float:
    """Pixels for each of the heads side by side."""
    return min(LARGEST_OF_MANY, (width - 2 * MARGIN - (heads - 1) * gap) / heads)


def _turned_room(recording: Recording, size: float = 11) -> int:
    """Pixels above the columns for the tokens' names, turned unless all are one sign wide."""
    widest = max(text_width(shown(label, 16), size) for label in recording.tokens.labels)
    return round(widest) + 8


def _matrix(
    recording: Recording, layer: int, head: int, site: str, scale: Scale, square: _Square, x: int, y: int
) -> list[Item]:
    weights = recording.overview(layer, head, square.z, site=site)
    cells = Cells(x, y, square.cell, colour_index(weights, scale), np.isnan(weights), f"layer {layer} head {head}")
    under = [Box(x, y, square.wide, square.high, "hatch")] if bool(cells.hidden.any()) else []
    return [*under, cells, Box(x - 1, y - 1, square.wide + 2, square.high + 2, None, FAINT)]


def _numbers(one: HeadMeasures | None, square: _Square, x: float, y: float) -> list[Item]:
    """A head's measures in columns; only its largest where there is little room."""
    if one is None or square.wide < 60:
        return []
    telling = {name: getattr(one, field) for name, field in TELLING}
    unsure = "induction" if one.few else ""
    known = {name: value for name, value in telling.items() if not math.isnan(value) and name != unsure}
    strongest = max(known, key=lambda name: known[name]) if known else ""
    if not square.tabled:
        colour = ACCENT if known and known[strongest] >= STRONG else QUIET
        return [Text(x, y + 14, f"{strongest} {_two(known[strongest])}", 10.5, colour)] if known else []
    items: list[Item] = []
    columns = [*telling.items(), *((name, getattr(one, field)) for name, field in OTHERS)]
    takes = [max(text_width(name, 9), text_width("0.00", 12)) for name, _ in columns]
    between, left = (square.wide - sum(takes)) / (len(columns) - 1), x
    for (name, value), wide in zip(columns, takes, strict=True):
        strong = name == strongest and value >= STRONG
        mark = "*" if name == "induction" and one.few and not math.isnan(value) else ""
        items.append(Text(left, y + 18, _two(value) + mark, 12, ACCENT if strong else INK))
        items.append(Text(left, y + 31, name, 9, ACCENT if strong else QUIET))
        left += wide + between
    return items


def _two(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def _label_size(square: _Square, most: float) -> float:
    return min(most, square.cell + 1)


def _key_labels(recording: Recording, square: _Square, x: float, y: float, most: float = 11) -> list[Item]:
    """Names above the columns, upright where they fit into their column, else turned."""
    size, names = _label_size(square, most), [shown(label, 16) for label in recording.tokens.labels]
    turned = max(text_width(name, size) for name in names) > square.cell + 1
    items: list[Item] = []
    for j, name in enumerate(names):
        middle = x + (j + 0.5) * square.cell
        if turned:
            items.append(Text(middle + 0.36 * size, y - 5, name, size, INK, turned=True))
        else:
            items.append(Text(middle, y - 5, name, size, INK, "middle"))
    return items


def _query_labels(recording: Recording, square: _Square, x: float, y: float, most: float = 11) -> list[Item]:
    size = min(most, square.cell)
    return [
        Text(x - 6, y + (i + 0.5) * square.cell + 0.36 * size, shown(label, 16), size, INK, "end")
        for i, label in enumerate(recording.tokens.labels)
    ]


def _first_mass(
    recording: Recording, layer: int, head: int, site: str, square: _Square, x: float, y: float
) -> list[Item]:
    """Beside each row its weight on the first token, which is often where nothing is fetched."""
    size = _label_size(square, 11)
    mass = recording.first_mass(layer, head, site=site)
    items: list[Item] = [Text(x, y - 6, "first", size, QUIET)]
    for i, weight in enumerate(mass.tolist()):
        items.append(Text(x, y + (i + 0.5) * square.cell + 0.36 * size, f"{weight:.2f}", size, QUIET))
    return items


def _words(square: _Square, labels: Sequence[str]) -> list[str]:
    """What the picture means, in sentences."""
    what = (
        "a cell is one weight"
        if square.z == 0
        else f"a cell is the largest of {1 << square.z} x {1 << square.z} weights"
    )
    found = [f"Rows look, columns are looked at: {what}, and each row's weights sum to 1."]
    if square.wide >= 60:
        found.append(
            "Means over rows: weight on the token before (previous), on itself (self), on the first token, and on the "
            "token after the last earlier occurrence of the same one (induction; * fewer than 20 rows); entropy from 0 "
            "(one key) to 1 (all alike); distance in tokens; share of what the layer's heads add."
        )
    signs = {"␣": "␣ a space", "⏎": "⏎ a line end", "…": "… a name that is cut"}
    here = "".join(shown(label, 16) for label in labels)
    if used := [meaning for sign, meaning in signs.items() if sign in here]:
        found.append(f"In the tokens: {', '.join(used)}.")
    found.append("Weights show where a head read from, not why the model answered so (Jain and Wallace 2019).")
    return found
