"""log.jsonl: one JSON object a line, only ever appended, readable whatever instant it was cut off at."""

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from regard.errors import Notice
from regard.files import durable


class Log:
    """The log of a run, opened for appending by the holder of the run's lock.

    `torn` is the Notice of a last line that a crash had cut and that was dropped on opening, or None (R14).
    Raises RegardError where the file cannot be opened.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._waiting = b""  # lines that the disk would not take; they go out with the next one
        self._whole: int | None = None  # bytes up to a half line that the disk took before it refused
        with durable.refusing(self.path):
            self._descriptor: int | None = durable.open_to_append(self.path)
            durable.sync_folder(self.path.parent)
            self.torn = self._mend()

    def append(self, line: Mapping[str, Any]) -> None:
        """Adds one line; NaN and infinities become null, as JSON has none.

        A disk that is full does not end a training (R7): the line waits in memory, and `sync` raises until it is out.
        """
        text = json.dumps(_plain(line), allow_nan=False, separators=(", ", ": "))  # ASCII, so no line end inside
        self._waiting += text.encode() + b"\n"
        try:
            self._flush()
        except OSError:
            return

    def resume_from(self, step: int) -> None:
        """Says that the lines of later steps are superseded; `last_attempt` leaves them out."""
        self.append({"kind": "resume", "step": step})

    def sync(self) -> None:
        """Brings every line to the disk; raises OSError, also for a line that is still waiting."""
        if self._descriptor is not None:
            self._flush()
            durable.sync(self._descriptor, self.path)

    def close(self) -> None:
        """Raises RegardError if lines could not be written."""
        if self._descriptor is None:
            return
        try:
            with durable.refusing(self.path):
                self._flush()
        finally:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    @staticmethod
    def read(path: Path | str) -> tuple[list[dict[str, Any]], Notice | None]:
        """(lines, what was dropped); no file is an empty log. Takes no lock; raises RegardError if the disk refuses."""
        with durable.refusing(path):
            try:
                raw = Path(path).read_bytes()
            except FileNotFoundError:
                return [], None
        lines = [(number, _parsed(line)) for number, line in enumerate(raw.split(b"\n"), start=1) if line]
        bad = tuple(f"{Path(path).name}:{number}" for number, line in lines if line is None)
        dropped = Notice("torn line(s) of the log left out", len(bad), bad) if bad else None
        return [line for _, line in lines if line is not None], dropped

    def _flush(self) -> None:
        if not self._waiting or self._descriptor is None:
            return
        if self._whole is not None:  # half a line would spoil the next one
            durable.truncate(self._descriptor, self._whole, self.path)
        self._whole = os.fstat(self._descriptor).st_size
        durable.write_all(self._descriptor, self._waiting, self.path)  # one write, unless the disk takes less
        self._waiting, self._whole = b"", None

    def _mend(self) -> Notice | None:
        """Ends the last line: with the line feed it lacks if it is whole, else by dropping it."""
        assert self._descriptor is not None
        with open(self.path, "rb") as file:
            raw = file.read()
        start = raw.rfind(b"\n") + 1
        last = raw[start:]
        if not last:
            return None
        if _parsed(last) is not None:
            durable.write_all(self._descriptor, b"\n", self.path)
            return None
        durable.truncate(self._descriptor, start, self.path)
        number = raw.count(b"\n") + 1
        return Notice("torn last line of the log dropped", 1, (f"{self.path.name}:{number}",))


def last_attempt(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The lines without those of steps that a later resume took again (R14); lines without a step stay."""
    kept: list[dict[str, Any]] = []
    for line in lines:
        if line.get("kind") == "resume" and isinstance(line.get("step"), int):
            kept = [old for old in kept if not (isinstance(old.get("step"), int) and old["step"] > line["step"])]
        kept.append(line)
    return kept


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
