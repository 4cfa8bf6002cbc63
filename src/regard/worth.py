"""Whether a run is better than the answers that stand beside it: one rule for every task."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Figure(NamedTuple):
    """By which runs of a task are compared with the answers beside."""

    key: str
    """Of the scores."""
    name: str
    """As the table of scores has it."""
    sign: int
    """1 where more is better, -1 where less is."""
    best: float
    """Than which nothing is better, so that a run has nothing to gain on an answer beside it."""


FIGURES = (
    Figure("accuracy", "accuracy", 1, 1.0),
    Figure("knn", "20 nearest", 1, 1.0),
    Figure("mae", "mean error", -1, 0.0),
    Figure("nats_per_token", "nats/token", -1, 0.0),
)
"""A task's scores have one of them."""


def unbeaten(scores: Mapping[str, Any]) -> tuple[list[str], str]:
    """The answers beside that the run is no better than, and by which figure."""
    figure = next((one for one in FIGURES if one.key in scores), None)
    if figure is None or scores[figure.key] == figure.best:
        return [], ""
    key, sign = figure.key, figure.sign
    names = [name for name, one in scores["baselines"].items() if sign * scores[key] <= sign * one[key]]
    return names, figure.name
