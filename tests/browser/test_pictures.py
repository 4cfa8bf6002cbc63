"""A page of a picture: its classes and edits, a picture that is chosen or dropped, what is saved, what is read out."""

import base64
import csv
import io
import json
import os
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from regard.look import Look, studio_of
from regard.page.export import save_page
from regard.page.studio import Studio

from ..looking.patched import CLASSES, Planted, planted
from ..page.test_pictures import answers_by_layer, noise, png, run_of, softmax
from .conftest import Open, Shown
from .pictured import KNOWN, STAGE, drawn, pixels, see
from .planted import at, exact_numbers, go, served
from .test_aria import without_numbers
from .test_saving import Files, save

STORED = Path(__file__).with_name("aria")


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
    words = page.locator("p:has-text('Log p of what it was taken for before changes by')")
    before, after = answers_by_layer(one, 2), answers_by_layer(one, 1)
    moved = np.log(after[before.argmax()] / before.max())
    assert float(words.locator("[data-value]").get_attribute("data-value") or "nan") == pytest.approx(moved, abs=1e-5)
    page.locator(
        "p:has-text('that is more than 1 of 1 random edits of the same kind and size, whose changes are')"
    ).wait_for()
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
    page.locator("text=Choose a file above; the model looks at it").wait_for()
    assert page.evaluate("document.activeElement.type") == "file"
    chooser = page.locator("input[type=file]")
    chooser.set_input_files({"name": "x.txt", "mimeType": "text/plain", "buffer": b"hello"})
    page.locator(".page-said:has-text('the picture: is no picture')").wait_for()
    chooser.set_input_files({"name": "x.png", "mimeType": "image/png", "buffer": bytes((8 << 20) + 1)})
    page.locator(".page-said:has-text('the file is over 8 MB; give a smaller one')").wait_for()
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
    pictured_page: str, pictured: Planted, open_page: Open, tmp_path: Path, state: dict[str, Any]
) -> None:
    alone = saved(pictured.recording, tmp_path / "page.html")
    found = []
    for address, options in ((pictured_page, {}), (alone, {"offline": True})):
        page = see(open_page, address, options=options, scale="linear", **state)
        said = page.locator(".view.overlay").inner_text()
        found.append((said, pixels(page), exact_numbers(page, ".view.overlay [data-value]")))
    (words, picture, numbers), (again, other, rest) = found
    assert words == again
    assert np.array_equal(picture, other)
    assert numbers == rest
    assert numbers


def test_a_saved_page_of_one_head_has_that_one_and_says_so_of_others(
    pictured: Planted, open_page: Open, tmp_path: Path
) -> None:
    page = open_page(saved(pictured.recording, tmp_path / "page.html", (1, 1)), offline=True)
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


def test_numbers_and_the_picture_are_saved(pictured: Planted, open_page: Open, tmp_path: Path) -> None:
    page = see(open_page, saved(pictured.recording, tmp_path / "page.html"), options={"offline": True}, scale="linear")
    files = save(page)
    found = columns_of(files)
    assert found["token"] == list(pictured.recording.tokens.labels)
    for head in range(2):
        np.testing.assert_allclose([float(x) for x in found[f"head {head}"]], pictured.weights(0, head)[0], atol=1e-6)
    rectangles = np.array(
        [[float(found[name][k]) for name in ("top", "left", "height", "width")] for k in range(3, 12)]
    )
    assert np.array_equal(rectangles, pictured.grid.rectangles())
    assert found["top"][:3] == ["", "", ""]
    with np.load(io.BytesIO(files["npz"])) as arrays:
        assert np.array_equal(arrays["pixels"], pictured.pixels)
        np.testing.assert_allclose(arrays["head_0"], pictured.class_row, atol=1e-6)
        facts = json.loads(str(arrays["provenance"]))
    assert facts["row"] == 0
    assert facts["command"] == "regard look runs/planted --save page.html PICTURE"
    root = ElementTree.fromstring(files["svg"])
    maps = [group for group in root.iter("{http://www.w3.org/2000/svg}g")
            if (group.findtext("{http://www.w3.org/2000/svg}title") or "").startswith("head ")]  # fmt: skip
    assert len(maps) == 2
    lit = {tuple(map(int, re.findall(r"\d+", path.attrib["fill"]))) for path in maps[0].iter(
        "{http://www.w3.org/2000/svg}path")}  # fmt: skip
    expected = {round(255 * weight) for weight in pictured.class_row[3:]}
    assert {KNOWN[colour] for colour in lit} == expected
    first, _ = root.iter("{http://www.w3.org/2000/svg}image")
    data = base64.b64decode(first.attrib["href"].partition(",")[2])
    picture = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    times = picture.shape[0] // 24
    assert np.array_equal(picture[::times, ::times], pictured.pixels)
    assert Image.open(io.BytesIO(files["png"])).text["Title"].startswith("class looks at")  # type: ignore[attr-defined]


def test_classes_are_saved(pictured: Planted, open_page: Open, tmp_path: Path) -> None:
    page = see(open_page, saved(pictured.recording, tmp_path / "page.html"), "prediction", options={"offline": True})
    files = save(page)
    p = answers_by_layer(pictured, 2)
    best = int(np.argmax(p))
    found = columns_of(files)
    shares = softmax(pictured.logits(2)[3:])[:, best]
    np.testing.assert_allclose([float(x) for x in found[f"probability of {CLASSES[best]}"][3:]], shares, atol=1e-6)
    with np.load(io.BytesIO(files["npz"])) as arrays:
        order = np.argsort(-p)
        by_layer = [p[order], *(answers_by_layer(pictured, layer)[order] for layer in range(3))]
        np.testing.assert_allclose(arrays["probabilities"], by_layer, atol=1e-6)


# screen readers


@pytest.mark.parametrize("view", ["overlay", "prediction", "edits"])
def test_what_is_read_out_is_what_was_stored(shown: Shown, open_page: Open, view: str) -> None:
    """Stored as in test_aria.py, and written anew in the same way."""
    one = planted(16, 24, 8, registers=1)
    address = shown(one.recording)
    page = open_page(at(address, view=view, edits="z:1.1", box="0-1,1", row=4))
    if view == "edits":
        page.locator("text=random edits of the same kind and size, whose changes are").wait_for()
    else:
        drawn(page, view)
    read = without_numbers(page.locator(f".view.{view}").aria_snapshot())
    assert not re.findall(r"^ *- (?:spinbutton|textbox|combobox|slider|button|link)\b(?! \").*", read, re.MULTILINE)
    file = STORED / f"picture-{view}.yaml"
    if os.environ.get("REGARD_WRITE_ARIA"):
        file.write_text(read + "\n")
    assert read + "\n" == file.read_text()


def test_a_studio_of_a_recording_alone_shows_its_picture(pictured: Planted) -> None:
    assert Studio(None, pictured.recording, proves=False).start()["at"] == "view=overlay"
