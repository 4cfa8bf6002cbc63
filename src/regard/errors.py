"""What regard tells a person: the one error class, and notices of what it changed or left out."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

LONGEST = 300
"""Characters of a refusal (bad-inputs, rule 1); what is longer is cut in the middle of `what`."""


def printable(text: str) -> str:
    r"""The text with control, direction and zero-width characters written as escapes (\x1b, \u202e).

    A file name, label or generated text may hold characters that move the cursor or turn the line around (CWE-150).
    """
    return "".join(c if _is_shown(c) else c.encode("unicode_escape", "backslashreplace").decode("ascii") for c in text)


def _is_shown(character: str) -> bool:
    return character == " " or unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Zl", "Zp", "Co", "Cn"}


def places(items: Iterable[object], total: int | None = None) -> str:
    """At most five of the items, joined by commas, and how many there are in all."""
    named = [printable(str(item)) for item in items]
    count = len(named) if total is None else total
    return ", ".join(named[:5]) + (f" ({count} in all)" if count > 5 else "")


def counted(number: int, noun: str) -> str:
    """1 head, 2 heads, 1,000 tokens."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


class RegardError(Exception):
    """A refusal: where, what is wrong, what to do; one sentence.

    `code` is the exit code: 2 if the command, the data or a given checkpoint is at fault, 1 if regard or the machine.
    """

    def __init__(self, where: str, what: str, do: str, code: int = 2) -> None:
        self.where, self.what, self.do, self.code = printable(where), printable(what), printable(do), code
        super().__init__(self.where, self.what, self.do, code)

    def __str__(self) -> str:
        room = LONGEST - len(self.where) - len(self.do) - 4
        what = self.what if len(self.what) <= room else self.what[: max(room - 1, 20)] + "…"
        return f"{self.where}: {what}; {self.do}"


@dataclass(frozen=True)
class Notice:
    """Something skipped, cut, converted or defaulted: said on the terminal and written to log.jsonl (rule 5)."""

    what: str
    count: int
    places: tuple[str, ...] = ()

    def __str__(self) -> str:
        named = f" ({places(self.places, self.count)})" if self.places else ""
        return f"{self.count:,} {self.what}{named}"
