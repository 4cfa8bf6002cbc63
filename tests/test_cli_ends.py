"""How commands end: faults of ours, closed pipes, odd locales, missing parts, a death while writing."""

import errno
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from regard import ending, streams
from regard.errors import RegardError
from regard.files import durable

from .conftest import TEXT, Call, read_all

REGARD = str(Path(sys.executable).with_name("regard"))
SMALLEST = ("--steps=1", "--width=8", "--layers=1", "--heads=1", "--head-width=4", "--feed-forward=8", "--context=16")


class Broken(Exception):
    """A bug of ours."""


def broken(*_: Any, **__: Any) -> Any:
    raise Broken("nobody\nthought of this")


FAULTS = {
    "train": ("regard.training.run_loop.Training.until_the_end", ["text.txt", *SMALLEST]),
    "predict": ("regard.text_run.TextRun.stream", ["RUN", "hello"]),
    "look": ("regard.text_run.TextRun.look", ["RUN", "hello"]),
    "eval": ("regard.text_run.TextRun.evaluate", ["RUN"]),
    "info": ("regard.trained.overview", ["RUN"]),
    "export": ("regard.text_run.TextRun.export", ["RUN", "folder"]),
}


@pytest.mark.parametrize("verb", FAULTS)
def test_C4_a_fault_of_ours_is_one_sentence_and_a_report(
    verb: str, call: Call, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where, arguments = FAULTS[verb]
    (tmp_path / "text.txt").write_text(TEXT * 20)
    copy = Path(shutil.copytree(run, tmp_path / "copy"))
    monkeypatch.setattr(where, broken)
    command = [verb, *(str(copy) if argument == "RUN" else argument for argument in arguments)]
    done = call(*command)
    place = Path("runs/text/crash.txt") if verb == "train" else copy / "crash.txt"
    assert done.code == 1
    assert done.sentence.startswith(f"{verb}: this is a fault of regard (Broken: nobody\\nthought of this)")
    assert done.sentence.endswith(f"with {place}")
    report = place.read_text()
    assert "torch 2." in report
    assert "Traceback" in report
    assert "Broken" in report
    debugged = call(*command, "--debug")
    assert (debugged.code, "Traceback" in debugged.err) == (1, True)


def test_C4_no_report_is_put_into_a_folder_that_is_no_run(
    call: Call, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call("export", run, "folder").code == 0
    monkeypatch.setattr("regard.text_run.TextRun.look", broken)
    done = call("look", "folder", "hello")
    assert (done.code, "--debug" in done.sentence) == (1, True)
    assert "crash.txt" not in os.listdir(tmp_path / "folder")


@pytest.mark.parametrize(("error", "code", "part"), [
    (OSError(errno.ENOSPC, "No space left on device", "runs/x"), 1, "runs/x: the disk is full"),
    (PermissionError(errno.EACCES, "Permission denied", "x"), 2, "x: you may not"),
    (MemoryError(), 1, "memory"),
    (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), 1, "memory"),
    (ImportError("libtorch_cpu.so: cannot open shared object file"), 1, "installation"),
    (FileNotFoundError(errno.ENOENT, "No such file", "x"), 1, "fault of regard"),
    (RegardError("a", "b", "c"), 2, "a: b; c"),
    (BaseException("a panic of a Rust library"), 1, "fault of regard"),
])  # fmt: skip
def test_every_error_has_its_sentence(
    error: BaseException, code: int, part: str, call: Call, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise error

    monkeypatch.setattr("regard.run.is_one", fail)
    done = call("info", run)
    assert (done.code, part in done.sentence) == (code, True)


def test_R3_ctrl_c_dies_of_its_signal(call: Call, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    died = []

    def interrupt(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    def die(number: int) -> None:
        died.append(number)
        raise SystemExit(128 + number)

    monkeypatch.setattr("regard.text_run.TextRun.evaluate", interrupt)
    monkeypatch.setattr("regard.training.signals.die_of", die)
    done = call("eval", run)
    assert (done.code, died, done.err) == (130, [signal.SIGINT], "regard: stopped\n")


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "NO_COLOR")}
    return {**kept, "COLUMNS": "80", "OMP_NUM_THREADS": "1", **more}


def test_C5_the_reader_of_a_pipe_may_leave(run: Path) -> None:
    lines = b"So\n" * 10_000
    started = subprocess.Popen([REGARD, "predict", run, "--tokens=1", "--top-k=1"], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())  # fmt: skip
    assert started.stdin is not None
    assert started.stdout is not None
    assert started.stderr is not None
    os.set_blocking(started.stdin.fileno(), False)
    started.stdin.write(lines)
    assert len(started.stdout.readline()) > 1
    started.stdout.close()
    errors = started.stderr.read()
    assert (started.wait(60), errors) == (-signal.SIGPIPE, b"")
    started.stderr.close()
    started.stdin.close()


def test_C5_a_training_goes_on_when_nobody_reads(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(TEXT * 20)
    pipe_in, pipe_out = os.pipe()
    os.close(pipe_in)
    done = subprocess.run([REGARD, "train", "text.txt", *SMALLEST], cwd=tmp_path, stdout=pipe_out, stderr=pipe_out,
                          env=environment(), timeout=60)  # fmt: skip
    os.close(pipe_out)
    assert done.returncode == 0
    assert (tmp_path / "runs" / "text" / "loss.svg").exists()


def test_C5_a_refusal_that_nobody_reads_keeps_its_exit_code(tmp_path: Path) -> None:
    pipe_in, pipe_out = os.pipe()
    os.close(pipe_in)
    done = subprocess.run([REGARD, "train", "nowhere.txt"], cwd=tmp_path, stdout=pipe_out, stderr=pipe_out,
                          env=environment(), timeout=60)  # fmt: skip
    os.close(pipe_out)
    assert done.returncode == 2


def test_R4_closed_streams_stop_no_training(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(TEXT * 20)
    command = f"exec '{REGARD}' train text.txt {' '.join(SMALLEST)} >&- 2>&- <&-"
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, env=environment(), timeout=60)
    assert done.returncode == 0
    assert (tmp_path / "runs" / "text" / "loss.svg").exists()


@pytest.mark.parametrize("quiet", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {}], ids=str)
def test_C5_escape_codes_are_for_terminals_that_want_them(quiet: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(TEXT * 20)
    keeper, terminal = pty.openpty()
    more = quiet or {"TERM": "xterm"}
    done = subprocess.run([REGARD, "train", "text.txt", *SMALLEST, "--steps=3"][:-1], cwd=tmp_path,
                          stdout=subprocess.PIPE, stderr=terminal, env=environment(**more), timeout=60)  # fmt: skip
    os.close(terminal)
    told = read_all(keeper)
    assert done.returncode == 0
    assert b"\x1b" not in done.stdout
    assert (b"\x1b" in told) == (not quiet)
    assert (b"\r" in told.replace(b"\r\n", b"")) == (not quiet)


def test_C6_utf8_whatever_the_locale_says(run: Path) -> None:
    ascii_only = environment(LC_ALL="C", LANG="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    prompt = "naïve 漢字 😀"
    done = subprocess.run([REGARD, "predict", run, prompt, "--tokens=40", "--json", "--temperature=5"],
                          capture_output=True, env=ascii_only, timeout=60)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.decode())["input"] == prompt
    piped = subprocess.run([REGARD, "predict", run, "--tokens=40", "--temperature=5"], input=prompt.encode(),
                           capture_output=True, env=ascii_only, timeout=60)  # fmt: skip
    assert piped.returncode == 0, piped.stderr
    piped.stdout.decode()
    assert not piped.stdout.isascii()  # at this temperature some byte is none of a character: U+FFFD


def test_C7_a_device_that_is_absent_is_refused(call: Call, tmp_path: Path) -> None:
    import torch

    (tmp_path / "text.txt").write_text(TEXT * 20)
    absent = "mps" if torch.cuda.is_available() else "cuda"
    for device in (absent, "tpu"):
        done = call("train", "text.txt", *SMALLEST, f"--device={device}")
        assert done.code == 2
        assert done.sentence.startswith(f"--device: {device}")
        assert "cpu" in done.sentence
    assert os.listdir(tmp_path) == ["text.txt"]


def test_C7_missing_parts_are_named_with_the_way_to_get_them(
    call: Call, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text.txt").write_text(TEXT * 20)
    for name in ("gguf", "tensorboard"):
        monkeypatch.setitem(sys.modules, name, None)
    board = call("train", "text.txt", *SMALLEST, "--tensorboard")
    assert (board.code, 'pip install "regard[tensorboard]"' in board.sentence) == (2, True)
    gguf = call("export", run, "x.gguf", "--format=gguf")
    assert (gguf.code, 'pip install "regard[gguf]"' in gguf.sentence) == (2, True)
    assert os.listdir(tmp_path) == ["text.txt"]


def test_C7_a_torch_that_is_too_old_is_refused(call: Call, run: Path, tmp_path: Path,
                                               monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    (tmp_path / "text.txt").write_text(TEXT * 20)
    monkeypatch.setattr("importlib.metadata.version", lambda name: "2.4.1+cpu")
    for command in (["train", "text.txt", *SMALLEST], ["predict", run, "hello"], ["eval", run]):
        done = call(*command)
        assert (done.code, "version 2.4.1+cpu is too old" in done.sentence) == (1, True)
        assert 'pip install --upgrade "torch>=2.10"' in done.sentence
    assert call("info", run).code == 0


PLANTED = ("torch.py", "json.py", "token.py", "numpy.py", "click.py", "conftest.py", "sitecustomize.py")


def test_C8_torchrun_imports_nothing_of_the_working_folder(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(TEXT * 20)
    marker = tmp_path / "marker"
    for name in PLANTED:
        (tmp_path / name).write_text(f"open({str(marker)!r}, 'a').write({name!r})")
    torchrun = str(Path(sys.executable).with_name("torchrun"))
    one = [torchrun, "--standalone", "--nproc-per-node=1", "-m", "regard"]
    done = subprocess.run([*one, "train", "text.txt", *SMALLEST],
                          cwd=tmp_path, capture_output=True, text=True, env=environment(), timeout=120)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not marker.exists(), marker.read_text()
    assert (tmp_path / "runs" / "text" / "config.json").exists()


@pytest.mark.parametrize("name", ["x.svg", "x.png", "x.regard", "folder", "x.gguf"])
def test_C10_a_death_while_writing_leaves_what_was_there(
    name: str, call: Call, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saving = [*(("export", run, name) if name in ("folder", "x.gguf") else ("look", run, "So", "--save", name)),
              *["--format=gguf"] * (name == "x.gguf")]  # fmt: skip
    assert call(*saving).code == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def die(operation: str, path: str) -> None:
        if operation == "rename":
            raise KeyboardInterrupt

    monkeypatch.setattr(durable, "hook", die)
    monkeypatch.setattr("regard.training.signals.die_of", sys.exit)
    done = call(*saving, "--overwrite")
    monkeypatch.setattr(durable, "hook", None)
    assert done.code == signal.SIGINT
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_full_disk_behind_standard_output_is_said(run: Path) -> None:
    if not Path("/dev/full").exists():
        return
    with open("/dev/full", "w") as full:
        done = subprocess.run([REGARD, "info", run], stdout=full, stderr=subprocess.PIPE, text=True,
                              env=environment(), timeout=60)  # fmt: skip
    assert done.returncode == 1
    assert re.fullmatch(r"regard: standard output: it cannot be written .*; send it elsewhere\n", done.stderr)


def test_debug_is_an_option_of_every_verb_and_no_part_of_a_prompt(
    call: Call, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in (["--debug", "predict", "nowhere", "x"], ["predict", "--debug", "nowhere", "x"],
                    ["predict", "nowhere", "x", "--debug"]):  # fmt: skip
        assert "Traceback" in call(*command).err
    assert call("predict", run, "--tokens=1", "--json", "--", "--debug").answer["input"] == "--debug"


def test_the_sentence_is_whole_with_debug(capsys: pytest.CaptureFixture[str]) -> None:
    long = RegardError("here", "word " * 200, "do this")
    for debug in (False, True):
        with pytest.raises(SystemExit):
            ending.fail(long, debug)
        assert (len(capsys.readouterr().err) > 1000) == debug


def test_json_has_neither_nan_nor_infinity() -> None:
    assert streams.plain({"a": float("nan"), "b": [1.5, float("inf")], "c": {"d": None}}) == {
        "a": None, "b": [1.5, None], "c": {"d": None}}  # fmt: skip


def test_a_training_without_a_terminal_never_waits(given: Callable[[bytes], None], call: Call) -> None:
    given(b"")
    done = call("train", "-", *SMALLEST)
    assert (done.code, done.sentence.startswith("standard input: ")) == (2, True)


def test_C8_a_working_folder_that_is_gone_is_no_fault(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    done = subprocess.run(["sh", "-c", f"rmdir '{gone}' && exec '{sys.executable}' -m regard --version"], cwd=gone,
                          capture_output=True, text=True, env=environment(), timeout=60)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_R3_the_moving_line_is_left_before_the_last_sentence(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(TEXT * 20)
    keeper, terminal = pty.openpty()
    started = subprocess.Popen([REGARD, "train", "text.txt", *SMALLEST[1:], "--steps=1000000000"], cwd=tmp_path,
                               stdout=subprocess.PIPE, stderr=terminal, env=environment(TERM="xterm"))  # fmt: skip
    os.close(terminal)
    told = b""
    while b"step" not in told:
        told += os.read(keeper, 65536)
    started.send_signal(signal.SIGINT)
    told += read_all(keeper)
    assert started.wait(60) == -signal.SIGINT
    assert started.stdout is not None
    assert started.stdout.read() == b""
    started.stdout.close()
    last = told.replace(b"\r\n", b"\n").split(b"\n")[-2]
    assert last.startswith(b"regard: stopped after step ")
    assert b"regard train --resume runs/text" in last
