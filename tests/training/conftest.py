"""A server for many commands, and a short text."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ..tasks.conftest import _one_thread
from .commands import Commands

__all__ = ["_one_thread"]

LINES = "The quick brown fox jumps over the lazy dog, and the dog does not mind it at all: number {}.\n"


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    made = Commands(tmp_path_factory.mktemp("said"))
    yield made
    made.close()


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """About 3,800 characters; the test's own folder is the working folder."""
    path = tmp_path / "fox.txt"
    path.write_text("".join(LINES.format(n) for n in range(40)))
    return path


@pytest.fixture(scope="session")
def fox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the same text; a file's tests may keep a run there, under a name of its own."""
    folder = tmp_path_factory.mktemp("fox")
    (folder / "fox.txt").write_text("".join(LINES.format(n) for n in range(40)))
    return folder
