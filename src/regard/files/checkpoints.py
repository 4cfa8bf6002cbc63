"""Finding a whole checkpoint among those of a run, while it may be written to by another process.

Layout and rules: bad-inputs 3.1, 3.3. What is read here came from a disk that may have failed or from a stranger.
"""

import hashlib
import json
import math
import os
import re
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from regard.errors import Notice, RegardError, places
from regard.files import durable

T = TypeVar("T")
Say = Callable[[Notice], None]

COMMIT = "COMMIT.json"
FORMAT = 1
"""Of COMMIT.json. A newer one is refused, an older one read and never rewritten (M16)."""
_TRIES, _PAUSE = 100, 0.01
_STEP = re.compile(r"step-(\d{9,15})")


@dataclass(frozen=True)
class Checkpoint:
    """A folder whose COMMIT.json is whole and whose files have the sizes that it states. `score`: lower is better."""

    step: int
    path: Path
    score: float | None
    files: dict[str, durable.Written]


@dataclass(frozen=True)
class Damage:
    """Why a folder is no checkpoint: which file of it, and what is wrong there."""

    path: Path
    file: str
    why: str

    def __str__(self) -> str:
        return f"{self.path.name}/{self.file} {self.why}"


def folder_of(run: Path | str) -> Path:
    return Path(run) / "ckpt"


def name_of(step: int) -> str:
    return f"step-{step:09d}"


def checkpoints(folder: Path | str) -> list[Checkpoint]:
    """All whole checkpoints of a run (by size), ascending by step."""
    whole, _ = survey(Path(folder))
    return whole


def newest(folder: Path | str, digests: bool = False, say: Say | None = None) -> Checkpoint | None:
    """The last whole checkpoint, or None where none was ever written; resuming asks for `digests`.

    Newer damaged ones are passed over and said (R12). Raises RegardError, listing them, if all are damaged (R13).
    """
    whole, damaged = survey(Path(folder), digests, until_whole=True)
    return _chosen(Path(folder), whole[-1] if whole else None, damaged, say)


def best(folder: Path | str, say: Say | None = None) -> Checkpoint | None:
    """The whole checkpoint with the lowest score, the later of two equal ones; without scores the last."""
    whole, damaged = survey(Path(folder))
    return _chosen(Path(folder), best_of(whole), damaged, say)


def best_of(whole: list[Checkpoint]) -> Checkpoint | None:
    def rank(checkpoint: Checkpoint) -> tuple[float, int]:
        return (math.inf if checkpoint.score is None else checkpoint.score, -checkpoint.step)

    return min(whole, key=rank, default=None)


def read_checkpoint(
    folder: Path | str,
    load: Callable[[Checkpoint], T],
    which: Literal["best", "newest"] = "best",
    digests: bool = False,
    say: Say | None = None,
) -> T:
    """What `load` returns for one whole checkpoint, begun again with another if that one is pruned meanwhile (R23).

    Raises RegardError if there is none, and whatever `load` raises over a checkpoint that is still there.
    """
    for _ in range(_TRIES):
        checkpoint = best(folder, say) if which == "best" else newest(folder, digests, say)
        if checkpoint is None:
            raise RegardError(str(folder), "it has no checkpoint yet", "wait for the first one, or train it")
        try:
            return load(checkpoint)
        except Exception:
            if checkpoint.path.exists():
                raise
    raise RegardError(str(folder), "its checkpoints vanish faster than they can be read", "try again later", 1)


def verify(checkpoint: Checkpoint) -> str | None:
    """None if every file's SHA-256 is the one committed, else which file is not and why."""
    damage = _compare(checkpoint.path, checkpoint.files, digests=True)
    return None if damage is None else str(damage)


def survey(folder: Path, digests: bool = False, until_whole: bool = False) -> tuple[list[Checkpoint], list[Damage]]:
    """(whole, ascending by step; damaged, the newest first); `until_whole` stops at the newest whole one.

    A folder that vanishes while it is looked at was pruned by the writer, so there are newer ones: looks again.
    """
    for _ in range(_TRIES):
        whole: list[Checkpoint] = []
        damaged: list[Damage] = []
        for path in _step_folders(folder):
            found = inspect(path, digests)
            if found is None:
                break
            if isinstance(found, Damage):
                damaged.append(found)
            else:
                whole.append(found)
                if until_whole:
                    return whole, damaged
        else:
            return whole[::-1], damaged
        time.sleep(_PAUSE)
    raise RegardError(str(folder), "its checkpoints vanish faster than they can be read", "try again later", 1)


def inspect(path: Path, digests: bool = False) -> Checkpoint | Damage | None:
    """What a step's folder holds; None if it is not there any more. Raises RegardError for a newer format."""
    found: Checkpoint | Damage
    try:
        found = _committed(path)
        if isinstance(found, Checkpoint):
            found = _compare(path, found.files, digests) or found
    except OSError as error:
        found = Damage(path, Path(error.filename or COMMIT).name, f"cannot be read ({error.strerror})")
    return None if isinstance(found, Damage) and not os.path.lexists(path) else found


def commit_bytes(step: int, score: float | None, files: dict[str, durable.Written]) -> bytes:
    """COMMIT.json: the marker that goes last."""
    described = {name: {"size": file.size, "sha256": file.sha256} for name, file in sorted(files.items())}
    return _sealed({"format": FORMAT, "step": step, "score": score, "files": described})


def _sealed(body: dict[str, Any]) -> bytes:
    """One line of JSON whose last field is the SHA-256 of the rest, so that no bit of it can change unseen."""
    digest = hashlib.sha256(json.dumps(body).encode()).hexdigest()
    return (json.dumps({**body, "sha256": digest}) + "\n").encode()


def _step_folders(folder: Path) -> list[Path]:
    """The newest first."""
    with durable.refusing(folder):
        try:
            names = os.listdir(folder_of(folder))
        except FileNotFoundError:
            return []
    return [folder_of(folder) / name for name in sorted(filter(_STEP.fullmatch, names), key=_number, reverse=True)]


def _number(name: str) -> int:
    return int(name.removeprefix("step-"))


def _committed(path: Path) -> Checkpoint | Damage:
    """COMMIT.json, believed only if it is byte for byte as it was sealed."""
    file = path / COMMIT
    found = os.lstat(file)
    if not stat.S_ISREG(found.st_mode) or found.st_size > 1 << 20:
        return Damage(path, COMMIT, "is no small regular file")
    raw = file.read_bytes()
    try:
        said = json.loads(raw)
        if raw != _sealed({key: said[key] for key in said if key != "sha256"}):
            raise ValueError
        if type(said["format"]) is int and said["format"] > FORMAT:
            do = f"update regard; this one reads formats up to {FORMAT}"
            raise RegardError(str(file), f"a newer regard wrote it (format {said['format']})", do)
        return _checkpoint(path, said)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return Damage(path, COMMIT, "is not as it was written")


def _checkpoint(path: Path, said: dict[str, Any]) -> Checkpoint:
    """Raises whatever Python does (`_committed` knows) where a field is not what regard writes."""
    step, score = said["step"], said["score"]
    files = {name: durable.Written(of["size"], of["sha256"]) for name, of in said["files"].items()}
    right = type(step) is int and step == _number(path.name)
    right = right and (score is None or (type(score) in (int, float) and math.isfinite(score)))
    if not right or not all(_plain_name(name) and type(its.size) is int for name, its in files.items()):
        raise ValueError
    return Checkpoint(step, path, score, files)


def _plain_name(name: str) -> bool:
    return name not in ("", ".", "..", COMMIT) and not set(name) & set("/\\\0")


def _compare(path: Path, files: dict[str, durable.Written], digests: bool) -> Damage | None:
    for name, stated in files.items():
        try:
            found = os.lstat(path / name)
            if not stat.S_ISREG(found.st_mode):
                return Damage(path, name, "is no regular file")
            if found.st_size != stated.size:
                return Damage(path, name, f"has {found.st_size:,} bytes where {stated.size:,} were committed")
            if digests and _sha256(path / name) != stated.sha256:
                return Damage(path, name, "has other content than was committed (SHA-256)")
        except FileNotFoundError:
            return Damage(path, name, "is missing")
    return None


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _chosen(folder: Path, chosen: Checkpoint | None, damaged: list[Damage], say: Say | None) -> Checkpoint | None:
    if chosen is None and (damaged or leftovers(folder, "bad")):
        listed = [str(damage) for damage in damaged] or [path.name for path in leftovers(folder, "bad")]
        do = "nothing was removed; begin anew in another folder with --fresh, or copy a backup back"
        raise RegardError(str(folder), f"every checkpoint is damaged: {places(listed)}", do)
    if damaged and say is not None:
        say(Notice("damaged checkpoint(s) passed over", len(damaged), tuple(str(damage) for damage in damaged)))
    return chosen


def leftovers(folder: Path | str, *kinds: Literal["tmp", "trash", "bad"]) -> list[Path]:
    """What crashes left in ckpt/, sorted: of the kinds given, else unfinished (.tmp-) and half removed (.trash-)."""
    beginnings = tuple(f".{kind}-" for kind in kinds or ("tmp", "trash"))
    with durable.refusing(folder):
        try:
            names = os.listdir(folder_of(folder))
        except FileNotFoundError:
            return []
    return [folder_of(folder) / name for name in sorted(names) if name.startswith(beginnings)]
