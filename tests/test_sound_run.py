"""A run on labelled sounds, from the command line and in Python: trained, asked, scored, gone on with and looked at."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import regard
from regard.data.sound import decode_sound
from regard.data.sounds import picture_of
from regard.errors import RegardError
from regard.looking.picture import Picture
from regard.looking.spectrogram import Spectrogram
from regard.sound_run import SoundRun
from regard.tokens.sound import TELEPHONE

from .conftest import Call
from .data.test_sounds import PITCH, tone

SMALL = ("--steps=40", "--width=32", "--layers=1")


def write(root: Path, count: int, seed: int) -> None:
    for number, (name, hertz) in enumerate(PITCH.items()):
        for k in range(count):
            path = root / name / f"{k}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(tone(hertz, 0.2 + 0.01 * k, seed + 100 * number + k))


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pitches/ (24 to learn from and 10 held out) and runs/pitches, finished; nobody changes it."""
    folder = tmp_path_factory.mktemp("sounds")
    write(folder / "pitches" / "train", 12, 0)
    write(folder / "pitches" / "val", 5, 1000)
    regard.train(folder / "pitches", steps=40, width=32, layers=1, out=folder / "runs" / "pitches", quiet=True)
    return folder


@pytest.fixture
def pitches(sounds: Path) -> SoundRun:
    found = regard.load(sounds / "runs" / "pitches")
    assert isinstance(found, SoundRun)
    return found


def test_training_says_what_it_found_and_how_well_it_went(call: Call, sounds: Path) -> None:
    done = call("train", sounds / "pitches", *SMALL)
    assert done.code == 0
    assert "34 sounds in 2 classes" in done.err
    assert "sounds/s" in done.err
    assert "regard predict runs/pitches sound.wav" in done.out
    assert max(map(len, done.out.splitlines())) <= 80


def test_two_pitches_are_told_apart(call: Call, sounds: Path) -> None:
    answer = call("eval", sounds / "runs" / "pitches", "--json").answer
    assert (answer["task"], answer["examples"]) == ("classification", 10)
    assert answer["accuracy"] == 1.0
    assert answer["baselines"]["majority"]["accuracy"] == 0.5


def test_a_token_is_a_slice_of_time_with_all_pitches(pitches: SoundRun) -> None:
    grid = pitches.chopper.grid
    assert (grid.rows, grid.patch_height, grid.height) == (1, TELEPHONE.mels, TELEPHONE.mels)
    assert grid.columns * grid.patch_width == grid.width  # no frame is lost
    assert pitches.config is not None
    assert pitches.config["settings"]["context"] == grid.columns == pitches.chopper.n


def test_a_prediction_is_that_of_the_model_on_the_spectrogram(pitches: SoundRun, sounds: Path) -> None:
    path = sounds / "pitches" / "val" / "low" / "3.wav"
    pixels, _ = picture_of(decode_sound(path), pitches.chopper.width, TELEPHONE, "")
    with torch.inference_mode():
        shares = pitches.model(pitches.chopper(pixels[None]))[0].double().mean(dim=0).softmax(dim=0).tolist()
    found = pitches.predict(path)
    assert found == pitches.predict(path.read_bytes())
    assert found[0][0] == "low"
    for name, p in found:
        assert p == pytest.approx(shares[pitches.classes.index(name)], abs=1e-6)


def test_predicting_from_the_command_line(call: Call, sounds: Path, tmp_path: Path) -> None:
    (tmp_path / "new.wav").write_bytes(tone(2000.0, 0.25, 77))
    done = call("predict", sounds / "runs" / "pitches", "new.wav", "--json")
    assert done.answer["output"] == "high"
    bad = call("predict", sounds / "runs" / "pitches", sounds / "runs" / "pitches" / "config.json")
    assert (bad.code, "no WAV sound" in bad.err) == (2, True)


def test_other_sounds_are_scored_by_the_names_of_their_classes(pitches: SoundRun, tmp_path: Path) -> None:
    write(tmp_path / "other", 4, 5000)
    shutil.rmtree(tmp_path / "other" / "high")
    scores = pitches.evaluate(tmp_path / "other")
    assert scores["examples"] == 4
    assert scores["per_class"]["high"] == {"count": 0, "accuracy": None}
    (tmp_path / "other" / "low").rename(tmp_path / "other" / "deep")
    with pytest.raises(RegardError, match="classes that training has not: deep"):
        pitches.evaluate(tmp_path / "other")


def test_what_is_no_sound_is_refused_by_name(pitches: SoundRun, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("these are words\n" * 40)
    with pytest.raises(RegardError, match=r"words.txt: this is text, and the run is on sounds; name a folder"):
        pitches.evaluate(tmp_path / "words.txt")


def test_a_run_goes_on_from_its_cache_and_makes_it_again(call: Call, sounds: Path, tmp_path: Path) -> None:
    shutil.copytree(sounds / "pitches", tmp_path / "pitches")
    assert call("train", "pitches", *SMALL).code == 0
    shutil.rmtree(tmp_path / "runs" / "pitches" / "cache")
    assert call("train", "--resume", "runs/pitches", "--steps=50").code == 0
    assert call("eval", "runs/pitches", "--json").answer["accuracy"] == 1.0
    shutil.rmtree(tmp_path / "runs" / "pitches" / "cache")
    gone = call("eval", "runs/pitches")
    assert (gone.code, "its sounds are not in its cache" in gone.err) == (2, True)


def test_a_sound_is_looked_at_as_its_spectrogram(call: Call, sounds: Path, pitches: SoundRun, tmp_path: Path) -> None:
    path = sounds / "pitches" / "val" / "high" / "2.wav"
    recording = pitches.look(path)
    seen = Picture.of(recording)
    pixels, _ = picture_of(decode_sound(path), pitches.chopper.width, TELEPHONE, "")
    np.testing.assert_array_equal(seen.pixels, pixels)
    assert seen.sound == Spectrogram(TELEPHONE)
    recording.prove()
    assert recording.badge.startswith("Proven")
    done = call("look", sounds / "runs" / "pitches", path, "--save", "maps.svg", "--json")
    assert done.code == 0
    sheet = (tmp_path / "maps.svg").read_text()
    assert sheet.startswith("<svg")
    for words in ("log-mel spectrogram:", "2,000 Hz", "0.1 s", "low pitch"):
        assert words in sheet
    assert "picture" not in sheet.partition("</metadata>")[2]
    assert call("look", sounds / "runs" / "pitches", path, "--save", "page.html").code == 0
    data = json.loads(done.out)
    assert data["run"] == "pitches"
