"""Single examples with what was said of them: pictures side by side, texts below one another.

Lengths are CSS pixels from the left edge of a sheet.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from regard.looking.drawing import Box, Item, Pixels, Text, shown
from regard.looking.frame import ACCENT, FAINT, INK, MARGIN, QUIET, WRONG, Placed
from regard.looking.png import text_width

ABREAST = 6
"""Pictures beside one another."""
GAP = 16
HIGHEST = 128
"""Pixels of a picture, downwards."""
LONGEST = 4096
"""Letters of a name, of which the end is drawn."""
LINES = 2
"""Of a text, at most."""
Array = np.ndarray[Any, Any]


class Case(Protocol):
    """One example, and what was said of it (tasks/cases.py)."""

    @property
    def name(self) -> str: ...
    @property
    def true(self) -> str: ...
    @property
    def said(self) -> str: ...
    @property
    def probability(self) -> float: ...
    @property
    def nats(self) -> float: ...


def draw_cases(title: str, cases: Sequence[Case], shown_of: Sequence[Array | str], width: int, y: float) -> Placed:
    """A wall of them below its title. shown_of: of each its pixels (height, width, 1 or 3), bytes; or its text."""
    items: list[Item] = [Text(MARGIN, y + 16, title, 16, INK)]
    y += 36
    if all(isinstance(one, str) for one in shown_of):
        for case, text in zip(cases, shown_of, strict=True):
            more, y = _text(case, str(text), width, y)
            items += more
        return items, y
    room = (width - 2 * MARGIN + GAP) / ABREAST - GAP
    for first in range(0, len(cases), ABREAST):
        row = [one for one in shown_of[first : first + ABREAST] if not isinstance(one, str)]
        high = max(_size(pixels, room)[1] for pixels in row)
        for k, (case, pixels) in enumerate(zip(cases[first : first + ABREAST], row, strict=True)):
            items += _picture(case, pixels, MARGIN + k * (room + GAP), round(y), high, room)
        y += high + 101
    return items, y


def _size(pixels: Array, room: float) -> tuple[int, int]:
    """(width, height) as drawn: a whole number of times larger where that fits, else smaller."""
    high, wide = pixels.shape[:2]
    times = min(room / wide, HIGHEST / high)
    times = int(times) if times >= 1 else times
    return max(1, round(wide * times)), max(1, round(high * times))


def _picture(case: Case, pixels: Array, x: float, y: int, most: int, room: float) -> list[Item]:
    wide, high = _size(pixels, room)
    left, top = round(x), y + most - high
    items: list[Item] = [Pixels(left, top, wide, high, pixels, shown(case.name, LONGEST)),
                         Box(left - 1, top - 1, wide + 2, high + 2, None, FAINT)]  # fmt: skip
    said = (f"is {shown(case.true)}", 13, INK), (f"said {shown(case.said)}", 13, _colour(case))
    told = [(words, 11, QUIET) for words in (f"probability {case.probability:.4f}", f"{case.nats:.4f} nats")]
    for line, (text, size, colour) in enumerate((*said, *told)):
        items.append(Text(left, y + most + 17 * (line + 1), within(text, size, room), size, colour))
    name = ending(shown(case.name, LONGEST), 11, room)
    items.append(Text(left, y + most + 17 * 5, name, 11, QUIET))
    return items


def _text(case: Case, text: str, width: int, y: float) -> Placed:
    name = ending(shown(case.name, LONGEST), 11, width / 3)
    known = f"probability {case.probability:.4f}, {case.nats:.4f} nats, {name}"
    true, said = f"is {shown(case.true, 30)}", f"said {shown(case.said, 30)}"
    x = MARGIN + text_width(true, 13) + 14
    items: list[Item] = [Text(MARGIN, y, true, 13, INK), Text(x, y, said, 13, _colour(case)),
                         Text(x + text_width(said, 13) + 14, y, known, 11, QUIET)]  # fmt: skip
    for line in _broken(shown(text.replace("\n", "⏎"), 400), width - 2 * MARGIN):
        y += 19
        items.append(Text(MARGIN, y, line, 13, QUIET))
    return items, y + 28


def _broken(text: str, room: float) -> list[str]:
    """The text in at most LINES lines, the last cut where more would follow."""
    lines, left = list[str](), text
    for _ in range(LINES - 1):
        end = next((end for end in range(len(left), 0, -1) if text_width(left[:end], 13) <= room), 1)
        end = left.rfind(" ", 0, end) + 1 or end if end < len(left) else end
        lines.append(left[:end])
        left = left[end:]
    return [*lines, within(left, 13, room)] if left else lines


def within(text: str, size: float, room: float) -> str:
    """The text, cut with an ellipsis where it is wider than so many pixels."""
    if text_width(text, size) <= room:
        return text
    while text and text_width(text + "…", size) > room:
        text = text[:-1]
    return text + "…"


def ending(text: str, size: float, room: float) -> str:
    """The same of its end, which of a file's name says more."""
    if text_width(text, size) <= room:
        return text
    while text and text_width("…" + text, size) > room:
        text = text[1:]
    return "…" + text


def _colour(case: Case) -> str:
    return ACCENT if case.said == case.true else WRONG
