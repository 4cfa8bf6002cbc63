"""A run on pictures, from the command line and in Python: trained, asked, scored, also on others, and looked at."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import regard
from regard.errors import RegardError
from regard.looking.picture import Picture
from regard.picture_run import PictureRun

from .conftest import Call

SMALL = ("--steps=60", "--width=32", "--layers=1")
COLOURS = {"blue": (40, 60, 200), "red": (200, 50, 40), "yellow": (210, 200, 40)}


def draw(path: Path, colour: str, seed: int, size: tuple[int, int] = (16, 16)) -> None:
    """A picture mostly of one colour, with noise: what a linear classifier also finds."""
    rng = np.random.default_rng(seed)
    pixels = np.array(COLOURS[colour]) + rng.normal(0, 40, (*size, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos/ (60 to learn from and 15 held out) and runs/photos, finished; nobody changes it."""
    folder = tmp_path_factory.mktemp("pictures")
    for k, (part, count) in enumerate([("train", 20), ("val", 5)]):
        for number, colour in enumerate(COLOURS):
            for i in range(count):
                draw(folder / "photos" / part / colour / f"{i}.png", colour, 1000 * k + 100 * number + i)
    run = folder / "runs" / "photos"
    regard.train(folder / "photos", steps=60, width=32, layers=1, out=run, quiet=True)
    return folder


@pytest.fixture
def photos(pictures: Path) -> PictureRun:
    found = regard.load(pictures / "runs" / "photos")
    assert isinstance(found, PictureRun)
    return found


def test_training_says_what_it_found_and_how_well_it_went(call: Call, pictures: Path) -> None:
    done = call("train", pictures / "photos", *SMALL)
    assert done.code == 0
    assert "75 pictures in 3 classes" in done.err
    assert "60 to learn from, 15 held out (val)" in done.err
    assert "pictures/s" in done.err
    assert "accuracy" in done.out
    assert "found of each class: " in done.out
    assert "regard predict runs/photos picture.jpg" in done.out
    assert max(map(len, done.out.splitlines())) <= 80


def test_what_is_learnt_is_found_again_and_stands_beside_the_dumb_answers(call: Call, pictures: Path) -> None:
    answer = call("eval", pictures / "runs" / "photos", "--json").answer
    assert answer["task"] == "classification"
    assert answer["accuracy"] >= 0.9
    assert answer["examples"] == 15
    assert np.array(answer["confusion"]).sum() == 15
    assert answer["baselines"]["majority"]["accuracy"] == pytest.approx(1 / 3)
    assert answer["baselines"]["majority"]["nats"] == pytest.approx(np.log(3), rel=1e-6)
    assert answer["baselines"]["linear"]["accuracy"] >= 0.9
    assert answer["per_class"].keys() == COLOURS.keys()


def test_predicting_names_the_classes_with_probabilities(call: Call, pictures: Path, tmp_path: Path) -> None:
    draw(tmp_path / "new.png", "red", 77, (40, 23))
    done = call("predict", pictures / "runs" / "photos", "new.png", "--json")
    assert done.answer["output"] == "red"
    assert sum(done.answer["scores"].values()) == pytest.approx(1)
    lines = call("predict", pictures / "runs" / "photos", "new.png").out.splitlines()
    assert lines[0].split()[1] == "red"
    assert len(lines) == 3
    several = call("predict", pictures / "runs" / "photos", "new.png", "none.png")
    assert (several.code, "new.png: red" in several.out, "none.png" in several.err) == (2, True, True)
    assert "--temperature: it is for a run that goes on with texts" in call(
        "predict", pictures / "runs" / "photos", "new.png", "--temperature=1").err  # fmt: skip


def test_a_prediction_is_the_mean_over_patches_of_the_model_itself(photos: PictureRun, pictures: Path) -> None:
    path = pictures / "photos" / "val" / "blue" / "0.png"
    pixels = np.asarray(Image.open(path))[None]
    with torch.inference_mode():
        logits = photos.model(photos.chopper(pixels))[0].double().mean(dim=0)
    expected = dict(zip(photos.classes, logits.softmax(dim=0).tolist(), strict=True))
    for name, p in photos.predict(path):
        assert p == pytest.approx(expected[name], abs=1e-6)


def test_P12_other_pictures_are_scored_by_the_names_of_their_classes(pictures: Path, tmp_path: Path) -> None:
    run = regard.load(pictures / "runs" / "photos")
    for i in range(6):
        for colour in ("yellow", "red"):  # blue is missing, so numbers would not fit
            draw(tmp_path / "other" / colour / f"{i}.png", colour, 500 + 10 * i + len(colour))
    scores = run.evaluate(tmp_path / "other")
    assert scores["examples"] == 12
    assert scores["accuracy"] >= 0.9
    assert scores["per_class"]["blue"] == {"count": 0, "accuracy": None}
    assert any("blue" in str(notice) for notice in run.notices)
    (tmp_path / "other" / "red").rename(tmp_path / "other" / "crimson")
    with pytest.raises(RegardError, match=r"classes that training has not: crimson.* known are blue, red, yellow"):
        run.evaluate(tmp_path / "other")


def test_of_other_pictures_only_what_was_left_out_is_said(call: Call, pictures: Path, tmp_path: Path) -> None:
    draw(tmp_path / "other" / "red" / "1.png", "red", 1)
    draw(tmp_path / "other" / "blue" / "2.png", "blue", 2)
    assert "skipped" not in call("eval", pictures / "runs" / "photos", "other").err
    (tmp_path / "other" / "red" / "3.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    assert "1 picture skipped as unreadable" in call("eval", pictures / "runs" / "photos", "other", "--skip-bad").err


def test_P16_a_run_goes_on_from_its_cache_and_predicts_without_it(call: Call, pictures: Path, tmp_path: Path) -> None:
    shutil.copytree(pictures / "photos", tmp_path / "photos")
    assert call("train", "photos", *SMALL).code == 0
    shutil.rmtree(tmp_path / "photos")
    assert call("train", "--resume", "runs/photos", "--steps=70").code == 0
    shutil.rmtree(tmp_path / "runs" / "photos" / "cache")
    draw(tmp_path / "new.png", "blue", 3)
    assert call("predict", "runs/photos", "new.png").code == 0
    assert "its pictures are not in its cache" in call("eval", "runs/photos").sentence


def test_the_same_command_gives_the_same_bits(call: Call, pictures: Path, tmp_path: Path) -> None:
    names = ("one", "two")
    for name in names:
        assert call("train", pictures / "photos", *SMALL, "--out", name).code == 0
    weights = [next((tmp_path / name / "ckpt").rglob("model.safetensors")).read_bytes() for name in names]
    assert weights[0] == weights[1]


def test_what_belongs_to_text_is_refused_for_pictures_and_the_other_way_round(
    call: Call, pictures: Path, tmp_path: Path
) -> None:
    assert "--vocabulary: it is for text and labelled text, and this is pictures" in call(
        "train", pictures / "photos", "--steps=1", "--vocabulary=300").err  # fmt: skip
    assert not (tmp_path / "runs").exists()
    (tmp_path / "words.txt").write_text("So wise so young. " * 100)
    refused = call("train", "words.txt", "--steps=1", "--patch=4")
    assert "--patch: it is for pictures, sounds and series, and this is text" in refused.err
    assert "the run is on pictures" in call("eval", pictures / "runs" / "photos", "words.txt").sentence
    assert "cannot be exported" in call("export", pictures / "runs" / "photos", "folder").sentence


def test_info_tells_of_pictures(call: Call, pictures: Path) -> None:
    said = call("info", pictures / "runs" / "photos")
    assert "75 pictures, 15 held out" in said.out
    assert "3 classes" in said.out
    every = call("info", pictures / "runs").out
    assert "classification" in every
    assert "right" in every
    known = call("info", pictures / "runs" / "photos", "--json").answer
    json.dumps(known)
    assert known["trained_on"]["pictures"] == 75


def test_looking_records_the_picture_that_was_seen_and_its_proof_holds(photos: PictureRun, pictures: Path) -> None:
    path = pictures / "photos" / "val" / "red" / "2.png"
    photos.predict(path)  # before it, so that the model is not loaded by looking
    recording = photos.look(path)
    picture = Picture.of(recording)
    assert np.array_equal(picture.pixels, np.asarray(Image.open(path)))
    assert recording.tokens.kinds == ("patch",) * recording.n
    np.testing.assert_allclose(recording.weights(0, 0).sum(axis=1), 1, atol=1e-6)
    assert all(check.passed is not False for check in recording.prove().checks)
    mean = torch.from_numpy(recording.kept.logits.numpy()).double().mean(dim=0)  # type: ignore[union-attr]
    assert photos.classes[int(mean.argmax())] == photos.predict(path)[0][0]
