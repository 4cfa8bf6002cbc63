"""Rows of a .jsonl file to their texts, strictly: what is wrong is refused at its line, or skipped and counted."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from regard.errors import RegardError, places

LONGEST = 64 << 20
"""Characters of a line."""

DEEPEST = 64
"""Brackets around a value."""

OR_SKIP = ", or skip such "
"""Before what such rows are called: the advice of everything that can skip them."""

ANOTHER = "name the right one with --text-key"
"""What to do where no key or column is called as that of the text is."""

_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[\]{}]')


@dataclass
class Skipped:
    """Rows that were left out because the user allowed it."""

    count: int = 0
    places: list[str] = field(default_factory=list)

    def add(self, place: str) -> None:
        self.count += 1
        if len(self.places) < 5:
            self.places.append(place)


class Wrong(ValueError):
    """What is wrong with a row, and what to do."""

    def __init__(self, what: str, do: str = f"correct the line{OR_SKIP}lines with --skip-bad") -> None:
        super().__init__(what)
        self.what, self.do = what, do


def texts_of_rows(chunks: Iterable[str], name: str, key: str, skipped: Skipped | None) -> Iterator[str]:
    """The text of each row, in order; blank lines are none. Raises RegardError at a bad line, unless it is skipped."""
    for number, line in lines_of(chunks):
        if line is None or line.strip():
            try:
                yield _text(line, number, key)
            except Wrong as wrong:
                if skipped is None:
                    raise RegardError(f"{name}:{number}", wrong.what, wrong.do) from None
                skipped.add(f"{name}:{number}")


def place_of(names: Sequence[str], wanted: str) -> int | None:
    """Which of the names is the wanted one; where none is, the only one that differs in upper case or spaces alone."""
    exact = [at for at, name in enumerate(names) if name == wanted]
    found = exact or [at for at, name in enumerate(names) if name.strip().casefold() == wanted.strip().casefold()]
    return found[0] if len(found) == 1 else None


def value_of(row: dict[str, Any], key: str, do: str) -> Any:
    """What the row has under the key. Raises Wrong where it has none; do: what to do then."""
    if key in row:
        return row[key]
    names = list(row)
    at = place_of(names, key)
    if at is None:
        raise Wrong(f"no key {key!r}; there are: {places(names) or 'none'}", do)
    return row[names[at]]


def lines_of(chunks: Iterable[str]) -> Iterator[tuple[int, str | None]]:
    """Number, from 1, and text of each line; None for a line that is too long, which is not kept in memory."""
    number, begun, length = 1, list[str](), 0
    for chunk in chunks:
        *whole, last = chunk.split("\n")
        for line in whole:
            yield number, "".join([*begun, line]) if length + len(line) <= LONGEST else None
            number, begun, length = number + 1, [], 0
        length += len(last)
        begun = [*begun, last] if length <= LONGEST else []
    yield number, "".join(begun) if length <= LONGEST else None


def _text(line: str | None, number: int, key: str) -> str:
    row = parsed(line)
    if not isinstance(row, dict):
        if isinstance(row, list) and number == 1:
            raise Wrong("the file is one array", "write one object a line, as `jq -c '.[]'` does")
        raise Wrong(f"the line is no object but {type(row).__name__}")
    text = value_of(row, key, ANOTHER)
    if not isinstance(text, str):
        raise Wrong(f"the value of {key!r} is no string but {type(text).__name__}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Wrong("the text holds half a surrogate pair, which is no character") from None
    return text


def parsed(line: str | None) -> Any:
    """The value that a line holds as JSON. Raises Wrong."""
    if line is None:
        raise Wrong(f"the line is over {LONGEST >> 20} MB long")
    if line.count("[") + line.count("{") > DEEPEST and _depth(line) > DEEPEST:
        raise Wrong(f"nested deeper than {DEEPEST}")
    try:
        return _DECODER.decode(line)
    except Wrong:
        raise
    except json.JSONDecodeError as error:
        raise Wrong(f"broken JSON at column {error.colno} ({error.msg})") from None
    except (ValueError, RecursionError) as error:  # Python's limit of 4,300 digits
        raise Wrong(f"JSON that cannot be read ({str(error).split(';')[0]})") from None


def _depth(line: str) -> int:
    """How deep brackets are nested, counted until it is too deep."""
    depth = deepest = 0
    for found in _BRACKETS.finditer(line):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(found[0], 0)
        deepest = max(deepest, depth)
        if deepest > DEEPEST:
            break
    return deepest


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        raise Wrong(f"the key {next(name for name in names if names.count(name) > 1)!r} stands twice")
    return row


def _constant(name: str) -> Any:
    raise Wrong(f"{name} is no JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)
