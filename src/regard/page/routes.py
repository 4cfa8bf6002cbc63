"""What can be asked of the server, as a fixed table: the shell's files, and questions to the studio.

No path is ever joined from a request: what is served was read before the first one came (bad-inputs, W6 and W8).
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from regard.page import asked
from regard.page.assets import KINDS, served, shell
from regard.page.guard import FAULT, Fault, Guard, Ours
from regard.page.studio import Studio

Endpoint = Callable[[Request], Coroutine[Any, Any, Response]]


def application(studio: Studio, *, host: str, port: int, token: str, fault: Fault = lambda error: None) -> Guard:
    """The routes behind the guard. fault: is told of what is no refusal."""
    files = {"/": (shell(), "text/html; charset=utf-8")}
    files |= {f"/static/{name}": (text, KINDS[Path(name).suffix]) for name, text in served(studio.takes).items()}
    answering = partial(_answering, fault)
    routes = [Route(path, _file(text.encode(), kind), methods=["GET"]) for path, (text, kind) in files.items()]
    routes += [
        Route("/api/start", answering(partial(_start, studio)), methods=["GET"]),
        Route("/api/look", answering(partial(_look, studio)), methods=["POST"]),
        Route("/api/picture/{client}/{number}", answering(partial(_picture, studio)), methods=["POST"]),
        Route("/api/{key}/edit", answering(partial(_edit, studio)), methods=["POST"]),
        Route("/api/{key}/prove", answering(partial(_prove, studio)), methods=["POST"]),
        Route("/api/{key}/survey", answering(partial(_survey, studio)), methods=["POST"]),
        Route("/api/{key}/{rest:path}", answering(partial(_answer, studio), unknown=404), methods=["GET"]),
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
    return _told(await asked.look(studio, await _fields(request)))


async def _picture(studio: Studio, request: Request) -> Response:
    return _told(await asked.picture(studio, **request.path_params, content=await request.body()))


async def _edit(studio: Studio, request: Request) -> Response:
    given = await _fields(request)
    return _told(await asked.edit(studio, request.path_params["key"], given))


async def _prove(studio: Studio, request: Request) -> Response:
    given = await _fields(request)
    return _told(await asked.prove(studio, request.path_params["key"], given))


async def _survey(studio: Studio, request: Request) -> Response:
    given = await _fields(request)
    return _told(await asked.survey(studio, request.path_params["key"], given))


async def _answer(studio: Studio, request: Request) -> Response:
    found = await studio.answer(request.path_params["key"], request.path_params["rest"])
    return Response(found.body, headers={"content-type": found.kind})


async def _fields(request: Request) -> asked.Fields:
    return asked.fields_of(await request.body())


# how it is answered


def _answering(fault: Fault, endpoint: Endpoint, unknown: int = 400) -> Endpoint:
    """The endpoint, with what goes wrong in it made a status and one sentence. unknown: the status of a refusal."""

    async def answered(request: Request) -> Response:
        try:
            return await _while_there(request, endpoint)
        except ClientDisconnect:
            return _said(400, "nobody waits for this answer")
        except Exception as error:
            return _said(*asked.refusal_of(error, fault, unknown))

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
    return Response(asked.told(value), media_type="application/json")
