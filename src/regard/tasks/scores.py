"""What was answered to each example, and the figures made of it.

Shapes: count examples; batch; classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from regard.training.ranks import Ranks

MOST = 1000
"""Classes of which it is counted how often each was taken for each other one."""
CONFUSED = 10
"""Pairs of classes that are named: those that were taken for each other most often."""


@dataclass(frozen=True)
class Answers:
    truth: npt.NDArray[np.int64]
    """(count,) the class of each."""
    said: npt.NDArray[np.int64]
    """(count,) the class that was likeliest."""
    sure: npt.NDArray[np.float64]
    """(count,) its probability."""
    nats: npt.NDArray[np.float64]
    """(count,) minus the logarithm of the true class's probability."""

    @classmethod
    def none(cls, truth: npt.NDArray[np.int64]) -> "Answers":
        """Of examples that are going to be asked."""
        return cls(truth, np.zeros(len(truth), np.int64), np.zeros(len(truth)), np.zeros(len(truth)))

    def fill(self, start: int, scores: Tensor) -> None:
        """scores (batch, classes) before the softmax, of the examples from number `start` on."""
        rows, log_p = slice(start, start + len(scores)), scores.cpu().double().log_softmax(dim=-1).numpy()
        self.said[rows] = log_p.argmax(axis=1)
        self.sure[rows] = np.exp(log_p.max(axis=1))
        self.nats[rows] = 0.0 - np.take_along_axis(log_p, self.truth[rows, None], axis=1)[:, 0]  # and never -0

    def summed(self, ranks: Ranks) -> "Answers":
        """Where each rank filled its own: all of them."""
        said, sure, nats = np.split(np.array(ranks.sum(*self.said.tolist(), *self.sure, *self.nats)), 3)
        return Answers(self.truth, said.astype(np.int64), sure, nats)

    def some(self, rows: npt.NDArray[np.bool_]) -> "Answers":
        """Only those."""
        return Answers(self.truth[rows], self.said[rows], self.sure[rows], self.nats[rows])

    def confusion(self, classes: int) -> npt.NDArray[np.int64]:
        """(classes, classes): how often the class of the row was taken for the class of the column."""
        pairs = np.bincount(self.truth * classes + self.said, minlength=classes * classes)
        return pairs.reshape(classes, classes)

    @property
    def mean(self) -> float:
        """Nats an example."""
        return float(self.nats.sum()) / max(len(self.nats), 1)

    @property
    def accuracy(self) -> float:
        """Which part was right, 0 to 1."""
        return int((self.said == self.truth).sum()) / max(len(self.truth), 1)

    def scores(self, classes: Sequence[str]) -> dict[str, Any]:
        """accuracy and nats, of each class how many there were and which part was found, and what was confused.

        Of more than MOST classes there is no confusion, as that is their number squared.
        """
        counts = np.bincount(self.truth, minlength=len(classes))
        right = np.bincount(self.truth[self.said == self.truth], minlength=len(classes))
        confusion = self.confusion(len(classes)).tolist() if len(classes) <= MOST else None
        each = {name: {"count": int(n), "accuracy": float(r / n) if n else None}
                for name, n, r in zip(classes, counts, right, strict=True)}  # fmt: skip
        return {"accuracy": self.accuracy, "nats": self.mean, "examples": len(self.truth), "per_class": each,
                "confusion": confusion, "confused": self.confused(classes, counts)}  # fmt: skip

    def confused(self, classes: Sequence[str], counts: npt.NDArray[np.int64]) -> list[dict[str, Any]]:
        """The classes that were most often taken for another: true, said, count, and of how many; most often first."""
        wrong = self.said != self.truth
        pairs, times = np.unique(self.truth[wrong] * len(classes) + self.said[wrong], return_counts=True)
        most = np.argsort(-times, kind="stable")[:CONFUSED]
        named = [(int(pair) // len(classes), int(pair) % len(classes), int(n)) for pair, n in
                 zip(pairs[most], times[most], strict=True)]  # fmt: skip
        return [{"true": classes[i], "said": classes[j], "count": n, "of": int(counts[i])} for i, j, n in named]
