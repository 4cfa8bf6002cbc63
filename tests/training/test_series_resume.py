"""A training on a series that was killed goes on with the same bits, and its table may be gone."""

import signal
from pathlib import Path

import pytest

from regard.data import waves
from regard.files import checkpoints

from .commands import Commands, last_files, log_of, losses
from .test_kill import at_the_moment
from .test_ranks import run as run_two

RUN = ("waves.csv", "--steps=18", "--checkpoint-every=6", "--evaluate-every=9", "--width=16", "--layers=1",
       "--micro-batch=5")  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "waves.csv").write_text(waves.table_of(waves.waves(600, 1)))
    return tmp_path


def test_R1_a_killed_training_on_a_series_ends_with_the_same_bits(commands: Commands, folder: Path) -> None:
    unbroken = commands.run("train", *RUN, "--dropout=0.1", "--out=unbroken", cwd=folder)
    assert unbroken.code == 0, unbroken.err
    script = at_the_moment(folder, "regard.training.loop.Learner", "_gradients", 10, signal.SIGKILL)
    assert (
        commands.run("train", *RUN, "--dropout=0.1", "--out=killed", cwd=folder, script=script).code == -signal.SIGKILL
    )
    assert checkpoints(folder / "killed")[-1].step == 6
    (folder / "waves.csv").unlink()
    done = commands.run("train", "--resume", "killed", cwd=folder)
    assert done.code == 0, done.err
    assert last_files(folder / "killed") == last_files(folder / "unbroken")
    assert losses(folder / "killed") == losses(folder / "unbroken")


def test_two_ranks_score_every_patch_once(commands: Commands, folder: Path) -> None:
    alone = commands.run("train", *RUN, "--dropout=0", "--out=alone", cwd=folder)
    assert alone.code == 0, alone.err
    for done in run_two(commands, "train", *RUN, "--dropout=0", "--out=two", cwd=folder):
        assert done.code == 0, done.err
    one, two = (log_of(folder / name)[-1]["scores"] for name in ("alone", "two"))
    assert two["patches"] == one["patches"] == 7
    assert two["baselines"] == one["baselines"]
    assert two["mae"] == pytest.approx(one["mae"], rel=1e-2)
