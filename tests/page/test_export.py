"""A page by itself: one file, its own policy, every name once, nothing that a token could break out of, or tell."""

import getpass
import json
import re
import socket
from pathlib import Path

import pytest

from regard.errors import RegardError
from regard.looking.kept import Tokens
from regard.looking.record import Recording, record
from regard.model.sequence import Sequence
from regard.page import assets, export
from regard.page.answers import answer

from ..looking.small import build, look, text

HOSTILE = ("</script>", "<!--", '"><img onerror=alert(1)>', "{{x}}", "]]>", "\u202e", "\u2028", "&amp;", "\x00")


class Hostile:
    def token_bytes(self, token: int) -> bytes:
        return self.label(token).encode()

    def label(self, token: int) -> str:
        return HOSTILE[token % len(HOSTILE)]


def data_of(page: str) -> dict[str, object]:
    found = re.search(r'<script type="application/json" id="answers"[^>]*>(.*?)</script>', page, re.DOTALL)
    assert found is not None
    stored: dict[str, object] = json.loads(found[1])
    return stored


def test_each_name_is_in_one_module_only_so_that_they_can_be_joined() -> None:
    seen: dict[str, str] = {}
    for name, source in assets.assets().items():
        if name.endswith(".js"):
            for made in re.findall(
                r"^(?:export )?(?:async )?(?:function\*?|const|let|class) (\w+)", source, re.MULTILINE
            ):
                assert made not in seen, f"{made} is in {seen[made]} and {name}"
                seen[made] = name
            assert not re.search(r"^export (?:default|\{|\*)", source, re.MULTILINE), name
            assert not re.search(
                r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", source
            ), name
            imports = re.findall(r"^import .*", source, re.MULTILINE)
            assert len(imports) == len(assets.IMPORT.findall(source)), f"{name}: an import is written otherwise"


PAGES = {of: assets.script(of) for of in assets.STARTS} | {
    f"{of} in a notebook": assets.notebook(of) for of in assets.STARTS
}


def test_joined_modules_come_after_what_they_import() -> None:
    sent = set()
    for page in PAGES.values():
        order = re.findall(r"^/\*! (\w+\.js) \*/$", page, re.MULTILINE)
        sent |= set(order)
        for name in order:
            for needed in assets.IMPORT.findall(assets.assets()[name]):
                assert order.index(needed) < order.index(name)
        assert "import " not in re.sub(r"//.*|/\*.*?\*/|\"[^\"]*\"|`[^`]*`", "", page)
    assert sent == {name for name in assets.assets() if name.endswith(".js")}


@pytest.mark.parametrize("of", assets.STARTS)
def test_the_pages_own_code_is_small(of: str) -> None:
    assert sum(len(one.encode()) for one in assets.served(of).values()) <= 250_000


def test_a_page_has_the_views_of_what_it_is_of_alone() -> None:
    of_texts, of_pictures = {"texts.js", "lines.js", "tour.js"}, {"pictures.js", "overlay.js", "classes.js"}
    for page, there, elsewhere in (("text", of_texts, of_pictures), ("picture", of_pictures, of_texts)):
        order = set(re.findall(r"^/\*! (\w+\.js) \*/$", PAGES[page], re.MULTILINE))
        assert there <= order
        assert not elsewhere & order


def test_comments_and_white_space_are_not_sent() -> None:
    module = '/** Why\n * so. */\nexport function f(a) {\n  return `// not  ${ a }` + /[/"] */.source; // nor this\n}\n'
    assert assets.plain(module) == 'function f(a){return`// not  ${ a }`+/[/"] */.source;}'


@pytest.mark.parametrize("page", PAGES)
def test_no_text_holds_another_whose_white_space_would_be_lost(page: str) -> None:
    """A template inside a template is code to what takes the white space out: `a${b ? ` c` : ""}` would lose it."""
    texts = re.findall(r"`[^`]*`", PAGES[page])
    assert len(texts) > 100
    assert [one for one in texts if one.count("{") != one.count("}")] == []


def test_styles_are_sent_without_comments_and_white_space_that_parts_nothing() -> None:
    """Whatever a browser makes of them stays: rules and their order, and every text in quotes."""

    def parts(css: str) -> list[str]:
        plain = re.sub(r"/\*.*?\*/", " ", css, flags=re.DOTALL)
        return re.findall(r"\"[^\"]*\"|'[^']*'|[{}();:,>]|[^\s{}();:,>\"']+", plain)

    whole = "\n".join(assets.assets()[name] for name in assets.style_names())
    sent = assets.styles()
    assert parts(sent) == parts(whole)
    assert len(sent) < 0.9 * len(whole)
    assert not re.search(r"/\*|[;{}] |[:,] ", re.sub(r"\"[^\"]*\"", "", sent))
    spaces = re.compile(r"[^\s{}();:,>] (?=[.#\w*\[:])")  # between names a space is a selector or a value
    assert len(spaces.findall(sent)) == len(spaces.findall(re.sub(r"/\*.*?\*/", "", whole, flags=re.DOTALL)))


def test_W14_a_saved_page_asks_no_one_and_runs_only_its_own_script(tmp_path: Path) -> None:
    recording = look(build(), text(7))
    export.save_page(recording, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert policy[1].startswith("default-src &#x27;none&#x27;; script-src &#x27;sha256-")
    assert "unsafe" not in policy[1]
    assert not re.search(r'(?:src|href)="(?!data:)', page.split('<script type="application/json"')[0])
    told = page.lower()
    for secret in (str(Path.home()), getpass.getuser() + "@", socket.gethostname(), str(tmp_path)):
        assert len(secret) < 5 or secret.lower() not in told


def test_what_is_stored_is_what_a_server_would_say() -> None:
    recording = look(build(), text(7))
    stored = data_of(export.page_of(recording))
    assert stored["0/facts"] == json.loads(answer(recording, "facts").body)
    assert stored["0/prediction/0/7"] == json.loads(answer(recording, "prediction/0/7").body)
    opens = export.page_of(recording, head=(1, 2))
    one = data_of(opens)
    assert {name for name in one if name.startswith("0/vectors")} == {"0/vectors/self/1/2"}
    assert 'data-at="view=matrix&amp;layer=1&amp;head=2"' in opens
    assert 'data-at="tour=0"' in export.page_of(recording, head=(1, 2), at="tour=0")
    assert len(one) < len(stored)


def test_W11_hostile_tokens_stay_text_inside_the_file() -> None:
    ids = text(9)
    named = Tokens.of_text(ids[0].tolist(), Hostile())
    recording = record(build(), Sequence.text(ids), named, name="</title><script>alert(1)</script>")
    page = export.page_of(recording)
    assert page.count("<script") == page.count("</script>") == 2
    assert page.count("</title>") == 1
    stored = data_of(page)
    assert isinstance(stored["0/facts"], dict)
    assert stored["0/facts"]["tokens"]["labels"] == list(named.labels)


def test_W16_a_page_that_is_too_large_says_how_to_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "LARGEST", 100_000)
    recording: Recording = look(build(), text(40))
    with pytest.raises(RegardError, match=r"x\.html: the page would be over 0 MB; choose one head: --head"):
        export.page_of(recording, where="x.html")
    with pytest.raises(RegardError, match=r"save it as \.svg or \.png"):
        export.page_of(recording, head=(0, 0), where="x.html")
