"""Pages with one head, of a model that has no other or by choice: they open on it, and all heads' numbers are saved."""

import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from regard.looking.record import Recording
from regard.model.config import AttentionConfig
from regard.page.export import save_page

from ..looking.small import QWEN3, build, look, text
from .conftest import Open
from .test_saving import arrays, cells_of, facts_of, save, table

ONE = replace(QWEN3, layers=1, attention=AttentionConfig(heads=1, key_value_heads=1, head_width=10))


def heads_of(page: Page) -> Page:
    """From where the page opens to the view of all heads."""
    page.locator(".view.matrix:not(.stale)").wait_for()
    page.get_by_role("link", name="Heads").click()
    page.locator(".view.heads [data-value]").first.wait_for()
    return page


def check_picture(svg: bytes, recording: Recording, layer: int, head: int) -> None:
    _, _, cell, entries = cells_of(ElementTree.fromstring(svg), f"layer {layer}, head {head}")
    weights, mask = recording.weights(layer, head), recording.mask(layer)
    assert cell > 1
    assert (entries[~mask] == -1).all()
    assert np.abs(weights - entries / 255)[mask].max() <= 0.5 / 255 + 1e-7


def check_numbers(npz: bytes, recording: Recording) -> None:
    found, measures = arrays(npz), recording.measures()
    assert (found["layer"].tolist(), found["head"].tolist()) == (
        [one.layer for one in measures],
        [one.head for one in measures],
    )
    for name in ("first", "previous", "entropy", "share"):
        np.testing.assert_allclose(found[name], [getattr(one, name) for one in measures], rtol=1e-6)


@pytest.mark.parametrize("n", [1, 7])
def test_the_only_head_of_a_model_is_saved_with_its_numbers(tmp_path: Path, open_page: Open, n: int) -> None:
    recording = look(build(ONE), text(n))
    save_page(recording, tmp_path / "page.html")
    page = heads_of(open_page((tmp_path / "page.html").as_uri(), offline=True))
    files = save(page)
    check_picture(files["svg"], recording, 0, 0)
    check_numbers(files["npz"], recording)
    assert len(table(files["csv"])[1]) == 2
    svg = files["svg"].decode()
    assert f"1 layer of 1 head, {n} token{'s' if n > 1 else ''}" in svg
    assert facts_of("png", files["png"])["recording"] == recording.id


def test_a_page_of_one_chosen_head_opens_on_it_and_saves_what_it_has(
    proven: Recording, tmp_path: Path, open_page: Open
) -> None:
    save_page(proven, tmp_path / "page.html", head=(1, 2))
    page = open_page((tmp_path / "page.html").as_uri(), offline=True)
    expect(page.locator(".view.matrix")).to_be_visible()
    assert {"view=matrix", "layer=1", "head=2"} <= set(page.url.split("#")[1].split("&"))
    files = save(heads_of(page))
    check_picture(files["svg"], proven, 1, 2)
    check_numbers(files["npz"], proven)
    others = proven.layers * proven.heads - 1
    svg = files["svg"].decode()
    assert svg.count(">not in this page<") == others
    assert f"The pictures of {others} heads are not in this saved page." in svg
    with pytest.raises(ValueError, match="expected 1, got 0"):
        cells_of(ElementTree.fromstring(files["svg"]), "layer 0, head 0")
