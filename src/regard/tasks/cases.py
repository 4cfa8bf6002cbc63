"""Single examples: those to which the model's answer was the most wrong, and those to which it was the most right."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from regard.errors import RegardError
from regard.tasks.scores import Answers

COUNT = 12
"""Of each, unless more are asked for."""


@dataclass(frozen=True)
class Case:
    """One example, and what was said of it."""

    number: int
    """Which of the examples that were scored; the first is 0."""
    name: str
    """Its file, or what else it is called."""
    true: str
    said: str
    """The likeliest class."""
    probability: float
    """Of what was said."""
    nats: float
    """Minus the logarithm of the true class's probability."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Cases(NamedTuple):
    wrong: list[Case]
    """Mistakes whose true class was least likely, the least likely first."""
    right: list[Case]
    """Right answers whose class was likeliest, the likeliest first."""


def cases_of(answers: Answers, classes: tuple[str, ...], name: Callable[[int], str], count: int = COUNT) -> Cases:
    """So many of each, or all where there are fewer; of equal ones the earlier first. Raises RegardError for a count
    below 1.

    name: of an example by its number.
    """
    if count < 1:
        raise RegardError("count", f"{count} are none", "ask for 1 or more")

    def case(number: int) -> Case:
        true, said = classes[answers.truth[number]], classes[answers.said[number]]
        sure, nats = float(answers.sure[number]), float(answers.nats[number])
        return Case(number, name(number), true, said, sure, nats)

    mistaken = answers.said != answers.truth
    worst, best = (np.argsort(nats, kind="stable") for nats in (-answers.nats, answers.nats))
    wrong, right = worst[mistaken[worst]], best[~mistaken[best]]
    return Cases(*([case(number) for number in numbers[:count].tolist()] for numbers in (wrong, right)))
