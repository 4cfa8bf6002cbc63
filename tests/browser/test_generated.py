"""Tokens that the model said itself: marked in the text, shown alone in the view of lines, named in what is saved."""

import shlex
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from regard.looking.generated import Generated
from regard.looking.record import Recording

from .conftest import Open
from .planted import at, number_in, page_with, settled
from .test_saving import SVG, arrays, facts_of, save

START = 12
HOW = {"tokens": 28, "temperature": 0.8, "seed": 5, "top_k": 3}


def said(recording: Recording, **other: Any) -> Recording:
    """The same recording, its tokens from 12 on the model's own words."""
    generated = Generated(START, same=True, difference=2e-6, sampling=HOW)
    made = Recording(replace(recording.kept, generated=replace(generated, **other)), recording.model)
    made.label, made.proof = recording.label, recording.proof
    return made


@pytest.fixture(scope="module")
def live(proven: Recording) -> Iterator[str]:
    with page_with(said(proven)) as address:
        yield address


def shown(page: Page) -> list[str]:
    return page.locator(".lines-token").all_inner_texts()


def test_the_text_shows_where_the_model_goes_on(live: str, proven: Recording, open_page: Open) -> None:
    page = open_page(at(live, view="matrix", layer=1, head=2, row=20))
    marked = page.locator(".strip-token.strip-said")
    expect(marked).to_have_count(proven.n - START)
    assert marked.first.get_attribute("title") == f"token {START}, said by the model"
    before = page.locator(".strip-turn + .strip-said").get_attribute("data-at")
    assert before == str(START)
    note = page.locator(".strip-forced")
    expect(note).to_contain_text(
        f"From token {START} on the model's own words (seed 5, temperature 0.8, top k 3); forced pass agrees"
    )
    assert number_in(page, ".strip-forced [data-value]") == pytest.approx(2e-6)
    assert "failed" not in (note.get_attribute("class") or "")


@pytest.mark.parametrize("wrong", [{"same": False}, {"difference": 0.5}])
def test_a_forced_pass_that_differs_is_marked(proven: Recording, open_page: Open, wrong: dict[str, Any]) -> None:
    with page_with(said(proven, **wrong)) as address:
        page = open_page(at(address, view="heads"))
        note = page.locator(".strip-forced.failed")
        expect(note).to_contain_text("forced pass differs")
        assert ("NOT the same" in note.inner_text()) == ("same" in wrong)
        facts = facts_of("csv", save(page, "csv")["csv"])
        assert '"mark":"forced pass differs"' in facts["generated"]
        drawn = ElementTree.fromstring(save(page, "svg")["svg"])
        words = " ".join(one.text or "" for one in drawn.iter(SVG + "text"))
        assert f"from token {START} on the model's own words, forced pass differs" in words


def test_lines_of_the_generated_tokens_alone_add_up(live: str, proven: Recording, open_page: Open) -> None:
    page = open_page(at(live, view="lines", layer=1, head=2, row=5, least=0))
    settled(page, "lines")
    assert len(shown(page)) == proven.n
    page.get_by_role("combobox", name="show").select_option("generated")
    expect(page.locator(".lines-token")).to_have_count(proven.n - START)
    assert shown(page) == list(proven.tokens.labels[START:])
    assert {"only=generated", f"row={START}"} <= set(page.url.split("#")[1].split("&"))  # the chosen one is among them
    page.evaluate("location.hash = location.hash.replace('row=12', 'row=30')")
    expect(page.locator(".lines-token.chosen")).to_have_text(proven.tokens.labels[30])
    expect(page.locator("table.numbers caption")).to_contain_text("30")
    row = proven.weights(1, 2)[30]
    prompt = page.locator(".lines-before")
    expect(prompt).to_contain_text("prompt")
    assert number_in(page, ".lines-before [data-value]") == pytest.approx(float(row[1:START].sum()), rel=1e-5)
    assert number_in(page, ".lines-first [data-value]") == pytest.approx(float(row[0]), rel=1e-6)
    share = number_in(page, ".lines-drawn")
    assert share == pytest.approx(float(row[0] + row[START:31].sum()), rel=1e-5)
    expect(page.get_by_role("button", name="earlier tokens")).to_have_count(0)
    page.get_by_role("combobox", name="show").select_option("")
    expect(page.locator(".lines-token")).to_have_count(proven.n)


def test_who_looks_at_a_prompts_token_is_still_told(live: str, proven: Recording, open_page: Open) -> None:
    page = open_page(at(live, view="lines", layer=1, head=2, only="generated", direction="by", column=4, least=0))
    page.locator(".lines-drawn").wait_for()
    assert len(shown(page)) == proven.n - START
    column = proven.weights(1, 2)[:, 4]
    assert number_in(page, ".lines-before [data-value]") == pytest.approx(float(column[:START].sum()), rel=1e-5)
    drawn = float(column[START:].sum() / column.sum())
    assert number_in(page, ".lines-drawn") == pytest.approx(drawn, rel=1e-5)


def test_what_is_saved_says_how_it_is_made_again(live: str, proven: Recording, open_page: Open) -> None:
    page = open_page(at(live, view="lines", layer=1, head=2, row=30, only="generated"))
    settled(page, "lines")
    files = save(page, "npz", "svg")
    found, facts = arrays(files["npz"]), facts_of("npz", files["npz"])
    assert found["generated"].tolist() == [0] * START + [1] * (proven.n - START)
    np.testing.assert_allclose(found["layer_1_head_2"][:31], proven.weights(1, 2)[30, :31], rtol=1e-6)
    assert facts["generated"]["start"] == START
    prompt = b"".join(proven.tokens.raw[:START]).decode()
    assert shlex.split(facts["command"]) == [
        "regard", "look", "runs/small", "--save", "page.html", "--tokens", "28", "--temperature", "0.8", "--seed", "5",
        "--top-k", "3", prompt,
    ]  # fmt: skip


def test_where_all_tokens_were_given_there_is_no_such_choice(proven_page: str, open_page: Open) -> None:
    page = open_page(at(proven_page, view="lines", layer=1, head=2, row=30, only="generated"))
    settled(page, "lines")
    expect(page.get_by_role("combobox", name="show")).to_have_count(0)
    expect(page.locator(".strip-said, .strip-turn, .strip-forced")).to_have_count(0)
    assert len(shown(page)) == 40
