"""A server of the page on a free port, and the ways in which tests ask it: as a browser would, and byte by byte."""

import http.client
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn

from regard.page.guard import HEADERS
from regard.page.server import Say, bind, server_of
from regard.page.studio import Studio

TOKEN = "t" * 43
OURS = {name.decode(): value.decode() for name, value in HEADERS}


@dataclass
class Got:
    """An answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def sentence(self) -> str:
        """What is said of an error: one line with our headers, and nothing of the program or the machine."""
        assert self.headers["content-type"] == "text/plain; charset=utf-8"
        check_sentence(self.text)
        check_headers(self.headers)
        return self.text


def check_sentence(text: str) -> None:
    assert 0 < len(text) <= 300
    assert text.isprintable()
    for sign in ("Traceback", "site-packages", ".py", "/work", "/home", "/root", "/tmp", "Error"):
        assert sign not in text


def check_headers(headers: Mapping[str, str]) -> None:
    """W13, and no word that opens anything to other pages (W5)."""
    assert {name: headers.get(name) for name in OURS} == OURS
    assert not [name for name in headers if name.startswith("access-control-") or name == "set-cookie"]


@dataclass
class Site:
    """A running server."""

    port: int
    server: uvicorn.Server
    said: list[str]

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def ask(self, path: str, body: Any = None, *, token: str | None = TOKEN, **headers: str) -> Got:
        """GET, or POST where there is a body; underscores in header names stand for dashes."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            fields["x-regard-token"] = token
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        try:
            connection.request("GET" if data is None else "POST", path, data, fields)
            answer = connection.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return Got(answer.status, names, answer.read())
        finally:
            connection.close()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def raw(self, sent: bytes) -> Got | None:
        """What comes back for these bytes until the server closes; None if it says nothing."""
        with self.connect() as connection:
            connection.sendall(sent)
            return heard(connection)

    def head(self, line: str, *fields: str, stays: bool = False) -> bytes:
        """The bytes of a request before its body; stays: the connection is to be kept."""
        own = [f"host: {self.host}", f"x-regard-token: {TOKEN}", *([] if stays else ["connection: close"])]
        return "".join(f"{part}\r\n" for part in (f"{line} HTTP/1.1", *own, *fields, "")).encode()


def heard(connection: socket.socket) -> Got | None:
    """All that the server says until it closes."""
    found = b""
    while piece := connection.recv(65536):
        found += piece
    return parsed(found) if found else None


def one_answer(connection: socket.socket) -> Got:
    """The next one, of a connection that stays open."""
    found = b""
    while b"\r\n\r\n" not in found or len(parsed(found).body) < int(parsed(found).headers["content-length"]):
        piece = connection.recv(65536)
        assert piece
        found += piece
    return parsed(found)


def parsed(answer: bytes) -> Got:
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return Got(int(first.split(" ")[1]), headers, body)


@contextmanager
def serving(studio: Studio, *, say: Say | None = None, **limits: Any) -> Iterator[Site]:
    """A server in a thread of its own; limits: of its connections."""
    said: list[str] = []
    listening = bind("127.0.0.1", 0)
    port = listening.getsockname()[1]
    server = server_of(studio, "127.0.0.1", port, TOKEN, say or said.append, **limits)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield Site(port, server, said)
    finally:
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()
