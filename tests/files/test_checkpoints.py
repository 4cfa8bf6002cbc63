"""Reading checkpoints: the newest whole one, what is damaged said and kept, and no mixture while another writes."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from regard.errors import Notice, RegardError
from regard.files import (
    Checkpoint,
    Lock,
    best,
    checkpoints,
    commit_checkpoint,
    leftovers,
    newest,
    read_checkpoint,
    read_safetensors,
    set_aside_damaged,
    verify,
)
from regard.files.checkpoints import _sealed
from regard.files.durable import Content

FilesOf = Callable[[int], dict[str, Content]]
NAMES = ["COMMIT.json", "model.safetensors", "state.json"]


@pytest.fixture
def two(run: Path, files_of: FilesOf) -> Path:
    for step in (10, 20):
        commit_checkpoint(run, step, files_of(step), 1 / step)
    return run


def steps(run: Path) -> list[int]:
    return [checkpoint.step for checkpoint in checkpoints(run)]


def flip(path: Path, at: int, bit: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1 << bit
    path.write_bytes(raw)


def spoil(path: Path, how: str) -> None:
    if how == "flip":
        flip(path, path.stat().st_size // 2, 3)
    elif how == "delete":
        path.unlink()
    else:
        os.truncate(path, path.stat().st_size - 1)


def test_nothing_yet(run: Path) -> None:
    assert (checkpoints(run), newest(run), best(run), leftovers(run)) == ([], None, None, [])
    with pytest.raises(RegardError, match="no checkpoint yet"):
        read_checkpoint(run, lambda checkpoint: None)


def test_best_is_the_lowest_score_else_the_last(run: Path, files_of: FilesOf) -> None:
    for step, score in ((1, 3.0), (2, None), (3, 2.0), (4, None)):
        commit_checkpoint(run, step, files_of(step), score)
    found, last = best(run), newest(run)
    assert found is not None
    assert last is not None
    assert (found.step, found.score, last.step) == (3, 2.0, 4)
    for path in (run / "ckpt").glob("*3"):
        path.rename(run / "ckpt" / "elsewhere")
    found = best(run)
    assert found is not None
    assert found.step == 4  # without scores the last


@pytest.mark.parametrize("how", ["flip", "delete", "truncate"])
@pytest.mark.parametrize("name", NAMES)
def test_R12_a_damaged_newest_is_said_kept_and_passed_over(two: Path, name: str, how: str) -> None:
    spoil(two / "ckpt" / "step-000000020" / name, how)
    said: list[Notice] = []
    found = newest(two, digests=True, say=said.append)
    assert found is not None
    assert found.step == 10
    assert len(said) == 1
    assert f"step-000000020/{name} " in said[0].places[0]
    assert sorted(os.listdir(two / "ckpt")) == ["step-000000010", "step-000000020"]  # a reader renames nothing
    with Lock(two):
        (moved,) = set_aside_damaged(two, say=said.append)
    assert moved.name.startswith(".bad-step-000000020-")
    assert moved.name in said[1].places[0]
    assert steps(two) == [10]
    assert newest(two, digests=True, say=said.append) == found
    assert len(said) == 2


def test_R12_every_bit_of_the_commit_counts(two: Path) -> None:
    commit = two / "ckpt" / "step-000000020" / "COMMIT.json"
    raw = commit.read_bytes()
    for at in range(len(raw)):
        flip(commit, at, at % 8)
        assert steps(two) == [10]
        commit.write_bytes(raw)
    assert steps(two) == [10, 20]


def test_R12_only_the_holder_of_the_lock_renames(two: Path) -> None:
    with pytest.raises(AssertionError):
        set_aside_damaged(two)


def test_R13_all_damaged_are_listed_and_nothing_is_removed(two: Path) -> None:
    for step, name in (("step-000000010", "COMMIT.json"), ("step-000000020", "state.json")):
        spoil(two / "ckpt" / step / name, "truncate")
    before = sorted(two.rglob("*"))
    with Lock(two):
        assert set_aside_damaged(two) == []
    for read in (newest, best):
        with pytest.raises(RegardError) as caught:
            read(two)
        assert "step-000000020/state.json" in caught.value.what
        assert "step-000000010/COMMIT.json" in caught.value.what
        assert "--fresh" in str(caught.value)
    assert sorted(two.rglob("*")) == sorted([*before, two / ".lock"])


def test_R13_one_that_was_set_aside_alone_is_not_forgotten(run: Path, files_of: FilesOf) -> None:
    path = commit_checkpoint(run, 10, files_of(10), None)
    assert path is not None
    path.rename(path.with_name(".bad-step-000000010-1-ab"))
    with pytest.raises(RegardError, match=r"\.bad-step-000000010-1-ab"):
        newest(run)


def test_verify_says_what_the_sizes_cannot(two: Path) -> None:
    last = checkpoints(two)[-1]
    assert verify(last) is None
    spoil(last.path / "model.safetensors", "flip")
    assert newest(two) == last  # readers look at sizes
    assert verify(last) == "step-000000020/model.safetensors has other content than was committed (SHA-256)"


def sealed(path: Path, **changes: object) -> None:
    said = json.loads(path.read_text()) | changes
    path.write_bytes(_sealed({key: value for key, value in said.items() if key != "sha256"}))


def test_M16_a_newer_format_is_refused_by_name(two: Path) -> None:
    sealed(two / "ckpt" / "step-000000020" / "COMMIT.json", format=2)
    with pytest.raises(RegardError, match="a newer regard wrote it"):
        newest(two)


@pytest.mark.parametrize(
    "changes",
    [
        {"step": 10},
        {"step": "20"},
        {"step": True},
        {"score": "low"},
        {"score": float("nan")},
        {"score": 10**400},
        {"files": {"../../config.json": {"size": 13, "sha256": ""}}},
        {"files": {"/etc/passwd": {"size": 1, "sha256": ""}}},
        {"files": {"state.json": {"size": "x", "sha256": ""}}},
        {"files": {"state.json": 3}},
        {"files": []},
        {"format": None, "files": None},
    ],
)
def test_a_sealed_commit_of_a_stranger_is_checked_too(two: Path, changes: dict[str, object]) -> None:
    sealed(two / "ckpt" / "step-000000020" / "COMMIT.json", **changes)
    assert steps(two) == [10]


def test_links_and_pipes_in_a_checkpoint_are_damage(two: Path) -> None:
    folder = two / "ckpt" / "step-000000020"
    (folder / "state.json").unlink()
    (folder / "state.json").symlink_to(two / "ckpt" / "step-000000010" / "state.json")
    assert steps(two) == [10]
    (folder / "COMMIT.json").unlink()
    os.mkfifo(folder / "COMMIT.json")
    assert steps(two) == [10]


def test_a_reader_takes_nothing_unfinished(two: Path) -> None:
    for name in (".tmp-step-000000030-1-ab", ".trash-step-000000030-1-ab", "step-30", "step-x"):
        (two / "ckpt" / "step-000000020").rename(two / "ckpt" / name)
        assert steps(two) == [10]
        (two / "ckpt" / name).rename(two / "ckpt" / "step-000000020")


def test_R23_two_hundred_reads_during_rapid_checkpoints(run: Path, files_of: FilesOf) -> None:
    commit_checkpoint(run, 1, files_of(1), 1.0)
    writer = os.fork()
    if writer == 0:
        for step in range(2, 1_000_000):
            commit_checkpoint(run, step, files_of(step), float(-step % 7))

    def load(checkpoint: Checkpoint) -> int:
        tensors, metadata = read_safetensors(checkpoint.path / "model.safetensors")
        state = json.loads((checkpoint.path / "state.json").read_text())
        assert {checkpoint.step, int(metadata["step"]), state["step"], *tensors["weight"].array.flat} == {
            checkpoint.step
        }
        return checkpoint.step

    try:
        said: list[Notice] = []
        last = [read_checkpoint(run, load, "newest", digests=True, say=said.append) for _ in range(100)]
        seen = [read_checkpoint(run, load, "best", say=said.append) for _ in range(100)]
        assert last == sorted(last)  # the newest step never goes back
        assert len(set(last)) > 3
        assert seen
        assert said == []
        assert os.waitpid(writer, os.WNOHANG) == (0, 0)
    finally:
        os.kill(writer, signal.SIGKILL)
        os.waitpid(writer, 0)


def test_R23_a_checkpoint_that_vanishes_while_it_is_read(run: Path, files_of: FilesOf) -> None:
    for step in (1, 2):
        commit_checkpoint(run, step, files_of(step), float(step))
    tried = []

    def load(checkpoint: Checkpoint) -> str:
        tried.append(checkpoint.step)
        if checkpoint.step == 1:
            checkpoint.path.rename(checkpoint.path.with_name(".trash-1"))
        return (checkpoint.path / "state.json").read_text()

    assert read_checkpoint(run, load) == '{"step": 2}'
    assert tried == [1, 2]


def test_an_error_over_a_checkpoint_that_is_there_is_the_callers(two: Path) -> None:
    def load(checkpoint: Checkpoint) -> None:
        raise ValueError("a shape does not fit")

    with pytest.raises(ValueError, match="shape"):
        read_checkpoint(two, load)
