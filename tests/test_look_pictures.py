"""`regard look` on a run on pictures: a file in place of a text, its sheets, its page, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import regard
from regard.data.picture_decode import decode_one
from regard.look import Look
from regard.looking.draw_pictures import draw_picture
from regard.looking.picture import Picture

from .conftest import Call
from .page.test_pictures import noise, png, run_of


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run on pictures, and beside it cat.png and clear.png, which has transparency."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "cat.png").write_bytes(png(noise(60, 90)))
    (tmp_path / "clear.png").write_bytes(png(noise(24, 24, 2, 4), "RGBA"))
    run = run_of(tmp_path / "photos")
    opened = regard.load
    monkeypatch.setattr("regard.run.load", lambda path: run if str(path) == "photos" else opened(path))
    return tmp_path


Served = list[tuple[Any, dict[str, Any]]]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Served:
    """What would have been served until Ctrl-C."""
    found: Served = []
    monkeypatch.setattr("regard.page.server.serve", lambda studio, **how: found.append((studio, how)))
    return found


def test_heads_are_named_without_those_measures_that_need_an_order(call: Call, photos: Path) -> None:
    done = call("look", "photos", "cat.png")
    assert done.code == 0
    assert "11 tokens: class register 0 0,0 0,1" in done.out
    assert "sharpest" in done.out
    for name in ("previous token", "induction", "first token", "farthest", "too few to trust"):
        assert name not in done.out
    assert "Proven (float32)" in done.out


def test_a_sheet_is_drawn_of_the_asked_token(call: Call, photos: Path) -> None:
    assert call("look", "photos", "cat.png", "--save", "a.svg").code == 0
    assert call("look", "photos", "cat.png", "--save", "b.svg", "--query", "1,2", "--head", "1.0").code == 0
    first, second = ((photos / name).read_text() for name in ("a.svg", "b.svg"))
    assert "who looks: class token" in first
    assert "who looks: patch 1,2" in second
    assert (first.count("head 0</title>"), second.count("head 0</title>")) == (2, 1)


def test_a_recording_is_saved_opened_and_knows_its_classes(call: Call, photos: Path) -> None:
    assert call("look", "photos", "cat.png", "--save", "cat.regard").code == 0
    known = call("look", "cat.regard", "--json").answer
    assert (known["task"], known["run"], known["tokens"][:3]) == (
        "classification",
        "photos",
        ["class", "register 0", "0,0"],
    )
    alone = Look.load(photos / "cat.regard")
    assert np.array_equal(Picture.of(alone).pixels, decode_one(photos / "cat.png", 24, 24, 3).pixels)
    assert alone.name_of(1) == "star"
    assert call("look", "cat.regard", "--run", "photos", "--prove").code == 0
    assert call("look", "cat.regard", "--save", "again.svg").code == 0
    assert (photos / "again.svg").read_text() == draw_picture(Look.load(photos / "cat.regard")).svg()
    assert call("look", "photos", "cat.png", "--json").answer["task"] == "classification"


def test_the_page_opens_on_the_picture_or_waits_for_one(call: Call, photos: Path, served: Served) -> None:
    assert call("look", "photos", "cat.png", "--page", "--query", "0,1").code == 0
    assert call("look", "photos", "--page").code == 0
    (first, how), (waiting, nothing) = served
    assert (how["at"], nothing["at"]) == ("view=overlay&row=3", "")
    assert first.start()["at"] == waiting.start()["at"] == "view=overlay"
    assert (first.takes, waiting.takes, waiting.start()["key"]) == ("picture", "picture", None)


def test_a_page_is_saved_that_begins_with_the_picture(call: Call, photos: Path) -> None:
    assert call("look", "photos", "cat.png", "--save", "cat.html").code == 0
    assert 'data-at="view=overlay"' in (photos / "cat.html").read_text()
    assert call("look", "photos", "cat.png", "--save", "one.html", "--head", "0.1", "--query", "class").code == 0
    assert 'data-at="view=overlay&amp;row=0&amp;layer=0&amp;head=1"' in (photos / "one.html").read_text()


def test_what_was_done_to_the_picture_is_said(call: Call, photos: Path) -> None:
    assert call("look", "photos", "cat.png").err == ""
    assert "1 picture with transparency put over white" in call("look", "photos", "clear.png").err


REFUSED = {
    "no such picture": (["cat.jpg"], "cat.jpg: is not there; check the name: the run takes a picture's file"),
    "no picture": (["photos"], "photos: "),
    "a tour": (["--tour"], "--tour: it leads through a text"), "a tour of it": (["cat.png", "--tour"], "--tour: "),
    "no such token": (["cat.png", "--query", "9,9", "--save", "x.svg"], "--query: there is no token '9,9'"),
    "nothing is drawn": (["cat.png", "--query", "1,1"], "--query: nothing is drawn"),
    "nobody looks": (["--query", "1,1", "--page"], "--query: nothing is drawn"),
    "a recording": (["cat.png", "--query", "1,1", "--save", "x.regard"], "--query: a recording holds every token"),
    "tokens to say": (["cat.png", "--tokens", "5"], "--tokens: "),
    "nothing": ([], "look: TEXT is missing; give the text to look at, in quotes, or a picture"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_before_anything_is_written(call: Call, photos: Path, name: str) -> None:
    arguments, words = REFUSED[name]
    done = call("look", "photos", *arguments)
    assert done.code == 2
    assert done.sentence.startswith(words)
    assert not list(photos.glob("x.*"))


def test_a_text_has_no_query(call: Call, run: Path) -> None:
    done = call("look", run, "So wise", "--query", "1,1", "--save", "x.svg")
    assert done.sentence == "--query: it is for pictures and sounds, and this is a text; leave it out"
    done = call("look", run, "So wise", "--save", "wise.regard")
    done = call("look", "wise.regard", "--query", "1,1", "--save", "x.svg")
    assert done.sentence.startswith("--query: it is for pictures")


def test_in_python_a_picture_is_looked_at_and_saved(photos: Path) -> None:
    for given in (photos / "cat.png", str(photos / "cat.png"), (photos / "cat.png").read_bytes()):
        recording = run_of(photos / "photos").look(given)
        assert recording.is_picture
        assert Picture.of(recording).size == (60, 90)
    recording.save(photos / "x.svg", query="2,2")  # of the last
    assert "who looks: patch 2,2" in (photos / "x.svg").read_text()
