"""Which folder a training writes to: a new one, one to go on with, or one that is finished; never a stranger's."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from regard import files
from regard.errors import Notice, RegardError
from regard.training.request import Request

RUNS = "runs"
CONFIG, DATA, LOG = "config.json", "data.json", "log.jsonl"
FORMAT = 1
"""Of config.json."""
OURS = {".lock", "cache", "tokenizer.json", DATA, LOG}
"""What a run holds that was killed before its config.json was written; it begins again."""


class Source(Protocol):
    """Of a source of data, what tells whether it is the same as before."""

    @property
    def name(self) -> str: ...

    def fingerprint(self) -> dict[str, Any]: ...

    def differs(self, fingerprint: dict[str, Any]) -> str | None: ...


@dataclass(frozen=True)
class Found:
    folder: Path
    request: Request
    """With what --resume took from the run."""
    resumed: bool = False
    finished: bool = False
    notices: tuple[Notice, ...] = ()


def find_folder(request: Request, source: Callable[[Request, Path | None], Source]) -> Found:
    """Decision 16. source(request, folder) opens the data, spooling standard input into the folder's cache.

    Raises RegardError for a folder that is no run (R11), other data (R15), other settings (R16), a newer format (M16).
    """
    if request.resume is not None:
        folder = Path(request.resume)
        config = read_config(folder)
        return _go_on(replace(request, **_taken_from(config, request)), folder, config, source)
    if request.out is not None:
        return _named(request, Path(request.out), source)
    if request.paths == ("-",):  # who it is shows only after reading; --resume goes on with it
        return Found(_unused(Path(RUNS) / "stdin"), request)
    opened = source(request, None)
    return _numbered(request, Path(RUNS) / opened.name, opened)


def read_config(folder: Path) -> dict[str, Any]:
    """A run's config.json. Raises RegardError where there is none, or one of a newer regard."""
    path = folder / CONFIG
    try:
        config = json.loads(path.read_bytes())
        version = config["format"]
    except FileNotFoundError:
        what = "this is not a run, as it has no config.json" if folder.is_dir() else "there is no such folder"
        raise RegardError(str(folder), what, "name the folder of a run; `regard info runs/` lists them") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RegardError(
            str(path), f"it cannot be read ({type(error).__name__})", "name the folder of a run"
        ) from None
    if not isinstance(version, int) or version > FORMAT:
        newer = config.get("versions", {}).get("regard", "the newest")
        raise RegardError(
            str(path), f"it was written by a newer regard (format {version})", f"install regard {newer} or newer"
        )
    return dict(config)


def is_finished(folder: Path) -> dict[str, Any] | None:
    """The log's last `finished` line, if nothing was trained after it."""
    lines, _ = files.Log.read(folder / LOG)
    ends = [line for line in lines if line.get("kind") in ("finished", "step", "extended")]
    return ends[-1] if ends and ends[-1]["kind"] == "finished" else None


def _taken_from(config: dict[str, Any], request: Request) -> dict[str, Any]:
    given = {**config["given"], **request.given}
    if "steps" in request.given:
        given.pop("minutes", None)
    if "minutes" in request.given:
        given.pop("steps", None)
    reading = {k: v for k, v in config["reading"].items() if getattr(request, k) in (None, False, "text")}
    return {
        "given": given,
        "paths": request.paths or tuple(config["paths"]),
        "base": request.base or config["from"],
        **reading,
    }


def _named(request: Request, folder: Path, source: Callable[[Request, Path | None], Source]) -> Found:
    if _is_new(folder):
        return Found(folder, request)
    if not (folder / CONFIG).exists():
        raise RegardError(str(folder), "this folder is not empty and is not a run", "name another folder with --out")
    return _go_on(request, folder, read_config(folder), source)


def _is_new(folder: Path) -> bool:
    """Nothing is there, or only what a run left that never began."""
    if not os.path.lexists(folder):
        return True
    if not folder.is_dir():
        raise RegardError(str(folder), "this is a file", "name another folder with --out")
    return set(os.listdir(folder)) <= OURS


def _go_on(request: Request, folder: Path, config: dict[str, Any],
           source: Callable[[Request, Path | None], Source]) -> Found:  # fmt: skip
    """A named run: the same settings, the same data, perhaps a longer training."""
    _check_settings(request, folder, config)
    notices: list[Notice] = []
    if request.paths != ("-",):
        fingerprint = json.loads((folder / DATA).read_bytes())
        missing = [p for p in request.paths if not os.path.lexists(p)]
        if missing and request.resume is not None:
            notices.append(
                Notice("data paths are gone; going on from the run's own tokens", len(missing), tuple(missing))
            )
        elif (changed := source(request, folder).differs(fingerprint)) is not None:
            if not request.accept_new_data:
                raise RegardError(str(folder), f"the data are not what it was trained on: {changed}",
                                  "restore them, choose another --out, or give --accept-new-data")  # fmt: skip
            notices.append(Notice("data files changed since the run began; its own tokens are used", 1, (changed,)))
    end = is_finished(folder)
    longer = end is not None and (end.get("minutes"), end.get("steps")) != (request.minutes, request.steps)
    return Found(folder, request, resumed=True, finished=end is not None and not longer, notices=tuple(notices))


def _check_settings(request: Request, folder: Path, config: dict[str, Any]) -> None:
    before = {k: v for k, v in config["given"].items() if k not in ("minutes", "steps")}
    for name in sorted(before.keys() | request.settings.keys()):
        old, new = config["settings"].get(name), request.settings.get(name, config["settings"].get(name))
        if old != new:
            raise RegardError(f"--{name.replace('_', '-')}", f"{folder} was begun with {old}, not {new}",
                              "give the old value or choose another --out")  # fmt: skip
    if request.base != config["from"]:
        raise RegardError(
            "--from", f"{folder} was begun from {config['from']}", "give the same or choose another --out"
        )
    if (request.steps is None) != (config["steps"] is None):
        kind = "minutes" if config["steps"] is None else "steps"
        raise RegardError("--minutes or --steps", f"{folder} was begun with {kind}", f"give --{kind}")


def _numbered(request: Request, base: Path, source: Source) -> Found:
    """The first of NAME, NAME-2, NAME-3 ... that is this very training, or is free."""
    fingerprint = source.fingerprint()
    for number in range(1, 100_000):
        folder = base if number == 1 else base.with_name(f"{base.name}-{number}")
        if not os.path.lexists(folder) or (folder.is_dir() and not request.fresh and _is_new(folder)):
            return Found(folder, request)
        if not request.fresh and _is_same(request, folder, fingerprint):
            return Found(folder, request, resumed=True, finished=is_finished(folder) is not None)
    raise RegardError(str(base), "a hundred thousand runs have this name", "choose one with --out")


def _is_same(request: Request, folder: Path, fingerprint: dict[str, Any]) -> bool:
    try:
        config = read_config(folder)
        data = json.loads((folder / DATA).read_bytes())
    except (RegardError, OSError, ValueError):
        return False
    same = config["given"] == request.given and config["from"] == request.base and config["reading"] == request.reading
    return bool(same and data == fingerprint)


def _unused(base: Path) -> Path:
    number = 1
    folder = base
    while os.path.lexists(folder):
        number += 1
        folder = base.with_name(f"{base.name}-{number}")
    return folder
