"""The page in a notebook: live as a widget, with the kernel's numbers, beside others; else in a frame that holds it."""

import base64
import json
import queue
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from comm.base_comm import BaseComm
from playwright.sync_api import Browser, Error, Locator, Page

from regard.look import studio_of
from regard.looking.picture import Picture
from regard.looking.record import Recording
from regard.page.export import Inline, page_of
from regard.page.studio import Studio
from regard.page.widget import Widget

from ..page.test_pictures import noise, png, run_of
from .serve import recording_of
from .test_page import MOST_NODES, values

NOTEBOOK = Path(__file__).with_name("notebook.html")
ADDRESS = "http://127.0.0.1:1/notebook.html"
SOON = 20_000
"""Milliseconds."""


class Kernel:
    """The messages of widgets in Python, as a kernel passes them on; what `holds` says is held back until `release`."""

    def __init__(self) -> None:
        self.widgets: dict[str, Widget] = {}
        self.states: dict[str, dict[str, Any]] = {}
        self.said: queue.SimpleQueue[tuple[str, Any, list[bytes]]] = queue.SimpleQueue()
        self.asked: list[dict[str, Any]] = []
        self.holds: Callable[[dict[str, Any]], bool] = lambda question: False
        self._held: list[tuple[str, Any, list[bytes]]] = []

    def comm(self, **given: Any) -> BaseComm:
        kernel = self

        class Wire(BaseComm):  # type: ignore[misc, unused-ignore]
            def publish_msg(self, msg_type: str, data: Any = None, metadata: Any = None, buffers: Any = None,
                            **keys: Any) -> None:  # fmt: skip
                data = json.loads(json.dumps(data))  # a kernel sends JSON and bytes, and nothing else
                if msg_type == "comm_open":
                    kernel.states[self.comm_id] = data["state"]
                elif msg_type == "comm_msg" and data.get("method") == "custom":
                    kernel.said.put((self.comm_id, data["content"], [bytes(one) for one in buffers or ()]))

        return Wire(**given)

    def add(self, studio: Studio) -> str:
        """Its model's id."""
        widget = Widget(studio)
        self.widgets[widget.model_id] = widget
        return str(widget.model_id)

    def to_kernel(self, model: str, content: str, buffers: list[str]) -> None:
        question = json.loads(content)
        self.asked.append(question)
        data, sent = {"method": "custom", "content": question}, [memoryview(base64.b64decode(one)) for one in buffers]
        self.widgets[model].comm.handle_msg({"content": {"comm_id": model, "data": data}, "buffers": sent})

    def from_kernel(self) -> str:
        found = []
        with suppress(queue.Empty):
            while True:
                found.append(self.said.get_nowait())
        asked = {question.get("id"): question for question in self.asked}
        self._held += [one for one in found if self.holds(asked.get(one[1]["id"], {}))]
        found = [one for one in found if one not in self._held]
        return json.dumps([[model, content, [base64.b64encode(one).decode() for one in buffers]]
                           for model, content, buffers in found])  # fmt: skip

    def release(self) -> None:
        self.holds = lambda question: False
        for one in self._held:
            self.said.put(one)
        self._held = []


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kernel]:
    found = Kernel()
    monkeypatch.setattr("comm.create_comm", found.comm)
    yield found
    for widget in found.widgets.values():
        widget.close()


@pytest.fixture
def notebook(browser: Browser, kernel: Kernel) -> Iterator[Page]:
    """An empty one, in which nothing may go wrong and nothing may be asked of anybody but the kernel."""
    wrong: list[str] = []
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.route("**/*", lambda route: wrong.append(route.request.url) or route.abort())
    context.route(ADDRESS, lambda route: route.fulfill(path=NOTEBOOK))
    context.expose_function("toKernel", kernel.to_kernel)
    context.expose_function("fromKernel", kernel.from_kernel)
    context.expose_function("stateOf", lambda model: json.dumps(kernel.states[model]))
    page = context.new_page()
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.goto(ADDRESS)
    yield page
    context.close()
    assert wrong == []


def widget_of(kernel: Kernel, kind: str) -> str:
    return kernel.add(Studio(lambda letters: recording_of(kind, letters), recording_of(kind), kind, proves=False))


def show(notebook: Page, model: str, cell: str) -> Locator:
    """The cell, when the page in it shows every head."""
    notebook.evaluate("([model, cell]) => show(model, cell)", [model, cell])
    found = notebook.locator(f"#{cell}")
    found.locator(".view.heads .heads-number[data-value]").first.wait_for(timeout=SOON)
    return found


def choose(cell: Locator, layer: int, head: int) -> None:
    cell.get_by_label("layer", exact=True).select_option(str(layer))
    cell.get_by_label("head", exact=True).select_option(str(head))


def check_row(cell: Locator, recording: Recording, layer: int, head: int, row: int) -> None:
    """The look-up shows the weights of this row, float for float."""
    choose(cell, layer, head)
    cell.locator(f".strip-token[data-at='{row}']").click()
    cell.locator(".page-tabs a", has_text="Look-up").click()
    cell.locator(f".lookup-table:has-text('{recording.tokens.labels[row]}')").wait_for(timeout=SOON)
    cell.page.wait_for_function(SETTLED, arg=cell.get_attribute("id"))
    shown = np.array(cell.locator(".lookup-table [data-value]").evaluate_all(
        "all => all.map((one) => Number(one.dataset.value))"))  # fmt: skip
    for weight in recording.weights(layer, head)[row, : row + 1]:
        assert np.nanmin(np.abs(shown - weight)) <= 1e-6 * max(weight, 1e-3), (layer, head, row)


SETTLED = """(cell) => {
    const view = document.getElementById(cell).firstChild.shadowRoot.querySelector(".view.lookup");
    return view?.querySelector(".lookup-table [data-value]") && !view.querySelector(".stale");
}"""


def test_two_widgets_show_their_own_heads_with_the_recordings_numbers(notebook: Page, kernel: Kernel) -> None:
    first = show(notebook, widget_of(kernel, "induction"), "first")
    second = show(notebook, widget_of(kernel, "random"), "second")
    check_row(first, recording_of("induction"), 1, 0, 5)
    check_row(second, recording_of("random"), 2, 4, 7)
    assert first.get_by_label("head", exact=True).input_value() == "0"  # as it was chosen before the other's
    assert second.get_by_label("layer", exact=True).input_value() == "2"
    assert first.locator(".view.lookup .lookup-table").count() == 1
    tiles = {question["path"] for question in kernel.asked if "/tile/" in question.get("path", "")}
    assert {path.split("/")[0] for path in tiles} == {"1"}
    assert notebook.evaluate("document.querySelectorAll('*').length") < 40  # the rest is in trees of their own
    for cell in ("first", "second"):
        inside = f"document.getElementById('{cell}').firstChild.shadowRoot.querySelectorAll('*').length"
        assert notebook.evaluate(inside) <= MOST_NODES


def test_a_picture_is_chosen_in_a_notebook(notebook: Page, kernel: Kernel, tmp_path: Path) -> None:
    """Its bytes go to the kernel as they are, and what the kernel made of them comes back."""
    model = kernel.add(studio_of(run_of(tmp_path), None))
    notebook.evaluate("([model, cell]) => show(model, cell)", [model, "first"])
    cell = notebook.locator("#first")
    cell.locator("text=Choose a file above").wait_for(timeout=SOON)
    chooser = cell.locator("input[type=file]")
    chooser.set_input_files({"name": "x.txt", "mimeType": "text/plain", "buffer": b"hello"})
    cell.locator(".page-said:has-text('is no picture')").wait_for(timeout=SOON)
    chooser.set_input_files({"name": "x.png", "mimeType": "image/png", "buffer": png(noise(24, 24, 7))})
    cell.locator(".view.overlay .overlay-drawn").wait_for(timeout=SOON)
    recording = kernel.widgets[model].studio.recording("1")
    assert np.array_equal(Picture.of(recording).pixels, noise(24, 24, 7))
    shown = cell.locator(".overlay-head[data-key='0'] [data-value]").evaluate_all(
        "all => all.map((one) => Number(one.dataset.value))")  # fmt: skip
    row = recording.weights(0, 0)[0]
    np.testing.assert_allclose(shown, [row[2:].sum(), row[1], row[0]], atol=1e-6)


def test_tiles_are_drawn_from_binary_messages(notebook: Page, kernel: Kernel) -> None:
    cell, recording = show(notebook, widget_of(kernel, "induction"), "first"), recording_of("induction")
    choose(cell, 1, 0)
    cell.locator(".page-tabs a", has_text="Matrix").click()
    cell.locator(".matrix-cells").click()
    notebook.keyboard.type("g")  # go to
    cell.locator("[data-go]").fill("5,2")
    notebook.keyboard.press("Enter")
    cell.locator(".matrix-pair:has-text('5')").wait_for(timeout=SOON)
    cell.locator(".matrix-pair .number[data-value]").wait_for(timeout=SOON)
    (shown,) = values(notebook, "#first .matrix-pair .number")
    assert shown == pytest.approx(recording.weights(1, 0)[5, 2], rel=1e-6)
    assert any("/tile/self/1/0/weights/0/" in question.get("path", "") for question in kernel.asked)


def test_keys_are_of_the_widget_that_was_clicked_and_of_nobody_else(notebook: Page, kernel: Kernel) -> None:
    first = show(notebook, widget_of(kernel, "random"), "first")
    second = show(notebook, widget_of(kernel, "random"), "second")
    first.locator("h1").click()
    notebook.keyboard.press("2")
    first.locator(".view.matrix").wait_for(timeout=SOON)
    first.locator("h1").click()
    notebook.keyboard.press("j")
    assert first.get_by_label("layer", exact=True).input_value() == "1"
    assert second.locator(".view.heads").count() == 1
    assert second.get_by_label("layer", exact=True).input_value() == "0"
    assert notebook.evaluate("window.heard") == []
    notebook.locator("#said").click()
    notebook.keyboard.press("3")
    assert notebook.evaluate("window.heard") == ["3"]
    second.locator("h1").click()
    notebook.keyboard.press("3")
    second.locator(".view.lines").wait_for(timeout=SOON)
    assert first.locator(".view.matrix").count() == 1
    first.locator(".page-text").click()
    notebook.keyboard.press("l")  # typed, not a key
    assert first.get_by_label("head", exact=True).input_value() == "0"
    notebook.locator("#first").locator("h1").click()
    notebook.keyboard.press("?")
    assert first.locator(".page-help").is_visible()
    assert not second.locator(".page-help").is_visible()


STYLE = """([cell, name]) => {
    const tree = cell ? document.getElementById(cell).firstChild.shadowRoot : document;
    const style = getComputedStyle(tree.querySelector(name));
    return [style.color, style.fontSize, style.letterSpacing, style.borderTopWidth, style.display, style.lineHeight];
}"""


def test_neither_style_reaches_the_other(notebook: Page, kernel: Kernel) -> None:
    before = [notebook.evaluate(STYLE, [None, name]) for name in ("html", "body", "h1", "p")]
    sheets = notebook.evaluate("document.styleSheets.length")
    cell = show(notebook, widget_of(kernel, "random"), "first")
    assert [notebook.evaluate(STYLE, [None, name]) for name in ("html", "body", "h1", "p")] == before
    assert notebook.evaluate("document.styleSheets.length") == sheets
    assert notebook.evaluate(STYLE, ["first", "h1"])[:4] == ["rgb(27, 31, 36)", "22px", "-0.22px", "0px"]
    assert notebook.evaluate(STYLE, ["first", "main"])[4] == "block"
    assert notebook.evaluate(STYLE, ["first", "button"])[3] == "1px"
    assert cell.locator("h1").is_visible()


def test_the_notebooks_theme_is_the_widgets(notebook: Page, kernel: Kernel) -> None:
    cell = show(notebook, widget_of(kernel, "random"), "first")
    page = "document.getElementById('first').firstChild.shadowRoot.querySelector('.notebook')"
    paper = f"getComputedStyle({page}).background"
    assert "rgb(255, 255, 255)" in notebook.evaluate(paper)  # whatever the system has
    notebook.evaluate("document.body.dataset.jpThemeLight = 'false'")
    cell.locator(".view.heads .heads-number[data-value]").first.wait_for(timeout=SOON)
    assert "rgb(20, 24, 28)" in notebook.evaluate(paper)
    notebook.evaluate("document.body.dataset.jpThemeLight = 'true'")
    notebook.wait_for_function(f"{paper}.includes('255')")


def until(page: Page, condition: Callable[[], bool]) -> None:
    """The page goes on meanwhile."""
    end = time.monotonic() + SOON / 1000
    while not condition():
        assert time.monotonic() < end
        page.wait_for_timeout(10)


def tokens(cell: Locator, count: int) -> None:
    until(cell.page, lambda: cell.locator(".strip-token").count() == count)


def was_asked(kernel: Kernel, text: str) -> bool:
    return any(question.get("fields", {}).get("text") == text for question in kernel.asked)


def test_a_typed_text_is_looked_at_and_an_answer_that_is_late_is_dropped(notebook: Page, kernel: Kernel) -> None:
    first = show(notebook, widget_of(kernel, "induction"), "first")
    second = show(notebook, widget_of(kernel, "induction"), "second")
    kernel.holds = lambda question: question.get("fields", {}).get("text") == "abc"
    first.locator(".page-text").fill("abc")
    until(notebook, lambda: was_asked(kernel, "abc"))
    first.locator(".page-text").fill("abcab")
    tokens(first, 5)
    kernel.release()
    check_row(first, recording_of("induction", "abcab"), 1, 0, 4)
    tokens(first, 5)
    tokens(second, recording_of("induction").n)


def test_an_edit_runs_the_kernels_model(notebook: Page, kernel: Kernel) -> None:
    cell = show(notebook, widget_of(kernel, "induction"), "first")
    cell.locator(".page-tabs a", has_text="Edits").click()
    cell.locator(".view.edits button", has_text="add").first.click()
    cell.locator(".edits-badge").wait_for(timeout=SOON)
    assert "Edited run" in cell.locator(".view.edits").inner_text()


def test_without_its_kernel_it_says_so_and_can_be_tried_again(notebook: Page, kernel: Kernel) -> None:
    model = widget_of(kernel, "random")
    kernel.holds = lambda question: True
    notebook.clock.install()
    notebook.evaluate("(model) => show(model, 'first')", model)
    notebook.locator("#first .quiet").wait_for(timeout=SOON)
    notebook.clock.fast_forward(4_000)
    notebook.locator("#first .quiet", has_text="busy, or gone").wait_for(timeout=SOON)
    notebook.clock.fast_forward(61_000)
    notebook.locator("#first .failed", has_text="kernel does not answer").wait_for(timeout=SOON)
    kernel.release()
    notebook.locator("#first button", has_text="try again").click()
    notebook.locator("#first .view.heads").wait_for(timeout=SOON)


def test_a_removed_view_is_gone_and_its_questions_are_dropped(notebook: Page, kernel: Kernel) -> None:
    model = widget_of(kernel, "random")
    first, second = show(notebook, model, "first"), show(notebook, model, "second")  # two views of one widget
    kernel.holds = lambda question: question.get("path") == "look"
    first.locator(".page-text").fill("abc")
    until(notebook, lambda: was_asked(kernel, "abc"))
    (waits,) = [question["id"] for question in kernel.asked if question.get("path") == "look"]
    notebook.evaluate("remove('first')")
    assert notebook.locator("#first").inner_html() == ""
    until(notebook, lambda: {"drop": waits} in kernel.asked)
    kernel.release()
    second.locator(".page-tabs a", has_text="Prediction").click()
    second.locator(".view.prediction [data-value]").first.wait_for(timeout=SOON)


# the frame, where there are no widgets


def frame_that_shows(page: Page, at: int, selector: str) -> Any:
    """The frame as soon as it does; else what stood in it, and what went wrong there."""
    frame = page.locator("iframe").nth(at).element_handle().content_frame()
    assert frame is not None
    try:
        frame.wait_for_load_state("load", timeout=SOON)
        frame.wait_for_selector(selector, timeout=SOON)
    except Error as error:
        try:
            stood = frame.evaluate("[document.readyState, document.visibilityState, document.body.innerText]")
        except Error as silent:
            stood = f"nothing that answers ({silent})"
        pytest.fail(f"frame {at} never had {selector}; in it stands {stood!r}; {error}")
    return frame


def test_without_widgets_two_pages_stand_side_by_side(browser: Browser, tmp_path: Path) -> None:
    """Frames that hold all of the page, each with a state of its own; opened one after the other, as cells are run."""
    inline = Inline(page_of(recording_of("induction")))._repr_html_()
    (tmp_path / "notebook.html").write_text(f"<!doctype html><title>notebook</title><div></div>{inline}")
    context = browser.new_context()
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda asked: wrong.append(asked.url) if asked.url.startswith("http") else None)
    page.goto((tmp_path / "notebook.html").as_uri())
    first = frame_that_shows(page, 0, ".view.heads")
    page.evaluate("document.body.append(document.querySelector('iframe').cloneNode())")
    second = frame_that_shows(page, 1, ".view.heads")
    first.locator(".page-tabs a", has_text="Matrix").click()
    frame_that_shows(page, 0, ".view.matrix")
    assert second.locator(".view.heads").count() == 1
    assert wrong == []
    context.close()
