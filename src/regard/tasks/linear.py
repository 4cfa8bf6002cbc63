"""A linear classifier, the dumb answer that looks at single numbers: ridge regression on the classes as 0 and 1.

Shapes: count examples; features numbers of each; classes.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
RIDGE = 1e-3
"""Added to the diagonal, a share of its mean: enough for numbers that never change, too little to matter else."""


@dataclass(frozen=True)
class Linear:
    weights: npt.NDArray[np.float64]
    """(features + 1, classes); the last row is what is added whatever is seen."""

    def __call__(self, x: Array) -> npt.NDArray[np.int64]:
        """x (count, features) -> (count,) the class with the largest score."""
        said: npt.NDArray[np.int64] = (x @ self.weights[:-1] + self.weights[-1]).argmax(axis=1)
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
    return Linear(np.vstack([weights, shares - mean @ weights]))
