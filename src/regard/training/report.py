"""What a training tells: a line that moves on the terminal, log.jsonl, and TensorBoard where it is asked for."""

import os
import shutil
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from regard.columns import broken, cut, on_terminal
from regard.errors import Notice, RegardError, printable
from regard.files import Log
from regard.training.loop import Step


class Terminal:
    """Words for a person, on standard error; a moving line only where there is a terminal that can move it.

    Training goes on without printing when nobody reads any more (R4, C5).
    """

    def __init__(self, stream: TextIO | None = None, quiet: bool = False) -> None:
        self.stream = stream if stream is not None else sys.stderr
        self.quiet = quiet or self.stream is None
        plain = os.environ.get("TERM") == "dumb" or bool(os.environ.get("NO_COLOR"))
        moving = not self.quiet and not plain and on_terminal(self.stream)
        self.width = shutil.get_terminal_size((80, 24)).columns if moving else None
        self._shown = 0.0
        self._moving = False

    def line(self, text: str = "") -> None:
        self._write(("\r\x1b[2K" if self._moving else "") + broken(text, self.stream) + "\n")
        self._moving = False

    def status(self, text: str) -> None:
        """Replaces the moving line, at most five times a second."""
        now = time.monotonic()
        if self.width is None or now - self._shown < 0.2:
            return
        self._shown, self._moving = now, True
        self._write("\r\x1b[2K" + text[: self.width - 1])

    def rest(self) -> None:
        """Leaves the moving line as it stands, so that what others write begins on a line of its own."""
        if self._moving:
            self._write("\n")
            self._moving = False

    def _write(self, text: str) -> None:
        if self.quiet:
            return
        try:
            self.stream.write(text)
            self.stream.flush()
        except (OSError, ValueError):  # the terminal is gone
            self.quiet = True
            self._silence()

    def _silence(self) -> None:
        """What waits to be written goes nowhere: else Python tries it again at its end, and exits with 120."""
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.stream.fileno())
            os.close(nowhere)


def clock_time(seconds: float) -> str:
    """2:05, or 1:02:05 from an hour on."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


class Report:
    """One voice for a training: everything said is logged, everything logged that matters is said."""

    def __init__(
        self, terminal: Terminal, log: Log | None, board: Path | None = None, unit: str = "tokens"
    ) -> None:  # fmt: skip
        """unit: what the loss is counted over, in the plural."""
        self.terminal, self.log, self.unit = terminal, log, unit
        self.board = _board(board) if board is not None else None
        self.loss = 0.0
        self.validation: float | None = None
        self._rate = Rate()

    def notice(self, notice: Notice) -> None:
        self.terminal.line(f"  {notice}")
        self._append({"kind": "notice", "what": notice.what, "count": notice.count, "places": list(notice.places)})

    def step(self, step: Step, used: float, left: float | None) -> None:
        """left: seconds until the end, or None where it is not known yet."""
        self.loss = step.loss if step.number == 1 or not self.loss else 0.95 * self.loss + 0.05 * step.loss
        self._rate.count(step)
        self._append({"kind": "step", "step": step.number, "loss": step.loss, "norm": step.norm, "seconds": used})
        if self.board is not None:
            self.board.add_scalar("loss/training", step.loss, step.number)
        self.terminal.status(self._line(step.number, left))

    def _line(self, number: int, left: float | None) -> str:
        validation = f"  validation {self.validation:.3f}" if self.validation is not None else ""
        rest = f"  {clock_time(left)} left" if left is not None else ""
        return f"step {number:,}  loss {self.loss:.3f}{validation}  {self._rate.value:,.0f} {self.unit}/s{rest}"

    @property
    def speed(self) -> dict[str, float]:
        """{"tokens_per_second": ...}, by the unit."""
        return {f"{self.unit}_per_second": self._rate.value}

    def started(self, steps: int | None, minutes: float | None) -> None:
        """The first step comes next; of an attempt that was killed before its first checkpoint nothing counts."""
        if self.log is not None and self.log.path.stat().st_size:
            self.log.resume_from(0)
        self._append({"kind": "start", "step": 0, "steps": steps, "minutes": minutes})

    def resumed(self, step: int, seconds: float) -> None:
        """seconds: used so far."""
        if self.log is not None:
            self.log.resume_from(step)
        self.terminal.line(f"goes on after step {step:,}, {clock_time(seconds)} used so far")

    def evaluation(
        self, step: int, validation: float, used: float, left: float | None, **figures: float
    ) -> None:  # fmt: skip
        """validation: nats a token; figures: what else the task watches, for the log."""
        self.validation = validation
        self._append({"kind": "evaluation", "step": step, "validation": validation, "seconds": used, **self.speed,
                      **figures})  # fmt: skip
        if self.board is not None:
            self.board.add_scalar("loss/validation", validation, step)
        self.terminal.line(cut(self._line(step, left), 79))

    def sample(self, step: int, text: str) -> None:
        self._append({"kind": "sample", "step": step, "text": text})
        self.terminal.line(cut("  it says: " + printable(text.replace("\n", " / ")), 79))

    def event(self, kind: str, **facts: Any) -> None:
        self._append({"kind": kind, **facts})

    def _append(self, line: dict[str, Any]) -> None:
        if self.log is not None:
            self.log.append(line)

    def close(self) -> None:
        if self.log is not None:
            self.log.close()
        if self.board is not None:
            self.board.close()


class Rate:
    """Targets a second over about the last fifty steps."""

    def __init__(self) -> None:
        self._targets, self._seconds = 0.0, 0.0

    def count(self, step: Step) -> None:
        self._targets = 0.98 * self._targets + step.targets
        self._seconds = 0.98 * self._seconds + step.seconds

    @property
    def value(self) -> float:
        return self._targets / self._seconds if self._seconds else 0.0


def _board(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise RegardError("--tensorboard", "the tensorboard package is not installed",
                          'run: pip install "regard[tensorboard]"') from None  # fmt: skip
    return SummaryWriter(str(folder))
