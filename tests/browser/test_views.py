"""What one can do in each view: steps of a user, and the answer that must then stand there."""

import json
import re
from typing import Any

import numpy as np
import pytest
import torch
from playwright.sync_api import Page, expect

from regard.looking.record import Recording, record
from regard.model.sequence import Sequence
from regard.page.answers import answer
from regard.page.export import save_page

from ..looking.small import build, named
from ..looking.small import text as some_text
from .conftest import Open
from .serve import recording_of

VIEWS = ("heads", "matrix", "lines", "lookup", "prediction", "space", "edits")
MOST_NODES = 1500
NUMBER = re.compile(r"-?[0-9.]+(e[-+]?[0-9]+)?")


@pytest.fixture(scope="module")
def planted() -> Recording:
    return recording_of("planted")


@pytest.fixture(scope="module")
def small() -> Recording:
    return recording_of("random")


@pytest.fixture(scope="module")
def saved(small: Recording, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("views") / "page.html"
    save_page(small, path)
    return path.as_uri()


def go(page: Page, **state: Any) -> None:
    """To a state, as a copied link would."""
    page.evaluate("words => { location.hash = words; }", "&".join(f"{name}={value}" for name, value in state.items()))
    page.wait_for_selector(f".view.{state['view']}:not(.stale)")
    page.wait_for_load_state("networkidle")


def told(recording: Recording, path: str) -> Any:
    return json.loads(answer(recording, path).body)


def column(page: Page, table: str, name: str) -> list[str]:
    """The texts of a table's column, which its head names."""
    heads = page.locator(f"{table} thead th").all_inner_texts()
    cells = page.locator(f"{table} tbody tr td:nth-child({heads.index(name) + 1})")
    return [text.strip() for text in cells.all_inner_texts()]


def line(page: Page, name: str) -> list[float]:
    """The numbers of a line of the prediction strip."""
    row = page.locator(
        ".prediction-table tbody tr", has=page.locator("th", has_text=re.compile(f"^{re.escape(name)}$"))
    )
    row.first.wait_for()
    found = row.locator("[data-value]").evaluate_all("all => all.map((one) => one.dataset.value)")
    return [float(one) for one in found if NUMBER.fullmatch(one)]


@pytest.mark.parametrize("live", ["long"], indirect=True)
def test_no_view_of_a_long_text_has_too_many_nodes(live: str, open_page: Open) -> None:
    """300 tokens, 12 layers of 6 heads."""
    page = open_page(live)
    for view in VIEWS:
        go(page, view=view, row=150, column=140, position=150, layer=3, follow=4, lock="z:1.0", edits="z:1.0")
        if view in ("prediction", "edits"):
            page.wait_for_selector(".edits-badge", timeout=20_000)
        assert page.locator("body *").count() <= MOST_NODES, view


# prediction


def test_a_saved_page_follows_each_of_the_five_likeliest(saved: str, small: Recording, open_page: Open) -> None:
    page = open_page(f"{saved}#view=prediction&position=5", offline=True)
    paths = told(small, "position/5")["paths"]
    for one in paths:
        page.locator(".prediction-follow", has_text=re.compile(f"^{re.escape(one['label'])}$")).click()
        expect(page.locator(".prediction-steps thead")).to_contain_text(f"rank of {one['label']}")
        assert column(page, ".prediction-steps", f"rank of {one['label']}") == [str(row["rank"]) for row in one["path"]]
        assert f"follow={one['token']}" in page.url
    (outside,) = told(small, "position/5")["top"][5:6]
    page.locator(".prediction-follow", has_text=re.compile(f"^{re.escape(outside[0])}$")).click()
    expect(page.locator(".prediction-steps")).to_contain_text("look at it live for this token")


@pytest.mark.parametrize("live", ["random"], indirect=True)
def test_any_token_is_followed_live_by_keys_alone(live: str, small: Recording, open_page: Open) -> None:
    page = open_page(f"{live}&view=prediction&position=5")
    top = told(small, "position/5")["top"]
    page.locator(".prediction-follow").first.focus()
    for _ in range(7):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    label, _, token = top[7]
    expect(page.locator(".prediction-steps thead")).to_contain_text(f"rank of {label}")
    expected = [str(row["rank"]) for row in told(small, f"path/5/{token}")["path"]]
    assert column(page, ".prediction-steps", f"rank of {label}") == expected
    expect(page.locator(f'[data-key="follow {token}"]')).to_be_focused()
    page.reload()
    expect(page.locator(".prediction-steps thead")).to_contain_text(f"rank of {label}")
    assert column(page, ".prediction-steps", f"rank of {label}") == expected


@pytest.mark.parametrize("live", ["planted"], indirect=True)
def test_a_locked_edit_shows_both_strips_and_their_difference(live: str, planted: Recording, open_page: Open) -> None:
    """Head 2 is the only one that says something: without it all six words are as likely, everywhere."""
    page = open_page(f"{live}&view=edits&layer=0&head=2")
    page.get_by_role("button", name="add this edit").click()
    page.get_by_role("button", name="lock, and see both strips").click()
    page.wait_for_selector(".view.prediction .edits-badge", timeout=20_000)
    before = np.exp(planted.readings.log_probability[:-1])
    for _ in range(2):
        after, change = line(page, "edited run: its probability"), line(page, "change of its log p, nats")
        assert line(page, "its probability") == pytest.approx(before.tolist(), rel=1e-6)
        assert after == pytest.approx([1 / 6] * 7, rel=1e-6)
        assert change == pytest.approx(np.log(np.array(after) / before).tolist(), abs=1e-5)
        assert len(set(line(page, "edited run: its rank"))) == 1
        expect(page.locator(".bars-readout:visible")).to_have_count(3)
        assert "lock=z" in page.url
        page.reload()
        page.wait_for_selector(".view.prediction .edits-badge", timeout=20_000)
    page.get_by_role("button", name="unlock").click()
    expect(page.locator(".locked-row")).to_have_count(0)
    expect(page.locator(".bars-readout:visible")).to_have_count(1)
    assert "lock" not in page.url


def test_a_locked_edit_in_a_saved_page_asks_for_the_live_one(saved: str, open_page: Open) -> None:
    page = open_page(f"{saved}#view=prediction&position=5&lock=z:0.1;z:99.0", offline=True)
    text = page.locator(".locked-edit")
    expect(text).to_contain_text("look at this run live")
    expect(text).to_contain_text("Left out, as this run has no such place: z:99.0")
    expect(text.locator(".edits-badge")).to_have_count(0)


# lines


def weights_of(page: Page) -> dict[str, list[float]]:
    """The table's columns of weights by name, by token; what is not allowed is NaN."""
    heads = page.locator(".view.lines table thead th").all_inner_texts()[3:]
    rows = page.locator(".view.lines table tbody tr:not(:nth-last-child(-n+2))").all()
    found: dict[str, list[float]] = {name: [np.nan] * len(rows) for name in heads}
    for row in rows:
        cells = row.locator("td").evaluate_all("all => all.map((one) => one.dataset.value ?? one.textContent)")
        for name, value in zip(heads, cells[2:], strict=True):
            found[name][int(cells[0])] = float(value) if NUMBER.fullmatch(value) else np.nan
    return found


def test_rows_of_several_tokens_stand_side_by_side_or_as_their_mean(
    saved: str, small: Recording, open_page: Open
) -> None:
    """By keys alone. A mean says so, has its members beside it, and sums to 1, though one row sees fewer tokens."""
    page = open_page(f"{saved}#view=lines&layer=1&head=2&row=7&least=0", offline=True)
    page.locator(".lines-token.chosen").focus()
    for key in ("Shift+ArrowRight", "Shift+ArrowRight", "Space"):
        page.keyboard.press(key)
    expect(page.locator(".lines-beside")).to_have_count(1)
    assert "tokens=9" in page.url
    expect(page.locator(".view.lines thead")).to_contain_text("layer 1, head 2, row 9")
    expected = np.where(small.mask(1), small.weights(1, 2), np.nan)[[7, 9]]
    side = weights_of(page)
    assert list(side) == ["layer 1, head 2, row 7", "layer 1, head 2, row 9"]
    np.testing.assert_allclose(list(side.values()), expected[:, :10], rtol=1e-6)
    assert page.locator(".derived:visible", has_text="Derived").count() == 0
    page.get_by_label("several tokens").select_option("mean")
    expect(page.locator(".lines-mean")).to_be_visible()
    (name,), (mean,) = zip(*weights_of(page).items(), strict=True)
    assert name == "layer 1, head 2, mean of 2 rows"
    np.testing.assert_allclose(mean, np.nansum(expected[:, :10], axis=0) / 2, rtol=1e-6)
    assert sum(mean) == pytest.approx(1)
    assert page.locator(".lines-mean .derived").count() == 1
    expect(page.get_by_label("take token 9 away")).to_be_visible()
    page.reload()
    expect(page.locator(".lines-mean")).to_be_visible()
    assert list(weights_of(page)) == [name]
    page.get_by_label("take token 9 away").click()
    expect(page.locator(".lines-mean")).to_be_hidden()
    assert list(weights_of(page)) == ["layer 1, head 2"]


def test_seven_rows_have_colours_and_what_is_left_out_is_said(saved: str, open_page: Open) -> None:
    page = open_page(f"{saved}#view=lines&heads=0.0,0.1,1.2&row=7&tokens=8,9", offline=True)
    expect(page.locator(".lines-sample")).to_have_count(6)
    expect(page.locator(".view.lines")).to_contain_text("Left out: tokens 9")
    page.get_by_label("token's number").fill("3")
    page.get_by_role("button", name="take beside").click()
    expect(page.locator(".view.lines")).to_contain_text("At most 2 tokens of 3 heads")
    page.get_by_label("several tokens").select_option("mean")
    expect(page.locator(".view.lines thead")).to_contain_text("layer 1, head 2, mean of 3 rows")
    expect(page.locator(".lines-sample")).to_have_count(3)


# heads


def picked(page: Page) -> list[str]:
    found = page.locator('.heads-cell[aria-checked="true"] .heads-name').all_inner_texts()
    return sorted(re.sub("[^0-9]+", " ", name).strip().replace(" ", ".") for name in found)


def within(recording: Recording, **bounds: tuple[float, float]) -> list[str]:
    """The heads whose measures lie in all bounds."""
    inside = [all(low <= getattr(one, name) <= high for name, (low, high) in bounds.items())
              for one in recording.measures()]  # fmt: skip
    return sorted(f"{one.layer}.{one.head}" for one, is_in in zip(recording.measures(), inside, strict=True) if is_in)


def test_heads_are_picked_by_two_of_their_numbers(saved: str, small: Recording, open_page: Open) -> None:
    page = open_page(f"{saved}#view=heads", offline=True)
    page.get_by_text("Two numbers against each other").click()
    page.locator(".brush select").first.select_option("itself")
    page.locator(".brush select").last.select_option("entropy")
    expect(page.locator('.heads-number[data-measure="entropy"]')).to_have_count(3 * 6 + 1)
    bounds = {"across from": 0.15, "across to": 0.25, "up from": 0.5}
    for name, value in bounds.items():
        page.get_by_label(name).fill(str(value))
    page.get_by_role("button", name="pick", exact=True).click()
    expected = within(small, itself=(0.15, 0.25), entropy=(0.5, 9))
    assert 1 < len(expected) < 10
    expect(page.locator('.heads-cell[aria-checked="true"]')).to_have_count(len(expected))
    assert picked(page) == expected
    page.reload()
    expect(page.locator('.heads-cell[aria-checked="true"]')).to_have_count(len(expected))
    expect(page.locator(".brush select").first).to_have_value("itself")
    page.get_by_role("button", name="see their lines").click()
    expect(page.locator(".lines-sample")).to_have_count(min(7, len(expected)))


def test_a_frame_picks_the_dots_within(saved: str, small: Recording, open_page: Open) -> None:
    page = open_page(f"{saved}#view=heads&brush=1&across=itself&up=entropy", offline=True)
    expect(page.locator('.heads-number[data-measure="entropy"]')).to_have_count(3 * 6 + 1)
    canvas = page.locator(".brush-dots")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    shares = sorted(one.itself for one in small.measures())
    cut = (shares[5] + shares[6]) / 2  # six heads look less at themselves
    page.mouse.move(box["x"] + 2, box["y"] + 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 40 + cut * (box["width"] - 80), box["y"] + box["height"] - 2, steps=3)
    page.mouse.up()
    expect(page.locator('.heads-cell[aria-checked="true"]')).to_have_count(6)
    assert picked(page) == within(small, itself=(0, cut))


def test_keys_alone_go_from_dot_to_dot_and_pick(saved: str, small: Recording, open_page: Open) -> None:
    page = open_page(f"{saved}#view=heads&brush=1&across=itself&up=entropy", offline=True)
    expect(page.locator('.heads-number[data-measure="entropy"]')).to_have_count(3 * 6 + 1)
    order = sorted(small.measures(), key=lambda one: one.itself)
    at = next(k for k, one in enumerate(order) if (one.layer, one.head) == (0, 0))
    page.locator(".brush-dots").focus()
    for step in (1, 2):
        page.keyboard.press("ArrowRight")
        there = order[at + step]
        expect(page.locator(".brush")).to_contain_text(f"Layer {there.layer}, head {there.head}: itself")
        shown = page.locator(".brush p [data-value]").evaluate_all("all => all.map((one) => +one.dataset.value)")
        assert shown == pytest.approx([there.itself, there.entropy], rel=1e-6)
        page.keyboard.press("Space")
    assert picked(page) == sorted(f"{one.layer}.{one.head}" for one in order[at + 1 : at + 3])
    page.keyboard.press("Space")
    assert picked(page) == [f"{order[at + 1].layer}.{order[at + 1].head}"]
    expect(page.locator(".brush-dots")).to_be_focused()


# two recordings


@pytest.mark.parametrize("live", ["random"], indirect=True)
def test_two_recordings_are_compared_cell_by_cell(live: str, small: Recording, open_page: Open) -> None:
    """A text that differs in its last token differs in the last row alone, and there by as much as is said."""
    page = open_page(f"{live}&view=heads&layer=1&head=2")
    first = "".join(small.tokens.labels).replace("{", "a")  # as it can be typed: letters only
    for at, text in enumerate((first, first[:-1] + "b"), 2):
        page.fill(".page-text", text)
        expect(page.locator(".compare select option")).to_have_count(at)
    page.locator(".compare select").select_option("2")
    here, away = (recording_of("random", text) for text in (first[:-1] + "b", first))
    difference = np.where(here.mask(1), here.weights(1, 2) - away.weights(1, 2), np.nan)
    row, column = np.unravel_index(np.nanargmax(np.abs(difference)), difference.shape)
    assert row == 11
    summary = page.locator(".compare-body p").first
    expect(summary).to_contain_text(f"at row {row}, column {column}")
    shown = float(summary.locator("[data-value]").get_attribute("data-value") or "nan")
    assert shown == pytest.approx(difference[row, column], abs=1e-7)
    page.locator(".compare-map").focus()
    page.keyboard.press("ArrowUp")
    readout = page.locator(".compare-body p").nth(1)
    expect(readout).to_contain_text("Row 10")
    assert [float(one.get_attribute("data-value") or "nan") for one in readout.locator("[data-value]").all()][2] == 0
    page.reload()
    expect(summary).to_contain_text(f"at row {row}, column {column}")
    page.fill(".page-text", "abc")
    expect(page.locator(".compare")).to_contain_text("Recording 2 has 12 tokens and this one 3")


def test_the_map_of_differences_is_on_a_fixed_scale(open_page: Open, live: str) -> None:
    """Blue is less than there, orange more, grey the same, and what is not allowed has none of these colours."""
    page = open_page(f"{live}&view=heads&layer=0&head=0")
    page.fill(".page-text", "abcabcabcabd")
    expect(page.locator(".compare select option")).to_have_count(2)
    page.locator(".compare select").select_option("1")
    expect(page.locator(".compare-body")).to_be_visible()
    expect(page.locator(".compare .cells-ticks span").first).to_have_text("-1")
    pixels = np.array(page.evaluate("""() => {
        const canvas = document.querySelector('.compare-map');
        return [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data];
    }"""), np.uint8)  # fmt: skip
    side = int(np.sqrt(len(pixels) // 4))
    middles = pixels.reshape(side, side, 4)[side // 24 :: side // 12, side // 24 :: side // 12][:12, :12, :3].astype(
        int
    )
    here, away = recording_of("random", "abcabcabcabd").weights(0, 0), recording_of("random").weights(0, 0)
    for i in range(12):
        for j in range(i + 1):
            size = round(127 * abs(float(here[i, j] - away[i, j])))
            end = [200, 80, 0] if here[i, j] > away[i, j] else [5, 80, 160]
            expected = [round(245 + (one - 245) * size / 127) for one in end]
            assert np.abs(middles[i, j] - expected).max() <= 3, (i, j)


def test_a_saved_page_has_nothing_to_compare_with(saved: str, open_page: Open) -> None:
    page = open_page(f"{saved}#view=heads", offline=True)
    expect(page.locator(".compare")).to_contain_text("a saved page holds one recording")


# representations


def places(recording: Recording, layer: int, width: float, height: float) -> np.ndarray[Any, Any]:
    """(n, 2): where the page draws each token's point, from its rule: equal lengths both ways, 32 pixels of edge."""
    found = told(recording, f"space/stream/{layer}/own/centred")
    across, up = (np.array([*found[name], 0.0]) for name in ("x", "y"))
    unit = max(np.ptp(across) / (width - 64), np.ptp(up) / (height - 64))
    x = width / 2 + (across - (across.min() + across.max()) / 2) / unit
    y = height / 2 - (up - (up.min() + up.max()) / 2) / unit
    return np.stack([x, y], axis=1)[:-1]


def test_a_line_around_points_lists_their_tokens(saved: str, small: Recording, open_page: Open) -> None:
    page = open_page(f"{saved}#view=space&layer=1", offline=True)
    canvas = page.locator(".space-scatter")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    points = places(small, 1, box["width"], box["height"])
    order = np.argsort(points[:, 0])
    cut = (points[order[4], 0] + points[order[5], 0]) / 2  # five points lie to the left
    corners = [(2, 2), (cut, 2), (cut, box["height"] - 3), (2, box["height"] - 3)]
    page.mouse.move(box["x"] + corners[0][0], box["y"] + corners[0][1])
    page.mouse.down()
    for x, y in corners[1:]:
        page.mouse.move(box["x"] + x, box["y"] + y, steps=2)
    page.mouse.up()
    expect(page.locator(".lasso-list tbody tr")).to_have_count(5)
    listed = [int(text.split()[0]) for text in page.locator(".lasso-list .space-near").all_inner_texts()]
    assert listed == sorted(order[:5].tolist())
    shown = page.locator(".lasso-list [data-value]").evaluate_all("all => all.map((one) => +one.dataset.value)")
    assert shown == pytest.approx(np.linalg.norm(small.stream(1)[listed], axis=1).tolist(), rel=1e-6)
    page.reload()
    expect(page.locator(".lasso-list tbody tr")).to_have_count(5)


def test_positions_are_listed_by_keys_alone(saved: str, open_page: Open) -> None:
    page = open_page(f"{saved}#view=space&layer=1", offline=True)
    field = page.get_by_label("positions to list")
    field.fill("9, 3-5,99")
    field.press("Enter")
    expect(page.locator(".lasso-list tbody tr")).to_have_count(4)
    assert "among=3-5%2C9" in page.url
    field.fill("all of them")
    field.press("Enter")
    expect(page.locator(".lasso")).to_contain_text("Write positions such as 3-5,9.")
    page.locator(".lasso-list .space-near").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator(".space-chosen h3")).to_contain_text("Nearest to token 4")


def test_norms_of_every_layer_and_the_odd_ones_are_told(open_page: Open, tmp_path: Any) -> None:
    """One token's embedding is thirty times as long: it is odd at layer 0, and said to be."""
    model, ids = build(), some_text(12)
    with torch.no_grad():
        model.embedding.table.weight[ids[0, 3]] *= 30
    odd = record(model, Sequence.text(ids), named(ids))
    save_page(odd, tmp_path / "odd.html")
    page = open_page(f"{(tmp_path / 'odd.html').as_uri()}#view=space&layer=0&position=3", offline=True)
    page.get_by_role("button", name="norms layer by layer").click()
    rows = page.locator(".view.space .stack table tbody tr")
    expect(rows).to_have_count(4)
    for layer in range(4):
        found = told(odd, f"space/stream/{layer}/own/centred")
        cells = rows.nth(layer).locator("td")
        expect(cells.nth(1).locator("[data-value]")).to_have_attribute("data-value", re.compile("."))
        median = float(cells.nth(1).locator("[data-value]").get_attribute("data-value") or "nan")
        assert median == pytest.approx(float(np.median(found["norms"])), rel=1e-6)
        own = float(cells.nth(3).locator("[data-value]").get_attribute("data-value") or "nan")
        assert own == pytest.approx(found["norms"][3], rel=1e-6)
        assert (" odd" in cells.nth(3).inner_text()) == (3 in found["odd"])
        assert cells.nth(2).inner_text().startswith(f"{len(found['odd'])}:" if found["odd"] else "none")
    assert " odd" in rows.first.inner_text()
    assert "norms=all" in page.url


@pytest.mark.parametrize("live", ["induction"], indirect=True)
def test_points_are_coloured_by_token(live: str, open_page: Open) -> None:
    """a b c d a b e c: a, b and c come twice, and equal tokens have one colour."""
    page = open_page(f"{live}&view=space&layer=0")
    page.get_by_label("colour by").select_option("token")
    legend = page.locator(".view.space .space-left p.quiet")
    expect(legend).to_contain_text("a 2x")
    words = re.findall(r"([a-z]) (\d)x", legend.inner_text())
    assert words == [("a", "2"), ("b", "2"), ("c", "2"), ("d", "1"), ("e", "1")]
    colours = legend.locator(".space-sign").evaluate_all("all => all.map((one) => one.style.background)")
    assert len(set(colours)) == len(words)
    assert "paint=token" in page.url


# look-up


def test_one_number_of_a_key_changes_the_row(saved: str, small: Recording, open_page: Open) -> None:
    """Number 3 of key 2 is another: all weights of the row follow, are marked, and stand in the address."""
    page = open_page(f"{saved}#view=lookup&layer=1&head=2&row=6&column=2&number=3&sort=position", offline=True)
    call = small.kept.call("self", 1)
    query, key = call.query[2, 6].double().numpy(), call.key[call.group(2), :7].double().numpy().copy()
    shown = page.get_by_label("of key 2")
    expect(shown).to_have_value(re.compile("[0-9]"))
    assert float(shown.input_value()) == pytest.approx(key[2, 3], rel=1e-6)
    for changed in (False, True):
        scores = key @ query * call.scale
        expected = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
        if changed:
            expect(page.locator(".lookup-banner")).to_contain_text("another key")
        weights = page.locator(".lookup-share").evaluate_all("all => all.map((one) => +one.dataset.value)")
        assert weights[:7] == pytest.approx(expected.tolist(), rel=1e-5)
        if not changed:
            shown.fill("4.5")
            shown.press("Enter")
            key[2, 3] = 4.5
    assert "whatif=1.2.6%2Ck2.3%3A4.5" in page.url
    page.reload()
    expect(page.locator(".lookup-banner")).to_contain_text("another key")
    page.get_by_role("button", name="back to the recorded numbers").click()
    expect(page.locator(".lookup-banner")).to_have_count(0)
    expect(shown).not_to_have_value("4.5")


def test_a_row_is_sorted_stepped_through_and_followed(saved: str, small: Recording, open_page: Open) -> None:
    page = open_page(f"{saved}#view=lookup&layer=1&head=2&row=6", offline=True)
    contributions, weights = (getattr(small, name)(1, 2)[6, :7] for name in ("contributions", "weights"))
    scores = small.scores(1, 2)[6, :7]
    orders = {"score": -scores, "weight": -weights, "contribution": -contributions, "position": np.arange(7)}
    for name, by in orders.items():
        page.get_by_label("sort by").select_option(name)
        keys = page.locator(".lookup-key").evaluate_all("all => all.map((one) => +one.dataset.key)")
        assert keys[:7] == np.argsort(by).tolist(), name
    for _ in range(3):
        page.get_by_role("button", name="one back").click()
    expect(page.locator(".view.lookup")).to_contain_text("running sum after 4 of 7 lines")
    expect(page.locator(".view.lookup")).to_contain_text("Heads 0, 1, 2 share these keys and values.")
    page.locator('.lookup-key[data-key="3"]').click()
    page.get_by_role("button", name="follow token 3 into layer 0").click()
    assert "row=3" in page.url
    assert "layer=1" not in page.url
