"""crash.txt: what a fault of ours leaves in the run's folder, for whoever mends it (bad-inputs, rule 3)."""

import platform
import shlex
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from regard import files
from regard.errors import RegardError
from regard.training.folders import read_config

CRASH = "crash.txt"
PACKAGES = ("regard", "torch", "numpy", "tokenizers", "safetensors", "Pillow", "click")


@contextmanager
def reported_in(folder: Path) -> Iterator[None]:
    """Whatever fails inside, but for refusals and signals, is written down in the folder, if that is a run of ours.

    The error goes on its way; where its report is stands in a note on it.
    """
    try:
        yield
    except (RegardError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # a panic inside a Rust library is no Exception
        with suppress(RegardError, OSError):
            read_config(folder)
            files.write(folder / CRASH, report(error).encode(errors="backslashreplace"), overwrite=True)
            error.add_note(f"{_NOTE}{folder / CRASH}")
        raise


_NOTE = "report: "


def place_of_report(error: BaseException) -> str | None:
    """Where `reported_in` has written about the error."""
    notes = [note for note in getattr(error, "__notes__", []) if note.startswith(_NOTE)]
    return notes[0].removeprefix(_NOTE) if notes else None


def report(error: BaseException) -> str:
    """Versions, command and traceback."""
    versions = ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
    where = "".join(traceback.format_exception(error))
    return f"{versions}\nPython {platform.python_version()}, {platform.platform()}\n{shlex.join(sys.argv)}\n\n{where}"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"
