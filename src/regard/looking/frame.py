"""What stands around every picture: its title, the badge, the tokens, the colour bar, and where it comes from.

Each function returns what it draws and, where something follows, how far down that reaches; CSS pixels.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from regard.looking.drawing import Box, Cells, Disc, Item, Line, Text, shown
from regard.looking.palette import LOWEST, Scale, described, ticks
from regard.looking.png import text_width
from regard.looking.record import Recording

INK, QUIET, FAINT, PALE = "#1b1f24", "#5f6873", "#cfd5db", "#eff2f4"
ACCENT, WRONG = "#0b6e8f", "#b3261e"
MARGIN = 48
"""Free on the left and right of everything."""
STRIP_LINES = 2
"""Lines of tokens at most; how many more there are is then said."""
SMALL = 12.0
"""Size of the text under a picture."""
Placed = tuple[list[Item], float]


def header(title: str, under: str, badge: str, width: int) -> Placed:
    """Title, what is shown, and the badge on the right; below them where they would meet."""
    title, badge = shown(title, 60), shown(badge, 300)
    colour = WRONG if badge.startswith("Not proven") else ACCENT if badge.startswith("Proven") else QUIET
    items: list[Item] = [Text(MARGIN, 60, title, 26, INK), Text(MARGIN, 84, under, 14, QUIET)]
    across = text_width(badge, 14)
    if MARGIN + max(text_width(title, 26), text_width(under, 14)) + 60 + across < width - MARGIN:
        right = width - MARGIN
        return [*items, Disc(right - 4, 55, 4, colour), Text(right - 16, 60, badge, 14, colour, "end")], 84.0
    return [*items, Disc(MARGIN + 4, 105, 4, colour), Text(MARGIN + 16, 110, badge, 14, colour)], 110.0


def strip(labels: Sequence[str], width: int, y: float) -> Placed:
    """The tokens in their order, each in its own box; what does not fit on two lines is counted."""
    items: list[Item] = []
    x, line = float(MARGIN), 1
    end = width - MARGIN - 110  # room for the count of what is left out
    for at, label in enumerate(labels):
        text = shown(label, 24)
        wide = max(14.0, text_width(text, 13) + 6)
        if x + wide > end:
            if line == STRIP_LINES:
                items.append(Text(x + 6, y + 15, f"and {len(labels) - at:,} more", 12, QUIET))
                break
            x, y, line = float(MARGIN), y + 24, line + 1
        items += [Box(x, y, wide, 21, PALE), Text(x + wide / 2, y + 15, text, 13, INK, "middle")]
        x += wide + 2
    return items, y + 21


def legend(
    scale: Scale, x: int, y: int, what: str = "weight", hatched: str = "not allowed", lowest: float = LOWEST
) -> list[Item]:
    """The colour bar of `what` with its numbers, and what hatching means, if anything is hatched; 40 pixels high."""
    bar = np.tile(np.arange(256, dtype=np.uint8), (10, 1))
    name = what if scale == "linear" else f"{what}, log scale"
    items: list[Item] = [Text(x, y + 10, name, SMALL, QUIET)]
    left = x + round(text_width(name, SMALL)) + 16
    items.append(Cells(left, y, 1, bar, np.zeros_like(bar, bool), "the colour scale"))
    for place, number in ticks(scale, lowest):
        at = left + round(place * 255) + 0.5
        items += [Line(at, y + 10, at, y + 14, QUIET), Text(at, y + 26, number, 11, QUIET, "middle")]
    if hatched:
        items += [Box(left + 300, y, 24, 10, "hatch"), Box(left + 300, y, 24, 10, None, FAINT)]
        items.append(Text(left + 332, y + 10, hatched, SMALL, QUIET))
    return items


def caption(sentences: Iterable[str], width: float, y: float, x: float = MARGIN) -> Placed:
    """Sentences, one after another, broken where the picture ends."""
    items: list[Item] = []
    for sentence in sentences:
        line = ""
        for word in [*sentence.split(" "), ""]:
            longer = f"{line} {word}".strip()
            if word and text_width(longer, SMALL) <= width - MARGIN - x:
                line = longer
                continue
            items.append(Text(x, y, line, SMALL, QUIET))
            line, y = word, y + 18
        y += 4
    return items, y


def struck(badge: str, x: float, y: float, width: float, height: float) -> list[Item]:
    """A frame with struck corners around numbers that are not proven; nothing for others."""
    if not badge.startswith("Not proven"):
        return []
    items: list[Item] = [Box(x, y, width, height, None, WRONG)]
    for across, down in ((x, y), (x + width, y), (x, y + height), (x + width, y + height)):
        items.append(Line(across - 12, down + 12, across + 12, down - 12, WRONG, 1.5))
    return items


def provenance(
    recording: Recording, badge: str, site: str, scale: Scale, lowest: float = LOWEST, **more: Any
) -> dict[str, Any]:
    """What the numbers are and whence: for the caption, the SVG's metadata and the PNG's text."""
    facts, said = recording.facts, recording.generated
    if said is not None:
        more = {"generated": said.brief, **more}
    return {
        "recording": recording.id, "model": recording.model_hash, "name": facts.name, "site": site,
        "tokens": recording.n, "scale": described(scale, lowest),
        "badge": badge, "recorded": facts.made, "regard": facts.version, "torch": facts.torch, **more,
    }  # fmt: skip


def origin(facts: dict[str, Any]) -> str:
    """The same in one line."""
    first = f"{shown(facts['name'], 60)} | " if facts["name"] else ""
    first += f"{facts['generated']} | " if "generated" in facts else ""
    return (f"{first}recording {facts['recording'][:12]} | model {facts['model'][:12]} | {facts['site']} attention | "
            f"{facts['tokens']:,} tokens | {facts['scale']} | recorded {facts['recorded'][:10]} | "
            f"regard {facts['regard']}, torch {facts['torch']}")  # fmt: skip
