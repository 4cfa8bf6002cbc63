"""Signals: the first asks to stop after this step, the second stops now; the process then dies of that very signal."""

import os
import signal
import threading
from types import FrameType

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Stopped(KeyboardInterrupt):
    """Training was asked to stop and has; what is done is saved. `signal` is the number; the text says how to go on."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(text)
        self.signal = number


class Wish:
    """Whether someone asked to stop. As a context it listens; a HUP ignored from the start stays ignored (nohup)."""

    def __init__(self) -> None:
        self.signal = 0
        """The number of the signal that came, or 0."""
        self.defer = False
        """True while the loop looks at the wish after each step; else the first signal leaves at once."""
        self._before: dict[int, object] = {}

    def __enter__(self) -> "Wish":
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._came)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _came(self, number: int, frame: FrameType | None) -> None:
        if self.signal:  # the second one: now
            die_of(number)
        self.signal = number
        if not self.defer:
            raise Stopped(number, "stopped before the first step")


def die_of(number: int) -> None:
    """Ends this process as the signal would have, so that the shell sees why; process 1 exits with 128 + number."""
    if os.getpid() == 1:
        os._exit(128 + number)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
