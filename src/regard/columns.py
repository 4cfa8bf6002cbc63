"""Columns of a terminal: how many a text takes, how many there are, and where its lines are broken."""

import shutil
import unicodedata
from typing import TextIO

WIDEST = 120
"""Columns that are used at most, however wide the terminal is: long lines are hard to read."""


def on_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # it was closed
        return False


def width() -> int:
    return min(shutil.get_terminal_size((80, 24)).columns, WIDEST)


def columns(text: str) -> int:
    """That the text takes on a terminal: signs of Chinese, Japanese and Korean take two."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def cut(text: str, size: int) -> str:
    """The text, or as much of it as has room in so many columns, with an ellipsis."""
    if columns(text) <= size:
        return text
    while columns(text) > size - 1:
        text = text[:-1]
    return text + "…"


def broken(text: str, stream: TextIO | None) -> str:
    """As it is written to the stream: on a terminal its lines are broken at words, which stay whole, so that a path can
    be copied; in a pipe it is as it was, so that a line can be searched for."""
    if not on_terminal(stream):
        return text
    return "\n".join(part for line in text.split("\n") for part in _parts(line, width()))


def _parts(line: str, room: int) -> list[str]:
    """All but the first are indented by two more than the line is."""
    margin = line[: len(line) - len(line.lstrip(" "))]
    first, *words = line.removeprefix(margin).split(" ")
    parts = [margin + first]
    for word in words:
        if columns(f"{parts[-1]} {word}") <= room:
            parts[-1] += f" {word}"
        else:
            parts.append(f"{margin}  {word}")
    return parts
