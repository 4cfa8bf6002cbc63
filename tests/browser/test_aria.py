"""The page for screen readers and keyboards: what is read out in each view, what is said, and where Tab leads.

What is read out stands in aria/*.yaml, numbers as 0, and is compared. To write those files anew after a change of the
page, and then to read what changed:

    REGARD_WRITE_ARIA=1 .venv/bin/python -m pytest -q tests/browser/test_aria.py -k read_out
    git diff tests/browser/aria
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from regard.looking.record import Recording

from ..looking.small import build, look, text
from .conftest import Open
from .planted import VIEWS, at, go, page_with, settled

STATE = {"layer": 1, "head": 2, "row": 30, "column": 3, "position": 6, "edits": "z:1.2"}
N = 40
STORED = Path(__file__).with_name("aria")


# what is read out


@pytest.fixture(scope="module")
def short() -> Iterator[str]:
    """Few tokens, so that what is stored can be read."""
    made = look(build(), text(7))
    made.prove()
    with page_with(made) as address:
        yield address


@pytest.mark.parametrize("part", ["header", "tour", *VIEWS])
def test_what_is_read_out_is_what_was_stored(short: str, open_page: Open, part: str) -> None:
    view = part if part in VIEWS else "heads"
    tour = {"tour": 2} if part == "tour" else {}
    page = open_page(at(short, view=view, layer=1, head=2, row=5, column=3, position=5, edits="z:1.2", **tour))
    settled(page, view)
    spot = {"header": "header", "tour": ".tour"}.get(part, f".view.{view}")
    read = without_numbers(page.locator(spot).first.aria_snapshot())
    unnamed = re.findall(r"^ *- (?:spinbutton|textbox|combobox|slider|button|link)\b(?! \").*", read, re.MULTILINE)
    assert not unnamed
    file = STORED / f"{part}.yaml"
    if os.environ.get("REGARD_WRITE_ARIA"):
        file.write_text(read + "\n")
    assert read + "\n" == file.read_text()


def without_numbers(snapshot: str) -> str:
    """Numbers as 0, but for the levels of headings."""
    return re.sub(r"(?<!level=)-?\d+(?:[.,]\d+)*(?:e-?\d+)?", "0", snapshot)


# what is said, and what stands beside each canvas


def said(page: Page, pattern: str) -> str:
    """What the polite live region says, when it says such a thing."""
    live = page.locator(".page > [aria-live=polite]")
    live.filter(has_text=re.compile(pattern)).wait_for(state="attached")
    return live.text_content() or ""


def test_the_live_region_speaks_the_focused_cell(proven_page: str, proven: Recording, open_page: Open) -> None:
    page = open_page(at(proven_page, view="matrix", layer=1, head=2, row=9, column=4))
    settled(page, "matrix")
    page.locator(".matrix-cells").focus()
    page.keyboard.press("ArrowDown")
    words = said(page, "row 10 .* column 4 ")
    weight = float(proven.weights(1, 2)[10, 4])
    assert float(words.rsplit(" ", 1)[-1]) == pytest.approx(weight, rel=1e-5)
    page.keyboard.press("End")
    assert said(page, f"row 10 .* column {N - 1} ").endswith("not allowed")
    go(page, view="lines", layer=1, head=2, row=9)
    settled(page, "lines")
    page.locator(".lines-token[tabindex='0']").focus()
    page.keyboard.press("Shift+ArrowLeft")
    words = said(page, "Row 9 .* column 8 ")
    assert f"weight {proven.weights(1, 2)[9, 8]:.6g}"[:14] in words
    go(page, view="heads", layer=1, head=2)
    settled(page, "heads")
    page.locator(".heads-cell[aria-selected=true]").focus()
    page.keyboard.press("ArrowRight")
    assert "previous" in said(page, "Layer 1, head 3")


@pytest.mark.parametrize("view", ["matrix", "lines"])
def test_beside_a_canvas_stands_a_table_of_the_focused_row(
    proven_page: str, proven: Recording, open_page: Open, view: str
) -> None:
    """The 20 largest in order, the first token and the token itself, the rest, and a sum of 1."""
    row = 38
    page = open_page(at(proven_page, view=view, layer=1, head=2, row=row, column=3))
    settled(page, view)
    table = page.locator(f".view.{view} table.numbers")
    table.locator("caption", has_text=f"{row} ").wait_for()
    weights = proven.weights(1, 2)[row]
    order = sorted(range(row + 1), key=lambda j: -weights[j])
    names = table.locator("tbody tr").evaluate_all(
        "rows => rows.map((row) => [row.querySelector('th').textContent, row.querySelector('td')?.textContent])"
    )
    assert [int(place) for _, place in names[:20]] == order[:20]
    listed = {int(place) for name, place in names if not re.match("rest|sum", name)}
    assert {0, row, *order[:20]} <= listed
    assert any("first token" in name for name, _ in names)
    assert any("itself" in name for name, _ in names)
    rest = [name for name, _ in names if name.startswith("rest")]
    assert rest == [f"rest: {row + 1 - len(listed)} more"]
    column = table.locator("thead th").all_inner_texts().index("weight" if view == "matrix" else "layer 1, head 2")
    cells = table.locator("tbody tr").last.locator("[data-value]").first
    assert column >= 3
    assert float(cells.get_attribute("data-value") or "nan") == pytest.approx(1, abs=1e-6)


NAMES = """all => all.map((one) => ['aria-hidden', 'role', 'aria-label'].map((name) => one.getAttribute(name)))"""


@pytest.mark.parametrize("view", VIEWS)
def test_every_canvas_is_named_or_left_out_and_never_alone(proven_page: str, open_page: Open, view: str) -> None:
    """A canvas is hidden from screen readers, or has a role and a name; numbers as text stand in its view."""
    page = open_page(at(proven_page, view=view, **STATE))
    settled(page, view)
    canvases = page.locator(f".view.{view} canvas").evaluate_all(NAMES)
    assert canvases
    for hidden, role, name in canvases:
        assert hidden == "true" or (role and name)
    assert page.locator(f".view.{view} [data-value]").count() > 5


# keyboard alone

STOPS = """() => [...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex]')]
    .filter((node) => node.tabIndex >= 0 && !node.disabled && node.checkVisibility({visibilityProperty: true}) &&
        !node.closest('details:not([open]) > :not(summary)'))
    .map((node, at) => { node.dataset.stop ??= String(at); return node.dataset.stop; })"""
HERE = """() => {
    const node = document.activeElement;
    if (!node || node === document.body) return null;
    const style = getComputedStyle(node), box = node.getBoundingClientRect();
    const ring = (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1) ||
        (node.matches('.page-text') && style.borderTopWidth !== '0px');
    return {stop: node.dataset.stop, name: `${node.tagName}.${node.className} ${node.textContent.slice(0, 20)}`,
        ring, seen: box.width > 0 && box.height > 0 && box.bottom > 0 && box.top < window.innerHeight};
}"""


@pytest.mark.parametrize("view", [*VIEWS, "tour"])
def test_tab_reaches_everything_shows_where_it_is_and_comes_out_again(
    proven_page: str, open_page: Open, view: str
) -> None:
    state = {**STATE, "tour": 3} if view == "tour" else STATE
    page = open_page(at(proven_page, view="lookup" if view == "tour" else view, **state))
    settled(page, "lookup" if view == "tour" else view)
    wanted = page.evaluate(STOPS)
    assert len(wanted) > 15
    page.locator("h1").click()
    page.evaluate("document.activeElement.blur()")
    reached: list[str] = []
    for _ in range(len(wanted) + 3):
        page.keyboard.press("Tab")
        here = page.evaluate(HERE)
        if here is None:  # past the last one, out of the page
            break
        assert here["ring"], here["name"]
        assert here["seen"], here["name"]
        assert here["stop"] not in reached, f"{here['name']} again: a trap"
        reached.append(here["stop"])
    missing = [one for one in wanted if one not in reached]
    assert not missing, [page.locator(f"[data-stop='{one}']").first.inner_text() for one in missing]
    page.keyboard.press("Shift+Tab")
    assert page.evaluate(HERE)["stop"] == reached[-1]


def test_the_tour_is_walked_by_keys_alone(proven_page: str, open_page: Open) -> None:
    """n and p from anywhere, the remote's keys inside, Enter on the buttons; the title has the focus, or the button."""
    page = open_page(proven_page)
    page.locator(".view.heads").wait_for()
    page.locator("button[data-tour]").focus()
    page.keyboard.press("Enter")
    page.locator(".tour-count", has_text="1 of 12").wait_for()
    for key, stop in (("n", 2), ("PageDown", 3), ("n", 4), ("p", 3), ("PageUp", 2), ("ArrowRight", 3)):
        page.keyboard.press(key)
        page.locator(".tour-count", has_text=f"{stop} of 12").wait_for()
        assert page.evaluate("document.activeElement.tagName") == "H2"
    page.locator(".tour [data-way=on]").focus()
    for stop in (4, 5):
        page.keyboard.press("Enter")
        page.locator(".tour-count", has_text=f"{stop} of 12").wait_for()
        assert page.evaluate("document.activeElement.dataset.way") == "on"
    said(page, "One row")
    page.locator("h1").click()
    page.keyboard.press("!")
    page.keyboard.press("n")  # single keys are off now
    said(page, "single keys are off")
    assert page.locator(".tour-count").inner_text() == "5 of 12"
    page.locator(".tour [data-way=leave]").focus()
    page.keyboard.press("Enter")
    page.locator(".tour").wait_for(state="detached")
    assert page.evaluate("document.activeElement.dataset.tour") is not None


def test_a_stop_of_the_tour_looks_the_same_from_its_address_alone(proven_page: str, open_page: Open) -> None:
    walked, linked = open_page(at(proven_page, tour=0)), open_page(at(proven_page, tour=11))
    assert stop_of(linked, 11)[1] == "edits"
    for stop in range(12):
        if stop:
            walked.keyboard.press("n")
        linked.evaluate("stop => { location.hash = `tour=${stop}`; }", stop)
        shown = stop_of(walked, stop)
        assert shown == stop_of(linked, stop)
        assert len(shown[0].split()) < 140


def stop_of(page: Page, stop: int) -> tuple[str, str, list[str]]:
    """What the panel says, the view below it, and the token that is chosen, when all of it is there."""
    page.locator(".tour-count", has_text=f"{stop + 1} of 12").wait_for()
    page.wait_for_load_state("networkidle")
    page.locator(".page-view .view:not(.stale)").wait_for()
    view = page.locator(".page-view .view").get_attribute("class") or ""
    return (page.locator(".tour").inner_text(), view.replace("view", "").replace("stale", "").strip(),
            page.locator(".strip-token.looks").all_inner_texts())  # fmt: skip
