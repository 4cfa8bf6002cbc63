"""What the page asks of a studio, and how it is answered or refused: the same from a server and in a notebook.

`start` and KEY/QUESTION are asked for; look, KEY/edit, KEY/prove and KEY/survey come with fields: a JSON object,
checked here; picture/CLIENT/NUMBER comes with the bytes of a file.
"""

import json
from collections.abc import Mapping
from typing import Any

from regard.errors import RegardError
from regard.page.effects import edits_of
from regard.page.guard import FAULT, Fault, sentence_of
from regard.page.studio import Studio
from regard.page.worker import Declined

LONGEST_CLIENT = 64
LARGEST_NUMBER = 1 << 53
"""Of what JavaScript counts exactly."""

Fields = Mapping[str, Any]


async def look(studio: Studio, given: Fields) -> dict[str, Any]:
    """Raises RegardError for fields that are wrong, as those below do, and Declined for what the studio refuses."""
    text, turn = given.get("text"), turn_of(given)
    if not isinstance(text, str):
        raise RegardError("request", "its text is no string", "send text, client and number")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RegardError("text", "it holds half a character", "leave it out") from None
    return await studio.look(text, *turn)


async def picture(studio: Studio, client: str, number: str, content: bytes) -> dict[str, Any]:
    """A picture's file: it comes by itself, so who asks, and for the how-manieth time, stands beside it."""
    counted = int(number) if number.isascii() and number.isdecimal() and len(number) < 20 else None
    return await studio.look(content, *turn_of({"client": client, "number": counted}))


async def edit(studio: Studio, key: str, given: Fields) -> dict[str, Any]:
    edits, turn, others = edits_of(given.get("edits")), turn_of(given), given.get("others", True)
    if not isinstance(others, bool):
        raise RegardError("request", "its others is neither true nor false", "send true to have random others beside")
    return await studio.edit(key, edits, *turn, others=others)


async def prove(studio: Studio, key: str, given: Fields) -> dict[str, Any]:
    return await studio.prove(key)


async def survey(studio: Studio, key: str, given: Fields) -> dict[str, Any]:
    return await studio.survey(key, *turn_of(given))


def turn_of(given: Fields) -> tuple[str, int]:
    """Who asks, and for the how-manieth time."""
    client, number = given.get("client"), given.get("number")
    if not isinstance(client, str) or not 0 < len(client) <= LONGEST_CLIENT:
        raise RegardError("request", "its client is no name", f"send a string of at most {LONGEST_CLIENT} signs")
    if type(number) is not int or not 0 <= number < LARGEST_NUMBER:  # type: True is an int, too
        raise RegardError("request", "its number is no whole number", "count up from 0")
    return client, number


def fields_of(body: bytes) -> Fields:
    """The JSON object of a request. Raises RegardError for anything else."""
    try:
        found = json.loads(body.decode(), parse_constant=_no_number)
    except (ValueError, RecursionError):  # ValueError: no JSON, no UTF-8, NaN, a number of 5,000 digits
        raise RegardError("request", "it is no JSON that can be read", "send one object, in UTF-8") from None
    if not isinstance(found, dict):
        raise RegardError("request", "it is no JSON object", "send one object")
    return found


def _no_number(name: str) -> float:
    raise ValueError(name)


def told(value: Any) -> bytes:
    """JSON, in which no sign can end a script or a line, whatever a token holds (W11)."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    for sign in ("<", ">", "&", "\u2028", "\u2029"):
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text.encode(errors="backslashreplace")


def refusal_of(error: Exception, fault: Fault, unknown: int = 400) -> tuple[int, str]:
    """A status and one sentence; fault: is told of what is no refusal. unknown: the status of a RegardError."""
    if isinstance(error, Declined):
        return error.status, str(error)
    if isinstance(error, RegardError):
        return unknown if error.code == 2 else 500, sentence_of(error)
    fault(error)
    return 500, FAULT
