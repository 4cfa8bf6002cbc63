"""What scenes are painted with: named colours, textures of shapes, and busy backgrounds that know nothing of them.

Colours are floats from 0 to 1, red, green, blue.
"""

import colorsys

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

COLOURS: dict[str, tuple[float, float, float]] = {  # hue in turns, saturation, value
    "red": (0.995, 0.85, 0.88),
    "orange": (0.075, 0.93, 1.0),
    "yellow": (0.148, 0.82, 0.98),
    "green": (0.36, 0.78, 0.68),
    "cyan": (0.505, 0.72, 0.92),
    "blue": (0.61, 0.82, 0.92),
    "purple": (0.775, 0.68, 0.80),
    "white": (0.0, 0.0, 0.97),
}

TEXTURES = ("plain", "striped", "dotted", "shaded")

LEGIBLE = 12.0
"""Pixels of a shape's size from which its texture can be seen; smaller ones are plain."""

DARK = 0.52
"""The second colour of a texture is the first, this many times as bright."""


def rgb(hue: float, saturation: float, value: float) -> Floats:
    return np.array(colorsys.hsv_to_rgb(hue % 1, saturation, value))


def tint(rng: np.random.Generator, colour: str) -> Floats:
    """(3,) one of the tints that bear this name."""
    hue, saturation, value = COLOURS[colour]
    return rgb(hue + 0.012 * rng.uniform(-1, 1), saturation * rng.uniform(0.9, 1), value * rng.uniform(0.92, 1))


def coat(rng: np.random.Generator, texture: str, tint: Floats, x: Floats, y: Floats, size: float) -> Floats:
    """(n, m, 3) the colours at a shape's own coordinates x and y (n, m); `size` in pixels keeps textures legible."""
    turn = rng.uniform(0, np.pi)
    along, across = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
    dark = _dark(texture, along, across, size)[..., None]
    return tint * (1 - (1 - DARK) * dark)


def _dark(texture: str, along: Floats, across: Floats, size: float) -> Floats:
    """(n, m) where a texture is dark, from 0 to 1."""
    period = max(5.0, size / 3) / size
    if texture == "striped":
        return (0.5 + 1.5 * np.sin(2 * np.pi * along / period)).clip(0, 1)
    if texture == "dotted":
        from_dot = np.hypot((along / period) % 1 - 0.5, (across / period) % 1 - 0.5) * period * size  # in pixels
        return (0.29 * period * size + 0.5 - from_dot).clip(0, 1)
    if texture == "shaded":
        return (0.5 + 1.1 * along).clip(0, 1)
    return np.zeros_like(along)


def background(rng: np.random.Generator, height: int, width: int) -> Floats:
    """(height, width, 3) two muted colours that flow together, lines or blotches or neither over them, and grain."""
    first, second = _muted(rng), _muted(rng)
    flow = (_clouds if rng.random() < 0.5 else _gradient)(rng, height, width)[..., None]
    picture = first * (1 - flow) + second * flow
    strew = rng.choice(3)
    if strew:
        for _ in range(rng.integers(6, 14)):
            picture = (_line if strew == 1 else _blotch)(rng, picture)
    return picture + rng.normal(0, rng.uniform(0.004, 0.03), picture.shape)


def _muted(rng: np.random.Generator) -> Floats:
    return rgb(rng.random(), rng.uniform(0.05, 0.35), rng.uniform(0.2, 0.55))


def _gradient(rng: np.random.Generator, height: int, width: int) -> Floats:
    """(height, width) from 0 to 1 in one direction."""
    rows, columns = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    turn = rng.uniform(0, 2 * np.pi)
    return np.asarray((0.5 + 0.5 * (np.cos(turn) * rows + np.sin(turn) * columns)).clip(0, 1))


def _clouds(rng: np.random.Generator, height: int, width: int) -> Floats:
    """(height, width) from 0 to 1: coarse noise and half as much of ever finer noise."""
    total = np.zeros((height, width))
    for octave in range(3):
        knots = 3 * 2**octave
        total += (_between(height, knots) @ rng.normal(size=(knots, knots)) @ _between(width, knots).T) / 2**octave
    return (0.5 + 0.35 * total).clip(0, 1)


def _between(n: int, knots: int) -> Floats:
    """(n, knots) the matrix that interpolates n values between knots."""
    at = np.linspace(0, knots - 1, n)
    return np.asarray((1 - abs(at[:, None] - np.arange(knots))).clip(0))


def _line(rng: np.random.Generator, picture: Floats) -> Floats:
    """Across the whole picture."""
    height, width, _ = picture.shape
    turn, thick = rng.uniform(0, np.pi), min(height, width) * rng.uniform(0.008, 0.03)
    row, column = rng.uniform(0, height), rng.uniform(0, width)
    rows, columns = np.ogrid[0.5:height, 0.5:width]
    away = abs(np.cos(turn) * (rows - row) + np.sin(turn) * (columns - column))
    return _over(picture, (thick + 0.5 - away).clip(0, 1), _muted(rng))


def _blotch(rng: np.random.Generator, picture: Floats) -> Floats:
    """An ellipse without an edge, so that it is none of the shapes."""
    height, width, _ = picture.shape
    radii = min(height, width) * rng.uniform(0.05, 0.2, 2)
    row, column = rng.uniform(0, height), rng.uniform(0, width)
    rows, columns = np.ogrid[0.5:height, 0.5:width]
    away = ((rows - row) / radii[0]) ** 2 + ((columns - column) / radii[1]) ** 2
    return _over(picture, np.exp(-away), _muted(rng))


def _over(picture: Floats, part: Floats, colour: Floats) -> Floats:
    return picture + part[..., None] * (colour - picture)
