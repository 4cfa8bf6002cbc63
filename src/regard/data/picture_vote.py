"""Whether files are pictures rather than text: the larger number decides, by their first bytes.

A file beside a picture of the same name (its class, a caption) and a table of labels speak for neither. Archives and
arrays count if they hold pictures. Of more than a thousand files a thousand are looked at, evenly chosen.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import PurePath
from typing import BinaryIO, Literal

from regard.data.arrays import BROKEN_ARRAY, Wrong, npy_header
from regard.data.content import steady, taken
from regard.data.decode import Entry
from regard.data.idx import is_idx, is_named_idx
from regard.data.packed import packing, unpacked
from regard.data.picture_kinds import HEAD, format_of, is_named_so, other_format_of
from regard.data.picture_labels import TABLES
from regard.data.picture_sets import ZIP, members
from regard.data.tar import Damaged, is_tar
from regard.data.zips import zip_members
from regard.errors import RegardError

Kind = Literal["loose", "archive", "array"]

_UNKNOWN: tuple[type[Exception], ...] = (RegardError, *BROKEN_ARRAY)

LOOKED_AT = 1000
_VECTORS = ("EPS", "PDF", "SVG", "FITS", "ICO")
"""Documents more than pictures: text folders hold them, too."""


def picture_kind(entries: Sequence[Entry]) -> Kind | None:
    """How most of the files are pictures, or None where most are something else."""
    return voted(entries, kind_of, is_named_so)


def voted(
    entries: Sequence[Entry], kind_of: Callable[[Entry], Kind | None], is_named_so: Callable[[str], bool]
) -> Kind | None:
    """Of which kind most of the files are, by their contents; a name that says so makes others beside it count less."""
    step = max(1, -(-len(entries) // LOOKED_AT))
    stems = {PurePath(entry.name).with_suffix("") for entry in entries if is_named_so(entry.name)}
    counts = Counter[Kind | None]()
    for entry in entries[::step]:
        kind = kind_of(entry)
        path = PurePath(entry.name)
        if kind or not (path.with_suffix("") in stems or path.name in TABLES):
            counts[kind] += 1
    if counts.total() == counts["loose"] == 1:
        return None  # one alone teaches nothing, and is refused by its name
    most: Kind | None = max(("loose", "archive", "array"), key=lambda kind: counts[kind])
    return most if counts.total() > 2 * counts[None] else None


def kind_of(entry: Entry) -> Kind | None:
    """Whether a file is a picture, an archive that holds some, or an array of them; None for any other file."""
    try:
        with steady(entry.path, entry.shown) as (file, state):
            head = taken(file, HEAD)
            if format_of(head, entry.name) or is_named_so(entry.name):
                return "loose"
            if (other := other_format_of(head)) and other not in _VECTORS:
                return "loose"
            if is_named_idx(entry.name):
                return "array"
            file.seek(0)
            if head.startswith(b"\x93NUMPY"):
                return _kind_of_array(file)
            if head[:4] in ZIP:
                return _kind_of_zip(file, state.size)
            if packing(head) or is_tar(head):
                head = taken(unpacked(file, state.size), HEAD)
            if is_tar(head):
                held = islice(members(file, state.size), LOOKED_AT)
                return "archive" if any(is_named_so(member.name) for member in held) else None
            return "array" if is_idx(head) else None
    except Damaged:
        return "archive"  # which says what is wrong with it
    except _UNKNOWN:
        return None


def _kind_of_array(file: BinaryIO) -> Kind | None:
    try:
        return "array" if len(npy_header(file).shape) in (3, 4) else None
    except Wrong:
        return "array"  # which says what is wrong with it


def _kind_of_zip(file: BinaryIO, size: int) -> Kind | None:
    names = [member.name for member in islice(zip_members(file, size), LOOKED_AT)]
    if any(name.endswith(".npy") for name in names):
        return "array"
    return "archive" if any(map(is_named_so, names)) else None
