"""Columns of a terminal: how wide a text is, and where its lines are broken."""

import io
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from regard import columns
from regard.columns import broken, cut
from regard.data.scenes import main as scenes
from regard.errors import Notice
from regard.streams import tell
from regard.training.report import Report, Terminal

from .conftest import read_all

REFUSAL = ("regard: runs/a-rather-long-name-of-a-run: it was begun with classification, not with distillation; leave "
           "--task out, or begin a new run by `regard train photos --task distillation --fresh`")  # fmt: skip


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[TextIO]:
    monkeypatch.setenv("COLUMNS", "80")
    keeper, end = pty.openpty()
    with os.fdopen(end, "w") as stream:
        yield stream
    os.close(keeper)


def test_columns_count_what_a_terminal_shows() -> None:
    assert columns.columns("abc") == 3
    assert columns.columns("漢字") == 4
    assert columns.columns("e\u0301") == 1


def test_what_is_cut_says_so() -> None:
    assert [cut("four", size) for size in (3, 4, 5)] == ["fo…", "four", "four"]
    assert cut("漢字漢", 5) == "漢字…"


def test_a_terminals_lines_are_broken_at_words_and_a_pipes_are_not(terminal: TextIO) -> None:
    lines = broken(REFUSAL, terminal).split("\n")
    assert len(lines) == 3
    assert max(map(len, lines)) <= 80
    assert all(line.startswith("  ") for line in lines[1:])
    assert " ".join(line.strip() for line in lines) == REFUSAL
    assert broken(REFUSAL, io.StringIO()) == REFUSAL


def test_a_word_stays_whole_so_that_a_path_can_be_copied(terminal: TextIO) -> None:
    path = "runs/" + "a-long-name" * 10
    assert broken(f"wrote it into {path} and left", terminal).split("\n") == [
        "wrote it into",
        f"  {path}",
        "  and left",
    ]
    assert broken("漢 " * 41 + "字", terminal).split("\n")[0] == "漢 " * 26 + "漢"  # two columns each


def test_what_follows_is_further_in_than_the_line_itself(terminal: TextIO) -> None:
    first, second, third = broken(f"read it:\n  {'word ' * 17}end", terminal).split("\n")
    assert (first, second, third) == ("read it:", "  " + "word " * 14 + "word", "    word word end")


def test_a_refusal_and_a_notice_fit_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    notice = Notice("near copies " * 8, 3, ("train/cat/one-of-them.png", "val/cat/another-one.png"))
    keeper, end = pty.openpty()
    with os.fdopen(end, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        tell(REFUSAL)
        Report(Terminal(stream), None).notice(notice)
    told = read_all(keeper).decode().splitlines()
    assert max(map(len, told)) <= 80
    assert "another-one.png" in " ".join(told)
    piped = io.StringIO()
    monkeypatch.setattr(sys, "stderr", piped)
    tell(REFUSAL)
    Report(Terminal(piped), None).notice(notice)
    assert piped.getvalue().splitlines() == [f"regard: {REFUSAL}", f"  {notice}"]


def test_scenes_say_what_they_are_within_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keeper, end = pty.openpty()
    command = [
        sys.executable,
        "-m",
        "regard.data.scenes",
        str(tmp_path / "a"),
        "--count=8",
        "--height=32",
        "--width=32",
    ]
    subprocess.run(command, stdout=end, env=os.environ | {"COLUMNS": "60"}, check=True)
    os.close(end)
    told = read_all(keeper).decode().splitlines()
    assert len(told) > 1
    assert max(map(len, told[1:])) <= 60
    assert scenes([str(tmp_path / "b"), "--count=8", "--height=32", "--width=32"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1
