"""What every task of the table keeps: it answers the protocol, and what has answers is learnt by heart."""

import json
import math
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from regard.data.open import open_source
from regard.run import RUNS
from regard.session import task_of
from regard.tasks import TASKS
from regard.training.average import evaluating
from regard.training.by_time import Budget
from regard.training.loop import Clock, Learner, train
from regard.training.measure import Probe
from regard.training.plan import Plan
from regard.training.ranks import Ranks
from regard.training.settings import BY_NAME

from ..data.test_sound import wav
from ..data.test_sounds import with_rate

GIVEN: dict[str, Any] = {"width": 64, "layers": 2, "batch": 10, "seed": 3, "dropout": 0.0,
                         "monitor": 0.0, "cool_down": 0.5, "average": 0.9}  # fmt: skip
STEPS = 150


def text(folder: Path) -> Any:
    """Letters without any order: what is not learnt by heart is not known."""
    letters = np.random.default_rng(0).choice(list(string.ascii_lowercase), 206)
    (folder / "letters.txt").write_text("".join(letters))
    return open_source([str(folder / "letters.txt")])


def pictures(folder: Path, each: int = 1) -> Any:
    """Noise, `each` pictures in each of ten classes; what is held out is other noise."""
    for k, part in enumerate(["train", "val"]):
        for label in string.ascii_lowercase[:10]:
            (folder / "data" / part / label).mkdir(parents=True)
            for number in range(each):
                pixels = np.random.default_rng((k, ord(label), number)).integers(0, 256, (8, 8, 3), np.uint8)
                Image.fromarray(pixels).save(folder / "data" / part / label / f"{number}.png")
    return open_source([str(folder / "data")])


def labelled_text(folder: Path) -> Any:
    """Letters without any order, each text a class of its own; what is held out is other letters."""
    for k, part in enumerate(["train", "val"]):
        lines = ["text\tlabel"]
        for label in string.ascii_lowercase[:10]:
            letters = np.random.default_rng((k, ord(label))).choice(list("abcd"), 5 + ord(label) % 7)
            lines.append("".join(letters) + f"\t{label}")
        (folder / f"{part}.tsv").write_text("\n".join(lines) + "\n")
    return open_source([str(folder / f"{part}.tsv") for part in ("train", "val")])


def series(folder: Path) -> Any:
    """Noise, one window at each of ten places; what is held out is other noise."""
    numbers = np.random.default_rng(0).normal(size=100)
    (folder / "noise.csv").write_text("x\n" + "".join(f"{number:.6f}\n" for number in numbers))
    return open_source([str(folder / "noise.csv")])


def sounds(folder: Path) -> Any:
    """Noise, a sound in each of ten classes; what is held out is other noise."""
    for k, part in enumerate(["train", "val"]):
        for label in string.ascii_lowercase[:10]:
            (folder / "data" / part / label).mkdir(parents=True)
            samples = np.random.default_rng((k, ord(label))).normal(0, 0.1, (1600, 1))
            (folder / "data" / part / label / "1.wav").write_bytes(with_rate(wav(samples), 8000))
    return open_source([str(folder / "data")])


SOURCES: dict[tuple[str, str], tuple[Callable[[Path], Any], dict[str, Any]]] = {
    ("text", "language"): (text, {"context": 16}),
    ("labelled_text", "classification"): (labelled_text, {}),
    ("pictures", "classification"): (pictures, {"flip": "no", "shift": 0, "blended": 0.0, "label_smoothing": 0.0}),
    ("series", "forecasting"): (series, {"patch": 9, "context": 8}),
    ("sounds", "classification"): (sounds, {"shift": 0, "masked": 0.0, "label_smoothing": 0.0}),
    ("pictures", "distillation"): (lambda folder: pictures(folder, 7), {"prototypes": 32, "micro_batch": 7}),
}
"""Ten examples for each task, or as many as it needs, and its own settings: a new line in the table needs one here."""
ALL = [(kind, name) for kind, names in TASKS.items() for name in names]
ANSWERED = [one for one in ALL if one[1] != "distillation"]
"""Tasks whose examples have answers of their own; the others have a teacher that learns, too."""


@pytest.fixture(params=ALL, ids="-".join)
def learner(request: pytest.FixtureRequest, tmp_path: Path) -> Learner:
    """By the plan that a run would have."""
    (kind, name), ranks = request.param, Ranks()
    read, own = SOURCES[kind, name]
    source = read(tmp_path)
    assert source.kind == kind
    plan = Plan({**GIVEN, **own})
    plan.choose("seed", 0, "")
    budget = Budget(STEPS, None, 0.0)
    asked = task_of(kind, name)
    assert asked.name == name
    prepared = asked.prepare(source, plan, tmp_path, None, budget)
    nothing = Probe(lambda settings, model: None, ranks)
    model, reserve = prepared.choose(plan, budget, nothing)
    plan.check_all_used(kind, name)
    json.dumps([model, reserve, prepared.kept, plan.to_json()])  # all of it goes into config.json
    task = asked.open(tmp_path, plan.settings, ranks, model)
    built = task.build(plan.settings)
    task.first_weights(built)
    return Learner(task, built, len(task.examples), plan.settings, ranks)


def test_the_option_names_every_task_of_the_table() -> None:
    assert set(BY_NAME["task"].choices) == {name for _, name in ALL}
    assert set(ALL) == RUNS.keys()


@pytest.mark.parametrize("learner", ANSWERED, ids="-".join, indirect=True)
def test_ten_examples_are_learnt_by_heart(learner: Learner) -> None:
    assert len(learner.task.examples) == 10  # type: ignore[attr-defined]
    ids = np.stack([np.zeros(10, np.int64), np.arange(10)], axis=1)
    learner.order.ids = lambda step: ids  # type: ignore[method-assign]
    losses = [step.loss for step in train(learner, Clock(steps=STEPS), 0, lambda: 0)]
    assert losses[0] > (0.3 if learner.task.name == "forecasting" else 2.0)  # not in nats
    assert losses[-1] < 0.05
    with evaluating(learner.average.model) as model:
        total, count = learner.task.loss(model, learner.task.batch(ids, np.random.default_rng(0)), model)
    assert float(total / count) < 0.05


def test_the_answers_of_the_protocol(learner: Learner) -> None:
    task, model = learner.task, learner.average.model
    assert task.name
    batch = task.batch(np.array([[0, 1], [0, 2]]), np.random.default_rng(0))
    total, count = task.loss(model, batch, model)
    assert total.shape == count.shape == ()
    assert torch.isfinite(total)
    assert int(count) > 0
    scores = task.evaluate(model)
    json.dumps(scores)
    assert scores["baselines"]
    names = {name for name, value in scores.items() if isinstance(value, float)}
    for baseline in scores["baselines"].values():
        assert names <= baseline.keys()
        assert all(math.isfinite(baseline[name]) for name in names)
    figures = task.watched(model)  # type: ignore[attr-defined]
    assert all(math.isfinite(figure) for figure in figures.values())
    assert task.monitor(model) is None  # type: ignore[attr-defined]
    assert isinstance(task.quick_score(model), float)  # type: ignore[attr-defined]
    assert isinstance(task.sample(model), str)  # type: ignore[attr-defined]


def test_a_batch_depends_on_its_ids_and_random_numbers_alone(learner: Learner) -> None:
    ids = np.array([[3, 1], [0, 2], [7, 9]])

    def made() -> list[torch.Tensor]:
        batch = learner.task.batch(ids, np.random.default_rng(5))
        return [part if isinstance(part, torch.Tensor) else part.tokens for part in batch]

    first = made()
    learner.task.batch(np.array([[4, 4]]), np.random.default_rng(0))
    assert all(torch.equal(one, other) for one, other in zip(first, made(), strict=True))
