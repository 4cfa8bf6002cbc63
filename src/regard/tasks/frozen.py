"""What frozen features are worth: what plain classifiers find by them that learnt nothing of how they were made.

Shapes: count of examples; features of each; classes.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from torch import Tensor

from regard.tasks.linear import fit
from regard.tasks.neighbours import nearest_class

Right = dict[str, npt.NDArray[np.bool_]]


class Known(NamedTuple):
    """Examples with their classes."""

    features: Tensor
    """(count, features)"""
    labels: npt.NDArray[np.int64]
    """(count,)"""


def put_right(known: Known, asked: Known, classes: int) -> Right:
    """Which of `asked` are put right, (count,) each: knn, by their nearest of `known`; linear, as fitted to those."""
    nearest = nearest_class(known.features, known.labels, asked.features, classes)
    linear = fit(known.features.cpu().numpy(), known.labels, classes)(asked.features.cpu().numpy())
    return {"knn": nearest == asked.labels, "linear": linear == asked.labels}


def shares(right: Right, counted: npt.NDArray[np.bool_] | slice = slice(None)) -> dict[str, float | None]:
    """Which part of those that are counted was put right, 0 to 1; None where none are."""
    return {name: float(found[counted].mean()) if len(found[counted]) else None for name, found in right.items()}
