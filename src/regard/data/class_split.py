"""What is kept from training where no folder says it: a tenth of each class, copies on one side (P9, P11)."""

import numpy as np
import numpy.typing as npt

TRAIN, HELD_OUT, UNPARTED = 0, 1, 255
"""Codes of parts; unparted are pictures and sounds until they are decoded, as only then copies are known."""

MOST = 10_000
"""Pictures, sounds or texts held out at most."""


def held_out(labels: npt.NDArray[np.int32], groups: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """(count,) whether each is held out: a function of what they hold alone, not of their names or order.

    labels, (count,), -1 without one; groups, (count,), the same for copies of one and ascending with what it holds, not
    with its place (`copies.groups_of`). A tenth of each class, at least one of two; at most MOST in all, or one a class
    where there are more classes. Copies go together; those under two labels stay in training, and so does a class's
    only one.
    """
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    sizes = np.diff(starts, append=len(order))
    first = labels[order][starts]
    mixed = np.maximum.reduceat(labels[order], starts) != np.minimum.reduceat(labels[order], starts)
    classes, of = np.unique(first, return_inverse=True)
    left: npt.NDArray[np.int64] = _quotas(
        np.bincount(of[~mixed], weights=sizes[~mixed], minlength=len(classes)).astype(np.int64)
    )
    chosen = np.zeros(len(labels), dtype=np.bool_)
    for group in np.flatnonzero(~mixed):
        if sizes[group] <= left[of[group]]:
            left[of[group]] -= sizes[group]
            chosen[order[starts[group] : starts[group] + sizes[group]]] = True
    return chosen


def _quotas(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How many of each class are held out; what is too many is taken from the largest."""
    share = min(0.1, MOST / max(int(counts.sum()), 1))
    quotas: npt.NDArray[np.int64] = np.floor(counts * share + 0.5).astype(np.int64)
    quotas[(quotas == 0) & (counts >= 2)] = 1
    excess = int(quotas.sum()) - MOST
    for number in np.argsort(-quotas, kind="stable"):
        if excess > 0:
            cut = min(excess, int(quotas[number]) - 1)
            quotas[number] -= cut
            excess -= cut
    return quotas
