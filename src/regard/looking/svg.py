"""A drawing as SVG, written by hand: shapes and text, no script, no style from elsewhere, no link."""

import base64
import io
import json
from xml.sax.saxutils import escape

import numpy as np
from PIL import Image

from regard.looking.drawing import HATCH, VECTOR_CELLS, Box, Cells, Disc, Drawing, Item, Line, Marks, Pixels, Text
from regard.looking.palette import CIVIDIS, hexadecimal
from regard.looking.png import image_of, text_width

LONG = 120
"""Pixels from which a text is given its length, for it must end where it was planned to, whatever font is there."""
FONTS = "'Helvetica Neue', Helvetica, Arial, 'DejaVu Sans', sans-serif"


def render(drawing: Drawing) -> str:
    width, height = drawing.width, drawing.height
    vector = sum(int((~item.hidden).sum()) for item in drawing.items if isinstance(item, Cells)) <= VECTOR_CELLS
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img" font-family="{FONTS}">',
        f"<title>{escape(drawing.title)}</title>",
        f"<metadata>{escape(json.dumps(drawing.facts))}</metadata>",
        f'<defs><pattern id="hatch" width="{HATCH}" height="{HATCH}" patternUnits="userSpaceOnUse">'
        f'<path d="M-1 1L1 -1M0 {HATCH}L{HATCH} 0M{HATCH - 1} {HATCH + 1}L{HATCH + 1} {HATCH - 1}" stroke="#dcdcdc"/>'
        f'</pattern></defs><rect width="{width}" height="{height}" fill="#ffffff"/>',
        *(_item(item, vector) for item in drawing.items),
        "</svg>\n",
    ]
    return "\n".join(parts)


def _item(item: Item, vector: bool) -> str:
    match item:
        case Box():
            fill = "none" if item.fill is None else "url(#hatch)" if item.fill == "hatch" else item.fill
            stroke = "" if item.stroke is None else f' stroke="{item.stroke}"'
            place = f'x="{item.x:g}" y="{item.y:g}" width="{item.width:g}" height="{item.height:g}"'
            return f'<rect {place} fill="{fill}"{stroke}/>'
        case Line():
            ends = f'x1="{item.x1:g}" y1="{item.y1:g}" x2="{item.x2:g}" y2="{item.y2:g}"'
            return f'<line {ends} stroke="{item.stroke}" stroke-width="{item.thick:g}"/>'
        case Disc():
            return f'<circle cx="{item.x:g}" cy="{item.y:g}" r="{item.radius:g}" fill="{item.fill}"/>'
        case Marks():
            return _marks(item)
        case Text():
            turn = f' transform="rotate(-90 {item.x:g} {item.y:g})"' if item.turned else ""
            anchor = "" if item.anchor == "start" else f' text-anchor="{item.anchor}"'
            length = text_width(item.text, item.size)
            fit = f' textLength="{length:.0f}" lengthAdjust="spacingAndGlyphs"' if length > LONG else ""
            place = f'x="{item.x:g}" y="{item.y:g}" font-size="{item.size:g}" fill="{item.fill}"{anchor}{fit}{turn}'
            return f'<text {place} unicode-bidi="isolate" xml:space="preserve">{escape(item.text)}</text>'
        case Cells():
            return _shapes(item) if vector else _image(item)
        case Pixels():
            return _embedded(image_of(item.pixels), (item.x, item.y, item.width, item.height), item.title)


def _marks(marks: Marks) -> str:
    """One path: discs and squares are the ends of lines without a length worth mentioning."""
    half, dot = marks.size / 2, marks.shape != "cross"
    if dot:
        runs = [f"M{x:.1f} {y:.1f}h.01" for x, y in marks.places]
    else:
        runs = [f"M{x - half:.1f} {y - half:.1f}l{2 * half:g} {2 * half:g}m0 {-2 * half:g}l{-2 * half:g} {2 * half:g}"
                for x, y in marks.places]  # fmt: skip
    thick, cap = (marks.size, "round" if marks.shape == "disc" else "square") if dot else (marks.size / 3, "butt")
    style = f'fill="none" stroke="{marks.fill}" stroke-width="{thick:.3g}" stroke-linecap="{cap}"'
    return f'<path {style} d="{"".join(runs)}"><title>{escape(marks.title)}</title></path>'


def _shapes(cells: Cells) -> str:
    """One path a colour, in which neighbours of a row are joined; edges on whole pixels, so without seams."""
    paths: dict[int, list[str]] = {}
    step = cells.cell
    for i, (colours, hidden) in enumerate(zip(cells.colours, cells.hidden, strict=True)):
        edges = np.flatnonzero((np.diff(colours) != 0) | (np.diff(hidden) != 0)) + 1
        for start, end in zip([0, *edges], [*edges, len(colours)], strict=True):
            if not hidden[start]:
                wide = (end - start) * step
                run = f"M{cells.x + start * step} {cells.y + i * step}h{wide}v{step}h{-wide}z"
                paths.setdefault(int(colours[start]), []).append(run)
    drawn = "".join(f'<path fill="{hexadecimal(index)}" d="{"".join(runs)}"/>' for index, runs in sorted(paths.items()))
    return f'<g shape-rendering="crispEdges"><title>{escape(cells.title)}</title>{drawn}</g>'


def _image(cells: Cells) -> str:
    """A PNG of exactly one pixel a cell, transparent where hidden."""
    alpha = np.where(cells.hidden, 0, 255).astype(np.uint8)
    high, wide = (size * cells.cell for size in cells.colours.shape)
    image = Image.fromarray(np.dstack((CIVIDIS[cells.colours], alpha)), "RGBA")
    return _embedded(image, (cells.x, cells.y, wide, high), cells.title)


def _embedded(image: Image.Image, place: tuple[int, int, int, int], title: str) -> str:
    """Pixels, made larger without smoothing; place: left, top, width and height."""
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    data, (x, y, wide, high) = base64.b64encode(stream.getvalue()).decode(), place
    return (f'<image x="{x}" y="{y}" width="{wide}" height="{high}" preserveAspectRatio="none" '
            f'style="image-rendering:pixelated" href="data:image/png;base64,{data}">'
            f"<title>{escape(title)}</title></image>")  # fmt: skip
