"""Only the page itself is let in, and each answer is shut in: every way around either is closed."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regard.errors import RegardError
from regard.page.guard import FAULT, MOST_BODY, MOST_HEAD, TOKEN, Guard, Ours, Receive, Scope, Send, sentence_of

from .asking import check_headers, check_sentence

PORT, SECRET = 8123, "s" * 43
HOST = f"127.0.0.1:{PORT}"
SHELL = ("/", "/static/page.css")
OWN = {"host": HOST, "x-regard-token": SECRET}
Pairs = list[tuple[bytes, bytes]]


async def welcoming(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that lets everything in, and opens it to everybody."""
    headers = [(b"Access-Control-Allow-Origin", b"*"), (b"cache-control", b"public"), (b"x-own", b"kept")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"in"})


async def nothing() -> dict[str, Any]:
    return {"type": "http.disconnect"}


def pairs(headers: dict[str, str]) -> Pairs:
    return [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]


def asked(
    path: str = "/api/start", method: str = "GET", headers: dict[str, str] | Pairs | None = None,
    app: Callable[..., Any] = welcoming, kind: str = "http", **how: Any,
) -> tuple[int, dict[str, str], str]:  # fmt: skip
    """(status, headers, text) of one request; headers None: those of the page."""
    given = OWN if headers is None else headers
    scope = {"type": kind, "method": method, "path": path, "raw_path": path.encode(), "query_string": b"",
             "headers": pairs(given) if isinstance(given, dict) else given}  # fmt: skip
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    guard = Guard(app, ours=Ours.at("127.0.0.1", PORT), token=SECRET, unguarded=SHELL, **how)
    asyncio.run(guard(scope, nothing, send))
    if kind != "http":
        return sent[0]["code"], {}, sent[0]["type"]
    start, *bodies = sent
    found = {name.decode().lower(): value.decode() for name, value in start["headers"]}
    assert len(found) == len(start["headers"])  # none twice
    return start["status"], found, b"".join(body["body"] for body in bodies).decode()


def status(**how: Any) -> int:
    found, headers, text = asked(**how)
    check_headers(headers)
    if found != 200:
        check_sentence(text)
    return found


def test_the_page_is_let_in() -> None:
    assert asked()[2] == "in"
    assert status(headers=OWN | {"origin": f"http://{HOST}", "sec-fetch-site": "same-origin"}) == 200
    assert status(method="POST", headers=OWN | {"content-length": "2"}) == 200


@pytest.mark.parametrize("path", SHELL)
def test_W03_only_the_shell_is_served_without_the_token(path: str) -> None:
    assert status(path=path, headers={"host": HOST}) == 200
    assert status(path="/api/start", headers={"host": HOST}) == 403


@pytest.mark.parametrize("token", ["", "wrong", SECRET[1:], SECRET + "s", SECRET.upper(), f"{SECRET},{SECRET}", "\xe9"])
def test_W03_a_wrong_token_is_none(token: str) -> None:
    assert status(headers={"host": HOST, "x-regard-token": token}) == 403


def test_W03_a_repeated_token_is_none() -> None:
    assert status(headers=[*pairs(OWN), (TOKEN, SECRET.encode())]) == 403
    assert status(headers=[*pairs(OWN), (TOKEN, b"wrong")]) == 403


def test_W03_the_token_counts_in_its_header_alone() -> None:
    cookie = {"host": HOST, "cookie": f"x-regard-token={SECRET}", "authorization": f"Bearer {SECRET}"}
    assert status(headers=cookie) == 403
    assert status(path=f"/api/start?token={SECRET}", headers={"host": HOST}) == 403


WRONG_HOSTS = {
    "a name": f"evil.example:{PORT}", "a name that ends as ours": f"evil.127.0.0.1:{PORT}",
    "a name that begins as ours": f"localhost.evil.example:{PORT}", "no port": "127.0.0.1",
    "another port": f"127.0.0.1:{PORT + 1}", "a longer port": f"127.0.0.1:{PORT}0",
    "a trailing dot": f"localhost.:{PORT}", "upper case": f"LOCALHOST:{PORT}", "a user": f"user@127.0.0.1:{PORT}",
    "another address": f"127.0.0.2:{PORT}", "everywhere": f"0.0.0.0:{PORT}", "short": f"127.1:{PORT}",
    "no brackets": f"::1:{PORT}", "longer brackets": f"[::ffff:127.0.0.1]:{PORT}", "white space": f" {HOST}",
    "a list": f"{HOST}, {HOST}", "empty": "", "an address with its way": f"http://{HOST}",
}  # fmt: skip


@pytest.mark.parametrize("host", WRONG_HOSTS.values(), ids=WRONG_HOSTS)
@pytest.mark.parametrize("path", ["/", "/api/start", "/nowhere"])
def test_W04_another_host_is_refused_before_routing(host: str, path: str) -> None:
    assert status(path=path, headers=OWN | {"host": host}) == 403


def test_W04_no_host_and_two_hosts_are_refused() -> None:
    assert status(path="/", headers={"x-regard-token": SECRET}) == 403
    assert status(path="/", headers=[*pairs(OWN), (b"host", HOST.encode())]) == 403


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "[::1]"])
def test_W04_three_names_are_ours(name: str) -> None:
    assert status(headers=OWN | {"host": f"{name}:{PORT}"}) == 200


def test_W04_an_address_that_was_asked_for_is_ours_and_a_name_that_was_not_is_none() -> None:
    there = Ours.at("192.168.1.5", PORT)
    assert f"192.168.1.5:{PORT}".encode() in there
    assert f"192.168.1.6:{PORT}".encode() not in there
    assert f"[fe80::1]:{PORT}".encode() in Ours.at("fe80::1", PORT)
    everywhere = Ours.at("0.0.0.0", PORT)
    for address in ("192.168.1.5", "10.0.0.1", "[fe80::1]"):
        assert f"{address}:{PORT}".encode() in everywhere
    for other in ("evil.example", "fe80::1", "[10.0.0.1]", "10.0.0.1.evil.example", ""):
        assert f"{other}:{PORT}".encode() not in everywhere
    assert b"192.168.1.5" not in everywhere
    assert f"192.168.1.5:{PORT + 1}".encode() not in everywhere
    assert b"127.0.0.1" in Ours.at("127.0.0.1", 80)


@pytest.mark.parametrize("path", ["/", "/api/start"])
@pytest.mark.parametrize("origin", ["null", "http://evil.example", f"https://{HOST}", "http://127.0.0.1", "",
                                    f"http://localhost:{PORT}", f"http://{HOST}/", f"HTTP://{HOST}"])  # fmt: skip
def test_W05_another_origin_is_refused(path: str, origin: str) -> None:
    assert status(path=path, headers=OWN | {"origin": origin}) == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none", "", "SAME-ORIGIN"])
def test_W05_what_another_page_sends_is_refused_but_the_shell_opens(site: str) -> None:
    assert status(headers=OWN | {"sec-fetch-site": site}) == 403
    assert status(path="/", headers={"host": HOST, "sec-fetch-site": site}) == 200
    both = [*pairs(OWN), (b"sec-fetch-site", b"same-origin"), (b"sec-fetch-site", site.encode())]
    assert status(headers=both) == 403


@pytest.mark.parametrize("method", ["OPTIONS", "PUT", "DELETE", "PATCH", "HEAD", "TRACE", "CONNECT", "get", "GÖT"])
def test_W05_there_is_get_and_post_only(method: str) -> None:
    for path in ("/", "/api/start"):
        found, headers, _ = asked(path=path, method=method)
        assert (found, headers["allow"]) == (405, "GET, POST")
        check_headers(headers)


def test_W05_a_websocket_is_refused() -> None:
    assert status(headers=OWN | {"connection": "upgrade", "upgrade": "websocket"}) == 403
    assert asked(kind="websocket") == (1008, {}, "websocket.close")


def test_W05_no_answer_opens_anything_to_other_pages() -> None:
    _, headers, _ = asked()
    assert headers["x-own"] == "kept"
    assert headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in headers


def test_W07_a_body_has_a_length_and_a_limit() -> None:
    post = {"method": "POST"}
    assert status(**post, headers=OWN | {"content-length": str(MOST_BODY)}) == 200
    assert status(**post, headers=OWN | {"content-length": str(MOST_BODY + 1)}) == 413
    assert status(**post, headers=OWN | {"content-length": "9" * 5000}) == 413
    assert status(**post) == 411
    assert status(**post, headers=OWN | {"transfer-encoding": "chunked"}) == 411
    assert status(**post, headers=OWN | {"content-length": "2", "transfer-encoding": "chunked"}) == 411
    assert status(headers=OWN | {"transfer-encoding": "chunked"}) == 411
    for length in ("-1", "+1", "1e3", "", "٣", "0x10"):
        headers = [*pairs(OWN), (b"content-length", length.encode())]
        assert status(**post, headers=headers) == 400, length
    assert status(**post, headers=[*pairs(OWN), (b"content-length", b"1"), (b"content-length", b"2")]) == 400


def test_W07_headers_have_a_limit() -> None:
    assert status(headers=OWN | {"x-long": "x" * (MOST_HEAD - 300)}) == 200
    assert status(headers=OWN | {"x-long": "x" * MOST_HEAD}) == 431
    assert status(headers=OWN | {f"x-{number}": "" for number in range(4000)}) == 431
    assert status(path="/" + "x" * MOST_HEAD) == 431


def test_W13_a_fault_says_nothing_of_ours() -> None:
    told: list[BaseException] = []

    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError("/home/someone/secret.txt")

    found, headers, text = asked(app=broken, fault=told.append)
    assert (found, text) == (500, FAULT)
    check_headers(headers)
    assert isinstance(told[0], ValueError)


def test_W13_an_answer_that_breaks_off_is_not_answered_twice() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        await welcoming(scope, receive, send)
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - whatever it is, the server cuts the connection
        asked(app=broken)


@pytest.mark.parametrize(("error", "said"), [
    (RegardError("/home/a/b.txt", "it is empty", "fill /home/a/b.txt"), "the run: it is empty; fill (a file)"),
    (RegardError("runs/demo", "step 3 is damaged", "see '~/x'"), "the run: step 3 is damaged; see (a file)"),
    (RegardError("C:\\x\\y", "no", "go"), "the run: no; go"),
    (RegardError("question", "'x' is not known", "ask tile/WORD"), "question: 'x' is not known; ask tile/WORD"),
])  # fmt: skip
def test_W13_no_path_is_named(error: RegardError, said: str) -> None:
    assert sentence_of(error) == said


HEADER_NAMES = st.sampled_from(["host", "origin", "sec-fetch-site", "x-regard-token", "content-length",
                                "transfer-encoding", "upgrade", "cookie", "x-forwarded-host"])  # fmt: skip
KNOWN_VALUES = (HOST, f"http://{HOST}", SECRET, "same-origin", "none", "null", "0", "5", "chunked", "")
HEADER_VALUES = st.sampled_from(KNOWN_VALUES) | st.text(st.characters(max_codepoint=255), max_size=20)


@given(
    st.lists(st.tuples(HEADER_NAMES, HEADER_VALUES), max_size=8),
    st.sampled_from([*SHELL, "/api/start", "/api/../", "//"]),
    st.sampled_from(["GET", "POST", "HEAD", "OPTIONS"]),
)
def test_W03_W04_W05_whatever_is_sent_only_the_page_is_let_in(
    extra: list[tuple[str, str]], path: str, method: str
) -> None:
    headers = [(name.encode(), value.encode("latin-1")) for name, value in extra]
    found, answered, text = asked(path=path, method=method, headers=headers)
    check_headers(answered)
    if found != 200:
        assert text != "in"
        return
    sent: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        sent.setdefault(name, []).append(value)
    assert sent[b"host"] in ([HOST.encode()], [f"localhost:{PORT}".encode()])
    assert all(origin == b"http://" + sent[b"host"][0] for origin in sent.get(b"origin", []))
    assert method in ("GET", "POST")
    assert path in SHELL or sent[TOKEN] == [SECRET.encode()]
    assert path in SHELL or set(sent.get(b"sec-fetch-site", [])) <= {b"same-origin"}
    assert not {b"transfer-encoding", b"upgrade"} & set(sent)


def test_W03_whatever_the_token_but_ours_is_refused() -> None:
    @given(st.binary(max_size=60))
    def tried(token: bytes) -> None:
        headers = [(b"host", HOST.encode()), (TOKEN, token)]
        assert status(headers=headers) == (200 if token == SECRET.encode() else 403)

    tried()
