"""A run on labelled texts: trained, asked, scored on its own part and on others, from the command line; looked at."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import regard
from regard.errors import RegardError
from regard.labelled_text_run import LabelledTextRun
from regard.looking.record import Recording
from regard.model.sequence import Sequence

from .conftest import Call

SMALL = ("--steps=60", "--width=32", "--layers=1")
WORDS = {"cats": "paw purr fur claw whisker", "dogs": "bark tail fetch leash bone", "fish": "fin gill scale reef swim"}


def text(label: str, seed: int) -> str:
    """A few words of the class among others: what a bag of tokens also finds."""
    rng = np.random.default_rng((seed, ord(label[0])))
    return " ".join(rng.choice(f"the a with of {WORDS[label]}".split(), 3 + seed % 6)) + f" {WORDS[label].split()[0]}"


def write(path: Path, count: int, seed: int, labels: tuple[str, ...] = tuple(WORDS)) -> Path:
    lines = ["text,label", *(f"{text(label, seed + k)} {k},{label}" for k in range(count) for label in labels)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pets/train.csv (120 rows), pets/val.csv (30) and runs/pets, finished; nobody changes it."""
    folder = tmp_path_factory.mktemp("texts")
    (folder / "pets").mkdir()
    write(folder / "pets" / "train.csv", 40, 0)
    write(folder / "pets" / "val.csv", 10, 500)
    regard.train(folder / "pets", steps=60, width=32, layers=1, out=folder / "runs" / "pets", quiet=True)
    return folder


@pytest.fixture
def pets(texts: Path) -> LabelledTextRun:
    found = regard.load(texts / "runs" / "pets")
    assert isinstance(found, LabelledTextRun)
    return found


def test_training_says_what_it_found_and_how_well_it_went(call: Call, texts: Path) -> None:
    done = call("train", texts / "pets", *SMALL)
    assert done.code == 0
    assert "150 texts in 3 classes" in done.err
    assert "120 to learn from, 30 held out (val)" in done.err
    assert "texts/s" in done.err
    assert "found of each class: " in done.out
    assert 'regard predict runs/pets "your words"' in done.out
    assert max(map(len, done.out.splitlines())) <= 80


def test_a_folder_for_each_class_is_a_corpus_unless_classes_are_asked(call: Call, tmp_path: Path) -> None:
    for label in WORDS:
        (tmp_path / "pets" / label).mkdir(parents=True)
        for k in range(12):
            (tmp_path / "pets" / label / f"{k}.txt").write_text(text(label, k) + f" {k}")
    corpus = call("train", "pets", "--steps=2", "--plan")
    assert "36 documents" in corpus.err
    assert call("train", "pets", "--task=classification", "--steps=2", "--json").answer["accuracy"] >= 0
    known = call("info", "runs/pets", "--json").answer
    assert (known["task"], known["trained_on"]["texts"]) == ("classification", 36)


def test_what_is_learnt_is_found_again_and_stands_beside_the_dumb_answers(call: Call, texts: Path) -> None:
    answer = call("eval", texts / "runs" / "pets", "--json").answer
    assert answer["task"] == "classification"
    assert answer["accuracy"] >= 0.9
    assert answer["examples"] == np.array(answer["confusion"]).sum() == 30
    assert answer["baselines"]["majority"]["accuracy"] == pytest.approx(1 / 3)
    assert answer["baselines"]["linear"]["accuracy"] >= 0.9
    assert answer["per_class"].keys() == WORDS.keys()


def test_predicting_names_the_classes_with_probabilities(call: Call, texts: Path) -> None:
    run = texts / "runs" / "pets"
    done = call("predict", run, "a purr of fur", "--json")
    assert (done.answer["input"], done.answer["output"]) == ("a purr of fur", "cats")
    assert sum(done.answer["scores"].values()) == pytest.approx(1)
    lines = call("predict", run, "the bark with a leash").out.splitlines()
    assert (len(lines), lines[0].split()[1]) == (3, "dogs")
    several = call("predict", run, "swim a reef", " ", "fetch a bone")
    assert (several.code, "swim a reef: fish" in several.out, "fetch a bone: dogs" in several.out) == (2, True, True)
    assert "TEXT: it is empty; give one with words in it" in several.err
    assert "--top-k: it is for a run that goes on with texts" in call("predict", run, "x", "--top-k=3").err


def test_a_prediction_is_the_mean_over_tokens_of_the_model_itself(pets: LabelledTextRun) -> None:
    words = "a whisker of the claw"
    ids = torch.tensor([pets.tokenizer.encode(words)])
    n = ids.shape[1]
    whole = Sequence.whole(ids, torch.arange(n)[None, :, None])
    with torch.inference_mode():
        expected = pets.model(whole)[0].double().mean(dim=0).softmax(dim=0).tolist()
    found = dict(pets.predict(words))
    for name, p in zip(pets.classes, expected, strict=True):
        assert found[name] == pytest.approx(p, abs=1e-6)


def test_T17_long_and_strange_texts_are_answered_and_what_was_cut_is_said(pets: LabelledTextRun) -> None:
    long = "purr " * 1000
    assert dict(pets.predict(long)) == dict(pets.predict("purr " * 500))
    assert any("tokens at the end of the text left out" in str(notice) for notice in pets.notices)
    assert sum(p for _, p in pets.predict("☃ 雪\ud83c".encode("utf-8", "replace").decode())) == pytest.approx(1)
    assert dict(pets.predict("purr\r\nfur")) == dict(pets.predict("purr\nfur"))


def test_a_text_that_is_the_name_of_a_file_is_taken_as_it_is_and_that_is_said(
    call: Call, texts: Path, tmp_path: Path
) -> None:
    run = texts / "runs" / "pets"
    (tmp_path / "purr").mkdir()
    (tmp_path / "purr" / "1.txt").write_text("bark with a leash\n")
    (tmp_path / "fur").write_text("a bone")
    way = '"$(cat FILE)" gives what is in it'
    one = call("predict", run, "purr/1.txt", "--json")
    assert one.answer["output"] == "cats"  # by its name
    assert f"1 file name taken for the text itself; {way} (purr/1.txt)" in one.err
    several = call("predict", run, "fur", "purr/1.txt", "purr", "a purr")
    assert f"2 file names taken for the text itself; {way} (fur, purr/1.txt)" in several.err
    assert way in call("look", run, "purr/1.txt").err
    assert way not in call("predict", run, "purr", "purr/1.txt ", "purr/2.txt").err
    command = f'"{Path(sys.executable).parent}/regard" predict "{run}" "$(cat purr/1.txt)" --json'
    shell = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert json.loads(shell.stdout)["output"] == "dogs"
    assert shell.stderr == ""
    loaded = regard.load(run)
    loaded.predict("fur")  # type: ignore[union-attr]
    assert loaded.notices == []  # the page asks so, too, and tells nobody which files there are


def test_P12_other_texts_are_scored_by_the_names_of_their_classes(texts: Path, tmp_path: Path) -> None:
    run = regard.load(texts / "runs" / "pets")
    scores = run.evaluate(write(tmp_path / "other.csv", 6, 900, ("fish", "cats")))  # dogs are missing
    assert (scores["examples"], scores["per_class"]["dogs"]) == (12, {"count": 0, "accuracy": None})
    assert scores["accuracy"] >= 0.9
    assert "without_copies" not in scores
    assert any("dogs" in str(notice) for notice in run.notices)
    other = (tmp_path / "other.csv").read_text().replace(",cats", ",kittens")
    (tmp_path / "new.csv").write_text(other)
    with pytest.raises(RegardError, match=r"classes that training has not: kittens.* known are cats, dogs, fish"):
        run.evaluate(tmp_path / "new.csv")
    assert run.evaluate(texts / "pets" / "train.csv")["without_copies"]["examples"] == 0


def test_P16_a_run_goes_on_from_its_cache_and_predicts_without_it(call: Call, texts: Path, tmp_path: Path) -> None:
    shutil.copytree(texts / "pets", tmp_path / "pets")
    assert call("train", "pets", *SMALL).code == 0
    shutil.rmtree(tmp_path / "runs" / "pets" / "cache")
    assert call("train", "--resume", "runs/pets", "--steps=65").code == 0  # made again from the data
    shutil.rmtree(tmp_path / "pets")
    assert call("train", "--resume", "runs/pets", "--steps=70").code == 0
    shutil.rmtree(tmp_path / "runs" / "pets" / "cache")
    assert call("predict", "runs/pets", "purr").code == 0
    assert "its texts are not in its cache" in call("eval", "runs/pets").sentence
    assert call("eval", "runs/pets", texts / "pets" / "val.csv", "--json").answer["baselines"] == {}


def test_the_same_command_gives_the_same_bits(call: Call, texts: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert call("train", texts / "pets", *SMALL, "--out", name).code == 0
    weights = [next((tmp_path / name / "ckpt").rglob("model.safetensors")).read_bytes() for name in ("one", "two")]
    assert weights[0] == weights[1]


def test_what_is_for_other_data_is_refused(call: Call, texts: Path, tmp_path: Path) -> None:
    pets = texts / "pets"
    refused = call("train", pets, "--steps=1", "--patch=4").err
    assert "--patch: it is for pictures" in refused
    assert "and this is labelled text; leave it out" in refused
    assert "--tied: it is for text, and this is labelled text" in call("train", pets, "--steps=1", "--tied=no").err
    assert "--shift: it is not for labelled text" in call("train", pets, "--steps=1", "--shift=1").err
    assert "--task: distillation cannot be asked of labelled" in call("train", pets, "--steps=1",
                                                                      "--task=distillation").err  # fmt: skip
    assert not (tmp_path / "runs").exists()
    assert "cannot be exported" in call("export", texts / "runs" / "pets", "folder").sentence
    (tmp_path / "words.txt").write_text("no labels")
    assert "labelled texts are a table" in call("eval", texts / "runs" / "pets", "words.txt").sentence


def test_info_tells_of_texts(call: Call, texts: Path) -> None:
    said = call("info", texts / "runs" / "pets").out
    assert "150 texts, 30 held out" in said
    assert "3 classes" in said
    assert "classification" in call("info", texts / "runs").out


def test_looking_records_the_text_and_its_proof_holds(pets: LabelledTextRun, tmp_path: Path) -> None:
    recording = pets.look("the fur of a claw")
    assert b"".join(recording.tokens.raw).decode() == "the fur of a claw"
    np.testing.assert_allclose(recording.weights(0, 0).sum(axis=1), 1, atol=1e-6)
    assert (recording.weights(0, 0) > 0).all()  # each token sees all
    assert all(check.passed is not False for check in recording.prove().checks)
    mean = torch.from_numpy(recording.kept.logits.numpy()).double().mean(dim=0)  # type: ignore[union-attr]
    assert recording.name_of(int(mean.argmax())) == pets.predict("the fur of a claw")[0][0]
    recording.save(tmp_path / "a.regard")
    again = Recording.load(tmp_path / "a.regard")
    assert [again.name_of(k) for k in range(3)] == pets.classes


def test_looking_from_the_command_line_prints_and_draws_and_has_no_page_yet(call: Call, texts: Path) -> None:
    run = texts / "runs" / "pets"
    assert "strongest heads" in call("look", run, "a purr").out
    assert "wrote h.svg" in call("look", run, "a purr", "--save", "h.svg").out
    assert json.loads(call("look", run, "a purr", "--json").out)["task"] == "classification"
    for more in (("a purr", "--save=h.html"), ("a purr", "--page"), ("--page",)):
        assert "the page: it shows pictures, and what comes next in a text; not yet what a text is taken for" in call(
            "look", run, *more).err  # fmt: skip
    assert "it is for a run that goes on with texts" in call("look", run, "a purr", "--tokens=3").err
