"""The page of a picture is true: a planted head lights one patch and no other, numbers are the recording's, and a
picture that is chosen, dropped, saved or opened again is the same one."""

import base64
import csv
import io
import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page

from regard.look import Look, studio_of
from regard.looking.palette import CIVIDIS
from regard.looking.picture import Picture
from regard.looking.record import Recording
from regard.looking.rollout import rollout
from regard.page.export import save_page
from regard.page.studio import Studio

from ..looking.patched import CLASSES, SHAPES, Planted, planted
from ..page.test_pictures import answers_by_layer, noise, png, run_of, softmax
from .conftest import Open
from .planted import at, exact_numbers, go, number_in, page_with, served
from .test_aria import without_numbers
from .test_saving import Files, save
from .test_sight import CUT

Array = np.ndarray[Any, Any]
STORED = Path(__file__).with_name("aria")
STAGE = ".matrix-stage .matrix-cells"
KNOWN = {tuple(colour): index for index, colour in enumerate(CIVIDIS.tolist())}


@pytest.fixture(scope="module")
def square() -> Planted:
    return planted(registers=2, beta=3.0)


Shown = Callable[[Recording], str]


@pytest.fixture
def shown() -> Iterator[Shown]:
    """Serves a recording until the test and its pages have ended; its address."""
    with ExitStack() as stack:
        yield lambda recording: stack.enter_context(page_with(recording))


@pytest.fixture(scope="module")
def live(square: Planted) -> Iterator[str]:
    with page_with(square.recording) as address:
        yield address


def drawn(page: Page, view: str = "overlay") -> None:
    """Until the picture is there, and nothing is awaited."""
    page.locator(f".view.{view}:not(.stale) {STAGE}[data-grid]").wait_for()
    page.locator(f".view.{view} [data-value]").first.wait_for()
    page.wait_for_load_state("networkidle")
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def see(
    open_page: Open, address: str, view: str = "overlay", options: dict[str, Any] | None = None, **state: Any
) -> Page:
    page = open_page(at(address, view=view, **state), **(options or {}))
    drawn(page, view)
    return page


def pixels(page: Page, selector: str = STAGE) -> Array:
    """(height, width, 3) of a canvas."""
    data = page.locator(selector).first.evaluate("(canvas) => canvas.toDataURL('image/png')")
    found: Array = np.asarray(Image.open(io.BytesIO(base64.b64decode(data.partition(",")[2]))).convert("RGB"))
    return found


def by_patch(page: Page, one: Planted, selector: str = STAGE) -> Array:
    """(patches, high, wide, 3) the pixels of each patch."""
    picture, (rows, columns) = pixels(page, selector), (one.grid.rows, one.grid.columns)
    high, wide = picture.shape[0] // rows, picture.shape[1] // columns
    assert picture.shape[:2] == (rows * high, columns * wide)
    found: Array = picture.reshape(rows, high, columns, wide, 3).swapaxes(1, 2).reshape(-1, high, wide, 3)
    return found


def entries(patches: Array) -> Array:
    """(patches,) the palette's entry of each, which all of its pixels have."""
    assert (patches == patches[:, :1, :1]).all()
    return np.array([KNOWN[tuple(map(int, patch[0, 0]))] for patch in patches])


def enlarged(one: Planted, high: int, wide: int) -> Array:
    """(patches, high, wide, 3) the picture itself, by nearest neighbour."""
    (down, across), (rows, columns) = one.grid.covered, (one.grid.rows, one.grid.columns)
    picture = np.broadcast_to(one.pixels[:down, :across], (down, across, 3))
    times = rows * high // down
    assert (rows * high, columns * wide) == (times * down, times * across)
    large = picture.repeat(times, axis=0).repeat(times, axis=1)
    found: Array = large.reshape(rows, high, columns, wide, 3).swapaxes(1, 2).reshape(-1, high, wide, 3)
    return found


# what is drawn


@pytest.mark.parametrize("shape", SHAPES)
def test_the_planted_head_lights_one_patch_and_no_other(shown: Shown, open_page: Open, shape: str) -> None:
    one = planted(*SHAPES[shape], beta=3.0, channels=1 if shape == "tall" else 3)
    address = shown(one.recording)
    page = see(open_page, address, opacity=100, scale="linear")
    lit = entries(by_patch(page, one))
    weights = one.class_row[one.learned :]
    assert np.abs(lit / 255 - weights).max() <= 0.5 / 255 + 1e-6
    assert lit[one.target] > 0.7 * 255
    assert (np.delete(lit, one.target) <= 2).all()
    go(page, view="overlay", opacity=100, scale="linear", head=1)
    drawn(page)
    assert set(entries(by_patch(page, one))) == {round(255 / one.n)}
    go(page, view="overlay", opacity=100, scale="linear", layer=1, head=1)
    drawn(page)
    assert (entries(by_patch(page, one)) == lit).all()


@pytest.mark.parametrize("ratio", [1, 1.5, 2])
def test_without_the_map_the_picture_is_seen_pixel_by_pixel(
    live: str, square: Planted, open_page: Open, ratio: float
) -> None:
    page = see(open_page, live, options={"device_scale_factor": ratio}, opacity=0)
    found = by_patch(page, square)
    assert np.array_equal(found, enlarged(square, *found.shape[1:3]))
    go(page, view="overlay", opacity=50, scale="linear")
    drawn(page)
    colours = CIVIDIS[np.rint(255 * square.class_row[square.learned :]).astype(int)].astype(float)
    mixed = (enlarged(square, *found.shape[1:3]) + colours[:, None, None]) / 2
    assert np.abs(by_patch(page, square) - mixed).max() <= 1


def test_it_is_the_same_in_the_dark_after_a_reload_and_going_back(live: str, square: Planted, open_page: Open) -> None:
    state = {"opacity": 100, "scale": "log", "row": 5, "layer": 1, "head": 1}
    page = see(open_page, live, options={"color_scheme": "dark"}, **state)
    before = pixels(page)
    page.reload()
    drawn(page)
    assert np.array_equal(pixels(page), before)
    page.locator(".overlay-head").first.click()
    page.locator(".overlay-head[aria-pressed=true][data-key='0']").wait_for()
    page.go_back()
    page.locator(".overlay-head[aria-pressed=true][data-key='1']").wait_for()
    drawn(page)
    assert np.array_equal(pixels(page), before)
    light = see(open_page, live, **state)
    assert np.array_equal(pixels(light), before)


def test_all_heads_are_side_by_side_on_one_scale_each_with_its_masses(
    live: str, square: Planted, open_page: Open
) -> None:
    page = see(open_page, live, opacity=100, scale="linear", layer=0)
    heads = page.locator(".overlay-head")
    assert heads.count() == 2
    for head in range(2):
        weights = square.weights(0, head)[0]
        found = entries(by_patch(page, square, f".overlay-head[data-key='{head}'] canvas"))
        assert np.abs(found / 255 - weights[square.learned :]).max() <= 0.5 / 255 + 1e-6
        told = exact_numbers(page, f".overlay-head[data-key='{head}'] [data-value]")
        np.testing.assert_allclose(told, [weights[3:].sum(), weights[1:3].sum(), weights[0]], atol=1e-6)
        assert sum(told) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(("direction", "row"), [("", 0), ("", 7), ("by", 7), ("by", 0), ("by", 3 + 7)])
def test_masses_and_the_table_are_the_recordings(
    live: str, square: Planted, open_page: Open, direction: str, row: int
) -> None:
    page = see(open_page, live, direction=direction, row=row)
    weights = square.weights(0, 0)
    values = weights[:, row] if direction else weights[row]
    told = exact_numbers(page, ".overlay-both p:has-text('together') [data-value]")
    by_kind = [values[3:].sum(), values[1:3].sum(), values[0]]
    expected = [*by_kind, values.sum(), *([values.sum() / square.n] if direction else []), 1]
    np.testing.assert_allclose(told, expected, atol=1e-6)
    assert (page.locator(".overlay-both .derived").count() == 1) == bool(direction)
    rows = page.locator(".view.overlay table tbody tr")
    for k in range(rows.count() - 2):
        token = int(rows.nth(k).locator("td").nth(0).inner_text())
        shown = float(rows.nth(k).locator("[data-value]").get_attribute("data-value") or "nan")
        assert shown == pytest.approx(values[token], abs=1e-6)
    assert rows.count() == square.n + 2  # rest and sum
    caption = page.locator(".view.overlay table caption").inner_text()
    assert caption.endswith("is looked at by" if direction else "looks at")


@pytest.mark.parametrize("share", [0.05, 0.6, 0.95])
def test_the_smallest_set_of_patches_is_drawn_and_how_much_that_is(shown: Shown, open_page: Open, share: float) -> None:
    one = planted(24, 32, 8, beta=0.3, registers=0)
    picture, row = Picture.of(one.recording), one.recording.row(0, 0, 0).astype(float)
    chosen = picture.heaviest(row, share)
    on = row[picture.tokens]
    address = shown(one.recording)
    page = see(open_page, address, opacity=100, share=share, scale="linear")
    found = by_patch(page, one)
    bare = enlarged(one, *found.shape[1:3])
    assert [bool(np.array_equal(patch, plain)) for patch, plain in zip(found, bare, strict=True)] == (~chosen).tolist()
    entries(found[chosen])
    assert number_in(page, ".overlay-drawn") == pytest.approx(on[chosen].sum() / on.sum(), abs=1e-6)
    words = page.locator(".overlay-both p:has-text('Drawn')").inner_text()
    assert f"{chosen.sum()} of 12 patches; the others are bare" in words


def test_a_box_has_its_mass_area_and_lift(live: str, square: Planted, open_page: Open) -> None:
    page = see(open_page, live, box="1-2,0-1")
    inside = square.class_row[square.learned :].reshape(3, 3)[1:3, 0:2].sum()
    told = exact_numbers(page, ".overlay-both p:has-text('Box') [data-value]")
    np.testing.assert_allclose(told, [inside, 4 / 9, inside / (4 / 9)], atol=1e-6)
    go(page, view="overlay", box="1-3,0")
    page.locator("text=There is no box 1-3,0: write rows from 0 to 2 and columns from 0 to 2").wait_for()
    go(page, view="overlay", box="2,1", direction="by")
    drawn(page)
    assert len(exact_numbers(page, ".overlay-both p:has-text('Box') [data-value]")) == 2  # of a column no lift


@pytest.mark.parametrize("layer", [0, 1])
def test_rollout_is_offered_as_derived_with_its_formula(
    live: str, square: Planted, open_page: Open, layer: int
) -> None:
    page = see(open_page, live, layer=layer, mix="rollout", opacity=100, scale="linear")
    expected = rollout(square.recording, layer)[0]
    assert np.abs(entries(by_patch(page, square)) / 255 - expected[3:]).max() <= 0.5 / 255 + 1e-6
    told = exact_numbers(page, ".overlay-both p:has-text('together') [data-value]")
    np.testing.assert_allclose(told[:4], [expected[3:].sum(), expected[1:3].sum(), expected[0], 1], atol=1e-6)
    words = page.locator(".overlay-both p:has-text('together')").inner_text()
    assert re.search(r"Rollout up to layer \d Derived: R_l = \(I / 2 \+ A_l / 2\) R_\(l-1\)", words)
    assert "Abnar and Zuidema 2020" in words
    assert page.locator(".overlay-head").count() == 0
    assert page.locator(".view.overlay select").nth(1).input_value() == "rollout"


def test_heads_come_first_and_rollout_is_never_the_default(live: str, open_page: Open) -> None:
    page = open_page(live)  # nothing but the token
    drawn(page)
    assert "view=overlay" in page.url
    assert "Layer 0, head 0." in page.locator(".overlay-both p:has-text('together')").inner_text()
    assert page.locator(".view.overlay .derived").count() == 0


# choosing


def middle(page: Page, one: Planted, patch: int) -> dict[str, float]:
    """Where a patch is, from the picture's upper left corner."""
    box = page.locator(STAGE).bounding_box()
    assert box is not None
    row, column = divmod(patch, one.grid.columns)
    return {"x": (column + 0.5) * box["width"] / one.grid.columns, "y": (row + 0.5) * box["height"] / one.grid.rows}


def test_a_click_looks_from_a_patch_and_a_button_from_another_token(
    live: str, square: Planted, open_page: Open
) -> None:
    page = see(open_page, live)
    page.locator(STAGE).click(position=middle(page, square, 5))
    page.wait_for_url(f"**row={square.learned + 5}*")
    page.locator("table caption:has-text('patch 1,2 looks at')").wait_for()
    page.locator("[data-token='1']").click()
    page.locator("table caption:has-text('register 0 looks at')").wait_for()
    assert page.locator("[data-token='1']").get_attribute("aria-pressed") == "true"
    page.locator(STAGE).hover(position=middle(page, square, 7))
    number = number_in(page, ".overlay-both p:has-text('patch 2,1') [data-value]")
    assert number == pytest.approx(1 / square.n, abs=1e-6)


def test_keys_choose_patches_and_draw_boxes(live: str, square: Planted, open_page: Open) -> None:
    page = see(open_page, live)
    page.locator(STAGE).focus()
    for key, patch in (("ArrowRight", 0), ("ArrowRight", 1), ("ArrowDown", 4), ("ArrowDown", 7), ("ArrowDown", 7),
                       ("ArrowLeft", 6), ("ArrowLeft", 6), ("ArrowUp", 3)):  # fmt: skip
        page.keyboard.press(key)
        page.wait_for_url(re.compile(rf"row={square.learned + patch}\b"))
    drawn(page)
    for key, box in (("Shift+ArrowRight", "1,0"), ("Shift+ArrowRight", "1,0-1"), ("Shift+ArrowDown", "1-2,0-1")):
        page.keyboard.press(key)
        page.locator(f"text=Box {box}: mass inside").wait_for()
    page.keyboard.press("Escape")
    page.locator("text=Box 1-2,0-1").wait_for(state="hidden")
    assert "box" not in page.url
    page.keyboard.press("g")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "a box: its rows, its columns"
    page.keyboard.type("0-2,2")
    page.keyboard.press("Enter")
    page.locator("text=Box 0-2,2: mass inside").wait_for()
    page.locator(STAGE).focus()
    page.keyboard.press("Enter")
    page.locator(".view.lookup").wait_for()
    assert f"row={square.learned + 3}" in page.url


@pytest.mark.parametrize("how", ["with shift", "after the button"])
def test_a_drag_draws_a_box(live: str, square: Planted, open_page: Open, how: str) -> None:
    page = see(open_page, live)
    stage = page.locator(STAGE).bounding_box()
    assert stage is not None
    start, end = (middle(page, square, patch) for patch in (1, 8))
    if how == "with shift":
        page.keyboard.down("Shift")
    else:
        page.get_by_role("button", name="draw a box").click()
        drawn(page)
        assert page.locator(STAGE).evaluate("(canvas) => canvas.style.touchAction") == "none"
        stage = page.locator(STAGE).bounding_box()
        assert stage is not None
    page.mouse.move(stage["x"] + start["x"], stage["y"] + start["y"])
    page.mouse.down()
    page.mouse.move(stage["x"] + end["x"], stage["y"] + end["y"], steps=4)
    page.mouse.up()
    page.locator("text=Box 0-2,1-2: mass inside").wait_for()
    assert "row" not in page.url


def test_sliders_stand_in_the_address(live: str, square: Planted, open_page: Open) -> None:
    page = see(open_page, live)
    opacity, share = page.locator("input[type=range]").nth(0), page.locator("input[type=range]").nth(1)
    opacity.fill("0")
    share.fill("0.6")
    page.wait_for_url("**opacity=0*share=0.6*")
    opacity.fill("60")
    share.fill("1")
    page.wait_for_url(re.compile(r"^(?!.*(opacity|share))"))
    go(page, view="overlay", opacity="x", share="7", mix="x", direction="x", row=999, box="x")
    drawn(page)
    assert (opacity.input_value(), share.input_value()) == ("60", "1")


# states


def test_what_was_cut_lost_and_done_is_said(shown: Shown, open_page: Open) -> None:
    one = planted(19, 29, 8, size=(190, 400), crop=(0, 55, 190, 290), done=("coloured pictures made grey",), channels=1)
    address = shown(one.recording)
    page = see(open_page, address)
    said = page.locator("text=The whole picture").inner_text()
    assert said == ("The whole picture: 400 x 190 pixels; of it 290 x 190 from 55, 0 on; given as 29 x 19 in 3 x 2 "
                    "patches of 8 x 8. Lost, as they fill no patch, and hatched here: 3 at the bottom, 5 at the right. "
                    "It counts among: coloured pictures made grey.")  # fmt: skip
    whole = pixels(page, ".overlay-whole")
    assert whole.shape[1] == 140
    assert abs(whole.shape[0] - 140 * 190 / 400) <= 1
    grey = whole[10:30, 25:100].astype(int)  # inside of what was given
    assert (grey.max(axis=-1) - grey.min(axis=-1)).max() <= 1


def test_without_a_class_token_the_middle_patch_looks(shown: Shown, open_page: Open) -> None:
    one = planted(class_token=False, registers=0)
    address = shown(one.recording)
    page = see(open_page, address)
    assert page.locator("table caption").inner_text() == "patch 1,1 looks at"
    assert page.locator("[data-token]").count() == 0


def test_a_hostile_class_and_a_forged_picture_are_inert(open_page: Open, tmp_path: Path) -> None:
    one = planted(done=("<img src=x onerror=alert(1)>\u202e",))
    save_page(one.recording, tmp_path / "page.html")
    page = see(open_page, (tmp_path / "page.html").as_uri(), "prediction")
    assert page.locator(".classes-class").all_inner_texts().count("<b>ring</b>") == 1
    assert page.locator(".view b, .view img").count() == 0


def test_what_has_no_place_on_a_picture_is_not_offered(live: str, open_page: Open) -> None:
    page = see(open_page, live)
    names = page.locator(".page-tabs a").all_inner_texts()
    assert names == ["Heads", "Matrix", "Picture", "Look-up", "Prediction", "Representations", "Edits"]
    assert "A picture has this view where a text has lines" in page.locator(".view.overlay").inner_text()
    assert page.locator("[data-tour], textarea").count() == 0
    page.keyboard.press("?")
    assert "1 to 7 views" in page.locator(".page-help").inner_text()
    assert "tour" not in page.locator(".page-help").inner_text()
    for number, view in enumerate(("heads", "matrix", "overlay", "lookup", "prediction", "space", "edits"), 1):
        page.keyboard.press(str(number))
        page.locator(f".view.{view}").wait_for()
        page.wait_for_load_state("networkidle")
    go(page, view="heads")
    page.locator(".heads-number").first.wait_for()
    assert page.get_by_role("button", name="held-out text").count() == 0
    go(page, view="matrix", row=0, column=10)
    page.locator(".matrix-pair:has-text('class')").wait_for()


@pytest.mark.parametrize("width", [360, 390])
@pytest.mark.parametrize("view", ["overlay", "prediction", "edits"])
def test_nothing_is_cut_in_a_narrow_window(live: str, open_page: Open, width: int, view: str) -> None:
    page = open_page(at(live, view=view, edits="", box="0-1,0-1"), viewport={"width": width, "height": 800})
    page.wait_for_load_state("networkidle")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(CUT) == []


def test_many_heads_and_patches_are_not_too_many_nodes(shown: Shown, open_page: Open, tmp_path: Path) -> None:
    one = planted(128, 128, 4)
    address = shown(one.recording)
    page = see(open_page, address, share=0.6)
    assert one.n == 1026
    assert page.locator("body *").count() <= 1500
    assert pixels(page).shape == (512, 512, 3)


# the classes


@pytest.mark.parametrize("class_token", [True, False])
def test_classes_by_layer_and_by_patch(shown: Shown, open_page: Open, class_token: bool) -> None:
    one = planted(class_token=class_token, registers=int(class_token))
    p = answers_by_layer(one, 2)
    order = np.argsort(-p)
    address = shown(one.recording)
    page = see(open_page, address, "prediction", scale="linear")
    rows = page.locator(".classes-class")
    assert rows.all_inner_texts() == [CLASSES[k] for k in order]
    for line, k in enumerate(order):
        told = exact_numbers(page, f"tr:nth-child({line + 1}):has(.classes-class) [data-value]")
        by_layer = [answers_by_layer(one, layer)[k] for layer in range(3)]
        np.testing.assert_allclose(told, [p[k], *by_layer], atol=1e-6)
    assert ("the class token" if class_token else "the mean over all patches") in page.locator(
        ".view > p"
    ).first.inner_text()
    for state, layer, k in (({}, 2, order[0]), ({"lens": 0, "class": int(order[1])}, 0, order[1])):
        go(page, view="prediction", scale="linear", **state)
        drawn(page, "prediction")
        shares = softmax(one.logits(layer)[one.learned :])[:, k]
        listed = page.locator(".overlay-both table tbody tr")
        assert listed.count() == 9
        for n in range(9):
            row, column = listed.nth(n).locator("td").first.inner_text().split(",")
            value = float(listed.nth(n).locator("[data-value]").get_attribute("data-value") or "nan")
            assert value == pytest.approx(shares[int(row) * 3 + int(column)], abs=1e-6)
        page.locator(f"h3:has-text('{CLASSES[k]}')").wait_for()
    page.locator(STAGE).focus()
    page.keyboard.press("ArrowRight")
    page.locator(".overlay-both p:has-text('patch 0,0') [data-value]").wait_for()


def test_an_edit_is_told_by_what_the_picture_is_taken_for(shown: Shown, open_page: Open) -> None:
    one = planted()
    address = shown(one.recording)
    page = open_page(at(address, view="edits", edits="a:1"))
    page.locator(".edits-badge").wait_for()
    lists = page.locator(".edits-both table")
    for k, p in (
        (0, answers_by_layer(one, 2)),
        (1, answers_by_layer(one, 1)),
    ):  # its attention is all that layer 1 has
        told = [float(text or "nan") for text in lists.nth(k).locator("[data-value]").evaluate_all(
            "all => all.map((one) => one.dataset.value)")]  # fmt: skip
        np.testing.assert_allclose(told, np.sort(p)[::-1], atol=1e-5)
    assert page.locator("text=what really came next").count() == 0
    assert page.locator("text=lock, and see both strips").is_hidden()


def test_a_model_that_learnt_without_labels_says_why_there_is_no_answer(open_page: Open, tmp_path: Path) -> None:
    save_page(planted(answers=False).recording, tmp_path / "page.html")
    page = see(open_page, (tmp_path / "page.html").as_uri(), options={"offline": True})
    for view in ("prediction", "edits"):
        go(page, view=view)
        assert page.locator(f".view.{view}").inner_text().startswith("The model learnt without labels")
        assert page.get_by_role("button", name="Save", exact=True).is_hidden()


# a picture is chosen


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[str]:
    """A page of a run on pictures that waits for one."""
    with served(studio_of(run_of(tmp_path), None)) as address:
        yield address


def test_a_picture_is_chosen_or_dropped_and_what_is_none_is_refused(waiting: str, browser: Any, tmp_path: Path) -> None:
    page = browser.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(waiting)
    page.locator("text=Choose a picture above; the model looks at it").wait_for()
    assert page.evaluate("document.activeElement.type") == "file"
    chooser = page.locator("input[type=file]")
    chooser.set_input_files({"name": "x.txt", "mimeType": "text/plain", "buffer": b"hello"})
    page.locator(".page-said:has-text('the picture: is no picture')").wait_for()
    chooser.set_input_files({"name": "x.png", "mimeType": "image/png", "buffer": bytes((8 << 20) + 1)})
    page.locator(".page-said:has-text('the picture is over 8 MB; give a smaller one')").wait_for()
    chooser.set_input_files({"name": "x.png", "mimeType": "image/png", "buffer": png(noise(24, 24, 7))})
    drawn(page)
    assert "key=1" in page.url
    go(page, key=1, view="overlay", opacity=0)
    drawn(page)
    found = pixels(page)
    times = found.shape[0] // 24
    assert np.array_equal(found[::times, ::times], noise(24, 24, 7))
    content = base64.b64encode(png(noise(24, 24, 8))).decode()
    page.evaluate(
        """(content) => {
        const data = new DataTransfer(), bytes = Uint8Array.from(atob(content), (sign) => sign.charCodeAt(0));
        data.items.add(new File([bytes], 'y.png', {type: 'image/png'}));
        const drop = new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true});
        document.querySelector('.page-drop').dispatchEvent(drop);
    }""",
        content,
    )
    page.wait_for_url("**key=2*")
    drawn(page)
    assert np.array_equal(pixels(page)[::times, ::times], noise(24, 24, 8))
    page.go_back()
    page.wait_for_url("**key=1*")
    drawn(page)
    assert np.array_equal(pixels(page)[::times, ::times], noise(24, 24, 7))
    page.close()
    assert not wrong


# what is saved


def saved(recording: Any, path: Path, head: tuple[int, int] | None = None) -> str:
    save_page(recording, path, head=head)
    return path.as_uri()


STATES = [
    {},
    {"row": 5, "layer": 1, "head": 1, "share": 0.6},
    {"direction": "by", "row": 4},
    {"mix": "rollout", "layer": 1},
]


@pytest.mark.parametrize("state", STATES, ids=str)
def test_a_saved_page_is_the_live_one(
    live: str, square: Planted, open_page: Open, tmp_path: Path, state: dict[str, Any]
) -> None:
    alone = saved(square.recording, tmp_path / "page.html")
    found = []
    for address, options in ((live, {}), (alone, {"offline": True})):
        page = see(open_page, address, options=options, scale="linear", **state)
        said = page.locator(".view.overlay").inner_text()
        found.append((said, pixels(page), exact_numbers(page, ".view.overlay [data-value]")))
    (words, picture, numbers), (again, other, rest) = found
    assert words == again
    assert np.array_equal(picture, other)
    assert numbers == rest
    assert numbers


def test_a_saved_page_of_one_head_has_that_one_and_says_so_of_others(
    square: Planted, open_page: Open, tmp_path: Path
) -> None:
    page = open_page(saved(square.recording, tmp_path / "page.html", (1, 1)), offline=True)
    drawn(page)
    assert page.locator(".overlay-head").all_inner_texts()[0] == "head 0\nnot in this saved page"
    assert "Layer 1, head 1." in page.locator(".overlay-both").inner_text()
    page.locator(".overlay-head").first.click()
    page.locator("text=This head is not in the saved page: choose one that is.").wait_for()
    page.locator(".overlay-head").nth(1).click()
    page.locator(".overlay-both p:has-text('Layer 1, head 1.')").wait_for()
    assert page.locator("text=This head is not in the saved page").count() == 0


def test_look_saves_a_page_that_begins_with_the_asked_token(open_page: Open, tmp_path: Path) -> None:
    one = planted()
    Look(one.recording.kept, one.recording.model).save(tmp_path / "page.html", query="2,0")
    page = open_page((tmp_path / "page.html").as_uri(), offline=True)
    drawn(page)
    assert page.locator("table caption").inner_text() == "patch 2,0 looks at"


def columns_of(files: Files) -> dict[str, list[str]]:
    lines = [line for line in csv.reader(io.StringIO(files["csv"].decode())) if not line[0].startswith("# ")]
    return {name: [line[k] for line in lines[1:]] for k, name in enumerate(lines[0])}


def test_numbers_and_the_picture_are_saved(square: Planted, open_page: Open, tmp_path: Path) -> None:
    page = see(open_page, saved(square.recording, tmp_path / "page.html"), options={"offline": True}, scale="linear")
    files = save(page)
    found = columns_of(files)
    assert found["token"] == list(square.recording.tokens.labels)
    for head in range(2):
        np.testing.assert_allclose([float(x) for x in found[f"head {head}"]], square.weights(0, head)[0], atol=1e-6)
    rectangles = np.array(
        [[float(found[name][k]) for name in ("top", "left", "height", "width")] for k in range(3, 12)]
    )
    assert np.array_equal(rectangles, square.grid.rectangles())
    assert found["top"][:3] == ["", "", ""]
    with np.load(io.BytesIO(files["npz"])) as arrays:
        assert np.array_equal(arrays["pixels"], square.pixels)
        np.testing.assert_allclose(arrays["head_0"], square.class_row, atol=1e-6)
        facts = json.loads(str(arrays["provenance"]))
    assert facts["row"] == 0
    assert facts["command"] == "regard look runs/planted --save page.html PICTURE"
    root = ElementTree.fromstring(files["svg"])
    maps = [group for group in root.iter("{http://www.w3.org/2000/svg}g")
            if (group.findtext("{http://www.w3.org/2000/svg}title") or "").startswith("head ")]  # fmt: skip
    assert len(maps) == 2
    lit = {tuple(map(int, re.findall(r"\d+", path.attrib["fill"]))) for path in maps[0].iter(
        "{http://www.w3.org/2000/svg}path")}  # fmt: skip
    expected = {round(255 * weight) for weight in square.class_row[3:]}
    assert {KNOWN[colour] for colour in lit} == expected
    first, _ = root.iter("{http://www.w3.org/2000/svg}image")
    data = base64.b64decode(first.attrib["href"].partition(",")[2])
    picture = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    times = picture.shape[0] // 24
    assert np.array_equal(picture[::times, ::times], square.pixels)
    assert Image.open(io.BytesIO(files["png"])).text["Title"].startswith("class looks at")  # type: ignore[attr-defined]


def test_classes_are_saved(square: Planted, open_page: Open, tmp_path: Path) -> None:
    page = see(open_page, saved(square.recording, tmp_path / "page.html"), "prediction", options={"offline": True})
    files = save(page)
    p = answers_by_layer(square, 2)
    best = int(np.argmax(p))
    found = columns_of(files)
    shares = softmax(square.logits(2)[3:])[:, best]
    np.testing.assert_allclose([float(x) for x in found[f"probability of {CLASSES[best]}"][3:]], shares, atol=1e-6)
    with np.load(io.BytesIO(files["npz"])) as arrays:
        order = np.argsort(-p)
        by_layer = [p[order], *(answers_by_layer(square, layer)[order] for layer in range(3))]
        np.testing.assert_allclose(arrays["probabilities"], by_layer, atol=1e-6)


# screen readers


@pytest.mark.parametrize("view", ["overlay", "prediction", "edits"])
def test_what_is_read_out_is_what_was_stored(shown: Shown, open_page: Open, view: str) -> None:
    """Stored as in test_aria.py, and written anew in the same way."""
    import os

    one = planted(16, 24, 8, registers=1)
    address = shown(one.recording)
    page = open_page(at(address, view=view, edits="z:1.1", box="0-1,1", row=4))
    if view == "edits":
        page.locator(".edits-badge").wait_for()
    else:
        drawn(page, view)
    read = without_numbers(page.locator(f".view.{view}").aria_snapshot())
    assert not re.findall(r"^ *- (?:spinbutton|textbox|combobox|slider|button|link)\b(?! \").*", read, re.MULTILINE)
    file = STORED / f"picture-{view}.yaml"
    if os.environ.get("REGARD_WRITE_ARIA"):
        file.write_text(read + "\n")
    assert read + "\n" == file.read_text()


def test_a_studio_of_a_recording_alone_shows_its_picture(square: Planted) -> None:
    assert Studio(None, square.recording, proves=False).start()["at"] == "view=overlay"
