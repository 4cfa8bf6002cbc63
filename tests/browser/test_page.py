"""The page in Chromium: numbers and pixels are the recording's, hostile tokens inert, saved and live pages agree."""

import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page

from regard.looking.palette import CIVIDIS
from regard.looking.record import Recording
from regard.page.export import save_page

from .conftest import Open
from .serve import HOSTILE, recording_of

VIEWS = ("heads", "matrix", "lines", "lookup", "prediction", "space", "edits")
MOST_NODES = 1500
SIZES = [(1440, 900), (1024, 768), (390, 844)]


@pytest.fixture(scope="module")
def induction() -> Recording:
    return recording_of("induction")


@pytest.fixture(scope="module")
def saved(induction: Recording, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "page.html"
    induction.prove()
    save_page(induction, path)
    return path.as_uri()


def show(page: Page, **state: Any) -> None:
    """Goes to a state, as a copied link would, and waits until the view is there."""
    words = "&".join(f"{name}={value}" for name, value in state.items())
    page.evaluate("words => { location.hash = words; }", words)
    page.wait_for_selector(f".view.{state['view']}")
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(300)


def values(page: Page, selector: str) -> list[float]:
    found = page.eval_on_selector_all(selector, "all => all.map((one) => one.dataset.value)")
    return [float(one) for one in found if re.fullmatch(r"-?[0-9.]+(e[-+]?[0-9]+)?", one or "")]


def wait_for_tokens(page: Page, count: int) -> None:
    """Until the text has so many: the page's policy allows no code in strings, so it is asked again and again."""
    until = time.monotonic() + 20
    while page.locator(".strip-token").count() != count:
        assert time.monotonic() < until
        page.wait_for_timeout(50)


def nodes(page: Page) -> int:
    return int(page.evaluate("document.querySelectorAll('body *').length"))


@pytest.mark.parametrize("view", VIEWS)
def test_each_view_opens_from_the_disk_and_is_small(saved: str, open_page: Open, view: str) -> None:
    page = open_page(f"{saved}#view={view}&row=5&column=3&layer=1&head=0", offline=True)
    page.wait_for_timeout(500)
    assert page.locator(f".view.{view}").inner_text().strip()
    assert "not in the saved page" not in page.locator("main").inner_text()
    assert nodes(page) <= MOST_NODES


@pytest.mark.parametrize("ratio", [1, 1.5, 2])
def test_the_matrix_shows_the_weights_in_their_colours(
    saved: str, induction: Recording, open_page: Open, ratio: float
) -> None:
    """Pixels read back through the palette: |weight - index / 255| <= 0.5 / 255; masked cells have no such colour."""
    page = open_page(
        f"{saved}#view=matrix&layer=1&head=0&row=5&column=2&zoom=-4&left=0&top=0", device_scale_factor=ratio
    )
    page.wait_for_timeout(500)
    weights, n = induction.weights(1, 0), induction.n
    mask = induction.mask(1)
    side = page.evaluate("document.querySelector('.matrix-cells').width")
    pixels = np.array(page.evaluate("""() => {
        const canvas = document.querySelector('.matrix-cells');
        return [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data];
    }"""), np.uint8).reshape(-1, side, 4)  # fmt: skip
    left, top, cell = map(int, page.evaluate("document.querySelector('.matrix-cells').dataset.grid").split())
    assert cell >= 16 * ratio
    known = {tuple(colour): index for index, colour in enumerate(CIVIDIS.tolist())}
    for i in range(n):
        for j in range(n):
            y, x = top + i * cell + cell // 2, left + j * cell + cell // 2
            middle = tuple(int(part) for part in pixels[y, x, :3])
            if mask[i, j]:
                assert abs(weights[i, j] - known[middle] / 255) <= 0.5 / 255 + 1e-6, (i, j)
            else:
                assert middle not in known or pixels[y, x, 3] == 0


def test_the_planted_induction_head_looks_where_it_must(saved: str, induction: Recording, open_page: Open) -> None:
    """In a b c d a b e c the second a (4) looks at the b after the first (1), the second b (5) at c (2)."""
    page = open_page(f"{saved}#view=matrix&layer=1&head=0&row=5&column=2")
    page.wait_for_timeout(400)
    page.wait_for_selector(".matrix-pair .number[data-value]")
    (weight,) = values(page, ".matrix-pair .number")
    assert weight == pytest.approx(induction.weights(1, 0)[5, 2], rel=1e-6)
    assert weight > 0.99
    show(page, view="lookup", layer=1, head=0, row=5)
    text = page.locator(".lookup-table").inner_text()
    assert "not allowed" in text
    assert max(values(page, ".lookup-table [data-value]")) >= 1 - 1e-3


def test_measures_under_the_heads_are_the_recordings(saved: str, induction: Recording, open_page: Open) -> None:
    page = open_page(f"{saved}#view=heads")
    page.wait_for_timeout(800)
    shown = values(page, ".heads-number")
    for one in induction.measures():
        for value in (one.first, one.itself, one.previous):
            if np.isfinite(value):
                assert any(abs(value - number) < 1e-6 for number in shown), (one.layer, one.head, value)


def test_predictions_and_lens_are_the_recordings(saved: str, induction: Recording, open_page: Open) -> None:
    page = open_page(f"{saved}#view=prediction&row=4")
    page.wait_for_timeout(500)
    shown = values(page, ".prediction-strip [data-value]")
    expected = np.exp(induction.readings.log_probability[:-1])
    for p in expected:
        assert any(abs(p - number) < 1e-5 for number in shown)


def test_drawn_lines_and_stubs_add_to_one(saved: str, open_page: Open) -> None:
    page = open_page(f"{saved}#view=lines&layer=0&head=0&row=6")
    page.wait_for_timeout(400)
    assert "drawn" in page.locator(".view.lines").inner_text()


@pytest.mark.parametrize("live", ["hostile"], indirect=True)
def test_W11_W12_hostile_tokens_are_text_and_unmerged(live: str, open_page: Open) -> None:
    page = open_page(live)
    recording = recording_of("hostile")
    for view in VIEWS:
        show(page, view=view, row=3, column=1)
        assert page.locator("main img, main script").count() == 0
    labels = page.eval_on_selector_all(".strip-token", "all => all.map((one) => one.textContent)")
    assert labels == list(recording.tokens.labels)
    assert set(labels) <= set(HOSTILE)
    places = page.eval_on_selector_all(".strip-token", "all => all.map((one) => one.getBoundingClientRect().left)")
    tops = page.eval_on_selector_all(".strip-token", "all => all.map((one) => one.getBoundingClientRect().top)")
    rows = [[x for x, y in zip(places, tops, strict=True) if y == top] for top in sorted(set(tops))]
    assert all(row == sorted(row) for row in rows)  # right-to-left text leaves its neighbours in order


@pytest.mark.parametrize("live", ["induction"], indirect=True)
def test_typing_looks_again_and_the_token_leaves_the_address(live: str, open_page: Open) -> None:
    page = open_page(live)
    assert "token" not in page.url
    page.fill(".page-text", "abcab")
    wait_for_tokens(page, 5)
    show(page, view="matrix", layer=1, head=0, row=4, column=2, key=2, text="abcab")
    expected = recording_of("induction", "abcab").weights(1, 0)[4, 2]
    page.wait_for_selector(".matrix-pair .number[data-value]")
    (weight,) = values(page, ".matrix-pair .number")
    assert weight == pytest.approx(expected, rel=1e-6)
    page.reload()
    page.wait_for_selector(".view.matrix")
    wait_for_tokens(page, 5)
    page.wait_for_selector(".matrix-pair .number[data-value]")
    assert values(page, ".matrix-pair .number") == [weight]


@pytest.mark.parametrize("live", ["induction"], indirect=True)
def test_the_saved_page_says_what_the_live_one_says(live: str, saved: str, open_page: Open) -> None:
    here, there = open_page(live), open_page(saved, offline=True)
    for view in ("lookup", "prediction", "matrix", "heads", "space"):
        shown = []
        for page in (here, there):
            show(page, view=view, layer=1, head=0, row=5, column=2, position=5, key="" if page is here else "0")
            page.wait_for_timeout(500)
            shown.append(values(page, f".view.{view} [data-value]"))
        assert shown[0] == shown[1] != []


@pytest.mark.parametrize("live", ["induction"], indirect=True)
def test_cutting_the_planted_edge_moves_the_answer(live: str, open_page: Open) -> None:
    page = open_page(live)
    show(page, view="edits", row=5, column=2, layer=1, head=0, edits="z:0.0")
    page.wait_for_selector(".edits-badge", timeout=20_000)
    assert "Edited run" in page.locator(".view.edits").inner_text()


@pytest.mark.parametrize("live", ["random"], indirect=True)
def test_the_proof_stands_beside_and_is_made_by_itself(live: str, open_page: Open) -> None:
    page = open_page(live)
    page.wait_for_selector(".proof-badge:has-text('Proven')", timeout=60_000)
    page.click(".proof-badge")
    text = page.locator(".proof-table").inner_text()
    for name in "ABCDEFGS":
        assert f"\n{name}" in f"\n{text}"


@pytest.mark.parametrize("live", ["random"], indirect=True)
def test_keys_alone_reach_every_view(live: str, open_page: Open) -> None:
    page = open_page(live)
    for number, view in enumerate(VIEWS, 1):
        page.locator("h1").click()
        page.keyboard.press(str(number))
        page.wait_for_selector(f".view.{view}")
    page.keyboard.press("j")
    page.keyboard.press("l")
    assert "layer=1" in page.url
    assert "head=1" in page.url


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_nothing_is_wider_than_the_window(saved: str, open_page: Open, size: tuple[int, int]) -> None:
    for view in VIEWS:
        page = open_page(f"{saved}#view={view}&row=5&layer=1", viewport={"width": size[0], "height": size[1]})
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0], view


def test_the_tour_leads_through_every_stop(saved: str, open_page: Open) -> None:
    page = open_page(f"{saved}#tour=0")
    for stop in range(12):
        page.wait_for_selector(f".tour-count:has-text('{stop + 1} of 12')")
        page.wait_for_timeout(200)
        if stop < 11:
            page.click(".tour button:has-text('next')")
    page.click(".tour button:has-text('leave')")
    assert page.locator(".tour").count() == 0


def test_a_page_without_the_token_asks_for_it(browser: Any, tmp_path: Path) -> None:
    import subprocess
    import sys

    from .conftest import SERVE

    with subprocess.Popen([sys.executable, str(SERVE), "random"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        line = next(line for line in server.stdout if "http://" in line)
        address, token = line.strip().split("/#token=")
        page = browser.new_context().new_page()
        page.goto(address)
        page.wait_for_selector(".page-ask")
        assert page.locator(".strip-token").count() == 0
        page.fill(".page-ask input", token)
        page.click(".page-ask button")
        page.wait_for_selector(".view")
        server.terminate()
