"""A sheet of what was answered: counts and colours of the confusion, cases as they are, marks of each layer."""

import io
import re
from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from regard.looking.draw_cases import draw_cases
from regard.looking.draw_confusion import READABLE, draw_confusion, words_of_confusion
from regard.looking.draw_layers import KINDS, OTHERS, SIDE, SIZE, Plot, draw_layers, named_classes
from regard.looking.drawing import Box, Cells, Drawing, Item, Marks, Pixels, Text
from regard.looking.frame import ACCENT, WRONG
from regard.looking.palette import CIVIDIS, hexadecimal

SVG = "{http://www.w3.org/2000/svg}"
RNG = np.random.default_rng


def sheet(items: list[Item], width: int = 1400, height: int = 1300) -> Drawing:
    return Drawing(width, height, "a test", tuple(items), {})


def counts_of(classes: int, seed: int = 0) -> np.ndarray:
    truth, said = RNG(seed).integers(0, classes, (2, 40 * classes))
    said = np.where(RNG(seed + 1).random(len(truth)) < 0.6, truth, said)
    return np.bincount(truth * classes + said, minlength=classes**2).reshape(classes, classes)


def confusion_of(classes: int) -> tuple[np.ndarray, list[Item], Cells]:
    counts = counts_of(classes)
    items = draw_confusion(counts, [f"class {k}" for k in range(classes)], 48, 100).items
    (cells,) = [item for item in items if isinstance(item, Cells)]
    return counts, items, cells


@pytest.mark.parametrize("classes", [2, 3, 10, 30, 100, 300])
def test_each_cell_has_the_colour_of_its_share_of_its_row(classes: int) -> None:
    counts, items, cells = confusion_of(classes)
    shares = counts / counts.sum(axis=1, keepdims=True)
    assert np.abs(cells.colours / 255 - shares).max() <= 0.5 / 255 + 1e-9
    picture = np.asarray(Image.open(io.BytesIO(sheet(items).png(1))).convert("RGB"))
    corners = picture[cells.y :: cells.cell, cells.x :: cells.cell][:classes, :classes]
    assert np.array_equal(corners, CIVIDIS[cells.colours])


@pytest.mark.parametrize("classes", [2, 3, 10, 30])
def test_the_numbers_in_the_cells_are_the_counts_and_are_read_back_from_the_svg(classes: int) -> None:
    counts, items, cells = confusion_of(classes)
    root = ElementTree.fromstring(sheet(items).svg())
    read = np.zeros_like(counts)
    inside = cells.x + classes * cells.cell
    for one in root.iter(f"{SVG}text"):
        x, y = float(one.attrib["x"]), float(one.attrib["y"])
        if cells.x < x < inside and y > cells.y and re.fullmatch(r"[\d,]+", one.text or ""):
            at = int((y - cells.y) // cells.cell), int((x - cells.x) // cells.cell)
            read[at] = int((one.text or "").replace(",", ""))
    assert np.array_equal(read, counts)
    told = [item.text for item in items if isinstance(item, Text)]
    for k in range(classes):
        assert f"{counts[k, k] / counts[k].sum():.1%} of {counts[k].sum():,}" in told
        assert told.count(f"class {k}") == 2


def test_many_classes_keep_their_names_and_the_share_found_and_say_what_there_is_no_room_for() -> None:
    counts, items, cells = confusion_of(100)
    told = [item.text for item in items if isinstance(item, Text)]
    assert cells.cell >= READABLE
    assert told.count("class 73") == 2
    assert not any(re.fullmatch(r"[\d,]+", text) for text in told)
    assert not any("numbers are counts" in words for words in words_of_confusion(counts))
    assert any("no room for their names" in words for words in words_of_confusion(counts_of(300)))


def test_a_class_without_examples_is_hatched_not_dark() -> None:
    counts = np.array([[3, 1, 0], [0, 0, 0], [0, 2, 2]])
    items = draw_confusion(counts, ["a", "b", "c"], 48, 100).items
    (cells,) = [item for item in items if isinstance(item, Cells)]
    assert cells.hidden.tolist() == [[False] * 3, [True] * 3, [False] * 3]
    assert any(isinstance(item, Box) and item.fill == "hatch" for item in items)
    assert any(isinstance(item, Text) and item.text == "none here" for item in items)
    assert any("Hatched" in words for words in words_of_confusion(counts))


@dataclass
class One:
    name: str
    true: str
    said: str
    probability: float
    nats: float


def test_pictures_are_drawn_as_they_are_each_with_what_was_said_of_it() -> None:
    shapes = [(8, 8, 3), (64, 64, 1), (40, 300, 1), (300, 20, 3)] * 3
    pixels = [RNG(k).integers(0, 256, shape, np.uint8) for k, shape in enumerate(shapes)]
    cases = [One("folder/" * k + f"{k}.png", "a" if k % 2 else "<b>", "a", 0.25 + k / 100, 1.5 * k) for k in range(12)]
    items, below = draw_cases("Most wrong", cases, pixels, 1100, 20)
    drawn = [item for item in items if isinstance(item, Pixels)]
    assert all(one.pixels is given for one, given in zip(drawn, pixels, strict=True))
    assert max(one.y + one.height for one in drawn) < below
    for one, case in zip(drawn, cases, strict=True):
        assert 0 < one.width <= 155
        assert 0 < one.height <= 128
        if one.width % one.pixels.shape[1] == 0:  # larger by a whole number: its own proportions
            assert one.height * one.pixels.shape[1] == one.width * one.pixels.shape[0]
        under = [item for item in items if isinstance(item, Text) and item.x == pytest.approx(one.x, abs=0.6)]
        lines = [item.text for item in sorted(under, key=lambda item: item.y) if one.y < item.y < one.y + 128 + 100]
        assert lines[:2] == [f"is {case.true}", f"said {case.said}"]
        assert lines[2:4] == [f"probability {case.probability:.4f}", f"{case.nats:.4f} nats"]
        name = lines[4]
        assert name == case.name or (name.startswith("…") and case.name.endswith(name[1:]) and len(name) > 15)
    colours = [item.fill for item in items if isinstance(item, Text) and item.text == "said a"]
    assert colours == [WRONG, ACCENT] * 6
    ElementTree.fromstring(sheet(items).svg())


def test_texts_are_drawn_as_lines_cut_where_they_are_long() -> None:
    cases = [One("pets.csv:2", "cats", "dogs", 0.75, 2.0), One("pets.csv:9", "dogs", "dogs", 0.5, 0.5)]
    items, _ = draw_cases("Most wrong", cases, ["purr\nfur </text>", "bark " * 200], 1100, 0)
    told = [item.text for item in items if isinstance(item, Text)]
    assert "purr⏎fur </text>" in told
    long = [text for text in told if text.startswith("bark")]
    assert len(long) == 2
    assert long[1].endswith("…")
    assert "probability 0.7500, 2.0000 nats, pets.csv:2" in told
    ElementTree.fromstring(sheet(items).svg())


# layers


def plots(count: int, layers: int = 3) -> list[Plot]:
    return [Plot(RNG(k).normal(size=(count, 2)) * 10**k, (0.5, 0.25), 0.75) for k in range(layers)]


@pytest.mark.parametrize("classes", [2, 10, 17])
def test_marks_have_their_classs_colour_and_shape_and_lie_where_the_example_is(classes: int) -> None:
    truth, made = RNG(7).integers(0, classes, 500), plots(500)
    names = [f"c{k}" for k in range(classes)]
    items, _ = draw_layers(made, truth, names, 1100, 50)
    named = named_classes(truth, classes)
    frames = [item for item in items if isinstance(item, Box)]
    marks = [item for item in items if isinstance(item, Marks) and len(item.places) > 1]
    assert len(frames) == 3
    for frame, plot in zip(frames, made, strict=True):
        here = [one for one in marks if abs(one.places - [frame.x + SIDE / 2, frame.y + SIDE / 2]).max() <= SIDE / 2]
        assert sum(len(one.places) for one in here) == 500
        kinds = dict(zip((names[k] for k in named), KINDS, strict=False))
        assert len(set(kinds.values())) == len(kinds)
        for one in here:
            if one.fill == OTHERS:
                mine = ~np.isin(truth, named)
            else:
                assert (one.fill, one.shape) == kinds[one.title]
                mine = truth == names.index(one.title)
            away = plot.places[mine] - plot.places[0]
            drawn = (one.places - one.places[0]) * [1, -1]
            scale = np.abs(drawn).max() / np.abs(plot.places[mine] - plot.places[mine][0]).max()
            np.testing.assert_allclose(drawn, (away - away[0]) * scale, atol=1e-6 * SIDE)
    if classes > 10:
        counts = np.bincount(truth)
        assert min(counts[named]) >= max(np.delete(counts, named))
        assert any(isinstance(item, Text) and item.text == "the other 7 classes" for item in items)
    told = [item.text for item in items if isinstance(item, Text)]
    assert told.count("nearest mean right: 75.0%") == 3
    assert told.count("variance shown: 50% + 25%") == 3
    assert "layer 0: the embeddings" in told


@pytest.mark.parametrize("shape", ["disc", "square", "cross"])
def test_a_mark_has_its_middle_where_it_should_in_the_png_and_in_the_svg(shape: str) -> None:
    places = np.array([[20.0, 30.0], [60.0, 45.0]])
    drawing = sheet([Marks(places, shape, 9.0, "#0072b2", "a class")], 100, 80)  # type: ignore[arg-type]
    picture = np.asarray(Image.open(io.BytesIO(drawing.png(2))).convert("RGB")).astype(int)
    inked = np.argwhere((picture != 255).any(axis=-1))
    for x, y in places:
        near = inked[(abs(inked - [2 * y, 2 * x]) < 20).all(axis=1)]
        np.testing.assert_allclose(near.mean(axis=0), [2 * y, 2 * x], atol=1)
        assert 14 <= np.ptp(near, axis=0).min() <= np.ptp(near, axis=0).max() <= 19
        assert tuple(picture[round(2 * y), round(2 * x)]) == (0, 0x72, 0xB2)
    (path,) = [one for one in ElementTree.fromstring(drawing.svg()).iter(f"{SVG}path") if one.get("stroke-linecap")]
    starts = re.findall(r"M([\d.]+) ([\d.]+)", path.attrib["d"])
    off = 4.5 if shape == "cross" else 0
    assert [(float(x) + off, float(y) + off) for x, y in starts] == [(20.0, 30.0), (60.0, 45.0)]


def test_examples_that_are_all_alike_are_one_mark_in_the_middle() -> None:
    items, _ = draw_layers([Plot(np.ones((5, 2)), (0.0, 0.0), None)], np.zeros(5, int), ["a", "b"], 1100, 0)
    (frame,) = [item for item in items if isinstance(item, Box)]
    (marks,) = [item for item in items if isinstance(item, Marks) and item.size == SIZE]
    np.testing.assert_allclose(marks.places, [[frame.x + SIDE / 2, frame.y + SIDE / 2]] * 5)
    assert any(isinstance(item, Text) and item.text == "nearest mean: not known" for item in items)


def test_the_kinds_of_marks_are_told_apart_without_colour_or_without_shape() -> None:
    assert len(set(KINDS)) == len(KINDS) == 10
    for colour in {colour for colour, _ in KINDS}:
        red, green, blue = (int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5))
        linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in (red, green, blue)]
        light = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        assert 1.05 / (light + 0.05) >= 3  # contrast with white
        assert colour not in {hexadecimal(k) for k in range(256)}
