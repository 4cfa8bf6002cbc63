"""The server of the page: a socket, one address with a token, the browser, an end within two seconds (W1-W3, W17)."""

import asyncio
import errno
import html
import logging
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import threading
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from ipaddress import ip_address
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn

from regard.errors import RegardError
from regard.page.guard import EVERYWHERE, MOST_HEAD, Fault
from regard.page.protocol import careful
from regard.page.routes import application
from regard.page.studio import Studio

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
WAITING = 4096
"""Connections that may wait to be taken: were it few, a crowd would fill it, and the page's own would be dropped."""
AT_ONCE = 64
"""Of these, how many are taken in one turn."""
FILES = 4096
"""Open files that are asked for: some systems allow 256 unless asked."""
MOST_FAULTS = 100
"""Different sentences about faults of ours; more would only fill the terminal."""

Say = Callable[[str], object]


class Ended(KeyboardInterrupt):
    """A signal ended the page; `signal` is its number, of which the process then dies."""

    def __init__(self, number: int) -> None:
        super().__init__("the page has ended")
        self.signal = number


def serve(
    studio: Studio, *, host: str = "127.0.0.1", port: int = 0, open_browser: bool = True, say: Say = print, at: str = ""
) -> None:
    """Serves the page until a signal comes, and then raises KeyboardInterrupt. Says its one address.

    port: 0 for a free one. at: the state in which the page opens, as its address has it. Raises RegardError for a port
    that is taken and an address that is not this machine's.
    """
    with ExitStack() as stack:
        stack.callback(studio.worker.join, 1.0)  # a thread inside torch while Python ends would end it by SIGABRT
        stack.callback(studio.stop)
        _allow_files()
        listening = stack.enter_context(bind(host, port))
        found, port = listening.getsockname()[:2]
        host = found if ip_address(found.partition("%")[0]).is_unspecified else host  # "0" is everywhere, too
        token = secrets.token_urlsafe(32)  # 256 bits
        server = server_of(studio, host, port, token, say)
        came = stack.enter_context(_ended_by_signals(server))
        if not ip_address(listening.getsockname()[0].partition("%")[0]).is_loopback:
            say(f"it listens on {host}: whoever reaches that and has the address below sees this run, unencrypted")
        address = f"http://{_opens(host)}:{port}/#token={token}{at and f'&{at}'}"
        say(address)
        if open_browser and _has_screen():
            stack.enter_context(_opened(address))
        asyncio.run(server.serve(sockets=[listening]))
    if came:
        raise KeyboardInterrupt if came[0] == signal.SIGINT else Ended(came[0])


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens already, so that nobody else takes the port before the first request."""
    if not 0 <= port < 1 << 16:
        raise RegardError("--port", f"{port} is none", "choose one from 1 to 65535, or leave it out for a free one")
    try:
        family, kind, _, _, address = socket.getaddrinfo(host or "?", port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError):
        raise _refusal(errno.EADDRNOTAVAIL, host, port) from None
    found = socket.socket(family, kind)
    try:
        if os.name == "posix":  # else a port that was just used stays taken for a minute; Windows would share it
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(WAITING)
    except OSError as error:
        found.close()
        raise _refusal(error.errno, host, port) from None
    return found


def _allow_files() -> None:
    with suppress(ImportError, OSError, ValueError):  # no POSIX, or not allowed: then it is as it was
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
        if 0 <= soft < most:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _refusal(number: int | None, host: str, port: int) -> RegardError:
    if number == errno.EADDRNOTAVAIL:
        do = "leave it out for this machine alone"
        return RegardError("--host", f"{host[:60]!r} is no address of this machine", do)
    what = {errno.EADDRINUSE: "is in use", errno.EACCES: "needs rights that you do not have"}
    said = what.get(number or 0, f"cannot be used ({os.strerror(number or 0)})")
    return RegardError("--port", f"{port} {said}", "choose another, or leave it out for a free one")


def _opens(host: str) -> str:
    """What a browser on this machine opens."""
    if host in EVERYWHERE:
        return "127.0.0.1" if host == "0.0.0.0" else "[::1]"
    return f"[{host}]" if ":" in host else host


# uvicorn


class Server(uvicorn.Server):
    """uvicorn's, which leaves signals to others and ends the studio's work before it waits for connections."""

    def __init__(self, config: uvicorn.Config, studio: Studio, fault: Fault) -> None:
        super().__init__(config)
        self.studio, self.fault = studio, fault

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().set_exception_handler(self._went_wrong)
        await super().startup(sockets)
        for one in sockets or ():
            one.listen(WAITING)  # uvicorn made the queue as short as what it takes at once

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.studio.stop()
        await super().shutdown(sockets)

    def _went_wrong(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, BaseException):
            self.fault(error)


def server_of(studio: Studio, host: str, port: int, token: str, say: Say = print, **limits: Any) -> Server:
    """The server for a socket that listens already. limits: of its connections (protocol.py)."""
    fault = _Faults(say)
    studio.worker.fault = fault
    app = application(studio, host=host, port=port, token=token, fault=fault)
    config = uvicorn.Config(
        app, http=careful(token, **limits), ws="none", loop="asyncio", lifespan="off", workers=1, backlog=AT_ONCE,
        log_config=None, log_level=logging.CRITICAL, access_log=False, proxy_headers=False, server_header=False,
        date_header=False, h11_max_incomplete_event_size=MOST_HEAD, timeout_graceful_shutdown=1,
    )  # fmt: skip
    return Server(config, studio, fault)


class _Faults:
    """Says what went wrong through a fault of ours, each sentence once."""

    def __init__(self, say: Say) -> None:
        self._say, self._known = say, set[str]()

    def __call__(self, error: BaseException) -> None:
        what = f"this is a fault of regard ({type(error).__name__}: {error})"
        known = isinstance(error, RegardError)
        sentence = str(error if known else RegardError("page", what, "please report it", 1))
        if sentence not in self._known and len(self._known) < MOST_FAULTS:
            self._known.add(sentence)
            self._say(sentence)


@contextmanager
def _ended_by_signals(server: Server) -> Iterator[list[int]]:
    """Signals only ask the server to end, a second one without waiting. A HUP ignored from the start stays so (nohup).

    The list has those that came.
    """
    came: list[int] = []

    def receive(number: int, frame: FrameType | None) -> None:
        server.should_exit, server.force_exit = True, bool(came)
        came.append(number)

    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in (getattr(signal, name) for name in SIGNALS if hasattr(signal, name)):
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, receive)
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


# the browser


@contextmanager
def _opened(address: str) -> Iterator[None]:
    """Opens the browser on a private file that leads to the address: so its token stands on no command line (W3)."""
    with ExitStack() as stack:
        with suppress(OSError):  # the address was said: whoever has no room for a file can still open it
            folder = tempfile.mkdtemp(prefix="regard-")  # 0700
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            file = Path(folder) / "open.html"
            with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as leading:
                leading.write(_leading_to(address))
            threading.Thread(target=webbrowser.open, args=(file.as_uri(),), daemon=True).start()
        yield


def _leading_to(address: str) -> str:
    where = html.escape(address)
    return (
        '<!doctype html>\n<meta charset="utf-8">\n<meta name="referrer" content="no-referrer">\n'
        f'<meta http-equiv="refresh" content="0;url={where}">\n<title>regard</title>\n'
        f'<a href="{where}">open regard</a>\n'
    )


def _has_screen() -> bool:
    """Without one a text browser would take the terminal."""
    named = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
    return named or sys.platform in ("darwin", "win32")
