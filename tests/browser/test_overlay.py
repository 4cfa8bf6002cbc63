"""The overlay of a picture is true: a planted head lights one patch and no other, and numbers are the recording's."""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page

from regard.looking.palette import CIVIDIS, colour_index, lowest_of
from regard.looking.picture import Picture
from regard.looking.rollout import rollout
from regard.looking.spectrogram import Spectrogram
from regard.page.export import save_page
from regard.tokens.sound import TELEPHONE

from ..looking.patched import SHAPES, Planted, planted
from ..looking.test_spectrogram import heard
from .conftest import Open, Shown
from .pictured import STAGE, by_patch, drawn, enlarged, entries, pixels, see
from .planted import at, exact_numbers, go, number_in
from .test_saving import save
from .test_sight import CUT

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
    pictured_page: str, pictured: Planted, open_page: Open, ratio: float
) -> None:
    page = see(open_page, pictured_page, options={"device_scale_factor": ratio}, opacity=0)
    found = by_patch(page, pictured)
    assert np.array_equal(found, enlarged(pictured, *found.shape[1:3]))
    go(page, view="overlay", opacity=50, scale="linear")
    drawn(page)
    colours = CIVIDIS[np.rint(255 * pictured.class_row[pictured.learned :]).astype(int)].astype(float)
    mixed = (enlarged(pictured, *found.shape[1:3]) + colours[:, None, None]) / 2
    assert np.abs(by_patch(page, pictured) - mixed).max() <= 1


def test_it_is_the_same_in_the_dark_after_a_reload_and_going_back(
    pictured_page: str, pictured: Planted, open_page: Open
) -> None:
    state = {"opacity": 100, "scale": "log", "row": 5, "layer": 1, "head": 1}
    page = see(open_page, pictured_page, options={"color_scheme": "dark"}, **state)
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
    light = see(open_page, pictured_page, **state)
    assert np.array_equal(pixels(light), before)


def test_all_heads_are_side_by_side_on_one_scale_each_with_its_masses(
    pictured_page: str, pictured: Planted, open_page: Open
) -> None:
    page = see(open_page, pictured_page, opacity=100, scale="linear", layer=0)
    heads = page.locator(".overlay-head")
    assert heads.count() == 2
    for head in range(2):
        weights = pictured.weights(0, head)[0]
        found = entries(by_patch(page, pictured, f".overlay-head[data-key='{head}'] canvas"))
        assert np.abs(found / 255 - weights[pictured.learned :]).max() <= 0.5 / 255 + 1e-6
        told = exact_numbers(page, f".overlay-head[data-key='{head}'] [data-value]")
        np.testing.assert_allclose(told, [weights[3:].sum(), weights[1:3].sum(), weights[0]], atol=1e-6)
        assert sum(told) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(("direction", "row"), [("", 0), ("", 7), ("by", 7), ("by", 0), ("by", 3 + 7)])
def test_masses_and_the_table_are_the_recordings(
    pictured_page: str, pictured: Planted, open_page: Open, direction: str, row: int
) -> None:
    page = see(open_page, pictured_page, direction=direction, row=row)
    weights = pictured.weights(0, 0)
    values = weights[:, row] if direction else weights[row]
    told = exact_numbers(page, ".overlay-both p:has-text('together') [data-value]")
    by_kind = [values[3:].sum(), values[1:3].sum(), values[0]]
    expected = [*by_kind, values.sum(), *([values.sum() / pictured.n] if direction else []), 1]
    np.testing.assert_allclose(told, expected, atol=1e-6)
    assert (page.locator(".overlay-both .derived").count() == 1) == bool(direction)
    rows = page.locator(".view.overlay table tbody tr")
    for k in range(rows.count() - 2):
        token = int(rows.nth(k).locator("td").nth(0).inner_text())
        shown = float(rows.nth(k).locator("[data-value]").get_attribute("data-value") or "nan")
        assert shown == pytest.approx(values[token], abs=1e-6)
    assert rows.count() == pictured.n + 2  # rest and sum
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


def test_a_box_has_its_mass_area_and_lift(pictured_page: str, pictured: Planted, open_page: Open) -> None:
    page = see(open_page, pictured_page, box="1-2,0-1")
    inside = pictured.class_row[pictured.learned :].reshape(3, 3)[1:3, 0:2].sum()
    told = exact_numbers(page, ".overlay-both p:has-text('Box') [data-value]")
    np.testing.assert_allclose(told, [inside, 4 / 9, inside / (4 / 9)], atol=1e-6)
    go(page, view="overlay", box="1-3,0")
    page.locator("text=There is no box 1-3,0: write rows from 0 to 2 and columns from 0 to 2").wait_for()
    go(page, view="overlay", box="2,1", direction="by")
    drawn(page)
    assert len(exact_numbers(page, ".overlay-both p:has-text('Box') [data-value]")) == 2  # of a column no lift


@pytest.mark.parametrize("layer", [0, 1])
def test_rollout_is_offered_as_derived_with_its_formula(
    pictured_page: str, pictured: Planted, open_page: Open, layer: int
) -> None:
    page = see(open_page, pictured_page, layer=layer, mix="rollout", opacity=100, scale="linear")
    expected = rollout(pictured.recording, layer)[0]
    assert np.abs(entries(by_patch(page, pictured)) / 255 - expected[3:]).max() <= 0.5 / 255 + 1e-6
    told = exact_numbers(page, ".overlay-both p:has-text('together') [data-value]")
    np.testing.assert_allclose(told[:4], [expected[3:].sum(), expected[1:3].sum(), expected[0], 1], atol=1e-6)
    words = page.locator(".overlay-both p:has-text('together')").inner_text()
    assert re.search(r"Rollout up to layer \d Derived: R_l = \(I / 2 \+ A_l / 2\) R_\(l-1\)", words)
    assert "Abnar and Zuidema 2020" in words
    assert page.locator(".overlay-head").count() == 0
    assert page.locator(".view.overlay select").nth(1).input_value() == "rollout"


def test_heads_come_first_and_rollout_is_never_the_default(pictured_page: str, open_page: Open) -> None:
    page = open_page(pictured_page)  # nothing but the token
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
    pictured_page: str, pictured: Planted, open_page: Open
) -> None:
    page = see(open_page, pictured_page)
    page.locator(STAGE).click(position=middle(page, pictured, 5))
    page.wait_for_url(f"**row={pictured.learned + 5}*")
    page.locator("table caption:has-text('patch 1,2 looks at')").wait_for()
    page.locator("[data-token='1']").click()
    page.locator("table caption:has-text('register 0 looks at')").wait_for()
    assert page.locator("[data-token='1']").get_attribute("aria-pressed") == "true"
    page.locator(STAGE).hover(position=middle(page, pictured, 7))
    number = number_in(page, ".overlay-both p:has-text('patch 2,1') [data-value]")
    assert number == pytest.approx(1 / pictured.n, abs=1e-6)


def test_keys_choose_patches_and_draw_boxes(pictured_page: str, pictured: Planted, open_page: Open) -> None:
    page = see(open_page, pictured_page)
    page.locator(STAGE).focus()
    for key, patch in (("ArrowRight", 0), ("ArrowRight", 1), ("ArrowDown", 4), ("ArrowDown", 7), ("ArrowDown", 7),
                       ("ArrowLeft", 6), ("ArrowLeft", 6), ("ArrowUp", 3)):  # fmt: skip
        page.keyboard.press(key)
        page.wait_for_url(re.compile(rf"row={pictured.learned + patch}\b"))
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
    assert f"row={pictured.learned + 3}" in page.url


@pytest.mark.parametrize("how", ["with shift", "after the button"])
def test_a_drag_draws_a_box(pictured_page: str, pictured: Planted, open_page: Open, how: str) -> None:
    page = see(open_page, pictured_page)
    stage = page.locator(STAGE).bounding_box()
    assert stage is not None
    start, end = (middle(page, pictured, patch) for patch in (1, 8))
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


def test_sliders_stand_in_the_address(pictured_page: str, pictured: Planted, open_page: Open) -> None:
    page = see(open_page, pictured_page)
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


# what lies beside it


def test_a_lost_border_is_hatched_and_the_rest_as_large_as_it_lay(shown: Shown, open_page: Open) -> None:
    one = planted(19, 29, 8)
    page = see(open_page, shown(one.recording), opacity=100, scale="linear")
    lost, covered = pixels(page, ".matrix-stage canvas"), pixels(page)
    high, wide = covered.shape[:2]
    assert lost.shape[:2] == (round(high * 19 / 16), round(wide * 29 / 24))
    for border in (lost[high:], lost[:, wide:]):
        assert {tuple(colour) for colour in border.reshape(-1, 3).tolist()} & set(map(tuple, CIVIDIS.tolist())) == set()
        assert len(np.unique(border)) > 2  # lines on paper
    beneath, above = (page.locator(".matrix-stage canvas").nth(k).bounding_box() for k in range(2))
    assert beneath is not None
    assert above is not None
    assert (beneath["x"], beneath["y"]) == (above["x"], above["y"])
    stage = page.locator(".matrix-stage").bounding_box()
    assert stage is not None
    assert stage["height"] >= lost.shape[0]  # nothing of it is cut off
    whole = see(open_page, shown(planted().recording))
    assert pixels(whole, ".matrix-stage canvas").shape == pixels(whole).shape


def test_a_sound_has_its_seconds_and_hertz(shown: Shown, open_page: Open) -> None:
    one = heard(20)
    page = see(open_page, shown(one.recording), row=3)
    spectrogram, stage = Spectrogram(TELEPHONE), page.locator(STAGE).bounding_box()
    assert stage is not None
    for part, marks, size, start in (("times", spectrogram.times(24), "width", "x"),
                                     ("pitches", spectrogram.pitches(), "height", "y")):  # fmt: skip
        texts = page.locator(f".stage-{part} span")
        assert texts.all_inner_texts() == [name for _, name in marks]
        for k, (place, _) in enumerate(marks):
            box = texts.nth(k).bounding_box()
            assert box is not None
            share = place / (24 if part == "times" else 40)
            assert box[start] + box[size] / 2 == pytest.approx(stage[start] + share * stage[size], abs=1)
    assert page.locator(".page-tabs a").all_inner_texts()[2] == "Spectrogram"
    said = page.locator(".view.overlay").inner_text()
    assert "patch 0,3 (0.06 to 0.08 s, all 40 bands)" in said
    assert "after it 0.04 s of silence" in said
    assert "picture" not in said
    page.locator(STAGE).hover(position={"x": stage["width"] * 5.5 / 12, "y": 5})
    page.locator("p:has-text('patch 0,5 (0.10 to 0.12 s, all 40 bands): 0.0833')").wait_for()
    assert page.locator(".overlay-whole").is_hidden()
    assert see(open_page, shown(heard(30).recording)).locator(".overlay-whole").is_visible()
    drawing = ElementTree.fromstring(save(page, "svg")["svg"])
    drawn_words = [text.text for text in drawing.iter("{http://www.w3.org/2000/svg}text")]
    assert "patch 0,3 (0.06 to 0.08 s, all 40 bands) looks at" in drawn_words
    assert [drawn_words.count(words) for words in ("0.1 s", "2,000 Hz", "not seen by the model")] == [2, 1, 1]
    page.set_viewport_size({"width": 360, "height": 800})
    drawn(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_the_log_scale_has_an_even_look_in_the_middle(shown: Shown, open_page: Open) -> None:
    one = planted(40, 40, 8, beta=1.0)
    page = see(open_page, shown(one.recording), opacity=100)
    assert page.locator(".page-ticks").inner_text().split() == ["1/729", "1/27", "1"]
    found = entries(by_patch(page, one))
    assert np.array_equal(found, colour_index(one.class_row[one.learned :], "log", lowest_of(27)))
    go(page, view="overlay", opacity=100, head=1)
    drawn(page)
    assert set(entries(by_patch(page, one))) == {128}


# states


def test_what_was_cut_lost_and_done_is_said(shown: Shown, open_page: Open) -> None:
    one = planted(19, 29, 8, size=(190, 400), crop=(0, 55, 190, 290), done=("coloured pictures made grey",), channels=1)
    address = shown(one.recording)
    page = see(open_page, address)
    said = page.locator("text=The whole picture").inner_text()
    assert said == ("The whole picture: 190 x 400 pixels (height x width); of it 190 x 290 from 0 down and 55 right "
                    "on; given as 19 x 29 in 2 x 3 patches of 8 x 8; lost, as they fill no patch, and hatched: 3 "
                    "pixels at the bottom, 5 at the right. It counts among: coloured pictures made grey.")  # fmt: skip
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


def test_what_has_no_place_on_a_picture_is_not_offered(pictured_page: str, open_page: Open) -> None:
    page = see(open_page, pictured_page)
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
def test_nothing_is_cut_in_a_narrow_window(pictured_page: str, open_page: Open, width: int, view: str) -> None:
    page = open_page(at(pictured_page, view=view, edits="", box="0-1,0-1"), viewport={"width": width, "height": 800})
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
