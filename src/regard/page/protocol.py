"""Connections that are slow, half sent or too many: uvicorn's HTTP/1.1 with a deadline, and places kept for the page.

uvicorn has no time limit for a request to arrive, and cannot tell who may stay (bad-inputs, W7).
"""

import asyncio
import re
import sys
from http import HTTPStatus
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from regard.page.guard import HEADERS, MOST_HEAD, TOKEN, has_token

WHOLE = 10.0
"""Seconds in which a request must have arrived whole."""
STRANGERS = 32
"""Connections that may stay without having shown the token."""
ARRIVING = 256
"""Connections that have not shown it yet, but may within the moment below."""
TURNS = 3
"""Of the event loop, from when a connection is made: it is watched, found readable, and read."""
MOMENT = 0.25
"""Seconds for which a newcomer may be one too many."""
TOO_MANY = "there are too many connections without the token; close some and try again"
ASKS = re.compile(rb"(?:GET|POST) /api/")
GIVEN = re.compile(rb"\r\n" + TOKEN + rb":[ \t]*([^\r\n]*?)[ \t]*\r\n", re.IGNORECASE)


class Places:
    """Who stays: all that have shown the token, and so many others.

    The token comes only with a first request, so each newcomer is let in and has a moment to show it. After that those
    that have been here longest leave, busy ones excepted; so whoever holds the token always finds a place.
    """

    def __init__(self, token: str, *, most: int = STRANGERS, arriving: int = ARRIVING, moment: float = MOMENT) -> None:
        self.token, self.most, self.arriving, self.moment = token.encode(), most, arriving, moment
        self._strangers: dict[Careful, float] = {}  # when each came, the longest here first
        self._unheard: set[Careful] = set()
        """Newcomers of which nothing could have been read yet: one of them may be the page."""
        self._check: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """Strangers."""
        return len(self._strangers)

    def enter(self, newcomer: "Careful") -> None:
        self._strangers[newcomer] = newcomer.loop.time()
        self._unheard.add(newcomer)
        newcomer.loop.call_soon(self._hear, newcomer, TURNS)
        if len(self._strangers) > self.most and self._check is None:
            self._check = newcomer.loop.call_later(self.moment, self._look_again, newcomer.loop)

    def leave(self, one: "Careful") -> None:
        """It is gone, or no stranger any more."""
        self._strangers.pop(one, None)
        self._unheard.discard(one)

    @property
    def crowded(self) -> bool:
        return len(self._strangers) > self.most

    def heard(self, one: "Careful", headers: list[tuple[bytes, bytes]]) -> None:
        if one in self._strangers and has_token(headers, self.token):
            self.leave(one)

    def _hear(self, one: "Careful", turns: int) -> None:
        """Counts turns of the loop, not time: however busy it is, what the newcomer sent at once has been read then."""
        if turns:
            one.loop.call_soon(self._hear, one, turns - 1)
            return
        self._unheard.discard(one)
        if len(self._strangers) > self.arriving:
            self._make_room(one.loop, self.arriving, waited=0.0)

    def _look_again(self, loop: asyncio.AbstractEventLoop) -> None:
        self._check = None
        self._make_room(loop, self.most, waited=self.moment)
        if len(self._strangers) > self.most:
            self._check = loop.call_later(self.moment, self._look_again, loop)

    def _make_room(self, loop: asyncio.AbstractEventLoop, most: int, waited: float) -> None:
        """Sends those away that came longest ago, if they have been here for so long, until there are few enough."""
        before = loop.time() - waited
        for one, came in list(self._strangers.items()):
            if len(self._strangers) <= most or came > before:
                break
            if not one.busy and one not in self._unheard:
                self.leave(one)
                one.turn_away()


class Careful(H11Protocol):
    """One connection. A request has a deadline, what is refused is said with our headers, strangers give way."""

    places: ClassVar[Places]
    seconds: ClassVar[float] = WHOLE
    _deadline: asyncio.TimerHandle | None = None

    @property
    def busy(self) -> bool:
        """Whether a request is being answered."""
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def arriving(self) -> bool:
        """Whether a request is awaited, or the rest of one."""
        state = self.conn.their_state
        if state is h11.IDLE:  # between two requests uvicorn's own limit holds
            return self.cycle is None or bool(self.conn.trailing_data[0])
        return state is h11.SEND_BODY

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()
        self.places.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._rest()
        self.places.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.places.crowded and self.cycle is None and self._asks_in_vain(data):
            self._refuse(503, TOO_MANY)  # hundreds a second are told so for what parsing them would cost
        else:
            super().data_received(data)

    def _asks_in_vain(self, data: bytes) -> bool:
        """Whether this is a whole first request, for what needs the token, and does not have it."""
        if self.conn.trailing_data[0] or not ASKS.match(data) or b"\r\n\r\n" not in data:
            return False
        return not has_token([(TOKEN, given) for given in GIVEN.findall(data)], self.places.token)

    def handle_events(self) -> None:
        super().handle_events()
        if self.headers is not None:
            self.places.heard(self, self.headers)
        self._watch()

    def send_400_response(self, msg: str) -> None:
        """Called for all that h11 cannot read, while its error is handled; some of it has a number of its own."""
        error = sys.exc_info()[1]
        hint = getattr(error, "error_status_hint", 400)
        if hint == 431:
            self._refuse(431, f"the headers are over {MOST_HEAD >> 10} KB; send fewer")
        elif hint == 501:
            self._refuse(411, "the length of the request is missing; send content-length and nothing in pieces")
        elif "Host" in str(error):
            self._refuse(403, "this is not the address that regard printed; open that one")
        else:
            self._refuse(400, "this is no HTTP request; ask with a browser")

    def turn_away(self) -> None:
        """There are too many strangers, and this one has been here longest."""
        if self.arriving:
            self._refuse(503, TOO_MANY)
        else:
            self._end()

    def _watch(self) -> None:
        """The clock runs from when a request may begin until it is whole."""
        if not self.arriving or self.transport.is_closing():
            self._rest()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(self.seconds, self._late)

    def _rest(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        if self.cycle is None and not self.conn.trailing_data[0]:  # a browser's spare connection, say
            self._end()
        else:
            self._refuse(408, f"the request did not arrive whole within {self.seconds:g} seconds; send it again")

    def _refuse(self, status: int, sentence: str) -> None:
        """Says so, unless an answer has begun, and ends the connection."""
        if self.transport.is_closing():
            return
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.write(_raw(status, sentence))
        if self.busy:  # its application is not to answer any more
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._end()

    def _end(self) -> None:
        self._rest()
        if self.transport.get_write_buffer_size():  # it does not read, so it would stay
            self.transport.abort()
        else:
            self.transport.close()


def careful(token: str, **limits: Any) -> type[Careful]:
    """The connections of one server. limits: of Places; seconds: of the deadline."""
    seconds = limits.pop("seconds", WHOLE)
    return type("CarefulHere", (Careful,), {"places": Places(token, **limits), "seconds": seconds})


def _raw(status: int, sentence: str) -> bytes:
    """A whole answer; what h11 makes of it is not asked, as it may have given up on this connection."""
    body = sentence.encode()
    own = ((b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode()))
    fields = (*own, (b"connection", b"close"), *HEADERS)
    head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode()
    return head + b"".join(name + b": " + value + b"\r\n" for name, value in fields) + b"\r\n" + body
