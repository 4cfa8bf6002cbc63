"""The page of a picture as tests see it: its pixels by patch, back through the palette, and the picture beneath."""

import base64
import io
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Page

from regard.looking.palette import CIVIDIS

from ..looking.patched import Planted
from .conftest import Open
from .planted import at

Array = np.ndarray[Any, Any]
STAGE = ".matrix-stage .matrix-cells"
KNOWN = {tuple(colour): index for index, colour in enumerate(CIVIDIS.tolist())}


def drawn(page: Page, view: str = "overlay") -> None:
    """Until the picture is there, and nothing is awaited."""
    page.locator(f".view.{view}:not(.stale) {STAGE}[data-grid]").wait_for()
    page.locator(f".view.{view} [data-value]").first.wait_for()
    page.wait_for_load_state("networkidle")
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def see(
    open_page: Open, address: str, view: str = "overlay", options: dict[str, Any] | None = None, **state: Any
) -> Page:
    page = open_page(at(address, view=view, **state), **(options or {}))
    drawn(page, view)
    return page


def pixels(page: Page, selector: str = STAGE) -> Array:
    """(height, width, 3) of a canvas."""
    data = page.locator(selector).first.evaluate("(canvas) => canvas.toDataURL('image/png')")
    found: Array = np.asarray(Image.open(io.BytesIO(base64.b64decode(data.partition(",")[2]))).convert("RGB"))
    return found


def by_patch(page: Page, one: Planted, selector: str = STAGE) -> Array:
    """(patches, high, wide, 3) the pixels of each patch."""
    picture, (rows, columns) = pixels(page, selector), (one.grid.rows, one.grid.columns)
    high, wide = picture.shape[0] // rows, picture.shape[1] // columns
    assert picture.shape[:2] == (rows * high, columns * wide)
    found: Array = picture.reshape(rows, high, columns, wide, 3).swapaxes(1, 2).reshape(-1, high, wide, 3)
    return found


def entries(patches: Array) -> Array:
    """(patches,) the palette's entry of each, which all of its pixels have."""
    assert (patches == patches[:, :1, :1]).all()
    return np.array([KNOWN[tuple(map(int, patch[0, 0]))] for patch in patches])


def enlarged(one: Planted, high: int, wide: int) -> Array:
    """(patches, high, wide, 3) the picture itself, by nearest neighbour."""
    (down, across), (rows, columns) = one.grid.covered, (one.grid.rows, one.grid.columns)
    picture = np.broadcast_to(one.pixels[:down, :across], (down, across, 3))
    times = rows * high // down
    assert (rows * high, columns * wide) == (times * down, times * across)
    large = picture.repeat(times, axis=0).repeat(times, axis=1)
    found: Array = large.reshape(rows, high, columns, wide, 3).swapaxes(1, 2).reshape(-1, high, wide, 3)
    return found
