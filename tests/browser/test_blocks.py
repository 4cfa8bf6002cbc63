"""Blocks of a matrix and means of its squares, made again in float64; what is in sight together; the address."""

import math
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from regard.looking.edit import Edit
from regard.looking.palette import CIVIDIS
from regard.looking.record import Recording
from regard.page.export import save_page

from ..looking import reference
from ..looking.small import block
from .conftest import Open
from .planted import at, exact_numbers, go, settled

LAYER, HEAD = 1, 2
STATE = {"layer": LAYER, "head": HEAD}
Sums = dict[str, list[float]]


@pytest.fixture(scope="module")
def saved(proven: Recording, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("blocks") / "page.html"
    save_page(proven, path)
    return path.as_uri()


def expected(recording: Recording, rows: range, columns: range) -> tuple[int, Sums]:
    """How many cells are allowed; of weights and of contributions sum, sum by rows, mean and largest: plain loops."""
    call, model = recording.kept.call("self", LAYER), recording.model
    assert model is not None
    n, d, group = recording.n, call.value.shape[-1], call.group(HEAD)
    may = [[j <= i for j in range(n)] for i in range(n)]
    weights = reference.weights(call.query[HEAD].double().tolist(), call.key[group].double().tolist(), may, call.scale)
    output = block(model, LAYER).attention.output.weight[:, HEAD * d : (HEAD + 1) * d].double().tolist()
    values = call.value[group].double().tolist()
    seen = [(i, j) for i in rows for j in columns if may[i][j]]
    kinds = {"weights": [weights[i][j] for i, j in seen],
             "contributions": [reference.contribution(weights[i][j], values[j], output) for i, j in seen]}  # fmt: skip
    return len(seen), {name: [math.fsum(x), math.fsum(x) / len(rows), math.fsum(x) / len(x), max(x)]
                       for name, x in kinds.items()}  # fmt: skip


def sums_on(page: Page) -> Sums:
    """The table of the block, column by column, when it is there and not of the block before."""
    table = page.locator(".matrix-sums div:not(.stale) > table")
    table.wait_for()
    names = table.locator("thead th[scope=col]").all_inner_texts()
    rows = table.locator("tbody tr").all()
    assert [re.sub(r"\d+ rows?", "rows", row.locator("th").inner_text()) for row in rows] == [
        "sum",
        "sum / rows",
        "mean",
        "largest",
    ]
    return {name: [float(row.locator("td").nth(k).get_attribute("data-value") or "nan") for row in rows]
            for k, name in enumerate(names)}  # fmt: skip


def check(page: Page, recording: Recording, rows: range, columns: range) -> None:
    runs = [f"{run.start}-{run.stop - 1}" if len(run) > 1 else str(run.start) for run in (rows, columns)]
    page.locator("h3", has_text=f"Block: rows {runs[0]}, columns {runs[1]}").wait_for()
    allowed, amounts = expected(recording, rows, columns)
    found = sums_on(page)
    assert list(found) == list(amounts)
    for name, numbers in amounts.items():
        assert found[name] == pytest.approx(numbers, rel=1e-8), name
    cells = len(rows) * len(columns)
    panel = page.locator(".matrix-sums")
    expect(panel).to_contain_text(f"{cells - allowed} of {cells} cells not allowed")
    share = exact_numbers(page, ".matrix-sums p .number")
    assert share == [pytest.approx(100 * amounts["weights"][1], rel=1e-8)]
    assert panel.locator(".derived", has_text="Derived").is_visible()
    assert state_of(page)["block"] == [",".join(runs)]


def state_of(page: Page) -> dict[str, list[str]]:
    """What stands in the address, a moment after the last change."""
    page.wait_for_timeout(200)
    return parse_qs(urlsplit(page.url).fragment)


def place_of(page: Page, i: int, j: int) -> tuple[float, float]:
    """The middle of a cell, or of the drawn one that holds it, on the screen."""
    page.locator(".matrix-cells[data-grid]").scroll_into_view_if_needed()
    found: list[float] = page.evaluate("""([i, j]) => {
        const canvas = document.querySelector('.matrix-cells'), box = canvas.getBoundingClientRect();
        const [left, top, cell] = canvas.dataset.grid.split(' ').map(Number), ratio = canvas.width / box.width;
        const [, zoom, x, y] = /zoom (-?\\d+) from (\\d+),(\\d+)/.exec(canvas.dataset.shows).map(Number);
        const step = 2 ** Math.max(0, zoom), middle = (at, from) => (Math.floor((at - from) / step) + 0.5) * cell;
        return [box.left + (left + middle(j, x)) / ratio, box.top + (top + middle(i, y)) / ratio];
    }""", [i, j])  # fmt: skip
    return found[0], found[1]


def drag(page: Page, one: tuple[int, int], other: tuple[int, int]) -> None:
    page.mouse.move(*place_of(page, *one))
    page.mouse.down()
    page.mouse.move(*place_of(page, *other), steps=4)
    page.mouse.up()


def opened(open_page: Open, address: str, **state: Any) -> Page:
    page = open_page(at(address, view="matrix", **STATE, **state))
    page.locator(".matrix-cells[data-grid][aria-busy=false]").wait_for()
    return page


# sums


def test_a_drag_with_shift_marks_a_block_and_its_sums_are_exact(
    proven_page: str, proven: Recording, open_page: Open
) -> None:
    page = opened(open_page, proven_page, zoom=-3)
    page.keyboard.down("Shift")
    drag(page, (11, 3), (6, 9))  # upwards: whichever corner comes first
    page.keyboard.up("Shift")
    check(page, proven, range(6, 12), range(3, 10))
    page.reload()
    check(page, proven, range(6, 12), range(3, 10))
    page.get_by_role("button", name="clear").click()
    page.locator(".matrix-sums").wait_for(state="hidden")
    assert "block" not in state_of(page)
    page.go_back()
    check(page, proven, range(6, 12), range(3, 10))


def test_zoomed_out_a_block_is_of_whole_drawn_cells(proven_page: str, proven: Recording, open_page: Open) -> None:
    page = opened(open_page, proven_page, zoom=3)
    page.keyboard.down("Shift")
    drag(page, (9, 2), (39, 12))
    check(page, proven, range(8, 40), range(16))


def test_arrows_with_shift_mark_a_block_and_escape_clears_it(
    proven_page: str, proven: Recording, open_page: Open
) -> None:
    page = opened(open_page, proven_page, row=20, column=7, zoom=-2)
    page.locator(".matrix-cells").focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowRight", "ArrowRight", "ArrowRight", "ArrowUp"):
        page.keyboard.press(f"Shift+{key}")
    check(page, proven, range(20, 22), range(7, 11))
    spoken = page.locator(".page > [aria-live=polite]", has_text="weights sum to")
    assert "Block: rows 20-21, columns 7-10: weights sum to" in (spoken.text_content() or "")
    for _ in range(3):
        page.keyboard.press("Shift+ArrowUp")  # past where it began
    check(page, proven, range(18, 21), range(7, 11))
    page.keyboard.press("ArrowLeft")  # the block stays, and the next one begins at the focus
    check(page, proven, range(18, 21), range(7, 11))
    page.keyboard.press("Shift+ArrowLeft")
    check(page, proven, range(18, 19), range(8, 10))
    page.keyboard.press("Escape")
    page.locator(".matrix-sums").wait_for(state="hidden")
    assert "block" not in state_of(page)


@pytest.mark.parametrize(("typed", "rows", "columns"), [("30-39,0-5", range(30, 40), range(6)),
                                                        ("7-7, 0-39", range(7, 8), range(40)),
                                                        ("0-39;39", range(40), range(39, 40))])  # fmt: skip
def test_a_block_can_be_written(
    proven_page: str, proven: Recording, open_page: Open, typed: str, rows: range, columns: range
) -> None:
    page = opened(open_page, proven_page)
    field = page.get_by_label("row, column, or a block")
    field.fill("3-50,0-2")
    field.press("Enter")
    expect(page.locator(".view.matrix")).to_contain_text("Write a row from 0 to 39 and a column from 0 to 39")
    field.fill(typed)
    field.press("Enter")
    allowed, amounts = expected(proven, rows, columns)
    page.locator(".matrix-sums h3").wait_for()
    assert sums_on(page)["weights"] == pytest.approx(amounts["weights"], rel=1e-8)
    assert allowed > 0


def test_by_touch_a_button_says_that_a_block_is_meant(proven_page: str, proven: Recording, open_page: Open) -> None:
    """Two taps, or a drag of one finger, which else moves the view."""
    page = open_page(at(proven_page, view="matrix", **STATE, zoom=-2, row=12, column=2), has_touch=True,
                     viewport={"width": 390, "height": 844})  # fmt: skip
    page.locator(".matrix-cells[data-grid][aria-busy=false]").wait_for()
    button = page.get_by_role("button", name="mark a block")
    button.tap()
    expect(button).to_have_attribute("aria-pressed", "true")
    page.touchscreen.tap(*place_of(page, 14, 6))
    check(page, proven, range(12, 15), range(2, 7))
    assert page.evaluate("getComputedStyle(document.querySelector('.matrix-cells')).touchAction") == "none"
    drag(page, (5, 1), (8, 4))
    check(page, proven, range(5, 9), range(1, 5))
    button.tap()
    page.touchscreen.tap(*place_of(page, 3, 3))
    assert state_of(page)["row"] == ["3"]
    check(page, proven, range(5, 9), range(1, 5))


def test_a_block_of_which_nothing_is_allowed_says_so(proven_page: str, open_page: Open) -> None:
    page = opened(open_page, proven_page, block="0-3,10-12")
    expect(page.locator(".matrix-sums")).to_contain_text("12 of 12 cells not allowed")
    found = page.locator(".matrix-sums tbody td").all_inner_texts()
    assert found == ["0", "0", "0", "0", "-", "-", "-", "-"]
    expect(page.get_by_role("button", name="mask these edges")).to_be_disabled()


def test_a_saved_page_sums_from_what_is_in_it(saved: str, proven: Recording, open_page: Open) -> None:
    page = open_page(f"{saved}#view=matrix&layer={LAYER}&head={HEAD}&block=4-38,2-30", offline=True)
    check(page, proven, range(4, 39), range(2, 31))
    expect(page.locator(".matrix-sums")).to_contain_text("Edits of its edges need the live page")
    assert page.get_by_role("button", name="mask these edges").count() == 0


@pytest.mark.parametrize(("name", "kind"), [("mask these edges", "mask"), ("cut these edges", "cut")])
def test_the_edges_of_a_block_are_edited(
    proven_page: str, proven: Recording, open_page: Open, name: str, kind: Any
) -> None:
    """What every next token's log p changes by is what the same edit in Python changes it by."""
    rows, columns = range(10, 31), range(1, 9)
    page = opened(open_page, proven_page, block="10-30,1-8")
    page.get_by_role("button", name=name).click()
    settled(page, "edits")
    assert state_of(page)["edits"] == [f"{kind[0]}:{LAYER}.{HEAD}:10-30:1-8"]
    said = f"{kind} a block of edges: layer {LAYER}, head {HEAD}, from 10 to 30, at 1 to 8"
    expect(page.locator(".edits-list")).to_contain_text(said)
    effect = proven.edit([Edit.edges(LAYER, HEAD, rows, columns, kind)], others=0)
    assert exact_numbers(page, "p:has-text('Mean change') .number")[0] == pytest.approx(effect.mean_change, rel=1e-5)
    cells = page.locator(".edits-table tbody tr")
    for k in range(cells.count()):
        shown = cells.nth(k).locator("td[data-value]").first.get_attribute("data-value")
        assert float(shown or "nan") == pytest.approx(effect.change[k], abs=1e-6)


def test_a_block_of_edges_that_there_is_not_is_left_out_by_name(proven_page: str, open_page: Open) -> None:
    page = open_page(at(proven_page, view="edits", edits="m:1.2:5-50:0-3;c:1.2:9-5:0;m:1.2:5-9:0-3"))
    settled(page, "edits")
    assert page.locator(".edits-list li").count() == 1
    expect(page.locator(".edits-controls")).to_contain_text("no such place: m:1.2:5-50:0-3, c:1.2:9-5:0")


# means


def colours(page: Page, side: int) -> np.ndarray:
    """(side, side, 3) of the middles of the drawn cells."""
    return np.array(page.evaluate("""(side) => {
        const canvas = document.querySelector('.matrix-cells'), pen = canvas.getContext('2d');
        const [left, top, cell] = canvas.dataset.grid.split(' ').map(Number);
        const middle = (k) => Math.floor((k + 0.5) * cell);
        return Array.from({length: side * side}, (_, k) =>
            [...pen.getImageData(left + middle(k % side), top + middle(Math.floor(k / side)), 1, 1).data].slice(0, 3));
    }""", side)).reshape(side, side, 3)  # fmt: skip


@pytest.mark.parametrize("where", ["live", "saved"])
def test_the_mean_of_squares_is_a_choice_and_says_so(
    where: str, proven_page: str, saved: str, proven: Recording, open_page: Open
) -> None:
    address = proven_page if where == "live" else saved
    page = open_page(at(address, view="matrix", **STATE, zoom=2, scale="linear", row=22, column=9))
    page.locator(".view.matrix select").select_option("weights, mean")
    page.locator(".matrix-line", has_text="Each cell is the mean of 4 x 4 weights, masked ones left out").wait_for()
    page.locator(".matrix-cells[data-shows*='/mean '][aria-busy=false]").wait_for()
    assert state_of(page)["what"] == ["mean"]
    assert page.locator(".matrix-line .derived", has_text="Derived").first.is_visible()
    call = proven.kept.call("self", LAYER)
    may = [[j <= i for j in range(40)] for i in range(40)]
    key = call.key[call.group(HEAD)].double().tolist()
    cells = reference.weights(call.query[HEAD].double().tolist(), key, may, call.scale)
    means = np.array(reference.blocks_mean(cells, may, 4))
    known = {tuple(colour): index for index, colour in enumerate(CIVIDIS.tolist())}
    seen = colours(page, 10)
    for i in range(10):
        for j in range(10):
            if j <= i:
                assert abs(known[tuple(seen[i, j])] / 255 - means[i, j]) <= 0.5 / 255 + 1e-6, (i, j)
            else:
                assert tuple(seen[i, j]) not in known
    drawn = page.locator(".matrix-block", has_text="rows 20 to 23 and columns 8 to 11: mean weight")
    value = float(drawn.locator(".number").get_attribute("data-value") or "nan")
    assert value == pytest.approx(means[5, 2], rel=1e-6)
    assert drawn.locator(".derived").is_visible()
    assert page.locator(".matrix-pair .number").get_attribute("data-value") == f"{np.float32(cells[22][9]):#.9g}"
    go(page, view="matrix", **STATE, what="mean", zoom=-1, row=22, column=9)
    page.locator(".matrix-line", has_text="Each cell is one weight").wait_for()
    assert page.locator(".matrix-line .derived", has_text="Derived").count() == 1  # the column's mean alone


def test_what_is_saved_of_means_says_that_they_are(saved: str, proven: Recording, open_page: Open) -> None:
    page = open_page(f"{saved}#view=matrix&layer={LAYER}&head={HEAD}&what=mean&zoom=3", offline=True)
    page.locator(".matrix-cells[data-shows*='/mean '][aria-busy=false]").wait_for()
    page.locator("[data-save=open]").click()
    with page.expect_download() as download:
        page.locator("[data-save=csv]").click()
    lines = download.value.path().read_text(encoding="utf-8-sig").splitlines()
    assert "the mean of 8 x 8 weights (Derived)" in " ".join(line for line in lines if line.startswith(("#", '"#')))
    rows = [line.split(",") for line in lines if line[:1].isdigit()]
    found = np.array([[float(cell or "nan") for cell in row[2:]] for row in rows])
    np.testing.assert_allclose(found, proven.overview(LAYER, HEAD, 3, what="mean"), rtol=1e-7)


# what is in sight


@pytest.mark.parametrize("size", [(1440, 900), (390, 844)])
def test_the_readout_stands_beside_or_above_the_cells(proven_page: str, open_page: Open, size: tuple[int, int]) -> None:
    page = open_page(at(proven_page, view="matrix", **STATE, row=22, column=9),
                     viewport={"width": size[0], "height": size[1]})  # fmt: skip
    settled(page, "matrix")
    readout, cells = (page.locator(name).bounding_box() for name in (".matrix-readout", ".matrix-stage"))
    assert readout is not None
    assert cells is not None
    if size[0] == 1440:
        assert readout["y"] + readout["height"] <= size[1]  # without scrolling
        assert readout["x"] >= cells["x"] + cells["width"]
        assert abs(readout["y"] - cells["y"]) < 20
    else:
        assert readout["y"] + readout["height"] <= cells["y"]
        assert cells["y"] - readout["y"] < 120


@pytest.mark.parametrize("size", [(1440, 900), (1280, 720), (1920, 1080)])
def test_the_tours_fifth_stop_has_temperature_and_running_sum_in_sight_together(
    proven_page: str, open_page: Open, size: tuple[int, int]
) -> None:
    page = open_page(at(proven_page, view="lookup", tour=3), viewport={"width": size[0], "height": size[1]})
    settled(page, "lookup")
    page.get_by_role("button", name="next").click()
    page.locator(".tour h2", has_text="One row").wait_for()
    settled(page, "lookup")
    sum_strip = page.locator(".lookup-work .bars").nth(1).locator("canvas")
    slider = page.get_by_label("temperature, in doublings")
    expect(slider).to_be_in_viewport(ratio=1)
    expect(sum_strip).to_be_in_viewport(ratio=1)
    before = sum_strip.evaluate("canvas => canvas.toDataURL()")
    slider.fill("-2")
    page.locator(".lookup-banner").wait_for()
    assert sum_strip.evaluate("canvas => canvas.toDataURL()") != before
    expect(slider).to_be_in_viewport(ratio=1)
    expect(sum_strip).to_be_in_viewport(ratio=1)


# the address


def test_the_address_that_is_copied_has_no_token_and_asks_for_it_elsewhere(
    proven_page: str, open_page: Open, tmp_path: Path
) -> None:
    """As docs/looking.md says: the same address in another browser asks for the token, then shows the same."""
    page = opened(open_page, proven_page, block="4-8,1-3", row=6, column=2)
    token = parse_qs(urlsplit(proven_page).fragment)["token"][0]
    assert token not in page.url
    assert "token" not in state_of(page)
    page.locator(".matrix-sums table").wait_for()
    copied, context = page.url, page.context.browser
    assert context is not None
    other = context.new_context().new_page()
    other.goto(copied)
    field = other.get_by_label("token")
    field.wait_for()
    expect(other.locator("main")).to_contain_text("This address has no token")
    field.fill(proven_page)
    other.get_by_role("button", name="open").click()
    other.locator("h3", has_text="Block: rows 4-8, columns 1-3").wait_for()
    assert other.url == copied
    other.context.close()
