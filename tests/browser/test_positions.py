"""What rotation does to a score, in the look-up: the model's own queries and keys before it; a view that has none."""

from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from ..looking.small import GPT2, before_rotation, build, look, text
from .conftest import Open
from .planted import at, page_with, settled

LAYER, HEAD = 1, 2
STATE = {"layer": LAYER, "head": HEAD}


def column_of(page: Page, name: str) -> list[str]:
    """A column of the look-up's lines, in position order."""
    table = page.locator(".lookup-table")
    table.wait_for()
    heads = table.locator("thead th").evaluate_all("all => all.map((one) => one.firstChild.textContent)")
    at_column = heads.index(name)
    texts: list[str] = table.locator("tbody tr").evaluate_all(
        "(rows, k) => rows.map((row) => row.children[k]).map((cell) => cell.dataset.value ?? cell.textContent)",
        at_column,
    )
    return texts


@pytest.mark.parametrize("whatif", ["", "1.2.25,t0.5"])
def test_the_score_without_positions_is_that_of_queries_and_keys_before_rotation(
    proven_page: str, open_page: Open, whatif: str
) -> None:
    """The model's own, from its norms' outputs, in float64; beside them the scores that ran, with rotation."""
    i, model = 25, build()
    with before_rotation(model) as found:
        recording = look(model, text(40))
    query, key = (found[part, LAYER][0, head].double().numpy() for part, head in (("query", HEAD), ("key", HEAD // 3)))
    scale = recording.kept.call("self", LAYER).scale * (2 if whatif else 1)
    expected_scores = (key @ query[i]) * scale
    page = open_page(at(proven_page, view="lookup", **STATE, row=i, sort="position", whatif=whatif))
    settled(page, "lookup")
    plain, apart, ran = (column_of(page, name) for name in ("without positions", "i - j", "score"))
    assert len(plain) == 40
    np.testing.assert_allclose([float(one) for one in plain], expected_scores, atol=1e-5)
    assert [int(one) for one in apart] == [i - j for j in range(40)]
    own = recording.scores(LAYER, HEAD, rows=i)[0] * (2 if whatif else 1)
    np.testing.assert_allclose([float(one) for one in ran[: i + 1]], own[: i + 1], atol=1e-5)
    assert np.abs(expected_scores[:i] - own[:i]).max() > 0.1  # rotation does something
    assert float(plain[i]) == pytest.approx(float(ran[i]), abs=1e-5)  # and nothing at distance 0
    head = page.locator(".lookup-table thead th", has_text="without positions")
    assert head.locator(".derived", has_text="Derived").is_visible()
    assert head.locator(".derived", has_text="what if").count() == (1 if whatif else 0)


@pytest.fixture(scope="module")
def learned() -> Iterator[str]:
    with page_with(look(build(GPT2), text(12))) as address:
        yield address


def test_positions_that_are_learned_have_no_column_and_the_view_says_why(learned: str, open_page: Open) -> None:
    page = open_page(at(learned, view="lookup", layer=1, head=1, row=6))
    settled(page, "lookup")
    page.locator(".lookup-table").wait_for()
    assert "without positions" not in page.locator(".lookup-table thead").inner_text()
    expect(page.locator(".lookup-about")).to_contain_text(
        "Positions (learned) are added to the tokens' vectors before layer 0"
    )
