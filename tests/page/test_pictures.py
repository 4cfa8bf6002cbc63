"""A page of a picture: what it is told is the recording's, and files sent to it are read in memory or refused."""

import io
import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from starlette.testclient import TestClient

from regard.data.picture_decode import decode_one
from regard.errors import RegardError
from regard.look import studio_of
from regard.looking.edit import Edit
from regard.looking.record import Recording
from regard.looking.rollout import rollout
from regard.page.answers import MAGIC, answer, every_question
from regard.page.effects import effect_of
from regard.page.export import page_of
from regard.page.guard import MOST_BODY
from regard.page.routes import application
from regard.page.studio import Studio
from regard.picture_run import PictureRun
from regard.tasks.pictures import Chopper
from regard.tokens.patches import Grid

from ..looking.patched import CLASSES, OUTPUT, SHAPES, Planted, model_of, planted
from ..looking.small import build, look, text
from .asking import TOKEN, check_headers, check_sentence, serving
from .test_export import data_of
from .test_widget import Heard

PORT = 8127
Array = np.ndarray[Any, Any]


def told(recording: Recording, path: str) -> Any:
    return json.loads(answer(recording, path).body)


def tile(recording: Recording, path: str) -> Array:
    body = answer(recording, path).body
    rows, columns, kind = struct.unpack("<III", body[4:16])
    assert (body[:4], kind) == (MAGIC, 1)
    found: Array = np.frombuffer(body, "<f4", offset=16).reshape(rows, columns)
    return found


def softmax(logits: Array) -> Array:
    found: Array = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return found / found.sum(axis=-1, keepdims=True)


def answers_by_layer(one: Planted, layer: int) -> Array:
    """(classes,) in closed form: read from the class token, or from the mean over patches."""
    logits = one.logits(layer)
    pooled: Array = softmax(logits[0] if one.recording.facts.preprocessing["class_token"] else logits.mean(axis=0))
    return pooled


# what the page is told


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shape", SHAPES)
def test_pixels_and_cut_are_the_recordings(shape: str, channels: int) -> None:
    one = planted(*SHAPES[shape], channels=channels, size=(190, 400), crop=(0, 55.5, 190, 290), done=("greyed",))
    facts, body = told(one.recording, "facts"), answer(one.recording, "pixels").body
    (high, wide), (down, across) = one.grid.covered, (one.grid.rows, one.grid.columns)
    assert body[:16] == MAGIC + struct.pack("<III", high, wide, channels)
    assert np.array_equal(
        np.frombuffer(body, np.uint8, offset=16).reshape(high, wide, channels), one.pixels[:high, :wide]
    )
    seen = facts["picture"]
    assert (seen["rows"], seen["columns"], seen["height"], seen["width"], seen["channels"]) == (
        down, across, high, wide, channels)  # fmt: skip
    assert seen["lost"] == [one.grid.height - high, one.grid.width - wide]
    assert (seen["size"], seen["crop"], seen["done"]) == ([190, 400], [0, 55.5, 190, 290], ["greyed"])
    assert facts["logAbove"] == 16
    assert facts["tokens"]["kinds"] == ["class", "register", *["patch"] * one.grid.n]


def test_a_text_has_no_picture() -> None:
    recording = look(build(), text(5))
    assert told(recording, "facts")["picture"] is None
    assert told(recording, "facts")["logAbove"] == 64
    assert not {"pixels", "classes"} & set(every_question(recording, []))
    for path in ("pixels", "classes", "patches/0"):
        with pytest.raises(RegardError, match="the recording is of a text"):
            answer(recording, path)


@pytest.mark.parametrize("class_token", [True, False])
def test_classes_by_layer_are_the_closed_form(class_token: bool) -> None:
    one = planted(class_token=class_token, registers=int(class_token))
    found = told(one.recording, "classes")
    p = answers_by_layer(one, 2)
    order = np.argsort(-p)
    assert [(label, k) for label, _, k in found["top"]] == [(CLASSES[k], k) for k in order]
    np.testing.assert_allclose([share for _, share, _ in found["top"]], p[order], atol=1e-6)
    for layer in range(3):
        np.testing.assert_allclose(found["layers"][layer], answers_by_layer(one, layer)[order], atol=1e-6)
        each = tile(one.recording, f"patches/{layer}")
        np.testing.assert_allclose(each, softmax(one.logits(layer)[one.learned :])[:, order], atol=1e-6)
    assert found["difference"] < 1e-6
    reads = "the class token" if class_token else "the mean over all patches"
    assert told(one.recording, "facts")["picture"]["read"] == reads


def test_without_the_model_there_is_the_recorded_output_alone(tmp_path: Path) -> None:
    one = planted()
    one.recording.save(tmp_path / "x.regard")
    alone = Recording.load(tmp_path / "x.regard")
    found = told(alone, "classes")
    assert found["top"] == told(one.recording, "classes")["top"]
    assert (found["layers"], found["difference"]) == ([], None)
    np.testing.assert_array_equal(tile(alone, "patches/2"), tile(one.recording, "patches/2"))
    with pytest.raises(RegardError, match="a lens reading needs the model"):
        answer(alone, "patches/1")
    assert {"patches/2"} == {path for path in every_question(alone, []) if path.startswith("patches")}
    with pytest.raises(RegardError, match="layer: 3 does not exist"):
        answer(alone, "patches/3")


def test_a_model_that_learnt_without_labels_has_no_classes() -> None:
    one = planted(answers=False)
    assert told(one.recording, "facts")["picture"]["answers"] is False
    for path in ("classes", "patches/2"):
        with pytest.raises(RegardError, match="the model learnt without labels, so it knows none"):
            answer(one.recording, path)
    asked = every_question(one.recording, [(0, 0)])
    assert not [path for path in asked if path.startswith(("classes", "patches"))]
    assert {"pixels", "rollout/0", "rollout/1"} <= set(asked)
    edit = [Edit(part="heads", kind="zero", layer=1, heads=(0,))]
    assert effect_of(one.recording, one.recording.edit(edit, others=0))["classes"] == [None, None]


def test_rollout_is_told_as_it_is() -> None:
    one = planted()
    for layer in range(2):
        np.testing.assert_allclose(tile(one.recording, f"rollout/{layer}"), rollout(one.recording, layer), atol=1e-7)


def test_every_question_of_a_saved_page_has_an_answer_and_it_begins_with_the_picture() -> None:
    one = planted()
    page = page_of(one.recording)
    stored = data_of(page)
    for path in every_question(one.recording, [(0, 0), (0, 1), (1, 0), (1, 1)]):
        assert f"0/{path}" in stored
    assert {"0/pixels", "0/classes", "0/patches/2", "0/rollout/1"} <= set(stored)
    assert 'data-at="view=overlay"' in page
    assert 'data-at="view=overlay&amp;layer=1&amp;head=0"' in page_of(one.recording, head=(1, 0))


# edits


@pytest.mark.parametrize("class_token", [True, False])
def test_an_edit_tells_what_the_picture_is_taken_for_before_and_after(class_token: bool) -> None:
    one = planted(class_token=class_token, registers=int(class_token))
    edit = Edit(part="heads", kind="zero", layer=1, heads=(1,))
    effect = effect_of(one.recording, one.recording.edit([edit], others=0))
    without = one.logits(1).copy()  # as before, but for what head 0 of layer 1 writes
    marks = np.full(one.n, -1.0)
    marks[: one.learned], marks[one.learned + one.target] = 0, 1
    without += np.outer(one.gain * (one.weights(1, 0) @ marks), OUTPUT[:, 3])
    after = softmax(without[0] if class_token else without.mean(axis=0))
    for found, p in zip(effect["classes"], (answers_by_layer(one, 2), after), strict=True):
        assert [label for label, _ in found] == [CLASSES[k] for k in np.argsort(-p)]
        np.testing.assert_allclose([share for _, share in found], np.sort(p)[::-1], atol=1e-5)


def test_of_many_classes_the_class_tokens_own_are_told_and_a_mean_is_not() -> None:
    names = tuple(f"class {k}" for k in range(60))
    edit = [Edit(part="heads", kind="zero", layer=1, heads=(0,))]
    one = planted(classes=names)
    before, _ = effect_of(one.recording, one.recording.edit(edit, others=0))["classes"]
    p = answers_by_layer(one, 2)
    assert [label for label, _ in before] == [names[k] for k in np.argsort(-p)[:5]]
    np.testing.assert_allclose([share for _, share in before], np.sort(p)[::-1][:5], atol=1e-5)
    mean = planted(classes=names, class_token=False, registers=0)
    assert effect_of(mean.recording, mean.recording.edit(edit, others=0))["classes"] == [None, None]
    assert len(told(mean.recording, "classes")["top"]) == 50
    read = look(build(), text(5))
    assert effect_of(read, read.edit(edit, others=0))["classes"] == [None, None]


# files that are sent


def run_of(tmp_path: Path) -> PictureRun:
    """A run on pictures of 24 x 24 that was not trained."""
    chopper = Chopper(24, 24, 3, 8, 2, True, (0.5,) * 3, (0.5,) * 3)
    config = {"task": "classification", "name": "photos", "settings": {}, "chopper": chopper.to_json(),
              "classes": list(CLASSES)}  # fmt: skip
    run = PictureRun(tmp_path, config)
    run.__dict__["model"] = model_of(Grid(24, 24, 8, 8), 2, 3, 2.0, 1.5, OUTPUT).requires_grad_(False)
    return run


class Page:
    """A server of the page, asked without a network."""

    def __init__(self, studio: Studio) -> None:
        self.studio, self.count = studio, 0
        app = application(studio, host="127.0.0.1", port=PORT, token=TOKEN)
        self.client = TestClient(app, base_url=f"http://127.0.0.1:{PORT}", headers={"x-regard-token": TOKEN})

    def send(self, content: bytes, client: str = "a", number: object = None, **headers: str) -> Any:
        self.count += 1
        path = f"/api/picture/{client}/{self.count if number is None else number}"
        found = self.client.post(path, content=content, headers=headers)
        check_headers({name.lower(): value for name, value in found.headers.items()})
        if found.status_code != 200:
            check_sentence(found.text)
        return found


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    """In an empty folder, in which nothing may be written."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TMPDIR", str(folder))
    found = Page(studio_of(run_of(tmp_path / "run"), None))
    yield found
    found.studio.stop()
    assert list(folder.iterdir()) == []


def png(array: Array, mode: str = "RGB") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array, mode).save(stream, "PNG")
    return stream.getvalue()


def noise(height: int, width: int, seed: int = 1, channels: int = 3) -> Array:
    found: Array = np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)
    return found


def test_a_picture_that_is_sent_is_looked_at(page: Page) -> None:
    assert page.client.get("/api/start").json()["at"] == "view=overlay"
    content = png(noise(60, 90))
    answered = page.send(content).json()
    assert answered == {"key": "1", "notices": []}
    recording = page.studio.recording("1")
    body = page.client.get("/api/1/pixels").content
    assert body[16:] == decode_one(content, 24, 24, 3).pixels.tobytes()
    seen = page.client.get("/api/1/facts").json()["picture"]
    assert (seen["size"], seen["crop"]) == ([60, 90], [0, 15, 60, 60])
    assert told(recording, "classes")["top"][0][0] in CLASSES
    assert page.client.get("/api/start").json()["key"] == "1"
    assert page.send(png(noise(24, 24, 2))).json()["key"] == "2"


def test_what_was_done_to_a_picture_is_told(page: Page) -> None:
    assert page.send(png(noise(24, 24, 3, 4), "RGBA")).json()["notices"] == [
        "1 picture with transparency put over white"
    ]
    assert page.studio.recording("1").facts.preprocessing["done"] == ["pictures with transparency put over white"]
    assert page.send(png(noise(24, 24))).json()["notices"] == []


def claims(height: int, width: int) -> bytes:
    """A small PNG that says it is huge."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


HOSTILE = {
    "a bomb": (claims(30_000, 30_000), "more than 89,478,485 pixels"), "empty": (b"", "is empty"),
    "a bomb of one line": (claims(1, 1 << 31 - 1), ""),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is "),
    "SVG": (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "is "),
    "HTML": (b"<!doctype html><script>alert(1)</script>", "is no picture"), "text": (b"hello", "is no picture"),
    "cut short": (png(noise(50, 50))[:-200], "is a damaged PNG picture"), "zeros": (bytes(1000), "is no picture"),
    "no JPEG at all": (b"\xff\xd8\xff\xe0" + bytes(64), "is a damaged JPEG picture"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_W10_what_is_no_picture_is_refused_in_a_sentence_and_none_is_written(page: Page, name: str) -> None:
    content, words = HOSTILE[name]
    found = page.send(content)
    assert found.status_code == 400
    assert found.text.startswith("the picture: ")
    assert words in found.text
    assert page.client.get("/api/start").json()["key"] is None
    assert page.send(png(noise(24, 24))).status_code == 200  # and the next one is looked at


def test_W10_seven_megabytes_are_taken_and_more_than_eight_are_not(page: Page) -> None:
    large = png(noise(1500, 1600))
    assert 7_000_000 < len(large) < MOST_BODY
    assert page.send(large).status_code == 200
    found = page.send(bytes(MOST_BODY + 1))
    assert (found.status_code, "8 MB" in found.text) == (413, True)


def test_W07_a_body_over_the_limit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with serving(studio_of(run_of(tmp_path), None)) as site:
        got = site.ask("/api/picture/a/1", bytes(MOST_BODY + 1))
        assert (got.status, "8 MB" in got.sentence) == (413, True)
        assert site.raw(site.head("POST /api/picture/a/1", "transfer-encoding: chunked")).status == 411  # type: ignore[union-attr]
        assert site.ask("/api/picture/a/1", png(noise(24, 24))).status == 200


def test_W03_W05_only_the_page_itself_may_send_one(page: Page) -> None:
    content = png(noise(24, 24))
    for headers in ({"x-regard-token": "wrong"}, {"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"},
                    {"host": "evil.example"}):  # fmt: skip
        assert page.send(content, **headers).status_code == 403
    assert page.client.get("/api/start").json()["key"] is None


@pytest.mark.parametrize(("client", "number"), [
    ("a", "x"), ("a", "-1"), ("a", "1.5"), ("a", "9" * 30), ("b" * 65, "1"), ("a", "%D9%A3")])  # fmt: skip
def test_W08_who_asks_and_how_often_is_checked(page: Page, client: str, number: str) -> None:
    assert page.send(png(noise(24, 24)), client, number).status_code == 400
    assert page.client.post("/api/picture/a", content=b"").status_code in (404, 405)


def test_W09_what_is_older_than_the_last_is_not_looked_at(page: Page) -> None:
    assert page.send(png(noise(24, 24)), number=5).status_code == 200
    assert page.send(png(noise(24, 24)), number=5).status_code == 409


def test_a_text_sent_to_a_page_of_pictures_and_a_picture_to_one_of_texts(page: Page) -> None:
    found = page.client.post("/api/look", json={"text": "hello", "client": "a", "number": 1})
    assert (found.status_code, found.text) == (400, "this run looks at a picture; give one")
    texts = Page(Studio(lambda letters: look(build(), text(len(letters)))))
    found = texts.send(png(noise(24, 24)))
    assert (found.status_code, found.text) == (400, "this run looks at a text; give one")
    texts.studio.stop()
    alone = Page(Studio(None, planted().recording, proves=False))
    assert "there is no model here" in alone.send(png(noise(24, 24))).text
    alone.studio.stop()


def test_a_page_of_pictures_is_sent_its_own_modules(page: Page) -> None:
    sent = page.client.get("/static/page.js").text
    assert "overlay.js" in sent
    assert "lines.js" not in sent
    surveyed = page.client.post("/api/1/survey", json={"client": "a", "number": 9})
    assert surveyed.status_code in (400, 404)  # there is no held-out text


# in a notebook


def test_a_notebook_sends_the_file_as_a_buffer(tmp_path: Path) -> None:
    heard = Heard(studio_of(run_of(tmp_path), None))
    content = png(noise(24, 24))
    assert json.loads(heard.ask(content, id="1", path="picture/a/1"))["key"] == "1"
    assert heard.ask(id="2", path="1/pixels")[16:] == noise(24, 24).tobytes()
    assert "is no picture" in heard.ask(b"x", id="3", path="picture/a/2")
    assert "over 8 MB" in heard.ask(bytes(MOST_BODY + 1), id="4", path="picture/a/3")
    assert "its fields are no object" in heard.ask(b"x", id="5", path="look")
    assert "overlay.js" in heard.widget._esm
    heard.widget.close()


def test_the_model_is_left_as_it_was_and_answers_as_predict_does(tmp_path: Path) -> None:
    run, content = run_of(tmp_path), png(noise(30, 40))
    before = {name: x.clone() for name, x in run.model.state_dict().items()}
    top = told(run.look(content), "classes")["top"]
    assert all(torch.equal(before[name], x) for name, x in run.model.state_dict().items())
    assert run.predict(content)[0] == (top[0][0], pytest.approx(top[0][1], abs=1e-6))
