"""A small run to write checkpoints into, and a way to run something in a forked process."""

import os
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from regard.files import durable, safetensors_bytes

Files = dict[str, durable.Content]


@pytest.fixture(autouse=True)
def _a_quick_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A killed process loses nothing that was only written, so these tests need not wait for the platters.

    That every fsync is asked for, and in which order, the hook sees; that it reaches the system has a test of its own.
    """
    monkeypatch.setattr(durable, "_to_disk", lambda descriptor: None)
    yield
    durable.hook = None


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.json").write_text('{"format": 1}')
    return folder


@pytest.fixture
def files_of() -> Callable[[int], Files]:
    """Two files whose content tells their step, so that a mixture of two checkpoints shows."""

    def files(step: int) -> Files:
        weights = safetensors_bytes({"weight": np.full((5, 7), step, np.float32)}, {"step": str(step)})
        return {"model.safetensors": weights, "state.json": b'{"step": %d}' % step}

    return files


@pytest.fixture
def forked() -> Callable[[Callable[[], None]], int]:
    """Runs a function in a forked child and returns the child's exit code, negative if a signal ended it."""

    def run(function: Callable[[], None]) -> int:
        pid = os.fork()
        if pid == 0:
            try:
                function()
            except BaseException:
                traceback.print_exc(file=sys.__stderr__)
                os._exit(99)
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    return run
