"""What starting regard imports: nothing heavy for help, and never anything that lies in the working folder."""

import json
import math
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

REGARD = str(Path(sys.executable).with_name("regard"))
MODULE = [sys.executable, "-m", "regard"]
HEAVY = {"torch", "numpy", "rich"}
VERBS = ("train", "predict", "look", "eval", "info", "export")
HELPS = [["--help"], ["--version"], *([verb, "--help"] for verb in VERBS)]
TINY = ["--steps=1", "--width=8", "--layers=1", "--heads=1", "--head-width=4", "--feed-forward=8", "--context=16"]
PLANTED = ("torch.py", "json.py", "token.py", "numpy.py", "click.py", "conftest.py", "sitecustomize.py")
WATCH = """
import os, sys
def hook(event, arguments):
    if event == "open" and str(arguments[0]).endswith(("regard.toml", ".env")):
        os.write(2, b"OPENED " + str(arguments[0]).encode())
sys.addaudithook(hook)
"""


def run(*command: str, cwd: Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """`path` goes before everything else that Python would import from."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"COLUMNS": "80"}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120)


def least_seconds(enough: float, *command: str, cwd: Path, path: Path | None = None) -> float:
    """The best of at most ten: other processes of the machine only ever make it longer.

    Processor time, which is what a quiet machine's clock would show of one thread that waits for nothing.
    """
    best = math.inf
    for _ in range(10):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run(*command, cwd=cwd, path=path)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        if best < enough:
            break
    return best


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a text and runs/text, a run of one step."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "text.txt").write_text("So wise so young, they say, do never live long.\n" * 40)
    done = run(REGARD, "train", "text.txt", *TINY, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("arguments", HELPS, ids=" ".join)
def test_help_imports_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    done = run(sys.executable, "-X", "importtime", "-m", "regard", *arguments, cwd=tmp_path)
    assert done.returncode == 0
    imported = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert {"regard", "click"} <= imported  # or the report was not understood
    assert not imported & HEAVY


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"]], ids=" ".join)
def test_help_answers_within_three_tenths_of_a_second(arguments: list[str], tmp_path: Path) -> None:
    assert least_seconds(0.3, REGARD, *arguments, cwd=tmp_path) < 0.3


def test_C12_help_version_and_info_work_where_torch_is_broken(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise ImportError('libtorch_cpu.so: cannot open shared object')")
    assert "libtorch" in run(sys.executable, "-c", "import torch", cwd=trained, path=tmp_path).stderr
    for arguments in (*HELPS, ["info", "runs/text"], ["info", "runs"], ["info", "runs", "--json"]):
        done = run(REGARD, *arguments, cwd=trained, path=tmp_path)
        assert (done.returncode, done.stderr) == (0, ""), arguments
        assert least_seconds(0.5, REGARD, *arguments, cwd=trained, path=tmp_path) < 0.5
    (known,) = json.loads(done.stdout)["runs"]
    assert known["run"] == "text"


@pytest.mark.parametrize("started", [[REGARD], MODULE], ids=["regard", "python -m regard"])
def test_C8_nothing_of_the_working_folder_is_imported_or_read(started: list[str], tmp_path: Path) -> None:
    work, watch = tmp_path / "work", tmp_path / "watch"
    work.mkdir()
    watch.mkdir()
    (watch / "sitecustomize.py").write_text(WATCH)
    for name in PLANTED:
        (work / name).write_text(f"open({str(tmp_path / 'marker')!r}, 'a').write({name!r})")
    for name in ("regard.toml", ".env"):
        (work / name).write_text("width = 7\nREGARD_WIDTH=7\n")
    (work / "notes").mkdir()  # data folders hold text, not code, either
    (work / "notes" / "json.py").write_text(f"open({str(tmp_path / 'marker')!r}, 'a').write('data')")
    (work / "notes" / "text.txt").write_text("So wise so young, they say, do never live long.\n" * 40)
    for arguments in (["--help"], ["train", "notes/text.txt", *TINY], ["info", "runs/text"]):
        done = run(*started, *arguments, cwd=work, path=watch)
        assert (done.returncode, "OPENED" in done.stderr) == (0, False), done.stderr
        assert not (tmp_path / "marker").exists(), (tmp_path / "marker").read_text()
    assert json.loads((work / "runs" / "text" / "config.json").read_bytes())["settings"]["width"] == 8
    watched = run(sys.executable, "-c", "open('regard.toml')", cwd=work, path=watch)
    assert "OPENED regard.toml" in watched.stderr  # or the watching would prove nothing
