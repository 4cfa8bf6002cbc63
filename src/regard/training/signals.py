"""Signals: the first asks to stop after this step, the second stops now; the process then dies of that very signal."""

import os
import signal
import threading
import time
from types import FrameType

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
ECHO = 2.0
"""Seconds in which a launcher passes on the signal that the terminal has given to its whole group already."""


class Stopped(KeyboardInterrupt):
    """Training was asked to stop and has; what is done is saved. `signal` is the number; the text says how to go on."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(text)
        self.signal = number


class Wish:
    """Whether someone asked to stop. As a context it listens; a HUP ignored from the start stays ignored (nohup)."""

    def __init__(self, launched: bool = False) -> None:
        """launched: by torchrun, whose echo of a signal is no second wish."""
        self.signal = 0
        """The number of the signal that came, or 0."""
        self.launched = launched
        self._text: str | None = "stopped before the first step"
        """What is said when a signal leaves at once; None while the loop looks at the wish after each step."""
        self._came = 0.0
        self._before: dict[int, object] = {}

    def __enter__(self) -> "Wish":
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)  # type: ignore[arg-type]

    def after_the_step(self) -> None:
        """From here on a signal only leaves its number."""
        self._text = None

    def at_once(self, text: str) -> None:
        """From here on a signal raises Stopped with this text, wherever it comes; one that has come raises it now."""
        self._text = text
        if self.signal:
            raise Stopped(self.signal, text)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.signal:
            if self.launched and time.monotonic() - self._came < ECHO:
                return
            die_of(number)  # the second one: now
        self.signal, self._came = number, time.monotonic()
        if self._text is not None:
            raise Stopped(number, self._text)


def die_of(number: int) -> None:
    """Ends this process as the signal would have, so that the shell sees why; process 1 exits with 128 + number."""
    if os.getpid() == 1:
        os._exit(128 + number)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
