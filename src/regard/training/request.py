"""What a training was asked for: data, time or steps, the settings that were given, and where it goes."""

import os
import stat
import time
from dataclasses import dataclass, field

from regard.training.settings import Value

DEFAULT_MINUTES = 5.0


@dataclass(frozen=True, kw_only=True)
class Request:
    paths: tuple[str, ...] = ()
    """Files, folders, or "-" for standard input."""
    given: dict[str, Value] = field(default_factory=dict)
    """The settings, `minutes` and `steps` among them, that were not left to the plan."""
    out: str | None = None
    """The run's folder."""
    resume: str | None = None
    """A run to go on with; all that is not said again is taken from it."""
    base: str | None = None
    """A run, or a checkpoint folder of another program, whose weights and tokenizer are the start (--from)."""
    device: str | None = None
    encoding: str | None = None
    skip_bad: bool = False
    text_key: str = "text"
    accept_new_data: bool = False
    fresh: bool = False
    """Begin anew under the next free number, whatever else is there."""
    no_lock: bool = False
    tensorboard: bool = False
    began: float = field(default_factory=time.monotonic)
    """time.monotonic() of the command's start: the clock runs from here."""

    @property
    def streams(self) -> bool:
        """Whether a path is standard input or a pipe, which can be read but once."""
        return any(path == "-" or _is_pipe(path) for path in self.paths)

    @property
    def origin(self) -> str | None:
        """The base's path, the same from any working folder."""
        return None if self.base is None else os.path.abspath(self.base)

    @property
    def minutes(self) -> float | None:
        """None where steps are given instead."""
        return None if "steps" in self.given else float(self.given.get("minutes", DEFAULT_MINUTES))

    @property
    def steps(self) -> int | None:
        return int(self.given["steps"]) if "steps" in self.given else None

    @property
    def task(self) -> str | None:
        """The task that was named; None: what is usually asked of such data."""
        return str(self.given["task"]) if "task" in self.given else None

    @property
    def settings(self) -> dict[str, Value]:
        """What was given of the model and the learning, without its length."""
        return {name: value for name, value in self.given.items() if name not in ("minutes", "steps")}

    @property
    def reading(self) -> dict[str, str | bool | None]:
        """How the data are read: part of what makes a run the same."""
        return {"encoding": self.encoding, "skip_bad": self.skip_bad, "text_key": self.text_key}


def _is_pipe(path: str) -> bool:
    try:
        return stat.S_ISFIFO(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False
