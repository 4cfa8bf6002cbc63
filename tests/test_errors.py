"""What is said to people is one sentence, in the number of what is counted, and short however long a name is."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import regard
from regard.errors import LONGEST, Notice, RegardError, agreeing, counted, noticed


@pytest.mark.parametrize(
    ("number", "said"),
    [(0, "0 files or classes left out"), (1, "1 file or class left out"), (2000, "2,000 files or classes left out")],
)
def test_a_notice_agrees_with_its_count(number: int, said: str) -> None:
    assert str(Notice("file(s) or class(es) left out", number)) == said


def test_only_endings_in_brackets_change() -> None:
    what = "pictures (all of them) of f(s) and (s) glass(es)"
    assert agreeing(what, 2) == "pictures (all of them) of fs and s glasses"
    assert agreeing(what, 1) == "pictures (all of them) of f and  glass"


def test_places_stand_as_they_are_called() -> None:
    assert str(Notice("file(s) left out", 1, ("letter(s).txt",))) == "1 file left out (letter(s).txt)"


def test_nouns_are_counted() -> None:
    assert [counted(number, "head") for number in (0, 1, 1000)] == ["0 heads", "1 head", "1,000 heads"]
    assert [counted(number, "class(es)") for number in (1, 2)] == ["1 class", "2 classes"]


def test_of_many_names_five_are_kept_and_of_none_nothing_is_said() -> None:
    assert noticed("file(s) left out", []) == []
    assert list(map(str, noticed("file(s) left out", "abcdef"))) == ["6 files left out (a, b, c, d, e, …)"]


def test_a_refusal_keeps_the_beginning_and_the_end_of_a_name_that_is_too_long() -> None:
    short = RegardError("x" * 150, "is wrong", "change it")
    assert str(short) == f"{'x' * 150}: is wrong; change it"
    long = RegardError("folder/" + "x" * 4000 + "/name.txt", "is wrong " * 90, "change it")
    assert len(str(long)) == LONGEST
    assert str(long).startswith("folder/xxx")
    assert "xxx/name.txt: is wrong is wrong" in str(long)
    assert str(long).endswith("…; change it")


def notices() -> Iterator[tuple[str, str]]:
    """(where, what) of each notice whose words stand where it is made, unless it is always of one."""
    for path in sorted(Path(regard.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            called = isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1]
            if called in ("Notice", "noticed", "notice") and len(node.args) >= 2:
                what, count = node.args[:2]
                one = isinstance(count, ast.Constant) and count.value == 1
                if isinstance(what, ast.Constant | ast.JoinedStr) and not one:
                    yield f"{path.name}:{node.lineno}", ast.unparse(what)


def test_every_notice_can_be_of_one() -> None:
    found = dict(notices())
    assert len(found) > 30
    assert [where for where, what in found.items() if not re.search(r"\(e?s\)", what)] == []
