"""Files and folders that appear whole or not at all, and never in place of something that was not meant."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

from regard.errors import RegardError
from regard.files import durable


def write(path: Path | str, data: durable.Content, overwrite: bool = False) -> durable.Written:
    """Writes a file beside and renames it to its name; until then an old one of that name stays as it was (C10).

    Returns size and SHA-256. Raises RegardError if the name is taken and `overwrite` is not given, if it is no
    regular file, or if the disk refuses. A link is replaced, never written through.
    """
    path = Path(os.path.abspath(path))
    _check_file(path, overwrite)
    beside = durable.unused(path.parent, "tmp")
    with durable.refusing(path):
        try:
            written = durable.create(beside, data)
            _check_file(path, overwrite)  # someone may have made it meanwhile
            durable.rename(beside, path)
        except BaseException:
            durable.discard(beside)
            raise
        durable.sync_folder(path.parent)
    return written


def write_folder(target: Path | str, writer: Callable[[Path], None], overwrite: bool = False) -> None:
    """Has `writer` fill a folder beside, brings it to the disk and renames it to `target` (M17).

    With `overwrite` an older folder makes way only if `writer` writes every file that it holds, so that a mistyped
    target loses nothing; it stands aside as .old-NAME-... for the instant between two renames, and comes back if the
    second fails. Raises RegardError as `write` does, and whatever `writer` raises.
    """
    target = Path(os.path.abspath(target))
    _check_folder(target, overwrite)
    staging = durable.unused(target.parent, "tmp")
    with durable.refusing(target):
        try:
            durable.mkdir(staging)
            writer(staging)
            durable.sync_tree(staging)
            _check_folder(target, overwrite, staging)
            _put_in_place(staging, target)
        except BaseException:
            durable.discard(staging)
            raise


def _put_in_place(staging: Path, target: Path) -> None:
    old = durable.unused(target.parent, f"old-{target.name[:100]}")
    if not os.path.lexists(target):
        durable.rename(staging, target)
        durable.sync_folder(target.parent)
        return
    durable.rename(target, old)
    try:
        durable.rename(staging, target)
    except OSError:
        durable.rename(old, target)
        raise
    durable.sync_folder(target.parent)
    durable.discard(old)


def check_new(path: str | Path, overwrite: bool) -> None:
    """Before anything is computed for a file: raises RegardError where `write` would for its name or its folder."""
    target = Path(os.path.abspath(path))
    _check_file(target, overwrite)
    if not target.parent.is_dir():
        raise RegardError(str(path), "its folder does not exist", "make it, or choose another name")


def _check_file(path: Path, overwrite: bool) -> None:
    if not os.path.lexists(path):
        return
    if path.exists() and not stat.S_ISREG(path.stat().st_mode):  # as root a rename would replace /dev/null itself
        raise RegardError(str(path), "this is not a regular file", "name a file, or `-` for the terminal")
    if not overwrite:
        raise RegardError(str(path), "this file exists", "give --overwrite or choose another name")


def _check_folder(target: Path, overwrite: bool, staging: Path | None = None) -> None:
    if not os.path.lexists(target):
        return
    if not overwrite:
        raise RegardError(str(target), "this exists already", "give --overwrite or choose another name")
    if target.is_symlink() or not target.is_dir():
        raise RegardError(str(target), "this is not a folder", "choose another name")
    foreign = sorted(_names(target) - _names(staging)) if staging else []
    if foreign:
        what = f"it holds {foreign[0]}, which would not be written again"
        raise RegardError(str(target), what, "choose another folder, or empty this one")


def _names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}
