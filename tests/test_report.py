"""What `regard eval --save` draws of runs that name classes; single cases in Python; and what is refused."""

import csv
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image

import regard
from regard.data.picture_cache import open_decoded
from regard.errors import RegardError
from regard.looking.drawing import Marks, Pixels, Text
from regard.picture_run import PictureRun
from regard.sheets import origin
from regard.tasks.cases import Cases

from .conftest import Call

SVG = "{http://www.w3.org/2000/svg}"
COLOURS = {"blue": (40, 60, 200), "red": (200, 50, 40), "yellow": (210, 200, 40)}


def draw(path: Path, colour: tuple[int, int, int], seed: int) -> None:
    pixels = np.array(colour) + np.random.default_rng(seed).normal(0, 60, (16, 16, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos/ (60 to learn from, 15 held out, three of those under a wrong class) and its run."""
    folder = tmp_path_factory.mktemp("report")
    names = list(COLOURS)
    for k, (part, count) in enumerate([("train", 20), ("val", 5)]):
        for number, colour in enumerate(names):
            for i in range(count):
                shows = names[(number + 1) % 3] if part == "val" and i == 0 else colour
                draw(folder / "photos" / part / colour / f"{i}.png", COLOURS[shows], 1000 * k + 100 * number + i)
    regard.train(folder / "photos", steps=60, width=32, layers=2, out=folder / "runs" / "photos", quiet=True)
    with open(folder / "pets.csv", "w", newline="") as file:
        rows = [(f"{word} {k} <i>", label) for k in range(40)
                for word, label in (("purr", "cats"), ("bark", "dogs"))]  # fmt: skip
        csv.writer(file).writerows([("text", "label"), *rows])
    regard.train(folder / "pets.csv", steps=30, width=32, layers=1, out=folder / "runs" / "pets", quiet=True)
    return folder


@pytest.fixture
def photos(made: Path) -> PictureRun:
    found = regard.load(made / "runs" / "photos")
    assert isinstance(found, PictureRun)
    return found


def test_cases_are_the_models_own_answers_about_the_held_out_pictures(photos: PictureRun, made: Path) -> None:
    own = open_decoded(photos.path)
    assert own is not None
    rows = own.rows("held_out")
    with torch.inference_mode():
        tokens = photos.chopper(own.pictures[rows])
        shares = photos.chopper.pool(photos.model(tokens), tokens).double().softmax(dim=-1).numpy()
    nats = -np.log(shares[np.arange(15), own.labels[rows]])
    cases, wrong = photos.cases(count=5), shares.argmax(axis=1) != own.labels[rows]
    assert [case.number for case in cases.wrong] == [k for k in np.argsort(-nats).tolist() if wrong[k]]
    assert [case.number for case in cases.right] == [k for k in np.argsort(nats).tolist() if not wrong[k]][:5]
    for case in (*cases.wrong, *cases.right):
        assert case.nats == pytest.approx(nats[case.number], abs=1e-5)
        assert case.said == photos.classes[shares[case.number].argmax()]
        assert case.probability == pytest.approx(shares[case.number].max(), abs=1e-5)
        assert case.true == photos.classes[own.labels[rows[case.number]]]
    assert {case.true for case in cases.wrong} == set(COLOURS)  # those that lie under a wrong class
    assert len(cases.wrong) == 3
    assert all(case.said != case.true for case in cases.wrong)
    assert {case.name for case in cases.wrong} == {f"val/{colour}/0.png" for colour in COLOURS}


def test_eval_names_what_was_confused_and_the_most_wrong_within_80_columns(call: Call, made: Path) -> None:
    said = call("eval", made / "runs" / "photos").out
    flat = " ".join(said.split())
    assert "most often taken for another: blue as red 1 of 5, red as yellow 1 of 5, yellow as blue 1 of 5" in flat
    assert re.search(r"most wrong: val/\w+/0\.png is \w+, said \w+ 0\.\d\d; ", flat)
    assert max(map(len, said.splitlines())) <= 80
    answer = call("eval", made / "runs" / "photos", "--json").answer
    assert (len(answer["most_wrong"]), len(answer["most_right"])) == (3, 12)
    assert answer["most_wrong"][0].keys() == {"number", "name", "true", "said", "probability", "nats"}
    assert answer["confused"][0] == {"true": "blue", "said": "red", "count": 1, "of": 5}


def test_the_sheet_of_pictures_shows_each_case_as_the_model_was_given_it(photos: PictureRun) -> None:
    report, own = photos.report(), open_decoded(photos.path)
    assert own is not None
    drawing = report.drawing()
    rows = own.rows("held_out")
    drawn = [item for item in drawing.items if isinstance(item, Pixels)]
    cases = [*report.cases.wrong, *report.cases.right]
    assert len(drawn) == len(cases) == 3 + 12
    for item, case in zip(drawn, cases, strict=True):
        assert item.title == case.name == own.names.of(rows[case.number])
        assert np.array_equal(item.pixels, own.pictures[rows[case.number]])
    told = " ".join(item.text for item in drawing.items if isinstance(item, Text))
    for words in ("80.00% of 15 pictures right", "Most wrong: 3 of 3 mistakes", "12 of 12 right answers", "majority",
                  "33.33%", "linear", "blue as red: 1 of 5", "layer 2", "nearest mean right",
                  "60 training examples", "seed "):  # fmt: skip
        assert words in told
    assert sum(len(item.places) for item in drawing.items if isinstance(item, Marks)) == 3 * 15 + 3
    last = max(item.y for item in drawing.items if isinstance(item, Text))
    assert drawing.height - 60 < last < drawing.height
    assert all(item.x >= 0 for item in drawing.items if isinstance(item, Text))


@pytest.mark.parametrize("run", ["photos", "pets"])
def test_what_is_saved_says_whence_it_is_and_runs_nothing(call: Call, made: Path, tmp_path: Path, run: str) -> None:
    names = ["a.svg", "a.png", "a.html"]
    for name in names:
        done = call("eval", made / "runs" / run, "--save", name)
        assert (done.code, f"wrote {name}" in done.out) == (0, True)
    answer = call("eval", made / "runs" / run, "--save", "b.svg", "--json").answer
    assert answer["files"] == ["b.svg"]
    root = ElementTree.parse(tmp_path / "a.svg").getroot()
    facts = json.loads(root.findtext(f"{SVG}metadata") or "")
    assert (facts["name"], facts["seed"], facts["regard"]) == (run, answer["seed"], answer["version"])
    assert facts["examples"] == answer["examples"]
    assert facts["accuracy"] == answer["accuracy"]
    with Image.open(tmp_path / "a.png") as picture:
        stored = json.loads(picture.info["regard"])
    assert {**stored, "made": ""} == {**facts, "made": ""}
    page = (tmp_path / "a.html").read_text()
    assert "default-src 'none'" in page.replace("&#x27;", "'")
    assert "<script" not in page
    assert not re.search(r'(src|href)="(?!data:)', page)
    tables = ElementTree.fromstring("<all>" + "".join(re.findall(r"<table>.*?</table>", page, re.S)) + "</all>")
    confusion = [[int(cell.text or "") for cell in row.iter("td")] for row in tables[2].iter("tr")][1:]
    assert confusion == answer["confusion"]
    assert "purr 3 <i>" not in page


def test_other_examples_can_be_drawn_also_where_the_runs_own_are_gone(made: Path, tmp_path: Path) -> None:
    for i in range(4):
        draw(tmp_path / "other" / "red" / f"{i}.png", COLOURS["red"], 700 + i)
        draw(tmp_path / "other" / "blue" / f"{i}.png", COLOURS["blue"], 800 + i)
    whole = regard.load(made / "runs" / "photos").report(tmp_path / "other")
    assert whole.what == "other"
    assert whole.layers is not None
    assert whole.layers.learnt == 60
    shutil.copytree(made / "runs" / "photos", tmp_path / "photos")
    shutil.rmtree(tmp_path / "photos" / "cache")
    bare = regard.load(tmp_path / "photos").report(tmp_path / "other")
    assert bare.scores["baselines"] == {}
    assert bare.layers is not None
    assert [plot.right for plot in bare.layers.plots] == [None] * 3
    told = " ".join(item.text for item in bare.drawing().items if isinstance(item, Text))
    assert "nearest mean: not known" in told
    assert "none here" in told  # yellow
    assert "majority" not in told


def test_what_is_not_known_of_another_programs_model_is_not_said(photos: PictureRun) -> None:
    facts = photos.report(layers=False).facts
    assert re.search(r"^photos \| seed \d+ \| data photos \w{8} \| model \w{12} \| 15 pictures", origin(facts))
    assert re.search(r"^photos \| model \w{12} \|", origin({**facts, "seed": None, "data": None}))


def test_the_sheet_of_texts_shows_the_texts_themselves(made: Path) -> None:
    report = regard.load(made / "runs" / "pets").report()
    drawing = report.drawing()
    told = [item.text for item in drawing.items if isinstance(item, Text)]
    for case, text in zip(report.cases.wrong, report.contents[0], strict=True):
        assert str(text).split()[0] == {"cats": "purr", "dogs": "bark"}[case.true]
        assert str(text) in told
    nothing = replace(report, cases=Cases([], [])).drawing()
    told = [item.text for item in nothing.items if isinstance(item, Text)]
    assert {"Most wrong: none", "Most right: none"} <= set(told)


def test_what_cannot_be_drawn_is_refused_in_one_sentence(call: Call, made: Path, run: Path, tmp_path: Path) -> None:
    assert "there is no drawing of its scores" in call("eval", run, "--save", "a.svg").sentence
    assert "its ending does not say what to save" in call("eval", made / "runs" / "photos", "--save", "a.pdf").sentence
    assert "nothing is to be saved" in call("eval", made / "runs" / "photos", "--overwrite").sentence
    (tmp_path / "a.svg").write_text("mine")
    assert "a.svg" in call("eval", made / "runs" / "photos", "--save", "a.svg").sentence
    assert (tmp_path / "a.svg").read_text() == "mine"
    assert call("eval", made / "runs" / "photos", "--save", "a.svg", "--overwrite").code == 0
    with pytest.raises(RegardError, match="there are no most wrong or most right examples"):
        regard.load(run).cases()
    with pytest.raises(RegardError, match="count: 0 are none"):
        regard.load(made / "runs" / "photos").cases(count=0)
