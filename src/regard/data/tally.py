"""Counting a text in one pass: characters, lines, bytes, what stands in it, and a digest of each document."""

import hashlib
from array import array
from collections import Counter
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from regard.tokens.characters import CODE_POINTS, code_points

BATCH = 1 << 20
"""Characters counted at once."""

MARKS = ("<|endoftext|>", "<|begin_of_text|>", "<|end_of_text|>", "<|im_start|>", "<|im_end|>", "<s>", "</s>", "<pad>",
         "<unk>", "<mask>", "[MASK]", "[PAD]", "[CLS]", "[SEP]", "[UNK]")  # fmt: skip
"""What special tokens are called elsewhere; here they are ordinary text (T8), and counted."""


class Tally:
    """What has been read so far."""

    def __init__(self) -> None:
        self.characters = self.lines = self.empty = self._marks = 0
        self._lengths = array("q")
        self._digests = array("Q")
        self._counts = np.zeros(CODE_POINTS, dtype=np.int64)
        self._waiting: list[str] = []
        self._waiting_length = 0
        self._before = ""

    @property
    def documents(self) -> int:
        """Those with something in them."""
        return len(self._lengths)

    def lengths(self) -> npt.NDArray[np.int64]:
        """(documents,) characters."""
        return np.array(self._lengths, dtype=np.int64)

    def digests(self) -> npt.NDArray[np.uint64]:
        """(documents,) equal for equal texts."""
        return np.array(self._digests, dtype=np.uint64)

    def add(self, chunks: Iterable[str]) -> None:
        """Counts one document; one without characters counts only as `empty`."""
        digest, length, last = hashlib.blake2b(digest_size=8), 0, ""
        for chunk in chunks:
            digest.update(chunk.encode())
            length += len(chunk)
            self.lines += chunk.count("\n")
            self._count(chunk)
            last = chunk
        if not length:
            self.empty += 1
            return
        self.lines += not last.endswith("\n")
        self.characters += length
        self._lengths.append(length)
        self._digests.append(int.from_bytes(digest.digest(), "little"))

    def distinct(self) -> Counter[str]:
        """How often each character stands in the text."""
        self._count_waiting()
        return Counter({chr(point): int(self._counts[point]) for point in np.flatnonzero(self._counts)})

    def utf8_bytes(self) -> int:
        """Bytes of the text as UTF-8."""
        self._count_waiting()
        borders = (0x80, 0x800, 0x10000)  # from each of these code points on a character has one byte more
        return int(self._counts.sum() + sum(self._counts[border:].sum() for border in borders))

    def marks(self) -> int:
        """How often something stands in the text that is a special token elsewhere."""
        self._count_waiting()
        return self._marks

    def _count(self, chunk: str) -> None:
        self._waiting.append(chunk)
        self._waiting_length += len(chunk)
        if self._waiting_length >= BATCH:
            self._count_waiting()

    def _count_waiting(self) -> None:
        text = "".join(self._waiting)
        self._waiting, self._waiting_length = [], 0
        counts = np.bincount(code_points(text))
        self._counts[: len(counts)] += counts
        for mark in MARKS:
            if mark[0] in self._before or mark[0] in text:
                reach = len(mark) - 1
                self._marks += text.count(mark)
                self._marks += (self._before[-reach:] + text[:reach]).count(mark)  # one across two batches
        self._before = text[-20:]
