"""Commands given to server.py: start one, wait for it, send it signals, look at what it said."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SERVER = Path(__file__).with_name("server.py")
TINY = ("--width=32", "--layers=1", "--context=32", "--batch=4")
"""A model of some ten thousand numbers: a step takes two milliseconds."""


@dataclass
class Done:
    """code: the exit code, or minus the number of the signal that ended it."""

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The one sentence of a refusal or a stop."""
        (line,) = [line for line in self.err.splitlines() if line.startswith("regard: ")]
        assert "Traceback" not in self.err
        assert len(line) <= 308
        return line.removeprefix("regard: ")


class Command:
    def __init__(self, connection: socket.socket, streams: list[str | None]) -> None:
        self._connection, self._streams = connection, streams
        self._lines = connection.makefile("r")
        self.pid = int(self._lines.readline())
        self._code: int | None = None

    def ended(self, timeout: float = 120.0) -> bool:
        """Waits so many seconds at most for its end."""
        if self._code is None:
            self._connection.settimeout(max(timeout, 1e-3))
            try:
                said = self._connection.recv(64)
            except TimeoutError:
                return False
            self._code = int(said)
        return True

    def kill(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self, timeout: float = 120.0) -> Done:
        ended = self.ended(timeout)
        self._lines.close()
        self._connection.close()
        assert self._code is not None, f"still running after {timeout} s: {self._said(2)}" if not ended else ""
        return Done(self._code, self._said(1), self._said(2))

    def _said(self, stream: int) -> str:
        path = self._streams[stream]
        if path is None or not Path(path).is_file():
            return ""
        return Path(path).read_bytes().decode()


class Commands:
    def __init__(self, folder: Path) -> None:
        """folder: for what the commands say."""
        self._folder, self._count = folder, 0
        self._socket = f"/tmp/regard-{os.getpid()}-{id(self):x}"  # a socket's path has room for 100 characters
        environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "80"}
        environment.pop("PYTHONPATH", None)
        self._server = subprocess.Popen([sys.executable, SERVER, self._socket], env=environment, stdin=subprocess.PIPE)

    def close(self) -> None:
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait()
        Path(self._socket).unlink(missing_ok=True)

    def start(
        self, *arguments: object, cwd: Path, stdin: str | None = os.devnull, stdout: str | None = "",
        stderr: str | None = "", script: Path | None = None, ignored: Iterable[int] = (), **env: str,
    ) -> Command:  # fmt: skip
        """regard with these arguments, or a script for it. stdout, stderr: a path, None for closed, "" to keep."""
        self._count += 1
        kept = [str(self._folder / f"{self._count}.{name}") for name in ("out", "err")]
        streams = [stdin, *(own if given == "" else given for own, given in zip(kept, (stdout, stderr), strict=True))]
        command: dict[str, Any] = {
            "arguments": [str(argument) for argument in arguments], "cwd": str(cwd), "streams": streams, "env": env,
            "script": None if script is None else str(script), "ignored": list(ignored),
        }  # fmt: skip
        connection = self._connected()
        connection.sendall(json.dumps(command).encode() + b"\n")
        return Command(connection, streams)

    def run(self, *arguments: object, cwd: Path, **more: Any) -> Done:
        return self.start(*arguments, cwd=cwd, **more).wait()

    def _connected(self) -> socket.socket:
        while True:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(self._socket)
            except (FileNotFoundError, ConnectionRefusedError):  # it is still importing
                connection.close()
                assert self._server.poll() is None
                try:
                    self._server.wait(0.05)
                except subprocess.TimeoutExpired:
                    continue
            else:
                return connection


def log_of(run: Path) -> list[dict[str, Any]]:
    """The run's log, the last attempt of each step."""
    from regard.files import Log, last_attempt

    return last_attempt(Log.read(run / "log.jsonl")[0])


def losses(run: Path) -> list[tuple[int, float, float]]:
    """(step, loss, length of the gradient), as logged."""
    return [(line["step"], line["loss"], line["norm"]) for line in log_of(run) if line["kind"] == "step"]


def last_files(run: Path) -> dict[str, str]:
    """The SHA-256 of the newest checkpoint's weights and optimiser."""
    from regard.files import checkpoints

    files = checkpoints(run)[-1].files
    return {name: file.sha256 for name, file in files.items() if name.endswith(".safetensors")}
