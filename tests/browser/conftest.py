"""Chromium, a page by itself and a live one; any request that leaves the machine, and any error on the page, fails."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from regard.looking.record import Recording

from ..looking.patched import Planted, planted
from ..looking.small import build, look, text
from .planted import page_with

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync", "--force-device-scale-factor=1"]  # fmt: skip
SERVE = Path(__file__).with_name("serve.py")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.fail("the page's tests need Chromium: apt install chromium (or name one: CHROMIUM=/path/to/it)")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield opened
        opened.close()


Open = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """open_page(address, **context options) -> the page, when it shows a view."""
    wrong: list[str] = []
    contexts = []

    def opened(address: str, **options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()

        def asked(request: Any) -> None:
            if not request.url.startswith(("http://127.0.0.1:", "file:", "data:", "blob:", "about:")):
                wrong.append(f"asked for {request.url}")

        page.on("request", asked)
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (wrong.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("console", lambda said: wrong.append(f"console: {said.text}") if said.type == "error" else None)
        page.goto(address)
        page.wait_for_selector(".view", timeout=20_000)
        page.wait_for_load_state("networkidle")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not wrong


@pytest.fixture(scope="session")
def proven() -> Recording:
    """40 tokens read by a model with random weights, and proven."""
    made = look(build(), text(40))
    made.prove()
    return made


@pytest.fixture(scope="session")
def proven_page(proven: Recording) -> Iterator[str]:
    """The address of a live page that shows it."""
    with page_with(proven) as address:
        yield address


Shown = Callable[[Recording], str]


@pytest.fixture
def shown() -> Iterator[Shown]:
    """Serves a recording until the test and its pages have ended; its address. To be asked for before open_page."""
    with ExitStack() as stack:
        yield lambda recording: stack.enter_context(page_with(recording))


@pytest.fixture(scope="session")
def pictured() -> Planted:
    """A picture of 3 x 3 patches, a class token and two registers."""
    return planted(registers=2, beta=3.0)


@pytest.fixture(scope="session")
def pictured_page(pictured: Planted) -> Iterator[str]:
    """The address of a live page that shows it."""
    with page_with(pictured.recording) as address:
        yield address


@pytest.fixture
def live(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a running page; which model it shows is the test's parameter (see serve.py)."""
    kind = getattr(request, "param", "random")
    with subprocess.Popen([sys.executable, str(SERVE), kind], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        address = next(line for line in server.stdout if "http://" in line)
        yield address[address.index("http://") :].strip()
        server.terminate()
