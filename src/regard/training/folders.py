"""Which folder a training writes to: a new one, one to go on with, or one that is finished; never a stranger's."""

import itertools
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from regard import files
from regard.errors import Notice, RegardError
from regard.training.request import Request
from regard.training.settings import BY_NAME

RUNS = "runs"
CONFIG, DATA, LOG = "config.json", "data.json", "log.jsonl"
FORMAT = 1
"""Of config.json."""
CACHE, LOCK = "cache", ".lock"
OURS = {LOCK, CACHE, "tokenizer.json", DATA}
"""What a run may hold that was killed before its config.json was written; it begins again."""
UNFINISHED = (".tmp-", ".probe-")
"""How the names of files begin that were not renamed to their own names before a kill."""


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
    """Decision 16. source(request, folder) opens the data; streams are kept in, or come from, the folder's cache.

    Raises RegardError for a folder that is no run (R11), other data (R15), other settings (R16), a newer format (M16).
    """
    if request.resume is not None:
        folder = Path(request.resume)
        config = read_config(folder)
        return _go_on(replace(request, **_taken_from(folder, config, request)), folder, config, source)
    if request.out is not None:
        return _named(request, Path(request.out), source)
    if request.streams:  # what they are shows only after reading, which needs a place: see find_same
        return Found(_free(Path(RUNS) / ("stdin" if "-" in request.paths else "pipe"), request.fresh), request)
    opened = source(request, None)
    base = Path(RUNS) / opened.name
    return find_same(request, base, opened) or Found(free := _free(base, request.fresh), request,
                                                     notices=_beside(base, free, request.fresh))  # fmt: skip


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


def length(folder: Path, config: dict[str, Any]) -> tuple[int | None, float | None]:
    """(steps, minutes), one of them None, that the run was last asked for: by its log, else its config.json."""
    lines, _ = files.Log.read(folder / LOG)
    last = next((line for line in reversed(lines) if line.get("kind") == "extended"), config)
    return last.get("steps"), last.get("minutes")


def sweep(folder: Path) -> Notice | None:
    """Removes the files that a kill left under passing names; the lock's holder only. Says which (R24)."""
    left = [p for place in (folder, folder / CACHE) if place.is_dir() for p in sorted(place.iterdir())
            if p.name.startswith(UNFINISHED)]  # fmt: skip
    for path in left:
        files.durable.discard(path)
    return Notice("unfinished file(s) removed", len(left), tuple(p.name for p in left)) if left else None


def _taken_from(folder: Path, config: dict[str, Any], request: Request) -> dict[str, Any]:
    steps, minutes = length(folder, config)
    given = {**config["given"], **request.given}
    if not {"steps", "minutes"} & request.given.keys():
        given.update({"minutes": minutes} if steps is None else {"steps": steps})
    if "steps" in request.given:
        given.pop("minutes", None)
    if "minutes" in request.given:
        given.pop("steps", None)
    reading = {k: v for k, v in config["reading"].items() if getattr(request, k) in (None, False, "text")}
    return {
        "given": given,
        "paths": request.paths or tuple(config["paths"]),
        "base": config["from"] if request.base is None else request.base,
        **reading,
    }


def _named(request: Request, folder: Path, source: Callable[[Request, Path | None], Source]) -> Found:
    if _is_new(folder):
        return Found(folder, request)
    if not (folder / CONFIG).exists():
        raise RegardError(str(folder), "this folder is not empty and is not a run", "name another folder with --out")
    if request.fresh:
        raise RegardError("--fresh", f"{folder} is a run already", "name a folder with --out that is not there yet")
    return _go_on(request, folder, read_config(folder), source)


def _is_new(folder: Path) -> bool:
    """Nothing is there, or only what a run left that never began: its lock came first, so that it is known by it."""
    if not os.path.lexists(folder):
        return True
    if not folder.is_dir():
        raise RegardError(str(folder), "this is a file", "name another folder with --out")
    names = {name for name in os.listdir(folder) if not name.startswith(UNFINISHED)}
    return not names or (LOCK in names and names <= OURS)


def _go_on(request: Request, folder: Path, config: dict[str, Any],
           source: Callable[[Request, Path | None], Source]) -> Found:  # fmt: skip
    """A named run: the same settings, the same data, perhaps a longer training."""
    _check_settings(request, folder, config)
    notices: list[Notice] = []
    gone = [] if request.resume is None else [p for p in request.paths if p != "-" and not os.path.lexists(p)]
    if gone:
        notices.append(Notice("data path(s) gone; going on from the run's own tokens", len(gone), tuple(gone)))
    else:
        opened = source(request, None if request.resume is None else folder)
        changed = opened.differs(json.loads((folder / DATA).read_bytes()))
        if changed is not None and not request.accept_new_data:
            raise RegardError(str(folder), f"the data are not what it was trained on: {changed}",
                              "restore them, choose another --out, or give --accept-new-data")  # fmt: skip
        if changed is not None:
            notices.append(Notice("change in the data since the run began; its own tokens used", 1, (changed,)))
    end = is_finished(folder)
    finished = end is not None and not _is_longer(request, end)
    return Found(folder, request, resumed=True, finished=finished, notices=tuple(notices))


def _is_longer(request: Request, end: dict[str, Any]) -> bool:
    if request.steps is not None:
        return request.steps > (end.get("steps") or 0)
    return (request.minutes or 0.0) > (end.get("minutes") or 0.0)


def _check_settings(request: Request, folder: Path, config: dict[str, Any]) -> None:
    """R16: what was given before is given again (--resume takes it from the run), and nothing else than was used."""
    before = {k: v for k, v in config["given"].items() if k not in ("minutes", "steps")}
    for name in sorted(before.keys() | request.settings.keys()):
        old, new = before.get(name, config["settings"].get(name)), request.settings.get(name)
        if old != new:
            what = f"{folder} was begun with {old}, " + ("and now it is not given" if new is None else f"not {new}")
            raise RegardError(BY_NAME[name].option, what, "give the old value or choose another --out")
    if request.origin != config["from"]:
        what = f"{folder} was begun from {config['from'] or 'random weights'}"
        raise RegardError("--from", what, "give the same or choose another --out")
    if (request.steps is None) != (config["steps"] is None):
        kind = "minutes" if config["steps"] is None else "steps"
        raise RegardError("--minutes or --steps", f"{folder} was begun with {kind}", f"give --{kind}")


def find_same(request: Request, base: Path, source: Source) -> Found | None:
    """The run among NAME, NAME-2, NAME-3 ... that is this very training."""
    if request.fresh or not base.parent.is_dir():
        return None
    fingerprint = source.fingerprint()
    numbered = re.compile(re.escape(base.name) + r"(?:-([1-9]\d{0,8}))?")
    found = [(int(match[1] or 1), name) for name in os.listdir(base.parent) if (match := numbered.fullmatch(name))]
    for _, name in sorted(found):
        folder = base.with_name(name)
        if _is_same(request, folder, fingerprint):
            return Found(folder, request, resumed=True, finished=is_finished(folder) is not None)
    return None


def _free(base: Path, fresh: bool) -> Path:
    """The first of NAME, NAME-2, NAME-3 ... where nothing is, or only what a run left that never began."""
    for number in itertools.count(1):
        folder = base if number == 1 else base.with_name(f"{base.name}-{number}")
        if not os.path.lexists(folder) or (not fresh and folder.is_dir() and _is_new(folder)):
            return folder
    raise AssertionError("numbers do not end")


def _beside(base: Path, free: Path, fresh: bool) -> tuple[Notice, ...]:
    """Why a new run has a number, unless that was asked for."""
    if fresh or free == base:
        return ()
    what = f"run of that name has other data or settings: this is a new one; go on with it by --resume {base}"
    return (Notice(what, 1),)


def _is_same(request: Request, folder: Path, fingerprint: dict[str, Any]) -> bool:
    try:
        config = read_config(folder)
        data = json.loads((folder / DATA).read_bytes())
    except (RegardError, OSError, ValueError):
        return False
    same = config["given"] == request.given and config["from"] == request.origin
    return bool(same and config["reading"] == request.reading and data == fingerprint)
