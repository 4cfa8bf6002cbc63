"""What is said of a run that is no better than the answers beside it."""

from typing import Any

import pytest

from regard import words
from regard.worth import unbeaten


def scores(key: str, own: float, **beside: float) -> dict[str, Any]:
    return {key: own, "baselines": {name: {key: figure} for name, figure in beside.items()}}


@pytest.mark.parametrize(("found", "names"), [
    (scores("accuracy", 0.5, majority=0.4, linear=0.49), []),
    (scores("accuracy", 0.5, majority=0.4, linear=0.5), ["linear"]),
    (scores("accuracy", 0.4, majority=0.4, linear=0.5), ["majority", "linear"]),
    (scores("accuracy", 1.0, majority=0.4, linear=1.0), []),
    (scores("mae", 0.0, last_value=0.0), []),
    (scores("knn", 0.2, untrained=0.1, pixels=0.25), ["pixels"]),
    (scores("mae", 0.2, last_value=0.3, seasonal_naive=0.21), []),
    (scores("mae", 0.3, last_value=0.3, seasonal_naive=0.21), ["last_value", "seasonal_naive"]),
    (scores("nats_per_token", 2.0, unigram=3.0, uniform=5.0), []),
    (scores("nats_per_token", 3.5, unigram=3.0, uniform=5.0), ["unigram"]),
    (scores("accuracy", 0.1), []),
    ({"examples": 7, "teacher": {}, "baselines": {}}, []),
])  # fmt: skip
def test_a_run_has_to_be_better_than_each_answer_beside_it(found: dict[str, Any], names: list[str]) -> None:
    assert unbeaten(found)[0] == names


def test_it_is_said_in_a_line_below_the_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    named = {"mse": 1.0, "per_column": {"load": {"mae": 1.0}}}
    told = {**scores("mae", 0.3, last_value=0.2, seasonal_naive=0.1), **named, "patches": 3, "patch": 4}
    for one in told["baselines"].values():
        one |= {**named, "period": 24}
    lines = words.scores_text(told).split("\n")
    assert " ".join(lines[-2:]) == ("no better than last value and seasonal naive by mean error: train it for more "
                                    "minutes, or on more examples")  # fmt: skip
    told["mae"] = 0.01
    assert "no better" not in words.scores_text(told)
