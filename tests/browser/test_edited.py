"""An edit beside the recorded run: fixed scales of its bars, and what is saved of both strips."""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from regard.looking.edit import Edit, Effect
from regard.looking.record import Recording
from regard.page.export import save_page

from .conftest import Open
from .planted import at, settled
from .test_saving import SVG, arrays, facts_of, save, table

UP, DOWN = "#3b7dbf", "#c96a00"
AT, WIDE = 6, 16


@pytest.fixture(scope="module")
def effect(proven: Recording) -> Effect:
    return proven.edit([Edit(part="heads", kind="zero", layer=1, heads=(2,))], others=0)


def bars_of(svg: bytes, name: str) -> np.ndarray:
    """Signed heights in pixels of the bars in the strip below such words, from left to right; a 0 has none."""
    root = ElementTree.fromstring(svg)
    parts = list(root.iter())
    (words,) = [k for k, one in enumerate(parts) if (one.text or "").startswith(name)]
    strip = next(one for one in parts[words:] if one.tag == SVG + "g")
    signs = {UP: 1, DOWN: -1}
    found = [(float(one.attrib["x"]), signs[one.attrib["fill"]] * float(one.attrib["height"]))
             for one in strip.iter(SVG + "rect") if one.attrib["fill"] in signs]  # fmt: skip
    return np.array([height for _, height in sorted(found)])


def locked(page: Page) -> Page:
    settled(page, "prediction")
    page.locator(".locked-row").first.wait_for()
    return page


@pytest.mark.parametrize("reach", ["", "5", "0.05"])
def test_both_strips_are_saved(
    proven_page: str, proven: Recording, effect: Effect, open_page: Open, reach: str
) -> None:
    page = locked(open_page(at(proven_page, view="prediction", position=AT, lock="z:1.2", reach=reach)))
    files = save(page)
    places = slice(0, WIDE)  # the window around position 6
    found, (names, *rows) = arrays(files["npz"]), table(files["csv"])[1]
    assert found["position"].tolist() == list(range(*places.indices(proven.n)))
    after, logs = effect.after, effect.after.log_probability
    np.testing.assert_allclose(found["edited_run_its_probability"], np.exp(logs[places]), rtol=1e-6)
    np.testing.assert_allclose(found["change_of_its_log_p_nats"], effect.change[places], atol=1e-9)
    assert found["edited_run_its_rank"].tolist() == after.rank[places].tolist()
    assert found["edited_run_likeliest"].tolist() == [proven.name_of(int(one)) for one in after.top[places, 0]]
    np.testing.assert_allclose(found["probability"], np.exp(proven.readings.log_probability[places]), rtol=1e-6)
    np.testing.assert_allclose(found["surprisal_in_edited_run"], -logs / np.log(2), rtol=1e-6)
    np.testing.assert_allclose(found["change_of_log_p"], effect.change, atol=1e-9)
    assert [row[names.index("edited run: likeliest")] for row in rows] == found["edited_run_likeliest"].tolist()
    for kind, file in files.items():
        facts = facts_of(kind, file)
        assert "(z:1.2)" in facts["edits"], kind
        assert facts["badge"] == proven.badge  # which is of the recorded run
    svg = files["svg"]
    assert b"edited run: its probability" in svg
    assert b"NaN" not in svg.split(b"</metadata>")[1]
    limit = float(reach or "0.5")
    bars = bars_of(svg, "Every position: change of log p")
    change = effect.change[: proven.n - 1]
    expected = np.clip(change, -limit, limit) / limit * 36  # a strip is 72 pixels high, both ways
    drawn = np.where(abs(expected) < 0.75, np.sign(expected) * 0.75, expected)
    np.testing.assert_allclose(bars, drawn, atol=2e-3)
    assert (abs(change) > limit).any() == (limit == 0.05)  # or clipping is not tested


def test_the_scale_is_chosen_and_never_fitted(proven_page: str, effect: Effect, open_page: Open) -> None:
    page = open_page(at(proven_page, view="edits", edits="z:1.2", position=AT))
    settled(page, "edits")
    scale, readout = page.get_by_role("combobox", name="bars end at"), page.locator(".view.edits .bars-readout")
    for reach in ("0.5", "5", "0.05"):
        scale.select_option(f"±{reach} nats")
        expect(readout).to_contain_text(f"drawn from -{reach} to {reach} nats")
        beyond = int((abs(effect.change[~np.isnan(effect.change)]) > float(reach)).sum())
        said = re.search(r"(\d+) go beyond", readout.inner_text())
        assert (int(said[1]) if said else 0) == beyond
        assert scale.input_value() == reach
    assert "reach=0.05" in page.url
    page.reload()
    expect(readout).to_contain_text("drawn from -0.05 to 0.05 nats")


def test_without_a_lock_nothing_edited_is_saved(proven_page: str, open_page: Open) -> None:
    page = open_page(at(proven_page, view="prediction", position=AT))
    settled(page, "prediction")
    files = save(page, "svg", "npz")
    assert not [name for name in arrays(files["npz"]) if "edited" in name]
    assert facts_of("svg", files["svg"])["edits"] == "none: all numbers are of the recorded run"
    bits = arrays(files["npz"])["surprisal_of_every_position"][:-1]
    root = ElementTree.fromstring(files["svg"])
    limit = next(
        float(one.text.split()[-1])
        for one in root.iter(SVG + "text")
        if (one.text or "").startswith("Every position: surprisal")
    )
    assert limit == 5  # bits: enough for the 29 tokens of the vocabulary
    np.testing.assert_allclose(
        bars_of(files["svg"], "Every position: surprisal"), np.clip(bits, 0, limit) / limit * 72, atol=2e-3
    )


def test_a_saved_page_with_a_lock_saves_the_recorded_run_and_says_so(
    proven: Recording, open_page: Open, tmp_path: Path
) -> None:
    save_page(proven, tmp_path / "page.html")
    page = open_page(at((tmp_path / "page.html").as_uri(), view="prediction", position=AT, lock="z:1.2"), offline=True)
    settled(page, "prediction")
    expect(page.locator(".locked-edit")).to_contain_text("look at this run live to see it")
    assert facts_of("csv", save(page, "csv")["csv"])["edits"] == "none: all numbers are of the recorded run"
