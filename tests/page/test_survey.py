"""Held-out text on the page: what is told of it, and that measuring it lets everything else go first."""

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import numpy as np
import pytest

from regard.errors import RegardError
from regard.looking.stopping import Stopped, stop_if_unwanted
from regard.looking.survey import MEASURES, Survey, Surveying, choose
from regard.page import studio as studios
from regard.page.answers import answer, every_question
from regard.page.studio import Studio
from regard.page.survey import SHOWN
from regard.page.widget import answer_of
from regard.page.worker import Declined, Job, Worker

from ..looking.small import Letters, build, look, text

MODEL = build()
WAIT, COUNT, SIZE = 20.0, 12, 21


def surveying() -> Surveying:
    ids = text(400, vocabulary=9)[0].numpy()
    return Surveying(MODEL, choose(ids, Letters(), windows=COUNT, size=SIZE, seed=5))


@pytest.fixture(scope="module")
def survey() -> Survey:
    return surveying().survey()


def told(survey: Survey | None, path: str) -> Any:
    recording = look(MODEL, text(7))
    recording.survey = survey
    return json.loads(answer(recording, path).body)


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), WAIT))


# what is told


def test_every_heads_numbers_and_every_windows_text_are_the_surveys(survey: Survey) -> None:
    found = told(survey, "survey")
    assert (found["size"], found["tokens"], found["seed"]) == (SIZE, 400, 5)
    for layer, head in np.ndindex(3, 6):
        for name in MEASURES:
            for part in ("mean", "spread", "count"):
                assert found[part][layer][head][name] == getattr(survey, part)(name)[layer, head]
        assert found["mean"][layer][head]["few"] == survey.few()[layer, head]
    assert len(found["windows"]) == COUNT
    for k, window in enumerate(found["windows"]):
        named = survey.windows.named[k]
        assert window["start"] == survey.windows.starts[k]
        assert window["text"] == "".join(chr(97 + token) for token in named.ids)
        assert tuple(window["labels"]) == named.labels[: min(SHOWN, SIZE)]


def test_a_head_has_its_strongest_windows_and_some_at_random(survey: Survey) -> None:
    for name in MEASURES:
        found = told(survey, f"windows/{name}/2/3")
        values, rows = survey.values[name][:, 2, 3], survey.induction_rows[:, 2, 3]
        assert [k for k, _, _ in found["strongest"]] == survey.strongest(name, 2, 3)
        assert [k for k, _, _ in found["random"]] == survey.random(seed=5)
        for k, value, few in found["strongest"] + found["random"]:
            assert value == values[k]
            assert few == (name == "induction" and rows[k] < 20)
    assert any(few for _, _, few in told(survey, "windows/induction/0/0")["random"])


def test_a_number_that_there_is_not_is_null(survey: Survey) -> None:
    values = {name: array.copy() for name, array in survey.values.items()}
    values["induction"][:, 1, 1] = np.nan
    holes = Survey(survey.windows, values, survey.induction_rows)
    found = told(holes, "survey")
    assert [found[part][1][1]["induction"] for part in ("mean", "spread", "count")] == [None, None, 0]
    listed = told(holes, "windows/induction/1/1")
    assert listed["strongest"] == []
    assert {value for _, value, _ in listed["random"]} == {None}


@pytest.mark.parametrize(
    ("path", "part"),
    [("windows/first/3/0", "layer: 3 does not exist"), ("windows/first/0/6", "head: 6 does not exist"),
     ("windows/few/0/0", "'few' is not known"), ("windows/first/0", "takes 3 parts"), ("survey/1", "takes 0 parts")],
)  # fmt: skip
def test_what_there_is_not_is_refused(survey: Survey, path: str, part: str) -> None:
    with pytest.raises(RegardError, match=part):
        told(survey, path)


@pytest.mark.parametrize("path", ["survey", "windows/first/0/0"])
def test_before_it_is_measured_that_is_said(path: str) -> None:
    with pytest.raises(RegardError, match="no held-out text is measured yet"):
        told(None, path)


def test_a_saved_page_has_it_if_it_was_measured(survey: Survey) -> None:
    recording = look(MODEL, text(7))
    without = every_question(recording, [(1, 2)])
    recording.survey = survey
    more = [path for path in every_question(recording, [(1, 2)]) if path not in without]
    assert more == ["survey", *(f"windows/{name}/1/2" for name in MEASURES)]
    assert all(answer(recording, path).body for path in more)


# how it is measured


@pytest.fixture
def studio(monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    """One window each time."""
    monkeypatch.setattr(studios, "SLICE", 0.0)
    found = Studio(lambda letters: look(MODEL, text(len(letters))), look(MODEL, text(7)), "small", proves=False,
                   surveying=surveying)  # fmt: skip
    yield found
    found.stop()


def test_each_time_it_goes_on_for_a_moment_until_all_is_measured(studio: Studio, survey: Survey) -> None:
    async def test() -> None:
        for done in range(1, COUNT + 1):
            assert studio.recording("1").survey is None
            assert await studio.survey("1", "me", done) == {"done": done, "of": COUNT}
        found = studio.recording("1").survey
        assert found is not None
        for name in MEASURES:
            np.testing.assert_array_equal(found.values[name], survey.values[name])
        second = (await studio.look("abcde", "typing", 1))["key"]
        assert await studio.survey(second, "me", 99) == {"done": COUNT, "of": COUNT}  # measured once, for all
        assert studio.recording(second).survey is found

    run(test)


def test_a_notebook_asks_in_the_same_way(studio: Studio) -> None:
    async def test() -> None:
        for done in range(1, COUNT + 1):
            body = await answer_of(studio, "1/survey", {"client": "cell", "number": done})
            assert json.loads(body) == {"done": done, "of": COUNT}
        assert (await answer_of(studio, "1/survey")) == answer(studio.recording("1"), "survey").body

    run(test)


def test_two_pages_measure_it_together(studio: Studio) -> None:
    async def test() -> None:
        counts = []
        for number in range(COUNT // 2):
            for client in ("me", "you"):
                counts.append((await studio.survey("1", client, number))["done"])
        assert counts == list(range(1, COUNT + 1))

    run(test)


def test_what_nobody_waits_for_stops_and_what_was_measured_stays(studio: Studio) -> None:
    began, stopped, letting = threading.Event(), threading.Event(), threading.Event()

    class Held(Surveying):
        def __next__(self) -> int:
            if self.done < 3:
                return super().__next__()
            began.set()
            try:
                assert letting.wait(WAIT)
                return super().__next__()
            except Stopped:
                stopped.set()
                raise

    studio._begin_survey = lambda: Held(MODEL, surveying().windows)

    async def test() -> None:
        for done in range(1, 4):
            assert (await studio.survey("1", "me", done))["done"] == done
        waiting = asyncio.create_task(studio.survey("1", "me", 4))
        assert await asyncio.to_thread(began.wait, WAIT)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        letting.set()
        assert await asyncio.to_thread(stopped.wait, WAIT)
        assert (await studio.survey("1", "me", 5))["done"] == 4

    run(test)


def test_without_a_run_there_is_none_and_a_refusal_of_the_run_is_said() -> None:
    def refuse() -> Surveying:
        raise RegardError("gpt2", "its held-out text is not there", "name a file")

    async def test() -> None:
        alone = Studio(None, look(MODEL, text(7)), proves=False)
        with pytest.raises(Declined, match="a recording by itself has no held-out text"):
            await alone.survey("1", "me", 1)
        with pytest.raises(Declined, match="no such recording"):
            await alone.survey("2", "me", 2)
        other = Studio(None, look(MODEL, text(7)), proves=False, surveying=refuse)
        for number in range(2):  # and again, when it is asked again
            with pytest.raises(RegardError, match="its held-out text is not there"):
                await other.survey("1", "me", number)
        other.stop()

    run(test)


def test_a_survey_made_before_is_not_made_again(survey: Survey) -> None:
    recording = look(MODEL, text(7))
    recording.survey = survey

    async def test() -> None:
        assert await Studio(None, recording, proves=False).survey("1", "me", 1) == {"done": COUNT, "of": COUNT}

    run(test)


def test_patient_work_lets_others_go_first_and_stops_no_proof() -> None:
    recording, order, first, go = look(MODEL, text(7)), list[str](), threading.Event(), threading.Event()
    worker = Worker(limit=WAIT)

    def waits() -> None:
        first.set()
        assert go.wait(WAIT)

    worker.do(Job(waits))
    assert first.wait(WAIT)
    jobs = [worker.do(Job(lambda: order.append("patient"), patient=True)),
            worker.do(Job(lambda: order.append("proof"), proves=recording)),
            worker.do(Job(lambda: order.append("typed")))]  # fmt: skip
    go.set()
    for job in jobs:
        job.done.result(WAIT)
    assert order == ["typed", "proof", "patient"]
    first.clear()
    go.clear()
    proof = worker.do(Job(waits, proves=recording))
    assert first.wait(WAIT)
    patient = worker.do(Job(lambda: None, patient=True))
    assert proof.unwanted is None
    typed = worker.do(Job(lambda: None))
    assert proof.unwanted is not None
    go.set()
    for job in (proof, typed, patient):
        job.done.result(WAIT)
    worker.close()


def test_patient_work_makes_way_and_begins_anew() -> None:
    worker, order, began = Worker(limit=WAIT), list[str](), threading.Event()

    def patient() -> str:
        order.append("patient")
        if len(order) == 1:
            began.set()
            while True:
                stop_if_unwanted()
        return "done"

    waiting = worker.do(Job(patient, patient=True))
    assert began.wait(WAIT)
    worker.do(Job(lambda: order.append("typed"))).done.result(WAIT)
    assert waiting.done.result(WAIT) == "done"
    assert order == ["patient", "typed", "patient"]
    worker.close()
