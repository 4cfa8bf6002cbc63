"""Counts of right and wrong answers, and the figures made of them.

Shapes: batch; classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor
from torch.nn import functional as F


@dataclass
class Counts:
    confusion: npt.NDArray[np.float64]
    """(classes, classes): how often the class of the row was taken for the class of the column."""
    total: float
    """Sum over examples of minus the logarithm of the true class's probability, in nats."""

    @classmethod
    def none(cls, classes: int) -> "Counts":
        return cls(np.zeros((classes, classes)), 0.0)

    @classmethod
    def of(cls, flat: Sequence[float], classes: int) -> "Counts":
        """The inverse of flat."""
        return cls(np.array(flat[:-1]).reshape(classes, classes), flat[-1])

    def less(self, other: "Counts") -> "Counts":
        """What is left without those."""
        return Counts(self.confusion - other.confusion, self.total - other.total)

    def flat(self) -> list[float]:
        """As numbers that can be added up over ranks."""
        return [*self.confusion.ravel().tolist(), self.total]

    def add(self, scores: Tensor, labels: Tensor) -> None:
        """scores (batch, classes) before the softmax, labels (batch,)."""
        said, truth = scores.argmax(dim=-1).cpu().numpy(), labels.cpu().numpy()
        np.add.at(self.confusion, (truth, said), 1.0)
        self.total += float(F.cross_entropy(scores, labels, reduction="none").double().sum())

    @property
    def nats(self) -> float:
        """An example."""
        return self.total / max(float(self.confusion.sum()), 1.0)

    @property
    def accuracy(self) -> float:
        """Which part was right, 0 to 1."""
        return float(np.trace(self.confusion)) / max(float(self.confusion.sum()), 1.0)

    def scores(self, classes: Sequence[str]) -> dict[str, Any]:
        """accuracy and nats, and of each class how many there were and which part of them was found."""
        counts, right = self.confusion.sum(axis=1), np.diag(self.confusion)
        each = {name: {"count": int(n), "accuracy": float(r / n) if n else None}
                for name, n, r in zip(classes, counts, right, strict=True)}  # fmt: skip
        return {"accuracy": self.accuracy, "nats": self.nats, "examples": int(counts.sum()), "per_class": each,
                "confusion": self.confusion.astype(int).tolist()}  # fmt: skip
