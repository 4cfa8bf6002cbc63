"""The three streams: UTF-8 whatever the locale says, safe on a terminal, exact in a pipe, quiet where nobody reads."""

import json
import math
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, TextIO

from regard.columns import broken, on_terminal
from regard.errors import RegardError, printable


def prepare(dies_of_closed_pipe: bool) -> None:
    """Before anything is printed (C6). dies_of_closed_pipe: `| head` ends the process quietly, by its signal (C5)."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    if dies_of_closed_pipe and hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)


def say(text: str) -> None:
    """A text and a line end on standard output."""
    write(text.rstrip("\n") + "\n")


def answer(result: Mapping[str, Any]) -> None:
    """One JSON object on a line of its own. On a terminal all but ASCII is escaped, so that no sign acts on it."""
    write(json.dumps(plain(result), ensure_ascii=on_terminal(sys.stdout), allow_nan=False) + "\n")


def write(text: str) -> None:
    """Exactly this, at once; nowhere if nobody reads. Raises RegardError if the disk behind standard output refuses."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:  # only a training comes here (prepare): what it has done is done
        _silence(sys.stdout)
    except OSError as error:
        _silence(sys.stdout)
        what = f"it cannot be written ({error.strerror})"
        raise RegardError("standard output", what, "send it elsewhere", 1) from error


def _silence(stream: TextIO) -> None:
    """What is still waiting to be written goes nowhere, so that leaving does not fail once more."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def tell(sentence: str, apart: bool = False) -> None:
    """A sentence on standard error, if anyone listens there; apart: from what a terminal's line holds already."""
    if sys.stderr is None:
        return
    try:
        above = "\n" * (apart and on_terminal(sys.stderr))
        sys.stderr.write(above + broken(f"regard: {sentence}", sys.stderr) + "\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        _silence(sys.stderr)


def shown(text: str) -> str:
    r"""Generated text for standard output: control characters as \x1b on a terminal, exact in a pipe (T18)."""
    return "\n".join(map(printable, text.split("\n"))) if on_terminal(sys.stdout) else text


def asked_lines() -> Iterator[bytes]:
    """Lines that a person types, or that come through a pipe, without their ends."""
    if sys.stdin is None:
        raise RegardError("standard input", "it is closed", "name a prompt")
    asking = on_terminal(sys.stdin)
    while True:
        if asking:
            _ask("prompt: ")
        line = sys.stdin.buffer.readline()
        if not line:
            if asking:
                _ask("\n")
            return
        yield line.removesuffix(b"\n").removesuffix(b"\r")


def _ask(text: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(text)
        sys.stderr.flush()


def utf8(raw: bytes | str, where: str) -> str:
    """The text. A command's argument may hold bytes that the locale could not read; they are UTF-8, or refused."""
    if isinstance(raw, str):
        try:
            raw.encode()
            return raw
        except UnicodeEncodeError:
            raw = os.fsencode(raw)
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        what = f"byte {error.start + 1} is not UTF-8"
        raise RegardError(where, what, "write it in UTF-8") from None


def plain(value: Any) -> Any:
    """For JSON, which has neither NaN nor infinities: they become null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value
