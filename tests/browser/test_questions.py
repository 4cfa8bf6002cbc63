"""Each view answers its question: what somebody asks, the steps from the start, and the answer worked out by hand.

The models are planted (tests/looking/small.py, planted.py): what each head must do is known in closed form.
"""

from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import Page

from regard.looking.record import Recording

from ..looking.small import FIRST, PREVIOUS, SAME
from ..looking.small import planted as four_heads
from . import planted
from .conftest import Open
from .planted import AGAIN, IDS, N, closed_form, exact_numbers, log_p, number_in, one_planted

BETA = 5.0
NEAR = 1e-6


@pytest.fixture(scope="module")
def heads() -> Iterator[str]:
    """One layer: heads that look at the token before, at the first, at all alike, at the same word."""
    with planted.page_with(planted.looked_at(four_heads(BETA))) as address:
        yield address


@pytest.fixture(scope="module")
def answering() -> Iterator[str]:
    """Two layers that continue a repetition and say it: f a b c d a b c e a b."""
    with planted.page_with(planted.looked_at(planted.speaking())) as address:
        yield address


def open_view(page: Page, title: str) -> None:
    page.get_by_role("navigation", name="Views").get_by_role("link", name=title, exact=True).click()
    page.locator(".page-view h2", has_text="?").wait_for()


def choose_head(page: Page, layer: int, head: int) -> None:
    page.get_by_label("layer", exact=True).first.select_option(str(layer))
    page.get_by_label("head", exact=True).first.select_option(str(head))


def test_heads_which_head_looks_at_the_token_before(heads: str, open_page: Open) -> None:
    """Sort by `previous`: head 0 of layer 0 stands first, with the mean of e^b / (e^b + i) over rows 1 to n - 1."""
    page = open_page(heads)
    page.locator(".heads-number").first.wait_for()
    page.get_by_label("sort by").select_option("previous")
    first = page.locator(".heads-cell").first
    first.click()
    assert first.inner_text().startswith(f"layer 0, head {PREVIOUS}")
    expected = np.mean([one_planted(BETA, i) for i in range(1, N)])
    assert number_in(page, ".heads-chosen [data-measure=previous]") == pytest.approx(expected, abs=NEAR)
    assert page.locator(".view.heads .derived", has_text="Derived").first.is_visible()


def test_matrix_how_much_does_token_7_look_at_token_6(heads: str, open_page: Open) -> None:
    """Go to 7,6: e^b / (e^b + 7). What lies above the diagonal reads `not allowed`, which is not 0."""
    page = open_page(heads)
    open_view(page, "Matrix")
    page.get_by_label("row, column").fill("7,6")
    page.keyboard.press("Enter")
    assert number_in(page, ".matrix-pair .number") == pytest.approx(one_planted(BETA, 7), abs=NEAR)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.locator(".matrix-pair", has_text="column 8").wait_for()
    page.locator(".matrix-pair", has_text="not allowed").wait_for()


def test_lines_where_does_token_8_look(heads: str, open_page: Open) -> None:
    """The second head, token 8: at the first token, with e^b / (e^b + 8); the rest is (8 others) counted beside."""
    page = open_page(heads)
    open_view(page, "Lines")
    choose_head(page, 0, FIRST)
    page.locator(".lines-token").nth(8).click()
    page.locator(".lines-line", has_text="Row 8 ").first.wait_for()
    page.locator(".lines-line", has_text=f"layer 0, head {FIRST}: drawn").wait_for()
    first = one_planted(BETA, 8)
    assert number_in(page, ".lines-first .number") == pytest.approx(first, abs=NEAR)
    assert number_in(page, ".lines-others .number") == pytest.approx(1 - first, abs=NEAR)


def test_lookup_how_did_the_row_of_the_third_a_come_about(heads: str, open_page: Open) -> None:
    """The fourth head, token 9, an a: three keys are a, score b each, weight e^b / (3 e^b + 7); they lead the table."""
    page = open_page(heads)
    open_view(page, "Look-up")
    choose_head(page, 0, SAME)
    field = page.get_by_label("query token")
    field.fill("9")
    field.press("Enter")
    page.locator(".view.lookup", has_text=f"layer 0, head {SAME}").wait_for()
    lines = page.locator(".lookup-table tbody tr")
    same = [j for j in range(10) if IDS[j] == IDS[9]]
    assert [int(lines.nth(k).locator(".lookup-key").get_attribute("data-key") or -1) for k in range(3)] == same
    expected = np.exp(BETA) / (3 * np.exp(BETA) + 7)
    for k in range(3):
        _, score, _, weight = (float(lines.nth(k).locator("td[data-value]").nth(c).get_attribute("data-value") or "nan")
                               for c in range(4))  # fmt: skip
        assert score == pytest.approx(BETA, abs=1e-5)
        assert weight == pytest.approx(expected, abs=NEAR)
    assert number_in(page, ".lookup-difference") < NEAR


def test_prediction_what_was_expected_after_the_second_a(answering: str, open_page: Open) -> None:
    """b, with the closed form's probability, and only what leaves the last layer says so."""
    page = open_page(answering)
    open_view(page, "Prediction")
    page.locator(f".prediction-key[data-key='{AGAIN}']").click()
    page.locator(".prediction-title", has_text=f"Position {AGAIN}").wait_for()
    probability = float(np.exp(log_p(closed_form()["whole"])[AGAIN]))
    title = page.locator(".prediction-title")
    assert "rank 1" in title.inner_text()
    assert number_in(page, ".prediction-title [data-value]") == pytest.approx(probability, abs=NEAR)
    since = page.locator(".prediction-table tr", has_text="rank 1 from layer").locator("td").nth(AGAIN)
    assert since.inner_text() == "2"


def test_space_which_tokens_are_alike_before_the_first_block(heads: str, open_page: Open) -> None:
    """A vector is its word and its place: the nearest to the second a are the other two, at a cosine of 1/2."""
    page = open_page(heads)
    open_view(page, "Representations")
    page.locator(".strip-token").nth(5).click()
    page.locator(".space-chosen", has_text="Nearest to token 5").wait_for()
    page.locator(".space-chosen [data-value]").first.wait_for()
    rows = page.locator(".space-chosen tbody tr")
    assert {rows.nth(k).locator("button").inner_text().split()[0] for k in range(2)} == {"1", "9"}
    for k in range(2):
        cosine = rows.nth(k).locator("[data-value]").first.get_attribute("data-value")
        assert float(cosine or "nan") == pytest.approx(0.5, abs=1e-5)


def test_edits_what_would_it_have_said_without_the_head(answering: str, open_page: Open) -> None:
    """Zero head 0 of layer 1: the mean change is the closed form's; the head was worth nats at each repetition."""
    page = open_page(answering)
    open_view(page, "Edits")
    choose_head(page, 1, 0)
    page.get_by_label("edit", exact=True).select_option("zero a head")
    page.get_by_role("button", name="add this edit").click()
    page.locator(".edits-badge", has_text="Edited run").wait_for()
    found = closed_form()
    change = log_p(found["without"]) - log_p(found["whole"])
    assert exact_numbers(page, "p:has-text('Mean change') .number")[0] == pytest.approx(change.mean(), abs=1e-5)
    assert change[AGAIN] < -1.5
    shown = page.locator(".edits-table tbody tr").nth(AGAIN).locator("[data-value]").first.get_attribute("data-value")
    assert float(shown or "nan") == pytest.approx(change[AGAIN], abs=1e-5)


def test_the_planted_models_are_what_these_answers_say() -> None:
    """The closed forms against the recordings themselves, so that a wrong one is not the page's fault."""
    one: Recording = planted.looked_at(four_heads(BETA))
    np.testing.assert_allclose(one.weights(0, PREVIOUS), planted.previous_weights(N, BETA), atol=NEAR)
    two, found = planted.looked_at(planted.speaking()), closed_form()
    np.testing.assert_allclose(two.weights(1, 0), found["weights"], atol=NEAR)
    assert two.kept.logits is not None
    np.testing.assert_allclose(two.kept.logits.numpy(), found["whole"], atol=1e-5)
