"""The page's own files: as a shell for the server, or joined into one script and one style for a page by itself."""

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files

from rjsmin import jsmin

NOT_SENT = re.compile(r"/\*(?:[^*]|\*(?!/))*\*/|\s*([{};])\s*|(?<=[:,])\s+|^\s+")
"""Of styles: comments, and white space that parts nothing. No text in quotes holds any (a test sees to it)."""
IMPORT = re.compile(r'^import \{[^}]*\} from "\./([\w.]+)";\n', re.MULTILINE)
STARTS = {"text": "start.js", "picture": "startpictures.js"}
"""Where a page begins, by what it is of: each has the modules of its own views alone."""
NOTEBOOK = "notebook.js"
OFFERED = {"text": ("texts.js", "TEXTS"), "picture": ("pictures.js", "PICTURES")}
"""Where one does inside a notebook; the module, and its name, that say what the page offers."""
KINDS = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}


@cache
def assets() -> dict[str, str]:
    """{file name: text} of every script and style."""
    folder = files("regard.page") / "static"
    found = sorted((one for one in folder.iterdir() if one.name.endswith(tuple(KINDS))), key=lambda one: one.name)
    return {one.name: one.read_text(encoding="utf-8") for one in found}


@cache
def template() -> str:
    return (files("regard.page") / "static" / "index.html").read_text(encoding="utf-8")


def shell() -> str:
    """The page that asks a server; it holds nothing of any run."""
    styles, scripts = '<link rel="stylesheet" href="static/page.css">', '<script defer src="static/page.js"></script>'
    return filled(template(), styles, scripts)


@cache
def served(of: str = "text") -> dict[str, str]:
    """{file name: text}: the fixed table from which anything is served. One file each, as forty would come in turn.

    of: "text" or "picture".
    """
    return {"page.js": script(of), "page.css": styles()}


def style_names() -> list[str]:
    """page.css first, as the views' own styles build on it."""
    return sorted((name for name in assets() if name.endswith(".css")), key=lambda name: (name != "page.css", name))


def filled(page: str, styles: str, scripts: str) -> str:
    return page.replace("<!-- styles -->", styles).replace("<!-- scripts -->", scripts)


@cache
def joined(*starts: str) -> str:
    """The modules as one script, each after those that it imports: names are unique across files (a test holds it)."""
    order: list[str] = []

    def visit(name: str) -> None:
        if name not in order:
            for needed in IMPORT.findall(assets()[name]):
                visit(needed)
            order.append(name)

    for start in starts:
        visit(start)
    return "\n".join(f"/*! {name} */\n{plain(assets()[name])}" for name in order)


def script(of: str = "text") -> str:
    """The whole page, to run as it is. of: "text" or "picture"."""
    return f"(() => {{\n{joined(STARTS[of])}\n}})();"


def notebook(of: str = "text") -> str:
    """The same as a module for anywidget."""
    module, name = OFFERED[of]
    return f"{joined(NOTEBOOK, module)}\nexport default {{render: (given) => renderPage(given, {name})}};\n"


def plain(module: str) -> str:
    """A module without its imports and exports, and without what only its readers need: comments and white space."""
    sent: str = jsmin(re.sub(r"^export ", "", IMPORT.sub("", module), flags=re.MULTILINE))
    return sent


def styles() -> str:
    return "\n".join(NOT_SENT.sub(r"\1", assets()[name]) for name in style_names())


def source_hash(text: str) -> str:
    """As a content security policy names an inline script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
