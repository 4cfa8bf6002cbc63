"""A run that learnt without labels, from the command line and in Python: trained, scored, asked, looked at, resumed."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import regard
from regard.data.scenes import main as scenes
from regard.distilled_run import DistilledRun
from regard.errors import RegardError
from regard.files import checkpoints
from regard.looking.drawing import Marks, Text
from regard.tasks import distiller
from regard.tasks.pictures import Chopper

from .conftest import Call

ASKED = ("--task=distillation", "--steps=60", "--width=32", "--layers=1", "--batch=8", "--prototypes=64",
         "--local-crops=2")  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with shapes/, 80 scenes of which 64 are learnt from, and runs/shapes, finished; nobody changes it."""
    folder = tmp_path_factory.mktemp("distilled")
    assert scenes([str(folder / "shapes"), "--count=80", "--height=32", "--width=32"]) == 0
    given = {name.removeprefix("--").replace("-", "_"): value for name, value in (one.split("=") for one in ASKED)}
    regard.train(folder / "shapes", out=folder / "runs" / "shapes", quiet=True, **given)  # type: ignore[arg-type]
    return folder


@pytest.fixture
def run(made: Path) -> DistilledRun:
    found = regard.load(made / "runs" / "shapes")
    assert isinstance(found, DistilledRun)
    return found


def flat(folder: Path, count: int, same: bool = False) -> Path:
    """Pictures without any labels, in one folder, of four colours each."""
    (folder / "photos").mkdir()
    for number in range(count):
        colours = np.random.default_rng(0 if same else number).integers(0, 256, (2, 2, 3), np.uint8)
        pixels = colours.repeat(8, axis=0).repeat(8, axis=1)
        Image.fromarray(pixels).save(folder / "photos" / f"{number}.png")
    return folder / "photos"


def test_it_learns_from_the_command_line_and_says_what_it_is_worth(call: Call, made: Path) -> None:
    done = call("train", made / "shapes", *ASKED)
    assert done.code == 0, done.err
    assert "64 to learn from, 8 held out (val)" in done.err
    assert "pictures/s" in done.err
    for word in (
        "20 nearest",
        "linear",
        "untrained",
        "pixels",
        "nothing was learnt from labels",
        "its teacher: entropy",
    ):
        assert word in done.out
    assert "regard predict runs/shapes picture.jpg" in done.out
    assert max(map(len, done.out.splitlines())) <= 80
    again = call("train", made / "shapes", *ASKED)
    assert "is finished already" in again.err
    known = call("info", "runs/shapes").out
    assert "distillation, 1 layer of 1 head" in known
    assert "task                distillation  given" in known
    assert max(map(len, known.splitlines())) <= 80


def test_the_log_has_both_signs_of_collapse_at_each_evaluation(made: Path) -> None:
    lines = [json.loads(line) for line in (made / "runs" / "shapes" / "log.jsonl").read_text().splitlines()]
    found = [line for line in lines if line["kind"] == "evaluation"]
    assert len(found) == 10
    assert all(0 < line["entropy"] < line["largest_entropy"] and line["between"] > 0 for line in found)


def test_scores_stand_beside_the_untrained_network_and_the_pixels(call: Call, made: Path) -> None:
    done = call("eval", made / "runs" / "shapes", "--json")
    scores = done.answer
    assert scores["task"] == "distillation"
    for name in ("knn", "linear"):
        for one in (scores, *scores["baselines"].values()):
            assert 0 <= one[name] <= 1
            assert one[name] * 8 == round(one[name] * 8)
    assert set(scores["baselines"]) == {"untrained", "pixels"}
    finished = json.loads((made / "runs" / "shapes" / "log.jsonl").read_text().splitlines()[-1])["scores"]
    assert {name: scores[name] for name in finished} == finished
    other = call("eval", made / "runs" / "shapes", made / "shapes" / "test", "--json").answer
    assert other["examples"] == 8
    shown = call("eval", made / "runs" / "shapes", made / "shapes" / "test").out
    assert "test" in shown
    assert "20 nearest" in shown


def test_the_transformer_inside_is_the_one_that_is_opened(run: DistilledRun) -> None:
    teacher = run.teacher.transformer
    for name, weights in run.model.named_parameters():
        assert torch.equal(weights, teacher.get_parameter(name))
    pixels = run.own.pictures[:3]
    assert run.config is not None
    chopper = Chopper.from_json(run.config["chopper"])
    expected = run.task.features(run.teacher, run.task.examples)[:1]
    row = int(run.task.examples.rows[0])
    picture = run.path.parent / "one.png"
    Image.fromarray(run.own.pictures[row]).save(picture)
    torch.testing.assert_close(torch.from_numpy(run.features(picture)), expected[0], atol=1e-4, rtol=1e-4)
    assert chopper(pixels).tokens.shape[1] == chopper.n


def test_a_picture_has_the_classes_of_its_neighbours(call: Call, run: DistilledRun, made: Path) -> None:
    picture = next((made / "shapes" / "train").glob("*/*.png"))
    found = run.predict(picture)
    assert sum(share for _, share in found) == pytest.approx(1)
    assert {name for name, _ in found} == set(run.classes)
    assert [share for _, share in found] == sorted((share for _, share in found), reverse=True)
    done = call("predict", made / "runs" / "shapes", picture)
    assert done.out.splitlines()[0] == f"{found[0][1]:.4f}  {found[0][0]}"
    refused = call("predict", made / "runs" / "shapes", picture, "--top-k=3").sentence
    assert "it is for a run that goes on with texts" in refused


def test_its_layers_are_drawn_with_the_scores_and_the_classes_as_colours(run: DistilledRun) -> None:
    report, held_out = run.report(), run.task.held_out
    assert report.scores == run.evaluate()
    assert report.layers is not None
    assert report.layers.learnt == 64
    kept: list[np.ndarray] = []

    class Listening:
        def stream(self, layer: int, place: str, x: torch.Tensor) -> None:
            if place == "in":
                kept.append(x.mean(dim=1).double().numpy())

        def __call__(self, *_: object, **__: object) -> None: ...

    run.model(held_out.plain(0, 8, torch.device("cpu"))[0], record=Listening())
    assert len(kept) == len(report.layers.plots) == 2
    for vectors, plot in zip(kept, report.layers.plots, strict=True):
        _, sizes, _ = np.linalg.svd(vectors - vectors.mean(axis=0))
        np.testing.assert_allclose(np.linalg.norm(plot.places, axis=0), sizes[:2], rtol=1e-4)
    drawing = report.drawing()
    told = [item.text for item in drawing.items if isinstance(item, Text)]
    for name in ("untrained", "pixels", "this run"):
        assert name in told
    assert f"{report.scores['knn']:.2%}" in told
    marks = [item for item in drawing.items if isinstance(item, Marks)]
    assert {mark.title for mark in marks} == set(run.classes)
    assert sum(len(mark.places) for mark in marks) == 8 + 2 * 8  # what they mean, then two layers
    tables = {table.title: table for table in report.tables()}
    assert [row[0] for row in tables["Scores"].rows] == ["this run", "untrained", "pixels"]
    assert tables["Scores"].rows[0][1:] == (report.scores["knn"], report.scores["linear"])
    assert [row[1] for row in tables["Layers"].rows] == [plot.right for plot in report.layers.plots]


@pytest.mark.parametrize("ending", ["svg", "png", "html"])
def test_eval_saves_the_layers_of_what_learnt_without_labels(call: Call, made: Path, ending: str) -> None:
    done = call("eval", made / "runs" / "shapes", "--save", f"a.{ending}")
    assert (done.code, f"wrote a.{ending}" in done.out) == (0, True)
    answer = call("eval", made / "runs" / "shapes", made / "shapes" / "test", "--save", f"b.{ending}", "--json").answer
    assert answer["files"] == [f"b.{ending}"]
    assert answer["examples"] == 8
    assert Path(f"b.{ending}").stat().st_size > 1000


def test_single_cases_are_refused_in_words_about_cases(run: DistilledRun) -> None:
    with pytest.raises(RegardError, match="it did not learn classes, so there are no most wrong") as refused:
        run.cases()
    assert "--save" not in str(refused.value)


def test_it_is_looked_at_as_any_run_on_pictures(run: DistilledRun, made: Path) -> None:
    recording = run.look(next((made / "shapes" / "train").glob("*/*.png")))
    assert recording.tokens.labels[0] == "class"
    np.testing.assert_allclose(recording.weights(0, 0).sum(axis=1), 1, rtol=1e-5)
    assert recording.facts.preprocessing["classes"][5] == "feature 5"
    assert recording.prove().badge.startswith("Proven")


def test_another_task_is_another_run(call: Call, made: Path) -> None:
    given = ("--steps=2", "--width=32", "--layers=1")
    assert call("train", made / "shapes", *given).code == 0
    assert call("train", made / "shapes", *given, "--task=distillation", "--batch=8").code == 0
    assert json.loads(Path("runs/shapes-2/config.json").read_text())["task"] == "distillation"
    refused = call("train", made / "shapes", *given, "--task=distillation", "--out=runs/shapes")
    assert "--task: runs/shapes was begun with classification, not distillation" in refused.sentence
    longer = call("train", "--resume", "runs/shapes-2", "--steps=4")
    assert (longer.code, "goes on after step 2" in longer.err) == (0, True)


def test_the_task_and_its_settings_are_refused_where_they_do_not_belong(call: Call, made: Path, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("one two three four five six\n" * 60)
    assert "--task: distillation cannot be asked of text; give language" in call(
        "train", "words.txt", "--steps=1", "--task=distillation").sentence  # fmt: skip
    assert "'dino' does not fit" in call("train", "words.txt", "--steps=1", "--task=dino").sentence
    assert "--label-smoothing: it is for classification, and this is distillation" in call(
        "train", made / "shapes", "--steps=1", "--task=distillation", "--label-smoothing=0.1").err  # fmt: skip
    assert "--prototypes: it is for distillation, and this is classification" in call(
        "train", made / "shapes", "--steps=1", "--prototypes=8").err  # fmt: skip
    assert not Path("runs").exists()


def test_pictures_without_labels_are_told_of_it_and_learnt(call: Call, tmp_path: Path) -> None:
    photos = flat(tmp_path, 72)
    assert "--task distillation" in call("train", photos, "--steps=2").err
    done = call("train", photos, *ASKED)
    assert done.code == 0, done.err
    assert "pictures without labels to score it by" in done.out
    assert "regard predict" not in done.out
    assert "its teacher: entropy" in call("eval", "runs/photos").out
    assert "knows no classes" in call("predict", "runs/photos", photos / "1.png").sentence
    assert "no labels to score others by" in call("eval", "runs/photos", photos).sentence
    assert call("eval", "runs/photos", "--save", "layers.html").code == 0
    assert "nearest mean" not in Path("layers.html").read_text().partition("<details>")[0]
    found = regard.load("runs/photos")
    assert isinstance(found, DistilledRun)
    marks = [item for item in found.report().drawing().items if isinstance(item, Marks)]
    assert {(mark.title, mark.fill) for mark in marks} == {("pictures", marks[0].fill)}
    assert found.features(photos / "1.png").shape == (32,)


@pytest.mark.parametrize(("count", "same", "words"), [(63, False, "give"), (70, True, "all its pictures are the same")])
def test_P17_too_few_pictures_or_always_the_same(
    count: int, same: bool, words: str, call: Call, tmp_path: Path
) -> None:
    refused = call("train", flat(tmp_path, count, same), *ASKED)
    assert refused.code == 2
    assert words in refused.err
    assert not Path("runs").exists()


def test_P17_few_labelled_pictures_are_refused_too(call: Call, made: Path) -> None:
    shutil.copytree(made / "shapes" / "train", "few", ignore=shutil.ignore_patterns("*.jsonl"))
    for picture in sorted(Path("few").rglob("*.png"))[::9]:
        picture.unlink()
    refused = call("train", "few", *ASKED)
    assert (refused.code, "only 56 pictures can be read; give at least 64" in refused.err) == (2, True)


@pytest.mark.parametrize(("given", "kept", "words"), [
    ("--teacher-temperature=10", 0.9, "the same share, so the loss stays at their logarithm, 4.16 nats"),
    ("--learning-rate=0.1", 1.0, "the same of every picture"),
])  # fmt: skip
def test_P17_a_collapse_ends_the_run_with_what_to_change(
    given: str, kept: float, words: str, call: Call, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too warm a teacher gives all prototypes the same; one whose centre stays where it was ends in one point."""
    monkeypatch.setattr(distiller, "CENTRE_KEPT", kept)
    done = call(
        "train", made / "shapes", *ASKED, "--contrast=0", "--checkpoint-every=20", "--table-learning-rate=0.1", given
    )
    assert done.code == 1, done.err
    assert words in done.sentence
    assert "--teacher-temperature" in done.sentence
    assert "the last good checkpoint is of step 40" in done.sentence
    assert checkpoints(Path("runs/shapes"))[-1].step == 40
    lines = [json.loads(line) for line in Path("runs/shapes/log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["kind"] == "unsound"] == [54]


def test_where_all_that_is_held_out_is_learnt_from_too_it_says_so(call: Call, made: Path) -> None:
    shutil.copytree(made / "shapes" / "train", "both/train")
    shutil.copytree(made / "shapes" / "train", "both/val")
    done = call("train", "both", *ASKED[:1], "--steps=2", *ASKED[2:])
    assert done.code == 0, done.err
    for said in (done.out, call("eval", "runs/both").out):
        assert "each of them was learnt from, too" in said
        assert "nan" not in said
    answer = call("eval", "runs/both", "--json").answer
    assert answer["without_copies"] == {"knn": None, "linear": None, "examples": 0}
    assert call("info", "runs/both").code == 0


@pytest.mark.parametrize("task", ["classification", "distillation"])
def test_P09_where_each_class_has_one_picture_nothing_can_be_tested(task: str, call: Call, tmp_path: Path) -> None:
    for number, picture in enumerate(sorted(flat(tmp_path, 72).iterdir())):
        (tmp_path / "one" / f"{number}").mkdir(parents=True)
        shutil.move(picture, tmp_path / "one" / f"{number}" / "a.png")
    refused = call("train", tmp_path / "one", f"--task={task}", "--steps=2")
    assert refused.code == 2
    assert "of 72 pictures in 72 classes none is left to test on; give two or more different ones" in refused.sentence


@pytest.mark.parametrize(("given", "words"), [
    ("--micro-batch=1", "1 picture at a time has no others from which it could be told apart; give 2 or more"),
    ("--teacher-temperature=0.5", "0.5 was given, but it is 0.04: prototypes only measure where"),
    ("--context=10", "10 was given, but it is 17: tokens of a picture; leave it out"),
])  # fmt: skip
def test_what_could_not_be_followed_is_refused(given: str, words: str, call: Call, made: Path) -> None:
    refused = call("train", made / "shapes", *ASKED, "--patch=8", given)
    assert refused.code == 2
    assert words in refused.sentence
    assert not Path("runs").exists()


def test_64_pictures_in_all_are_enough(call: Call, tmp_path: Path) -> None:
    done = call("train", flat(tmp_path, 66), *ASKED[:1], "--steps=2", *ASKED[2:])
    assert done.code == 0, done.err


def test_without_its_cache_neighbours_cannot_be_asked(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "runs" / "shapes", tmp_path / "moved", ignore=shutil.ignore_patterns("cache"))
    with pytest.raises(RegardError, match="neighbours are among them"):
        regard.load(tmp_path / "moved").evaluate()


def test_folders_that_are_no_classes_do_not_stand_in_the_way(call: Call, tmp_path: Path) -> None:
    flat(tmp_path, 72)
    layouts = {"one": ["one/2019"], "loose": ["loose", "loose/2020"]}
    for number, picture in enumerate(sorted((tmp_path / "photos").iterdir())):
        for folders in layouts.values():
            place = tmp_path / folders[number % len(folders)]
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy(picture, place)
    for name, words in (("one", "of one class"), ("loose", "holds loose pictures")):
        assert words in call("train", name, "--steps=2").sentence
        done = call("train", name, "--task=distillation", "--steps=1", "--width=32", "--layers=1", "--batch=4")
        assert done.code == 0, done.err
        assert "72 pictures without labels" in done.err
    assert "layout of folders that says no classes, passed over (holds loose pictures" in done.err
