"""Pictures tell their numbers back, keep their scale, show strangers' text inert, and agree with each other."""

import base64
import io
import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image

from regard.errors import RegardError
from regard.looking.draw import NARROWEST, draw_head, draw_heads
from regard.looking.drawing import VECTOR_CELLS, Cells, Drawing, Text, shown
from regard.looking.frame import MARGIN
from regard.looking.palette import CIVIDIS, LOWEST, Scale, colour_index, ticks
from regard.looking.png import text_width
from regard.looking.record import Recording, record
from regard.model.config import AttentionConfig
from regard.model.sequence import Sequence

from .small import QWEN3, VOCABULARY, build, look, named, text

SVG = "{http://www.w3.org/2000/svg}"
INERT = {"svg", "title", "metadata", "defs", "pattern", "path", "rect", "g", "text", "line", "circle", "image"}
HOSTILE = [
    "<script>alert(1)</script>", "</text></svg>", "]]>", '"><img onerror=x>', "{{7*7}}", "&amp;", "<!--", "\u202egnp",
    "\u200b", "\x00", "\ud800", "\n", " ", "a" + 6 * "\u0301", "x" * 5000, "שלום", "中", "\ufeff", "",
]  # fmt: skip


@pytest.fixture(scope="module")
def recording() -> Recording:
    found = look(build(), text(24))
    found.prove(seed=1)
    return found


def with_labels(recording: Recording, labels: list[str]) -> Recording:
    kept = replace(recording.kept, tokens=replace(recording.tokens, labels=tuple(labels)))
    return Recording(kept, recording.model)


def cells_of(drawing: Drawing) -> list[Cells]:
    """The heads' matrices; the last one is the colour bar."""
    return [item for item in drawing.items if isinstance(item, Cells)][:-1]


def parsed(drawing: Drawing) -> ElementTree.Element:
    return ElementTree.fromstring(drawing.svg())


def pixels(drawing: Drawing, scale: int = 1) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(drawing.png(scale))).convert("RGB"))


def value_of(colour: np.ndarray, scale: Scale) -> np.ndarray:
    """The weight that a colour stands for, by finding it in the palette."""
    index = (colour[..., None, :] == CIVIDIS).all(axis=-1).argmax(axis=-1)
    share = index / 255
    found: np.ndarray = share if scale == "linear" else LOWEST ** (1 - share)
    return found


def test_the_256_colours_are_all_different_and_grow_lighter() -> None:
    assert len({tuple(colour) for colour in CIVIDIS.tolist()}) == 256
    linear = np.where(CIVIDIS / 255 <= 0.04045, CIVIDIS / 255 / 12.92, ((CIVIDIS / 255 + 0.055) / 1.055) ** 2.4)
    lightness = linear @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness) > -1e-3).all()
    assert tuple(CIVIDIS[0]) == (0, 34, 78)
    assert tuple(CIVIDIS[255]) == (254, 232, 56)


@pytest.mark.parametrize("scale", ["linear", "log"])
@pytest.mark.parametrize("pixel_ratio", [1, 2])
def test_every_pixel_tells_its_weight_back(recording: Recording, scale: Scale, pixel_ratio: int) -> None:
    drawing = draw_head(recording, 1, 2, scale=scale)
    (cells,) = cells_of(drawing)
    side = cells.cell * pixel_ratio
    top, left = cells.y * pixel_ratio, cells.x * pixel_ratio
    picture = pixels(drawing, pixel_ratio)[top : top + 24 * side, left : left + 24 * side]
    blocks = picture.reshape(24, side, 24, side, 3).swapaxes(1, 2)  # (row, column, down, across, colour)
    weights, may = recording.weights(1, 2), recording.mask()
    assert (blocks[may] == blocks[may][:, :1, :1]).all()
    assert set(np.unique(blocks[~may])) == {0xDC, 0xFF}  # hatched: never a colour of the scale
    told = value_of(blocks[:, :, 0, 0], scale)
    if scale == "linear":
        assert (abs(told - weights)[may] <= 0.5 / 255 + 1e-6).all()
    else:
        away = np.log10(told) - np.log10(np.maximum(weights, LOWEST))
        assert (abs(away)[may] <= 6 * 0.5 / 255 + 1e-6).all()


def test_the_scale_does_not_move_when_a_cell_becomes_one() -> None:
    weights = np.random.default_rng(0).uniform(0, 0.01, (9, 9))
    for scale in ("linear", "log"):
        before = colour_index(weights, scale)
        weights[4, 4] = 1.0
        after = colour_index(weights, scale)
        assert after[4, 4] == 255
        assert (np.delete(after, 40) == np.delete(before, 40)).all()
    assert colour_index(np.array([0.0, 1e-9, 1e-6, 1e-3, 1.0]), "log").tolist() == [0, 0, 0, 128, 255]
    assert [place for place, _ in ticks("log")] == pytest.approx([1 + math.log10(x) / 6 for x in (1e-6, 1e-4, 1e-2, 1)])


def shapes_of(group: ElementTree.Element, cells: Cells) -> np.ndarray:
    """(r, c, 3) colours drawn by the paths of an SVG, -1 where nothing is."""
    found = np.full((*cells.colours.shape, 3), -1)
    for path in group.iter(SVG + "path"):
        colour = [int(path.attrib["fill"][k : k + 2], 16) for k in (1, 3, 5)]
        for x, y, wide in re.findall(r"M(\d+) (\d+)h(\d+)v\d+h-\d+z", path.attrib["d"]):
            i, j = (int(y) - cells.y) // cells.cell, (int(x) - cells.x) // cells.cell
            found[i, j : j + int(wide) // cells.cell] = colour
    return found


def test_vectors_and_pixels_agree(recording: Recording) -> None:
    drawing = draw_heads(recording)
    picture, groups = pixels(drawing), list(parsed(drawing).iter(SVG + "g"))
    drawn = cells_of(drawing)
    assert len(drawn) == recording.layers * recording.heads == len(groups) - 1
    for group, cells in zip(groups, drawn, strict=False):
        vector = shapes_of(group, cells)
        assert ((vector[..., 0] < 0) == cells.hidden).all()
        middle = cells.cell // 2
        sampled = picture[cells.y + middle :: cells.cell, cells.x + middle :: cells.cell]
        sampled = sampled[: len(vector), : vector.shape[1]]
        assert (sampled[~cells.hidden] == vector[~cells.hidden]).all()


def test_many_cells_become_a_picture_of_one_pixel_a_cell() -> None:
    recording = look(build(replace(QWEN3, context=150)), text(150))
    drawing = draw_heads(recording)
    drawn = cells_of(drawing)
    assert sum(int((~cells.hidden).sum()) for cells in drawn) > VECTOR_CELLS
    images = list(parsed(drawing).iter(SVG + "image"))
    for image, cells in zip(images, drawn, strict=False):
        data = image.attrib["href"].removeprefix("data:image/png;base64,")
        inside = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
        assert inside.shape == (*cells.colours.shape, 4)
        assert (inside[..., :3] == CIVIDIS[cells.colours]).all()
        assert ((inside[..., 3] == 0) == cells.hidden).all()
        assert float(image.attrib["width"]) == cells.cell * cells.colours.shape[1]
        assert "pixelated" in image.attrib["style"]


def texts(drawing: Drawing) -> str:
    return "\n".join(item.text for item in drawing.items if isinstance(item, Text))


def test_long_texts_say_that_cells_are_maxima_and_that_the_scale_is_logarithmic() -> None:
    recording = look(build(replace(QWEN3, layers=1, context=700)), text(700))
    drawing = draw_heads(recording)
    assert "a cell is the largest of 4 x 4 weights" in texts(drawing)
    assert "weight, log scale" in texts(drawing)
    cells = cells_of(drawing)[3]
    assert cells.colours.shape == (175, 175)
    np.testing.assert_array_equal(cells.colours, colour_index(recording.overview(0, 3, 2), "log"))
    assert "a cell is one weight" in texts(draw_head(recording, 0, 3))
    assert "weight\n" in texts(draw_heads(recording, scale="linear"))


@pytest.mark.parametrize("draw", [draw_heads, lambda recording: draw_head(recording, 0, 0)], ids=["all", "one"])
def test_W11_W12_W15_hostile_tokens_are_inert(draw: Callable[[Recording], Drawing]) -> None:
    ids = text(len(HOSTILE))
    recording = with_labels(look(build(), ids), HOSTILE)
    recording = Recording(
        replace(recording.kept, facts=replace(recording.facts, name=HOSTILE[0] + HOSTILE[1])), recording.model
    )
    drawing = draw(recording)
    root = parsed(drawing)
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= INERT
    for element in root.iter():
        for name, value in element.attrib.items():
            assert not name.lower().startswith("on")
            assert not name.endswith("href") or value.startswith("data:image/png;base64,")
            assert "javascript" not in value
    said = "".join(root.itertext())
    assert "<script>alert" in said
    assert "\\u202egnp" in said
    assert not set("\u202e\u200b\x00\ufeff") & set(said)
    assert max(len(item.text) for item in drawing.items if isinstance(item, Text) and "xxx" in item.text) <= 24
    assert Image.open(io.BytesIO(drawing.png(1))).size == (drawing.width, drawing.height)


def test_strangers_text_is_shown_as_what_it_is() -> None:
    assert shown("a\u0301\u0301\u0301") == "a\u0301\u0301\\u0301"
    assert shown("x" * 99, 10) == "x" * 9 + "…"
    assert shown("\x1b[31m") == "\\x1b[31m"
    assert text_width("U+4E2D", 12) < text_width("中", 12)  # as its code point, for no font that ships has it


@pytest.mark.parametrize("n", [1, 2])
def test_the_smallest_inputs_are_drawn(n: int) -> None:
    recording = look(build(), text(n))
    for drawing in (draw_heads(recording), draw_head(recording, 0, 0)):
        assert (cells_of(drawing)[0].colours[0, 0]) == 255
        parsed(drawing)
        assert "-" in texts(drawing) or n > 1


def test_a_picture_says_whence_it_is(recording: Recording, tmp_path: Path) -> None:
    drawing = draw_head(recording, 1, 2)
    metadata = json.loads(parsed(drawing).find(SVG + "metadata").text)  # type: ignore[union-attr, arg-type]
    inside: Any = Image.open(io.BytesIO(drawing.png(1)))
    assert json.loads(inside.text["regard"]) == metadata
    assert metadata["recording"] == recording.id
    assert metadata["model"] == recording.model_hash
    assert (metadata["layer"], metadata["head"], metadata["tokens"]) == (1, 2, 24)
    assert metadata["badge"] == recording.badge
    assert recording.badge in texts(drawing)
    assert recording.id[:12] in texts(drawing)
    drawing.save(tmp_path / "a.svg")
    drawing.save(tmp_path / "a.png", scale=1)
    assert (tmp_path / "a.svg").read_text() == drawing.svg()
    with pytest.raises(RegardError, match="this file exists"):
        drawing.save(tmp_path / "a.svg")
    with pytest.raises(RegardError, match="is no picture of ours"):
        drawing.save(tmp_path / "a.jpg")
    with pytest.raises(RegardError, match="5 is not drawn"):
        drawing.png(5)


def test_what_is_not_proven_stands_in_a_struck_frame(recording: Recording) -> None:
    green, red = draw_heads(recording), draw_heads(recording, badge="Not proven: check C, layer 2 head 1, 3e-2")
    assert "#b3261e" not in green.svg()
    assert red.svg().count("#b3261e") >= 6  # badge, dot, frame, four strokes
    assert "Not proven: check C, layer 2 head 1, 3e-2" in texts(red)
    assert cells_of(red)[5].colours.tolist() == cells_of(green)[5].colours.tolist()


def test_the_numbers_under_a_head_are_its_measures(recording: Recording) -> None:
    drawing, measures = draw_heads(recording, width=2400), recording.measures()
    said = texts(drawing).split("\n")
    for one in measures:
        assert f"{one.previous:.2f}" in said
        assert f"layer {one.layer}  head {one.head}" in said
    first = recording.first_mass(0, 0)
    assert all(f"{x:.2f}" in texts(draw_head(recording, 0, 0)).split("\n") for x in first)


def test_many_heads_fit_side_by_side() -> None:
    config = replace(QWEN3, attention=replace(QWEN3.attention, heads=12, key_value_heads=12, head_width=2))
    drawing = draw_heads(look(build(config), text(40)))
    drawn = cells_of(drawing)
    assert len(drawn) == 36
    for left, right in pairwise(drawn[:12]):
        assert left.x + left.cell * 40 < right.x
        assert left.y == right.y
    assert drawn[11].x + 40 * drawn[11].cell <= drawing.width - 48
    assert "head 11" in texts(drawing)


def test_packed_documents_are_hatched_between(recording: Recording) -> None:
    ids = text(10)
    packed = record(build(), Sequence.packed(ids, torch.tensor([[0] * 5 + [1] * 5])), named(ids))
    cells = cells_of(draw_head(packed, 0, 0))[0]
    assert cells.hidden[7, 2]
    assert not cells.hidden[7, 6]
    assert VOCABULARY > 5


@pytest.mark.parametrize(("layers", "heads", "n"), [(1, 1, 4), (1, 1, 24), (2, 2, 24), (1, 4, 12), (3, 6, 24)])
def test_a_sheet_is_as_wide_as_its_heads_and_no_wider(layers: int, heads: int, n: int) -> None:
    attention = AttentionConfig(heads=heads, key_value_heads=1, head_width=10)
    recording = look(build(replace(QWEN3, layers=layers, attention=attention)), text(n))
    drawing, narrow = draw_heads(recording), draw_heads(recording, width=600)
    right = max(cells.x + cells.cell * cells.colours.shape[1] for cells in cells_of(drawing))
    assert right <= drawing.width - MARGIN
    assert drawing.width == NARROWEST or drawing.width - right == MARGIN
    assert drawing.width <= 1440
    assert narrow.width <= 600
    ends = [item.x + text_width(item.text, item.size) for item in drawing.items
            if isinstance(item, Text) and item.anchor == "start" and not item.turned]  # fmt: skip
    assert max(ends) <= drawing.width
    alone = draw_head(recording, 0, 0)
    assert max(cells.x + cells.cell * cells.colours.shape[1] for cells in cells_of(alone)) < alone.width - MARGIN
    assert NARROWEST <= alone.width <= 1100
