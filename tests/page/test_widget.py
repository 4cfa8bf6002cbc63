"""The widget's Python side: each question's bytes, refusals in a sentence, work that ends when nobody waits for it."""

import asyncio
import json
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from regard.errors import RegardError
from regard.look import Look, studio_of
from regard.looking.record import Recording
from regard.looking.stopping import stop_if_unwanted
from regard.page import widget as widgets
from regard.page.answers import Answer, answer, every_question
from regard.page.export import Inline
from regard.page.guard import FAULT
from regard.page.studio import Studio
from regard.page.widget import Widget, _loop, answer_of
from regard.page.worker import Declined

from ..looking.small import build, look, text

MODEL = build()
WAIT = 20


class Heard:
    """What a widget says, and whether it is there."""

    def __init__(self, studio: Studio) -> None:
        self.widget = Widget(studio)
        self.said: dict[str, Any] = {}
        self.came = threading.Condition()
        self.widget.send = self._hear  # type: ignore[method-assign]

    def _hear(self, content: Any, buffers: Any = None) -> None:
        with self.came:
            self.said[content["id"]] = content.get("refused") if buffers is None else b"".join(buffers)
            self.came.notify_all()

    def ask(self, *buffers: bytes, **question: Any) -> Any:
        self.widget._heard(self.widget, question, [memoryview(one) for one in buffers])
        with self.came:
            assert self.came.wait_for(lambda: question["id"] in self.said, WAIT)
            return self.said.pop(question["id"])


@pytest.fixture
def heard() -> Iterator[Heard]:
    found = Heard(Studio(lambda letters: look(MODEL, text(len(letters))), look(MODEL, text(5)), "small", proves=False))
    yield found
    found.widget.close()


def test_each_question_has_the_bytes_that_everywhere_else_it_has(heard: Heard) -> None:
    recording = heard.widget.studio.recording("1")
    for number, path in enumerate(every_question(recording, [(1, 2)])):
        assert heard.ask(id=str(number), path=f"1/{path}") == answer(recording, path).body, path
    assert json.loads(heard.ask(id="s", path="start"))["name"] == "small"


def test_typing_and_edits_are_the_studios(heard: Heard) -> None:
    turn = {"client": "a", "number": 1}
    found = json.loads(heard.ask(id="1", path="look", fields={"text": "abc", **turn}))
    assert json.loads(heard.ask(id="2", path=f"{found['key']}/facts"))["n"] == 3
    edits = [{"part": "heads", "kind": "zero", "layer": 0, "heads": [1]}]
    effect = json.loads(heard.ask(id="3", path="1/edit", fields={"edits": edits, "client": "b", "number": 1}))
    assert (effect["badge"], len(effect["change"])) == ("Edited run", 5)
    assert json.loads(heard.ask(id="4", path="1/prove", fields={})) == {"badge": "Proof running"}
    assert "newer" in heard.ask(id="5", path="look", fields={"text": "abc", **turn})


@pytest.mark.parametrize("question", [
    {}, {"path": None}, {"path": 3}, {"path": ["1"]}, {"path": ""}, {"path": "start/1"}, {"path": "9/facts"},
    {"path": "1/nothing"}, {"path": "1/tile/self/99/0/weights/0/0/0"}, {"path": "look", "fields": {}},
    {"path": "look", "fields": []}, {"path": "look", "fields": {"text": "\ud800", "client": "a", "number": 1}},
    {"path": "1/look", "fields": {}}, {"path": "1/edit", "fields": {"edits": 3}}, {"path": "start", "fields": {}},
], ids=repr)  # fmt: skip
def test_what_cannot_be_answered_is_refused_in_one_sentence(heard: Heard, question: dict[str, Any]) -> None:
    sentence = heard.ask(id="x", **question)
    assert isinstance(sentence, str)
    assert sentence.isprintable()
    assert FAULT not in sentence


def test_what_is_no_question_is_left_alone(heard: Heard) -> None:
    for content in (None, 3, [], {}, {"id": 3, "path": "start"}, {"drop": ["x"]}, {"drop": "x"}):
        heard.widget._heard(heard.widget, content, [])
    assert heard.ask(id="x", path="start")
    assert heard.said == {}


def test_a_fault_is_said_in_the_page() -> None:
    def broken(recording: Recording, rest: str) -> Answer:
        raise ValueError("broken")

    heard = Heard(Studio(None, look(MODEL, text(3)), proves=False, answering=broken))
    assert heard.ask(id="x", path="1/facts") == f"{FAULT} (ValueError('broken'))"
    heard.widget.close()


def endless() -> tuple[Heard, threading.Semaphore, threading.Semaphore]:
    """Whose answers never come, and what tells that one has begun, and that one has ended."""
    began, ended = threading.Semaphore(0), threading.Semaphore(0)

    def answering(recording: Recording, rest: str) -> Answer:
        began.release()
        try:
            while True:
                stop_if_unwanted()
        finally:
            ended.release()

    return Heard(Studio(None, look(MODEL, text(3)), proves=False, answering=answering)), began, ended


def test_W09_what_is_dropped_or_closed_stops() -> None:
    heard, began, ended = endless()
    for leave in (lambda: heard.widget._heard(heard.widget, {"drop": "x"}, []), heard.widget.close):
        heard.widget._heard(heard.widget, {"id": "x", "path": "1/facts"}, [])
        assert began.acquire(timeout=WAIT)
        leave()
        assert ended.acquire(timeout=WAIT)
    assert heard.said == {}


def test_W09_a_number_given_again_at_once_is_the_new_questions() -> None:
    (heard, began, ended), held = endless(), threading.Event()
    question = {"id": "x", "path": "1/facts"}
    heard.widget._heard(heard.widget, question, [])
    assert began.acquire(timeout=WAIT)
    _loop().call_soon_threadsafe(held.wait, WAIT)  # so that the next two are heard in one breath
    heard.widget._heard(heard.widget, {"drop": "x"}, [])
    heard.widget._heard(heard.widget, question, [])
    held.set()
    assert ended.acquire(timeout=WAIT)
    assert began.acquire(timeout=WAIT)
    heard.widget._heard(heard.widget, {"drop": "x"}, [])
    assert ended.acquire(timeout=WAIT)
    heard.widget.close()
    assert heard.said == {}


def test_a_widget_brings_the_page_itself_for_places_without_widgets(
    heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, _ = heard.widget._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == heard.widget.model_id
    assert data["text/html"].startswith("<iframe srcdoc=")
    assert "tile/self/2/5/weights/0/0/0" in data["text/html"]
    monkeypatch.setattr(widgets, "INLINE", 1000)
    data, _ = heard.widget._repr_mimebundle_()
    assert "Run the cell again" in data["text/html"]


def test_show_is_the_widget_in_a_notebook_and_the_frame_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regard.look.in_notebook", lambda: True)
    recording = look(MODEL, text(3))
    found = Look(recording.kept, MODEL)
    shown = found.show()
    assert isinstance(shown, Widget)
    shown.close()
    assert isinstance(found.show(live=False), Inline)
    monkeypatch.setitem(sys.modules, "regard.page.widget", None)  # as if it could not be imported
    assert isinstance(found.show(), Inline)


def told(studio: Studio, path: str, fields: dict[str, Any]) -> bytes:
    return asyncio.run_coroutine_threadsafe(answer_of(studio, path, fields), widgets._loop()).result(WAIT)


def test_a_run_that_looked_can_look_again_and_what_it_cut_is_told() -> None:
    class Run:
        takes, says = "text", True
        facts = {"run": "named"}  # noqa: RUF012

        def __init__(self) -> None:
            self.notices: list[object] = []

        def look(self, letters: str) -> Recording:
            self.notices = ["the text was cut"]
            return look(MODEL, text(len(letters)))

    run = Run()
    studio = studio_of(run, look(MODEL, text(4)))
    found = json.loads(told(studio, "look", {"text": "ab", "client": "a", "number": 1}))
    assert (found["notices"], run.notices, studio.start()["name"]) == (["the text was cut"], [], "named")
    studio.stop()
    alone = studio_of(None, look(MODEL, text(4)))
    with pytest.raises(Declined, match="no model here"):
        told(alone, "look", {"text": "ab", "client": "a", "number": 1})
    with pytest.raises(RegardError):
        told(alone, "1/none", {})
    alone.stop()
