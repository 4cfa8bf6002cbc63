"""What is known so far of a recording's matrices: log-sum-exps, sums and zoomed-out pictures; all can be made again.

Several threads may ask at once. Shapes: n query positions.
"""

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regard.looking import tiles
from regard.looking.formula import STRIP, logsumexp
from regard.looking.kept import Call
from regard.looking.sweep import Sums, added_weights, sweep
from regard.looking.tiles import What

KEPT_BYTES = 256 << 20
"""Of zoomed-out matrices held for the page; one has 4 MiB at most, sums and counts for means 16."""

Array = np.ndarray[Any, Any]
Key = tuple[str, int, int, What, int]
"""Site, layer, head, what, and the zoom."""


class Matrices:
    def __init__(self, ids: Sequence[int]) -> None:
        """ids: the tokens, for the induction score."""
        self._ids = ids
        self._totals: dict[tuple[str, int, int], Tensor] = {}
        self._sums: dict[tuple[str, int, int], Sums] = {}
        self._levels: OrderedDict[Key, Array] = OrderedDict()
        self._lock = threading.Lock()

    def total(self, call: Call, head: int, rows: slice) -> Tensor:
        """L of these rows. Of a long text only the strips that hold them are computed, and kept for the others."""
        first, end, _ = rows.indices(call.n)
        key = (call.site, call.layer, head)
        with self._lock:
            total = self._totals.setdefault(key, torch.full((call.n,), math.nan, dtype=torch.float64))
        if total[first:end].isnan().any():
            first, end = first - first % STRIP, min(call.n, end + -end % STRIP)
            total[first:end] = logsumexp(call, head, first, end)
        return total[rows]

    def sums(self, call: Call, head: int) -> Sums:
        key = (call.site, call.layer, head)
        if key not in self._sums:
            self._sweep(call, head)
        return self._sums[key]

    def level(self, call: Call, head: int, what: What, z: int, value_norms: Callable[[], Tensor | None]) -> Array:
        """The whole matrix at a zoom level that is kept, the least recently used forgotten."""
        finest = tiles.finest_kept(call.n, call.m)
        if what == "mean":
            return self._means(call, head, finest, z - finest)
        key = (call.site, call.layer, head, what, z)
        if (known := self._known(key)) is not None:
            return known
        if z > finest:  # the largest of the largest
            found = tiles.shrink(self.level(call, head, what, finest, value_norms), z - finest)
        elif what == "weights":
            return self._sweep(call, head)
        else:
            total, norms = self.total(call, head, slice(None)), value_norms()
            found = tiles.level(call, head, what, total, norms, z)
        with self._lock:
            self._keep(key, found)
        return found

    def _means(self, call: Call, head: int, finest: int, coarser: int) -> Array:
        """From sums and counts at the finest level, which are kept: a mean of means would weigh masked cells."""
        key: Key = (call.site, call.layer, head, "mean", finest)
        added = self._known(key)
        if added is None:
            added = added_weights(call, head, finest).numpy()
            with self._lock:
                self._keep(key, added)
        sums, counts = (tiles.added(part, coarser) for part in torch.from_numpy(added))
        return tiles.means(sums, counts)

    def _known(self, key: Key) -> Array | None:
        with self._lock:
            if key not in self._levels:
                return None
            self._levels.move_to_end(key)
            return self._levels[key]

    def _sweep(self, call: Call, head: int) -> Array:
        """One pass over the head's whole matrix: sums and log-sum-exps are kept for good, the picture among others."""
        swept, key = sweep(call, head, self._ids), (call.site, call.layer, head)
        with self._lock:
            self._totals[key], self._sums[key] = swept.total, swept.sums
            self._keep((*key, "weights", tiles.finest_kept(call.n, call.m)), swept.level)
        return swept.level

    def _keep(self, key: Key, level: Array) -> None:
        """The lock is held."""
        self._levels[key] = level
        while len(self._levels) > 1 and sum(one.nbytes for one in self._levels.values()) > KEPT_BYTES:
            self._levels.popitem(last=False)
