"""K1 and K4 of bad-inputs 3.5, in full: trainings killed and signalled at random moments; prints a table and JSON.

`make torture` runs it; `make test` has the small form in tests/training/test_kill.py.
"""

import json
import random
import shutil
import signal
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from regard.files import checkpoints, leftovers

from ..training.commands import TINY, Command, Commands, last_files, log_of, losses

RUN = ("fox.txt", *TINY, "--steps=300", "--checkpoint-every=10", "--evaluate-every=100")
TEXT = "".join(f"The quick brown fox jumps over the lazy dog, and this is line number {n} of it.\n" for n in range(60))
KILLS_OF_ONE, KILLS, SIGNALS = 20, 100, 40


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    made = Commands(tmp_path_factory.mktemp("said"))
    yield made
    made.close()


def place(folder: Path) -> Path:
    folder.mkdir()
    (folder / "fox.txt").write_text(TEXT)
    return folder


@pytest.fixture(scope="module")
def unbroken(commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = place(tmp_path_factory.mktemp("torture") / "unbroken")
    assert commands.run("train", *RUN, cwd=folder).code == 0
    return folder / "runs" / "fox"


def seconds_until(run: Path, step: int) -> float:
    """From the command's start to this step, in the unbroken run."""
    return float(next(line["seconds"] for line in log_of(run) if line.get("step") == step and line["kind"] == "step"))


def lost(run: Path) -> float:
    """Seconds of training after the newest checkpoint, or from the first step on."""
    steps = [line for line in log_of(run) if line["kind"] == "step"] if run.exists() else []
    saved = checkpoints(run)[-1].step if checkpoints(run) else 0
    after = [line["seconds"] for line in steps if line["step"] > saved]
    return max(after) - min(after) if after else 0.0


class Series:
    """Kills of one training after another until there are enough of them."""

    def __init__(self, commands: Commands, unbroken: Path, folder: Path, seed: int) -> None:
        self.commands, self.unbroken, self.folder = commands, unbroken, folder
        self.moments = random.Random(seed)
        self.kills = self.inside = self.resumes = self.mismatches = self.trainings = 0
        self.lost: list[float] = []

    def kill_until(self, kills: int, latest: float) -> None:
        """latest: seconds after its start at which an attempt is killed at the latest."""
        while self.kills < kills:
            self._one_training(kills, latest)

    def _one_training(self, kills: int, latest: float) -> None:
        run = self.folder / "runs" / "fox"
        shutil.rmtree(run.parent, ignore_errors=True)
        self.trainings += 1
        ended = False
        while not ended and self.kills < kills:
            command = self.commands.start("train", *RUN, cwd=self.folder)
            ended = self._killed(command, self.moments.uniform(0.0, latest), run)
        if not ended:
            assert self.commands.run("train", *RUN, cwd=self.folder).code == 0
            self.resumes += 1
        same = last_files(run) == last_files(self.unbroken) and losses(run) == losses(self.unbroken)
        self.mismatches += not same

    def _killed(self, command: Command, moment: float, run: Path) -> bool:
        """Whether it had ended before that moment."""
        if command.ended(moment):
            assert command.wait().code == 0
            return True
        command.kill(signal.SIGKILL)
        assert command.wait().code in (-signal.SIGKILL, 0)
        self.kills += 1
        self.resumes += 1
        self.inside += bool(leftovers(run, "tmp"))
        self.lost.append(lost(run))
        return False

    @property
    def row(self) -> dict[str, Any]:
        return {
            "trainings": self.trainings, "kills": self.kills, "inside a checkpoint": self.inside,
            "resumes": self.resumes, "mismatches": self.mismatches,
            "lost, median s": statistics.median(self.lost), "lost, worst s": max(self.lost),
        }  # fmt: skip


def show(name: str, rows: list[dict[str, Any]]) -> None:
    print(f"\n{name}")
    print("  ".join(f"{key:>20}" for key in rows[0]))
    for row in rows:
        print("  ".join(f"{value:>20.3f}" if isinstance(value, float) else f"{value:>20}" for value in row.values()))
    print(json.dumps({"torture": name, "rows": rows}))


@pytest.mark.timeout(3600)
def test_R1_K1_killed_at_random_it_ends_with_the_same_bits(commands: Commands, unbroken: Path, tmp_path: Path) -> None:
    begun, whole = seconds_until(unbroken, 1), seconds_until(unbroken, 300)
    one = Series(commands, unbroken, place(tmp_path / "one"), seed=1)
    one.kill_until(KILLS_OF_ONE, begun + (whole - begun) / 15)
    assert one.trainings == 1
    many = Series(commands, unbroken, place(tmp_path / "many"), seed=2)
    many.kill_until(KILLS, 1.1 * whole)
    show("K1", [one.row, many.row])
    assert one.mismatches == many.mismatches == 0
    assert one.inside + many.inside > 0  # or the moments prove too little


@pytest.mark.timeout(3600)
def test_R2_K4_signalled_at_random_nothing_is_lost(commands: Commands, unbroken: Path, tmp_path: Path) -> None:
    rows = [signalled(commands, unbroken, place(tmp_path / number.name), number)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]  # fmt: skip
    show("K4", rows)
    assert all(row["checkpoints lost"] == row["other exit codes"] == row["mismatches"] == 0 for row in rows)


def signalled(commands: Commands, unbroken: Path, folder: Path, number: signal.Signals) -> dict[str, Any]:
    """So many signals; after each the training goes on and is signalled again, until it ends, and anew."""
    moments, run = random.Random(int(number)), folder / "runs" / "fox"
    whole = seconds_until(unbroken, 300)
    sent = wrong = gone = mismatches = before = 0
    seconds: list[float] = []
    while sent < SIGNALS:
        command = commands.start("train", *RUN, cwd=folder)
        if command.ended(moments.uniform(0.0, 1.05 * whole)):
            command.wait()
            mismatches += last_files(run) != last_files(unbroken) or losses(run) != losses(unbroken)
            shutil.rmtree(run.parent)
            continue
        sent += 1
        began = time.monotonic()
        command.kill(number)
        code = command.wait().code
        seconds.append(time.monotonic() - began)
        wrong += code not in (-number, 0)  # 0: it had ended in that instant
        steps = losses(run) if run.exists() else []
        before += not steps
        gone += bool(steps) and checkpoints(run)[-1].step != steps[-1][0]
    return {
        "signal": number.name, "sent": sent, "before step 1": before, "other exit codes": wrong,
        "exit, median s": statistics.median(seconds), "exit, worst s": max(seconds), "checkpoints lost": gone,
        "mismatches": mismatches,
    }  # fmt: skip
