"""Starts regard many times a second: imports once, with one thread, then forks a process for each command.

Run as `python server.py SOCKET`. Each connection sends one line of JSON, the command, and gets two: its process, then
how it ended. What cannot be seen this way (a signal while importing, torchrun itself) is tested with whole processes.
"""

import io
import json
import os
import runpy
import select
import signal
import socket
import sys
import time
import traceback
from typing import Any

MODES = (os.O_RDONLY, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)


def serve(path: str) -> None:
    """Until standard input ends: then nobody needs this any more."""
    import torch

    import regard.cli
    import regard.decoding.sample
    import regard.pretrained.folder
    import regard.run
    import regard.session
    import regard.tasks.language  # noqa: F401

    assert torch.get_num_threads() == 1
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen(64)
        while True:
            ready, _, _ = select.select([listening, sys.stdin], [], [])
            while reaped():
                pass
            if sys.stdin in ready:
                return
            connection, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                attend(connection)
                os._exit(0)
            connection.close()


def reaped() -> bool:
    try:
        return os.waitpid(-1, os.WNOHANG)[0] > 0
    except ChildProcessError:
        return False


def attend(connection: socket.socket) -> None:
    """One command, from its line to its end."""
    with connection.makefile("rw") as lines:
        command = json.loads(lines.readline())
        pid = os.fork()
        if pid == 0:
            os._exit(work(command))
        lines.write(f"{pid}\n")
        lines.flush()
        status = os.waitpid(pid, 0)[1]
        lines.write(f"{os.waitstatus_to_exitcode(status)}\n")


def work(command: dict[str, Any]) -> int:
    """In a process of its own; returns the exit code. streams: a path for each, or null: closed."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # as Python does
    for number in command["ignored"]:
        signal.signal(number, signal.SIG_IGN)
    os.setsid()
    for stream in range(3):
        os.close(stream)
    for stream, (path, mode) in enumerate(zip(command["streams"], MODES, strict=True)):
        if path is not None:
            found = os.open(path, mode, 0o666)
            if found != stream:  # one before it is closed
                os.dup2(found, stream)
                os.close(found)
    sys.stdin, sys.stdout, sys.stderr = (None if path is None else opened(stream)
                                         for stream, path in enumerate(command["streams"]))  # fmt: skip
    os.chdir(command["cwd"])
    os.environ.update(command["env"])
    sys.argv = ["regard", *command["arguments"]]
    return called(command["script"])


def opened(stream: int) -> io.TextIOWrapper:
    raw = io.FileIO(stream, "r" if stream == 0 else "w")
    buffer = io.BufferedReader(raw) if stream == 0 else io.BufferedWriter(raw)
    return io.TextIOWrapper(buffer, write_through=stream == 2)


def called(script: str | None) -> int:
    import regard.cli

    regard.cli.BEGAN = time.monotonic()
    try:
        runpy.run_path(script, run_name="__main__") if script else regard.cli.main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 99
    else:
        code = 0
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:  # as Python does at its end
            code = 120
    return code


if __name__ == "__main__":
    serve(sys.argv[1])
