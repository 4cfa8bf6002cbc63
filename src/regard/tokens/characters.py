"""Characters to ids by look-up: what byte-level BPE gives when its merges only complete characters, but fast."""

import numpy as np
import numpy.typing as npt

from regard.errors import RegardError

CODE_POINTS = 0x110000


def code_points(text: str) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint32]:
    """(characters,) the number of each character. Raises RegardError for half a surrogate pair, which is none."""
    try:
        if text.isascii():
            return np.frombuffer(text.encode("ascii"), dtype=np.uint8)
        return np.frombuffer(text.encode("utf-32-le"), dtype="<u4")
    except UnicodeEncodeError as error:
        what = (
            f"character {error.start + 1} (U+{ord(text[error.start]):04X}) is half a surrogate pair, which is no text"
        )
        raise RegardError("text", what, "remove it") from error


class CharacterTable:
    """Ids of characters, and of the bytes and beginnings of characters for those that have none."""

    def __init__(self, ids: dict[bytes, int]) -> None:
        """`ids`: every token's bytes and its id: all single bytes, some characters with their beginnings."""
        self._ids = ids
        self._id_of = np.full(CODE_POINTS, -1, dtype=np.int32)
        for raw, token in ids.items():
            if len(raw) > 1 or raw.isascii():
                for character in raw.decode("utf-8", "ignore"):  # the beginning of a character is left out
                    self._id_of[ord(character)] = token

    def encode(self, text: str) -> npt.NDArray[np.int32]:
        """(ids,) one for each character that is known; the others are their longest known beginning, then bytes."""
        points = code_points(text)
        ids = self._id_of[points]
        unknown = ids < 0
        if not unknown.any():
            return ids
        strange, which = np.unique(points[unknown], return_inverse=True)
        rows = [self._in_parts(chr(point)) for point in strange]
        lengths = np.array([len(row) for row in rows])[which]
        parts = np.array([row + [0] * (4 - len(row)) for row in rows], dtype=np.int32)[which]  # (unknown, 4)
        counts = np.ones(len(ids), dtype=np.int64)
        counts[unknown] = lengths
        starts = np.cumsum(counts) - counts
        result = np.empty(counts.sum(), dtype=np.int32)
        result[starts[~unknown]] = ids[~unknown]
        for n in range(4):
            result[starts[unknown][lengths > n] + n] = parts[lengths > n, n]
        return result

    def _in_parts(self, character: str) -> list[int]:
        raw = character.encode()
        known = max(n for n in range(1, len(raw)) if raw[:n] in self._ids)
        return [self._ids[raw[:known]], *(self._ids[raw[n : n + 1]] for n in range(known, len(raw)))]
