"""What is known of a scene: its objects, what is said and asked of it, and where one object lies from another.

Rows count downwards, columns to the right, both in pixels from the picture's upper left corner.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from regard.data.scene_shapes import Figure

SIDES = {"left of": (1, -1), "right of": (1, 1), "above": (0, -1), "below": (0, 1)}
"""Axis of a centre (0 row, 1 column), and which way along it the one lies that is called so."""

OPPOSITE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}


@dataclass(frozen=True)
class Object:
    """A painted shape, and what of it can be seen behind later ones."""

    figure: Figure
    colour: str
    """A name of COLOURS."""
    texture: str
    """One of TEXTURES."""
    centre: tuple[float, float]
    """Row and column, the mean over the centres of its visible pixels."""
    box: tuple[int, int, int, int]
    """Top, left, height and width of the smallest rectangle with all its visible pixels."""
    area: int
    """Visible pixels."""
    visible: float
    """Which part of its pixels is visible, from 0 to 1."""

    @property
    def shape(self) -> str:
        return self.figure.shape

    def distance(self, side: str, other: "Object") -> float:
        """By how many pixels this object's centre is "left of", "right of", "above" or "below" the other's."""
        axis, way = SIDES[side]
        return way * (self.centre[axis] - other.centre[axis])


@dataclass(frozen=True)
class Question:
    """A question that the picture alone answers, in one way."""

    kind: str
    """colour, shape, texture, count, present, relation or side."""
    text: str
    answer: str
    """One word: a colour, a shape, a texture, a number from zero to six, yes or no."""


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture with everything that is known of it."""

    picture: npt.NDArray[np.uint8]
    """(height, width, 3) red, green, blue."""
    masks: npt.NDArray[np.bool_]
    """(objects, height, width) the visible pixels of each object: their centre lies inside it and in no later one."""
    objects: tuple[Object, ...]
    """In the order in which they are drawn, later ones over earlier ones."""
    label: str
    """The shape of the largest object."""
    margin: float
    """Pixels by which two centres differ at least where a caption or an answer says on which side one lies."""
    captions: tuple[str, ...]
    """Five: all objects; by shape; by colour; the largest; how two lie to each other, or that there is but one."""
    questions: tuple[Question, ...]
