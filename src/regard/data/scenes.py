"""Pictures of shapes before busy backgrounds, with everything that is known of them: to try things out, and as truth.

A scene is a function of (seed, index, height, width) alone; not of how many are made, nor in which order. Its picture
has one to six shapes in eight colours and four textures, later ones over earlier ones. Its label is the shape of the
largest object, which has at least MORE times the visible pixels of any other. Of each eight scenes in a row, from one
whose index is a multiple of eight, one has each label. The background is drawn first and knows nothing of the label.

`python -m regard.data.scenes FOLDER --count 2000 --seed 1` writes a folder of them; `scene_folder` tells its layout.
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from regard.columns import broken
from regard.data import scene_folder
from regard.data.scene_paint import COLOURS, LEGIBLE, TEXTURES, Floats, background, coat, tint
from regard.data.scene_shapes import SHAPES, Figure, centres
from regard.data.scene_things import Object, Scene
from regard.data.scene_words import captions, one_of, questions
from regard.errors import RegardError

LARGE, SMALL = (0.27, 0.36), (0.13, 0.20)
"""Sizes of the largest shape and of the others, as parts of the picture's shorter side."""

MORE = 1.25
"""The largest object's visible pixels are at least this many times any other's."""

VISIBLE = 0.65
"""The part of an object that is visible, at least."""

MARGIN = 0.12
"""Part of the picture's shorter side by which one object must be left of, right of, above or below the largest."""

GAP = 2
"""Pixels between two objects of one colour, at least."""

TURN = 30.0
"""Degrees that a shape is turned at most, either way."""

TRIES = 30
"""Places that are tried for a shape before the scene goes without it."""

SHORTEST, LONGEST = 32, 2048
"""Pixels of a picture's sides: below, shapes cannot be told apart; above, memory would not do."""


@dataclass(frozen=True, eq=False)
class _Painted:
    """A shape that is to be drawn."""

    figure: Figure
    colour: str
    texture: str
    whole: npt.NDArray[np.bool_]
    """(height, width) its pixels, as if nothing were in front of it."""


def scene(seed: int, index: int, height: int = 64, width: int = 64) -> Scene:
    """The scene of this seed and index. Raises RegardError for a negative number or a size out of its range."""
    _check(seed, index, height, width)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0, index)))
    canvas = background(rng, height, width)
    label = label_of(seed, index)
    drawn = _placed(rng, label, height, width)
    for painted in drawn:
        _draw(rng, canvas, painted)
    masks = _visible([painted.whole for painted in drawn])
    objects = tuple(_object(painted, mask) for painted, mask in zip(drawn, masks, strict=True))
    margin = MARGIN * min(height, width)
    return Scene(
        picture=(255 * canvas.clip(0, 1) + 0.5).astype(np.uint8),
        masks=masks,
        objects=objects,
        label=label,
        margin=margin,
        captions=captions(rng, objects, margin),
        questions=questions(rng, objects, margin),
    )


def label_of(seed: int, index: int) -> str:
    """The label of a scene: eight in a row have all labels, in an order of their own."""
    block, place = divmod(index, len(SHAPES))
    order = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1, block))).permutation(len(SHAPES))
    return list(SHAPES)[int(order[place])]


def _check(seed: int, index: int, height: int, width: int) -> None:
    for where, number in (("seed", seed), ("index", index)):
        if number < 0:
            raise RegardError(where, f"{number} is negative", "give 0 or more")
    for where, side in (("height", height), ("width", width)):
        if not SHORTEST <= side <= LONGEST:
            what = f"{side} pixels are out of the range of a scene"
            raise RegardError(where, what, f"give {SHORTEST} to {LONGEST:,}")


def _placed(rng: np.random.Generator, label: str, height: int, width: int) -> list[_Painted]:
    """What is drawn, from back to front: the largest and up to five others, each where it can be told apart."""
    largest = _proposed(rng, label, LARGE, [], height, width)
    drawn = [largest]
    for _ in range(rng.choice(6, p=[0.12, 0.2, 0.22, 0.2, 0.16, 0.1])):
        shape = _like(rng, 0.35, [painted.figure.shape for painted in drawn], list(SHAPES))
        for _ in range(TRIES):
            new = _proposed(rng, shape, SMALL, drawn, height, width)
            depth = rng.integers(len(drawn) + 1)
            proposal = [*drawn[:depth], new, *drawn[depth:]]
            if _is_clear(proposal, new, largest):
                drawn = proposal
                break
    return drawn


def _proposed(
    rng: np.random.Generator, shape: str, sizes: tuple[float, float], drawn: list[_Painted], height: int, width: int
) -> _Painted:
    """A shape anywhere inside the picture, or near one that is there."""
    size = min(height, width) * rng.uniform(*sizes)
    reach = SHAPES[shape].reach * size
    room = np.array([height, width]) - 2 * reach
    position = reach + room * rng.random(2)
    if drawn and rng.random() < 0.4:
        near = one_of(rng, drawn).figure
        position = (near.position + rng.normal(0, 0.7 * near.size, 2)).clip(reach, reach + room)
    figure = Figure(shape, float(size), float(rng.uniform(-TURN, TURN)), (float(position[0]), float(position[1])))
    colour = _like(rng, 0.3, [painted.colour for painted in drawn], list(COLOURS))
    texture = one_of(rng, TEXTURES) if size >= LEGIBLE else "plain"
    return _Painted(figure, colour, texture, figure.mask(height, width))


def _like(rng: np.random.Generator, often: float, there: Sequence[str], all_names: Sequence[str]) -> str:
    """One of all names, or so often one that is there already."""
    return one_of(rng, there if there and rng.random() < often else all_names)


def _is_clear(drawn: list[_Painted], new: _Painted, largest: _Painted) -> bool:
    """Whether each shape can be told from the others, and the largest is the largest, and on a side of all others."""
    if any(painted is not new and _runs_into(new, painted) for painted in drawn):
        return False
    masks = _visible([painted.whole for painted in drawn])
    areas, wholes = masks.sum(axis=(1, 2)), np.array([painted.whole.sum() for painted in drawn])
    first = drawn.index(largest)
    others = [n for n in range(len(drawn)) if n != first]
    if (areas < VISIBLE * wholes).any() or (areas[first] < MORE * areas[others]).any():
        return False
    away = np.array([_centre(masks[n]) for n in others]) - _centre(masks[first])
    return bool((abs(away).max(axis=1) >= MARGIN * min(new.whole.shape)).all())


def _runs_into(new: _Painted, other: _Painted) -> bool:
    """Whether both have one colour and so little between them that where one ends could not be seen."""
    if new.colour != other.colour:
        return False
    return bool((_grown(new.whole, GAP) & other.whole).any())


def _grown(mask: npt.NDArray[np.bool_], by: int) -> npt.NDArray[np.bool_]:
    """A mask and so many pixels around it."""
    height, width = mask.shape
    padded = np.pad(mask, by)
    rows = np.any([padded[n : n + height] for n in range(2 * by + 1)], axis=0)
    return np.asarray(np.any([rows[:, n : n + width] for n in range(2 * by + 1)], axis=0))


def _visible(wholes: Sequence[npt.NDArray[np.bool_]]) -> npt.NDArray[np.bool_]:
    """(objects, height, width) what later ones leave of each."""
    masks = np.array(wholes)
    hidden = np.zeros_like(masks[0])
    for mask in masks[::-1]:
        whole = mask.copy()
        mask &= ~hidden
        hidden |= whole
    return masks


def _draw(rng: np.random.Generator, canvas: Floats, painted: _Painted) -> None:
    """Over what is there; pixels that the shape covers in part are mixed."""
    figure = painted.figure
    window = figure.window(canvas.shape[0], canvas.shape[1])
    x, y = figure.local(*centres(*window))
    colours = coat(rng, painted.texture, tint(rng, painted.colour), x, y, figure.size)
    canvas[window] += figure.coverage(window)[..., None] * (colours - canvas[window])


def _object(painted: _Painted, mask: npt.NDArray[np.bool_]) -> Object:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    area = int(mask.sum())
    return Object(
        figure=painted.figure,
        colour=painted.colour,
        texture=painted.texture,
        centre=_centre(mask),
        box=(top, left, int(rows[-1]) - top + 1, int(columns[-1]) - left + 1),
        area=area,
        visible=area / int(painted.whole.sum()),
    )


def _centre(mask: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Row and column of the mean of a mask's pixels' centres."""
    rows, columns = np.nonzero(mask)
    return float(rows.mean() + 0.5), float(columns.mean() + 0.5)


class _Parser(argparse.ArgumentParser):
    """One that refuses as regard does."""

    def error(self, message: str) -> NoReturn:
        raise RegardError("scenes", message, "see `python -m regard.data.scenes --help`")


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes a folder of scenes and says what is in it; the exit code."""
    parser = _Parser(
        "python -m regard.data.scenes", description="Draws pictures of shapes, with all that is known of them."
    )
    parser.add_argument("folder", metavar="FOLDER", help="where they go; new, or empty")
    parser.add_argument("--count", type=int, default=2000, help="how many (default: 2000)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same scenes (default: 1)")
    parser.add_argument("--height", type=int, default=64, help="pixels downwards (default: 64)")
    parser.add_argument("--width", type=int, default=64, help="pixels to the right (default: 64)")
    try:
        given = parser.parse_args(arguments)
        _check(given.seed, 0, given.height, given.width)
        said = scene_folder.write(
            given.folder, given.count, lambda index: scene(given.seed, index, given.height, given.width)
        )
    except RegardError as refusal:
        print(broken(f"regard: {refusal}", sys.stderr), file=sys.stderr)
        return refusal.code
    except KeyboardInterrupt:  # what was begun is removed; the shell learns why it ended
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
        return 130
    print(broken(said, sys.stdout))
    return 0


if __name__ == "__main__":
    sys.exit(main())
