"""What a view shows is saved as SVG, PNG, CSV and NPZ: the recording's numbers, with their origin."""

import base64
import csv
import io
import json
import re
import shlex
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from playwright.sync_api import Page
from tests.looking.small import build, text

from regard.looking.kept import Tokens
from regard.looking.palette import CIVIDIS
from regard.looking.record import Recording, record
from regard.model.sequence import Sequence
from regard.page.export import save_page
from regard.page.space import space

from .conftest import Open
from .serve import HOSTILE, Letters, recording_of

KINDS = ("svg", "png", "csv", "npz")
VIEWS = ("heads", "matrix", "lines", "lookup", "prediction", "space")
SVG = "{http://www.w3.org/2000/svg}"
INERT = {"svg", "title", "metadata", "defs", "pattern", "path", "rect", "g", "text", "circle", "image"}
KNOWN = {tuple(colour): index for index, colour in enumerate(CIVIDIS.tolist())}
FORMULAS = ("=cmd|' /C calc'!A0", "+1", "-1", "@SUM(1)", 'a","=1+1', ";=1+1", "</text><script>alert(1)</script>")
Files = dict[str, bytes]


class Formulas(Letters):
    def label(self, token: int) -> str:
        return (*FORMULAS, *HOSTILE)[token % (len(FORMULAS) + len(HOSTILE))]


@pytest.fixture(scope="module")
def induction() -> Recording:
    return recording_of("induction")


@pytest.fixture(scope="module")
def saved(induction: Recording, tmp_path_factory: pytest.TempPathFactory) -> str:
    induction.prove()
    return address_of(induction, tmp_path_factory.mktemp("page"))


def address_of(recording: Recording, folder: Path) -> str:
    save_page(recording, folder / "page.html")
    return (folder / "page.html").as_uri()


def save(page: Page, *kinds: str, wait: str = "") -> Files:
    """What the panel's buttons give, by kind; the panel stays open."""
    if wait:
        page.wait_for_selector(wait)
    if not page.locator(".save-panel").is_visible():
        page.click("[data-save=open]")
    found = {}
    for kind in kinds or KINDS:
        with page.expect_download() as download:
            page.click(f"[data-save={kind}]")
        assert re.fullmatch(rf"[a-z0-9-]+\.{kind}", download.value.suggested_filename)
        found[kind] = Path(download.value.path()).read_bytes()
    return found


def table(file: bytes) -> tuple[list[str], list[list[str]]]:
    """(comments without their sign, rows)."""
    rows = list(csv.reader(io.StringIO(file.decode(), newline=""), strict=True))
    comments = [row[0][2:] for row in rows if row[0].startswith("# ")]
    assert all(len(row) == 1 for row in rows[: len(comments)])
    return comments, rows[len(comments) :]


def arrays(file: bytes) -> dict[str, Any]:
    with np.load(io.BytesIO(file), allow_pickle=False) as found:
        return dict(found)


def facts_of(kind: str, file: bytes) -> dict[str, Any]:
    found: dict[str, Any]
    if kind == "csv":
        said = dict(comment.split(": ", 1) for comment in table(file)[0] if ": " in comment)
        return {
            name: json.loads(value) if name in ("checks", "switches", "tokens") else value
            for name, value in said.items()
        }
    if kind == "npz":
        found = json.loads(str(arrays(file)["provenance"]))
    elif kind == "svg":
        found = json.loads(ElementTree.fromstring(file).findtext(f"{SVG}metadata") or "")
    else:
        found = json.loads(Image.open(io.BytesIO(file)).text["regard"])  # type: ignore[attr-defined]
    return found


def cells_of(root: ElementTree.Element, title: str) -> tuple[int, int, int, np.ndarray[Any, Any]]:
    """(left, top, cell, palette's entries or -1) of cells that are shapes, in the drawing's pixels."""
    ((group, shift),) = [
        (group, shift) for shift in root.iter(f"{SVG}g") for group in shift if group.findtext(f"{SVG}title") == title
    ]
    right, down = map(int, re.findall(r"\d+", shift.attrib["transform"]))
    runs = [(x, y, wide, high, tuple(map(int, re.findall(r"\d+", path.attrib["fill"]))))
            for path in group.iter(f"{SVG}path")
            for x, y, wide, high in np.reshape([int(one) for one in re.findall(
                r"M(\d+) (\d+)h(\d+)v(\d+)h-\d+z", path.attrib["d"]) for one in one], (-1, 4)).tolist()]  # fmt: skip
    left, top, cell = min(x for x, *_ in runs), min(y for _, y, *_ in runs), runs[0][3]
    rows, columns = (max(y for _, y, *_ in runs) - top) // cell + 1, (max(x + w for x, _, w, *_ in runs) - left) // cell
    found = np.full((rows, columns), -1)
    for x, y, wide, _, colour in runs:
        found[(y - top) // cell, (x - left) // cell : (x - left + wide) // cell] = KNOWN[colour]
    return left + right, top + down, cell, found


def test_the_matrix_is_the_recordings_in_every_format(saved: str, induction: Recording, open_page: Open) -> None:
    page = open_page(f"{saved}#view=matrix&layer=1&head=0&row=5&column=2", offline=True)
    files = save(page)
    weights, mask = induction.weights(1, 0), induction.mask(1)
    found = arrays(files["npz"])
    np.testing.assert_array_equal(found["weights"], np.where(mask, weights, np.nan))
    assert found["weights"].dtype == np.float32
    assert found["row_tokens"].tolist() == found["column_tokens"].tolist() == list(induction.tokens.labels)
    comments, (numbers, tokens, *rows) = table(files["csv"])
    assert (numbers[2:], tokens[2:]) == ([str(j) for j in range(8)], list(induction.tokens.labels))
    written = np.array([[float(one) if one else np.nan for one in row[2:]] for row in rows], np.float32)
    np.testing.assert_array_equal(written, found["weights"])
    assert "an empty cell: not allowed (masked), which is not the number 0" in comments
    left, top, cell, entries = cells_of(ElementTree.fromstring(files["svg"]), "the cells")
    assert np.abs(weights - entries / 255)[mask].max() <= 0.5 / 255 + 1e-7
    assert (entries[~mask] == -1).all()
    pixels = np.asarray(Image.open(io.BytesIO(files["png"])).convert("RGB"))
    for i, j in np.ndindex(8, 8):
        square = pixels[
            2 * (top + i * cell) : 2 * (top + (i + 1) * cell), 2 * (left + j * cell) : 2 * (left + (j + 1) * cell)
        ]
        inside = {tuple(map(int, one)) for one in square[2:-2, 2:-2].reshape(-1, 3)}
        assert inside == {tuple(CIVIDIS[entries[i, j]].tolist())} if mask[i, j] else not inside & set(KNOWN)


def test_numbers_of_every_view_are_the_recordings(saved: str, induction: Recording, open_page: Open) -> None:
    found = {}
    for view in VIEWS:
        page = open_page(f"{saved}#view={view}&layer=1&head=0&row=5&sort=position&position=5", offline=True)
        wait = {"space": ".space-scatter:visible", "lines": ".lines-drawn"}.get(view, f".view.{view}")
        files = save(page, "csv", "npz", wait=wait)
        found[view] = arrays(files["npz"])
        _, (names, *rows) = table(files["csv"])
        if view != "matrix":  # the same columns in both, text and numbers
            for name, *column in zip(names, *rows, strict=True):
                kept = found[view][re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")]
                if kept.dtype.kind == "U":
                    assert kept.tolist() == column, (view, name)
                else:
                    written = np.array([float(one) if one else np.nan for one in column])
                    np.testing.assert_allclose(written, kept, rtol=1e-8, err_msg=f"{view} {name}")
    measures = induction.measures()
    assert found["heads"]["layer"].tolist() == [one.layer for one in measures]
    for name in ("first", "itself", "previous", "induction", "entropy", "distance", "share"):
        np.testing.assert_allclose(found["heads"][name], [getattr(one, name) for one in measures], rtol=1e-6)
    weights = np.where(induction.mask(1), induction.weights(1, 0), np.nan)[5]
    np.testing.assert_allclose(found["lines"]["layer_1_head_0"], weights, rtol=1e-6)
    np.testing.assert_allclose(found["lookup"]["weight"], weights, rtol=1e-6)
    np.testing.assert_allclose(found["lookup"]["score"][:6], induction.scores(1, 0)[5, :6], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        found["prediction"]["probability"], np.exp(induction.readings.log_probability), rtol=1e-5
    )
    assert found["prediction"]["rank"][:7].tolist() == induction.readings.rank[:7].tolist()
    points = space(induction, "stream", 1)
    for name, part in (("across", "x"), ("up", "y"), ("norm", "norms")):
        np.testing.assert_allclose(found["space"][name], points[part], rtol=1e-9, atol=1e-12)


def test_every_file_says_where_it_comes_from(saved: str, induction: Recording, open_page: Open) -> None:
    page = open_page(f"{saved}#view=matrix&layer=1&head=0&row=5&column=2&scale=log&edits=z:0.0", offline=True)
    files = save(page)
    for kind, file in files.items():
        facts = facts_of(kind, file)
        assert (facts["recording"], facts["model"]) == (induction.id, induction.model_hash), kind
        assert (facts["badge"], facts["regard"], facts["tokens"]) == (induction.badge, induction.facts.version, 8)
        assert (facts["site"], str(facts["layer"]), str(facts["head"])) == ("self", "1", "0")
        assert (facts["edits"], facts["switches"]["row"]) == ("none: all numbers are of the recorded run", 5)
        assert facts["scale"].startswith("weight: log10 from 1e-6 to 1")
        assert {check["name"] for check in facts["checks"]} == set("ABCDEFGS")
        assert re.match(r"\d{4}-\d\d-\d\dT", facts["saved"])
        words = shlex.split(facts["command"])
        assert words == ["regard", "look", "runs/induction", "--head", "1.0", "--save", "head.svg", "abcdabec"]
    drawn = " ".join(ElementTree.fromstring(files["svg"]).itertext()).split("</metadata>")[-1]
    for part in (
        induction.badge,
        f"recording {induction.id[:12]}",
        f"model {induction.model_hash[:12]}",
        "layer 1, head 0",
    ):
        assert part in drawn
    page.uncheck(".save-panel input[type=checkbox]")
    bare = save(page, "svg")["svg"]
    assert b"recording " + induction.id[:12].encode() not in bare
    assert facts_of("svg", bare)["recording"] == induction.id
    again = open_page(f"{saved}#{facts['address']}", offline=True)
    np.testing.assert_array_equal(arrays(save(again, "npz")["npz"])["weights"], arrays(files["npz"])["weights"])


@pytest.mark.parametrize("scale", [1, 4])
def test_a_png_has_the_pixels_that_were_asked_for(saved: str, open_page: Open, scale: int) -> None:
    page = open_page(f"{saved}#view=heads", offline=True)
    page.click("[data-save=open]")
    page.select_option(".save-panel select", str(scale))
    files = save(page, "svg", "png")
    root = ElementTree.fromstring(files["svg"])
    size = tuple(scale * int(root.attrib[side]) for side in ("width", "height"))
    assert Image.open(io.BytesIO(files["png"])).size == size


def test_beyond_40000_cells_a_picture_has_exactly_one_pixel_a_cell(tmp_path: Path, open_page: Open) -> None:
    ids = text(64)
    recording = record(build(), Sequence.text(ids), Tokens.of_text(ids[0].tolist(), Letters()), name="many")
    page = open_page(f"{address_of(recording, tmp_path)}#view=heads&scale=linear", offline=True)
    root = ElementTree.fromstring(save(page, "svg")["svg"])
    images = {one.findtext(f"{SVG}title"): one.attrib["href"] for one in root.iter(f"{SVG}image")}
    assert len(images) == recording.layers * recording.heads
    for layer, head in np.ndindex(recording.layers, recording.heads):
        kind, data = images[f"layer {layer}, head {head}"].split(",")
        assert kind == "data:image/png;base64"
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA"))
        mask, weights = recording.mask(layer), recording.weights(layer, head)
        assert ((pixels[..., 3] == 255) == mask).all()
        entries = np.array([KNOWN[tuple(one)] for one in pixels[mask][:, :3].tolist()])
        assert np.abs(entries / 255 - weights[mask]).max() <= 0.5 / 255 + 1e-7


def test_a_red_badge_stays(tmp_path: Path, open_page: Open) -> None:
    recording = recording_of("random")
    assert recording.badge.startswith("Not proven")
    files = save(open_page(f"{address_of(recording, tmp_path)}#view=matrix", offline=True))
    assert {facts_of(kind, file)["badge"] for kind, file in files.items()} == {recording.badge}
    origin = {(facts["recording"], facts["model"]) for facts in map(facts_of, files, files.values())}
    assert origin == {(recording.id, recording.model_hash)}  # which need no proof
    assert f"recording {recording.id[:12]} | model {recording.model_hash[:12]}" in files["svg"].decode()
    root = ElementTree.fromstring(files["svg"])
    assert [one.text for one in root.iter(f"{SVG}text") if one.attrib["fill"] == "#b3261e"] == [recording.badge]
    assert any(one.attrib.get("stroke") == "#b3261e" for one in root.iter(f"{SVG}path"))
    pixels = np.asarray(Image.open(io.BytesIO(files["png"])).convert("RGB"))
    assert (pixels == (0xB3, 0x26, 0x1E)).all(axis=2).sum() > 100


def test_W15_C11_hostile_tokens_are_inert_in_saved_files(tmp_path: Path, open_page: Open) -> None:
    ids = torch.arange(len(FORMULAS) + len(HOSTILE))[None]
    names = Tokens.of_text(ids[0].tolist(), Formulas())
    recording = record(build(), Sequence.text(ids), names, name="</metadata><script>alert(1)</script>")
    recording.label = Formulas().label
    address = address_of(recording, tmp_path)
    for view in VIEWS:
        page = open_page(f"{address}#view={view}&row=16&position=3&layer=1", offline=True)
        wait = {"space": ".space-scatter:visible", "lines": ".lines-drawn"}.get(view, f".view.{view}")
        files = save(page, "svg", "csv", wait=wait)
        root = ElementTree.fromstring(files["svg"])
        assert {one.tag.removeprefix(SVG) for one in root.iter()} <= INERT
        for one in root.iter():
            assert not [name for name in one.attrib if name.lower().startswith("on")]
            assert one.attrib.get("href", "data:image/png;base64,").startswith("data:image/png;base64,")
        assert not set("\u202e\u200b\x00") & set("".join(root.itertext()))
        comments, rows = table(files["csv"])
        assert not set("\u202e\u200b\x00") & set(files["csv"].decode())
        numbers = re.compile(r"-?\d[\d.]*(e[+-]?\d+)?")
        formulas = [one for row in rows for one in row if re.match(r"[=+\-@]", one) and not numbers.fullmatch(one)]
        assert not formulas
        if view != "heads":
            assert "'=cmd|' /C calc'!A0" in {one for row in rows for one in row}
            guarded = sum(one.startswith(("'=", "'+", "'-", "'@")) for row in rows for one in row)
            assert any(comment.startswith(f"{guarded} texts begin with a '") for comment in comments)
            assert all(len(row) == len(rows[0]) for row in rows)


def test_keys_alone_save_and_leave_the_page_as_it_is(saved: str, open_page: Open) -> None:
    page = open_page(f"{saved}#view=matrix&layer=1&head=0", offline=True)
    page.focus("[data-save=open]")
    page.keyboard.press("Enter")
    page.wait_for_selector(".save-panel:visible")
    assert page.evaluate("document.activeElement.dataset.save") == "svg"
    page.keyboard.press("k")  # elsewhere the layer before
    assert "layer=1" in page.url
    with page.expect_download():
        page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    assert not page.locator(".save-panel").is_visible()
    assert page.evaluate("document.activeElement.dataset.save") == "open"
    page.keyboard.press("7")
    page.wait_for_selector(".view.edits")
    assert not page.locator("[data-save=open]").is_visible()  # nothing to save there


@pytest.mark.parametrize("live", ["induction"], indirect=True)
def test_live_and_saved_pages_save_the_same_and_dark_ones_on_white(live: str, saved: str, open_page: Open) -> None:
    words = "#view=lines&layer=1&head=0&row=5"
    found = []
    for page in (open_page(f"{saved}{words}", offline=True), open_page(live, color_scheme="dark")):
        page.evaluate("words => { location.hash = words; }", words)
        found.append(save(page, "svg", "csv", wait=".lines-drawn"))
    assert table(found[0]["csv"])[1] == table(found[1]["csv"])[1]
    roots = [ElementTree.fromstring(one["svg"]) for one in found]
    inks = [{one.attrib.get(part) for one in root.iter() for part in ("fill", "stroke")} for root in roots]
    badge = {"#0b6e8f", "#b3261e"}  # the live page may not have been proven yet
    assert inks[0] - badge == inks[1] - badge != set()
