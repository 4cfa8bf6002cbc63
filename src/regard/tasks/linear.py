"""A linear classifier, the dumb answer that looks at single numbers: ridge regression on the classes as 0 and 1.

Shapes: count examples; features numbers of each; classes.
"""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
RIDGE = 1e-3
"""Added to the diagonal, a share of its mean: enough for numbers that never change, too little to matter else."""


@dataclass(frozen=True)
class Linear:
    weights: npt.NDArray[np.float64]
    """(features + 1, classes); the last row is what is added whatever is seen."""
    sharpness: float = 1.0
    """What the scores are multiplied with before the softmax that makes probabilities of them."""

    def scores(self, x: Array) -> npt.NDArray[np.float64]:
        """(count, classes): near 1 where a class is likely, near 0 where not."""
        found: npt.NDArray[np.float64] = x @ self.weights[:-1] + self.weights[-1]
        return found

    def nats(self, x: Array, labels: npt.NDArray[np.integer]) -> float:
        """Of an example, on the mean."""
        return _nats(self.scores(x), labels, self.sharpness)

    def __call__(self, x: Array) -> npt.NDArray[np.int64]:
        """x (count, features) -> (count,) the class with the largest score."""
        said: npt.NDArray[np.int64] = self.scores(x).argmax(axis=1)
        return said


def fit(x: Array, labels: npt.NDArray[np.integer], classes: int) -> Linear:
    """x (count, features), labels (count,). The solution is exact: Hastie et al. 2009, section 4.2."""
    mean = x.mean(axis=0, dtype=np.float64)
    gram, answers = np.zeros((x.shape[1],) * 2), np.zeros((x.shape[1], classes))
    shares = np.bincount(labels, minlength=classes) / len(labels)
    for start in range(0, len(x), 4096):
        part = (x[start : start + 4096] - mean).astype(np.float32)
        gram += part.T @ part
        answers += part.T @ (np.eye(classes, dtype=np.float32)[labels[start : start + 4096]] - shares)
    gram[np.diag_indices_from(gram)] += RIDGE * max(float(np.trace(gram)) / len(gram), 1e-12)
    weights = np.linalg.solve(gram, answers)
    linear = Linear(np.vstack([weights, shares - mean @ weights]))
    scores, truth = linear.scores(x[:: max(1, len(x) // 4096)]), labels[:: max(1, len(x) // 4096)]
    return replace(linear, sharpness=min(np.geomspace(0.25, 64, 33).tolist(), key=partial(_nats, scores, truth)))


def _nats(scores: npt.NDArray[np.float64], labels: npt.NDArray[np.integer], sharpness: float) -> float:
    sharp = sharpness * (scores - scores.max(axis=1, keepdims=True))
    own = np.take_along_axis(sharp, labels[:, None].astype(np.int64), axis=1)[:, 0]
    return float((np.log(np.exp(sharp).sum(axis=1)) - own).mean())
