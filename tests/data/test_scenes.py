"""Scenes: the same each time, their masks exact, their objects what can be seen, their labels even."""

import colorsys
import hashlib
import math
import os
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from regard.data import scenes
from regard.data.scene_paint import COLOURS, TEXTURES
from regard.data.scene_shapes import SHAPES, Figure
from regard.data.scene_things import Object, Scene
from regard.data.scenes import label_of, scene
from regard.errors import RegardError

MANY = [(seed, (7 * seed) % 13) for seed in range(500)]


@pytest.fixture(scope="module")
def many() -> list[Scene]:
    """Of 500 seeds."""
    return [scene(seed, index) for seed, index in MANY]


def corners(shape: str) -> list[tuple[float, float]]:
    """A shape's outline as a row of corners (x, y), of any size."""
    if shape == "square":
        return [(-1, -1), (1, -1), (1, 1), (-1, 1)]
    if shape == "cross":
        quarter = [(1, 3), (1, 1), (3, 1)]
        turned = [[(x, y), (y, -x), (-x, -y), (-y, x)] for x, y in quarter]
        return [point for turn in range(4) for point in (row[turn] for row in turned)]
    ways, radii = (3, [1]) if shape == "triangle" else (10, [1, 0.45])
    return [
        (
            radii[i % len(radii)] * math.sin(2 * math.pi * i / ways),
            -radii[i % len(radii)] * math.cos(2 * math.pi * i / ways),
        )
        for i in range(ways)
    ]


def crosses(point: tuple[float, float], outline: list[tuple[float, float]]) -> bool:
    """Whether a ray from the point to the right crosses the outline an odd number of times."""
    inside, (x, y) = False, point
    for (x0, y0), (x1, y1) in zip(outline, outline[1:] + outline[:1], strict=True):
        if (y0 > y) != (y1 > y) and x < x0 + (y - y0) * (x1 - x0) / (y1 - y0):
            inside = not inside
    return inside


def area_of(outline: list[tuple[float, float]]) -> float:
    pairs = zip(outline, outline[1:] + outline[:1], strict=True)
    return abs(sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairs)) / 2


def lies_inside(shape: str, x: float, y: float) -> bool:
    """Whether a point is in the shape of area 1: a second way of telling, for one point."""
    if shape in ("square", "cross", "triangle", "star"):
        outline = corners(shape)
        scale = math.sqrt(area_of(outline))
        return crosses((x * scale, y * scale), outline)
    if shape == "circle":
        return math.pi * (x**2 + y**2) <= 1
    if shape == "ring":
        outer = math.sqrt(1 / math.pi / (1 - 0.55**2))
        return 0.55 * outer < math.hypot(x, y) <= outer
    if shape == "moon":  # both discs have radius 1 in units in which their lens is known
        half = math.acos(0.35)
        scale = math.sqrt(math.pi - (2 * half - math.sin(2 * half)))
        x, y = x * scale - 0.325, y * scale  # the one reaches from -1 to the tips at 0.35
        return math.hypot(x, y) <= 1 < math.hypot(x - 0.7, y)
    scale = math.sqrt(4 + math.pi)  # heart: of a square with side 2, and discs of radius 1 on two sides, turned by 45°
    u, v = (x + y) * scale / math.sqrt(2), (y - x) * scale / math.sqrt(2)
    return (abs(u) <= 1 and abs(v) <= 1) or math.hypot(u + 1, v) <= 1 or math.hypot(u, v + 1) <= 1


def shows(figure: Figure, row: int, column: int) -> bool:
    """Whether the centre of a pixel lies in the figure."""
    down, right = row + 0.5 - figure.position[0], column + 0.5 - figure.position[1]
    turned = complex(right, down) * complex(math.cos(a := math.radians(figure.angle)), -math.sin(a)) / figure.size
    return lies_inside(figure.shape, turned.real, turned.imag)


def nearest_name(rgb: np.ndarray) -> str:
    hue, saturation, _ = colorsys.rgb_to_hsv(*rgb)
    if saturation < 0.2:
        return "white"
    return min(
        (name for name in COLOURS if name != "white"), key=lambda name: abs((COLOURS[name][0] - hue + 0.5) % 1 - 0.5)
    )


def shrunk(mask: np.ndarray) -> np.ndarray:
    """The pixels whose eight neighbours are in the mask, too."""
    padded = np.pad(mask, 1)
    height, width = mask.shape
    return np.all([padded[r : r + height, c : c + width] for r in range(3) for c in range(3)], axis=0)


def grown(mask: np.ndarray) -> np.ndarray:
    padded = np.pad(mask, 1)
    height, width = mask.shape
    return np.any([padded[r : r + height, c : c + width] for r in range(3) for c in range(3)], axis=0)


def digest(made: Scene) -> str:
    said = repr((made.objects, made.label, made.captions, made.questions)).encode()
    return hashlib.sha256(made.picture.tobytes() + made.masks.tobytes() + said).hexdigest()


def test_a_scene_is_the_same_whenever_it_is_made() -> None:
    forwards = {index: digest(scene(3, index)) for index in range(12)}
    backwards = {index: digest(scene(3, index)) for index in reversed(range(12))}
    assert forwards == backwards
    assert len({*forwards.values(), *(digest(scene(4, index)) for index in range(12))}) == 24


def test_a_scene_is_the_same_in_another_process() -> None:
    code = "import sys; sys.path.insert(0, sys.argv[1]); from test_scenes import *; print(digest(scene(3, 5)))"
    for hash_seed in "12":  # the order of sets
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-c", code, os.path.dirname(__file__)]
        printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        assert printed.strip() == digest(scene(3, 5))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_mask_is_what_a_plain_loop_over_the_pixels_gives(shape: str) -> None:
    rng = np.random.default_rng(7)
    for _ in range(6):
        position = tuple(rng.uniform(0, 30, 2))
        figure = Figure(shape, rng.uniform(3, 20), rng.uniform(-180, 180), position)
        loop = [[shows(figure, row, column) for column in range(33)] for row in range(27)]
        assert figure.mask(27, 33).tolist() == loop


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_has_the_area_that_is_said_and_reaches_no_further(shape: str) -> None:
    figure = Figure(shape, 20, 17, (30.3, 30.6))
    window = figure.window(60, 60)
    coverage = figure.coverage(window)
    assert coverage.sum() == pytest.approx(400, rel=0.01)
    rows, columns = np.nonzero(figure.mask(60, 60))
    assert 18 * SHAPES[shape].reach < np.hypot(rows - 29.8, columns - 30.1).max() < 20 * SHAPES[shape].reach + 0.01
    assert figure.mask(60, 60).sum() == figure.mask(60, 60)[window].sum()  # nothing lies outside of the window
    whole, none = coverage == 1, coverage == 0
    assert (figure.mask(60, 60)[window][whole]).all()
    assert not (figure.mask(60, 60)[window][none]).any()
    assert (~whole & ~none).any()  # edges are smooth


def test_a_visible_mask_is_where_no_later_object_lies() -> None:
    for index in range(10):
        made = scene(11, index)
        for row in range(64):
            for column in range(64):
                last = [n for n, o in enumerate(made.objects) if shows(o.figure, row, column)][-1:]
                assert np.flatnonzero(made.masks[:, row, column]).tolist() == last


def test_what_is_drawn_in_a_mask_has_the_colour_that_is_said(many: list[Scene]) -> None:
    seen = Counter[str]()
    for made in many:
        for o, mask in zip(made.objects, made.masks, strict=True):
            inner = shrunk(mask)
            if inner.sum() >= 4:
                assert nearest_name(made.picture[inner].mean(axis=0) / 255) == o.colour
                seen[o.colour] += 1
    assert min(seen[colour] for colour in COLOURS) > 50


def test_textures_are_drawn_as_they_are_called() -> None:
    spread = {texture: list[float]() for texture in TEXTURES}
    for index in range(200):
        made = scene(8, index, 96, 96)
        for o, mask in zip(made.objects, made.masks, strict=True):
            inner = shrunk(mask)
            if inner.sum() > 100:
                bright = made.picture[inner].max(axis=1).astype(float)
                spread[o.texture].append(np.ptp(np.percentile(bright, [5, 95])) / bright.max())
    assert max(spread["plain"]) < 0.01
    assert min(min(spread[texture]) for texture in ("striped", "dotted", "shaded")) > 0.2


def test_the_background_knows_nothing_of_the_label(monkeypatch: pytest.MonkeyPatch) -> None:
    for index in range(16):
        first = scene(5, index)
        other = next(shape for shape in SHAPES if shape != first.label)
        with monkeypatch.context() as patch:
            patch.setattr(scenes, "label_of", lambda seed, index, other=other: other)
            second = scene(5, index)
        assert second.label == other
        bare = ~grown(grown(first.masks.any(axis=0) | second.masks.any(axis=0)))  # tips are thinner than a pixel
        assert bare.sum() > 1000
        assert (first.picture[bare] == second.picture[bare]).all()
        assert colorsys.rgb_to_hsv(*first.picture[bare].mean(axis=0))[1] < 0.5  # muted


def described(mask: np.ndarray) -> tuple[tuple[float, float], tuple[int, int, int, int], int]:
    """Centre, box and area, pixel by pixel."""
    pixels = [(row, column) for row, line in enumerate(mask.tolist()) for column, there in enumerate(line) if there]
    rows, columns = zip(*pixels, strict=True)
    centre = sum(rows) / len(rows) + 0.5, sum(columns) / len(columns) + 0.5
    box = min(rows), min(columns), max(rows) - min(rows) + 1, max(columns) - min(columns) + 1
    return centre, box, len(pixels)


def test_objects_are_listed_as_they_can_be_seen(many: list[Scene]) -> None:
    for made in many[::10]:
        assert made.masks.shape == (len(made.objects), 64, 64)
        assert made.picture.shape == (64, 64, 3)
        assert made.picture.dtype == np.uint8
        for o, mask in zip(made.objects, made.masks, strict=True):
            centre, box, area = described(mask)
            assert o.centre == pytest.approx(centre)
            assert (o.box, o.area) == (box, area)
            assert o.visible == area / o.figure.mask(64, 64).sum()


def is_sound(made: Scene) -> bool:
    """Whether every object can be told apart, and the largest is the largest."""
    *others, largest = sorted(made.objects, key=lambda o: o.area)

    def apart(first: Object, second: Object) -> bool:
        return max(abs(a - b) for a, b in zip(first.centre, second.centre, strict=True)) >= made.margin

    return (
        1 <= len(made.objects) <= 6
        and made.label == largest.shape
        and all(largest.area >= 1.25 * o.area and apart(o, largest) for o in others)
        and all(o.visible >= 0.65 and o.area >= 20 for o in made.objects)
        and all(0 < n < side - 1 for o in made.objects for n, side in zip(o.centre, made.picture.shape, strict=False))
        and not (made.masks.sum(axis=0) > 1).any()
    )


def test_scenes_of_500_seeds_are_sound_and_differ(many: list[Scene]) -> None:
    assert [MANY[n] for n, made in enumerate(many) if not is_sound(made)] == []
    assert len({made.picture.tobytes() for made in many}) == 500
    counts = Counter(len(made.objects) for made in many)
    assert all(counts[n] > 25 for n in range(1, 7))
    hidden = sum(any(o.visible < 0.97 for o in made.objects) for made in many)
    assert 150 < hidden < 400
    assert {o.texture for made in many for o in made.objects} == set(TEXTURES)


def test_objects_of_one_colour_do_not_touch(many: list[Scene]) -> None:
    for made in many:
        for n, o in enumerate(made.objects):
            for m in range(n):
                if made.objects[m].colour == o.colour:
                    assert not (grown(made.masks[n]) & made.masks[m]).any()


def test_labels_are_even() -> None:
    for seed in range(20):
        labels = [label_of(seed, index) for index in range(48)]
        assert [set(labels[first : first + 8]) for first in range(0, 48, 8)] == [set(SHAPES)] * 6
    assert len({tuple(label_of(seed, index) for index in range(8)) for seed in range(20)}) > 15


@pytest.mark.parametrize(("height", "width"), [(32, 32), (32, 200), (120, 48), (224, 224)])
def test_pictures_of_any_size_are_sound(height: int, width: int) -> None:
    for index in range(20):
        made = scene(2, index, height, width)
        assert made.picture.shape == (height, width, 3)
        assert made.masks.shape[1:] == (height, width)
        assert made.label == max(made.objects, key=lambda o: o.area).shape
        assert made.margin == pytest.approx(0.12 * min(height, width))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((-1, 0), "seed: -1 is negative; give 0 or more"),
        ((1, -2), "index: -2 is negative; give 0 or more"),
        ((1, 0, 31, 64), "height: 31 pixels are out of the range of a scene; give 32 to 2,048"),
        ((1, 0, 64, 9999), "width: 9999 pixels are out of the range of a scene; give 32 to 2,048"),
    ],
)
def test_what_cannot_be_drawn_is_refused(arguments: tuple[int, ...], sentence: str) -> None:
    with pytest.raises(RegardError) as refused:
        scene(*arguments)
    assert str(refused.value) == sentence
