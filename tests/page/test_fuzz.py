"""Whatever is asked, on every route and of every question: a whole answer, shut in, in time, and no fault (W8)."""

import inspect
import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.routing import Route
from starlette.testclient import TestClient

from regard.looking.record import Recording
from regard.looking.survey import MEASURES, Surveying, choose
from regard.page.answers import MAGIC, QUESTIONS, answer
from regard.page.routes import application
from regard.page.studio import Studio

from ..looking.small import Letters, build, look, text
from .asking import TOKEN, check_headers, check_sentence

PORT = 8124
MODEL = build()
N, LAYERS, HEADS = 7, MODEL.config.layers, 6
LATEST = 5.0
"""Seconds in which each must be answered; the server itself ends a computation after 30."""
FEW = settings(deadline=None, derandomize=True, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
KNOWN = {200, 400, 403, 404, 405, 409, 410, 411, 413, 431, 503}


def surveying() -> Surveying:
    return Surveying(MODEL, choose(text(30)[0].numpy(), Letters(), windows=4, size=N))


class Page:
    """The application, asked without a socket; its faults are kept."""

    def __init__(self) -> None:
        first = look(MODEL, text(N))
        first.survey = surveying().survey()
        self.studio = Studio(lambda letters: look(MODEL, text(1 + len(letters) % N)), first, "small", proves=False,
                             surveying=surveying)  # fmt: skip
        self.faults: list[BaseException] = []
        self.app = application(self.studio, host="127.0.0.1", port=PORT, token=TOKEN, fault=self.faults.append)
        self.client = TestClient(self.app, base_url=f"http://127.0.0.1:{PORT}", follow_redirects=False)

    def ask(self, method: str, path: str, headers: list[tuple[str, bytes]], body: bytes = b"") -> Any:
        began = time.monotonic()
        answer = self.client.request(method, path, headers=headers, content=body)
        assert time.monotonic() - began < LATEST, path
        assert self.faults == [], path
        assert answer.status_code in KNOWN, (answer.status_code, path)
        check_headers({name.lower(): value for name, value in answer.headers.items()})
        if answer.status_code != 200 and method != "HEAD":
            check_sentence(answer.text)
        return answer


_page: list[Page] = []


@pytest.fixture(scope="module", autouse=True)
def _one_page() -> Iterator[None]:
    _page[:] = [Page()]
    yield
    _page[0].studio.stop()


def page() -> Page:
    return _page[0]


def paths_of(route: Route) -> st.SearchStrategy[str]:
    """Paths of this route: its fixed parts as they are, keys and questions like ours or like nothing."""
    parts = [KEYS if part == "{key}" else RESTS if part == "{rest:path}" else st.just(part)
             for part in route.path.split("/")]  # fmt: skip
    return st.tuples(*parts).map("/".join)


def mostly(usual: st.SearchStrategy[Any], other: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.integers(0, 7).flatmap(lambda number: other if number == 7 else usual)


OURS = [("x-regard-token", TOKEN.encode())]
WORDS = [
    "self",
    "cross",
    "weights",
    "scores",
    "contributions",
    "stream",
    "query.0",
    "key.5",
    "value.9",
    "induction",
    "query.",
    ".0",
    "x",
]
QUOTED = st.text(max_size=6).map(lambda text: "".join(f"%{byte:02x}" for byte in text.encode(errors="replace")))
NUMBERS = st.integers(0, 9).map(str) | st.sampled_from(
    ["-1", "00", "1e3", "999999999", "9999999999", "٣", "²", "1.0", ""]
)
PARTS = NUMBERS | st.sampled_from(WORDS) | QUOTED
KEYS = st.sampled_from(["1", "1", "1", "2", "0", "01", "x"]) | QUOTED
RESTS = st.builds(lambda name, parts: "/".join([name, *parts]), st.sampled_from([*QUESTIONS, "edit", "x", ""]),
                  st.lists(PARTS, max_size=8))  # fmt: skip
ROUTES = [route for route in Page().app.app.routes if isinstance(route, Route)]  # type: ignore[attr-defined]
METHODS = st.sampled_from(["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "X"])
QUERIES = st.sampled_from(["", "", "?", "?token=" + TOKEN, "?a=b&a=c", "?%00", "?" + "x" * 20_000])
BYTES = st.binary(max_size=12).map(lambda found: bytes(one for one in found if one not in b"\r\n\0"))
HEADERS = st.lists(st.tuples(
    st.sampled_from(["origin", "sec-fetch-site", "x-regard-token", "content-type", "accept", "cookie", "range", "x-y",
                     "if-none-match", "accept-encoding", "x-http-method-override", "upgrade", "referer", "expect"]),
    st.sampled_from([b"null", b"same-origin", b"cross-site", b"websocket", b"DELETE", b"bytes=0-1", b"*/*",
                     f"http://127.0.0.1:{PORT}".encode(), b"multipart/form-data; boundary=x", b"image/png"]) | BYTES,
), max_size=3)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3), max_leaves=8,
)  # fmt: skip
TURN = {"client": st.just("a") | JSON, "number": st.integers(0, 1 << 54) | JSON}
EDIT = {
    "part": st.sampled_from(["heads", "attention", "feed_forward", "edges", "value"]) | JSON,
    "kind": st.sampled_from(["zero", "mask", "cut"]) | JSON, "layer": st.integers(-1, 5) | JSON,
    **{name: st.lists(st.integers(-1, 9), max_size=3) | JSON for name in ("heads", "rows", "cols")},
}  # fmt: skip
FIELDS = st.fixed_dictionaries({}, optional={
    "text": st.text(max_size=9) | JSON, "edits": st.lists(st.fixed_dictionaries({}, optional=EDIT), max_size=2) | JSON,
    **TURN,
})  # fmt: skip
BODIES = (FIELDS | JSON).map(lambda value: json.dumps(value).encode()) | st.binary(max_size=30)


@pytest.mark.parametrize("route", [one for one in ROUTES if one.path.startswith("/api")], ids=lambda one: one.path)
@FEW
@given(st.data())
def test_W08_whatever_is_asked_of_a_route_is_answered_or_refused(route: Route, data: st.DataObject) -> None:
    """Most have our token and the route's own method, or little behind the guard would be reached."""
    known = st.sampled_from(sorted((route.methods or set()) - {"HEAD"}))
    method, path = (
        data.draw(mostly(known, METHODS)),
        data.draw(paths_of(route)) + data.draw(mostly(st.just(""), QUERIES)),
    )
    headers = data.draw(mostly(st.just([]), HEADERS)) + data.draw(mostly(st.just(OURS), st.just([])))
    found = page().ask(method, path, headers, data.draw(BODIES) if method != "GET" else b"")
    if OURS[0] not in headers:
        assert found.status_code != 200


@pytest.mark.parametrize("path", [one.path for one in ROUTES if not one.path.startswith("/api")])
@settings(FEW, max_examples=15)
@given(METHODS, HEADERS, BODIES)
def test_W08_files_are_served_to_get_alone(
    path: str, method: str, headers: list[tuple[str, bytes]], body: bytes
) -> None:
    found = page().ask(method, path, headers, body if method != "GET" else b"")
    assert found.status_code != 200 or method == "GET"


VALID: dict[str, st.SearchStrategy[str]] = {
    "site": st.just("self"), "layer": st.integers(0, LAYERS - 1).map(str), "head": st.integers(0, HEADS - 1).map(str),
    "what": st.sampled_from(["weights", "scores", "contributions", "mean"]), "z": st.integers(0, 3).map(str),
    "y": st.just("0"), "x": st.just("0"), "i": st.integers(0, N - 1).map(str), "token": st.integers(0, 10).map(str),
    "measure": st.sampled_from(MEASURES),
    "first": st.integers(0, 3).map(str), "last": st.integers(3, N - 1).map(str),
    "left": st.integers(0, 3).map(str), "right": st.integers(3, N - 1).map(str),
}  # fmt: skip
"""What each part of a question may be, by the name that its function has for it."""


def valid(name: str) -> st.SearchStrategy[str]:
    """A question that must be answered."""
    names = [*inspect.signature(QUESTIONS[name][1]).parameters][1:]
    if names[-2:] == ["start", "end"]:
        window = st.tuples(st.integers(0, N - 1), st.integers(1, N)).filter(lambda pair: pair[0] < pair[1])
        first = [st.integers(0, LAYERS).map(str)] if "layer" in names else []
        return st.tuples(st.just(name), *first, window.map(lambda pair: f"{pair[0]}/{pair[1]}")).map("/".join)
    if name in ("space", "near"):
        heads = st.builds(
            lambda part, head: f"{part}.{head}", st.sampled_from(["query", "key", "value"]), VALID["head"]
        )
        if name == "near":
            return st.tuples(st.just(name), heads | st.just("stream"), VALID["layer"], VALID["i"]).map("/".join)
        spaces = st.tuples(heads, VALID["layer"], st.just("own")) | st.tuples(
            st.just("stream"), VALID["layer"], st.sampled_from(["own", "all"])
        )
        centring = st.sampled_from(["centred", "raw"])
        return st.tuples(st.just(name), spaces.map("/".join), centring).map("/".join)
    return st.tuples(st.just(name), *(VALID[part] for part in names)).map("/".join)


@pytest.mark.parametrize("name", [name for name in QUESTIONS if name not in ("pixels", "classes", "patches")])
@settings(FEW, max_examples=20)
@given(st.data())
def test_a_question_about_what_is_there_has_the_recordings_answer(name: str, data: st.DataObject) -> None:
    path = data.draw(valid(name))
    found = page().ask("GET", f"/api/1/{path}", OURS)
    assert (found.status_code, path) == (200, path)
    recording: Recording = page().studio.recording("1")
    expected = answer(recording, path)
    assert (found.content, found.headers["content-type"]) == (expected.body, expected.kind)
    if expected.kind == "application/octet-stream":
        assert found.content.startswith(MAGIC)
    else:
        assert isinstance(found.json(), dict | list)
    if name == "tile":
        z = int(path.split("/")[5])
        assert len(found.content) == 16 + 4 * (-(-N // 2**z)) ** 2


PICTURES = {
    "image/png": b"\x89PNG\r\n\x1a\n" + bytes(40), "image/jpeg": b"\xff\xd8\xff\xe0" + bytes(40),
    "image/svg+xml": b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "image/gif": b"GIF89a" + bytes(20),
    "application/postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n",
    "multipart/form-data; boundary=x": (
        b'--x\r\ncontent-disposition: form-data; name="f"; filename="../x.png"\r\n\r\n\x89PNG\r\n--x--\r\n'
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", PICTURES)
def test_W10_no_route_takes_a_picture_and_none_is_written(
    kind: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page of a text looks at none: whatever is sent as one is refused, in memory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    before = page().studio.start()
    for route in ROUTES:
        path = re.sub(r"\{(\w+)[:\w]*\}", lambda part: "facts" if part[1] == "rest" else "1", route.path)
        for method in ("POST", "PUT"):
            found = page().ask(method, path, [*OURS, ("content-type", kind.encode())], PICTURES[kind])
            assert found.status_code in (400, 404, 405, 415), path
    assert page().studio.start() == before
    assert list(tmp_path.iterdir()) == []
