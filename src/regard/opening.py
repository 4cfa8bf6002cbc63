"""Opening the page from the command line: on a run, a saved recording, or both."""

from typing import Any

from regard.errors import RegardError
from regard.streams import tell


def open_page(run: Any, recording: Any, port: int, host: str | None, browser: bool) -> None:
    """The page, until Ctrl-C; of a saved recording without its run there is no typing."""
    from regard.page.server import serve
    from regard.page.studio import Studio

    name = run.facts["run"] if run is not None else recording.facts.name

    def fresh() -> list[object]:
        """What was cut or converted since it was last asked."""
        found: list[object] = run.notices
        run.notices = []
        return found

    studio = Studio(run and run.look, recording, name, notices=tuple if run is None else fresh)
    serve(studio, host=host or "127.0.0.1", port=port, open_browser=browser, say=tell)


def port_of(text: str | None) -> int:
    """0 for a free one."""
    if text is None:
        return 0
    if text.isascii() and text.isdecimal() and 1 <= int(text) <= 65_535:
        return int(text)
    raise RegardError("--port", f"{text[:40]!r} is no port", "give a whole number from 1 to 65,535")
