"""What a training tells: 80 columns on a terminal, plain lines elsewhere; where nobody listens, all is in the log."""

import io
import json
import os
import pty
from collections.abc import Iterator
from pathlib import Path

import pytest

from regard.errors import Notice, RegardError
from regard.files import Log
from regard.training.loop import Step
from regard.training.report import Report, Terminal, clock_time

STEP = Step(number=1, loss=5.5, norm=1.25, targets=2048, seconds=0.5)


class OnTerminal:
    def __init__(self) -> None:
        self.keeper, terminal = pty.openpty()
        self.stream = os.fdopen(terminal, "w")

    def said(self) -> str:
        self.stream.close()
        said = b""
        while True:
            try:
                more = os.read(self.keeper, 4096)
            except OSError:
                os.close(self.keeper)
                return said.decode()
            said += more


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[OnTerminal]:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("NO_COLOR", raising=False)
    made = OnTerminal()
    yield made
    made.stream.close()


def far(report: Report) -> None:
    """The longest line there is: days of a large training."""
    for number in range(12_345_678, 12_345_681):
        report.step(Step(number, 12.3456, 1.0, 10**9, 0.5), 1e5, 1e6)
    report.evaluation(12_345_678, 12.3456, 1e5, 1e6)
    report.sample(12_345_678, "深" * 200)
    report.sample(12_345_678, "\x1b[2J\u202e\r\n" * 50)


def test_on_a_terminal_a_line_moves_within_80_columns(terminal: OnTerminal) -> None:
    report = Report(Terminal(terminal.stream), None)
    far(report)
    said = terminal.said()
    assert "\r\x1b[2Kstep 12,345,678  loss 12.346" in said
    lines = said.replace("\r\x1b[2K", "\n").replace("\r\n", "\n").split("\n")
    assert max(sum(2 if c == "深" else 1 for c in line) for line in lines) < 80
    assert "\x1b" not in said.replace("\x1b[2K", "")
    assert "\u202e" not in said
    assert "  it says: " + "深" * 33 + "…" in lines
    assert lines[-1] == ""


def test_elsewhere_there_are_lines_and_no_escape_codes() -> None:
    stream = io.StringIO()
    report = Report(Terminal(stream), None)
    far(report)
    assert "\x1b" not in stream.getvalue()
    assert "\r" not in stream.getvalue()
    assert stream.getvalue().count("\n") == 3  # no line of a step


@pytest.mark.parametrize("quiet", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_C5_a_terminal_that_wants_no_codes_gets_none(
    quiet: dict[str, str], terminal: OnTerminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in quiet.items():
        monkeypatch.setenv(name, value)
    far(Report(Terminal(terminal.stream), None))
    assert "\x1b" not in terminal.said()


def test_R4_a_stream_that_fails_is_left_alone(tmp_path: Path) -> None:
    ends = os.pipe()
    stream = os.fdopen(ends[1], "w")
    os.close(ends[0])
    with Log(tmp_path / "log.jsonl") as log:
        report = Report(Terminal(stream), log)
        for number in range(1, 4):
            report.evaluation(number, 1.0, 1.0, None)
    stream.close()  # does not fail any more
    assert len(Log.read(tmp_path / "log.jsonl")[0]) == 3


def test_R4_a_stream_that_is_closed_or_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    Terminal(closed).line("nobody")
    monkeypatch.setattr("sys.stderr", None)
    Terminal().line("nobody")


def test_quiet_says_nothing() -> None:
    stream = io.StringIO()
    far(Report(Terminal(stream, quiet=True), None))
    assert stream.getvalue() == ""


def test_everything_is_logged_as_one_object_a_line(tmp_path: Path) -> None:
    with Log(tmp_path / "log.jsonl") as log:
        report = Report(Terminal(io.StringIO()), log)
        report.started(10, None)
        report.notice(Notice("files skipped", 2, ("a", "b")))
        report.step(STEP, 3.0, 7.0)
        report.evaluation(1, 5.25, 3.5, 7.0)
        report.sample(1, "é\x1b")
        report.event("stopped", step=1)
        report.resumed(1, 3.0)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["start", "notice", "step", "evaluation", "sample", "stopped", "resume"]
    assert lines[0] == {"kind": "start", "step": 0, "steps": 10, "minutes": None}
    assert lines[1] == {"kind": "notice", "what": "files skipped", "count": 2, "places": ["a", "b"]}
    assert lines[2] == {"kind": "step", "step": 1, "loss": 5.5, "norm": 1.25, "seconds": 3.0}
    assert lines[3] == {"kind": "evaluation", "step": 1, "validation": 5.25, "seconds": 3.5,
                        "tokens_per_second": 4096.0}  # fmt: skip
    assert lines[4] == {"kind": "sample", "step": 1, "text": "é\x1b"}
    assert lines[6] == {"kind": "resume", "step": 1}


def test_an_attempt_that_left_lines_but_no_checkpoint_is_superseded(tmp_path: Path) -> None:
    for _ in range(2):
        with Log(tmp_path / "log.jsonl") as log:
            report = Report(Terminal(io.StringIO()), log)
            report.started(10, None)
            report.step(STEP, 3.0, 7.0)
    kinds = [line["kind"] for line in Log.read(tmp_path / "log.jsonl")[0]]
    assert kinds == ["start", "step", "resume", "start", "step"]


def test_tensorboard_gets_the_losses(tmp_path: Path) -> None:
    report = Report(Terminal(io.StringIO()), None, tmp_path / "board")
    report.step(STEP, 1.0, None)
    report.evaluation(1, 5.0, 1.0, None)
    report.close()
    (events,) = (tmp_path / "board").iterdir()
    raw = events.read_bytes()
    assert b"loss/training" in raw
    assert b"loss/validation" in raw


def test_tensorboard_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    with pytest.raises(RegardError, match=r"regard\[tensorboard\]"):
        Report(Terminal(io.StringIO()), None, tmp_path / "board")


def test_times() -> None:
    assert [clock_time(s) for s in (-3, 0, 59.6, 125, 3600, 360_000)] == \
           ["0:00", "0:00", "1:00", "2:05", "1:00:00", "100:00:00"]  # fmt: skip
