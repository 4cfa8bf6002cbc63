"""What `regard eval` finds of a run that names classes: its scores, single cases, and what its layers make of them.

One pass over the examples gives all of it. Shapes: count examples; classes.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from regard.errors import RegardError, counted
from regard.looking.draw_cases import draw_cases
from regard.looking.draw_confusion import Figure, draw_confusion, draw_scores, words_of_confusion
from regard.looking.drawing import Drawing, shown
from regard.looking.frame import MARGIN, legend
from regard.page.sheet import Table
from regard.sheets import TOP, WIDTH, Heard, Sheet, facts_of, layers_of
from regard.tasks.cases import COUNT, Case, Cases, cases_of
from regard.tasks.classification import evenly
from regard.tasks.layers import MOST, Streams
from regard.tasks.scores import MOST as LARGEST

if TYPE_CHECKING:
    from regard.tasks.classification import Classification, Labelled

FIGURES = (Figure("accuracy", "accuracy", ".2%"), Figure("nats", "nats", ".4f"))
Content = np.ndarray[Any, Any] | str
"""Of an example: pixels (height, width, 1 or 3), bytes; or its text."""


@dataclass(frozen=True, kw_only=True)
class Report(Sheet):
    cases: Cases
    content: Callable[[int], Content]
    """Of an example, by its number."""

    @cached_property
    def contents(self) -> tuple[list[Content], list[Content]]:
        """Of each case, the wrong and the right ones."""
        wrong, right = ([self.content(case.number) for case in cases] for cases in self.cases)
        return wrong, right

    def drawing(self) -> Drawing:
        """The sheet: the confusion beside the scores, the most wrong and most right examples, then the layers."""
        counts, examples = np.array(self.scores["confusion"]), f"{self.scores['examples']:,}"
        under = (f"{self.scores['accuracy']:.2%} of {examples} {self.unit} right, {shown(self.what, 40)}, "
                 f"{len(self.classes):,} classes")  # fmt: skip
        matrix = draw_confusion(counts, self.classes, MARGIN, TOP)
        table = draw_scores(self.scores, FIGURES, matrix.right + 56, TOP + 24)
        width = max(WIDTH, math.ceil(table.right) + MARGIN)
        items = [*self._titled("what was taken for what", under), *matrix.items, *table.items]
        y = round(max(matrix.bottom, table.bottom)) + 28
        items += legend("linear", MARGIN, y, "share of the row", "no example")
        y += 72
        for title, cases, contents in zip(self._titles(), self.cases, self.contents, strict=True):
            more, below = draw_cases(title, cases, contents, width, y)
            items, y = items + more, round(below) + 16
        sentence = f"{self.scores['accuracy']:.2%} of {examples} {self.unit} right: which class was taken for which."
        return self._finished(items, width, y, self._sentences(), sentence)

    def _titles(self) -> tuple[str, str]:
        """Of the cases: how many of how many."""
        counts = np.array(self.scores["confusion"])
        right = int(np.trace(counts))
        wrong, (most_wrong, most_right) = int(counts.sum()) - right, self.cases
        return (_title("Most wrong", most_wrong, counted(wrong, "mistake"), "the least likely true class first"),
                _title("Most right", most_right, counted(right, "right answer"), "the likeliest first"))  # fmt: skip

    def _sentences(self) -> list[str]:
        """What stands above the layers."""
        return [" ".join(words_of_confusion(np.array(self.scores["confusion"]))),
                "With each example: the probability of what was said; minus the logarithm of the true class's "
                "probability, in nats; and what it is called."]  # fmt: skip

    def _confusion(self) -> Table:
        """Of the classes that there were, or that were said."""
        counts = np.array(self.scores["confusion"])
        met = np.flatnonzero(counts.any(axis=0) | counts.any(axis=1))
        return Table("What was taken for what: rows the true class, columns what was said",
                     ("", *(self.classes[k] for k in met)),
                     [(self.classes[k], *counts[k, met].tolist()) for k in met])  # fmt: skip

    def tables(self) -> list[Table]:
        each = self.scores["per_class"].items()
        named = ("number, from 0", "name", "true", "said", "probability", "nats")
        cases = [Table(how, named, [tuple(case.to_json().values()) for case in cases])
                 for how, cases in zip(("Most wrong", "Most right"), self.cases, strict=True)]  # fmt: skip
        return [
            self._table_of_scores(FIGURES),
            Table("Classes", ("class", "examples", "found"), [(name, c["count"], c["accuracy"]) for name, c in each]),
            self._confusion(), *cases, *self._table_of_layers(),
        ]  # fmt: skip


def _title(how: str, cases: list[Case], among: str, order: str) -> str:
    return f"{how}: {len(cases)} of {among}, {order}" if cases else f"{how}: none"


def report_of(
    run: Any, task: "Classification", examples: "Labelled", name: Callable[[int], str],
    content: Callable[[int], Content], *, what: str, copied: np.ndarray[Any, Any] | None = None, known: bool = True,
    layers: bool = True, count: int = COUNT,
) -> Report:  # fmt: skip
    """name, content: of an example by its number. known: whether the run's own training part is in the task, without
    which there are no baselines, nor means of classes. count: of the cases of each kind."""
    classes, model = tuple(task.classes), run.model
    if layers and len(classes) > LARGEST:
        what = f"it draws which of at most {LARGEST:,} classes was taken for which, and there are {len(classes):,}"
        raise RegardError("--save", what, "leave it out: the scores need no drawing")
    streams = Streams(len(examples), task.parts.mean) if layers else None
    answers = task.answers(model, examples, streams)
    scores = task.scored(answers, examples, copied) if known else {**answers.scores(classes), "baselines": {}}
    cases = cases_of(answers, classes, name, count)
    for which, some in zip(("most_wrong", "most_right"), cases, strict=True):
        scores[which] = [case.to_json() for case in some]
    drawn = None
    if streams is not None:
        drawn = layers_of(Heard(streams, examples.truth), len(classes), _learnt(task, model) if known else None)
    whence = partial(facts_of, run, what, task.unit, scores, FIGURES)
    return Report(scores=scores, classes=classes, cases=cases, content=content, layers=drawn, what=what,
                  unit=task.unit, whence=whence)  # fmt: skip


def _learnt(task: "Classification", model: Any) -> Heard:
    """Training examples, at most MOST, as if by chance."""
    some = evenly(task.parts.train, MOST)
    heard = Heard(Streams(len(some), task.parts.mean), some.truth)
    task.answers(model, some, heard.streams)
    return heard
