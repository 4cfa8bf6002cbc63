"""What `regard eval` finds, as a sheet that can be kept: scores, what each layer makes of the examples, and whence.

What is drawn above the layers depends on the task: report.py has it for classes, distilled_report.py for pictures that
were learnt without labels. Shapes: count examples; classes.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from regard.errors import RegardError
from regard.files import write
from regard.looking.checkpoint import model_hash
from regard.looking.draw_confusion import Figure, compared
from regard.looking.draw_layers import KINDS, Plot, draw_layers
from regard.looking.drawing import Drawing, Item, Text, shown
from regard.looking.frame import INK, MARGIN, QUIET, caption
from regard.page.sheet import Table, page_of_sheet
from regard.page.space import axes_of
from regard.tasks.layers import Streams, nearest_mean

ENDINGS = (".html", ".svg", ".png")
WIDTH = 1100
"""Pixels across of a sheet at least."""
TOP = 112
"""Where begins what stands below the title."""
Array = np.ndarray[Any, Any]


class Heard(NamedTuple):
    """Examples, and what listened while the model had them."""

    streams: Streams
    truth: Array
    """(count,) the class of each; 0 of all where they have none."""


@dataclass(frozen=True)
class Layers:
    plots: list[Plot]
    truth: Array
    """(count,) the class of each example that has a mark; 0 of all where they have none."""
    learnt: int
    """Training examples that the means of the classes are over; 0 where there are none."""
    width: int
    """Of the residual stream."""


@dataclass(frozen=True, kw_only=True)
class Sheet(ABC):
    scores: dict[str, Any]
    """As `evaluate` returns them."""
    classes: tuple[str, ...]
    """() where the examples have none."""
    layers: Layers | None
    what: str
    """What was scored: "held-out part", or the name of a file."""
    unit: str
    """What the examples are: pictures, say."""
    whence: Callable[[], dict[str, Any]]
    """Makes the facts, which only what is saved tells: the weights' hash takes its time."""

    @cached_property
    def facts(self) -> dict[str, Any]:
        """Whence it is: run, data, seed, model, how many examples, versions."""
        return self.whence()

    @abstractmethod
    def drawing(self) -> Drawing: ...

    @abstractmethod
    def tables(self) -> list[Table]:
        """The numbers of the sheet, for those who cannot see it or want to copy them."""

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

    # what every sheet has

    def _titled(self, title: str, under: str) -> list[Item]:
        name = shown(str(self.facts["name"]), 40)
        return [Text(MARGIN, 60, f"{name}: {title}", 26, INK), Text(MARGIN, 84, under, 14, QUIET)]

    def _finished(
        self, items: list[Item], width: int, y: float, sentences: Sequence[str], sentence: str
    ) -> Drawing:  # fmt: skip
        """With the layers, below y, what all of it means, and whence it is. sentence: the whole of it in one."""
        told, layers = list(sentences), self.layers
        if layers is not None:
            items = [*items, Text(MARGIN, y + 16, "What each layer makes of them", 16, INK)]
            more, below = draw_layers(layers.plots, layers.truth, self.classes or (self.unit,), width, y + 36)
            items, y = items + more, round(below) + 16
            told += words_of_layers(layers, self.scores["examples"])
        more, below = caption([*told, origin(self.facts)], width, y + 16)
        return Drawing(width, round(below) + 20, sentence, (*items, *more), self.facts)

    def _table_of_scores(self, figures: Sequence[Figure]) -> Table:
        rows = [(name, *(one[figure.key] for figure in figures)) for name, one in compared(self.scores).items()]
        return Table("Scores", ("", *(figure.name for figure in figures)), rows)

    def _table_of_layers(self) -> list[Table]:
        if self.layers is None:
            return []
        heads = ("layer", "nearest mean right", "variance along the first direction", "along the second")
        plots = enumerate(self.layers.plots)
        return [Table("Layers", heads, [(layer, plot.right, *plot.explained) for layer, plot in plots])]


def layers_of(asked: Heard, classes: int, learnt: Heard | None) -> Layers:
    """Each layer's two directions of the largest variance, and how well the nearest mean of a class tells it there.

    learnt: training examples, whose means those are; None where there are none. Distances are taken in the full space.
    """
    truth, plots = asked.streams.chosen(asked.truth), list[Plot]()
    means = learnt.streams.layers if learnt is not None else []
    for layer, vectors in enumerate(asked.streams.layers):
        vectors = vectors.astype(np.float64)
        axes = axes_of(partial(list, (vectors,)), centred=True)
        first, second = axes.explained(vectors)
        right = None
        if learnt is not None:
            said = nearest_mean(means[layer], learnt.truth, vectors, classes)
            right = float((said == truth).mean())
        plots.append(Plot(axes.along(vectors), (first, second), right))
    return Layers(plots, truth, len(learnt.truth) if learnt is not None else 0, vectors.shape[1])


def words_of_layers(layers: Layers, examples: int) -> list[str]:
    """What the plots mean, in sentences."""
    kinds = len(np.unique(layers.truth))
    some = f"one of {len(layers.truth):,} examples" + ", chosen as if by chance" * (len(layers.truth) < examples)
    found = [f"Layer by layer: each mark is {some}: the mean over its tokens of the residual stream, drawn along the "
             "two directions in which that layer's vary most (PCA, about their mean; each layer has its own directions "
             f"and scale).{' Later classes lie over earlier ones.' * (kinds > 1)}"]  # fmt: skip
    if layers.learnt:
        found.append(f"Nearest mean right: the share whose own class has the nearest mean, of {layers.learnt:,} "
                     f"training examples, in all {layers.width:,} numbers of the stream.")  # fmt: skip
    if kinds > len(KINDS):
        found.append(f"The {len(KINDS)} commonest classes have marks of their own.")
    return found


def facts_of(run: Any, what: str, unit: str, scores: dict[str, Any], figures: Sequence[Figure]) -> dict[str, Any]:
    """Whence a sheet is, with those figures that there are."""
    return {
        "name": run.facts["run"], "task": run.facts["task"], "data": run.facts["data"], "seed": run.facts["seed"],
        "model": model_hash(run.model), "scored": what, "examples": scores["examples"], "unit": unit,
        **{figure.key: scores[figure.key] for figure in figures if figure.key in scores},
        "regard": run.facts["version"], "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "torch": torch.__version__,
    }  # fmt: skip


def origin(facts: dict[str, Any]) -> str:
    """The same in one line."""
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
