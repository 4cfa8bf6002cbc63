"""What the page draws is true: a planted head lights the right cells, scales stay, parts add up, means say so."""

import base64
import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Locator, Page

from regard.errors import printable
from regard.looking.palette import CIVIDIS
from regard.looking.record import Recording, record
from regard.model.sequence import Sequence
from regard.page.export import save_page
from regard.tokens.text import TextTokenizer

from ..looking.small import QWEN3, build, look, named, text
from . import planted as by_hand
from .conftest import Open
from .planted import AFTER, AGAIN, N, at, closed_form, exact_numbers, go, log_p, number_in, page_with

VIEWS = ("heads", "matrix", "lines", "lookup", "prediction", "space", "edits")


@pytest.fixture(scope="module")
def planted() -> Iterator[str]:
    with page_with(by_hand.looked_at(by_hand.speaking())) as address:
        yield address


@pytest.fixture(scope="module")
def random() -> Recording:
    return look(build(), text(14))


@pytest.fixture(scope="module")
def live_random(random: Recording) -> Iterator[str]:
    with page_with(random) as address:
        yield address


def saved(recording: Recording, path: Path) -> str:
    save_page(recording, path, overwrite=True)
    return path.as_uri()


def cells(page: Page, n: int) -> dict[tuple[int, int], tuple[int, ...]]:
    """The colour in the middle of each cell of the matrix, when it is drawn."""
    page.locator(".matrix-cells[data-grid]").wait_for()
    colours = page.evaluate(
        """(n) => {
        const canvas = document.querySelector('.matrix-cells'), pen = canvas.getContext('2d');
        const [left, top, cell] = canvas.dataset.grid.split(' ').map(Number);
        const middle = (k) => Math.floor((k + 0.5) * cell);
        return Array.from({length: n * n}, (_, k) =>
            [...pen.getImageData(left + middle(k % n), top + middle(Math.floor(k / n)), 1, 1).data]);
    }""",
        n,
    )
    return {(k // n, k % n): tuple(colour) for k, colour in enumerate(colours)}


# the planted head that continues repetitions


def test_the_induction_head_lights_the_right_cells(planted: str, open_page: Open) -> None:
    weights = closed_form()["weights"]
    page = open_page(at(planted, view="matrix", layer=1, head=0, row=AGAIN, column=AFTER, scale="linear", zoom=-4))
    assert number_in(page, ".matrix-pair .number[data-value]") == pytest.approx(weights[AGAIN, AFTER], abs=1e-6)
    known = {tuple(colour): index for index, colour in enumerate(CIVIDIS.tolist())}
    shown = cells(page, N)
    for (i, j), colour in shown.items():
        if j <= i:
            assert abs(known[colour[:3]] / 255 - weights[i, j]) <= 0.5 / 255 + 1e-6, (i, j)
        else:
            assert colour[:3] not in known
    brightest = max(range(AGAIN + 1), key=lambda j: known[shown[AGAIN, j][:3]])
    assert brightest == AFTER


CUTS = {
    "the head": ("z:1.0", lambda found: found["without"]),
    "its edge, cut": (f"c:1.0:{AGAIN}:{AFTER}", lambda found: _without_edge(found)),
    "its edge, masked": (f"m:1.0:{AGAIN}:{AFTER}", lambda found: _grown(found)),
}


def _without_edge(found: dict[str, Any]) -> Any:
    logits = found["whole"].copy()
    logits[AGAIN] -= found["edges"][AGAIN, AFTER]
    return logits


def _grown(found: dict[str, Any]) -> Any:
    """The rest of the row grows until it sums to 1 again."""
    logits, weight = found["without"].copy(), found["weights"][AGAIN, AFTER]
    logits += found["edges"].sum(axis=1)
    logits[AGAIN] = found["without"][AGAIN]
    logits[AGAIN] += (found["edges"][AGAIN].sum(axis=0) - found["edges"][AGAIN, AFTER]) / (1 - weight)
    return logits


@pytest.mark.parametrize("name", CUTS)
def test_cutting_it_moves_the_right_token_by_the_closed_form(planted: str, open_page: Open, name: str) -> None:
    word, logits = CUTS[name]
    found = closed_form()
    change = log_p(logits(found)) - log_p(found["whole"])
    assert change[AGAIN] < -1.5  # the head has said what comes next
    page = open_page(at(planted, view="edits", layer=1, head=0, edits=word, position=AGAIN))
    page.locator(".edits-badge").wait_for()
    assert page.locator(".edits-badge").inner_text() == "Edited run"
    rows = page.locator(".edits-table tbody tr")
    shown = [rows.nth(i).locator("[data-value]").first.get_attribute("data-value") for i in range(N - 1)]
    np.testing.assert_allclose([float(text or "nan") for text in shown], change, atol=1e-5)


# scales


def test_a_fixed_scale_does_not_move_when_a_cell_becomes_1(random: Recording, open_page: Open, tmp_path: Path) -> None:
    """The same page with one weight changed: that cell is the brightest colour, and nothing else changes."""
    address = saved(random, tmp_path / "page.html")
    page_text = (tmp_path / "page.html").read_text()
    stored = re.search(r'<script type="application/json" id="answers">(.*?)</script>', page_text, re.DOTALL)
    assert stored is not None
    answers = json.loads(stored[1])
    tile = "0/tile/self/0/1/weights/0/0/0"
    body = bytearray(base64.b64decode(answers[tile]))
    values = np.frombuffer(body, "<f4", offset=16).reshape(random.n, random.n)
    i, j = 9, 4
    largest = float(np.nanmax(values[1:]))
    assert values[i, j] < 0.5
    assert largest < 0.999  # a scale that is stretched to the data would move
    values[i, j] = 1
    answers[tile] = base64.b64encode(bytes(body)).decode()
    other = tmp_path / "other.html"
    other.write_text(page_text.replace(stored[1], json.dumps(answers)))
    for scale in ("linear", "log"):
        seen = []
        for where in (address, other.as_uri()):
            page = open_page(f"{where}#view=matrix&layer=0&head=1&zoom=-4&scale={scale}", offline=True)
            ticks = page.locator(".page-ticks").first.inner_text(), page.locator(".matrix-line").first.inner_text()
            seen.append((cells(page, random.n), ticks))
        (before, ticks), (after, again) = seen
        assert ticks == again
        assert [cell for cell in before if before[cell] != after[cell]] == [(i, j)]
        assert after[i, j][:3] == tuple(CIVIDIS[-1])


# what is drawn and what is not


@pytest.fixture(scope="module")
def long() -> Iterator[str]:
    """More tokens than the lines' window has."""
    model = build(replace(QWEN3, context=300))
    ids = text(300)
    with page_with(record(model, Sequence.text(ids), named(ids), name="long")) as address:
        yield address


@pytest.mark.parametrize("least", ["0.1", "0.01", "0"])
def test_drawn_masses_and_stubs_add_to_1(long: str, open_page: Open, least: str) -> None:
    page = open_page(at(long, view="lines"))
    for row, window in ((0, 0), (7, 0), (290, 44), (290, 0)):
        go(page, view="lines", heads="0.1,2.3,1.5", row=row, **{"from": window}, least=least)
        page.locator(f".lines-line:has-text('Row {row} ')").first.wait_for()
        lines = page.locator(".lines-line", has_text="drawn: ")
        assert lines.count() == 3
        stubs = {name: data_values(page.locator(f".lines-{name}:visible .number"))
                 for name in ("first", "before", "others", "after")}  # fmt: skip
        assert any(stubs.values()) or least == "0"
        for k in range(3):
            share, drawn, first, others, together = data_values(lines.nth(k).locator("[data-value]"))
            assert drawn + sum(masses[k] for masses in stubs.values() if masses) == pytest.approx(1, abs=1e-6)
            assert drawn + first + others == pytest.approx(1, abs=1e-6)
            assert together == pytest.approx(1, abs=1e-6)
            assert share == pytest.approx(drawn + first, abs=1e-6)


def data_values(found: Locator) -> list[float]:
    texts = found.evaluate_all("all => all.map((one) => one.dataset.value)")
    return [float(text) for text in texts]


AVERAGE = re.compile(r"\b(mean|means|average|averages|sum over)\b", re.IGNORECASE)
WITHOUT_CHOICES = """(view) => {
    const copy = view.cloneNode(true);
    copy.querySelectorAll('select, details:not([open]), [hidden]').forEach((one) => one.remove());
    return copy.textContent;
}"""
MEAN_OF = {"heads": ".heads-number", "matrix": ".matrix-line:has-text('a mean of') .number",
           "edits": "p:has-text('Mean change') .number"}  # fmt: skip


@pytest.mark.parametrize("view", VIEWS)
def test_no_view_shows_an_average_that_does_not_say_so(
    random: Recording, live_random: str, open_page: Open, view: str
) -> None:
    """Where the words say that something is a mean, `Derived` is in sight; elsewhere each number is a recorded one."""
    page = open_page(at(live_random, view=view, layer=1, head=2, row=6, column=3, position=6, edits="z:1.2"))
    if view == "edits":
        page.locator(".edits-badge").wait_for()
    spot = page.locator(f".view.{view}")
    if view in MEAN_OF:
        assert exact_numbers(page, f".view.{view} {MEAN_OF[view]}")
    said = spot.evaluate(WITHOUT_CHOICES)
    if view in MEAN_OF or AVERAGE.search(said):
        assert spot.locator(".derived", has_text="Derived").first.is_visible()
    if view in ("lines", "prediction"):
        own = _recorded(random, view)
        page.locator(f".view.{view} [data-value]").first.wait_for()
        for value in exact_numbers(page, f".view.{view} [data-value]"):
            assert np.abs(own - value).min() <= 1e-5 * max(1.0, abs(value)), value


def _recorded(recording: Recording, view: str) -> Any:
    """Numbers that may stand there: of lines a row's weights and the sums of its parts, which say what they are of."""
    if view == "lines":
        row = recording.weights(1, 2)[6, :7].astype(np.float64)
        small = [float(row[1:][row[1:] < least].sum()) for least in (0.1, 0.01, 0.001)]
        return np.array([*row, *small, *(1 - x for x in small), *(1 - x - row[0] for x in small), 0, 1])
    found: list[float] = [0, 1]
    for reading in [recording.readings] + [recording.lens(slice(0, recording.n), layer) for layer in range(4)]:
        p = np.exp(reading.top_logits.astype(np.float64) - reading.logsumexp[:, None])
        truth = reading.log_probability[:-1].astype(np.float64)
        found += [*p.ravel().tolist(), *np.exp(truth).tolist(), *(-truth / math.log(2)).tolist()]
    found += range(1, QWEN3.vocabulary + 1)  # ranks
    logits = np.abs(np.exp(recording.readings.log_probability[:-1]) -
                    np.exp(recording.lens(slice(0, recording.n - 1), 3).log_probability))  # fmt: skip
    return np.array([*found, float(np.nanmax(logits))])


# tokens that lie to the eye


def test_W12_tokens_that_cannot_be_seen_are_seen_unmerged_and_inert(open_page: Open, tmp_path: Path) -> None:
    """Labels as the real tokenizer writes them, of bytes that a text can hold, half a character among them."""
    tokenizer = TextTokenizer.characters(["a"])
    given = " ", "\n", "\t", "\0", "\x1b", "a", " ", " ", "\x7f"
    pieces = [1 + byte for sign in given for byte in sign.encode()]
    half = [1 + byte for byte in "\U0001f600".encode()[:2]]
    ids = [*pieces, *half, 1 + ord("a")]
    wide = ("\u200b", "\u202e", "אבג", "\U0001f600", "</script>", "<img src=x onerror=alert(1)>", "e\u0301", "\u2028")
    labels = tuple(tokenizer.label(token) for token in ids)
    assert len(set(labels[:2] + labels[3:5])) == 4
    tokens = text(len(ids) + len(wide))
    made = replace(named(tokens), labels=(*labels, *map(printable, wide)))
    recording = record(build(), Sequence.text(tokens), made, name="</script>")
    page = open_page(saved(recording, tmp_path / "page.html"), offline=True)
    for view in VIEWS:
        go(page, view=view, row=3, column=1, layer=0, head=0)
        assert page.locator("main img, main script").count() == 0
        shown = page.locator("main").inner_text()
        assert not re.search(r"[\x00-\x08\x0e-\x1f\x7f\u200b\u202e\u2028]", shown), view
    boxes = page.locator(".strip-token").all()
    assert [box.inner_text() for box in boxes] == list(recording.tokens.labels)  # each its own box: none is merged
    for box in boxes:
        place = box.bounding_box()
        assert place is not None
        assert place["width"] >= 8
    places = [place for box in boxes if (place := box.bounding_box()) is not None]
    assert len(places) == recording.n
    for a, b in pairwise(places):
        assert b["y"] > a["y"] or b["x"] > a["x"]  # right-to-left text leaves its neighbours in order
