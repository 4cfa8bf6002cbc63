"""One file that shows a recording by itself: the page, and every answer that it may ask for; it asks no one else."""

import base64
import html
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from regard.errors import RegardError, printable
from regard.files import write
from regard.looking.record import Recording
from regard.page.answers import answer, every_question
from regard.page.assets import filled, script, source_hash, styles, template
from regard.page.pictures import BEGINS

LARGEST = 50_000_000
"""Bytes of a saved page: larger ones open slowly, so a head is to be chosen (looking.md, view 10)."""


def save_page(
    recording: Recording, path: Path, overwrite: bool = False, head: tuple[int, int] | None = None, at: str = ""
) -> None:
    """Writes x.html. head: this one alone, instead of all. at: the state in which it opens, as an address has it.

    Raises RegardError where the page would be too large.
    """
    write(path, page_of(recording, head, str(path), at=at).encode(), overwrite)


def page_of(
    recording: Recording, head: tuple[int, int] | None = None, where: str = "page", most: int | None = None,
    at: str = "",
) -> str:  # fmt: skip
    """The page's HTML. Its policy allows its own script and style, by their hashes, and nothing else.

    most: bytes of its answers. Raises RegardError if there are more.
    """
    every = [(layer, h) for layer in range(recording.layers) for h in range(recording.heads)]
    view = BEGINS if recording.is_picture else "" if head is None else "view=matrix"
    at = at or (view if head is None else f"{view}&layer={head[0]}&head={head[1]}")  # the one head that is there
    stored = collected(
        recording, every_question(recording, every if head is None else [head]), where, head is None, most
    )
    code, style = script("picture" if recording.is_picture else "text"), styles()
    policy = (f"default-src 'none'; script-src {source_hash(code)}; style-src {source_hash(style)}; "
              "img-src data: blob:; base-uri 'none'; form-action 'none'")  # fmt: skip
    meta = f'<meta http-equiv="Content-Security-Policy" content="{html.escape(policy)}">\n<style>{style}</style>'
    begin = f' data-at="{html.escape(at)}"' if at else ""
    data = f'<script type="application/json" id="answers"{begin}>{for_script(stored)}</script>'
    page = template().replace(
        "<title>regard</title>", f"<title>regard: {html.escape(printable(recording.facts.name))}</title>"
    )
    return filled(page, meta, f"{data}\n<script>{code}</script>")


def collected(
    recording: Recording, questions: Iterable[str], where: str, all_heads: bool, most: int | None = None
) -> dict[str, Any]:
    """{path: its answer}, JSON as it is and bytes in base64. Raises RegardError as soon as it is too large."""
    stored: dict[str, Any] = {}
    size, most = 0, most or LARGEST
    for question in questions:
        found = answer(recording, question)
        is_json = found.kind == "application/json"
        stored[f"0/{question}"] = json.loads(found.body) if is_json else base64.b64encode(found.body).decode()
        size += len(found.body) if is_json else len(found.body) * 4 // 3
        if size > most:
            do = "choose one head: --head 0.0" if all_heads else "save it as .svg or .png, or look at a shorter text"
            raise RegardError(where, f"the page would be over {most // 1_000_000} MB", do)
    return stored


def for_script(value: Any) -> str:
    """JSON that nothing can end or begin a script with, whatever tokens it holds."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    signs: Sequence[str] = ("<", ">", "&", "\u2028", "\u2029")
    for sign in signs:
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


class Inline:
    """A page inside a notebook: a frame that holds all of it, so it stays when the notebook is saved."""

    def __init__(self, page: str, high: int = 900) -> None:
        self.page, self.high = page, high

    def _repr_html_(self) -> str:
        frame = 'sandbox="allow-scripts" style="width: 100%; border: 0" title="what every head looks at"'
        return f'<iframe srcdoc="{html.escape(self.page)}" height="{self.high}" {frame}></iframe>'
