"""Opening the page from the command line: on a run, a saved recording, or both."""

from typing import Any

from regard.errors import RegardError
from regard.streams import tell

SENTENCE = "A robot must obey the orders given it by human beings"
"""What the tour is on where no text is given."""


def open_page(run: Any, recording: Any, port: int, host: str | None, browser: bool, at: str = "") -> None:
    """The page, until Ctrl-C; of a saved recording without its run there is no typing. at: where it begins."""
    from regard.look import studio_of
    from regard.page.server import serve

    serve(studio_of(run, recording), host=host or "127.0.0.1", port=port, open_browser=browser, say=tell, at=at)


def port_of(text: str | None) -> int:
    """0 for a free one."""
    if text is None:
        return 0
    if text.isascii() and text.isdecimal() and 1 <= int(text) <= 65_535:
        return int(text)
    raise RegardError("--port", f"{text[:40]!r} is no port", "give a whole number from 1 to 65,535")


def check_tour(save: str | None, head: str | None, page: bool | None) -> None:
    """What has no page to lead through, or only a part of one, is refused."""
    if head is not None:
        raise RegardError("--tour", "it leads through every head, and --head names one", "leave one of them out")
    if save is not None and not save.lower().endswith(".html"):
        raise RegardError("--tour", f"{save!r} is no page", "save x.html, or leave --save out")
    if save is None and page is False:
        raise RegardError("--tour", "no page is opened or saved", "leave --no-page out, or add --save x.html")
