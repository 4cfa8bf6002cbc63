"""Texts that come with regard: the name of one, where no path has it, stands for it, and that is said."""

import os
from pathlib import Path

from regard.errors import Notice, RegardError

FOLDER = Path(__file__).with_name("bundled")


def names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.txt"))


def found(path: str) -> str:
    """The path as it is if something is there; else that of the text of this name, with or without its .txt.

    Raises RegardError, saying which texts there are, for a bare name that is neither.
    """
    if path == "-" or os.path.lexists(path) or os.path.basename(path) != path:
        return path
    if path.removesuffix(".txt") in names():
        return str(FOLDER / f"{path.removesuffix('.txt')}.txt")
    texts = " or ".join(names())
    raise RegardError(path, "is not there", f"check the name, or give {texts}, which comes with regard")


def taken(paths: tuple[str, ...]) -> tuple[Notice, ...]:
    """What is said where such texts were found."""
    texts = tuple(Path(path).name for path in paths if Path(path).parent == FOLDER)
    return (Notice("text(s) of regard's own, as no file here has the name", len(texts), texts),) if texts else ()
