"""What the verbs print: columns, cut texts, and signs that take two places."""

import pytest

from regard import words
from regard.columns import columns


@pytest.mark.parametrize("text", ["", "short", "a text that is too long", "漢字漢字漢字", "a漢字漢字漢字"])
def test_fitted_is_exactly_as_wide_as_asked(text: str) -> None:
    for size in (6, 7):
        for right in (False, True):
            assert columns(words.fitted(text, size, right)) == size


def test_a_table_keeps_within_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    rows = [["name", "what", "number"], ["x" * 50, "y" * 40, "1,234"]]
    lines = words.table(rows, right=(2,), squeezed=(1, 0))
    assert all(columns(line) <= 60 for line in lines)
    assert lines[1].endswith("1,234")
    assert lines[0].endswith("number")


def test_a_path_is_shown_as_one_would_type_it() -> None:
    assert words.shell("runs/text") == "runs/text"
    assert words.shell("runs/my text") == "'runs/my text'"


def test_a_plan_wraps_its_reasons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    plan = [{"name": "key_value_heads", "value": 12345, "reason": "because " * 30}]
    lines = words.plan_text(plan).split("\n")
    assert lines[0].startswith("key-value-heads")
    assert "12,345  because" in lines[0]
    assert all(len(line) <= 80 for line in lines)
    assert all(line.startswith(" " * 33) for line in lines[1:])
