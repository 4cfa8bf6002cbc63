"""A training killed at any moment goes on, bit for bit (R1); one that is asked to stop loses nothing (R2 to R4)."""

import os
import pty
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from regard.files import checkpoints, leftovers

from .commands import TINY, Commands, last_files, log_of, losses

RUN = ("fox.txt", *TINY, "--steps=80", "--checkpoint-every=10", "--evaluate-every=40")


@pytest.fixture(scope="module")
def unbroken(commands: Commands, fox: Path) -> Path:
    """The run of 80 steps that was never interrupted, and the seconds that it took."""
    done = commands.run("train", *RUN, cwd=fox)
    assert done.code == 0, done.err
    return fox / "runs" / "fox"


def seconds_of(run: Path) -> float:
    return float(next(line["seconds"] for line in log_of(run) if line["kind"] == "finished"))


def test_R1_killed_three_times_it_ends_with_the_same_bits(commands: Commands, unbroken: Path, text: Path) -> None:
    moments = random.Random(1)
    kills = 0
    while kills < 3:
        command = commands.start("train", *RUN, cwd=text.parent)
        if command.ended(moments.uniform(0.3, 0.8) * seconds_of(unbroken)):  # it was faster than the other: again
            command.wait()
            shutil.rmtree(text.parent / "runs")
            continue
        command.kill(signal.SIGKILL)
        assert command.wait().code == -signal.SIGKILL
        kills += 1
    assert commands.run("train", *RUN, cwd=text.parent).code == 0
    run = text.parent / "runs" / "fox"
    assert sorted(os.listdir(run.parent)) == ["fox"]
    assert last_files(run) == last_files(unbroken)
    assert losses(run) == losses(unbroken)
    assert [step for step, *_ in losses(run)] == list(range(1, 81))
    assert [c.step for c in checkpoints(run)] == [70, 80]


AT = {
    "reading": ("regard.data.open", "scan"),
    "planning": ("regard.tasks.language.Prepared", "choose"),
    "restoring": ("regard.training.run_loop.Training", "begin"),
}
WITHIN = {
    "a step": ("regard.training.loop.Learner", "_gradients", 25),
    "an evaluation": ("regard.tasks.language.Language", "quick_score", 1),
    "a checkpoint": ("regard.training.checkpoint", "contents", 2),
    "the score": ("regard.tasks.language.Language", "evaluate", 1),
}


def at_the_moment(folder: Path, place: str, name: str, call: int, number: int) -> Path:
    """A script that is regard, but sends itself a signal when this is called for the call-th time."""
    script = folder / f"at_{name}.py"
    script.write_text(f"""
import os
from importlib import import_module
from pkgutil import resolve_name
owner = resolve_name({place!r})
ours, count = getattr(owner, {name!r}), 0
def signalled(*arguments, **named):
    global count
    count += 1
    if count == {call}:
        os.kill(os.getpid(), {number})
    return ours(*arguments, **named)
setattr(owner, {name!r}, signalled)
import regard.cli
regard.cli.main()
""")
    return script


@pytest.mark.parametrize(("moment", "number"), [
    *((moment, signal.SIGTERM) for moment in WITHIN), ("a step", signal.SIGINT), ("a checkpoint", signal.SIGHUP),
])  # fmt: skip
def test_R2_a_signal_saves_and_the_same_command_goes_on(
    moment: str, number: int, commands: Commands, unbroken: Path, text: Path
) -> None:
    place, name, call = WITHIN[moment]
    script = at_the_moment(text.parent, place, name, call, number)
    command = commands.start("train", *RUN, cwd=text.parent, script=script)
    done = command.wait(10.0 + 2 * seconds_of(unbroken))
    run = text.parent / "runs" / "fox"
    assert done.code == -number
    assert "regard train --resume runs/fox" in done.sentence
    last = losses(run)[-1][0]
    assert checkpoints(run)[-1].step == last  # none was lost
    assert leftovers(run) == []
    if number == signal.SIGTERM:
        assert commands.run("train", *RUN, cwd=text.parent).code == 0
        assert last_files(run) == last_files(unbroken)
        assert losses(run) == losses(unbroken)


@pytest.mark.parametrize("moment", AT)
def test_R2_before_the_first_step_it_just_leaves(moment: str, commands: Commands, text: Path) -> None:
    place, name = AT[moment]
    script = at_the_moment(text.parent, place, name, 1, signal.SIGTERM)
    done = commands.run("train", *RUN, cwd=text.parent, script=script)
    assert done.code == -signal.SIGTERM
    assert done.sentence == "stopped before the first step"
    kept = moment == "restoring"  # a run that has its config.json is one
    assert os.path.exists(text.parent / "runs") == kept
    assert commands.run("train", *RUN[:-3], "--steps=2", "--fresh", cwd=text.parent).code == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_R2_while_importing_it_just_leaves(number: int, text: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "regard", "train", *RUN]
    started = subprocess.Popen(command, cwd=text.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert started.stderr is not None
    for line in started.stderr:
        if line.endswith(" torch._utils\n"):  # in the middle of it
            break
    started.send_signal(number)
    out, err = started.communicate(timeout=60)
    assert (started.returncode, out) == (-number, "")
    assert [line for line in err.splitlines() if not line.startswith("import time:")] == \
           (["regard: stopped"] if number == signal.SIGINT else [])  # fmt: skip
    assert os.listdir(text.parent) == ["fox.txt"]


class Pseudo:
    """A terminal whose user is this test."""

    def __init__(self) -> None:
        self.keeper, self._terminal = pty.openpty()
        self.path = os.ttyname(self._terminal)

    def read_until(self, words: bytes) -> bytes:
        said = b""
        while words not in said:
            said += os.read(self.keeper, 4096)
        return said

    def rest(self) -> bytes:
        os.close(self._terminal)
        said = b""
        while True:
            try:
                more = os.read(self.keeper, 4096)
            except OSError:  # that is how a terminal ends
                return said
            said += more

    def type(self, keys: bytes) -> None:
        os.write(self.keeper, keys)

    def hang_up(self) -> None:
        os.close(self._terminal)
        os.close(self.keeper)


def test_R3_ctrl_c_once_saves(commands: Commands, unbroken: Path, text: Path) -> None:
    terminal = Pseudo()
    command = commands.start("train", *RUN, cwd=text.parent, stdin=terminal.path, stderr=terminal.path, TERM="xterm")
    terminal.read_until(b"step ")
    terminal.type(b"\x03")
    assert command.wait().code == -signal.SIGINT
    assert b"go on with: regard train --resume runs/fox" in terminal.rest()
    run = text.parent / "runs" / "fox"
    assert checkpoints(run)[-1].step == losses(run)[-1][0] < 80
    assert commands.run("train", *RUN, cwd=text.parent).code == 0
    assert last_files(run) == last_files(unbroken)


def test_R3_ctrl_c_twice_stops_now_and_what_was_half_written_stays_unread(
    commands: Commands, unbroken: Path, text: Path
) -> None:
    """The second one comes while the first one's checkpoint is being written: at its third fsync."""
    script = text.parent / "twice.py"
    script.write_text("""
import os, signal
from regard.files import durable
from regard.training.run_loop import Training
def hook(operation, path):
    if operation == "fsync" and "optim" in path and ".tmp-step-000000020" in path:
        os.write(1, b"now")
        while True:
            signal.pause()
durable.hook = hook
import regard.cli
regard.cli.main()
""")
    terminal, told = Pseudo(), os.pipe()
    command = commands.start("train", *RUN, cwd=text.parent, stdin=terminal.path, stderr=terminal.path,
                             stdout=f"/proc/{os.getpid()}/fd/{told[1]}", script=script)  # fmt: skip
    assert os.read(told[0], 3) == b"now"
    terminal.type(b"\x03")
    assert not command.ended(0.1)
    terminal.type(b"\x03")
    assert command.wait().code == -signal.SIGINT
    run = text.parent / "runs" / "fox"
    assert len(leftovers(run, "tmp")) == 1
    assert [c.step for c in checkpoints(run)] == [10]
    done = commands.run("train", *RUN, cwd=text.parent)
    assert (done.code, "1 leftover of an interrupted run removed" in done.err) == (0, True)
    assert leftovers(run) == []
    assert last_files(run) == last_files(unbroken)
    assert losses(run) == losses(unbroken)
    for end in told:
        os.close(end)


def test_R4_a_closed_terminal_hangs_up(commands: Commands, text: Path) -> None:
    terminal = Pseudo()
    command = commands.start("train", *RUN, cwd=text.parent, stdin=terminal.path, stdout=terminal.path,
                             stderr=terminal.path, TERM="xterm")  # fmt: skip
    terminal.read_until(b"step ")
    terminal.hang_up()
    assert command.wait().code == -signal.SIGHUP
    run = text.parent / "runs" / "fox"
    assert checkpoints(run)[-1].step == losses(run)[-1][0]


def test_R4_under_nohup_it_stays(commands: Commands, unbroken: Path, text: Path) -> None:
    script = at_the_moment(text.parent, *WITHIN["a step"], signal.SIGHUP)
    done = commands.run("train", *RUN, cwd=text.parent, script=script, ignored=[signal.SIGHUP])
    assert done.code == 0
    assert losses(text.parent / "runs" / "fox") == losses(unbroken)


@pytest.mark.parametrize("closed", ["stdout", "stderr", "both"])
def test_R4_without_anyone_to_listen_it_goes_on(closed: str, commands: Commands, unbroken: Path, text: Path) -> None:
    streams = {name: None for name in ("stdout", "stderr") if closed in (name, "both")}
    done = commands.run("train", *RUN, cwd=text.parent, **streams)
    run = text.parent / "runs" / "fox"
    assert done.code == 0
    assert losses(run) == losses(unbroken)
    assert log_of(run)[-1]["kind"] == "finished"


def test_R4_a_terminal_that_vanishes_without_a_signal(commands: Commands, unbroken: Path, text: Path) -> None:
    terminal = Pseudo()
    command = commands.start("train", *RUN, cwd=text.parent, stderr=terminal.path, TERM="xterm",
                             ignored=[signal.SIGHUP])  # fmt: skip
    terminal.read_until(b"step ")
    terminal.hang_up()
    assert command.wait().code == 0
    assert losses(text.parent / "runs" / "fox") == losses(unbroken)


def test_the_moving_line_stays_within_80_columns(commands: Commands, text: Path) -> None:
    terminal = Pseudo()
    command = commands.start("train", *RUN, cwd=text.parent, stderr=terminal.path, TERM="xterm")
    said = terminal.read_until(b"finished after")
    assert command.wait().code == 0
    assert b"\r\x1b[2K" in said
    assert all(len(line.split(b"\x1b[2K")[-1]) < 80 for line in (said + terminal.rest()).splitlines())
