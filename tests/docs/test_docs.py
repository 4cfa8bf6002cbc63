"""Each command and snippet of the pages runs, in order, in one folder a page; what the page shows is what comes out.

A block of `sh` is commands; of `console`, commands after `$ ` with the shape of what they print: numbers may differ,
`...` stands for anything. A block of `python` is code, or a session with `>>> `, checked word for word. Anything else
is called `text`. What cannot run has `<!-- not run: the reason -->` on the line before it.
"""

import doctest
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")] + sorted(ROOT.glob("docs/*.md"))
BLOCK = re.compile(r"^(?:<!-- not run: (?P<why>[^\n]+) -->\n)?```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.M | re.S)

SMALL = {"steps": 20, "context": 32, "width": 16, "layers": 3, "heads": 2, "head_width": 8, "batch": 8}
SHORTER = [  # what the pages say, and what runs here instead: minutes become a few steps of a small model
    (r"(regard train (?:shapes|pitches).*)--minutes \d+", r"\1--steps 20 --width 16 --layers 2"),
    (r'(train\("shapes".*)minutes=\d+', r"\1steps=20, width=16, layers=2"),
    (r"--minutes \d+", " ".join(f"--{name.replace('_', '-')} {value}" for name, value in SMALL.items())),
    (r"minutes=\d+", ", ".join(f"{name}={value}" for name, value in SMALL.items())),
    (r"--tokens \d+", "--tokens 8"),
    (r"^make\b", f"make -n -C '{ROOT}'"),  # that the target is there; CI runs it
]
TRAINING = "regard train shakespeare.txt --minutes 5"
"""Done once for all pages: where a page says so again, that run is finished."""


@dataclass(frozen=True)
class Block:
    kind: str
    text: str
    line: int
    """Of the page, where the text begins."""
    why_not: str | None


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    return [
        Block(m["kind"], m["text"], text.count("\n", 0, m.start("text")) + 1, m["why"]) for m in BLOCK.finditer(text)
    ]


def shorter(text: str) -> str:
    for what, instead in SHORTER:
        text = re.sub(what, instead, text, flags=re.M)
    return text


def shape(output: str) -> str:
    """Numbers as 0, whatever their length and sign."""
    return re.sub(r"[-+]?\d[\d,.:]*(e[-+]?\d+)?", "0", output)


def shell(command: str, folder: Path) -> str:
    """What it prints. AssertionError unless it exits with 0."""
    here = Path(sys.executable).parent
    environment = os.environ | {"PATH": f"{here}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "80"}
    done = subprocess.run(["bash", "-ec", shorter(command)], cwd=folder, env=environment, text=True, timeout=240,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
    assert done.returncode == 0, f"$ {shorter(command)}\nexit code {done.returncode}\n{done.stdout}"
    return done.stdout


def commands(block: Block) -> list[tuple[str, str]]:
    """(command, output shown) of a block; a line that ends in a backslash goes on."""
    text = block.text.replace("\\\n", " ")
    if block.kind == "sh":
        return [(line, "...") for line in text.splitlines() if line and not line.startswith("#")]
    parts = re.split(r"^\$ ", text, flags=re.M)[1:]
    assert parts, "a console block has `$ ` before each command"
    return [(command, shown or "...") for command, _, shown in (part.partition("\n") for part in parts)]


def run_commands(block: Block, folder: Path) -> None:
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    for command, shown in commands(block):
        printed = shell(command, folder)
        alike = doctest.OutputChecker().check_output(shape(shown), shape(printed), flags)
        assert alike, f"$ {command}\nthe page shows\n{shown}\nand this came\n{printed}"


def run_python(block: Block, page: Path, names: dict[str, Any]) -> None:
    code = shorter(block.text)
    if ">>> " not in code:
        exec(compile("\n" * (block.line - 1) + code, str(page), "exec"), names)
        return
    session = doctest.DocTestParser().get_doctest(code, {}, page.name, str(page), block.line - 1)
    session.globs = names  # the page's own, not a copy: later blocks go on
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.REPORT_ONLY_FIRST_FAILURE
    told: list[str] = []
    doctest.DocTestRunner(optionflags=flags, verbose=False).run(session, out=told.append, clear_globs=False)
    assert not told, "".join(told)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a page's reader has: a text, a folder of notes, another text; and the run of TRAINING."""
    folder = tmp_path_factory.mktemp("trained")
    play = (ROOT / "src/regard/data/bundled/shakespeare.txt").read_text()
    (folder / "shakespeare.txt").write_text(play[:30_000])
    (folder / "other.txt").write_text(play[50_000:53_000])
    (folder / "notes").mkdir()
    for number in range(3):
        (folder / "notes" / f"{number}.txt").write_text(play[60_000 + 5_000 * number :][:5_000])
    shell(TRAINING, folder)
    return folder


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_page_runs(page: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, names = tmp_path / "reader", {"__name__": "page"}
    shutil.copytree(trained, folder)
    monkeypatch.chdir(folder)
    for block in blocks(page):
        place = f"{page.name}:{block.line}"
        assert block.kind in ("sh", "console", "python", "text"), f"{place}: say what this block is"
        try:
            if block.kind in ("sh", "console") and block.why_not is None:
                run_commands(block, folder)
            elif block.kind == "python" and block.why_not is None:
                run_python(block, page, names)
        except BaseException as error:
            error.add_note(f"at {place}")
            raise


@pytest.mark.parametrize("page", PAGES + sorted(ROOT.glob("docs/decisions/*.md")), ids=lambda page: page.name)
def test_what_the_page_points_at_is_there(page: Path) -> None:
    """Files, and in [`name`](file.py) the definition of that name."""
    links = re.findall(r"\[([^\]]+)\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    pictures = [("", source) for source in re.findall(r'<img src="([^":]+)"', page.read_text())]
    for words, target in links + pictures:
        file = (page.parent / target).resolve()
        assert file.is_relative_to(ROOT), f"{page.name}: {target} is outside"
        assert file.exists(), f"{page.name}: {target} is not there"
        if file.suffix == ".py" and (name := re.fullmatch(r"`(?:\w+\.)?(\w+)`", words)):
            defined = rf"^\s*(?:def|class) {name[1]}\b|^{name[1]}\b.* = "
            assert re.search(defined, file.read_text(), re.M), f"{page.name}: {target} does not define {name[1]}"


def test_a_wrong_page_is_found(tmp_path: Path) -> None:
    """Or all of the above would prove nothing."""
    page = tmp_path / "page.md"
    page.write_text(
        "```console\n$ echo 12 cats\n13 cats\n```\n```console\n$ echo 12 cats\n12 dogs\n```\n```sh\nfalse\n```\n"
        "```python\n>>> a = 3\n>>> a\n3\n```\n```python\n>>> a\n4\n```\n"
        "<!-- not run: it takes a week -->\n```python\nfor ever\n```\n"
    )
    right, dogs, false, three, four, never = blocks(page)
    run_commands(right, tmp_path)
    for wrong in (dogs, false):
        with pytest.raises(AssertionError):
            run_commands(wrong, tmp_path)
    names: dict[str, Any] = {}
    run_python(three, page, names)
    with pytest.raises(AssertionError, match=r"(?s)line 18.*Expected"):
        run_python(four, page, names)
    assert (never.kind, never.why_not) == ("python", "it takes a week")
