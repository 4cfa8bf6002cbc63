"""Eight shapes of one area, each a formula that says which points lie inside, so that a mask can be exact.

Coordinates of a shape: x to the right, y downwards, its own centre at (0, 0), its area 1. In a picture the centre of
the pixel in row r and column c is at (r + 0.5, c + 0.5).
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import acos, cos, pi, radians, sin, sqrt

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

SAMPLES = 5
"""Points a pixel, downwards and to the right, by which edges are smoothed; the middle one is the pixel's centre."""


@dataclass(frozen=True)
class Shape:
    """What is inside, and how far the shape reaches."""

    contains: Callable[[Floats, Floats], Bools]
    """(x, y), arrays of one shape -> whether each point lies inside."""
    reach: float
    """The greatest distance of a point inside from (0, 0)."""


def _circle() -> Shape:
    r = 1 / sqrt(pi)
    return Shape(lambda x, y: x * x + y * y <= r * r, r)


def _ring() -> Shape:
    hole = 0.55  # of the radius
    r = 1 / sqrt(pi * (1 - hole**2))

    def contains(x: Floats, y: Floats) -> Bools:
        square = x * x + y * y
        return (square <= r * r) & (square > (hole * r) ** 2)

    return Shape(contains, r)


def _moon() -> Shape:
    """A disc without what another one of its size covers, whose centre is `aside` of a radius to the right."""
    aside = 0.7
    lens = 2 * acos(aside / 2) - aside / 2 * sqrt(4 - aside**2)
    r = 1 / sqrt(pi - lens)
    left = r * (1 - aside / 2) / 2  # the disc's centre, so that 0 is in the middle between its back and the tips
    right = left + aside * r

    def contains(x: Floats, y: Floats) -> Bools:
        return ((x - left) ** 2 + y * y <= r * r) & ((x - right) ** 2 + y * y > r * r)

    return Shape(contains, sqrt((left + right) ** 2 / 4 + r * r * (1 - aside**2 / 4)))


def _square() -> Shape:
    return Shape(lambda x, y: np.maximum(abs(x), abs(y)) <= 0.5, sqrt(0.5))


def _cross() -> Shape:
    """Five squares."""
    a = 0.5 / sqrt(5)  # half the side of one

    def contains(x: Floats, y: Floats) -> Bools:
        return (np.minimum(abs(x), abs(y)) <= a) & (np.maximum(abs(x), abs(y)) <= 3 * a)

    return Shape(contains, a * sqrt(10))


def _triangle() -> Shape:
    """All sides are equal; a corner points upwards."""
    r = 1 / sqrt(0.75 * sqrt(3))  # to a corner; half of it to a side
    return Shape(lambda x, y: np.maximum(y, (sqrt(3) * abs(x) - y) / 2) <= r / 2, r)


def _star() -> Shape:
    """Five points; folded along its ten lines of symmetry it is one triangle, of which one side is the star's edge."""
    inner, tenth = 0.45, pi / 5  # of the radius; of the full turn
    r = 1 / sqrt(5 * inner * sin(tenth))
    edge_x, edge_y = inner * r * cos(tenth), inner * r * sin(tenth)

    def contains(x: Floats, y: Floats) -> Bools:
        angle = abs((np.arctan2(x, -y) + tenth) % (2 * tenth) - tenth)  # 0 at a point, `tenth` between two
        length = np.hypot(x, y)
        along, across = length * np.cos(angle), length * np.sin(angle)
        return (edge_x - r) * across - edge_y * (along - r) >= 0

    return Shape(contains, r)


def _heart() -> Shape:
    """A square on its corner with half a disc on each of its upper sides."""
    a = 1 / sqrt(4 + pi)  # half the side, and the radius
    c = a / sqrt(2)

    def contains(x: Floats, y: Floats) -> Bools:
        return (abs(x) + abs(y) <= 2 * c) | ((abs(x) - c) ** 2 + (y + c) ** 2 <= a * a)

    return Shape(contains, 2 * a)


SHAPES: dict[str, Shape] = {
    "circle": _circle(),
    "ring": _ring(),
    "moon": _moon(),
    "square": _square(),
    "cross": _cross(),
    "triangle": _triangle(),
    "star": _star(),
    "heart": _heart(),
}


@dataclass(frozen=True)
class Figure:
    """A shape at its place in a picture."""

    shape: str
    """A name of SHAPES."""
    size: float
    """The square root of its area, in pixels."""
    angle: float
    """Degrees by which it is turned, clockwise."""
    position: tuple[float, float]
    """Row and column of the shape's own centre, in pixels from the picture's upper left corner."""

    def local(self, rows: Floats, columns: Floats) -> tuple[Floats, Floats]:
        """The shape's own coordinates (x, y) of all points with these rows (n, 1) and columns (m,), each (n, m)."""
        down, right = (rows - self.position[0]) / self.size, (columns - self.position[1]) / self.size
        c, s = cos(radians(self.angle)), sin(radians(self.angle))
        return c * right + s * down, c * down - s * right

    def contains(self, rows: Floats, columns: Floats) -> Bools:
        """(n, m) whether the points with these rows (n, 1) and columns (m,) lie inside."""
        return SHAPES[self.shape].contains(*self.local(rows, columns))

    def mask(self, height: int, width: int) -> Bools:
        """(height, width) the pixels whose centre lies inside."""
        return self.contains(*centres(slice(0, height), slice(0, width)))

    def window(self, height: int, width: int) -> tuple[slice, slice]:
        """The rows and columns of a picture in which the figure lies, at least one of each."""
        reach = SHAPES[self.shape].reach * self.size
        first = [max(0, int(middle - reach)) for middle in self.position]
        end = [min(n, int(middle + reach) + 1) for middle, n in zip(self.position, (height, width), strict=True)]
        return slice(first[0], end[0]), slice(first[1], end[1])

    def coverage(self, window: tuple[slice, slice]) -> Floats:
        """(n, m) which part of each pixel of the window lies inside, from 0 to 1, by SAMPLES * SAMPLES points."""
        (n, rows), (m, columns) = map(_samples, window)
        inside = self.contains(rows[:, None], columns).reshape(n, SAMPLES, m, SAMPLES)
        return np.asarray(inside.mean(axis=(1, 3)))


def centres(rows: slice, columns: slice) -> tuple[Floats, Floats]:
    """Rows (n, 1) and columns (m,) of the centres of a window's pixels."""
    down, right = (np.arange(side.start, side.stop, dtype=np.float64) + 0.5 for side in (rows, columns))
    return down[:, None], right


def _samples(pixels: slice) -> tuple[int, Floats]:
    """How many pixels, and where their points are."""
    n = pixels.stop - pixels.start
    return n, pixels.start + (np.arange(n * SAMPLES) + 0.5) / SAMPLES
