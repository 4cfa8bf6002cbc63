"""Writing checkpoints: killed, failed or full at any operation, the invariants of bad-inputs 3.4 hold."""

import errno
import hashlib
import itertools
import os
import resource
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from regard.errors import Notice, RegardError
from regard.files import (
    Lock,
    Log,
    checkpoints,
    commit_checkpoint,
    durable,
    leftovers,
    prune,
    remove_leftovers,
    safetensors_bytes,
    verify,
)
from regard.files import commit as commit_module

FilesOf = Callable[[int], dict[str, durable.Content]]
Forked = Callable[[Callable[[], None]], int]
STEPS = {10: 3.0, 20: 1.0, 30: 2.0}
"""Step: score. Three checkpoints, the last of which prunes the first."""


def steps(run: Path) -> list[int]:
    return [checkpoint.step for checkpoint in checkpoints(run)]


def train(run: Path, files_of: FilesOf, announce: Callable[[int], object], say: Callable[[Notice], None]) -> None:
    """What a run does with its folder: goes on from the newest step."""
    with Lock(run), Log(run / "log.jsonl") as log:
        remove_leftovers(run)
        prune(run)
        done = [0, *steps(run)][-1]
        if done:
            log.resume_from(done)
        for step, score in STEPS.items():
            if step > done:
                log.append({"kind": "step", "step": step, "loss": score})
                if commit_checkpoint(run, step, files_of(step), score, log, say=say):
                    announce(step)


def state(run: Path) -> dict[str, str]:
    """Path -> SHA-256 of all that a finished run keeps, but its log and lock."""
    files = [path for path in run.rglob("*") if path.is_file() and path.name not in ("log.jsonl", ".lock")]
    return {str(path.relative_to(run)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def check(run: Path, announced: list[int]) -> None:
    """I1 to I5 at whatever instant."""
    whole = checkpoints(run)
    found = [checkpoint.step for checkpoint in whole]
    folders = list((run / "ckpt").glob("step-*"))
    assert len(whole) == len(folders), "I2: a folder named step-N is complete"
    assert [verify(checkpoint) for checkpoint in whole] == [None] * len(whole), "I2, I4: and stays as it was"
    assert len(whole) >= min(len(announced), 2), "I1: one after the first commit, two after the second"
    assert not announced or found[-1] >= announced[-1], "I3: an announced checkpoint survives"
    assert (run / "config.json").read_text() == '{"format": 1}', "I4: no earlier file is changed"
    raw = (run / "log.jsonl").read_bytes() if (run / "log.jsonl").exists() else b""
    lines, _ = Log.read(run / "log.jsonl")
    assert len(lines) >= raw.count(b"\n"), "I5: every line but perhaps the last parses"
    logged = {line["step"] for line in lines if line["kind"] == "step"}
    assert set(found) <= logged, "a committed step's losses are never missing"


@pytest.fixture
def unbroken(tmp_path: Path, files_of: FilesOf) -> dict[str, str]:
    run = tmp_path / "unbroken"
    run.mkdir()
    (run / "config.json").write_text('{"format": 1}')
    train(run, files_of, lambda step: None, lambda notice: None)
    assert steps(run) == [20, 30]
    return state(run)


def fresh(run: Path) -> None:
    for path in run.iterdir():
        if path.name != "config.json":
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def test_K2_killed_before_and_after_every_operation(
    run: Path, files_of: FilesOf, forked: Forked, unbroken: dict[str, str]
) -> None:
    trials = 0
    for k in itertools.count(1):
        fresh(run)
        ours, theirs = os.pipe()

        def killed(k: int = k, theirs: int = theirs) -> None:
            seen = itertools.count(1)
            durable.hook = lambda operation, path: os._exit(9) if next(seen) == k else None
            train(run, files_of, lambda step: os.write(theirs, bytes([step])), lambda notice: None)

        ended = forked(killed)
        os.close(theirs)
        announced = list(os.read(ours, 100))
        os.close(ours)
        check(run, announced)
        if ended == 0:
            break
        assert ended == 9
        trials += 1
        said: list[Notice] = []
        train(run, files_of, announced.append, said.append)
        check(run, announced)
        assert state(run) == unbroken, f"killed at operation {k}, the run ended otherwise"
        assert leftovers(run) == []
        assert said == []
    assert trials > 100


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("lasting", [False, True])
def test_R07_R09_every_operation_fails(
    run: Path, files_of: FilesOf, unbroken: dict[str, str], number: int, lasting: bool
) -> None:
    for n in itertools.count(1):
        fresh(run)
        begun: list[str] = []

        def fail(operation: str, path: str, n: int = n, begun: list[str] = begun) -> None:
            if not operation.endswith(" done"):
                begun.append(operation)
                if len(begun) >= n if lasting else len(begun) == n:
                    raise OSError(number, os.strerror(number), path)

        durable.hook = fail
        announced: list[int] = []
        said: list[Notice] = []
        refused = None
        try:
            train(run, files_of, announced.append, said.append)
        except RegardError as error:
            refused = error
        durable.hook = None
        check(run, announced)
        if len(begun) < n:
            break
        assert refused is None or refused.code == 1
        fine = lasting is False and refused is None
        assert len(announced) + len(said) >= (3 if fine else 0)
        train(run, files_of, announced.append, said.append)  # the disk is well again
        check(run, announced)
        assert steps(run)[-1] == 30
    assert n > 50
    assert state(run) == unbroken


def test_R07_a_short_write_is_finished(run: Path, files_of: FilesOf, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: whole(descriptor, data[:11]))
    commit_checkpoint(run, 10, files_of(10), None)
    assert [verify(checkpoint) for checkpoint in checkpoints(run)] == [None]


def test_R07_past_the_limit_for_one_file(run: Path, files_of: FilesOf, forked: Forked) -> None:
    def limited() -> None:
        commit_checkpoint(run, 10, files_of(10), None)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        said: list[Notice] = []
        large = {"model.safetensors": safetensors_bytes({"w": np.zeros(1 << 20, np.float32)})}
        assert commit_checkpoint(run, 20, large, None, say=said.append) is None
        assert "step 20: the file would grow past the limit" in said[0].what
        commit_checkpoint(run, 30, files_of(30), None)

    assert forked(limited) == 0
    assert steps(run) == [10, 30]
    assert leftovers(run) == []


def disk_of(run: Path, capacity: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def free(path: Path) -> int:
        return capacity - sum(file.stat().st_size for file in (run / "ckpt").rglob("*") if file.is_file())

    monkeypatch.setattr(durable, "free_bytes", free)
    monkeypatch.setattr(commit_module, "RESERVE", 100)


def test_R07_no_space_is_said_with_both_figures(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk_of(run, 3000, monkeypatch)
    said: list[Notice] = []
    done = [commit_checkpoint(run, step, {"x": bytes(1000)}, 0.0 - step, say=said.append) for step in (1, 2, 3)]
    assert [path is not None for path in done] == [True, True, False]
    (notice,) = said
    assert notice.what.startswith("checkpoint skipped, step 3: it needs 1,200 bytes, ")
    assert "are missing" in notice.what
    assert (steps(run), leftovers(run)) == ([1, 2], [])


def test_R07_room_is_made_by_pruning_first(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for step in (1, 2):
        commit_checkpoint(run, step, {"x": bytes(1000)}, float(step))
    shutil.copytree(run / "ckpt" / "step-000000001", run / "ckpt" / "copy")
    with monkeypatch.context() as patch:
        patch.setattr(commit_module, "prune", lambda folder: [])
        commit_checkpoint(run, 3, {"x": bytes(1000)}, 3.0)
        commit_checkpoint(run, 4, {"x": bytes(1000)}, 4.0)
    shutil.rmtree(run / "ckpt" / "copy")
    assert steps(run) == [1, 2, 3, 4]
    disk_of(run, 6000, monkeypatch)
    assert commit_checkpoint(run, 5, {"x": bytes(1000)}, 5.0) is not None
    assert steps(run) == [1, 4, 5]


def test_R08_at_the_end_all_but_the_newest_make_way(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for step in (1, 2):
        commit_checkpoint(run, step, {"x": bytes(1000)}, float(step))
    disk_of(run, 2800, monkeypatch)
    assert commit_checkpoint(run, 3, {"x": bytes(1000)}, 3.0, final=True) is not None
    assert steps(run) == [2, 3]
    monkeypatch.undo()
    disk_of(run, 2000, monkeypatch)
    with pytest.raises(RegardError, match=r"are missing; the last good step is 3; free some space") as caught:
        commit_checkpoint(run, 4, {"x": bytes(1000)}, 4.0, final=True)
    assert caught.value.code == 1
    assert (steps(run), leftovers(run)) == ([3], [])


def test_R20_no_spoiled_state_is_kept(run: Path) -> None:
    with pytest.raises(RegardError, match="score nan"):
        commit_checkpoint(run, 1, {"x": b""}, float("nan"))
    assert not (run / "ckpt").exists()


def test_R24_leftovers_are_listed_and_only_the_holder_removes_them(run: Path, files_of: FilesOf) -> None:
    commit_checkpoint(run, 1, files_of(1), None)
    for name in (".tmp-step-000000002-1-ab", ".trash-step-000000000-1-ab", ".bad-step-000000000-1-ab"):
        (run / "ckpt" / name).mkdir()
        (run / "ckpt" / name / "x").write_text("x")
    with pytest.raises(AssertionError):
        remove_leftovers(run)
    said: list[Notice] = []
    with Lock(run):
        assert len(remove_leftovers(run, say=said.append)) == 2
    assert said[0].places == (".tmp-step-000000002-1-ab", ".trash-step-000000000-1-ab")
    assert sorted(os.listdir(run / "ckpt")) == [".bad-step-000000000-1-ab", "step-000000001"]


def test_the_best_and_the_newest_two_are_kept(run: Path, files_of: FilesOf) -> None:
    for step, score in ((1, 5.0), (2, 1.0), (3, 4.0), (4, 3.0), (5, None)):
        commit_checkpoint(run, step, files_of(step), score)
    assert steps(run) == [2, 4, 5]
    assert prune(run) == []
    assert sorted(os.listdir(run / "ckpt")) == ["step-000000002", "step-000000004", "step-000000005"]


def test_I2_a_pruned_name_is_gone_from_the_disk_before_its_files_are(run: Path, files_of: FilesOf) -> None:
    for step in (1, 2):
        commit_checkpoint(run, step, files_of(step), None)
    done: list[str] = []
    durable.hook = lambda operation, path: done.append(operation) if operation.endswith(" done") else None
    prune(run, newest=1, best=False)
    assert done == ["rename done", "fsync folder done", *["remove done"] * 3, "rmdir done"]


def test_a_step_that_is_whole_is_kept_and_a_damaged_one_replaced(run: Path, files_of: FilesOf) -> None:
    path = commit_checkpoint(run, 1, files_of(1), 1.0)
    assert path is not None
    before = path.stat().st_ino
    assert commit_checkpoint(run, 1, files_of(1), 2.0) == path
    assert path.stat().st_ino == before
    (path / "state.json").write_text('{"step": 2}')
    assert commit_checkpoint(run, 1, files_of(1), 1.0) == path
    assert [verify(checkpoint) for checkpoint in checkpoints(run)] == [None]
    assert len(leftovers(run, "bad")) == 1


def test_what_reads_back_otherwise_is_no_checkpoint(run: Path, files_of: FilesOf) -> None:
    commit_checkpoint(run, 1, files_of(1), 1.0)
    said: list[Notice] = []
    bad = {"model.safetensors": b"no header"}
    assert commit_checkpoint(run, 2, bad, 1.0, say=said.append) is None
    assert "step-000000002/model.safetensors" in said[0].what
    assert steps(run) == [1]


def test_a_fault_of_the_caller_leaves_nothing(run: Path) -> None:
    def broken(file: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        commit_checkpoint(run, 1, {"x": broken}, None)
    assert os.listdir(run / "ckpt") == []


def recorded(run: Path, files_of: FilesOf) -> list[tuple[str, str]]:
    """The operations of one checkpoint, in the order in which they were done, and "announced" at the end."""
    done = []

    def record(operation: str, path: str) -> None:
        if operation.endswith(" done"):
            done.append((operation.removesuffix(" done"), path))

    with Log(run / "log.jsonl") as log:
        log.append({"kind": "step", "step": 10})
        durable.hook = record
        commit_checkpoint(run, 10, files_of(10), 1.0, log)
        durable.hook = None
    return [*done, ("announced", "")]


def breaches(done: list[tuple[str, str]], run: Path) -> list[str]:
    """Which of the protocol's orders these operations break."""
    commit = next(n for n, (operation, _) in enumerate(done) if operation == "rename")
    staging, target = done[commit][1].split(" -> ")
    wrong = []
    for name in ("model.safetensors", "state.json", "COMMIT.json"):
        path = f"{staging}/{name}"
        writes = [n for n, entry in enumerate(done) if entry == ("write", path)]
        syncs = [n for n, entry in enumerate(done) if entry == ("fsync", path)]
        if not writes or not any(writes[-1] < n < commit for n in syncs):
            wrong.append(f"{name} is not fsynced between its last write and the commit")
    opened = [path for operation, path in done if operation == "open"]
    if not opened or not opened[-1].endswith("/COMMIT.json"):
        wrong.append("COMMIT.json is not the last file")
    folder = [n for n, entry in enumerate(done) if entry == ("fsync folder", staging)]
    last = max(
        (n for n, (operation, path) in enumerate(done) if operation == "open" and path.startswith(staging)), default=0
    )
    if not any(last < n < commit for n in folder):
        wrong.append("the staging folder is not fsynced before the commit")
    if not any(entry == ("fsync", str(run / "log.jsonl")) for entry in done[:commit]):
        wrong.append("the log is not fsynced before the commit")
    after = next(
        (n for n, entry in enumerate(done[commit:]) if entry == ("fsync folder", str(Path(target).parent))), None
    )
    logged = next((n for n, (_, path) in enumerate(done[commit:]) if path.endswith("log.jsonl")), None)
    if after is None or logged is None or logged < after:
        wrong.append("ckpt/ is not fsynced between the commit and its announcement")
    return wrong


def test_R01_every_operation_is_in_the_protocols_order(run: Path, files_of: FilesOf) -> None:
    assert breaches(recorded(run, files_of), run) == []


MUTANTS: dict[str, tuple[str, Callable[[pytest.MonkeyPatch], None]]] = {
    "no fsync of files": ("state.json is not fsynced", lambda patch: patch.setattr(durable, "sync", lambda d, p: None)),
    "no fsync of folders": (
        "staging folder is not fsynced",
        lambda patch: patch.setattr(durable, "sync_folder", lambda path: None),
    ),
    "no fsync of the log": ("the log is not fsynced", lambda patch: patch.setattr(Log, "sync", lambda log: None)),
    "no COMMIT": ("COMMIT.json is not the last", lambda patch: patch.setattr(durable, "create", _without_commit)),
}
_create = durable.create


def _without_commit(path: Path, content: durable.Content) -> durable.Written:
    return durable.Written(0, "") if path.name == "COMMIT.json" else _create(path, content)


@pytest.mark.parametrize("mutant", MUTANTS)
def test_R01_a_mutant_is_noticed(run: Path, files_of: FilesOf, monkeypatch: pytest.MonkeyPatch, mutant: str) -> None:
    said, mutate = MUTANTS[mutant]
    mutate(monkeypatch)
    assert any(said in breach for breach in breaches(recorded(run, files_of), run))
