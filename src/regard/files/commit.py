"""Writing a checkpoint so that, killed at any instant, a run has the one before or this one, whole.

The steps are those of bad-inputs 3.2, in their order; one process does this, holding the run's lock.
"""

import errno
import math
import os
from collections.abc import Mapping
from pathlib import Path

from regard.errors import Notice, RegardError
from regard.files import durable
from regard.files.checkpoints import (
    COMMIT,
    Checkpoint,
    Damage,
    Say,
    best_of,
    checkpoints,
    commit_bytes,
    folder_of,
    inspect,
    leftovers,
    name_of,
    survey,
)
from regard.files.header import read_safetensors_header
from regard.files.lock import holds
from regard.files.log import Log

RESERVE = 64 << 20
"""Bytes that a checkpoint leaves free on the disk for what else is written there."""
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


def commit_checkpoint(
    folder: Path | str,
    step: int,
    files: Mapping[str, durable.Content],
    score: float | None,
    log: Log | None = None,
    *,
    final: bool = False,
    say: Say | None = None,
) -> Path | None:
    """The path of the committed checkpoint, or None if the disk refused (said, R7, R9): try again at a later step.

    `files` may not use COMMIT.json's name; `score` is a loss, lower is better. A whole checkpoint of this step is kept
    as it is. The log is fsynced before the commit and told of it after. At the end of a run (`final`) a full disk
    costs all checkpoints but the newest (R8), and what still fails raises RegardError (code 1).
    """
    folder = Path(folder)
    if score is not None and not math.isfinite(score):
        raise RegardError(str(folder), f"step {step} has the score {score}", "no spoiled state is kept", 1)
    try:
        return _attempt(folder, step, files, score, log, say, RESERVE)
    except OSError as error:
        failure = error
    if not final:
        if say is not None:
            say(Notice(f"checkpoint skipped, step {step}: {_words(failure, folder, files)}", 1))
        return None
    try:
        if failure.errno in _NO_SPACE:
            prune(folder, newest=1, best=False)
        return _attempt(folder, step, files, score, log, say, 0)
    except OSError as error:
        good = checkpoints(folder)
        last = f"the last good step is {good[-1].step}" if good else "there is no checkpoint"
        what = f"step {step} could not be saved: {_words(error, folder, files)}; {last}"
        raise RegardError(str(folder), what, "free some space and give the same command again", 1) from error


def _attempt(
    folder: Path,
    step: int,
    files: Mapping[str, durable.Content],
    score: float | None,
    log: Log | None,
    say: Say | None,
    reserve: int,
) -> Path:
    """Raises OSError, with nothing changed but leftovers that could not be removed."""
    ckpt = durable.make_folder(folder_of(folder))
    durable.sync_folder(folder)
    target = ckpt / name_of(step)
    if isinstance(inspect(target, digests=True), Checkpoint):
        durable.sync_folder(ckpt)  # its rename may be of a process that was killed before this
        return target
    _make_room(folder, files, reserve)
    _stage(target, step, files, score, log)
    durable.sync_folder(ckpt)
    damage = _reopened(target)
    if damage is not None:
        _move_aside(target, "bad")
        raise OSError(errno.EIO, f"{damage} when read back")
    if log is not None:
        log.append({"kind": "checkpoint", "step": step, "score": score})
    try:
        prune(folder)
    except OSError as error:  # the new one is safe, the old ones only cost space
        if say is not None:
            say(Notice(f"failure to remove older checkpoints: {durable.refusal('', error).what}", 1))
    return target


def _stage(target: Path, step: int, files: Mapping[str, durable.Content], score: float | None, log: Log | None) -> None:
    """Steps 2 to 6: everything below a name that no reader takes, then one rename."""
    staging = durable.unused(target.parent, f"tmp-{target.name}")
    try:
        durable.mkdir(staging)
        written = {name: durable.create(staging / name, content) for name, content in files.items()}
        durable.create(staging / COMMIT, commit_bytes(step, score, written))
        durable.sync_folder(staging)
        if log is not None:
            log.sync()  # so that a committed step's losses are never missing
        if os.path.lexists(target):  # then it is damaged
            _move_aside(target, "bad")
        durable.rename(staging, target)  # the commit
    except Exception:
        durable.discard(staging)
        raise


def _make_room(folder: Path, files: Mapping[str, durable.Content], reserve: int) -> None:
    needed = _expected(folder, files)
    if reserve:
        needed += needed // 10 + reserve
    free = durable.free_bytes(folder)
    if free is not None and free < needed:
        prune(folder)
        free = durable.free_bytes(folder)
        if free is not None and free < needed:
            what = f"it needs {needed:,} bytes, {free:,} are free, {needed - free:,} are missing"
            raise OSError(errno.ENOSPC, what)


def _expected(folder: Path, files: Mapping[str, durable.Content]) -> int:
    """Bytes: of what is in memory its own size (`SafetensorsContent` has one), of the rest the size last time."""
    before = checkpoints(folder)
    last = {name: file.size for name, file in before[-1].files.items()} if before else {}
    sizes = (
        len(content) if isinstance(content, bytes) else int(getattr(content, "size", last.get(name, 0)))
        for name, content in files.items()
    )
    return sum(sizes)


def _reopened(target: Path) -> Damage | None:
    """Step 8: sizes, and the headers of its tensors."""
    found = inspect(target)
    if not isinstance(found, Checkpoint):
        return found
    for name in found.files:
        if name.endswith(".safetensors"):
            try:
                read_safetensors_header(target / name)
            except RegardError as error:
                return Damage(target, name, error.what)
    return None


def prune(folder: Path | str, newest: int = 2, best: bool = True) -> list[Path]:
    """Removes all whole checkpoints but the best and the newest two; returns what was removed. Raises OSError.

    Out of the readers' sight first, by one rename each, and that on the disk before any file goes: else a power loss
    could leave a step's name with half its files.
    """
    whole = checkpoints(folder)
    kept = {checkpoint.step for checkpoint in whole[-newest:]}
    top = best_of(whole)
    if best and top is not None:
        kept.add(top.step)
    going = [checkpoint.path for checkpoint in whole if checkpoint.step not in kept]
    trash = [_move_aside(path, "trash") for path in going]
    if trash:
        durable.sync_folder(folder_of(folder))
    for path in trash:
        durable.remove_tree(path)
    return going


def set_aside_damaged(folder: Path | str, digests: bool = True, say: Say | None = None) -> list[Path]:
    """Renames damaged checkpoints newer than the newest whole one to .bad-..., for a resume (R12).

    For the lock's holder only. Does nothing if no whole one is left: `newest` then refuses and lists them (R13).
    Returns the new paths.
    """
    folder = Path(folder)
    assert holds(folder), "only the lock's holder may rename checkpoints"
    whole, damaged = survey(folder, digests, until_whole=True)
    if not whole or not damaged:
        return []
    with durable.refusing(folder):
        moved = [_move_aside(damage.path, "bad") for damage in damaged]
        durable.sync_folder(folder_of(folder))
    if say is not None:
        named = tuple(f"{damage}, kept as {path.name}" for damage, path in zip(damaged, moved, strict=True))
        say(Notice("damaged checkpoint(s) set aside", len(moved), named))
    return moved


def remove_leftovers(folder: Path | str, say: Say | None = None) -> list[Path]:
    """Removes and lists what crashes left (.tmp-, .trash-); the lock's holder only (R24)."""
    assert holds(Path(folder)), "only the lock's holder may remove leftovers"
    found = leftovers(folder)
    with durable.refusing(folder):
        for path in found:
            durable.remove_tree(path) if path.is_dir() and not path.is_symlink() else durable.remove(path)
    if found and say is not None:
        say(Notice("leftover(s) of an interrupted run removed", len(found), tuple(path.name for path in found)))
    return found


def _move_aside(path: Path, kind: str) -> Path:
    aside = durable.unused(path.parent, f"{kind}-{path.name}")
    durable.rename(path, aside)
    return aside


def _words(error: OSError, folder: Path, files: Mapping[str, durable.Content]) -> str:
    if error.errno is not None and error.strerror != os.strerror(error.errno):
        return str(error.strerror)  # our own words, from above
    said = durable.refusal(folder, error).what
    if error.errno not in _NO_SPACE:
        return said
    return f"{said}: it needs {_expected(folder, files):,} bytes, {durable.free_bytes(folder) or 0:,} are free"
