"""Held-out text in the view of heads: each number shown is the survey's, and waiting for it is never in the way."""

import csv
import io
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser, Page, expect

from regard.errors import RegardError
from regard.looking.kept import Tokens
from regard.looking.record import Recording, record
from regard.looking.stopping import Stopped, stop_if_unwanted
from regard.looking.survey import MEASURES, Survey, Surveying, choose
from regard.model.sequence import Sequence
from regard.page import studio as studios
from regard.page.export import save_page
from regard.page.server import bind, server_of
from regard.page.studio import Studio

from ..looking.small import PLACES, WORDS, Letters, build, induction, text
from .conftest import Open
from .planted import TOKEN, at, settled
from .serve import HOSTILE, LONG, Hostile

COUNT = 23
MODEL = induction()
IDS = text(700, vocabulary=WORDS)[0].numpy()
SOON = 20_000.0


def surveying() -> Surveying:
    return Surveying(MODEL, choose(IDS, Letters(), windows=COUNT, size=PLACES, seed=2))


def looked_at(letters: str) -> Recording:
    ids = torch.tensor([[(ord(letter) - 97) % WORDS for letter in letters]])
    return record(MODEL, Sequence.text(ids), Tokens.of_text(ids[0].tolist(), Letters()), name="small")


@pytest.fixture(scope="module")
def survey() -> Survey:
    return surveying().survey()


@contextmanager
def page_with(studio: Studio) -> Iterator[str]:
    """The address of a live page, served from a thread of this process."""
    with bind("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        server = server_of(studio, "127.0.0.1", port, TOKEN)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{port}/#token={TOKEN}"
        server.should_exit = True
        thread.join(10)


def studio_with(begin: Callable[[], Surveying]) -> Studio:
    return Studio(looked_at, looked_at("abcabdabca"), "small", proves=False, surveying=begin)


@pytest.fixture
def live() -> Iterator[str]:
    with page_with(studio_with(surveying)) as address:
        yield address


def held_out(page: Page) -> None:
    """Until the numbers are those of held-out text."""
    expect(page.locator(".view.heads")).to_contain_text("tokens of held-out text (seed", timeout=SOON)
    page.locator(".survey tr[data-window]").first.wait_for()


def under(page: Page, layer: int, head: int) -> dict[str, float]:
    """The numbers under a head's picture."""
    cell = page.locator(".heads-cell", has_text=f"layer {layer}, head {head}")
    found = cell.locator(".heads-number").evaluate_all(
        "all => all.map(({dataset}) => [dataset.measure, dataset.value])"
    )
    return {name: float("nan" if value == "none" else value) for name, value in found}


def same(value: str | None, expected: float) -> bool:
    """Nine digits, or none where there is no number."""
    if value in (None, "", "none"):
        return bool(np.isnan(expected))
    return float(value or "") == pytest.approx(expected, rel=1e-8)


def listed(page: Page, number: int) -> list[tuple[int, str, str]]:
    """Of one of the two lists: window, number and text."""
    rows = page.locator(".survey table").nth(number).locator("tr[data-window]")
    return [(int(k), value, words) for k, value, words in rows.evaluate_all(
        "all => all.map((row) => [row.dataset.window, row.cells[0].dataset.value ?? '', "
        "row.querySelector('bdi').textContent])")]  # fmt: skip


# the numbers


def test_every_number_is_the_surveys_and_the_switch_leads_back(live: str, survey: Survey, open_page: Open) -> None:
    page = open_page(at(live, layer=1, head=0))
    settled(page, "heads")
    own = {(one.layer, one.head): one for one in looked_at("abcabdabca").measures()}
    page.get_by_role("button", name="held-out text").click()
    held_out(page)
    assert "numbers=held-out" in page.url
    for _ in range(2):  # and after reloading
        for layer, head in np.ndindex(2, 4):
            shown = under(page, layer, head)
            for name in MEASURES:
                assert shown[name] == pytest.approx(survey.mean(name)[layer, head], rel=1e-8, nan_ok=True)
        for name in MEASURES:
            chosen = page.locator(f".heads-chosen [data-measure={name}]")
            assert same(chosen.get_attribute("data-value"), survey.mean(name)[1, 0])
            spread = chosen.locator("span.number").get_attribute("data-value")
            assert same(spread, survey.spread(name)[1, 0])
            assert chosen.inner_text().endswith(f"({survey.count(name)[1, 0]})")
        said = page.locator(".heads-line, .view.heads .row", has_text="tokens of held-out text")
        assert said.locator(".derived").count()
        page.reload()
        held_out(page)
    page.get_by_role("button", name="this text").click()
    expect(page.locator(".view.heads")).to_contain_text("means over this text's rows")
    assert page.locator(".survey").is_hidden()
    for (layer, head), one in own.items():
        shown = under(page, layer, head)
        assert [shown[name] for name in MEASURES] == pytest.approx(
            [getattr(one, name) for name in MEASURES], nan_ok=True
        )


def test_heads_are_sorted_and_plotted_by_their_means(live: str, survey: Survey, open_page: Open) -> None:
    page = open_page(at(live, numbers="held-out", measure="induction", brush=1, across="distance", up="induction"))
    held_out(page)
    names = page.locator(".heads-cell .heads-name").all_inner_texts()
    order = np.argsort(-survey.mean("induction").ravel(), kind="stable")
    assert names == [f"layer {k // 4}, head {k % 4}" for k in order.tolist()]
    assert names[0] == "layer 1, head 0"  # planted
    page.locator(".heads-cell").first.click()
    dot = page.locator(".brush p [data-value]")
    for at_, name in enumerate(("distance", "induction")):
        assert same(dot.nth(at_).get_attribute("data-value"), survey.mean(name)[1, 0])


def test_no_dot_lies_outside_when_windows_are_longer_than_this_text(open_page: Open, survey: Survey) -> None:
    with page_with(Studio(looked_at, looked_at("ab"), "small", proves=False, surveying=surveying)) as address:
        page = open_page(at(address, numbers="held-out", brush=1, across="distance", up="first"))
        held_out(page)
        assert survey.mean("distance").max() > 1  # where two tokens would end
        page.locator(".brush-dots").scroll_into_view_if_needed()
        box = page.locator(".brush-dots").bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + 30, box["y"] + 30)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] - 30, box["y"] + box["height"] - 30)
        page.mouse.up()
        expect(page.locator(".view.heads")).to_contain_text("8 picked:")
        page.close()


def test_the_chosen_heads_windows_are_listed_by_the_chosen_number(live: str, survey: Survey, open_page: Open) -> None:
    page = open_page(at(live, numbers="held-out", layer=1, head=0))
    held_out(page)
    for name, (layer, head) in (("induction", (1, 0)), ("entropy", (1, 0)), ("entropy", (0, 3))):
        page.locator(".survey select").select_option(name)
        page.locator(".heads-cell", has_text=f"layer {layer}, head {head}").click()
        expect(page.locator(".survey h3")).to_have_text(f"Layer {layer}, head {head}: windows of held-out text")
        expect(page.locator(".survey th").first).to_have_text(name)
        page.locator(".survey-lists:not(.stale)").wait_for()
        values = survey.values[name][:, layer, head]
        expected = [survey.strongest(name, layer, head), survey.random(seed=2)]
        for number, windows in enumerate(expected):
            found = listed(page, number)
            assert [k for k, _, _ in found] == windows
            for k, value, words in found:
                assert same(value, values[k])
                assert words == "".join(survey.windows.named[k].labels)
    assert "seed 2" in page.locator(".survey").inner_text()
    page.go_back()
    expect(page.locator(".survey h3")).to_have_text("Layer 1, head 0: windows of held-out text")


def test_a_window_becomes_the_pages_text(live: str, survey: Survey, open_page: Open) -> None:
    page = open_page(at(live, numbers="held-out", layer=1, head=0))
    held_out(page)
    strongest = survey.strongest("induction", 1, 0)[0]
    page.locator(".survey tr[data-window]").first.get_by_role("button").click()
    expect(page.locator(".page-text")).to_have_value(survey.windows.text(strongest), timeout=SOON)
    held_out(page)
    expect(page.locator(".heads-cell[aria-selected=true]")).to_be_focused()
    page.get_by_role("button", name="this text").click()
    settled(page, "heads")
    shown = page.locator(".heads-chosen [data-measure=induction]").get_attribute("data-value")
    assert same(shown, survey.values["induction"][strongest, 1, 0])  # of letters, so the tokens are the same


def test_what_is_saved_are_the_surveys_numbers(live: str, survey: Survey, open_page: Open) -> None:
    page = open_page(at(live, numbers="held-out"))
    held_out(page)
    page.click("[data-save=open]")
    with page.expect_download() as download:
        page.click("[data-save=csv]")
    rows = list(csv.reader(io.StringIO(Path(download.value.path()).read_text(), newline="")))
    facts = " ".join(row[0] for row in rows if row[0].startswith("# "))
    assert re.search(rf"means over {COUNT} windows of {PLACES} tokens of held-out text \(seed 2\)", facts)
    assert survey.windows.digest in facts
    assert "no: the badge is of this text's recording" in facts  # the numbers are of other recordings
    assert "none: the pictures are of the recorded run, the numbers of others" in facts
    assert "--save" not in next(line for line in facts.splitlines() if "command:" in line)
    names, *lines = [row for row in rows if not row[0].startswith("# ")]
    for line in lines:
        one = dict(zip(names, line, strict=True))
        layer, head = int(one["layer"]), int(one["head"])
        for name in MEASURES:
            for column, expected in ((name, survey.mean(name)), (f"{name} spread", survey.spread(name))):
                assert float(one[column] or "nan") == pytest.approx(expected[layer, head], rel=1e-6, nan_ok=True)
            assert int(float(one[f"{name} count"])) == survey.count(name)[layer, head]


# waiting for it


@contextmanager
def refused(browser: Browser, address: str) -> Iterator[Page]:
    """A page of which a request is refused: the browser's console has that as an error, so that is not looked at."""
    wrong: list[Any] = []
    with browser.new_context() as context:
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(error))
        page.goto(address)
        yield page
    assert not wrong


class Held(Surveying):
    """One that waits after five windows until it is let go, or not wanted any more."""

    go, stopped = threading.Event(), threading.Event()

    def __next__(self) -> int:
        try:
            while self.done == 5 and not self.go.wait(0.005):
                stop_if_unwanted()
        except Stopped:
            self.stopped.set()
            raise
        return super().__next__()


def test_progress_is_told_and_what_nobody_waits_for_stops(
    survey: Survey, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(studios, "SLICE", 0.0)
    Held.go.clear()
    Held.stopped.clear()
    with page_with(studio_with(lambda: Held(MODEL, surveying().windows))) as address:
        page = open_page(address)
        settled(page, "heads")
        before = under(page, 1, 0)
        page.get_by_role("button", name="held-out text").click()
        said = page.get_by_text(f"5 of {COUNT} windows are measured; until then")
        said.wait_for()
        assert page.locator(".survey-waiting").count() == 1
        assert under(page, 1, 0) == pytest.approx(before, nan_ok=True)
        expect(page.locator(".view.heads")).to_contain_text("means over this text's rows")
        page.get_by_role("button", name="this text").click()
        assert Held.stopped.wait(SOON / 1000)  # the model is free for what is typed
        assert said.is_hidden()
        assert page.locator(".survey-waiting").count() == 0
        page.locator(".page-text").fill("abcabcab")
        expect(page.locator(".page-foot")).to_contain_text("8 tokens", timeout=SOON)
        Held.go.set()
        page.get_by_role("button", name="held-out text").click()
        held_out(page)
        assert under(page, 1, 0)["induction"] == pytest.approx(survey.mean("induction")[1, 0], rel=1e-8)
        page.close()  # before the server is gone, of which it asks from time to time


def test_a_failure_is_said_and_can_be_tried_again(browser: Browser) -> None:
    fails = [True]

    def begin() -> Surveying:
        if fails:
            raise RegardError("small", "its held-out text is not there", "name a text file")
        return surveying()

    with page_with(studio_with(begin)) as address, refused(browser, at(address, numbers="held-out")) as page:
        expect(page.locator(".view.heads .failed")).to_contain_text("its held-out text is not there; name a text file")
        settled(page, "heads")
        assert page.locator(".survey-waiting").count() == 0
        expect(page.locator(".view.heads")).to_contain_text("means over this text's rows")
        fails.clear()
        page.get_by_role("button", name="try again").click()
        held_out(page)
        assert page.locator(".view.heads .failed").count() == 0


def test_a_recording_by_itself_says_what_it_needs(browser: Browser) -> None:
    studio = Studio(None, looked_at("abcabd"), proves=False)
    with page_with(studio) as address, refused(browser, at(address, numbers="held-out")) as page:
        expect(page.locator(".view.heads .failed")).to_contain_text("no held-out text; open it with its run")


# pages by themselves


def test_a_saved_page_without_it_says_why(open_page: Open, tmp_path: Path) -> None:
    save_page(looked_at("abcabd"), tmp_path / "page.html")
    page = open_page(at((tmp_path / "page.html").as_uri(), numbers="held-out"), offline=True)
    expect(page.locator(".view.heads .failed")).to_contain_text("run.survey()")
    settled(page, "heads")
    expect(page.locator(".view.heads")).to_contain_text("means over this text's rows")
    assert page.locator(".survey-waiting").count() == 0
    page.get_by_role("button", name="this text").click()
    assert page.locator(".view.heads .failed").is_hidden()


def test_a_saved_page_holds_what_was_measured(survey: Survey, open_page: Open, tmp_path: Path) -> None:
    recording = looked_at("abcabd")
    recording.survey = survey
    save_page(recording, tmp_path / "page.html")
    page = open_page(at((tmp_path / "page.html").as_uri(), numbers="held-out", layer=1), offline=True)
    held_out(page)
    for layer, head in np.ndindex(2, 4):
        assert under(page, layer, head)["first"] == pytest.approx(survey.mean("first")[layer, head], rel=1e-8)
    assert [k for k, _, _ in listed(page, 0)] == survey.strongest("induction", 1, 0)
    assert page.locator(".survey button").count() == 0  # as nothing could read another text


def test_tokens_of_windows_are_inert_and_many_heads_are_not_too_many_nodes(open_page: Open, tmp_path: Path) -> None:
    model = build(LONG)
    ids = text(200, vocabulary=60)
    recording = record(model, Sequence.text(ids[:, :40]), Tokens.of_text(ids[0, :40].tolist(), Hostile()), name="many")
    recording.survey = Surveying(model, choose(ids[0].numpy(), Hostile(), windows=20, size=10)).survey()
    save_page(recording, tmp_path / "page.html")
    page = open_page(at((tmp_path / "page.html").as_uri(), numbers="held-out"), offline=True)
    held_out(page)
    shown: Any = {k: words for k, _, words in (*listed(page, 0), *listed(page, 1))}
    for k, words in shown.items():
        labels = recording.survey.windows.named[k].labels
        assert words.removesuffix("…") == "".join(labels[: len(labels)])[: len(words.removesuffix("…"))]
    assert any(HOSTILE[1] in words for words in shown.values())
    assert page.locator("body *").count() <= 1500
