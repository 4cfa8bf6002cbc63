"""Whether a folder can be written to, and a name be used, found out before any work is done."""

import os
from pathlib import Path

from regard.errors import RegardError
from regard.files import durable

_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in "0123456789¹²³")}
_LONGEST = 255


def check_name(name: str) -> None:
    """Raises RegardError for a name that some system cannot have, so that a run's folder can be copied anywhere."""
    what = None
    if name in ("", ".", ".."):
        what = "this is no name of its own"
    elif any(c in "/\\" or ord(c) < 32 or ord(c) == 127 for c in name):
        what = "a name may hold no slash, back-slash or control character"
    elif name.split(".")[0].rstrip().lower() in _RESERVED:
        what = "Windows keeps this name for a device"
    elif name[-1] in ". ":
        what = "a name that ends in a dot or a space cannot be copied to Windows"
    elif len(os.fsencode(name)) > _LONGEST:
        what = f"this name has {len(os.fsencode(name))} bytes, more than {_LONGEST}"
    if what:
        raise RegardError(name[:60] or "''", what, "choose another name")


def probe(folder: Path | str) -> None:
    """Makes, fsyncs, renames and removes a file where the run will be; raises RegardError if that fails (R10).

    A folder that is missing is not made: the nearest one above it is tried, and the names below it are checked.
    """
    folder = Path(os.path.abspath(folder))
    existing = folder
    with durable.refusing(folder):
        while not os.path.lexists(existing):
            check_name(existing.name)
            existing = existing.parent
        first, second = durable.unused(existing, "probe"), durable.unused(existing, "probe")
        try:
            durable.create(first, b"probe\n")
            durable.rename(first, second)
            durable.sync_folder(existing)
            durable.remove(second)
        except OSError:
            durable.discard(first)
            durable.discard(second)
            raise
