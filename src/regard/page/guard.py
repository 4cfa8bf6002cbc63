"""Who may ask: each request is checked before any route sees it, and each answer carries the headers that shut it in.

Plain ASGI, so that nothing lies between the socket and these checks (bad-inputs, W3 to W7 and W13).
"""

import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from ipaddress import ip_address
from secrets import compare_digest
from typing import Any

from regard.errors import RegardError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Fault = Callable[[BaseException], object]
"""Is told of what went wrong through a fault of ours."""
Headers = Iterable[tuple[bytes, bytes]]
"""As ASGI has them: names in lower case."""

TOKEN = b"x-regard-token"
MOST_BODY = 8 << 20
MOST_HEAD = 16 << 10
EVERYWHERE = ("0.0.0.0", "::")
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "font-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'"
)
HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"cross-origin-resource-policy", b"same-origin"),  # else a hostile page learns from a script tag what runs here
    (b"cross-origin-opener-policy", b"same-origin"),
)
"""On every answer, errors too (W13)."""


@dataclass(frozen=True)
class Ours:
    """Under which names this server is asked. A name that an attacker points here (DNS rebinding) is none of them."""

    names: frozenset[bytes]
    """With the port, as the Host header has them."""
    port: int
    addresses: bool = False
    """Whether any numeric address will do: listening everywhere, ours are unknown, and no name is numeric."""

    @classmethod
    def at(cls, host: str, port: int) -> "Ours":
        """The loopback names, and the address that was asked for."""
        own = f"[{host}]" if ":" in host else host.lower()
        names = [f"{name}:{port}" for name in (*LOOPBACK, own)]
        if port == 80:  # which browsers leave out
            names += [*LOOPBACK, own]
        return cls(frozenset(name.encode() for name in names), port, host in EVERYWHERE)

    def __contains__(self, host: bytes) -> bool:
        return host in self.names or (self.addresses and self._is_address(host))

    def _is_address(self, host: bytes) -> bool:
        name, _, port = host.decode("latin-1").rpartition(":")
        bracketed = name.startswith("[") and name.endswith("]")
        try:
            address = ip_address(name[1:-1] if bracketed else name)
        except ValueError:
            return False
        return port == str(self.port) and bracketed == (address.version == 6)


def has_token(headers: Headers, token: bytes) -> bool:
    """Whether it was sent, once and right; the time that this takes tells nothing of it."""
    given = values(headers, TOKEN)
    return len(given) == 1 and compare_digest(given[0], token)


def values(headers: Headers, name: bytes) -> list[bytes]:
    return [value for key, value in headers if key == name]


class Guard:
    """The application, and before it whatever keeps others from it."""

    def __init__(
        self, app: App, *, ours: Ours, token: str, unguarded: Iterable[str],
        fault: Fault = lambda error: None,
    ) -> None:  # fmt: skip
        """unguarded: paths that are served without the token, as they hold nothing. fault: is told what went wrong."""
        self.app, self.ours, self.token, self.shell, self.fault = app, ours, token.encode(), frozenset(unguarded), fault

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            return await send({"type": "websocket.close", "code": 1008})
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        started = False

        async def shut_in(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message = {**message, "headers": _with_ours(message.get("headers", ()))}
            await send(message)

        refused = self.refusal(scope)
        if refused is not None:
            return await tell(shut_in, *refused)
        try:
            return await self.app(scope, receive, shut_in)
        except Exception as error:
            self.fault(error)
            if started:  # too late for another answer: the connection is cut
                raise
            return await tell(shut_in, 500, FAULT)

    def refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Why this request is not let in: a status and one sentence."""
        headers: Headers = scope["headers"]
        hosts, origins = values(headers, b"host"), values(headers, b"origin")
        if len(hosts) != 1 or hosts[0] not in self.ours:
            return 403, "this is not the address that regard printed; open that one"
        if scope["method"] not in ("GET", "POST"):
            return 405, "there is no such method here; use GET or POST"
        if _size(scope) > MOST_HEAD:
            return 431, f"the headers are over {MOST_HEAD >> 10} KB; send fewer"
        if any(origin != b"http://" + hosts[0] for origin in origins):
            return 403, "another page asked; only regard's own page may"
        if scope["path"] not in self.shell:
            if any(site != b"same-origin" for site in values(headers, b"sec-fetch-site")):
                return 403, "another page asked; only regard's own page may"
            if not has_token(headers, self.token):
                return 403, "the token is missing or wrong; open the address that regard printed"
        if values(headers, b"upgrade"):
            return 403, "there is no other protocol here; use HTTP"
        return _refused_length(scope["method"], headers)


FAULT = "this is a fault of regard; what happened stands where it was started"


def _refused_length(method: str, headers: Headers) -> tuple[int, str] | None:
    """Why a body of the length that is announced is not read."""
    lengths = values(headers, b"content-length")
    if values(headers, b"transfer-encoding") or (method == "POST" and not lengths):
        return 411, "the length of the request is missing; send content-length and nothing in pieces"
    if any(not length.isdigit() for length in lengths) or len(set(lengths)) > 1:
        return 400, "the length of the request is no number; send one"
    if any(int(length[:20]) > MOST_BODY for length in lengths):
        return 413, f"the request is over {MOST_BODY >> 20} MB; send less"
    return None


def _size(scope: Scope) -> int:
    """Bytes of a request before its body."""
    path = scope.get("raw_path") or scope["path"].encode()
    fields = sum(len(name) + len(value) + 4 for name, value in scope["headers"])  # ": " and the line's end
    return len(path) + len(scope.get("query_string", b"")) + fields


def _with_ours(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Ours, and of the application's what does not open anything to others."""
    own = {name for name, _ in HEADERS}
    kept = [(name, value) for name, value in headers if name.lower() not in own]
    return [*(pair for pair in kept if not pair[0].lower().startswith(b"access-control-")), *HEADERS]


async def tell(send: Send, status: int, sentence: str) -> None:
    """An answer that is one sentence."""
    body = sentence.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    if status == 405:
        headers.append((b"allow", b"GET, POST"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


PATH = re.compile(r"['\"`(]*(/|~/|\.\.?/|[A-Za-z]:[\\/]|\\\\)\w")
"""/home/x, ~/x, ../x or C:\\x, in quotes or not; a question such as tile/self/0 is the page's own."""


def sentence_of(error: RegardError) -> str:
    """A refusal as the page is told it: no folder or file of this machine is named (W13)."""
    where = "the run" if "/" in error.where or PATH.match(error.where) else error.where
    return str(RegardError(where, _pathless(error.what), _pathless(error.do), error.code))


def _pathless(text: str) -> str:
    return " ".join("(a file)" if PATH.match(word) else word for word in text.split(" "))
