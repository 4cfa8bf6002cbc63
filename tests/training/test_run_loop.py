"""Around the loop: one writer, a place that can be written, time, spoiled batches, readers meanwhile (R5 to R23)."""

import json
import math
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import regard
from regard.errors import RegardError
from regard.files import checkpoints, newest, read_safetensors
from regard.tasks import classification, linear
from regard.training.loop import Clock, Learner
from regard.training.run_loop import Training

from ..conftest import Call
from .commands import TINY, Commands, log_of, losses
from .test_kill import at_the_moment

RUN = ("fox.txt", *TINY, "--steps=30", "--checkpoint-every=10", "--evaluate-every=15")


def waiting(folder: Path, place: str, name: str, call: int) -> tuple[Path, Path, Path]:
    """A script that, at that call, writes into the first pipe and then waits for the second."""
    pipes = folder / "begun", folder / "go"
    for pipe in pipes:
        os.mkfifo(pipe)
    script = at_the_moment(folder, place, name, call, 0)
    wait = f"open({str(pipes[0])!r}, 'w').close(); open({str(pipes[1])!r}).close()"
    script.write_text(script.read_text().replace("os.kill(os.getpid(), 0)", wait))
    return script, *pipes


def test_R5_a_second_writer_is_refused_naming_the_first(commands: Commands, text: Path) -> None:
    script, begun, go = waiting(text.parent, "regard.training.loop.Learner", "_gradients", 15)
    first = commands.start("train", *RUN, cwd=text.parent, script=script)
    begun.read_bytes()
    for command in (RUN, ("--resume=runs/fox",), (*RUN, "--out=runs/fox")):
        refused = commands.run("train", *command, cwd=text.parent)
        assert refused.code == 2
        assert f"process {first.pid} on {os.uname().nodename}, started 20" in refused.sentence
        assert "is writing to this run" in refused.sentence
    go.write_bytes(b"")
    assert first.wait().code == 0
    assert [step for step, *_ in losses(text.parent / "runs" / "fox")] == list(range(1, 31))


def test_R5_of_two_at_once_one_trains(commands: Commands, text: Path) -> None:
    both = [commands.start("train", *RUN, cwd=text.parent) for _ in range(2)]
    codes = sorted(command.wait().code for command in both)
    run = text.parent / "runs" / "fox"
    assert codes in ([0, 2], [0, 0])  # the second may come when the first has finished
    assert [line["kind"] for line in log_of(run)].count("start") == 1
    assert os.listdir(run.parent) == ["fox"]


def test_R6_orphans_of_a_killed_training_hold_no_lock(commands: Commands, text: Path) -> None:
    script = at_the_moment(text.parent, "regard.training.loop.Learner", "_gradients", 15, signal.SIGKILL)
    children = """if count == 15:
        import subprocess
        print(subprocess.Popen(["sleep", "100"], close_fds=False).pid, flush=True)
        orphan = os.fork()
        if orphan == 0:
            import signal
            signal.pause()
        print(orphan, flush=True)
"""
    script.write_text(script.read_text().replace("if count == 15:\n", children))
    killed = commands.run("train", *RUN, cwd=text.parent, script=script)
    orphans = [int(pid) for pid in killed.out.split()]
    assert (killed.code, len(orphans)) == (-signal.SIGKILL, 2)
    try:
        began = time.monotonic()
        assert commands.run("train", *RUN, cwd=text.parent).code == 0
        assert time.monotonic() - began < 5 + 2 * log_of(text.parent / "runs" / "fox")[-1]["seconds"]
    finally:
        for orphan in orphans:
            os.kill(orphan, signal.SIGKILL)


def test_R6_a_file_system_without_locks_needs_a_word(call: Call, text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cannot(descriptor: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("regard.files.lock._flock", cannot)
    refused = call("train", *RUN)
    assert (refused.code, "--no-lock" in refused.sentence) == (2, True)
    assert os.listdir(text.parent) == ["fox.txt"]
    assert call("train", *RUN, "--no-lock").code == 0


@pytest.mark.parametrize("name", ["con", "aux.txt", "run.", "x" * 300, "fox.txt", "fox.txt/run"])
def test_R10_a_place_that_cannot_be_is_refused_before_data_are_read(name: str, call: Call, text: Path) -> None:
    text.write_bytes(b"\x1f\x8b no text")
    refused = call("train", "fox.txt", *TINY, "--steps=1", "--out", name)
    assert refused.code == 2
    assert "gzip" not in refused.sentence
    assert os.listdir(text.parent) == ["fox.txt"]
    assert "gzip" in call("train", "fox.txt", *TINY, "--steps=1").sentence


def test_R10_a_folder_that_may_not_be_written(commands: Commands, text: Path) -> None:
    folder = Path(tempfile.mkdtemp())
    script = text.parent / "nobody.py"
    script.write_text("import os\nif os.getuid() == 0:\n    os.setuid(65534)\nimport regard.cli\nregard.cli.main()\n")
    text.write_bytes(b"\x1f\x8b no text")
    try:
        folder.chmod(0o555)
        for out in ([], ["--out=run"]):
            refused = commands.run("train", text, *TINY, "--steps=1", *out, cwd=folder, script=script)
            assert (refused.code, "you may not write" in refused.sentence) == (2, True)
        assert os.listdir(folder) == []
    finally:
        shutil.rmtree(folder)


YEAR = 365 * 86400.0


@pytest.fixture
def begun_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command begins with the test, not with its import; and while the machine does others' work, time stands."""
    monkeypatch.setattr("regard.cli.BEGAN", time.process_time())
    monkeypatch.setattr(time, "monotonic", time.process_time)
    defaults: dict[str, Any] = Clock.__init__.__kwdefaults__ or {}
    monkeypatch.setitem(defaults, "now", time.process_time)


@pytest.mark.parametrize("jump", [-YEAR, YEAR])
@pytest.mark.usefixtures("begun_now")
def test_R18_the_wall_clock_has_no_say(jump: float, call: Call, text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It jumps with every look at it."""
    now = [time.time()]

    def wall() -> float:
        now[0] += jump
        return now[0]

    monkeypatch.setattr(time, "time", wall)
    done = call("train", "fox.txt", *TINY, "--minutes=0.05", "--evaluate-every=20", "--checkpoint-every=20")
    assert done.code == 0
    lines = log_of(text.parent / "runs" / "fox")
    steps = [line for line in lines if line["kind"] == "step"]
    assert [line["step"] for line in steps] == list(range(1, len(steps) + 1))
    seconds = [line["seconds"] for line in steps]
    assert seconds == sorted(seconds)
    assert 0 < seconds[0] < seconds[-1] < 10
    assert len(steps) > 5
    assert all(line["tokens_per_second"] > 0 for line in lines if line["kind"] in ("evaluation", "finished"))


def test_R18_stopped_time_counts() -> None:
    now = [100.0]
    clock = Clock(seconds=60.0, used=5.0, now=lambda: now[0])
    assert clock.progress(0) == pytest.approx(5 / 60)
    now[0] += 30.0  # Ctrl-Z, and fg half a minute later
    assert clock.used == 35.0
    assert clock.progress(0) == pytest.approx(35 / 60)
    assert Clock(steps=40, now=lambda: now[0]).progress(10) == 0.25
    assert Clock(seconds=-1.0).progress(0) == 1.0


@pytest.mark.usefixtures("begun_now")
def test_R19_too_few_minutes_make_one_step_one_score_one_checkpoint(call: Call, text: Path) -> None:
    done = call("train", "fox.txt", *TINY, "--minutes=0.001")
    run = text.parent / "runs" / "fox"
    lines = log_of(run)
    over = lines[-1]["seconds"] > 1.05 * 0.06
    assert (done.code, "more than given" in done.err) == (0, over)
    assert [line["step"] for line in lines if line["kind"] == "step"] == [1]
    assert [c.step for c in checkpoints(run)] == [1]
    assert math.isfinite(lines[-1]["scores"]["nats_per_token"])


@pytest.mark.usefixtures("begun_now")
def test_minutes_end_on_time(call: Call, text: Path) -> None:
    done = call("train", "fox.txt", *TINY, "--minutes=0.1")
    assert done.code == 0
    used = log_of(text.parent / "runs" / "fox")[-1]["seconds"]
    assert used <= 1.05 * 6.0
    assert used > 0.5 * 6.0
    assert len(losses(text.parent / "runs" / "fox")) > 20


@pytest.mark.parametrize(("left", "score", "loop"), [(100.0, 10.0, 90.0), (100.0, 80.0, 50.0), (10.0, 80.0, -20.0)])
def test_R19_the_score_may_not_take_the_time_to_train(left: float, score: float, loop: float) -> None:
    training = Training.__new__(Training)
    training.minutes, training.before, training.score_seconds, training.save_seconds = (20 + left) / 60, 20, score, 0.0
    assert training._loop_seconds() == pytest.approx(20 + loop)


def test_a_way_that_does_not_fit_leaves_no_run(call: Call, text: Path) -> None:
    shape = ("--steps=2", "--width=32", "--layers=1", "--heads=4", "--key-value-heads=2")
    refused = call("train", "fox.txt", *shape, "--attention=written")
    assert (refused.code, "--attention" in refused.sentence) == (2, True)
    assert not (text.parent / "runs").exists()
    assert call("train", "fox.txt", *shape, "--attention=unfused").code == 0


def test_a_new_run_beside_another_says_why(call: Call, text: Path) -> None:
    assert call("train", "fox.txt", *TINY, "--steps=2").code == 0
    beside = call("train", "fox.txt", *TINY, "--steps=3")
    assert "other data or settings: this is a new one" in beside.err
    assert "is finished already: nothing is trained" in call("train", "fox.txt", *TINY, "--steps=3").err


def finite(folder: Path) -> bool:
    found = newest(folder)
    assert found is not None
    names = [name for name in found.files if name.endswith(".safetensors")]
    tensors = [one.array for name in names for one in read_safetensors(found.path / name)[0].values()]
    return all(np.isfinite(array).all() for array in tensors)


@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_R20_a_poisoned_batch_stops_before_the_step(
    poison: float, call: Call, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from regard.tasks.language import Language

    loss, seen = Language.loss, [0]

    def poisoned(self: Language, model: torch.nn.Module, batch: Any, average: torch.nn.Module) -> Any:
        seen[0] += 1
        total, count = loss(self, model, batch, average)
        return (total * poison if seen[0] == 25 else total), count

    monkeypatch.setattr(Language, "loss", poisoned)
    done = call("train", *RUN)
    run = text.parent / "runs" / "fox"
    assert done.code == 1
    assert done.sentence.startswith("step 25: the loss is ")
    assert done.sentence.endswith("the last good checkpoint is of step 20")
    assert losses(run)[-1][0] == 24
    assert checkpoints(run)[-1].step == 20
    assert finite(run)
    monkeypatch.undo()
    monkeypatch.chdir(text.parent)
    assert call("train", *RUN).code == 0
    assert losses(run)[-1][0] == 30


def test_R20_a_learning_rate_of_a_milliard_never_spoils_what_is_saved(call: Call, text: Path) -> None:
    options = ("--learning-rate=1e9", "--table-learning-rate=1e9", "--warm-up=1", "--checkpoint-every=1")
    done = call("train", "fox.txt", *TINY, "--steps=30", *options)
    run = text.parent / "runs" / "fox"
    assert done.code == 1
    assert done.sentence.startswith("step ")
    assert f"the last good checkpoint is of step {checkpoints(run)[-1].step}" in done.sentence
    assert finite(run)


def test_R20_weights_that_overflow_are_not_saved(call: Call, text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Learner.step

    def overflowing(self: Learner, number: int, progress: float) -> Any:
        made = step(self, number, progress)
        if number == 20:
            next(iter(self.model.parameters())).data[0, 0] = math.inf
        return made

    monkeypatch.setattr(Learner, "step", overflowing)
    done = call("train", *RUN)
    run = text.parent / "runs" / "fox"
    assert done.code == 1
    assert done.sentence.startswith("step 20: weights became infinite")
    assert [c.step for c in checkpoints(run)] == [10]


def test_R23_readers_see_one_whole_checkpoint_while_it_trains(commands: Commands, text: Path) -> None:
    """Two hundred reads during rapid checkpoints; each reader's weights are those of one step."""
    options = ("--steps=1000000", "--checkpoint-every=1", "--evaluate-every=1000000")
    training = commands.start("train", "fox.txt", *TINY[:2], "--context=16", "--batch=1", *options, cwd=text.parent)
    run = text.parent / "runs" / "fox"
    try:
        while not (run.is_dir() and checkpoints(run)):
            assert not training.ended(0.02)
        seen = set()
        for k in range(200):
            loaded = regard.load(run)
            if k % 2:
                known = loaded.info()
                assert known["state"] == "unfinished"
                assert known["checkpoints"]
            else:
                seen.add(loaded.logits([1, 2, 3]).tobytes())
        assert len(seen) > 10  # or it would prove nothing
        assert not training.ended(0.001)
    finally:
        training.kill(signal.SIGKILL)
        training.wait()


@pytest.fixture
def two_documents(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    rows = [{"text": f"Row {n} tells of the sea, of ships and of number {n * n}."} for n in range(80)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_best_checkpoint_is_the_one_that_answers(call: Call, text: Path) -> None:
    """Contract 6: scored on a slice of the training part; predict and eval read the best, resuming the last."""
    done = call("train", "fox.txt", *TINY, "--steps=60", "--monitor=0.2", "--checkpoint-every=10", "--learning-rate=3")
    run = text.parent / "runs" / "fox"
    assert done.code == 0
    scores = {line["step"]: line["score"] for line in log_of(run) if line["kind"] == "checkpoint"}
    assert len(scores) == 6
    best = min(scores, key=lambda step: (scores[step], -step))
    kept = {c.step: c for c in checkpoints(run)}
    assert set(kept) == {best, 50, 60}
    stored = read_safetensors(kept[best].path / "model.safetensors")[0]
    model = regard.load(run).model
    for name, parameter in model.named_parameters():
        np.testing.assert_array_equal(parameter.numpy(), stored[name].array)
    end = log_of(run)[-1]["scores"]
    again = regard.load(run).evaluate()
    assert again["nats_per_token"] == pytest.approx(end["nats_per_token"], rel=1e-6)
    assert again["baselines"] == end["baselines"]
    if best != 60:
        assert f"of step {best}, are not used" in done.err


def test_many_documents_train_side_by_side(call: Call, two_documents: Path) -> None:
    done = call("train", two_documents, *TINY, "--steps=5")
    assert done.code == 0


def test_the_device_is_refused_in_python_too(text: Path) -> None:
    with pytest.raises(RegardError, match="--device"):
        regard.train(text, steps=1, device="tpu", quiet=True)


def test_the_linear_answer_is_found_after_the_first_step_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the seconds which it takes are the training's, and the end does not come late."""
    rng, out, found = np.random.default_rng(0), tmp_path / "run", list[int]()
    pictures, labels = rng.integers(0, 256, (200, 8, 8, 1), np.uint8), np.arange(200) % 2
    np.savez(tmp_path / "some.npz", x_train=pictures, y_train=labels, x_test=pictures[::3], y_test=labels[::3])

    def fit(*given: Any) -> Any:
        found.append(sum(line["kind"] == "step" for line in log_of(out)))
        return linear.fit(*given)

    monkeypatch.setattr(classification, "fit", fit)
    regard.train(tmp_path / "some.npz", out=out, minutes=0.05, width=16, layers=1, batch=8, quiet=True)
    assert found == [1]
    assert sum(line["kind"] == "step" for line in log_of(out)) > 1
