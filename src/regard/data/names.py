"""What each of many examples is called, in two arrays, as a file of tensors keeps them."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

LETTERS, ENDS = "names", "name_ends"


class Names(NamedTuple):
    """Names by number."""

    letters: npt.NDArray[np.uint8]
    """All of all names, one after another, in UTF-8."""
    ends: npt.NDArray[np.int64]
    """(count,) where each ends."""

    def of(self, example: int) -> str:
        """Of one example."""
        start = self.ends[example - 1] if example else 0
        return self.letters[start : self.ends[example]].tobytes().decode("utf-8", "surrogateescape")

    def among(self, rows: npt.NDArray[np.int64]) -> Callable[[int], str]:
        """The same of some of them, which are numbered from 0 on: "number 5" where names were not kept, as by versions
        before."""
        return lambda example: self.of(int(rows[example])) if len(self.ends) else f"number {example:,}"

    def facts(self) -> dict[str, npt.NDArray[Any]]:
        """For a file of tensors."""
        return {LETTERS: self.letters, ENDS: self.ends}


def names_of(names: Sequence[str]) -> Names:
    content = [name.encode("utf-8", "surrogateescape") for name in names]
    ends = np.cumsum([len(one) for one in content], dtype=np.int64)
    return Names(np.frombuffer(b"".join(content), np.uint8), ends)


def taken_from(facts: dict[str, npt.NDArray[Any]]) -> Names:
    """Takes them out of the facts of a file; empty where it has none."""
    letters, ends = facts.pop(LETTERS, None), facts.pop(ENDS, None)
    if letters is None or ends is None:
        return names_of([])
    if letters.size != (ends[-1] if len(ends) else 0):
        raise ValueError("names do not end where their letters do")
    return Names(letters, ends)
