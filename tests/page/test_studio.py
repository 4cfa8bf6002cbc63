"""Who computes what, and when: newer work replaces older, the model is never waited for by what does not need it."""

import asyncio
import json
import math
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from regard.errors import RegardError
from regard.looking.edit import Edit
from regard.looking.record import Recording
from regard.looking.stopping import Stopped, stop_if_unwanted, while_wanted
from regard.model.transformer import Transformer
from regard.page import studio as studios
from regard.page.answers import Answer
from regard.page.effects import KINDS, TARGETS, edits_of
from regard.page.studio import Studio, size_of
from regard.page.worker import MOST_WAITING, Declined

from ..looking.small import build, look, text

WAIT = 20.0
N = 11


@pytest.fixture(scope="module")
def model() -> Transformer:
    return build()


@pytest.fixture
def recording(model: Transformer) -> Recording:
    return look(model, text(N))


class Looking:
    """A look that records, or waits until it is let go or not wanted any more."""

    def __init__(self, recording: Recording) -> None:
        self.recording, self.began, self.go = recording, threading.Event(), threading.Event()
        self.stopped = threading.Event()
        self.texts: list[str] = []
        self.holds = True

    def __call__(self, text: str) -> Recording:
        self.texts.append(text)
        self.began.set()
        try:
            while self.holds and not self.go.wait(0.001):
                stop_if_unwanted()
        except Stopped:
            self.stopped.set()
            raise
        return self.recording

    async def has_begun(self) -> None:
        assert await asyncio.to_thread(self.began.wait, WAIT)
        self.began.clear()


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), WAIT))


async def declined(asked: Any, status: int) -> str:
    with pytest.raises(Declined) as info:
        await asked
    assert info.value.status == status
    return str(info.value)


async def proven(recording: Recording) -> None:
    while recording.proving:
        await asyncio.sleep(0.001)


# keys


def test_recordings_have_keys_and_the_page_begins_with_the_first(recording: Recording) -> None:
    studio = Studio(None, recording, "small", proves=False)
    assert studio.start() == {"key": "1", "name": "small", "live": True, "model": False, "proof": recording.badge,
                              "at": ""}  # fmt: skip
    assert studio.add(recording) == "2"
    assert studio.start()["key"] == "1"
    assert studio.recording("2") is recording
    assert Studio(str, name="small").start() == {  # type: ignore[arg-type]
        "key": None, "name": "small", "live": True, "model": True, "proof": None, "at": ""}  # fmt: skip


def test_W09_the_last_few_recordings_are_kept_and_others_say_so(
    model: Transformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(studios, "KEPT", 2)
    studio = Studio(None, look(model, text(3)), proves=False)
    studio.add(look(model, text(4)))
    assert studio.recording("1").n == 3  # asked for last, so the other is the oldest
    studio.add(look(model, text(5)))
    assert studio.recording("1").n == 3
    with pytest.raises(Declined, match="recording 2 is kept no longer") as info:
        studio.recording("2")
    assert info.value.status == 410
    studio.add(look(model, text(6)))
    studio.add(look(model, text(7)))
    assert studio.start()["key"] == "5"


def test_W09_recordings_are_kept_as_long_as_there_is_memory(
    model: Transformer, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(studios, "MOST_BYTES", size_of(recording))
    studio = Studio(None, recording, proves=False)
    assert studio.recording("1") is recording
    studio.add(recording)
    with pytest.raises(Declined):
        studio.recording("1")
    assert studio.recording("2") is recording
    assert size_of(recording) > size_of(look(model, text(3))) > 1000


@pytest.mark.parametrize("key", ["0", "2", "-1", "01", "", "a", "1 ", "²", "9" * 5000, "1/..", "\0"])
def test_W06_a_key_that_was_never_given_is_unknown(recording: Recording, key: str) -> None:
    studio = Studio(None, recording, proves=False)
    with pytest.raises(Declined, match="no such recording") as info:
        studio.recording(key)
    assert info.value.status == 404


# looking


def test_a_text_becomes_a_recording_with_a_key_and_notices(recording: Recording) -> None:
    looking = Looking(recording)
    looking.holds = False
    studio = Studio(looking, notices=lambda: ["3 line ends", 7], proves=False)

    async def test() -> None:
        assert await studio.look("abc", "me", 1) == {"key": "1", "notices": ["3 line ends", "7"]}
        assert looking.texts == ["abc"]
        assert studio.recording("1") is recording
        await studio.close()

    run(test)


def test_without_a_model_nothing_is_looked_at(recording: Recording) -> None:
    async def test() -> None:
        assert "no model" in await declined(Studio(None).look("abc", "me", 1), 400)
        sealed = Recording(recording.kept, None, "0" * 64)
        studio = Studio(None, sealed, proves=False)
        with pytest.raises(RegardError, match="needs the model"):
            await studio.edit("1", [Edit.head(0, 0)], "me", 1)
        await studio.close()

    run(test)


def test_W09_a_text_has_a_limit(recording: Recording) -> None:
    looking = Looking(recording)
    looking.holds = False
    studio = Studio(looking, proves=False)

    async def test() -> None:
        assert "64 KB" in await declined(studio.look("é" * (32 << 10) + "e", "me", 1), 413)
        assert (await studio.look("é" * (32 << 10), "me", 2))["key"] == "1"
        await studio.close()

    run(test)


def test_W09_newer_work_of_a_client_replaces_what_waits_and_what_runs(recording: Recording) -> None:
    looking = Looking(recording)
    studio = Studio(looking, proves=False)

    async def test() -> None:
        running = asyncio.create_task(studio.look("first", "me", 1))
        await looking.has_begun()
        waiting = asyncio.create_task(studio.look("second", "me", 2))
        assert "newer" in await declined(running, 409)
        await looking.has_begun()  # the first stopped, and the second began
        assert looking.stopped.is_set()
        other = asyncio.create_task(studio.look("other", "you", 1))
        third = asyncio.create_task(studio.look("third", "me", 3))
        await declined(waiting, 409)
        looking.go.set()
        assert (await other)["key"] == "1"
        assert (await third)["key"] == "2"
        assert looking.texts == ["first", "second", "other", "third"]
        await studio.close()

    run(test)


def test_W09_a_thousand_changes_and_only_the_last_is_looked_at(recording: Recording) -> None:
    looking = Looking(recording)
    studio = Studio(looking, proves=False)

    async def test() -> None:
        asked = [asyncio.create_task(studio.look(str(number), "me", number)) for number in range(1000)]
        await asyncio.sleep(0)
        looking.go.set()
        found = await asyncio.gather(*asked, return_exceptions=True)
        assert {getattr(one, "status", None) for one in found[:-1]} == {409}
        assert found[-1] == {"key": "1", "notices": []}
        assert looking.texts[-1] == "999"
        assert len(looking.texts) < 500  # how many began before they were replaced is up to the clock
        await studio.close()

    run(test)


def test_W09_an_old_number_is_refused(recording: Recording) -> None:
    looking = Looking(recording)
    looking.holds = False
    studio = Studio(looking, proves=False)

    async def test() -> None:
        await studio.look("new", "me", 5)
        for number in (5, 4, 0):
            assert "newer" in await declined(studio.look("old", "me", number), 409)
        assert (await studio.look("other", "you", 0))["key"] == "2"
        assert looking.texts == ["new", "other"]
        for number in range(1000):  # clients come and go; the first is forgotten, which harms nobody
            studio._numbers[f"client {number}"] = number
        await studio.look("again", "me", 6)
        await studio.close()

    run(test)


def test_W09_one_computes_eight_wait_and_others_are_told(recording: Recording) -> None:
    looking = Looking(recording)
    studio = Studio(looking, proves=False)

    async def test() -> None:
        first = asyncio.create_task(studio.look("0", "0", 1))
        await looking.has_begun()
        asked = [asyncio.create_task(studio.look(f"{client}", f"{client}", 1)) for client in range(1, 21)]
        for task in asked[MOST_WAITING:]:
            assert "wait already" in await declined(task, 503)
        assert not any(task.done() for task in (first, *asked[:MOST_WAITING]))
        looking.go.set()
        found = await asyncio.gather(first, *asked[:MOST_WAITING])
        assert [one["key"] for one in found] == [str(number) for number in range(1, 2 + MOST_WAITING)]
        assert looking.texts == [str(number) for number in range(1 + MOST_WAITING)]
        await studio.close()

    run(test)


def test_W09_a_computation_stops_when_its_client_is_gone(recording: Recording) -> None:
    looking = Looking(recording)
    studio = Studio(looking, proves=False)

    async def test() -> None:
        running = asyncio.create_task(studio.look("runs", "me", 1))
        await looking.has_begun()
        waiting = asyncio.create_task(studio.look("waits", "you", 1))
        await asyncio.sleep(0)
        waiting.cancel()
        running.cancel()
        assert await asyncio.to_thread(looking.stopped.wait, WAIT)
        looking.go.set()
        assert (await studio.look("next", "me", 2))["key"] == "1"
        assert looking.texts == ["runs", "next"]
        await studio.close()

    run(test)


def test_W09_a_computation_has_a_limit_of_time(recording: Recording) -> None:
    looking = Looking(recording)
    studio = Studio(looking, proves=False, limit=0.05)

    async def test() -> None:
        assert "over 0.05 seconds" in await declined(studio.look("long", "me", 1), 503)
        assert await asyncio.to_thread(looking.stopped.wait, WAIT)
        await studio.close()

    run(test)


def test_what_goes_wrong_in_a_look_is_told_and_the_next_works(recording: Recording) -> None:
    looking = Looking(recording)
    looking.holds = False

    def sometimes(text: str) -> Recording:
        if text == "wrong":
            raise RegardError("input", "it is wrong", "write another")
        if text == "broken":
            raise OSError("the run is gone")
        return looking(text)

    studio = Studio(sometimes, proves=False)

    async def test() -> None:
        with pytest.raises(RegardError, match="it is wrong"):
            await studio.look("wrong", "me", 1)
        with pytest.raises(OSError, match="gone"):
            await studio.look("broken", "me", 2)
        assert (await studio.look("right", "me", 3))["key"] == "1"
        await studio.close()

    run(test)


# stopping between layers


class Counted:
    """Wanted for so many looks at it."""

    def __init__(self, count: int) -> None:
        self.left = count

    def __call__(self) -> bool:
        self.left -= 1
        return self.left >= 0


@pytest.mark.parametrize("layers", [0, 1, 2])
def test_a_pass_stops_between_layers_and_leaves_the_model_as_it_was(model: Transformer, layers: int) -> None:
    before = look(model, text(N))
    wanted = Counted(layers)
    with pytest.raises(Stopped), while_wanted(wanted):
        look(model, text(N))
    assert wanted.left == -1  # it was asked at each layer, and never again
    after = look(model, text(N))
    np.testing.assert_array_equal(before.weights(1, 1), after.weights(1, 1))
    with while_wanted(Counted(3)):
        look(model, text(N))


def test_an_edit_and_a_proof_stop_and_leave_no_hook(model: Transformer, recording: Recording) -> None:
    for count in (0, 4, 7, 20):
        with pytest.raises(Stopped), while_wanted(Counted(count)):
            recording.edit([Edit.head(0, 0), Edit.sublayer(1, "attention")])
        with pytest.raises(Stopped), while_wanted(Counted(count)):
            recording.prove()
        assert not recording.proving
    hooks = [part for part in model.modules() if part._forward_hooks or part._forward_pre_hooks]
    assert hooks == []
    assert recording.prove().badge.startswith("Proven")


# proofs


def test_each_new_recording_is_proven_in_the_background(recording: Recording, model: Transformer) -> None:
    second = look(model, text(5))
    studio = Studio(lambda text: second, recording)

    async def test() -> None:
        assert recording.badge == "Proof running" or recording.proof is not None
        await studio.look("abc", "me", 1)
        for one in (recording, second):
            await proven(one)
            assert one.badge.startswith("Proven")
        assert studio.start()["proof"] == recording.badge
        first = recording.proof
        assert (await studio.prove("1"))["badge"] == "Proof running"
        await proven(recording)
        assert recording.proof is not first
        await studio.close()

    run(test)


def test_a_proof_makes_way_and_begins_anew(recording: Recording, model: Transformer) -> None:
    began, tries = threading.Event(), []
    prove = recording.prove

    def slow() -> Any:
        tries.append(1)
        began.set()
        while len(tries) == 1:
            stop_if_unwanted()
        return prove()

    recording.prove = slow  # type: ignore[method-assign, assignment]
    second = look(model, text(5))
    studio = Studio(lambda text: second, recording)

    async def test() -> None:
        assert await asyncio.to_thread(began.wait, WAIT)
        assert (await studio.look("abc", "me", 1))["key"] == "2"
        await studio.prove("1")  # it waits already
        await proven(recording)
        await proven(second)
        assert len(tries) == 2
        assert recording.badge.startswith("Proven")
        await studio.close()

    run(test)


def test_a_proof_that_breaks_is_told_and_ends(recording: Recording) -> None:
    told: list[BaseException] = []

    def broken() -> Any:
        recording.proving = False
        raise ValueError("broken")

    recording.prove = broken  # type: ignore[method-assign]
    studio = Studio(None)
    studio.worker.fault = told.append
    studio.add(recording)

    async def test() -> None:
        while not told:
            await asyncio.sleep(0.001)
        assert not recording.proving
        await studio.close()

    run(test)


def test_the_proof_of_a_recording_that_is_forgotten_ends(recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studios, "KEPT", 1)
    began, stopped = threading.Event(), threading.Event()

    def endless() -> Any:
        began.set()
        try:
            while True:
                stop_if_unwanted()
        except Stopped:
            stopped.set()
            raise

    recording.prove = endless  # type: ignore[method-assign]
    studio = Studio(None, recording)
    assert began.wait(WAIT)
    studio.add(Recording(recording.kept, None, "0" * 64))
    assert stopped.wait(WAIT)
    studio.stop()


# tiles


def test_tiles_never_wait_for_the_model(recording: Recording) -> None:
    looking = Looking(recording)
    studio = Studio(looking, recording, proves=False)

    async def test() -> None:
        running = asyncio.create_task(studio.look("long", "me", 1))
        await looking.has_begun()
        facts = await studio.answer("1", "facts")
        assert json.loads(facts.body)["n"] == N
        heads = [(layer, head) for layer in range(3) for head in range(6)]
        tiles = [studio.answer("1", f"tile/self/{layer}/{head}/weights/0/0/0") for layer, head in heads]
        assert {len(one.body) for one in await asyncio.gather(*tiles)} == {16 + 4 * N * N}
        assert not running.done()
        looking.go.set()
        await running
        await studio.close()

    run(test)


def test_W09_an_answer_has_a_limit_of_time_and_of_number(recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()

    def slow(recording: Recording, rest: str) -> Answer:
        assert go.wait(WAIT)
        return Answer(b"", "application/json")

    monkeypatch.setattr(studios, "MOST_ASKED", 4)
    studio = Studio(None, recording, proves=False, answering=slow, limit=0.2)

    async def test() -> None:
        asked = [asyncio.create_task(studio.answer("1", "facts")) for _ in range(6)]
        for task in asked[4:]:
            assert "too much" in await declined(task, 503)
        for task in asked[:4]:
            assert "0.2 seconds" in await declined(task, 503)
        go.set()
        assert (await studio.answer("1", "facts")).body == b""
        await studio.close()

    run(test)


def test_W17_closing_ends_what_runs_and_what_waits(recording: Recording) -> None:
    looking = Looking(recording)
    studio = Studio(looking, proves=False)

    async def test() -> None:
        running, waiting = (asyncio.create_task(studio.look("x", client, 1)) for client in ("me", "you"))
        await looking.has_begun()
        await studio.close()
        for task in (running, waiting):
            assert "ending" in await declined(task, 503)
        assert looking.stopped.is_set()
        assert "ending" in await declined(studio.look("x", "me", 2), 503)
        studio.add(recording)
        assert "ending" in await declined(studio.answer("1", "facts"), 503)
        assert "ending" in await declined(studio.prove("1"), 503)
        assert not recording.proving
        await studio.close()

    run(test)


def test_W17_what_is_being_answered_when_all_ends_says_that_it_ended(recording: Recording) -> None:
    began = threading.Event()

    def endless(recording: Recording, rest: str) -> Answer:
        began.set()
        while True:
            stop_if_unwanted()

    studio = Studio(None, recording, proves=False, answering=endless)

    async def test() -> None:
        asked = asyncio.create_task(studio.answer("1", "facts"))
        assert await asyncio.to_thread(began.wait, WAIT)
        studio.stop()
        assert "ending" in await declined(asked, 503)

    run(test)


# edits


def test_an_edit_is_told_as_it_is(recording: Recording) -> None:
    edits = [Edit.head(1, [0, 2]), Edit.edges(0, 1, [5, 6], [2], "cut")]
    expected = recording.edit(edits)
    studio = Studio(None, recording, proves=False)

    async def test() -> None:
        told = json.loads(json.dumps(await studio.edit("1", edits, "me", 1), allow_nan=False))
        assert told["badge"] == "Edited run"
        assert told["edits"] == [str(one) for one in edits]
        assert told["change"][-1] is None
        np.testing.assert_array_equal(np.float32(told["change"][:-1]), np.float32(expected.change[:-1]))
        np.testing.assert_array_equal(np.float32(told["divergence"]), np.float32(expected.divergence))
        assert told["mean"] == expected.mean_change
        assert told["percentile"] == expected.percentile
        assert told["others"] == expected.others.tolist()
        assert told["control"] == expected.control
        for name, readings in (("before", expected.before), ("after", expected.after)):
            assert len(told[name]) == N
            for i in (0, N - 1):
                labels = [recording.name_of(int(token)) for token in readings.top[i, :5]]
                shares = [math.exp(float(x) - float(readings.logsumexp[i])) for x in readings.top_logits[i, :5]]
                assert [label for label, _ in told[name][i]] == labels
                np.testing.assert_allclose([p for _, p in told[name][i]], shares, rtol=1e-6)
        await studio.close()

    run(test)


def test_edits_are_read_from_json() -> None:
    given: list[dict[str, Any]] = [
        {"part": "heads", "kind": "zero", "layer": 2, "heads": [3, 1, 3]},
        {"part": "attention", "kind": "zero", "layer": 0, "heads": [1]},
        {"part": "edges", "kind": "mask", "layer": 1, "heads": [0], "rows": [4], "cols": [1, 2]},
        {"part": "value", "kind": "zero", "layer": 1, "heads": [0], "cols": [7]},
    ]
    expected = [Edit.head(2, [1, 3]), Edit.sublayer(0, "attention"), Edit.edges(1, 0, 4, [1, 2]), Edit.value(1, 0, 7)]
    assert edits_of(given) == expected


RIGHT = {"part": "heads", "kind": "zero", "layer": 0, "heads": [0]}
WRONG = ({"heads": None}, {"heads": []}, {"heads": [0.0]}, {"heads": [-1]}, {"heads": [True]}, {"heads": {}},
         {"kind": "cut"}, {"kind": "none"}, {"kind": "mean"}, {"kind": {}}, {"kind": ["zero"]}, {"kind": None},
         {"layer": True}, {"layer": 2**40}, {"layer": -1}, {"layer": "0"}, {"layer": None}, {"part": ["heads"]},
         {"part": "nothing"}, {"part": None}, {"part": "edges", "kind": "mask", "rows": [0]})  # fmt: skip


@pytest.mark.parametrize(
    "given", [None, {}, [], [None], [{}], [[]], "heads", [RIGHT] * 65, *([RIGHT | w] for w in WRONG)]
)
def test_W08_what_is_no_edit_is_refused(given: Any) -> None:
    assert edits_of([RIGHT])
    with pytest.raises(RegardError):
        edits_of(given)


NUMBERS = st.lists(st.integers(-2, 14), max_size=4)
LIKE_EDITS = st.fixed_dictionaries(
    {"part": st.sampled_from([*TARGETS, "x"]), "kind": st.sampled_from(["zero", "mask", "cut", "none"]),
     "layer": st.integers(-1, 4)},
    optional={"heads": NUMBERS, "rows": NUMBERS, "cols": NUMBERS},
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(st.lists(LIKE_EDITS, min_size=1, max_size=3))
def test_W08_an_edit_is_made_or_refused(given: list[dict[str, Any]]) -> None:
    recording = _recorded()
    try:
        effect = recording.edit(edits_of(given), others=2)
    except RegardError:
        return
    assert len(effect.change) == N
    assert all(one.kind in KINDS[one.part] for one in effect.edits)
    assert torch.isfinite(torch.from_numpy(effect.divergence)).all()


def _recorded(found: list[Recording] = []) -> Recording:  # noqa: B006 - made once
    if not found:
        found.append(look(build(), text(N)))
    return found[0]
