"""What `regard eval` finds of a run that learnt pictures without labels: its scores, and what its layers make of them.

Classes, where the pictures have some, only colour the marks and score the layers.
"""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from regard.errors import counted
from regard.looking.draw_confusion import Figure, draw_scores
from regard.looking.drawing import Drawing, shown
from regard.looking.frame import MARGIN
from regard.page.sheet import Table
from regard.sheets import TOP, WIDTH, Heard, Sheet, facts_of, layers_of
from regard.tasks.classification import evenly
from regard.tasks.layers import MOST, Streams, mean_of_rows

if TYPE_CHECKING:
    from regard.tasks.distillation import Distillation
    from regard.tasks.distiller import Distiller
    from regard.tasks.pictures import PictureExamples

FIGURES = (Figure("knn", "20 nearest", ".2%"), Figure("linear", "linear", ".2%"))


@dataclass(frozen=True, kw_only=True)
class DistilledReport(Sheet):
    def drawing(self) -> Drawing:
        """The sheet: the scores where there are classes, then the layers."""
        known = f"{len(self.classes):,} classes, which were not learnt from" if self.classes else "without labels"
        under = f"{counted(self.scores['examples'], 'picture')}, {shown(self.what, 40)}, {known}"
        items, y = self._titled("what each layer makes of pictures", under), float(TOP)
        if self.classes:
            table = draw_scores(self.scores, FIGURES, MARGIN, y)
            items, y = items + table.items, round(table.bottom) + 16
        return self._finished(items, WIDTH, y, self._sentences(), f"{under}: what each layer makes of them.")

    def _sentences(self) -> list[str]:
        """What stands above the layers."""
        told = ("20 nearest, linear: the share put right by the 20 training pictures whose features are most like its "
                "own, and by a linear classifier on the features: of this run, of the same network before it learnt, "
                "and of the pixels themselves.")  # fmt: skip
        return [told] if self.classes else []

    def tables(self) -> list[Table]:
        return [*([self._table_of_scores(FIGURES)] if self.classes else []), *self._table_of_layers()]


def distilled_report_of(
    run: Any, task: "Distillation", model: "Distiller", asked: "PictureExamples", *, what: str,
    copied: np.ndarray[Any, Any] | None, layers: bool,
) -> DistilledReport:  # fmt: skip
    """asked: pictures whose classes, if there are any, are numbered as the run's."""
    scores, classes, drawn = task.evaluate_on(model, asked, copied), tuple(task.classes), None
    if layers:
        learnt = _heard(task, model, evenly(task.known, MOST)) if classes else None
        drawn = layers_of(_heard(task, model, asked), len(classes), learnt)
    return DistilledReport(scores=scores, classes=classes, layers=drawn, what=what, unit=task.unit,
                           whence=partial(facts_of, run, what, task.unit, scores, FIGURES))  # fmt: skip


def _heard(task: "Distillation", model: "Distiller", examples: "PictureExamples") -> Heard:
    streams = Streams(len(examples), mean_of_rows)
    task.features(model, examples, streams)
    return Heard(streams, examples.truth if task.classes else np.zeros(len(examples), np.int64))
