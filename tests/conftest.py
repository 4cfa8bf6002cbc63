"""One tiny run that has finished, and the command line called inside this process: what tests of several files need."""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("steady", derandomize=True, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))  # "default" looks for new examples each time

TEXT = "So wise so young, they say, do never live long.\nI say, without characters, fame lives long.\n"


@dataclass
class Done:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def answer(self) -> Any:
        """The one JSON object on standard output."""
        (line,) = self.out.splitlines()
        return json.loads(line)

    @property
    def sentence(self) -> str:
        """The one sentence of a refusal: a line of at most 300 characters on standard error, and no word besides."""
        (line,) = [line for line in self.err.splitlines() if line.startswith("regard: ")]
        assert self.out == ""
        assert "Traceback" not in self.err
        line = line.removeprefix("regard: ")
        assert len(line) <= 300
        assert "; " in line  # what is wrong; what to do
        return line


Call = Callable[..., Done]


def read_all(terminal: int) -> bytes:
    """What was written to a pseudo-terminal, whose other end is closed."""
    found = b""
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # EIO: nothing more comes
            piece = b""
        if not piece:
            os.close(terminal)
            return found
        found += piece


@pytest.fixture(autouse=True)
def _signals_as_python_starts_with() -> Iterator[None]:
    """A verb called in this process makes a broken pipe deadly, and `make test &` has children ignore Ctrl-C."""
    _reset_signals()
    yield
    _reset_signals()


def _reset_signals() -> None:
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with text.txt and runs/text, a tiny finished run; nobody changes it."""
    import regard

    folder = tmp_path_factory.mktemp("trained")
    (folder / "text.txt").write_text(TEXT * 40)
    run = folder / "runs" / "text"
    regard.train(folder / "text.txt", steps=30, width=32, layers=1, context=32, out=run, quiet=True)
    return folder


@pytest.fixture
def run(trained: Path) -> Path:
    return trained / "runs" / "text"


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Calls the command line in this process, in an empty working folder, at 80 columns, without a terminal."""
    from regard.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def called(*arguments: object) -> Done:
        capsys.readouterr()
        before = signal.getsignal(signal.SIGPIPE)
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = end.code
        finally:
            signal.signal(signal.SIGPIPE, before)
        assert isinstance(code, int)
        return Done(code, *capsys.readouterr())

    return called


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Puts bytes on standard input, as a pipe would."""
    import io

    def put(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    return put
