"""What regard tells a person: the one error class, and notices of what it changed or left out."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

LONGEST = 300
"""Characters of a refusal (bad-inputs, rule 1); what is longer is cut in the middle of `what`."""

LONGEST_WHERE = 150
"""Characters of them that say where: of a longer name the beginning and the end."""

_ENDING = re.compile(r"\((e?s)\)")


def printable(text: str) -> str:
    r"""The text with control, direction and zero-width characters written as escapes (\x1b, \u202e).

    A file name, label or generated text may hold characters that move the cursor or turn the line around (CWE-150).
    """
    return "".join(c if _is_shown(c) else c.encode("unicode_escape", "backslashreplace").decode("ascii") for c in text)


def _is_shown(character: str) -> bool:
    return character == " " or unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Zl", "Zp", "Co", "Cn"}


def places(items: Iterable[object]) -> str:
    """At most five of the items, joined by commas, and how many there are in all."""
    named = [printable(str(item)) for item in items]
    return ", ".join(named[:5]) + (f" ({len(named)} in all)" if len(named) > 5 else "")


def counted(number: int, noun: str) -> str:
    """1 head, 2 heads, 1,000 tokens; of a noun with another plural, such as class(es), 1 class, 2 classes."""
    return f"{number:,} {agreeing(noun if noun.endswith(')') else f'{noun}(s)', number)}"


def agreeing(text: str, number: int) -> str:
    """The text with its endings in brackets as they are of so many: file(s) left out, class(es) of one text."""
    return _ENDING.sub("" if number == 1 else r"\1", text)


class RegardError(Exception):
    """A refusal: where, what is wrong, what to do; one sentence.

    `code` is the exit code: 2 if the command, the data or a given checkpoint is at fault, 1 if regard or the machine.
    """

    def __init__(self, where: str, what: str, do: str, code: int = 2) -> None:
        self.where, self.what, self.do, self.code = printable(where), printable(what), printable(do), code
        super().__init__(self.where, self.what, self.do, code)

    def __str__(self) -> str:
        half = LONGEST_WHERE // 2
        where = self.where if len(self.where) <= LONGEST_WHERE else f"{self.where[: half - 1]}…{self.where[-half:]}"
        room = LONGEST - len(where) - len(self.do) - 4
        what = self.what if len(self.what) <= room else self.what[: max(room - 1, 20)] + "…"
        return f"{where}: {what}; {self.do}"


@dataclass(frozen=True)
class Notice:
    """Something skipped, cut, converted or defaulted: said on the terminal and written to log.jsonl (rule 5)."""

    what: str
    """What follows the count, with endings in brackets where it may be one: "file(s) left out", and no verb."""
    count: int
    places: tuple[str, ...] = ()

    def __str__(self) -> str:
        first = [printable(place) for place in self.places[:5]]
        named = f" ({', '.join([*first, *['…'] * (len(first) == 5 < self.count)])})" if first else ""
        return f"{self.count:,} {agreeing(self.what, self.count)}{named}"


def noticed(what: str, names: Sequence[str]) -> list[Notice]:
    """A notice of so many with the first five of their names, or none where there is none."""
    return [Notice(what, len(names), tuple(names[:5]))] if names else []
