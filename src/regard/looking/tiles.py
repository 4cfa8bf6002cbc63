"""A head's matrix in squares of 256 cells, at any zoom: what the page asks for, whatever the length of the text.

At zoom z a cell stands for a square of 2^z x 2^z weights and shows their largest, so a single bright weight stays
visible; or, where that is asked for, the mean of those that are not masked. Shapes: r rows and c columns.
"""

import math
from typing import Any, Literal

import numpy as np
from torch import Tensor
from torch.nn.functional import pad

from regard.errors import RegardError
from regard.looking.formula import Index, allowed, scores, weights
from regard.looking.kept import Call
from regard.looking.stopping import stop_if_unwanted

SIDE = 256
"""Cells on a tile's side."""
KEPT_SIDE = 1024
"""A coarser view is made from one at most this long, which is kept; a finer one is computed when asked for."""

What = Literal["weights", "scores", "contributions", "mean"]
Array = np.ndarray[Any, Any]


def finest_kept(n: int, m: int) -> int:
    """The first zoom level that is at most KEPT_SIDE cells long."""
    return (-(-max(n, m) // KEPT_SIDE) - 1).bit_length()


def size_at(z: int, n: int) -> int:
    """Cells that n tokens take at zoom z."""
    return -(-n // (1 << z))


def level(call: Call, head: int, what: What, total: Tensor, value_norms: Tensor | None, z: int) -> Array:
    """The whole matrix at zoom z, float32, NaN where masked; computed in strips, so never n x m at once."""
    strips = []
    high = 2**z * max(1, (1 << 22) // (2**z * call.m))  # rows of a strip, a multiple of the cell's height
    for start in range(0, call.n, high):
        stop_if_unwanted()
        rows = slice(start, min(call.n, start + high))
        strips.append(cells(call, head, what, rows, slice(None), total[rows], value_norms, z))
    return np.concatenate(strips)


def cells(
    call: Call, head: int, what: What, rows: slice, columns: slice, total: Tensor, value_norms: Tensor | None, z: int
) -> Array:  # fmt: skip
    """Rows and columns, each from a multiple of 2^z on, at zoom z: float32, NaN where all of a square is masked."""
    if what == "mean":
        may = allowed(call.mask, rows, columns)
        return means(added(weights(call, head, rows, columns, total), z), added(may, z))
    return shrink(exact(call, head, what, rows, columns, total, value_norms), z)


def exact(
    call: Call, head: int, what: What, rows: Index, columns: Index, total: Tensor,
    value_norms: Tensor | None, masked: float = math.nan,
) -> Array:  # fmt: skip
    """Level 0: (r, c) float32 of the float64 recomputation; `masked` where a query may not look.

    total: (r,) log-sum-exp of these rows. value_norms: (m,) sizes of the values after the output matrix, for
    contributions only.
    """
    plain = what == "scores"  # means and contributions are made of weights
    cells = scores(call, head, rows, columns) if plain else weights(call, head, rows, columns, total)
    if what == "contributions":
        assert value_norms is not None
        cells *= value_norms[columns]
    return cells.masked_fill_(~allowed(call.mask, rows, columns), masked).float().numpy()


def shrink(cells: Array, z: int) -> Array:
    """Each 2^z x 2^z square becomes one cell, its largest number: (r, c) -> (r / 2^z, c / 2^z), rounded up."""
    if z == 0:
        return cells
    step = 2**z
    padded = np.pad(cells, [(0, -size % step) for size in cells.shape], constant_values=np.nan)
    squares = padded.reshape(padded.shape[0] // step, step, padded.shape[1] // step, step)
    largest: Array = np.fmax.reduce(squares, axis=(1, 3))  # fmax: a square is NaN only if all of it is
    return largest


def added(cells: Tensor, z: int) -> Tensor:
    """The sum of each 2^z x 2^z square in float64, of bools their number: (r, c) -> (r / 2^z, c / 2^z), rounded up."""
    step = 1 << z
    rows, columns = (-size % step for size in cells.shape)
    padded = pad(cells.double(), (0, columns, 0, rows))
    return padded.view(padded.shape[0] // step, step, padded.shape[1] // step, step).sum(dim=(1, 3))


def means(sums: Tensor, counts: Tensor) -> Array:
    """float32, NaN where there is nothing to take a mean of."""
    found: Array = (sums / counts).float().numpy()  # 0 / 0 is NaN
    return found


def check_tile(what: str, z: int, y: int, x: int, n: int, m: int) -> None:
    """Raises RegardError, naming the number, for a tile that does not exist."""
    if what not in ("weights", "scores", "contributions", "mean"):
        raise RegardError("tile", f"{what!r} is not drawn", "choose weights, scores, contributions or mean")
    last = (max(n, m) - 1).bit_length()
    if not 0 <= z <= last:
        raise RegardError("tile", f"zoom {z} does not exist", f"choose 0 to {last}")
    for name, at, size in (("y", y, size_at(z, n)), ("x", x, size_at(z, m))):
        if not 0 <= at * SIDE < size:
            raise RegardError("tile", f"{name} = {at} is outside", f"choose 0 to {(size - 1) // SIDE} at zoom {z}")
