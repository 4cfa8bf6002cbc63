"""What `regard eval` finds of a run that names classes: its scores, single cases, and what its layers make of them.

One pass over the examples gives all of it. Shapes: count examples; classes.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from regard.errors import RegardError
from regard.files import write
from regard.looking.checkpoint import model_hash
from regard.looking.draw_cases import draw_cases
from regard.looking.draw_confusion import draw_confusion, draw_scores, words_of_confusion
from regard.looking.draw_layers import KINDS, Plot, draw_layers
from regard.looking.drawing import Drawing, Text, shown
from regard.looking.frame import INK, MARGIN, QUIET, caption, legend
from regard.page.sheet import Table, page_of_sheet
from regard.page.space import axes_of
from regard.tasks.cases import COUNT, Cases, cases_of
from regard.tasks.classification import evenly
from regard.tasks.layers import MOST, Streams, nearest_mean
from regard.tasks.scores import MOST as LARGEST

if TYPE_CHECKING:
    from regard.tasks.classification import Classification, Labelled

ENDINGS = (".html", ".svg", ".png")
WIDTH = 1100
"""Pixels across of a sheet at least."""
Content = np.ndarray[Any, Any] | str
"""Of an example: pixels (height, width, 1 or 3), bytes; or its text."""


@dataclass(frozen=True)
class Layers:
    plots: list[Plot]
    truth: np.ndarray[Any, Any]
    """(count,) the class of each example that has a mark."""
    learnt: int
    """Training examples that the means of the classes are over; 0 where the run's own are not there."""
    width: int
    """Of the residual stream."""


@dataclass(frozen=True)
class Report:
    scores: dict[str, Any]
    """As `evaluate` returns them."""
    classes: tuple[str, ...]
    cases: Cases
    content: Callable[[int], Content]
    """Of an example, by its number."""
    layers: Layers | None
    what: str
    """What was scored: "held-out part", or the name of a file."""
    unit: str
    """What the examples are: pictures, say."""
    whence: Callable[[], dict[str, Any]]
    """Makes the facts, which only what is saved tells: the weights' hash takes its time."""

    @cached_property
    def contents(self) -> tuple[list[Content], list[Content]]:
        """Of each case, the wrong and the right ones."""
        wrong, right = ([self.content(case.number) for case in cases] for cases in self.cases)
        return wrong, right

    @cached_property
    def facts(self) -> dict[str, Any]:
        """Whence it is: run, data, seed, model, how many examples, versions."""
        return self.whence()

    def save(self, path: str | Path, overwrite: bool = False) -> None:
        """x.svg and x.png are the sheet; x.html is a page by itself, the sheet and its numbers as tables.

        Raises RegardError for another ending, and for a file that is there.
        """
        check_ending(path)
        drawing = self.drawing()
        if Path(path).suffix.lower() == ".html":
            write(Path(path), page_of_sheet(drawing, self.tables()).encode(), overwrite)
        else:
            drawing.save(path, overwrite)

    def drawing(self) -> Drawing:
        """The sheet: the confusion beside the scores, the most wrong and most right examples, then the layers."""
        counts, examples = np.array(self.scores["confusion"]), f"{self.scores['examples']:,}"
        title = f"{shown(str(self.facts['name']), 40)}: what was taken for what"
        under = (f"{self.scores['accuracy']:.2%} of {examples} {self.unit} right, {shown(self.what, 40)}, "
                 f"{len(self.classes):,} classes")  # fmt: skip
        matrix = draw_confusion(counts, self.classes, MARGIN, 112)
        table = draw_scores(self.scores, matrix.right + 56, 136)
        width = max(WIDTH, math.ceil(table.right) + MARGIN)
        items = [Text(MARGIN, 60, title, 26, INK), Text(MARGIN, 84, under, 14, QUIET), *matrix.items, *table.items]
        y = round(max(matrix.bottom, table.bottom)) + 28
        items += legend("linear", MARGIN, y, "share of the row", "no example")
        y += 72
        for how, cases, contents in zip(("Most wrong", "Most right"), self.cases, self.contents, strict=True):
            least = "least likely" if how == "Most wrong" else "likeliest"
            name = f"{how}: the {len(cases)} of {examples} whose true class was {least}"
            more, below = draw_cases(name, cases, contents, width, y)
            items, y = items + more, round(below) + 16
        if self.layers is not None:
            items.append(Text(MARGIN, y + 16, "What each layer makes of them", 16, INK))
            more, below = draw_layers(self.layers.plots, self.layers.truth, self.classes, width, y + 36)
            items, y = items + more, round(below) + 16
        more, below = caption([*self.sentences(), origin(self.facts)], width, y + 16)
        sentence = f"{self.scores['accuracy']:.2%} of {examples} {self.unit} right: which class was taken for which."
        return Drawing(width, math.ceil(below) + 20, sentence, (*items, *more), self.facts)

    def sentences(self) -> list[str]:
        """What the sheet means."""
        found = [" ".join(words_of_confusion(np.array(self.scores["confusion"])))]
        found.append("With each example: the probability of what was said; minus the logarithm of the true class's "
                     "probability, in nats; and what it is called.")  # fmt: skip
        if self.layers is not None:
            found += words_of_layers(self.layers, self.scores["examples"])
        return found

    def _confusion(self) -> Table:
        """Of the classes that there were, or that were said."""
        counts = np.array(self.scores["confusion"])
        met = np.flatnonzero(counts.any(axis=0) | counts.any(axis=1))
        return Table("What was taken for what: rows the true class, columns what was said",
                     ("", *(self.classes[k] for k in met)),
                     [(self.classes[k], *counts[k, met].tolist()) for k in met])  # fmt: skip

    def tables(self) -> list[Table]:
        """The numbers of the sheet, for those who cannot see it or want to copy them."""
        others = self.scores.get("without_copies", {"examples": 0})
        fresh = {f"the {others['examples']:,} not learnt from": others} if others["examples"] else {}
        rows = [("this run", self.scores), *fresh.items(), *self.scores["baselines"].items()]
        each = self.scores["per_class"].items()
        found = [
            Table("Scores", ("", "accuracy", "nats"), [(name, one["accuracy"], one["nats"]) for name, one in rows]),
            Table("Classes", ("class", "examples", "found"), [(name, c["count"], c["accuracy"]) for name, c in each]),
            self._confusion(),
        ]  # fmt: skip
        named = ("number, from 0", "name", "true", "said", "probability", "nats")
        for how, cases in zip(("Most wrong", "Most right"), self.cases, strict=True):
            found.append(Table(how, named, [tuple(case.to_json().values()) for case in cases]))
        if self.layers is not None:
            plots = enumerate(self.layers.plots)
            heads = ("layer", "nearest mean right", "variance along the first direction", "along the second")
            found.append(Table("Layers", heads, [(layer, plot.right, *plot.explained) for layer, plot in plots]))
        return found


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
    drawn = None if streams is None else layers_of(task, model, streams, examples.truth, known)

    def whence() -> dict[str, Any]:
        return {
            "name": run.facts["run"], "task": run.facts["task"], "data": run.facts["data"], "seed": run.facts["seed"],
            "model": model_hash(model), "scored": what, "examples": len(examples), "unit": task.unit,
            "accuracy": scores["accuracy"], "nats": scores["nats"], "regard": run.facts["version"],
            "made": datetime.now(UTC).isoformat(timespec="seconds"), "torch": torch.__version__,
        }  # fmt: skip

    return Report(scores, classes, cases, content, drawn, what, task.unit, whence)


def layers_of(
    task: "Classification", model: Any, streams: Streams, truth: np.ndarray[Any, Any], known: bool
) -> Layers:  # fmt: skip
    """Each layer's two directions of the largest variance, and how well the nearest mean of a class tells it there.

    The means are over training examples, at most MOST, as if by chance; distances are taken in the full space.
    """
    truth, plots = streams.chosen(truth), list[Plot]()
    learnt = evenly(task.parts.train, MOST)
    means = Streams(len(learnt), task.parts.mean)
    if known:
        task.answers(model, learnt, means)
    of_classes = means.layers if known else []
    for layer, vectors in enumerate(streams.layers):
        vectors = vectors.astype(np.float64)
        axes = axes_of(partial(list, (vectors,)), centred=True)
        first, second = axes.explained(vectors)
        right = None
        if known:
            said = nearest_mean(of_classes[layer], learnt.truth, vectors, len(task.classes))
            right = float((said == truth).mean())
        plots.append(Plot(axes.along(vectors), (first, second), right))
    return Layers(plots, truth, len(learnt) if known else 0, vectors.shape[1])


def words_of_layers(layers: Layers, examples: int) -> list[str]:
    """What the plots mean, in sentences."""
    some = f"one of {len(layers.truth):,} examples" + ", chosen as if by chance" * (len(layers.truth) < examples)
    found = [f"Layer by layer: each mark is {some}: the mean over its tokens of the residual stream, drawn along the "
             "two directions in which that layer's vary most (PCA, about their mean; each layer has its own directions "
             "and scale). Later classes lie over earlier ones."]  # fmt: skip
    if layers.learnt:
        found.append(f"Nearest mean right: the share whose own class has the nearest mean, of {layers.learnt:,} "
                     f"training examples, in all {layers.width:,} numbers of the stream.")  # fmt: skip
    if len(np.unique(layers.truth)) > len(KINDS):
        found.append(f"The {len(KINDS)} commonest classes have marks of their own.")
    return found


def origin(facts: dict[str, Any]) -> str:
    """Whence a sheet is, in one line."""
    data = facts["data"]
    known = "" if data is None else f"data {shown(data['name'], 40)} {(data['digest'] or '')[:8]} | "
    seed = "" if facts["seed"] is None else f"seed {facts['seed']} | "
    return (f"{shown(str(facts['name']), 60)} | {seed}{known}model {facts['model'][:12]} | "
            f"{facts['examples']:,} {facts['unit']}, {shown(facts['scored'], 60)} | scored {facts['made'][:10]} | "
            f"regard {facts['regard']}, torch {facts['torch']}")  # fmt: skip


def check_ending(path: str | Path) -> None:
    """Raises RegardError."""
    if Path(path).suffix.lower() not in ENDINGS:
        raise RegardError(str(path), "its ending does not say what to save", "end it in .html, .svg or .png")
