"""A distillation that was killed or runs on two ranks: teacher, centre and steps go on as if nothing had happened."""

import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from regard.files import checkpoints, read_safetensors

from .commands import Commands, last_files, log_of, losses
from .test_kill import at_the_moment
from .test_ranks import run as run_two

RUN = ("photos", "--task=distillation", "--steps=24", "--checkpoint-every=8", "--evaluate-every=12", "--width=32",
       "--layers=1", "--batch=6", "--micro-batch=3", "--prototypes=32", "--local-crops=1")  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """72 pictures without labels in photos/."""
    folder = tmp_path_factory.mktemp("unlabelled")
    (folder / "photos").mkdir()
    for number in range(72):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).save(folder / "photos" / f"{number:02}.png")
    return folder


@pytest.fixture(scope="module")
def unbroken(commands: Commands, folder: Path) -> Path:
    done = commands.run("train", *RUN, "--out=unbroken", cwd=folder)
    assert done.code == 0, done.err
    return folder / "unbroken"


def test_R1_a_killed_distillation_ends_with_the_same_bits(commands: Commands, folder: Path, unbroken: Path) -> None:
    script = at_the_moment(folder, "regard.training.loop.Learner", "_gradients", 13, signal.SIGKILL)
    assert commands.run("train", *RUN, "--out=killed", cwd=folder, script=script).code == -signal.SIGKILL
    assert checkpoints(folder / "killed")[-1].step == 8
    assert commands.run("train", *RUN, "--out=killed", cwd=folder).code == 0
    assert last_files(folder / "killed") == last_files(unbroken)
    assert losses(folder / "killed") == losses(unbroken)
    figures = [[(line["entropy"], line["between"]) for line in log_of(run) if line["kind"] == "evaluation"]
               for run in (folder / "killed", unbroken)]  # fmt: skip
    assert figures[0] == figures[1]


def test_the_cache_is_made_again_and_the_same(commands: Commands, folder: Path, unbroken: Path) -> None:
    shutil.copytree(unbroken, folder / "longer")
    (folder / "longer" / "cache" / "pictures.json").unlink()
    assert commands.run("train", "--resume", "longer", "--steps=26", cwd=folder).code == 0
    assert losses(folder / "longer")[:24] == losses(unbroken)


def test_two_ranks_keep_one_centre(commands: Commands, folder: Path) -> None:
    for done in run_two(commands, "train", *RUN, "--out=two", cwd=folder):
        assert done.code == 0, done.err
    weights, _ = read_safetensors(checkpoints(folder / "two")[-1].path / "model.safetensors")
    assert float(weights["steps"].array) == 24
    assert 0 < float(abs(weights["centre"].array).max()) < 1
    seen = [line["loss"] for line in log_of(folder / "two") if line["kind"] == "step"]
    assert len(seen) == 24
    assert np.isfinite(seen).all()
