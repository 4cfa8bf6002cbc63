"""The lock: of two writers one is refused by name, and a dead holder holds nothing."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from regard.errors import RegardError
from regard.files import Lock
from regard.files import lock as lock_module

RACER = """
import sys, time
from regard.errors import RegardError
from regard.files import Lock
print("ready", flush=True)
sys.stdin.readline()
try:
    with Lock(sys.argv[1]):
        print("won", flush=True)
        sys.stdin.readline()
except RegardError as error:
    print(error, flush=True)
"""
HOLDER = """
import os, subprocess, sys, time
from regard.files import Lock
with Lock(sys.argv[1]):
    if sys.argv[2] == "exec":
        pid = subprocess.Popen(["sleep", "30"]).pid
    else:
        pid = os.fork()
        if pid == 0:
            time.sleep(30)
    print(pid, flush=True)
    sys.stdin.readline()
"""


def started(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def say(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def free(folder: Path) -> bool:
    try:
        with Lock(folder):
            return True
    except RegardError:
        return False


def heard(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_R05_of_two_at_once_exactly_one_goes_on(tmp_path: Path) -> None:
    for race in range(5):
        folder = tmp_path / str(race)
        folder.mkdir()
        with started(RACER, folder) as one, started(RACER, folder) as two:
            assert heard(one) == heard(two) == "ready"
            say(one)
            say(two)
            answers = [heard(one), heard(two)]
            assert answers.count("won") == 1
            winner, refused = (one, answers[1]) if answers[0] == "won" else (two, answers[0])
            assert f"process {winner.pid} on {socket.gethostname()}, started 20" in refused
            say(winner)


def test_R05_within_one_process_too(tmp_path: Path) -> None:
    with Lock(tmp_path) as held:
        with pytest.raises(RegardError, match=f"process {os.getpid()} on"), Lock(tmp_path):
            pass
        with pytest.raises(RegardError), Lock(tmp_path, no_lock=True):
            pass
        assert lock_module.holds(tmp_path)
        held.close()
        with Lock(tmp_path):
            pass
    assert not lock_module.holds(tmp_path)


@pytest.mark.parametrize("how", ["fork", "exec"])
def test_R06_killed_with_a_child_alive(tmp_path: Path, how: str) -> None:
    with started(HOLDER, tmp_path, how) as holder:
        child = int(heard(holder))
        try:
            with pytest.raises(RegardError), Lock(tmp_path):
                pass
            os.kill(holder.pid, signal.SIGKILL)
            begin = time.monotonic()
            holder.wait()
            while not free(tmp_path):  # the child may not have come to closing its copy yet
                assert time.monotonic() - begin < 5
            os.kill(child, 0)  # alive
        finally:
            os.kill(child, signal.SIGKILL)


def test_R06_a_childs_end_frees_nothing(tmp_path: Path, forked: Callable[[Callable[[], None]], int]) -> None:
    with Lock(tmp_path) as held:
        assert forked(held.close) == 0
        with pytest.raises(RegardError), Lock(tmp_path):
            pass


def test_R06_a_pid_inside_the_file_decides_nothing(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text(json.dumps({"pid": os.getpid(), "host": "here", "started": "now"}) + " " * 500)
    with Lock(tmp_path):
        assert json.loads((tmp_path / ".lock").read_text())["host"] == socket.gethostname()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS])
def test_R06_without_flock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def cannot(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(lock_module, "_flock", cannot)
    with pytest.raises(RegardError, match="--no-lock"), Lock(tmp_path):
        pass
    with Lock(tmp_path, no_lock=True):
        assert lock_module.holds(tmp_path)


def test_R06_a_link_named_lock_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / ".lock").symlink_to(tmp_path / "mine.txt")
    with pytest.raises(RegardError, match="link"), Lock(tmp_path):
        pass
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    with Lock(tmp_path), pytest.raises(RegardError), Lock(tmp_path):
        pass
    assert (len(os.listdir("/proc/self/fd")) if before else 0) == before
