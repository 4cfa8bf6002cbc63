"""What was answered: each example's own numbers, the figures made of them, and the most wrong and most right cases."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from regard.errors import RegardError
from regard.tasks.cases import cases_of
from regard.tasks.classification import TOGETHER
from regard.tasks.scores import Answers
from regard.training.ranks import Ranks

from .asked import CLASSES, RNG, model, task

SCORES = torch.randn(40, 4, generator=torch.Generator().manual_seed(0))
LABELS = np.arange(40) % 3


class Two(Ranks):
    """This rank beside another, whose numbers are known."""

    def __init__(self, rank: int, others: list[float]) -> None:
        super().__init__(rank, 2)
        object.__setattr__(self, "others", others)

    def sum(self, *values: float) -> list[float]:
        others: list[float] = self.others  # type: ignore[attr-defined]
        return [a + b for a, b in zip(values, others or [0.0] * len(values), strict=True)]


def answered() -> Answers:
    found = Answers.none(LABELS)
    for start in (0, 16, 32):
        found.fill(start, SCORES[start : start + 16])
    return found


def test_answers_are_those_of_a_plain_loop() -> None:
    found, told = answered(), answered().scores(["a", "b", "c", "never"])
    right, nats = 0, 0.0
    confusion = [[0] * 4 for _ in range(4)]
    for k, (scores, truth) in enumerate(zip(SCORES.tolist(), LABELS.tolist(), strict=True)):
        shares = [math.exp(one) / sum(map(math.exp, scores)) for one in scores]
        said = shares.index(max(shares))
        assert (found.said[k], found.sure[k]) == (said, pytest.approx(max(shares), rel=1e-9))
        assert found.nats[k] == pytest.approx(-math.log(shares[truth]), rel=1e-9)
        right, nats = right + (said == truth), nats - math.log(shares[truth])
        confusion[truth][said] += 1
    assert told["accuracy"] == right / 40
    assert told["nats"] == pytest.approx(nats / 40, rel=1e-9)
    assert told["confusion"] == confusion
    assert told["per_class"]["never"] == {"count": 0, "accuracy": None}
    assert sum(one["count"] for one in told["per_class"].values()) == told["examples"] == 40
    odd = found.some(np.arange(40) % 2 == 1)
    assert odd.mean == pytest.approx(found.nats[1::2].mean())
    assert odd.accuracy == (found.said[1::2] == LABELS[1::2]).mean()


def test_what_was_confused_is_named_most_often_first() -> None:
    counts = RNG(4).integers(0, 9, (5, 5))
    names = list("abcde")
    slow = sorted((-counts[i, j], i, j) for i in range(5) for j in range(5) if i != j and counts[i, j])[:10]
    assert of_counts(counts).scores(names)["confused"] == [
        {"true": names[i], "said": names[j], "count": -n, "of": counts[i].sum()} for n, i, j in slow
    ]
    assert of_counts(np.diag([3, 4])).scores(["a", "b"])["confused"] == []


def of_counts(counts: np.ndarray) -> Answers:
    """So often each class of a row was taken for that of the column."""
    truth, said = (np.repeat(which.ravel(), counts.ravel()) for which in np.indices(counts.shape))
    order = RNG(0).permutation(len(truth))
    return Answers(truth[order], said[order], np.ones(len(truth)), np.zeros(len(truth)))


def test_of_very_many_classes_there_is_no_matrix() -> None:
    """Their number squared would not fit into memory; all else is as it is."""
    found = of_counts(np.array([[2, 1], [0, 3]]))
    few, many = found.scores(["a", "b"]), found.scores([str(number) for number in range(50_000)])
    assert few["confusion"] == [[2, 1], [0, 3]]
    assert many["confusion"] is None
    assert many["confused"] == [{"true": "0", "said": "1", "count": 1, "of": 3}]
    assert (many["per_class"]["1"], many["per_class"]["7"]) == (
        {"count": 3, "accuracy": 1.0}, {"count": 0, "accuracy": None})  # fmt: skip


def test_two_processes_that_share_the_examples_give_the_answers_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regard.tasks.classification.TOGETHER", 8)
    assert TOGETHER > 40  # so that one process alone would do it in one go
    whole, made = task(), model()
    alone = whole.answers(made, whole.held_out)
    second = task(ranks=Two(1, [])).answers(made, whole.held_out)
    assert (second.nats == 0).sum() == 24  # of five batches the first, third and fifth are the other's
    flat = [*second.said.tolist(), *second.sure.tolist(), *second.nats.tolist()]
    both = task(ranks=Two(0, flat)).answers(made, whole.held_out)
    for name in ("truth", "said", "sure", "nats"):
        assert np.array_equal(getattr(both, name), getattr(alone, name))


def test_each_example_is_asked_once_and_copies_are_left_out_without_asking_again() -> None:
    asked: list[int] = []

    class Asked(torch.nn.Module):
        def forward(self, tokens: Any, record: object = None) -> torch.Tensor:
            asked.append(tokens.batch)
            scores: torch.Tensor = made(tokens)
            return scores

    made, one = model(), task()
    copied = np.arange(40) % 5 == 0
    scores = one.evaluate_on(Asked(), one.held_out, copied)
    assert sum(asked) == 40
    others = one.evaluate_on(made, one.held_out.some(~copied))
    for name in ("accuracy", "nats", "examples"):
        assert scores["without_copies"][name] == pytest.approx(others[name], rel=1e-6)


@pytest.mark.parametrize("count", [1, 12, 40, 100])
def test_the_most_wrong_and_most_right_are_those_of_a_slow_search(count: int) -> None:
    found = answered()
    found.nats[5] = found.nats[9] = found.nats[30]  # of equal ones the earlier comes first
    cases = cases_of(found, CLASSES, "example {}".format, count)
    nats, wrong = found.nats.tolist(), (found.said != found.truth).tolist()
    mistakes, others = ({k: nats[k] for k in range(40) if wrong[k] == mistaken} for mistaken in (True, False))
    assert len(cases.wrong) == min(count, len(mistakes))
    assert len(cases.right) == min(count, len(others))
    for case in cases.wrong:
        worst = max(mistakes.values())
        number = min(k for k, nats in mistakes.items() if nats == worst)
        assert (case.number, case.nats) == (number, mistakes.pop(number))
        assert case.name == f"example {number}"
        assert (case.true, case.said) == (CLASSES[LABELS[number]], CLASSES[found.said[number]])
        assert case.probability == found.sure[number]
    for case in cases.right:
        best = min(others.values())
        assert case.number == min(k for k, nats in others.items() if nats == best)
        assert case.true == case.said
        others.pop(case.number)


def test_no_cases_are_refused() -> None:
    with pytest.raises(RegardError, match="count: 0 are none; ask for 1 or more"):
        cases_of(answered(), CLASSES, str, 0)
