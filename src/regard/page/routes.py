"""What can be asked of the server, as a fixed table: the shell's files, and questions to the studio.

No path is ever joined from a request: what is served was read before the first one came (bad-inputs, W6 and W8).
"""

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from regard.errors import RegardError
from regard.page.assets import KINDS, assets, shell
from regard.page.effects import edits_of
from regard.page.guard import FAULT, Fault, Guard, Ours, sentence_of
from regard.page.studio import Studio
from regard.page.worker import Declined

LONGEST_CLIENT = 64
LARGEST_NUMBER = 1 << 53
"""Of what JavaScript counts exactly."""

Endpoint = Callable[[Request], Coroutine[Any, Any, Response]]


def application(studio: Studio, *, host: str, port: int, token: str, fault: Fault = lambda error: None) -> Guard:
    """The routes behind the guard. fault: is told of what is no refusal."""
    files = {"/": (shell(), "text/html; charset=utf-8")}
    files |= {f"/static/{name}": (text, KINDS[Path(name).suffix]) for name, text in assets().items()}
    asked = partial(_asked, fault)
    routes = [Route(path, _file(text.encode(), kind), methods=["GET"]) for path, (text, kind) in files.items()]
    routes += [
        Route("/api/start", asked(partial(_start, studio)), methods=["GET"]),
        Route("/api/look", asked(partial(_look, studio)), methods=["POST"]),
        Route("/api/{key}/edit", asked(partial(_edit, studio)), methods=["POST"]),
        Route("/api/{key}/prove", asked(partial(_prove, studio)), methods=["POST"]),
        Route("/api/{key}/{rest:path}", asked(partial(_answer, studio), unknown=404), methods=["GET"]),
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _no_route})
    app.router.redirect_slashes = False
    return Guard(app, ours=Ours.at(host, port), token=token, unguarded=files, fault=fault)


def _file(body: bytes, kind: str) -> Endpoint:
    async def file(request: Request) -> Response:
        return Response(body, headers={"content-type": kind})

    return file


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    sentences = {404: "there is no such thing here", 405: "this is not to be asked in this way"}
    return _said(error.status_code, sentences.get(error.status_code, FAULT), error.headers)


# one question to the studio each


async def _start(studio: Studio, request: Request) -> Response:
    return _told(studio.start())


async def _look(studio: Studio, request: Request) -> Response:
    given = await _fields(request)
    text, turn = given.get("text"), _turn(given)
    if not isinstance(text, str):
        raise RegardError("request", "its text is no string", "send text, client and number")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RegardError("text", "it holds half a character", "leave it out") from None
    return _told(await studio.look(text, *turn))


async def _edit(studio: Studio, request: Request) -> Response:
    given = await _fields(request)
    edits, turn = edits_of(given.get("edits")), _turn(given)
    return _told(await studio.edit(request.path_params["key"], edits, *turn))


async def _prove(studio: Studio, request: Request) -> Response:
    await _fields(request)
    return _told(await studio.prove(request.path_params["key"]))


async def _answer(studio: Studio, request: Request) -> Response:
    found = await studio.answer(request.path_params["key"], request.path_params["rest"])
    return Response(found.body, headers={"content-type": found.kind})


async def _fields(request: Request) -> Mapping[str, Any]:
    """The JSON object of a request. Raises RegardError for anything else."""
    try:
        found = json.loads((await request.body()).decode(), parse_constant=_no_number)
    except (ValueError, RecursionError):  # ValueError: no JSON, no UTF-8, NaN, a number of 5,000 digits
        raise RegardError("request", "it is no JSON that can be read", "send one object, in UTF-8") from None
    if not isinstance(found, dict):
        raise RegardError("request", "it is no JSON object", "send one object")
    return found


def _no_number(name: str) -> float:
    raise ValueError(name)


def _turn(given: Mapping[str, Any]) -> tuple[str, int]:
    """Who asks, and for the how-manieth time."""
    client, number = given.get("client"), given.get("number")
    if not isinstance(client, str) or not 0 < len(client) <= LONGEST_CLIENT:
        raise RegardError("request", "its client is no name", f"send a string of at most {LONGEST_CLIENT} signs")
    if type(number) is not int or not 0 <= number < LARGEST_NUMBER:  # type: True is an int, too
        raise RegardError("request", "its number is no whole number", "count up from 0")
    return client, number


# how it is answered


def _asked(fault: Fault, endpoint: Endpoint, unknown: int = 400) -> Endpoint:
    """The endpoint, with what goes wrong in it made a status and one sentence. unknown: the status of a refusal."""

    async def answered(request: Request) -> Response:
        try:
            return await _while_there(request, endpoint)
        except Declined as error:
            return _said(error.status, str(error))
        except RegardError as error:
            return _said(unknown if error.code == 2 else 500, sentence_of(error))
        except ClientDisconnect:
            return _said(400, "nobody waits for this answer")
        except Exception as error:
            fault(error)
            return _said(500, FAULT)

    return answered


async def _while_there(request: Request, endpoint: Endpoint) -> Response:
    """The answer; the work on it ends as soon as whoever asked is gone (W9)."""
    if request.method == "POST":
        await request.body()  # the request keeps it; from here on nothing comes but the end
    work, gone = asyncio.ensure_future(endpoint(request)), asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise ClientDisconnect
        return work.result()
    finally:
        work.cancel()
        gone.cancel()


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _said(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> Response:
    return Response(sentence, status, headers, "text/plain")


def _told(value: Any) -> Response:
    """JSON, in which no sign can end a script or a line, whatever a token holds (W11)."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    for sign in ("<", ">", "&", "\u2028", "\u2029"):
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Response(text.encode(errors="backslashreplace"), media_type="application/json")
