"""Slow, half-sent, large and too many connections: each ends with its number, and the page stays usable (W7)."""

import json
import socket
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regard.page.guard import MOST_BODY, MOST_HEAD
from regard.page.protocol import STRANGERS
from regard.page.studio import Studio

from .asking import TOKEN, Site, heard, one_answer, parsed, serving

SOON = 0.3
"""Seconds of the deadline in these tests."""


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """The real limits."""
    with serving(Studio(None)) as found:
        yield found
        assert found.said == []  # no fault of ours


@pytest.fixture
def quick() -> Iterator[Site]:
    """A deadline that tests can wait for."""
    with serving(Studio(None), seconds=SOON) as found:
        yield found
        assert found.said == []


def works(site: Site) -> None:
    """The page is served, and answered."""
    assert site.ask("/api/start").json["live"] is True


BEGUN = {
    "half a line": b"GET /api/st",
    "no end of the headers": b"GET /api/start HTTP/1.1\r\nhost: x\r\n",
    "half a body": b"POST /api/look HTTP/1.1\r\nhost: HOST\r\nx-regard-token: TOKEN\r\ncontent-length: 100\r\n\r\n{",
}


@pytest.mark.parametrize("begun", BEGUN.values(), ids=BEGUN)
def test_W07_a_request_that_does_not_arrive_whole_is_told_so(quick: Site, begun: bytes) -> None:
    began = time.monotonic()
    got = quick.raw(begun.replace(b"HOST", quick.host.encode()).replace(b"TOKEN", TOKEN.encode()))
    assert got is not None
    assert got.status == 408
    assert "0.3 seconds" in got.sentence
    assert got.headers["connection"] == "close"
    assert SOON * 0.9 < time.monotonic() - began < SOON + 5
    works(quick)


def test_W07_sending_slowly_does_not_put_the_deadline_off(quick: Site) -> None:
    began = time.monotonic()
    with quick.connect() as connection:
        connection.settimeout(0.02)
        answer = b""
        while not answer and time.monotonic() - began < 10:
            connection.sendall(b"x")
            try:
                answer = connection.recv(65536)
            except TimeoutError:
                continue
    assert parsed(answer).status == 408
    assert time.monotonic() - began < SOON + 5


def test_W07_a_connection_that_says_nothing_ends_without_a_word(quick: Site) -> None:
    with quick.connect() as connection:
        assert heard(connection) is None


def test_W07_the_deadline_is_of_each_request_and_not_of_the_connection(quick: Site) -> None:
    began = time.monotonic()
    with quick.connect() as connection:
        while time.monotonic() - began < 2 * SOON:
            connection.sendall(quick.head("GET /api/start", stays=True))
            assert one_answer(connection).status == 200
        connection.sendall(b"GET /api/sta")
        got = heard(connection)
    assert got is not None
    assert got.status == 408


def test_W07_the_answer_may_take_longer_than_the_deadline(quick: Site) -> None:
    """Of two requests sent at once the second waits for the first; neither is late, as both have arrived."""
    line = "GET /static/page.css"
    with quick.connect() as connection:
        connection.sendall(quick.head(line, stays=True) + quick.head(line))
        answers = b""
        while piece := connection.recv(65536):
            answers += piece
    assert answers.count(b"HTTP/1.1 200 ") == 2


def test_W07_long_headers_are_refused_whether_they_end_or_not(site: Site) -> None:
    for fields, end in ((1, b"\r\n\r\n"), (400, b"\r\n\r\n"), (1, b""), (400, b"")):
        sent = site.head("GET /")[:-2] + b"".join(b"x-%d: %s\r\n" % (i, b"x" * (2 * MOST_HEAD // fields))
                                                  for i in range(fields))  # fmt: skip
        got = site.raw(sent[:-2] + end)
        assert got is not None
        assert got.status == 431
        assert "16 KB" in got.sentence


def test_W07_a_large_body_is_refused_before_and_after_it_is_sent(site: Site) -> None:
    head = site.head("POST /api/look", f"content-length: {MOST_BODY + 1}")
    got = site.ask("/api/look", bytes(MOST_BODY + 1))
    assert (got.status, "8 MB" in got.sentence) == (413, True)
    waits = site.head("POST /api/look", f"content-length: {MOST_BODY + 1}", "expect: 100-continue")
    for sent in (head, waits):
        with site.connect() as connection:
            connection.sendall(sent)
            assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_W07_what_is_in_pieces_is_refused(site: Site) -> None:
    for coding in ("chunked", "gzip, chunked", "gzip"):
        got = site.raw(site.head("POST /api/look", f"transfer-encoding: {coding}") + b"1\r\nx\r\n0\r\n\r\n")
        assert got is not None
        assert got.status == 411
        assert "length" in got.sentence
    got = site.raw(site.head("POST /api/look"))
    assert got is not None
    assert got.status == 411


@pytest.mark.parametrize("sent", [
    b"hello\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40), b"\0" * 99,
    b"GET  / HTTP/1.1\r\nhost: x\r\n\r\n", b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: x\r\n\r\n",
])  # fmt: skip
def test_W07_what_is_no_request_is_told_so(site: Site, sent: bytes) -> None:
    got = site.raw(sent + b"\r\n\r\n")
    assert got is not None
    assert got.status == 400
    assert "no HTTP" in got.sentence
    works(site)


@pytest.mark.parametrize("hosts", ["", "host: {0}\r\nhost: {0}\r\n", "host: {0}\r\nhost: evil.example\r\n"])
def test_W04_no_host_and_two_hosts_are_refused_by_the_connection(site: Site, hosts: str) -> None:
    for version in ("1.1", "1.0"):
        got = site.raw(f"GET / HTTP/{version}\r\n{hosts.format(site.host)}\r\n".encode())
        assert got is not None
        assert got.status == 403
        assert "address" in got.sentence


def test_W05_an_upgrade_is_refused(site: Site) -> None:
    for protocol in ("websocket", "h2c"):
        fields = ("connection: upgrade", f"upgrade: {protocol}", "sec-websocket-version: 13", "sec-websocket-key: eA==")
        with site.connect() as connection:
            connection.sendall(site.head("GET /api/start", *fields, stays=True))
            got = one_answer(connection)
        assert got.status == 403
        assert "protocol" in got.sentence


def test_W07_too_many_strangers_are_turned_away_and_the_page_stays_usable(site: Site) -> None:
    idle = [site.connect() for _ in range(3 * STRANGERS)]
    try:
        turned = [got for one in idle[: 2 * STRANGERS] if (got := heard(one)) is not None]
        assert {got.status for got in turned} == {503}  # those that came longest ago
        assert "without the token" in turned[0].sentence
        assert len(turned) == 2 * STRANGERS
        for one in idle[2 * STRANGERS :]:
            one.setblocking(False)
            with pytest.raises(BlockingIOError):
                one.recv(1)  # it may stay
        works(site)
        assert site.ask("/", token=None).status == 200
    finally:
        for one in idle:
            one.close()


def test_W07_a_flood_of_strangers_is_turned_away_at_once() -> None:
    """Not even for the moment that each has may there be any number of them."""
    with serving(Studio(None), most=2, arriving=8, moment=1000.0) as site:
        idle = [site.connect() for _ in range(12)]
        assert [getattr(heard(one), "status", None) for one in idle[:4]] == [503] * 4
        works(site)
        for one in idle:
            one.close()


def test_W07_in_a_crowd_who_asks_without_the_token_is_told_at_once() -> None:
    """Before anything is parsed; but whoever has the token, and whoever wants the shell, is answered."""
    with serving(Studio(None), most=2, moment=1000.0) as site:
        idle = [site.connect() for _ in range(3)]
        for path in ("/api/start", "/api/1/facts"):
            for token in (None, "wrong", TOKEN[:-1]):
                got = site.ask(path, token=token)
                assert (got.status, "too many" in got.sentence) == (503, True)
        twice = site.raw(site.head("GET /api/start", f"X-Regard-Token: {TOKEN}"))
        assert twice is not None
        assert twice.status in (403, 503)
        works(site)
        assert site.ask("/", token=None).status == 200
        pieces = site.head("GET /api/start")
        with site.connect() as connection:
            for at in range(0, len(pieces), 7):
                connection.sendall(pieces[at : at + 7])
            assert one_answer(connection).status == 200
        for one in idle:
            one.close()


def test_W07_whoever_has_the_token_is_never_turned_away(site: Site) -> None:
    known = site.head("GET /api/start", stays=True)
    with site.connect() as page:
        page.sendall(known)
        assert one_answer(page).status == 200
        idle = [site.connect() for _ in range(2 * STRANGERS)]
        try:
            assert [heard(one) is not None for one in idle[:STRANGERS]] == [True] * STRANGERS
            page.sendall(known)
            assert one_answer(page).status == 200
        finally:
            for one in idle:
                one.close()


def test_W07_the_page_is_usable_beside_500_idle_and_slow_connections(site: Site) -> None:
    others: list[socket.socket] = []
    try:
        for number in range(500):
            others.append(site.connect())
            if number % 2:
                others[-1].sendall(b"GET /api/start HTTP/1.1\r\nhost: ")
            if number % 50 == 0:
                works(site)
        assert site.ask("/", token=None).status == 200
        works(site)
    finally:
        for one in others:
            one.close()
    works(site)


def test_W07_five_hundred_that_ask_without_the_token_are_refused_and_end(site: Site) -> None:
    for _ in range(500):
        assert site.ask("/api/start", token="wrong").status == 403
    works(site)


FIELDS = st.sampled_from([
    b"host: HOST", b"x-regard-token: TOKEN", b"content-length: 3", b"content-length: 9", b"x: \xff", b"host: evil",
    b"transfer-encoding: chunked", b"connection: close", b"upgrade: websocket", b"expect: 100-continue", b": x", b"x",
    b" folded", b"origin: null",
])  # fmt: skip
LINES = st.sampled_from([
    b"GET / HTTP/1.1", b"GET /api/start HTTP/1.1", b"POST /api/look HTTP/1.1", b"GET /%00%ff HTTP/1.1", b"GET /",
    b"GET /../../etc/passwd HTTP/1.1", b"OPTIONS * HTTP/1.1", b"CONNECT a:1 HTTP/1.1", b"GET http://evil/ HTTP/1.1",
    b"HEAD / HTTP/1.0",
])  # fmt: skip
Parts = list[tuple[bytes, list[bytes], bytes]]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(LINES, st.lists(FIELDS, max_size=6), st.binary(max_size=12)), min_size=1, max_size=3))
def test_W07_whatever_bytes_come_each_answer_is_whole_and_shut_in(parts: Parts) -> None:
    site = _shared()
    sent = b"".join(line + b"\r\n" + b"".join(one + b"\r\n" for one in fields) + b"\r\n" + body
                    for line, fields, body in parts)  # fmt: skip
    with site.connect() as connection:
        connection.sendall(sent.replace(b"HOST", site.host.encode()).replace(b"TOKEN", TOKEN.encode()))
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(SOON + 5)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    for got in map(parsed, _answers(answer)):
        if got.status != 100:
            assert got.headers["x-content-type-options"] == "nosniff"
            assert got.headers["content-security-policy"].startswith("default-src 'none'")
            assert b"Traceback" not in got.body
    works(site)
    assert site.said == []


def _answers(stream: bytes) -> list[bytes]:
    """Each begins with its own line."""
    return [b"HTTP/1.1 " + part for part in stream.split(b"HTTP/1.1 ")[1:]]


_running: list[Site] = []


def _shared() -> Site:
    assert _running, "the fixture below has it running"
    return _running[0]


@pytest.fixture(scope="module", autouse=True)
def _beside() -> Iterator[None]:
    """One server for all examples of a property."""
    with serving(Studio(None), seconds=SOON) as found:
        _running.append(found)
        yield
        _running.clear()


def test_an_answer_is_json_where_it_is_asked_for(site: Site) -> None:
    got = site.ask("/api/start")
    assert got.headers["content-type"] == "application/json"
    assert json.loads(got.body) == {"key": None, "name": "", "live": True, "model": False, "proof": None, "at": ""}
