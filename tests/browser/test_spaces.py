"""Representations on a basis of each layer or one for all, centred or not: what is drawn, said, stored and saved."""

import re
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from regard.looking.record import Recording
from regard.page.export import save_page
from regard.page.space import space

from .conftest import Open
from .planted import at, exact_numbers, go, settled
from .test_saving import arrays, facts_of, save

WAYS = {(basis, centred): (basis or "own", "raw" if centred else "centred")
        for basis in ("", "all") for centred in ("", "no")}  # fmt: skip


@pytest.fixture(scope="module")
def stored(proven: Recording, tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("space") / "page.html"
    save_page(proven, file)
    return file.as_uri()


def numbers(page: Page, place: str) -> list[float]:
    return exact_numbers(page, f".view.space {place} [data-value]")


@pytest.mark.parametrize("way", WAYS, ids=lambda way: "-".join(WAYS[way]))
def test_points_and_shares_are_those_of_the_basis_in_a_saved_page(
    stored: str, proven: Recording, open_page: Open, way: tuple[str, str]
) -> None:
    basis, centred = way
    page = open_page(at(stored, view="space", layer=1, position=6, basis=basis, centred=centred), offline=True)
    settled(page, "space")
    found: dict[str, Any] = space(proven, "stream", 1, *WAYS[way])
    shares = zip(found["explained"], found.get("overall", [None, None]), strict=True)
    expected = [one for pair in shares for one in pair if one is not None]
    assert numbers(page, ".space-left p") == pytest.approx(expected, rel=1e-8)
    words = page.locator(".space-left p").first.inner_text()
    assert ("sum of squares" in words, "of all layers'" in words) == (bool(centred), bool(basis))
    assert ("of the variance" in words) == (not centred and not basis)
    drawn = numbers(page, ".space-chosen p")[1:]
    assert drawn == pytest.approx([found["x"][6], found["y"][6]], rel=1e-8)
    about = page.locator(".view.space > p.quiet").inner_text()
    assert ("centred" in about, "same in every layer" in about) == (not centred, bool(basis))
    neighbours = exact_numbers(page, ".space-chosen td[data-value]")
    cosines = neighbours[::2]
    stream = proven.stream(1).astype(float)
    sizes = np.linalg.norm(stream, axis=1)
    every = np.delete(stream @ stream[6] / sizes / sizes[6], 6)
    assert cosines == pytest.approx(sorted(every, reverse=True)[:10])  # in the full space, whatever is drawn


def test_the_choices_stand_in_the_address_and_in_what_is_saved(stored: str, proven: Recording, open_page: Open) -> None:
    page = open_page(at(stored, view="space", layer=2, position=6), offline=True)
    settled(page, "space")
    page.get_by_label("basis").select_option("all")
    page.get_by_label("centred").select_option("no")
    expect(page.locator(".space-left p").first).to_contain_text("sum of squares")
    assert {"basis=all", "centred=no"} <= set(page.url.split("#")[1].split("&"))
    files = save(page, "svg", "npz")
    facts = facts_of("npz", files["npz"])
    assert (facts["basis"], facts["centred"]) == ("one for all layers", "no")
    found, expected = arrays(files["npz"]), space(proven, "stream", 2, "all", "raw")
    np.testing.assert_allclose(found["across"], expected["x"], rtol=1e-9)
    np.testing.assert_allclose(facts["overall"], expected["overall"], rtol=1e-9)
    assert "the cross is zero" in files["svg"].decode()
    page.go_back()
    expect(page.locator(".space-left p").first).to_contain_text("of this layer's variance")


def test_heads_have_no_directions_in_common(stored: str, proven: Recording, open_page: Open) -> None:
    page = open_page(at(stored, view="space", layer=1, head=2, space="key", basis="all", centred="no"), offline=True)
    settled(page, "space")
    expect(page.get_by_label("basis")).to_be_disabled()
    assert page.get_by_label("basis").input_value() == ""
    found = space(proven, "key.2", 1, "own", "raw")
    assert numbers(page, ".space-left p") == pytest.approx(found["explained"], rel=1e-8)
    go(page, view="space", layer=1, head=2, space="key", basis="all")
    expect(page.locator(".space-left p").first).to_contain_text("of the variance")
    expect(page.locator(".view.space > p.quiet")).to_contain_text("Heads have no basis in common")


def test_what_is_drawn_and_what_is_said_of_it_never_differ_while_others_are_awaited(live: str, open_page: Open) -> None:
    """Neighbours that come before the points of another basis draw nothing, and no notice stays."""
    page = open_page(live)
    page.evaluate("location.hash = 'view=space&position=1'")
    page.locator(".space-chosen table").wait_for()
    page.route(re.compile(r"/space/.*/raw$"), lambda route: (page.wait_for_timeout(600), route.continue_()))
    page.get_by_label("centred").select_option("no")
    page.locator(".space-left canvas").first.focus()
    page.keyboard.press("ArrowRight")  # another token's neighbours are asked for meanwhile
    said = page.locator(".space-left").inner_text()
    assert ("sum of squares" in said) == ("the cross is zero" in said)
    page.get_by_text("the cross is zero").wait_for()
    assert "sum of squares" in page.locator(".space-left").inner_text()
    assert page.get_by_text("try again").count() == 0
