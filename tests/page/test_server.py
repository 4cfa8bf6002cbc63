"""The page's server: where it listens, what it answers to whom, and how it ends."""

import json
import os
import re
import select
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from regard.errors import RegardError
from regard.looking.record import Recording
from regard.looking.stopping import Stopped, stop_if_unwanted
from regard.page import assets
from regard.page import server as servers
from regard.page.answers import answer
from regard.page.assets import shell
from regard.page.guard import FAULT
from regard.page.routes import application
from regard.page.server import Ended, bind, serve
from regard.page.studio import Studio

from ..looking.small import build, look, text
from .asking import OURS, TOKEN, Site, check_headers, check_sentence, serving

PORT = 8123
SERVED = Path(__file__).with_name("served.py")
N = 9
WAIT = 30.0


def recorded(letters: str) -> Recording:
    """What is typed decides how many tokens there are, and what goes wrong."""
    if letters.startswith("refuse"):
        raise RegardError("/home/someone/runs/x", "it is gone", "look into /home/someone/runs", 2)
    if letters.startswith("break"):
        raise OSError(2, "No such file", "/home/someone/runs/x/config.json")
    return look(MODEL, text(1 + len(letters) % N))


MODEL = build()


class Asked:
    """The application, asked without a socket."""

    def __init__(self, studio: Studio) -> None:
        self.faults: list[BaseException] = []
        self.studio = studio
        app = application(studio, host="127.0.0.1", port=PORT, token=TOKEN, fault=self.faults.append)
        self.client = TestClient(app, base_url=f"http://127.0.0.1:{PORT}", headers={"x-regard-token": TOKEN},
                                 follow_redirects=False)  # fmt: skip

    def get(self, path: str) -> Any:
        return checked(self.client.get(path))

    def post(self, path: str, body: Any = None, raw: bytes | None = None) -> Any:
        data = json.dumps(body).encode() if raw is None else raw
        return checked(self.client.post(path, content=data, headers={"content-type": "application/json"}))


def checked(answer: Any) -> Any:
    """Whatever the status: our headers; of an error one sentence with nothing of ours in it."""
    check_headers({name.lower(): value for name, value in answer.headers.items()})
    if answer.status_code != 200:
        check_sentence(answer.text)
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    return answer


@pytest.fixture(scope="module")
def asked() -> Iterator[Asked]:
    studio = Studio(recorded, look(MODEL, text(N)), "small", proves=False)
    yield Asked(studio)
    studio.stop()


# what is served


def test_the_shell_is_served_without_the_token_and_holds_nothing(asked: Asked) -> None:
    stranger = TestClient(asked.client.app, base_url=f"http://127.0.0.1:{PORT}")
    page = checked(stranger.get("/"))
    assert (page.status_code, page.text) == (200, shell())
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert TOKEN not in page.text
    linked = re.findall(r'(?:src|href)="([^"]*)"', page.text)
    assert set(linked) == {"data:,", *(f"static/{name}" for name in assets.served())}
    for name in linked:
        if not name.startswith("data:"):
            found = checked(stranger.get(f"/{name}"))
            assert (found.status_code, found.text) == (200, assets.served()[name.removeprefix("static/")])
            assert found.headers["content-type"].startswith(("text/javascript", "text/css"))


def test_every_file_of_the_page_is_served_and_nothing_else(asked: Asked) -> None:
    for name, content in assets.served().items():
        assert asked.get(f"/static/{name}").text == content
    for name in ("", "/", "index.html", "../guard.py", "main.js", "page.css/", "PAGE.CSS", "page"):
        assert asked.get(f"/static/{name}").status_code == 404, name


TRICKS = [
    "/..%2f..%2fetc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/static/..%2fguard.py", "/static/%2e%2e/server.py",
    "/static/..%5cguard.py", "/static//page.css", "//static/page.css", "//", "/static/page.css%00.js", "/%00",
    "/etc/passwd", "/static/%2fetc%2fpasswd", "/static/page.css/", "/static", "/api", "/api/", "/api/1", "/api/start/",
    "/api/1/..%2f..%2fetc%2fpasswd", "/api/1/%2e%2e/facts", "/api/1/facts/", "/api/1//facts", "/api/1/facts%00",
    "/api/..%2f1/facts", "/api/01/facts", "/api/99/facts", "/api/1/tile/self/0/0/weights/0/0/0%2f..",
    "/api/1/tile/..%2f..%2f/0/0/weights/0/0/0", "/api/1/nothing", "/favicon.ico", "/index.html", "/static/..",
]  # fmt: skip


@pytest.mark.parametrize("path", TRICKS)
def test_W06_a_path_that_is_not_in_the_table_is_unknown(site: Site, path: str) -> None:
    found = site.ask(path)
    assert (found.status, bool(found.sentence)) == (404, True)
    assert site.ask(path, token="wrong").status == 403


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_W06_whatever_path_is_asked_it_is_known_or_unknown(path: str) -> None:
    asked = _shared()
    quoted = "".join(f"%{byte:02x}" for byte in path.encode())
    for prefix in ("/", "/static/", "/api/", "/api/1/"):
        assert asked.get(prefix + quoted).status_code in ({200, 404, 405} if prefix == "/" else {404, 405})
    assert asked.faults == []


def test_what_the_recording_answers_is_handed_on(asked: Asked) -> None:
    for rest in ("facts", "proof", "measures/self/1", "tile/self/0/1/weights/0/0/0", "vectors/self/2/1", "lens/1/0/3"):
        expected = answer(asked.studio.recording("1"), rest)
        found = asked.get(f"/api/1/{rest}")
        assert found.headers["content-type"] == expected.kind
        assert found.content == expected.body


def test_W08_a_question_about_what_does_not_exist_is_unknown(asked: Asked) -> None:
    for rest in ("tile/self/9/0/weights/0/0/0", "tile/nowhere/0/0/weights/0/0/0", "prediction/5/3", "position/-1",
                 "measures/self/x", "near/stream/0/99", "tile/self/0/0/weights/99/0/0",
                 "space/x/0/own/raw"):  # fmt: skip
        assert asked.get(f"/api/1/{rest}").status_code == 404, rest
    assert asked.faults == []


def test_a_text_is_looked_at_and_has_its_own_answers(asked: Asked) -> None:
    found = asked.post("/api/look", {"text": "abcd", "client": "typing", "number": 1}).json()
    assert found["notices"] == []
    assert asked.get(f"/api/{found['key']}/facts").json()["n"] == 5
    assert asked.post("/api/look", {"text": "abc", "client": "typing", "number": 1}).status_code == 409
    edits = [{"part": "heads", "kind": "zero", "layer": 0, "heads": [1]}]
    effect = asked.post(f"/api/{found['key']}/edit", {"edits": edits, "client": "typing", "number": 2}).json()
    assert effect["badge"] == "Edited run"
    assert len(effect["change"]) == 5
    assert asked.post(f"/api/{found['key']}/prove", {}).json() == {"badge": "Proof running"}


def test_W05_get_changes_nothing_and_post_is_no_form(asked: Asked) -> None:
    before = asked.get("/api/start").json()
    for path in ("/api/look", "/api/1/edit", "/api/1/prove", "/api/look?text=abc&client=a&number=1"):
        assert asked.get(path).status_code in (404, 405)
    for path in ("/", "/static/page.css", "/api/start", "/api/1/facts"):
        assert asked.post(path, {}).status_code == 405
    assert asked.post("/api/look", raw=b"text=abc&client=a&number=1").status_code == 400
    assert asked.get("/api/start").json() == before


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4), max_leaves=12,
)  # fmt: skip
TARGETS = st.lists(st.integers(-1, 9), max_size=3) | JSON
LIKE_EDITS = st.fixed_dictionaries({}, optional={
    "part": st.sampled_from(["heads", "edges", "value", "attention"]) | JSON, "layer": st.integers(-1, 4) | JSON,
    "kind": st.sampled_from(["zero", "mask", "cut"]) | JSON, "heads": TARGETS, "rows": TARGETS, "cols": TARGETS,
})  # fmt: skip
LIKE_REQUESTS = st.fixed_dictionaries({}, optional={
    "text": st.text(max_size=12) | JSON, "client": st.text(max_size=4) | JSON, "number": st.integers() | JSON,
    "edits": st.lists(LIKE_EDITS, max_size=3) | JSON,
})  # fmt: skip
POSTS = st.sampled_from(["/api/look", "/api/1/edit", "/api/1/prove", "/api/77/edit", "/api/x/prove"])


@settings(max_examples=80, deadline=None)
@given(POSTS, LIKE_REQUESTS | JSON)
def test_W08_any_json_is_answered_or_refused_in_one_sentence(path: str, body: Any) -> None:
    asked = _shared()
    found = asked.post(path, body)
    assert found.status_code in (200, 400, 404, 409, 413)
    assert asked.faults == []


@settings(max_examples=60, deadline=None)
@given(POSTS, st.binary(max_size=60) | st.text(max_size=40).map(lambda text: text.encode(errors="replace")))
def test_W08_any_bytes_are_refused_in_one_sentence(path: str, body: bytes) -> None:
    asked = _shared()
    assert asked.post(path, raw=body).status_code in (400, 404) or json.loads(body) is not None
    assert asked.faults == []


@pytest.mark.parametrize("body", [
    b"", b"{", b"[]", b"null", b'"text"', b"{}{}", b"{'text': 1}", b"\xff\xfe{\x00}\x00", b"\xef\xbb\xbf{}", b"NaN",
    b"[" * 200_000, b'{"a":' * 100_000, b'{"number": ' + b"9" * 5000 + b"}", b'{"a": NaN}', b'{"a": -Infinity}',
    b'{"text": "abc", "client": "a", "number": 1, "x": NaN}', b"{,}",
    b'{"text": "abc", "client": "a", "number": 1e999}', b'{"text": "abc", "client": "a", "number": 1.0}',
    b'{"text": "abc", "client": "a", "number": true}', b'{"text": "abc", "client": "a", "number": -1}',
    b'{"text": "abc", "client": "a", "number": 9007199254740992}', b'{"text": "abc", "client": "", "number": 1}',
    b'{"text": "abc", "client": "' + b"a" * 65 + b'", "number": 1}', b'{"text": "\\ud800", "client": "a", "number": 1}',
    b'{"text": ["abc"], "client": "a", "number": 1}', b'{"client": "a", "number": 1}', b'{"text": "abc", "number": 1}',
    b'{"text": "abc", "client": "a"}',
], ids=lambda body: repr(body[:40]))  # fmt: skip
def test_W08_json_that_is_wrong_deep_or_huge_is_refused_in_one_sentence(asked: Asked, body: bytes) -> None:
    assert asked.post("/api/look", raw=body).status_code == 400
    assert asked.faults == []


def test_W09_a_long_text_is_refused(asked: Asked) -> None:
    assert asked.post("/api/look", {"text": "a" * (1 << 17), "client": "long", "number": 1}).status_code == 413


def test_W13_every_answer_is_shut_in_and_no_error_tells_of_us() -> None:
    """All routes and statuses; `checked` looks at each."""

    def broken(recording: Recording, rest: str) -> Any:
        raise ValueError("/home/someone/secret")

    studio = Studio(recorded, look(MODEL, text(N)), proves=False, answering=broken)
    asked = Asked(studio)
    paths = ("/", "/static/page.css", "/api/start", "/nowhere", "/api/1/facts")
    found = {asked.get(path).status_code for path in paths}
    assert found == {200, 404, 500}
    assert asked.get("/api/1/facts").text == FAULT
    for number, words in enumerate(("refuse", "break")):
        answered = asked.post("/api/look", {"text": words, "client": "a", "number": number})
        assert (answered.status_code, "home" in answered.text) == ((400, False), (500, False))[number]
    assert checked(asked.client.get("/", headers={"host": "evil.example"})).status_code == 403
    assert checked(asked.client.put("/", headers={"host": f"127.0.0.1:{PORT}"})).status_code == 405
    assert checked(asked.client.post("/api/look", content=iter([b"{}"]))).status_code == 411
    assert checked(asked.client.get("/", headers={"x": "x" * 20_000})).status_code == 431
    assert checked(asked.client.post("/api/look", headers={"content-length": str(9 << 20)})).status_code == 413
    assert [type(one) for one in asked.faults] == [ValueError, ValueError, FileNotFoundError]
    studio.stop()


def test_W13_the_policy_lets_in_our_own_scripts_and_styles_alone() -> None:
    rules = dict(rule.split(" ", 1) for rule in OURS["content-security-policy"].split("; "))
    for name in ("default-src", "frame-ancestors", "base-uri", "form-action"):
        assert rules[name] == "'none'"
    for name in ("script-src", "style-src", "connect-src"):
        assert rules[name] == "'self'"
    assert rules["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in OURS["content-security-policy"]
    page = shell()
    assert "<style" not in page
    assert not re.search(r"<script(?![^>]*\ssrc=)", page)
    assert not re.search(r"\s(style|on\w+)=", page)


def test_W11_what_tokens_are_called_ends_no_script() -> None:
    recording = look(MODEL, text(N))
    recording.label = lambda token: f"</script><!--&\u2028\udc80{token}"
    asked = Asked(Studio(None, recording, "</script>", proves=False))
    edits = [{"part": "attention", "kind": "zero", "layer": 0}]
    found = asked.post("/api/1/edit", {"edits": edits, "client": "a", "number": 1})
    for sign in ("<", ">", "&", "\u2028"):
        assert sign not in found.text
        assert sign not in asked.get("/api/start").text
    assert found.json()["before"][0][0][0].startswith("</script><!--&\u2028\udc80")
    asked.studio.stop()


def test_W17_the_page_stays_up_when_its_run_is_removed() -> None:
    asked = Asked(Studio(recorded, look(MODEL, text(N)), proves=False))
    assert asked.post("/api/look", {"text": "break", "client": "a", "number": 1}).status_code == 500
    assert asked.get("/api/1/facts").status_code == 200
    assert asked.post("/api/look", {"text": "abc", "client": "a", "number": 2}).status_code == 200
    asked.studio.stop()


_asked: list[Asked] = []


def _shared() -> Asked:
    return _asked[0]


@pytest.fixture(scope="module", autouse=True)
def _for_all_examples(asked: Asked) -> None:
    _asked[:] = [asked]


# a real server


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    studio = Studio(recorded, look(MODEL, text(N)), "small", proves=False)
    with serving(studio) as found:
        yield found
        assert found.said == []


def test_W01_it_listens_on_this_machine_alone(site: Site) -> None:
    listening = [line.split()[1] for name in ("tcp", "tcp6") if (table := Path(f"/proc/net/{name}")).exists()
                 for line in table.read_text().splitlines()[1:] if line.split()[3] == "0A"]  # fmt: skip
    assert [address for address in listening if address.endswith(f":{site.port:04X}")] == [f"0100007F:{site.port:04X}"]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What `serve` says, with nothing served: it ends at once."""
    said: list[str] = []

    async def ends(server: servers.Server, sockets: list[socket.socket] | None = None) -> None:
        assert sockets is not None
        assert sockets[0].getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1

    monkeypatch.setattr(servers.Server, "serve", ends)
    monkeypatch.setattr(servers.webbrowser, "open", lambda address: said.append(address))
    monkeypatch.setenv("BROWSER", "x")
    return said


ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)/#token=([A-Za-z0-9_-]{43})")


def test_W01_it_says_one_address_with_a_new_token_and_no_warning(served: list[str]) -> None:
    for _ in range(2):
        serve(Studio(None), open_browser=False, say=served.append)
    first, second = (ADDRESS.fullmatch(line) for line in served)
    assert first is not None
    assert second is not None
    assert first[2] != second[2]


def test_W01_another_address_is_warned_of_and_keeps_the_token(served: list[str]) -> None:
    serve(Studio(None), host="0.0.0.0", open_browser=False, say=served.append)
    warning, address = served
    assert "0.0.0.0" in warning
    assert "encrypted" in warning
    assert ADDRESS.fullmatch(address)
    served.clear()
    serve(Studio(None), host="localhost", open_browser=False, say=served.append)
    (address,) = served
    assert re.fullmatch(r"http://localhost:\d+/#token=[\w-]{43}", address)


def test_W02_a_port_in_use_is_refused_by_name(served: list[str]) -> None:
    with bind("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(RegardError, match=f"{port} is in use") as info:
            serve(Studio(None), port=port, say=served.append)
        assert info.value.code == 2
        assert info.value.where == "--port"
    assert served == []
    serve(Studio(None), port=port, open_browser=False, say=served.append)  # free again
    assert f":{port}/" in served[0]


@pytest.mark.parametrize(("host", "port", "what"), [
    ("127.0.0.1", -1, "-1 is none"), ("127.0.0.1", 65536, "65536 is none"), ("", 0, "no address of this machine"),
    ("203.0.113.7", 0, "no address of this machine"), ("a.b.invalid", 0, "no address"), ("\u202e", 0, "no address"),
    ("x" * 300, 0, "no address"), ("127.0.0.1/..", 0, "no address"),
])  # fmt: skip
def test_W02_what_cannot_be_listened_on_is_refused(host: str, port: int, what: str) -> None:
    with pytest.raises(RegardError, match=what):
        bind(host, port)


def test_W03_the_token_goes_in_the_header_alone(site: Site) -> None:
    assert site.ask("/api/start").status == 200
    tile = "/api/1/tile/self/0/0/weights/0/0/0"
    for path in ("/api/start", f"/api/start?token={TOKEN}", "/api/1/facts", tile, "/nowhere"):
        for token in (None, "wrong", ""):
            assert site.ask(path, token=token).status == 403, path
    assert site.ask("/api/start", token=None, cookie=f"x-regard-token={TOKEN}").status == 403
    twice = site.raw(site.head("GET /api/start", f"x-regard-token: {TOKEN}"))
    assert twice is not None
    assert twice.status == 403
    assert "token" in twice.sentence


def test_W05_another_page_is_refused(site: Site) -> None:
    assert site.ask("/api/start", origin=f"http://{site.host}", sec_fetch_site="same-origin").status == 200
    for fields in ({"origin": "null"}, {"origin": "http://evil.example"}, {"sec_fetch_site": "cross-site"}):
        assert site.ask("/api/start", **fields).sentence.startswith("another page")  # type: ignore[arg-type]
    preflight = site.raw(site.head("OPTIONS /api/look", "origin: http://evil.example",
                                   "access-control-request-method: POST"))  # fmt: skip
    assert preflight is not None
    assert preflight.status == 405
    assert preflight.sentence


def test_W09_a_computation_stops_when_the_connection_is_closed() -> None:
    began, stopped = threading.Event(), threading.Event()

    def endless(letters: str) -> Recording:
        if letters == "short":
            return look(MODEL, text(3))
        began.set()
        try:
            while True:
                stop_if_unwanted()
        except Stopped:
            stopped.set()
            raise

    with serving(Studio(endless, proves=False, limit=1000)) as site:
        body = json.dumps({"text": "long", "client": "a", "number": 1}).encode()
        head = site.head("POST /api/look", f"content-length: {len(body)}", stays=True)
        with site.connect() as connection:
            connection.sendall(head + body)
            assert began.wait(WAIT)
        assert stopped.wait(WAIT)
        assert site.ask("/api/look", {"text": "short", "client": "b", "number": 1}).json["key"] == "1"
        assert site.said == []


def test_W09_twenty_at_once_and_the_page_still_answers() -> None:
    go, began = threading.Event(), threading.Event()

    def slow(letters: str) -> Recording:
        began.set()
        while not go.wait(0.001):
            stop_if_unwanted()
        return look(MODEL, text(3))

    with serving(Studio(slow, look(MODEL, text(N)), proves=False)) as site:
        statuses: list[int] = []
        refused = threading.Semaphore(0)

        def ask(number: int) -> None:
            statuses.append(site.ask("/api/look", {"text": "x", "client": str(number), "number": 1}).status)
            refused.release()

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
        threads[0].start()
        assert began.wait(WAIT)
        for thread in threads[1:]:
            thread.start()
        for _ in range(11):  # one computes, eight wait
            assert refused.acquire(timeout=WAIT)
        assert set(statuses) == {503}
        assert site.ask("/api/1/facts").json["n"] == N
        go.set()
        for thread in threads:
            thread.join(WAIT)
        assert sorted(statuses) == [200] * 9 + [503] * 11


def test_a_fault_is_said_once_and_names_no_traceback() -> None:
    def broken(recording: Recording, rest: str) -> Any:
        raise ValueError("\x1b[2J broken")

    with serving(Studio(None, look(MODEL, text(N)), proves=False, answering=broken)) as site:
        for _ in range(3):
            assert site.ask("/api/1/facts").sentence == FAULT
        (said,) = site.said
        assert "fault of regard (ValueError: \\x1b[2J broken)" in said


# a process of its own


class Process:
    """served.py, with a browser that writes down what it is given."""

    def __init__(self, folder: Path) -> None:
        self.seen = folder / "seen.json"
        (folder / "temporary").mkdir()
        command = shlex.join([sys.executable, str(SERVED), str(self.seen)])
        environment = os.environ | {"BROWSER": f"{command} %s", "TMPDIR": str(folder / "temporary")}
        self.temporary = folder / "temporary"
        self.process = subprocess.Popen([sys.executable, str(SERVED)], env=environment, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)  # fmt: skip
        found = ADDRESS.fullmatch(self.line())
        assert found is not None
        self.port, self.token = int(found[1]), found[2]

    def line(self) -> str:
        assert self.process.stdout is not None
        assert select.select([self.process.stdout], [], [], WAIT)[0]
        return self.process.stdout.readline().rstrip("\n")

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=WAIT)

    def ask(self, body: dict[str, Any]) -> socket.socket:
        """Asks for a look, and leaves without the answer."""
        data = json.dumps(body).encode()
        connection = self.connect()
        head = f"POST /api/look HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\nx-regard-token: {self.token}\r\n"
        connection.sendall(f"{head}content-length: {len(data)}\r\n\r\n".encode() + data)
        return connection

    def end(self, number: int) -> float:
        began = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(WAIT)
        return time.monotonic() - began


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    started = Process(tmp_path)
    yield started
    started.process.kill()
    started.process.communicate()


def seen(process: Process) -> Any:
    began = time.monotonic()
    while not process.seen.exists() and time.monotonic() - began < WAIT:
        time.sleep(0.01)  # until another process has written it
    return json.loads(process.seen.read_text())


def test_W03_the_browser_is_led_by_a_private_file_and_the_token_is_on_no_command_line(process: Process) -> None:
    found = seen(process)
    assert found["address"].startswith("file:///")
    assert found["modes"] == [0o600, 0o700]
    assert f"http://127.0.0.1:{process.port}/#token={process.token}" in found["html"]
    assert "served.py" in found["seen"]
    assert process.token not in found["seen"]
    assert process.token not in json.dumps(found["arguments"])
    assert [one.name for one in process.temporary.iterdir()] != []
    assert process.end(signal.SIGINT) < 2
    assert list(process.temporary.iterdir()) == []
    assert process.process.stderr is not None
    assert process.token not in process.process.stderr.read()


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_W17_a_signal_ends_it_within_two_seconds_whatever_it_does(process: Process, name: str) -> None:
    number = getattr(signal, name)
    idle, slow = process.connect(), process.connect()
    slow.sendall(b"POST /api/look HTTP/1.1\r\n")
    busy = process.ask({"text": "stubborn", "client": "a", "number": 1})
    assert process.line() == "looking"
    waits = process.ask({"text": "polite", "client": "b", "number": 1})
    seconds = process.end(number)
    for connection in (idle, slow, busy, waits):
        connection.close()
    assert seconds < 2
    assert process.process.returncode == -number
    assert process.process.stderr is not None
    said = process.process.stderr.read()
    assert "Traceback" not in said
    assert len(said.splitlines()) <= 2
    assert list(process.temporary.iterdir()) == []


def test_W17_a_second_ctrl_c_ends_it_at_once(process: Process) -> None:
    busy = process.ask({"text": "stubborn", "client": "a", "number": 1})
    assert process.line() == "looking"
    process.process.send_signal(signal.SIGINT)
    assert process.end(signal.SIGINT) < 2
    assert process.process.returncode == -signal.SIGINT
    assert list(process.temporary.iterdir()) == []
    busy.close()


def test_W17_ctrl_c_reaches_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    for number, kind in ((signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Ended)):

        def say(line: str, number: int = number) -> None:
            os.kill(os.getpid(), number)

        handler = signal.getsignal(number)
        with pytest.raises(KeyboardInterrupt) as info:
            serve(Studio(None), open_browser=False, say=say)
        assert type(info.value) is kind
        assert getattr(info.value, "signal", signal.SIGINT) == number
        assert signal.getsignal(number) is handler
