"""The page's limits in Chromium, at GPT-2's 124M sizes with rotary positions, and BertViz beside it.

python benchmarks/page.py [--n 512 8192] [--rounds 3] [--bertviz FOLDER]
Random weights, a stored recording (no proof runs beside), a browser of 1440 x 900. Times are those of the page as it is
used: from opening it to the first drawn head; from a moved pointer or a key to the picture that belongs to it.
--bertviz: a folder with `pip install --no-deps --target FOLDER bertviz` and `npm install --prefix FOLDER d3@5.7.0
jquery@3.5.1 requirejs@2.3.6`: its page asks other hosts for these scripts, and gets them from there. It is opened at
128, 256, 512 tokens until it fails or shows nothing within a minute.
Limits: docs/decisions/0008 and the table that is printed.
"""

import argparse
import contextlib
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch
from common import Names, report
from playwright.sync_api import Browser, Page, sync_playwright

from regard.looking.edit import Edit
from regard.looking.kept import Tokens
from regard.looking.record import Recording, record
from regard.model.config import AttentionConfig, FeedForwardConfig, NormConfig, TransformerConfig
from regard.model.sequence import Sequence
from regard.model.transformer import Transformer, initialise
from regard.page import studio as studios
from regard.page.assets import served
from regard.page.effects import effect_of
from regard.page.server import serve

LAYERS = HEADS = 12
VOCABULARY = 50_257
GIVEN_UP = 60.0
"""Seconds after which a page that shows nothing counts as not opened."""
CHECKED_LAYERS = (0, 5, 11)
CELLS = 1000
"""Checked in each of these layers."""
EVERYWHERE = {"cell ms": 100, "tile ms": 60, "tile p95 ms": 200, "head ms": 300, "longest task ms": 200, "heap MB": 150,
              "nodes": 1500, "page kB": 250, "requests abroad": 0}  # fmt: skip
LIMITS: dict[int, dict[str, float]] = {
    256: {"edit s": 0.5}, 512: {"first picture s": 1.0} | EVERYWHERE,
    8192: {"first picture s": 2.5, "pan p95 ms": 200} | EVERYWHERE,
}  # fmt: skip
VIEWS = ("heads", "matrix", "lines", "lookup", "prediction", "space", "edits")
BROWSER = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
           "--disable-component-update", "--disable-sync", "--js-flags=--expose-gc"]  # fmt: skip
WAY = 5 * [*11 * [(1, 0)], (0, 1), *11 * [(-1, 0)], (0, 1)]
"""Half a view at a time, to the right and down, to and fro, where nothing was seen before."""
WATCH = """
window.longest = 0;
new PerformanceObserver((list) => {
  for (const task of list.getEntries()) window.longest = Math.max(window.longest, task.duration);
}).observe({type: "longtask", buffered: true});
"""


# what is looked at


def recording_of(n: int) -> Recording:
    """Sharper than at random: as the heads of a trained model, they have their bright cells."""
    config = TransformerConfig(
        vocabulary=VOCABULARY, context=n, width=768, layers=LAYERS,
        attention=AttentionConfig(heads=HEADS, key_value_heads=HEADS, head_width=64, query_key_norm=False, bias=True,
                                  output_bias=True),
        feed_forward=FeedForwardConfig(width=3072, gated=False, activation="gelu_tanh", bias=True),
        norm=NormConfig(kind="layer", epsilon=1e-5), tied=True,
    )  # fmt: skip
    model = Transformer(config).eval()
    initialise(model, 0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("query.weight", "key.weight")):
                parameter.mul_(3.0)
    ids = torch.randint(VOCABULARY, (1, n), generator=torch.Generator().manual_seed(0))
    return record(model, Sequence.text(ids), Tokens.of_text(ids[0].tolist(), Names()), name=f"124M, n = {n}")


def serve_recordings(n: int, copies: int, references: Path) -> None:
    """The same recording as several, so that each round begins with nothing computed; and what tiles must say."""
    studios.MOST_BYTES = 1 << 40  # the copies share their arrays, which are counted once each
    first = recording_of(n)
    references.write_text(json.dumps(reference_cells(first)))
    studio = studios.Studio(None, first, first.facts.name, proves=False)
    for _ in range(copies - 1):
        studio.add(Recording(first.kept, first.model))
    with contextlib.suppress(KeyboardInterrupt):
        serve(studio, open_browser=False, say=lambda text: print(text, flush=True))


def reference_cells(recording: Recording) -> list[list[Any]]:
    """[layer, head, row, column, weight in float64] of random cells, by a plain softmax of the whole row in NumPy."""
    chosen, found = random.Random(0), []
    for layer in CHECKED_LAYERS:
        call = recording.kept.call("self", layer)
        query, key = call.query.double().numpy(), call.key.double().numpy()
        for _ in range(CELLS):
            head, row = chosen.randrange(HEADS), chosen.randrange(recording.n)
            column = chosen.randrange(row + 1)
            scores = key[head, : row + 1] @ query[head, row] / np.sqrt(64)
            shares = np.exp(scores - scores.max())
            found.append([layer, head, row, column, float(shares[column] / shares.sum())])
    return found


@contextlib.contextmanager
def running(n: int, copies: int) -> Iterator[tuple[str, list[list[Any]]]]:
    with tempfile.TemporaryDirectory() as folder:
        references = Path(folder) / "cells.json"
        command = [sys.executable, __file__, "--serve", str(n), "--copies", str(copies),
                   "--references", str(references)]  # fmt: skip
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            address = next(line for line in server.stdout if "http://" in line)
            try:
                yield address[address.index("http://") :].strip(), json.loads(references.read_text())
            finally:
                server.terminate()


# how long it takes


class Watched:
    """A page, and clocks on it. The clock stops when the canvas says that it waits for nothing (aria-busy)."""

    def __init__(self, browser: Browser) -> None:
        self.context = browser.new_context(viewport={"width": 1440, "height": 900})
        self.context.add_init_script(WATCH)
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(GIVEN_UP * 1000)
        self.abroad: list[str] = []
        self.page.on("request", self._asked)

    def _asked(self, request: Any) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "file:", "data:", "blob:", "about:")):
            self.abroad.append(request.url)

    def open(self, address: str, selector: str) -> float:
        """Seconds until the selector is drawn."""
        began = time.perf_counter()
        self.page.goto(address, wait_until="commit")
        self.page.wait_for_selector(selector, state="attached")
        return time.perf_counter() - began

    def to(self, **state: Any) -> None:
        words = "&".join(f"{name}={value}" for name, value in state.items())
        self.page.evaluate("words => { location.hash = words; }", words)
        self.page.wait_for_selector(f".view.{state['view']}")

    def timed(self, script: str) -> float:
        """Milliseconds from an action in the page until what it asks for is drawn; the action returns what to await."""
        return float(
            self.page.evaluate(f"""async () => {{
            const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
            const canvas = document.querySelector(".matrix-cells"), readout = document.querySelector(".matrix-readout");
            const began = performance.now();
            const done = (() => {{ {script} }})();
            do await frame(); while (!done() && performance.now() - began < 20000);
            return performance.now() - began;
        }}""")
        )

    def heap(self) -> float:
        """MB that the page holds, arrays too, after what is not needed is gone."""
        client = self.context.new_cdp_session(self.page)
        client.send("HeapProfiler.collectGarbage")
        usage = client.send("Runtime.getHeapUsage")
        return float(usage["usedSize"] + usage.get("backingStorageSize", 0)) / 1e6

    def nodes(self) -> int:
        return int(self.page.evaluate("document.querySelectorAll('body *').length"))

    def longest(self) -> float:
        """Milliseconds of the longest task on the page's main thread, 0 if none was over 50."""
        return float(self.page.evaluate("window.longest"))


def until_drawn(event: str) -> str:
    """Sends the canvas an event that changes what it shows."""
    drawn = 'canvas.dataset.shows !== before && canvas.getAttribute("aria-busy") === "false"'
    return f"const before = canvas.dataset.shows; canvas.dispatchEvent({event}); return () => {drawn};"


def key(name: str) -> str:
    return until_drawn(f'new KeyboardEvent("keydown", {{key: "{name}", bubbles: true}})')


def wheel(right: int, down: int) -> str:
    """So many half views; a pixel on the screen is one of the canvas here."""
    far = f"deltaX: {right} * (canvas.width - left) / 2, deltaY: {down} * (canvas.height - top) / 2"
    turned = until_drawn(f'new WheelEvent("wheel", {{bubbles: true, cancelable: true, {far}}})')
    return "const [left, top] = canvas.dataset.grid.split(' ').map(Number);" + turned


def pointer(x: int, y: int) -> str:
    return f"""
        const [left, top, cell] = canvas.dataset.grid.split(" ").map(Number), before = readout.textContent;
        const box = canvas.getBoundingClientRect();
        canvas.dispatchEvent(new PointerEvent("pointermove", {{bubbles: true, pointerType: "mouse",
          clientX: box.left + left + ({x} + 0.5) * cell, clientY: box.top + top + ({y} + 0.5) * cell}}));
        return () => readout.textContent !== before && !readout.textContent.includes("…");"""


def measured(browser: Browser, n: int, rounds: int) -> dict[str, Any]:
    with running(n, rounds) as (address, references):
        firsts = []
        for k in range(rounds):
            watched = Watched(browser)
            firsts.append(watched.open(f"{address}&key={k + 1}", ".heads-cell:not(.heads-waiting) .heads-thumb"))
            if k < rounds - 1:
                watched.context.close()
        heads = [watched.longest()]
        found = {"page": "regard", "n": n, "first picture s": statistics.median(firsts), **in_the_matrix(watched, n)}
        nodes = {view: nodes_in(watched, view) for view in VIEWS}
        print(f"n = {n}: nodes {nodes}, first pictures {[round(one, 2) for one in firsts]} s")
        found["nodes"] = max(nodes.values())
        found["longest task ms"] = max(*heads, watched.longest())
        found["requests abroad"] = len(watched.abroad)
        found["page kB"] = sum(len(text.encode()) for text in served().values()) / 1e3
        found |= against(address, references)
        watched.context.close()
    return found


def in_the_matrix(watched: Watched, n: int) -> dict[str, Any]:
    """Cell readouts, tiles while panning, heads, and what is held after it."""
    chosen = random.Random(1)
    watched.to(view="matrix", layer=3, head=2, zoom=0, row=n - 9, column=n - 20, left=n // 40, top=n // 2)
    watched.page.wait_for_selector('.matrix-cells[aria-busy="false"]')
    cells = [watched.timed(pointer(chosen.randrange(5, 200), chosen.randrange(5, 200))) for _ in range(50)]
    pans = [watched.timed(wheel(*way)) for way in WAY] if n > 1024 else []
    close = [watched.timed(key("l" if k % 2 else "j")) for k in range(12)]
    tiles = watched.page.evaluate("""() => performance.getEntriesByType("resource")
        .filter(({name}) => /weights\\/0\\//.test(name)).map(({duration}) => duration)""")
    watched.to(view="matrix", layer=6, head=2, left=0, top=0)
    watched.page.wait_for_selector('.matrix-cells[aria-busy="false"]')
    whole = [watched.timed(key("l" if k % 2 else "k")) for k in range(9)]
    tiles_seen = len(watched.page.evaluate("performance.getEntriesByType('resource')"))
    return {
        "cell ms": statistics.median(cells), "tile ms": statistics.median(tiles), "tile p95 ms": p95(tiles),
        "pan p95 ms": p95(pans) if pans else "", "head ms": statistics.median(close),
        "whole head ms": statistics.median(whole), "tiles": len(tiles), "asked": tiles_seen, "heap MB": watched.heap(),
    }  # fmt: skip


def p95(values: list[float]) -> float:
    return float(np.percentile(values, 95))


def nodes_in(watched: Watched, view: str) -> int:
    watched.to(view=view, layer=3, head=2, row=40, column=3)
    watched.page.wait_for_timeout(1500)
    return watched.nodes()


def against(address: str, references: list[list[Any]]) -> dict[str, Any]:
    """The largest difference, relative and absolute, of tiles as the server sends them from the references."""
    base, token = address.split("#token=")
    worst, off, kept = 0.0, 0.0, {}
    for layer, head, row, column, weight in references:
        path = f"api/1/tile/self/{layer}/{head}/weights/0/{row // 256}/{column // 256}"
        if path not in kept:
            request = urllib.request.Request(base + path, headers={"x-regard-token": token})
            with urllib.request.urlopen(request) as answer:
                body = answer.read()
            kept = {path: np.frombuffer(body, "<f4", offset=16).reshape(np.frombuffer(body, "<u4", 2, 4))}
        found = float(kept[path][row % 256, column % 256])
        off = max(off, abs(found - weight))
        worst = max(worst, abs(found - weight) / max(weight, 1.2e-38))
    return {"cells checked": len(references), "largest difference": off, "relative": worst}


def edit_seconds(others: int, times: int = 7) -> float:
    """What the page waits for when a head is taken out of the 10M shape, n = 256: the edit, its control, and others."""
    config = TransformerConfig(
        vocabulary=300, context=512, width=384, layers=6,
        attention=AttentionConfig(heads=6, key_value_heads=6, head_width=64),
        feed_forward=FeedForwardConfig(width=1024),
    )  # fmt: skip
    model = Transformer(config).eval()
    initialise(model, 0)
    ids = torch.randint(300, (1, 256), generator=torch.Generator().manual_seed(0))
    recording = record(model, Sequence.text(ids), Tokens.of_text(ids[0].tolist(), Names()))
    taken = []
    for k in range(times):
        began = time.perf_counter()
        effect_of(recording, recording.edit([Edit.head(k % config.layers, k % 6)], others=others))
        taken.append(time.perf_counter() - began)
    return max(taken[1:])


# BertViz


def bertviz(browser: Browser, folder: Path) -> list[dict[str, Any]]:
    """Its two views of the same sizes, longer and longer."""
    sys.path.insert(0, str(folder))
    rows = []
    for view in ("head_view", "model_view"):
        n = 128
        while n <= 512 and (found := bertviz_page(browser, folder, view, n)) is not None:
            rows.append(found)
            print(found, flush=True)
            n *= 2
    return rows


def bertviz_page(browser: Browser, folder: Path, view: str, n: int) -> dict[str, Any] | None:
    """None if it did not open in time."""
    import importlib

    from transformers import GPT2Config, GPT2Model

    torch.manual_seed(0)
    model = GPT2Model._from_config(GPT2Config(), attn_implementation="eager").eval()
    ids = torch.randint(VOCABULARY, (1, n))
    with torch.inference_mode():
        attention = model(ids, output_attentions=True).attentions
    draw = getattr(importlib.import_module(f"bertviz.{view}"), view)
    with tempfile.TemporaryDirectory() as place:
        page = Path(place) / "page.html"
        html = draw(attention, [str(i) for i in ids[0].tolist()], html_action="return").data
        page.write_text(f"<!doctype html><meta charset=utf-8><body>{html}")
        watched = Watched(browser)
        watched.page.route(
            re.compile("^https:"), lambda route: route.fulfill(path=str(script_of(folder, route.request.url)))
        )
        selector = "svg line" if view == "head_view" else "svg rect, svg line"
        try:
            seconds = watched.open(page.as_uri(), selector)
            watched.page.wait_for_timeout(500)
            return {
                "page": f"BertViz {view}", "n": n, "first picture s": seconds, "heap MB": watched.heap(),
                "nodes": watched.nodes(), "longest task ms": watched.longest(), "requests abroad": len(watched.abroad),
                "page kB": page.stat().st_size / 1e3,
            }  # fmt: skip
        except Exception as error:  # a browser that ran out of memory has many ways to say so
            print(
                f"BertViz {view} at n = {n}: not opened ({type(error).__name__}), {page.stat().st_size / 1e6:,.0f} MB"
            )
            return None
        finally:
            with contextlib.suppress(Exception):
                watched.context.close()


def script_of(folder: Path, address: str) -> Path:
    modules = folder / "node_modules"
    known = {"require": modules / "requirejs/require.js", "d3": modules / "d3/dist/d3.min.js",
             "jquery": modules / "jquery/dist/jquery.min.js"}  # fmt: skip
    return next(path for name, path in known.items() if f"/{name}" in address)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, nargs="+", default=[512, 8192])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bertviz", type=Path)
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--copies", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--references", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        return serve_recordings(given.serve, given.copies, given.references)
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=BROWSER)
        rows = [measured(browser, n, given.rounds) for n in given.n]
        seconds = {"edit s": edit_seconds(0), "with 20 others s": edit_seconds(20)}
        rows.append({"page": "edit of one head, 10M, n = 256", "n": 256, **seconds})
        if given.bertviz:
            rows += bertviz(browser, given.bertviz)
        browser.close()
    report("page", rows, limits={n: LIMITS[n] for n in given.n if n in LIMITS})
    for row in rows:
        for name, limit in LIMITS.get(row["n"], {}).items():
            if name in row and not row["page"].startswith("BertViz"):
                held = "holds" if row[name] <= limit else "MISSED"
                print(f"{held:7} n = {row['n']}: {name} {row[name]:.4g} (limit {limit})")
    return None


if __name__ == "__main__":
    main()
