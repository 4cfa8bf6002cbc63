"""A sheet of a picture: pixels as the model saw them, every map in the colours of its weights, whose maps is said."""

import base64
import io
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from regard.errors import RegardError
from regard.look import Look
from regard.looking.draw_pictures import draw_picture, query_of
from regard.looking.drawing import Box, Cells, Drawing, Pixels, Text
from regard.looking.palette import CIVIDIS, LOWEST, colour_index, lowest_of, ticks
from regard.looking.picture import Picture

from .patched import SHAPES, Planted, planted
from .small import build, look, text

SVG = "{http://www.w3.org/2000/svg}"
INERT = {"svg", "title", "metadata", "defs", "pattern", "path", "rect", "g", "text", "circle", "image", "line"}
Array = np.ndarray[Any, Any]


def maps_of(drawing: Drawing) -> list[Cells]:
    """In their order; the last of the cells are the colour bar."""
    return [item for item in drawing.items if isinstance(item, Cells)][:-1]


def words_of(drawing: Drawing) -> str:
    return " ".join(item.text for item in drawing.items if isinstance(item, Text))


def seen_in(picture: Array, cells: Cells, ratio: int = 1) -> Array:
    """(rows, columns) the palette's entries of the cells in a drawing's pixels; every pixel of a cell has to agree."""
    side = cells.cell * ratio
    rows, columns = cells.colours.shape
    top, left = cells.y * ratio, cells.x * ratio
    part = picture[top : top + rows * side, left : left + columns * side]
    blocks = part.reshape(rows, side, columns, side, 3).swapaxes(1, 2).reshape(rows, columns, -1, 3)
    assert (blocks == blocks[:, :, :1]).all()
    found: Array = (blocks[:, :, 0, None, :] == CIVIDIS).all(axis=-1).argmax(axis=-1)
    assert (CIVIDIS[found] == blocks[:, :, 0]).all()
    return found


def by_patch(one: Planted, values: Array) -> Array:
    """(patches,) -> one number a cell: here patches are squares."""
    return values.reshape(one.grid.rows, one.grid.columns)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("ratio", [1, 2])
def test_each_head_has_the_colours_of_its_weights_and_the_planted_one_lights_one_patch(shape: str, ratio: int) -> None:
    one = planted(*SHAPES[shape], beta=3.0)
    drawing = draw_picture(one.recording, scale="linear")
    picture = np.asarray(Image.open(io.BytesIO(drawing.png(ratio))).convert("RGB"))
    found = maps_of(drawing)
    assert len(found) == 4
    for cells, (layer, head) in zip(found, np.ndindex(2, 2), strict=True):
        weights = by_patch(one, one.weights(layer, head)[0, one.learned :])
        entries = seen_in(picture, cells, ratio)
        assert np.abs(entries / 255 - weights).max() <= 0.5 / 255 + 1e-6
    lit = seen_in(picture, found[0], ratio).ravel()
    assert lit.argmax() == one.target
    assert lit[one.target] > 0.7 * 255
    assert (np.delete(lit, one.target) <= 1).all()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_picture_is_drawn_pixel_by_pixel(shape: str, channels: int) -> None:
    one = planted(*SHAPES[shape], channels=channels)
    drawing = draw_picture(one.recording)
    item = next(item for item in drawing.items if isinstance(item, Pixels))
    high, wide = one.grid.covered
    side = item.width // wide
    assert (item.width, item.height) == (side * wide, side * high)
    picture = np.asarray(Image.open(io.BytesIO(drawing.png(1))).convert("RGB"))
    middles = picture[item.y + side // 2 :: side, item.x + side // 2 :: side][:high, :wide]
    assert np.array_equal(middles, np.broadcast_to(one.pixels[:high, :wide], (high, wide, 3)))
    (embedded,) = [
        e for e in parsed(drawing).iter(f"{SVG}image") if "as the model" in (e.findtext(f"{SVG}title") or "")
    ]
    data = base64.b64decode(embedded.attrib["href"].removeprefix("data:image/png;base64,"))
    stored = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert np.array_equal(stored, np.broadcast_to(one.pixels[:high, :wide], (high, wide, 3)))


def parsed(drawing: Drawing) -> ElementTree.Element:
    return ElementTree.fromstring(drawing.svg())


def test_patches_that_are_no_squares_keep_their_proportions() -> None:
    one = planted(12, 24, 2, patch_width=6)
    (cells, *_) = maps_of(draw_picture(one.recording, scale="linear"))
    assert cells.colours.shape == (6, 4 * 3)
    weights = one.weights(0, 0)[0, one.learned :].reshape(6, 4).repeat(3, axis=1)
    assert np.abs(cells.colours / 255 - weights).max() <= 0.5 / 255 + 1e-6


# whose maps


def test_without_a_class_token_it_is_the_mean_over_patches_and_says_so() -> None:
    one = planted(class_token=False, registers=0)
    drawing = draw_picture(one.recording, scale="linear")
    mean = one.recording.weights(0, 0).astype(float).mean(axis=0)
    assert np.abs(maps_of(drawing)[0].colours / 255 - by_patch(one, mean)).max() <= 0.5 / 255 + 1e-6
    assert "who looks: the mean over all patches (Derived)" in words_of(drawing)
    assert drawing.facts["query"] == "the mean over all patches (Derived)"


@pytest.mark.parametrize(("asked", "name", "row"), [
    (None, "class token", 0), ("class", "class token", 0), ("register 0", "register 0", 1), ("1,2", "patch 1,2", 7),
    (" 1, 2", "patch 1,2", 7)])  # fmt: skip
def test_a_query_is_named_and_its_own_row_is_drawn(asked: str | None, name: str, row: int) -> None:
    one = planted()
    drawing = draw_picture(one.recording, query=asked, head=(1, 1), scale="linear")
    (cells,) = maps_of(drawing)
    assert np.abs(cells.colours / 255 - by_patch(one, one.weights(1, 1)[row, one.learned :])).max() <= 0.5 / 255 + 1e-6
    assert f"who looks: {name}" in words_of(drawing)
    assert drawing.facts["query"] == name
    assert ("Derived" in words_of(drawing)) is False


def test_the_patch_that_looks_is_outlined_where_it_lies() -> None:
    one = planted(*SHAPES["with a lost border"])
    plain, asked = draw_picture(one.recording), draw_picture(one.recording, query="1,2")
    item = next(item for item in asked.items if isinstance(item, Pixels))
    side = item.width / one.grid.covered[1]
    place = (item.x + 16 * side, item.y + 8 * side, 8 * side, 8 * side)
    outlines = [(b.x, b.y, b.width, b.height) for b in asked.items if isinstance(b, Box) and b.stroke]
    assert place in outlines
    assert place not in [(b.x, b.y, b.width, b.height) for b in plain.items if isinstance(b, Box) and b.stroke]


@pytest.mark.parametrize("asked", ["3,3", "0,-1", "patch", "register 1", "", "0"])
def test_a_token_that_there_is_not_is_refused_in_one_sentence(asked: str) -> None:
    with pytest.raises(RegardError) as info:
        query_of(planted().recording, asked)
    assert str(info.value).startswith("--query: there is no token")
    assert "from 0,0 to 2,2, or 'class', or 'register 0'" in str(info.value)
    assert "\n" not in str(info.value)


# what is said


def test_masses_by_kind_stand_under_each_map_and_add_to_1() -> None:
    one = planted(registers=2)
    told = [
        item.text for item in draw_picture(one.recording).items if isinstance(item, Text) and "patches 0." in item.text
    ]
    assert len(told) == 4
    row = one.class_row
    expected = f"patches {row[3:].sum():.2f}   class {row[0]:.2f}   registers {row[1:3].sum():.2f}"
    assert told[0] == expected
    for line in told:
        assert sum(map(float, re.findall(r"[\d.]+", line))) == pytest.approx(1, abs=0.011)


def test_what_was_cut_lost_and_done_is_said_and_drawn() -> None:
    one = planted(19, 29, 8, size=(190, 400), crop=(0, 55, 190, 290), done=("CMYK pictures made red, green and blue",))
    drawing = draw_picture(one.recording)
    said = words_of(drawing)
    for words in ("the whole picture: 190 x 400 pixels (height x width)", "of it 190 x 290 from 0 down and 55 right on",
                  "given as 19 x 29 in 2 x 3 patches of 8 x 8", "hatched: 3 pixels at the bottom, 5 at the right",
                  "It counts among: CMYK pictures made red, green and blue."):  # fmt: skip
        assert words in said
    item, small = (item for item in drawing.items if isinstance(item, Pixels))
    hatched, outside, _ = (b for b in drawing.items if isinstance(b, Box) and b.fill == "hatch")
    side = item.width / one.grid.covered[1]
    assert (hatched.x, hatched.y, hatched.width, hatched.height) == (item.x, item.y, 29 * side, 19 * side)
    tiny = outside.width / 400  # what the model saw is not stretched over what it lost
    expected = (outside.x + 55 * tiny, outside.y, 290 * tiny * 24 / 29, 190 * tiny * 16 / 19)
    np.testing.assert_allclose((small.x, small.y, small.width, small.height), expected, atol=0.5)
    whole = draw_picture(planted().recording)
    assert "lost" not in words_of(whole)
    assert "It counts among" not in words_of(whole)


def test_the_scale_follows_the_tokens_alone_and_is_logarithmic_from_17_on() -> None:
    assert draw_picture(planted().recording).facts["scale"] == "linear 0 to 1"
    drawn = []
    for beta in (0.5, 2.0):
        many = planted(40, 40, 8, beta=beta)
        drawing = draw_picture(many.recording)
        assert (many.n, drawing.facts["scale"]) == (27, "log10 from 1/729 to 1")
        sharp, even, *_ = maps_of(drawing)
        share = 1 + np.log10(many.weights(0, 0)[0, many.learned :]) / np.log10(729)
        assert np.abs(sharp.colours / 255 - by_patch(many, share)).max() <= 0.5 / 255 + 1e-6
        assert set(even.colours.ravel().tolist()) <= {127, 128}  # an even look is in the middle
        drawn.append(
            (
                sharp.colours.max(),
                even.colours.tolist(),
                words_of(drawing).partition("weight,")[2].partition("planted")[0],
            )
        )
    (high, *one), (higher, *other) = drawn
    assert one == other
    assert higher > high + 10


@pytest.mark.parametrize("n", [2, 17, 28, 65, 257, 1000, 2211])
def test_each_number_beside_the_colour_bar_stands_at_its_colour(n: int) -> None:
    lowest = lowest_of(n)
    for place, name in ticks("log", lowest):
        above, _, below = name.replace(",", "").partition("/")
        number = float(above) / float(below or 1)
        assert colour_index(np.array(number), "log", lowest) == pytest.approx(255 * place, abs=0.51)
    assert colour_index(np.array([lowest / 2, lowest, 1 / n, 1]), "log", lowest).tolist()[::3] == [0, 255]


def test_one_token_has_no_middle_and_the_scale_of_texts() -> None:
    assert lowest_of(1) == LOWEST
    one = planted(8, 8, registers=0, class_token=False)
    words = words_of(draw_picture(one.recording, scale="log"))
    assert "middle colour" not in words
    assert "1e-6" in words


def test_an_svg_runs_nothing_and_says_where_it_is_from() -> None:
    one = planted(done=("</text><script>alert(1)</script>\u202e",))
    root = parsed(draw_picture(one.recording))
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= INERT
    facts = json.loads(root.findtext(f"{SVG}metadata") or "")
    assert facts["recording"] == one.recording.id
    assert facts["patches"] == "3 x 3 patches of 8 x 8"
    assert facts["badge"].startswith("Not proven")


# saving


def test_look_saves_the_sheet_of_a_picture_and_refuses_what_does_not_fit(tmp_path: Path) -> None:
    one = planted()
    seen = Look(one.recording.kept, one.recording.model)
    seen.save(tmp_path / "a.svg")
    seen.save(tmp_path / "b.svg", head="1.1", query="0,1")
    assert (tmp_path / "a.svg").read_text() == draw_picture(seen).svg()
    assert (tmp_path / "b.svg").read_text() == draw_picture(seen, head=(1, 1), query="0,1").svg()
    with pytest.raises(RegardError, match="--query: a recording holds every token"):
        seen.save(tmp_path / "c.regard", query="0,1")
    with pytest.raises(RegardError, match="--tour: it leads through a text, and this is a picture"):
        seen.save(tmp_path / "c.html", tour=True)
    read = look(build(), text(5))
    with pytest.raises(RegardError, match="--query: it is for pictures and sounds, and this is a text"):
        Look(read.kept, read.model).save(tmp_path / "d.html", query="0,1")
    assert not list(tmp_path.glob("[cd].*"))
    with pytest.raises(RegardError, match="the recording is of a text"):
        draw_picture(read)


@pytest.mark.parametrize(
    "wrong",
    [
        {"grid": [24, 24, 8]},
        {"grid": [24, 24, 8, 4]},
        {"grid": "x"},
        {"grid": [24, 24, 0, 8]},
        {"mean": []},
        {"mean": [0.5, 0.5]},
        {"deviation": [float("nan")] * 3},
        {"size": [24]},
        {"size": ["a", "b"]},
        {"crop": [0, 0, 99, 1]},
        {"crop": [0, 0, float("nan"), 1]},
        {"class_token": 1, "grid": [24, 24, 8, 12]},
        {"classes": 3},
        {"done": None},
    ],
)
def test_a_forged_file_is_refused_by_name(wrong: dict[str, Any], tmp_path: Path) -> None:  # fmt: skip
    one = planted().recording
    one.facts.preprocessing.update(wrong)  # type: ignore[attr-defined]
    with pytest.raises(RegardError, match="picture: what the recording says of its picture does not fit together"):
        Picture.of(one)
