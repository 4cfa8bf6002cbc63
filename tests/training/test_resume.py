"""Going on: damaged checkpoints, torn logs, other data or settings, longer and finished runs (R11 to R16, R24)."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from regard.files import checkpoints, leftovers
from regard.training.settings import SETTINGS, Setting

from ..conftest import Call
from .commands import TINY, Commands, last_files, log_of, losses
from .test_kill import at_the_moment

RUN = ("fox.txt", *TINY, "--steps=30", "--checkpoint-every=10", "--evaluate-every=15", "--out=run")


@pytest.fixture(scope="module")
def unbroken(commands: Commands, fox: Path) -> Path:
    assert commands.run("train", *RUN[:-1], "--out=unbroken", cwd=fox).code == 0
    return fox / "unbroken"


@pytest.fixture(scope="module")
def killed(commands: Commands, fox: Path) -> Path:
    """Its checkpoints are of steps 10 and 20, its log goes on to step 24."""
    script = at_the_moment(fox, "regard.training.loop.Learner", "_gradients", 25, signal.SIGKILL)
    assert commands.run("train", *RUN[:-1], "--out=killed", cwd=fox, script=script).code == -signal.SIGKILL
    return fox / "killed"


@pytest.fixture
def run(killed: Path, text: Path) -> Path:
    """A copy of the killed run, beside the same text; `call` works there."""
    shutil.copytree(killed, text.parent / "run")
    return text.parent / "run"


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def ends_the_same(run: Path, unbroken: Path) -> bool:
    return last_files(run) == last_files(unbroken) and losses(run) == losses(unbroken)


def flip(path: Path, bit: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[bit // 8 % len(raw)] ^= 1 << bit % 8
    path.write_bytes(raw)


def test_R1_the_killed_run_goes_on(call: Call, run: Path, unbroken: Path) -> None:
    done = call("train", *RUN)
    assert (done.code, "goes on after step 20" in done.err) == (0, True)
    assert ends_the_same(run, unbroken)


def test_R1_killed_before_the_first_checkpoint_nothing_is_counted_twice(call: Call, run: Path, unbroken: Path) -> None:
    shutil.rmtree(run / "ckpt")
    assert call("train", *RUN).code == 0
    assert ends_the_same(run, unbroken)


@pytest.mark.parametrize("name", ["model.safetensors", "optim.safetensors", "state.json", "COMMIT.json"])
def test_R12_a_flipped_bit_costs_one_checkpoint(name: str, call: Call, run: Path, unbroken: Path) -> None:
    newest = checkpoints(run)[-1].path
    flip(newest / name, 12_345)
    done = call("train", "--resume", run)
    assert done.code == 0
    assert "goes on after step 10" in done.err
    (said,) = [line for line in done.err.splitlines() if "1 damaged checkpoint set aside" in line]
    assert f"step-000000020/{name}" in said
    (aside,) = leftovers(run, "bad")
    assert sorted(os.listdir(aside)) == ["COMMIT.json", "model.safetensors", "optim.safetensors", "state.json"]
    assert ends_the_same(run, unbroken)


def test_R13_all_damaged_are_listed_and_nothing_is_deleted(call: Call, run: Path) -> None:
    for checkpoint in checkpoints(run):
        (checkpoint.path / "optim.safetensors").unlink()
    before = tree(run / "ckpt")
    refused = call("train", *RUN)
    assert refused.code == 2
    assert "every checkpoint is damaged" in refused.sentence
    assert "step-000000010" in refused.sentence
    assert "step-000000020" in refused.sentence
    assert "--fresh" in refused.sentence
    assert tree(run / "ckpt") == before
    assert call("train", *RUN[:-1], "--fresh").code == 0
    assert tree(run / "ckpt") == before


@pytest.mark.parametrize("cut", [1, 60, 299])
def test_R14_a_torn_log_is_mended_and_goes_on(cut: int, call: Call, run: Path, unbroken: Path) -> None:
    whole = (run / "log.jsonl").read_bytes()
    (run / "log.jsonl").write_bytes(whole[:-cut])
    done = call("train", *RUN)
    torn = cut > 1 and not whole[:-cut].endswith(b"\n")
    assert (done.code, "torn last line of the log dropped" in done.err) == (0, torn)
    lines = [json.loads(line) for line in (run / "log.jsonl").read_bytes().splitlines()]
    assert [line["step"] for line in lines if line["kind"] == "resume"] == [20]
    assert ends_the_same(run, unbroken)


def test_R11_a_folder_that_is_no_run_stays_as_it_was(call: Call, text: Path, tmp_path: Path) -> None:
    for names in (["a.txt", "notes.md", ".profile"], ["data.json"], ["tokenizer.json", "cache"], [".lock", "a.txt"]):
        home = tmp_path / "home"
        home.mkdir()
        for name in names:
            (home / name).write_text("mine")
        before = tree(home)
        refused = call("train", *RUN[:-1], "--out=home")
        assert (refused.code, "is not a run" in refused.sentence) == (2, True)
        assert tree(home) == before
        shutil.rmtree(home)
    (tmp_path / "file").write_text("mine")
    assert call("train", *RUN[:-1], "--out=file").code == 2
    assert (tmp_path / "file").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    assert call("train", *RUN[:-1], "--out=empty").code == 0


def test_R11_a_run_of_other_data_is_refused_by_name_and_numbered_without(call: Call, run: Path, text: Path) -> None:
    before = tree(run)
    text.with_name("other.txt").write_text("The five boxing wizards jump quickly over all of them.\n" * 80)
    refused = call("train", "other.txt", *RUN[1:])
    assert (refused.code, "other.txt stands where fox.txt was" in refused.sentence) == (2, True)
    assert tree(run) == before
    (text.parent / "runs").mkdir()
    shutil.copytree(run, text.parent / "runs" / "other")
    assert call("train", "other.txt", *TINY, "--steps=1").code == 0
    assert sorted(os.listdir(text.parent / "runs")) == ["other", "other-2"]


def test_a_refusal_leaves_nothing(call: Call, text: Path, tmp_path: Path) -> None:
    text.write_text("too short")
    for out in ([], ["--out=a/b/c"]):
        assert call("train", *RUN[:-1], *out).code == 2
        assert os.listdir(tmp_path) == ["fox.txt"]
    (tmp_path / "empty").mkdir()
    assert call("train", *RUN[:-1], "--out=empty").code == 2
    assert os.listdir(tmp_path / "empty") == []


def test_R15_touched_data_are_the_same(call: Call, run: Path, text: Path, unbroken: Path) -> None:
    os.utime(text)
    assert call("train", *RUN).code == 0
    assert ends_the_same(run, unbroken)


def test_R15_changed_data_are_refused_by_name(call: Call, run: Path, text: Path, unbroken: Path) -> None:
    with text.open("a") as file:
        file.write("!")
    before = tree(run)
    for command in (RUN, ("--resume=run", "fox.txt")):
        refused = call("train", *command)
        assert refused.code == 2
        assert "fox.txt has " in refused.sentence
        assert "--accept-new-data" in refused.sentence
        assert tree(run) == before
    text.write_text(text.read_text()[:-1].replace("fox", "hen"))
    assert "fox.txt has the same size but other contents" in call("train", *RUN).sentence
    text.rename(text.with_name("hen.txt"))
    assert "hen.txt stands where fox.txt was" in call("train", "hen.txt", *RUN[1:]).sentence
    done = call("train", "hen.txt", *RUN[1:], "--accept-new-data")
    assert (done.code, "1 change in the data since the run began" in done.err) == (0, True)
    assert any(line["kind"] == "notice" and "change in the data since" in line["what"] for line in log_of(run))
    assert ends_the_same(run, unbroken)  # on its own tokens


def test_R15_resume_needs_no_data_where_its_tokens_are_whole(call: Call, run: Path, text: Path, unbroken: Path) -> None:
    config = json.loads((run / "config.json").read_bytes())
    (run / "config.json").write_text(json.dumps(config | {"paths": [str(text)]}))
    text.unlink()
    done = call("train", "--resume", run)
    assert (done.code, "1 data path gone" in done.err) == (0, True)
    assert ends_the_same(run, unbroken)


def test_lost_tokens_are_made_again_from_the_same_data(call: Call, run: Path, text: Path, unbroken: Path) -> None:
    (run / "cache" / "train.tokens").write_bytes(b"cut")
    assert call("train", *RUN).code == 0
    assert ends_the_same(run, unbroken)
    (run / "cache" / "tokens.json").unlink()
    refused = call("predict", run, "hello", "--tokens=1")
    assert refused.code == 0
    text.write_text(text.read_text() + "more")
    refused = call("train", "fox.txt", "--resume", run, "--steps=31", "--accept-new-data")
    assert (refused.code, "tokens are incomplete" in refused.sentence) == (2, True)


def test_T13_a_stream_is_kept_and_needs_no_input_again(
    commands: Commands, call: Call, text: Path, unbroken: Path
) -> None:
    """Killed; gone on with by --resume; the same stream once more is the same training."""
    script = at_the_moment(text.parent, "regard.training.loop.Learner", "_gradients", 25, signal.SIGKILL)
    command = ("train", "-", *RUN[1:-1])
    killed = commands.run(*command, cwd=text.parent, stdin=str(text), script=script)
    assert killed.code == -signal.SIGKILL
    run = text.parent / "runs" / "stdin"
    text.unlink()
    assert call("train", "--resume", run).code == 0
    assert ends_the_same(run, unbroken)
    (run / "cache" / "train.tokens").unlink()
    assert call("train", "--resume", run, "--steps=31").code == 0


def test_T13_the_same_stream_is_the_same_training(commands: Commands, text: Path) -> None:
    command = ("train", "-", *TINY, "--steps=3")
    for other in ("", "more"):
        text.write_text(text.read_text() + other)
        for _ in range(2):
            done = commands.run(*command, cwd=text.parent, stdin=str(text))
            assert (done.code, "is finished: 3 steps" in done.out) == (0, True)
    assert sorted(os.listdir(text.parent / "runs")) == ["stdin", "stdin-2"]
    for name in ("stdin", "stdin-2"):
        assert [line["kind"] for line in log_of(text.parent / "runs" / name)].count("start") == 1


def test_minutes_go_on_with_the_time_that_was_left(commands: Commands, text: Path) -> None:
    command = ("train", "fox.txt", *TINY, "--minutes=0.08", "--checkpoint-every=5", "--evaluate-every=10")
    script = at_the_moment(text.parent, "regard.training.loop.Learner", "_gradients", 23, signal.SIGKILL)
    assert commands.run(*command, cwd=text.parent, script=script).code == -signal.SIGKILL
    run = text.parent / "runs" / "fox"
    last = checkpoints(run)[-1]
    used = json.loads((last.path / "state.json").read_bytes())["seconds"]
    assert commands.run(*command, cwd=text.parent).code == 0
    lines = log_of(run)
    steps = [line["step"] for line in lines if line["kind"] == "step"]
    assert steps == list(range(1, len(steps) + 1))
    first = next(line["seconds"] for line in lines if line.get("step") == last.step + 1)
    assert used < first < lines[-1]["seconds"]
    assert lines[-1]["kind"] == "finished"


def another(setting: Setting, value: object) -> str:
    if setting.kind == "choice":
        return next(choice for choice in setting.choices if choice != value)
    other = setting.high if value != setting.high else setting.low
    return f"{other:.0f}" if setting.kind == "whole" else f"{other:g}"


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_R16_another_setting_is_refused_with_old_and_new(
    setting: Setting, call: Call, killed: Path, text: Path
) -> None:
    used = json.loads((killed / "config.json").read_bytes())["settings"].get(setting.name)
    new = another(setting, used)
    before = tree(killed)
    for command in (("--resume", killed), (*RUN[:-1], "--out", killed)):
        options = [option for option in command if not str(option).startswith(f"{setting.option}=")]
        refused = call("train", *options, setting.option, new)
        assert refused.code == 2
        assert refused.sentence.startswith(f"{setting.option}: ")
        assert f"begun with {used}, not " in refused.sentence
    assert tree(killed) == before


def test_R16_what_is_not_given_again_is_refused_but_taken_by_resume(call: Call, run: Path, unbroken: Path) -> None:
    given = [option for option in RUN if not option.startswith("--width")]
    refused = call("train", *given)
    assert (refused.code, "--width: run was begun with 32, and now it is not given" in refused.sentence) == (2, True)
    assert call("train", "--resume", run).code == 0
    assert ends_the_same(run, unbroken)


def test_R16_minutes_do_not_go_on_where_steps_began(call: Call, run: Path) -> None:
    for option in ("--minutes=1", "--minutes=0.1"):
        assert "run was begun with steps" in call("train", "--resume", run, option).sentence


def test_R16_more_steps_are_accepted_logged_and_kept(call: Call, run: Path) -> None:
    assert call("train", *RUN).code == 0
    assert call("train", "--resume", run, "--steps=40").code == 0
    assert losses(run)[-1][0] == 40
    assert [line["steps"] for line in log_of(run) if line["kind"] == "extended"] == [40]
    done = call("train", "--resume", run)
    assert (done.code, "is finished: 40 steps" in done.out) == (0, True)
    assert call("train", *RUN).code == 0  # it has had more than these already
    assert losses(run)[-1][0] == 40


def test_R16_a_longer_training_that_is_killed_stays_longer(call: Call, commands: Commands, run: Path) -> None:
    script = at_the_moment(run.parent, "regard.training.loop.Learner", "_gradients", 15, signal.SIGKILL)
    assert commands.run("train", "--resume=run", "--steps=50", cwd=run.parent, script=script).code == -signal.SIGKILL
    assert call("train", "--resume", run).code == 0
    assert losses(run)[-1][0] == 50


def test_R16_the_same_context_that_was_too_long_is_the_same_command(call: Call, text: Path) -> None:
    long = ("fox.txt", "--width=32", "--layers=1", "--context=4096", "--out=long")
    assert "context shortened to 256" in call("train", *long, "--steps=1").err
    assert call("train", *long, "--steps=2").code == 0
    assert [step for step, *_ in losses(text.parent / "long")] == [1, 2]


def test_R24_a_finished_run_says_so_and_how_to_extend_it(call: Call, run: Path) -> None:
    assert call("train", *RUN).code == 0
    before = tree(run)
    again = call("train", *RUN)
    assert again.code == 0
    assert "is finished: 30 steps" in again.out
    assert "regard train --resume run --steps N" in again.out
    assert tree(run) == before


def test_R24_leftovers_are_listed_and_removed(call: Call, run: Path) -> None:
    for name in ("ckpt/.tmp-step-000000030-1-a", "ckpt/.trash-step-000000005-1-a"):
        (run / name).mkdir()
    for name in (".tmp-1-a", "cache/.tmp-1-b"):
        (run / name).write_text("half")
    for command in (("info", run), ("predict", run, "hello", "--tokens=1")):
        assert call(*command).code == 0
        assert len(leftovers(run)) == 2
    done = call("train", *RUN)
    assert done.code == 0
    for name in (".tmp-step-000000030-1-a", ".trash-step-000000005-1-a", ".tmp-1-a", ".tmp-1-b"):
        assert name in done.err
        assert not list(run.rglob(name))


def test_a_run_that_was_killed_while_planning_begins_again(call: Call, commands: Commands, text: Path) -> None:
    script = at_the_moment(text.parent, "regard.training.plan.Plan", "to_json", 1, signal.SIGKILL)
    assert commands.run("train", *RUN, cwd=text.parent, script=script).code == -signal.SIGKILL
    (text.parent / "run" / ".tmp-77-a").write_text("half")
    assert not (text.parent / "run" / "config.json").exists()
    assert call("train", *RUN).code == 0
    assert not (text.parent / "run" / ".tmp-77-a").exists()
