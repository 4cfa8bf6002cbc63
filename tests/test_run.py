"""The Python surface: train, load, and what a run can be asked; the same rules and sentences as on the command line."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import regard
from regard.look import Look
from regard.looking.record import Recording
from regard.run import missing

from .conftest import TEXT

SMALLEST = {"steps": 1, "width": 8, "layers": 1, "heads": 1, "head_width": 4, "feed_forward": 8, "context": 16}


@pytest.fixture
def loaded(run: Path) -> regard.Run:
    return regard.load(run)


def test_train_returns_a_run_that_load_opens_again(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(TEXT * 20)
    trained = regard.train(tmp_path / "text.txt", out=tmp_path / "run", quiet=True, **SMALLEST)
    assert isinstance(trained, regard.Run)
    again = regard.load(tmp_path / "run")
    assert trained.predict("So", tokens=5) == again.predict("So", tokens=5)
    assert trained.info()["settings"]["width"] == 8
    assert trained.info()["state"] == "finished"
    assert eval(repr(again), {"regard": regard}).path == again.path


def test_a_quiet_training_says_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.txt").write_text(TEXT * 20)
    regard.train(tmp_path / "text.txt", out=tmp_path / "run", quiet=True, **SMALLEST)
    assert capfd.readouterr() == ("", "")


def test_logits_are_the_models_own(loaded: regard.Run) -> None:
    found = loaded.logits([5, 7, 11])
    assert (found.shape, found.dtype) == ((3, loaded.model.config.vocabulary), np.dtype("float32"))
    np.testing.assert_allclose(loaded.logits([5, 7])[1], found[1], atol=1e-5)  # causal
    np.testing.assert_array_equal(loaded.logits(np.array([5, 7, 11])), found)
    for ids in ([], [-1], [5, loaded.model.config.vocabulary]):
        with pytest.raises(regard.RegardError, match="each from 0 to"):
            loaded.logits(ids)


def test_predict_is_what_stream_says(loaded: regard.Run) -> None:
    said = loaded.predict("So wise", tokens=20, seed=3)
    assert isinstance(said, str)
    from regard.decoding.sample import Sampling

    assert "".join(text for _, text in loaded.stream("So wise", Sampling(tokens=20, seed=3))) == said
    assert len(loaded.predict("So wise", tokens=4, samples=3)) == 3
    assert loaded.predict("So wise", tokens=20, temperature=0) == loaded.predict("So wise", tokens=20, temperature=0)


@pytest.mark.parametrize(("wrong", "part"), [
    ({"temprature": 1}, "did you mean temperature?"), ({"top_p": 2}, "--top-p"), ({"tokens": "5"}, "--tokens"),
    ({"stop": "x"}, "--stop"), ({"seed": -1}, "--seed"),
])  # fmt: skip
def test_predict_refuses_as_the_command_does(loaded: regard.Run, wrong: dict[str, object], part: str) -> None:
    with pytest.raises(regard.RegardError) as refused:
        loaded.predict("So", **wrong)
    assert part in str(refused.value)


@pytest.mark.parametrize(("wrong", "part"), [
    ({"with": 3}, "did you mean width?"), ({"width": "wide"}, "--width"), ({"minutes": float("nan")}, "--minutes"),
    ({"minutes": 1, "steps": 1}, "contradict"), ({"resume": "x", "fresh": True}, "--resume"),
])  # fmt: skip
def test_train_refuses_as_the_command_does(wrong: dict[str, object], part: str, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(TEXT * 20)
    with pytest.raises(regard.RegardError) as refused:
        regard.train(tmp_path / "text.txt", quiet=True, out=None if "resume" in wrong else tmp_path / "run", **wrong)
    assert part in str(refused.value)
    assert os.listdir(tmp_path) == ["text.txt"]


def test_train_without_data_is_refused() -> None:
    with pytest.raises(regard.RegardError, match="nothing to learn from"):
        regard.train()


def test_look_gives_exact_weights(loaded: regard.Run) -> None:
    seen = loaded.look("So wise so young")
    assert isinstance(seen, Look)
    assert isinstance(seen, regard.Recording)
    weights = seen.weights(layer=0, head=0)
    assert (weights.shape, weights.dtype) == ((16, 16), np.dtype("float32"))
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)
    assert not np.triu(weights, 1).any()
    assert (seen.facts.name, seen.facts.seed) == ("text", 0)
    assert "".join(seen.tokens.labels) == "So␣wise␣so␣young"
    assert seen.prove().passed


def test_look_saves_pictures_and_recordings(loaded: regard.Run, tmp_path: Path) -> None:
    seen = loaded.look("So wise")
    seen.save(tmp_path / "all.svg")
    seen.save(tmp_path / "all.PNG")
    seen.save(tmp_path / "one.svg", head=(0, 0))
    seen.save(tmp_path / "kept.regard")
    assert (tmp_path / "all.svg").read_text() != (tmp_path / "one.svg").read_text()
    assert (tmp_path / "all.PNG").read_bytes().startswith(b"\x89PNG")
    again = Look.load(tmp_path / "kept.regard")
    np.testing.assert_array_equal(again.weights(0, 0), seen.weights(0, 0))
    assert again.id == seen.id == Recording.load(tmp_path / "kept.regard", loaded.model).id
    for path, head in ((tmp_path / "all.svg", None), (tmp_path / "new.jpg", None), (tmp_path / "new.svg", (1, 0)),
                       (tmp_path / "new.regard", "0.0"), (tmp_path / "new.svg", "0.0.0")):  # fmt: skip
        with pytest.raises(regard.RegardError):
            seen.save(path, head=head)
    assert not list(tmp_path.glob("new.*"))


def test_evaluate_counts_every_target_once(loaded: regard.Run, trained: Path) -> None:
    own, all_of_it = loaded.evaluate(), loaded.evaluate(trained / "text.txt")
    assert own["tokens"] == loaded.info()["trained_on"]["held_out_characters"] - 1
    assert all_of_it["tokens"] == len(TEXT * 40)  # after the document mark, which nothing predicts
    assert own["nats_per_token"] == pytest.approx(own["bits_per_byte"] * np.log(2))
    with pytest.raises(regard.RegardError, match="is not there"):
        loaded.evaluate("no such file.txt")


def test_a_checkpoint_folder_of_another_program_is_a_run(loaded: regard.Run, tmp_path: Path, trained: Path) -> None:
    result = loaded.export(tmp_path / "folder")
    assert result["check"] <= 1e-5
    other = regard.load(tmp_path / "folder")
    assert isinstance(other, regard.Run)
    np.testing.assert_allclose(other.logits([5, 7, 11]), loaded.logits([5, 7, 11]), atol=1e-5)
    assert other.predict("So", tokens=9, temperature=0) == loaded.predict("So", tokens=9, temperature=0)
    assert other.look("So wise").weights(0, 0).shape == (7, 7)
    assert other.evaluate(trained / "text.txt")["nats_per_token"] == pytest.approx(
        loaded.evaluate(trained / "text.txt")["nats_per_token"], abs=1e-4)  # fmt: skip
    assert set(other.evaluate(trained / "text.txt")["baselines"]) == {"uniform"}
    assert other.facts["data"] is None
    with pytest.raises(regard.RegardError, match="name a text file"):
        other.evaluate()


def test_fine_tuning_starts_from_a_run_or_a_folder(loaded: regard.Run, tmp_path: Path, run: Path) -> None:
    (tmp_path / "new.txt").write_text(TEXT[::-1] * 30)
    loaded.export(tmp_path / "folder")
    for base in (run, tmp_path / "folder"):
        tuned = regard.train(tmp_path / "new.txt", steps=1, from_=base, learning_rate=0, table_learning_rate=0,
                             out=tmp_path / f"from {base.name}", quiet=True)  # fmt: skip
        np.testing.assert_allclose(tuned.logits([5, 7, 11]), loaded.logits([5, 7, 11]), atol=1e-5)
        assert tuned.tokenizer.to_json() == loaded.tokenizer.to_json()


@pytest.mark.parametrize("name", ["gpt2", "runs/none", "./none"])
def test_M16_what_is_not_there_is_not_downloaded(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(regard.RegardError, match="regard does not download"):
        regard.load(name)


def test_what_is_missing_is_near_something(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "poems").mkdir(parents=True)
    assert missing(Path("poems")).do == "did you mean runs/poems?"
    assert missing(Path("runs/poem")).do == "did you mean runs/poems?"
    assert missing(Path("/no/such/thing")).do.endswith(" /")
    assert missing(Path("nothing like it")).do.endswith(" the working folder")


def test_notices_of_the_same_kind_are_counted_together(loaded: regard.Run) -> None:
    for prompt in ("a\r\n", "b\r\nc\r\n"):
        loaded.predict(prompt, tokens=1)
    (notice,) = loaded.notices
    assert notice.count == 3


def test_importing_regard_and_info_need_no_torch(run: Path) -> None:
    code = (
        f"import regard, sys; regard.load({str(run)!r}).info(); print('torch' in sys.modules, 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd="/")
    assert done.stdout == "False False\n", done.stderr


def test_answers_do_not_depend_on_what_was_asked_before(loaded: regard.Run) -> None:
    before = loaded.predict("So wise", tokens=9)
    torch.manual_seed(7)
    loaded.look("fame"), loaded.evaluate()
    assert loaded.predict("So wise", tokens=9) == before
    assert not any(parameter.requires_grad for parameter in loaded.model.parameters())
