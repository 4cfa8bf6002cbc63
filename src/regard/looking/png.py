"""A drawing as PNG, with letters that ship: Pillow's own, those of DejaVu Sans that it lacks, else code points."""

import io
import json
import math
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from regard.looking.drawing import HATCH, Box, Cells, Disc, Drawing, Item, Line, Marks, Pixels, Text
from regard.looking.palette import CIVIDIS

Font = ImageFont.FreeTypeFont
FINE = 4
"""How much larger round things and letters are drawn before they are averaged down."""
_NOWHERE = "\U0010ffff"
"""A code point that no font has: what is drawn for it is the sign for a missing one."""


def render(drawing: Drawing, scale: int) -> bytes:
    """scale pixels for each CSS pixel."""
    picture = Image.new("RGB", (drawing.width * scale, drawing.height * scale), "#ffffff")
    for item in drawing.items:
        _draw(picture, item, scale)
    text = PngInfo()
    text.add_itxt("Title", drawing.title)
    text.add_itxt("regard", json.dumps(drawing.facts))
    stream = io.BytesIO()
    picture.save(stream, "PNG", pnginfo=text)
    return stream.getvalue()


def _draw(picture: Image.Image, item: Item, scale: int) -> None:
    draw = ImageDraw.Draw(picture)
    match item:
        case Box():
            _box(picture, draw, item, scale)
        case Line():
            ends = [round(scale * at) for at in (item.x1, item.y1, item.x2, item.y2)]
            draw.line(ends, fill=item.stroke, width=max(1, round(scale * item.thick)))
        case Disc():
            _disc(picture, item, scale)
        case Marks():
            _marks(picture, item, scale)
        case Text():
            _text(picture, item, scale)
        case Cells():
            _cells(picture, item, scale)
        case Pixels():
            left, upper, *size = (length * scale for length in (item.x, item.y, item.width, item.height))
            larger = image_of(item.pixels).resize((size[0], size[1]), Image.Resampling.NEAREST)
            picture.paste(larger, (left, upper))


def image_of(pixels: np.ndarray[Any, Any]) -> Image.Image:
    """(height, width, 1 or 3) bytes, grey or red, green and blue."""
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).convert("RGB")


def _box(picture: Image.Image, draw: ImageDraw.ImageDraw, box: Box, scale: int) -> None:
    left, upper = round(scale * box.x), round(scale * box.y)
    right, lower = round(scale * (box.x + box.width)), round(scale * (box.y + box.height))
    if box.fill == "hatch" and right > left and lower > upper:
        down, across = np.mgrid[upper:lower, left:right]
        lines = np.where((down + across) % (HATCH * scale) < scale, 0xDC, 0xFF).astype(np.uint8)
        picture.paste(Image.fromarray(lines, "L").convert("RGB"), (left, upper))
    elif box.fill is not None and box.fill != "hatch":
        draw.rectangle((left, upper, right - 1, lower - 1), fill=box.fill)
    if box.stroke is not None:
        draw.rectangle((left, upper, right - 1, lower - 1), outline=box.stroke, width=scale)


def _disc(picture: Image.Image, disc: Disc, scale: int) -> None:
    side = round(2 * disc.radius * scale)
    large = Image.new("L", (side * FINE, side * FINE))
    ImageDraw.Draw(large).ellipse((0, 0, side * FINE - 1, side * FINE - 1), fill=255)
    corner = (round(scale * (disc.x - disc.radius)), round(scale * (disc.y - disc.radius)))
    picture.paste(disc.fill, corner, large.resize((side, side), Image.Resampling.BOX))


def _marks(picture: Image.Image, marks: Marks, scale: int) -> None:
    side = max(1, round(marks.size * scale))
    large, end = Image.new("L", (side * FINE, side * FINE)), side * FINE - 1
    draw, thick = ImageDraw.Draw(large), round(side * FINE / 3)
    if marks.shape == "disc":
        draw.ellipse((0, 0, end, end), fill=255)
    elif marks.shape == "square":
        draw.rectangle((0, 0, end, end), fill=255)
    else:
        draw.line((0, 0, end, end), fill=255, width=thick)
        draw.line((0, end, end, 0), fill=255, width=thick)
    mask = large.resize((side, side), Image.Resampling.BOX)
    for x, y in marks.places.tolist():
        picture.paste(marks.fill, (round(scale * x - side / 2), round(scale * y - side / 2)), mask)


def _cells(picture: Image.Image, cells: Cells, scale: int) -> None:
    side = cells.cell * scale
    colours = CIVIDIS[cells.colours].repeat(side, axis=0).repeat(side, axis=1)
    shown = np.where(cells.hidden, 0, 255).astype(np.uint8).repeat(side, axis=0).repeat(side, axis=1)
    picture.paste(Image.fromarray(colours, "RGB"), (cells.x * scale, cells.y * scale), Image.fromarray(shown, "L"))


def _text(picture: Image.Image, text: Text, scale: int) -> None:
    """Drawn FINE times larger and averaged down: letters then stand where they belong, not on whole pixels."""
    runs = _runs(text.text, FINE * text.size * scale)
    length = sum(font.getlength(run) for font, run in runs)
    wide, high = math.ceil(length / FINE) + 2, math.ceil(2 * text.size * scale)
    large = Image.new("L", (wide * FINE, high * FINE))
    draw, base = ImageDraw.Draw(large), math.ceil(1.5 * text.size * scale)
    left = scale * text.x - {"start": 0.0, "middle": length / 2, "end": length}[text.anchor] / FINE
    at = 0.0 if text.turned else FINE * (left - math.floor(left))
    for font, run in runs:
        draw.text((at, base * FINE), run, fill=255, font=font, anchor="ls")
        at += font.getlength(run)
    mask = large.resize((wide, high), Image.Resampling.BOX)
    corner = (math.floor(left), round(scale * text.y) - base)
    if text.turned:
        mask = mask.transpose(Image.Transpose.ROTATE_90)
        corner = (round(scale * text.x) - base, round(scale * text.y) - mask.height)
    picture.paste(text.fill, corner, mask)


def text_width(text: str, size: float) -> float:
    """CSS pixels that a text takes, about: another font may be used where an SVG is opened."""
    return sum(font.getlength(run) for font, run in _runs(text, FINE * size)) / FINE


def _runs(text: str, size: float) -> list[tuple[Font, str]]:
    """The text in pieces, each with a font that has all of its characters."""
    runs: list[tuple[Font, str]] = []
    for character in text:
        name = next((name for name in ("own", "dejavu") if _has(name, character)), None)
        font, run = _font(name or "own", size), character if name else f" U+{ord(character):04X} "
        if runs and runs[-1][0] is font:
            runs[-1] = (font, runs[-1][1] + run)
        else:
            runs.append((font, run))
    return runs


@lru_cache(maxsize=128)
def _font(name: str, size: float) -> Font:
    if name == "dejavu":
        data = io.BytesIO(files("regard.looking").joinpath("fonts/DejaVuSans-part.ttf").read_bytes())
        return ImageFont.truetype(
            data, 0.93 * size, layout_engine=ImageFont.Layout.BASIC
        )  # letters as high as the other's
    font = ImageFont.load_default(size)
    assert isinstance(font, Font)
    return font


@lru_cache(maxsize=4096)
def _has(name: str, character: str) -> bool:
    font = _font(name, 32.0)
    drawn, missing = font.getmask(character), font.getmask(_NOWHERE)
    return character == " " or drawn.size != missing.size or bytes(drawn) != bytes(missing)
