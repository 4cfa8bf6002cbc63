"""Pictures of what heads look at in a picture: the picture as the model saw it, and for every head a map of one query.

Drawing computes nothing but colours, as in draw.py: each patch has its weight's colour on a fixed scale, by nearest
neighbour; what lies on tokens that are no patches stands under each map as a number. Lengths are CSS pixels.
"""

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from regard.errors import RegardError, counted
from regard.looking.draw import LARGEST_OF_MANY, NARROWEST
from regard.looking.drawing import Box, Cells, Drawing, Item, Line, Pixels, Text, shown
from regard.looking.frame import (
    ACCENT,
    FAINT,
    INK,
    MARGIN,
    QUIET,
    Placed,
    caption,
    header,
    legend,
    origin,
    provenance,
    struck,
)  # fmt: skip
from regard.looking.palette import Scale, colour_index, lowest_of
from regard.looking.picture import LOG_ABOVE, Picture
from regard.looking.png import text_width
from regard.looking.record import Recording
from regard.looking.spectrogram import Spectrogram

LARGEST = 384
"""Pixels on the longer side of the picture itself."""
WHOLE = 130
"""Pixels on the longer side of the frame that shows where it lay in the whole picture."""
GAP = 24
_PITCH, _TIME = 58, 20
"""Pixels for the numbers on the left of a spectrogram, and below it and each of its maps."""
MEAN = "the mean over all patches"
"""What is drawn where no token was asked for and the answer is read from no token of its own."""


@dataclass(frozen=True)
class Query:
    """The token whose rows are drawn, or the mean over the rows of all patches."""

    tokens: npt.NDArray[np.int64] = field(repr=False)
    name: str
    derived: bool


def query_of(recording: Recording, name: str | None) -> Query:
    """name: "class", "register 0" or "row,column" of a patch; None for the class token, else the mean over patches.

    Raises RegardError for a token that there is not.
    """
    labels, seen = recording.tokens.labels, Picture.of(recording)
    if name is None and seen.class_token:
        name = labels[0]
    if name is None:
        return Query(seen.tokens, f"{MEAN} (Derived)", True)
    wanted = name.replace(" ", "") if "," in name else name
    if wanted not in labels:
        last, others = labels[seen.tokens[-1]], [label for label in labels if "," not in label]
        do = f"give row,column of a patch, from 0,0 to {last}" + "".join(f", or {label!r}" for label in others[:3])
        raise RegardError("--query", f"there is no token {name!r}", do)
    at = labels.index(wanted)
    kind = "patch " if recording.tokens.kinds[at] == "patch" else ""
    return Query(np.array([at]), f"{kind}{wanted}" + " token" * (wanted == "class"), False)


def draw_picture(
    recording: Recording, *, query: str | None = None, head: tuple[int, int] | None = None, badge: str | None = None,
    scale: Scale | None = None, width: int = 1440, title: str = "",
) -> Drawing:  # fmt: skip
    """The picture, and what one query looks at in it: every head, layers downwards, or one head (layer, head) alone.

    query: as in query_of. badge: the recording's own unless given. scale: linear from 0 to 1, or log from 1 / n^2 to 1
    for n tokens, which is the default above 16 of them. width: of the drawing at most. Raises RegardError for a
    recording of a text.
    """
    seen, asked, said = Picture.of(recording), query_of(recording, query), recording.badge if badge is None else badge
    scale = scale or ("log" if recording.n > LOG_ABOVE else "linear")
    layers = range(recording.layers) if head is None else [head[0]]
    heads = range(recording.heads) if head is None else [head[1]]
    room = (width - 2 * MARGIN + GAP) / len(heads) - GAP
    maps = _Maps.within(seen, min(room, LARGEST_OF_MANY / (2 if head is None else 1)))
    step = max(maps.wide, maps.words(recording)) + GAP
    width = min(width, max(NARROWEST, 2 * MARGIN + len(heads) * step - GAP))
    name = title or recording.facts.name or "Where each head looks in a picture"
    items, y = header(name, _under(recording, seen, asked), said, width)
    top = y + 20
    more, y = _whole(seen, asked, round(top), width)
    items += more
    for layer in layers:
        y += 34
        for k, one in enumerate(heads):
            row = recording.weights(layer, one, rows=asked.tokens).astype(np.float64).mean(axis=0)
            items += maps.drawn(recording, seen, row, (layer, one), scale, (MARGIN + k * step, round(y)))
        y += maps.high + 34 + (_TIME if seen.sound else 0)
    items += struck(said, MARGIN / 2, top - 4, width - MARGIN, y - top + 8)
    which = {} if head is None else {"layer": head[0], "head": head[1]}
    lowest = lowest_of(recording.n)
    facts = provenance(recording, said, "self", scale, lowest, query=asked.name, patches=str(seen.grid), **which)
    hatched = "not seen by the model" if seen.lost != (0, 0) else ""
    items += legend(scale, MARGIN, round(y) + 16, hatched=hatched, lowest=lowest)
    more, y = caption([*_words(seen, asked, scale, recording.n), origin(facts)], width, y + 76)
    sentence = f"What {asked.name} looks at in a {seen.thing} of {len(seen.tokens)} patches, {said}."
    return Drawing(width, math.ceil(y) + 20, sentence, (*items, *more), facts)


@dataclass(frozen=True)
class _Maps:
    """How large each map is: a patch is (down, across) cells, so that it has its own proportions."""

    down: int
    across: int
    cell: int
    wide: int
    high: int

    @classmethod
    def within(cls, seen: Picture, room: float) -> "_Maps":
        """The largest whose sides are at most `room`."""
        height, width = (int(size) for size in seen.rectangles[0, 2:])
        shared = math.gcd(height, width)
        down, across = height // shared, width // shared
        rows, columns = seen.grid.rows * down, seen.grid.columns * across
        cell = max(1, int(room // max(rows, columns)))
        return cls(down, across, cell, columns * cell, rows * cell)

    def words(self, recording: Recording) -> int:
        """Pixels that the masses under a map take, where a map has room for them."""
        kinds = [kind for kind in ("patch", "class", "register") if kind in recording.tokens.kinds]
        return round(text_width("   ".join(f"{_NAMES[kind]} 0.00" for kind in kinds), 11)) if self.wide >= 60 else 0

    def drawn(
        self, recording: Recording, seen: Picture, row: np.ndarray, head: tuple[int, int], scale: Scale,
        corner: tuple[int, int],
    ) -> list[Item]:  # fmt: skip
        """One head's map, its name above and masses by kind below. row: (n,) weights."""
        x, y = corner
        grid = row[seen.tokens].reshape(seen.grid.rows, seen.grid.columns).astype(np.float32)
        cells = grid.repeat(self.down, axis=0).repeat(self.across, axis=1)
        name = f"layer {head[0]}  head {head[1]}" if self.wide >= 60 else f"{head[0]}.{head[1]}"
        colours, title = colour_index(cells, scale, lowest_of(recording.n)), f"layer {head[0]} head {head[1]}"
        items: list[Item] = [Text(x, y - 9, name, 12, QUIET),
                             Cells(x, y, self.cell, colours, np.isnan(cells), title),
                             Box(x - 1, y - 1, self.wide + 2, self.high + 2, None, FAINT)]  # fmt: skip
        masses = seen.masses(row, recording.tokens.kinds)
        if self.wide >= 60:
            told = "   ".join(f"{_NAMES[kind]} {mass:.2f}" for kind, mass in masses.items())
            below = self.high + 18 + (_TIME if seen.sound else 0)
            items += [Text(x, y + below, told, 11, INK), *_times(seen, x, y + self.high, self.wide / seen.grid.width)]
        return items


_NAMES = {"patch": "patches", "class": "class", "register": "registers"}


def _under(recording: Recording, seen: Picture, asked: Query) -> str:
    layers, heads = counted(recording.layers, "layer"), counted(recording.heads, "head")
    patches = "1 patch" if len(seen.tokens) == 1 else f"{len(seen.tokens):,} patches"
    return f"{layers} of {heads}, {patches}; who looks: {asked.name}"


def _whole(seen: Picture, asked: Query, y: int, width: int) -> Placed:
    """The picture as the model saw it, its lost border hatched, the query's patch outlined; beside it the whole one."""
    given, labelled = (seen.grid.height, seen.grid.width), _PITCH if seen.sound else 0
    side = min(LARGEST, width - 2 * MARGIN - WHOLE - 2 * GAP - labelled)
    larger = max(1, int(side // max(given))) if max(given) <= side else side / max(given)
    high, wide = (round(size * larger) for size in given)
    shown_high, shown_wide = (round(size * larger) for size in seen.pixels.shape[:2])
    x, items = MARGIN + labelled, list[Item]()
    if seen.lost != (0, 0):
        items.append(Box(x, y, wide, high, "hatch"))
    items += [Pixels(x, y, shown_wide, shown_high, seen.pixels, f"the {seen.thing} as the model saw it"),
              Box(x - 1, y - 1, wide + 2, high + 2, None, FAINT)]  # fmt: skip
    for patch in np.flatnonzero(np.isin(seen.tokens, asked.tokens)) if not asked.derived else ():
        top, left, tall, broad = (float(size) * larger for size in seen.rectangles[patch])
        for out, colour in ((2, "#ffffff"), (1, ACCENT), (0, ACCENT)):
            items.append(Box(x + left - out, y + top - out, broad + 2 * out, tall + 2 * out, None, colour))
    beside, told = x + wide + 2 * GAP, float(y + 10)
    if seen.sound:
        items += _pitches(seen.sound, x, y, larger) + _times(seen, x, y + high, larger)
    if seen.sound is None or seen.crop[3] < seen.size[1]:
        items += _lay(seen, beside, y)
        told = y + WHOLE * seen.size[0] / max(seen.size) + 22
    more, end = caption(seen.told(), width, told, beside)
    return [*items, *more], max(y + high + (_TIME if seen.sound else 0), end - 4)


def _lay(seen: Picture, x: int, y: int) -> list[Item]:
    """The frame of the whole picture, and in it what the model saw; all else is hatched."""
    scaled, (high, wide) = WHOLE / max(seen.size), seen.grid.covered
    top, left, tall, broad = (size * scaled for size in seen.crop)
    inside = round(x + left), round(y + top), max(1, round(broad)), max(1, round(tall))
    covered = max(1, round(broad * wide / seen.grid.width)), max(1, round(tall * high / seen.grid.height))
    whole = max(1, seen.size[1] * scaled), max(1, seen.size[0] * scaled)
    return [Box(x, y, *whole, "hatch", QUIET),
            Pixels(*inside[:2], *covered, seen.pixels, f"where it lay in the whole {seen.thing}"),
            Box(*inside, None, ACCENT)]  # fmt: skip


def _pitches(sound: Spectrogram, x: int, y: int, larger: float) -> list[Item]:
    """On the left of a spectrogram, whose bands are so many pixels high."""
    items: list[Item] = []
    for place, name in sound.pitches():
        at = y + place * larger
        items += [Line(x - 5, at, x - 1, at, QUIET), Text(x - 9, at + 4, name, 11, QUIET, "end")]
    return items


def _times(seen: Picture, x: float, y: float, larger: float) -> list[Item]:
    """Below a spectrogram or a map of it, whose frames are so many pixels wide."""
    items: list[Item] = []
    if seen.sound:
        for place, name in seen.sound.times(seen.grid.width, max(2, int(seen.grid.width * larger // 44))):
            at = x + place * larger
            items += [Line(at, y + 1, at, y + 5, QUIET), Text(at, y + 17, name, 11, QUIET, "middle")]
    return items


def _words(seen: Picture, asked: Query, scale: Scale, n: int) -> list[str]:
    """What the drawing means, in sentences."""
    each = "mean of the weights from all patches to it (Derived)" if asked.derived else f"weight from {asked.name}"
    found = [f"Each patch has the colour of the {each}; nothing is smoothed or stretched. Patches, class and register "
             "tokens together have a mass of 1."]  # fmt: skip
    if scale == "log" and n > 1:
        found.append(f"The middle colour is an even look at all {n:,} tokens, 1/{n:,} each; weights below 1/{n * n:,} "
                     "have the lowest. So the scale follows the number of tokens and nothing else.")  # fmt: skip
    if seen.lost != (0, 0):
        found.append(
            f"Of the {seen.thing} as it was given {shown(str(seen.grid).partition('; ')[2], 120)}: hatched above."
        )
    if seen.done:
        found.append(f"It counts among: {shown('; '.join(seen.done), 200)}.")
    if seen.sound is None:
        found.append("Odd bright patches may be scratch space (Darcet et al. 2024).")
    return [*found, "Weights show where a head read from, not why the model answered so (Jain and Wallace 2019)."]
