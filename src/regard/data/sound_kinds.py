"""What files say of sounds: WAV, a format that is not read, or none at all; whether most of the files are sounds."""

from collections.abc import Sequence
from itertools import islice
from pathlib import PurePath

from regard.data.content import steady, taken
from regard.data.decode import Entry
from regard.data.packed import BROKEN, packing
from regard.data.picture_kinds import HEAD
from regard.data.picture_kinds import is_named_so as is_named_as_picture
from regard.data.picture_sets import ZIP, members
from regard.data.picture_vote import LOOKED_AT, Kind, voted
from regard.data.sniff import is_plain
from regard.data.tar import Damaged, is_tar
from regard.errors import Notice, RegardError, noticed

SUFFIXES = (".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".m4a", ".aac", ".aif", ".aiff", ".aifc", ".au",
            ".snd", ".wma", ".caf", ".amr", ".w64")  # fmt: skip
"""Names that say so: a file with one that is no WAV file is a bad sound, not some other file."""

_MAGIC: tuple[tuple[int, bytes], ...] = (
    (8, b"WAVEfmt "), (0, b"fLaC\0"), (0, b"OggS\0"), (0, b"ID3\2"), (0, b"ID3\3"), (0, b"ID3\4"), (8, b"AIFFCOMM"),
    (8, b"AIFCFVER"), (4, b"ftypM4A"), (0, b"caff\0\1"),
)  # fmt: skip
_UNKNOWN: tuple[type[Exception], ...] = (RegardError, Damaged, *BROKEN)


def is_sound(head: bytes, name: str) -> bool:
    """Whether a file is a sound by its first bytes or by its name; a text that begins with the word is none."""
    found = (head.startswith(b"RIFF") and head[8:12] == b"WAVE") or any(head.startswith(m, at) for at, m in _MAGIC)
    return (found or is_named_so(name)) and not (head and is_plain(head))


def is_named_so(name: str) -> bool:
    return PurePath(name).suffix.lower() in SUFFIXES


def sound_kind(entries: Sequence[Entry]) -> Kind | None:
    """How most of the files are sounds, or None where most are something else."""
    return voted(entries, kind_of, is_named_so)


def kind_of(entry: Entry) -> Kind | None:
    """Whether a file is a sound, or an archive that holds some; None for any other file."""
    try:
        with steady(entry.path, entry.shown) as (file, state):
            head = taken(file, HEAD)
            if is_sound(head, entry.name) or is_named_so(entry.name):
                return "loose"
            if not (head[:4] in ZIP or packing(head) or is_tar(head)):
                return None
            held = islice(members(file, state.size), LOOKED_AT)
            return "archive" if any(is_named_so(member.name) for member in held) else None
    except _UNKNOWN:
        return None


def misnamed(entries: Sequence[Entry]) -> list[Notice]:
    """Said of texts with the names of pictures or sounds, which are read as what they are."""
    named = [entry for entry in entries if is_named_as_picture(entry.name) or is_named_so(entry.name)]
    names = [entry.shown for entry in named if _is_text(entry)]
    return noticed("text file(s) named as pictures or sounds read as text", names)


def _is_text(entry: Entry) -> bool:
    try:
        with steady(entry.path, entry.shown) as (file, _):
            head = taken(file, HEAD)
    except RegardError:
        return False
    return bool(head) and is_plain(head)
