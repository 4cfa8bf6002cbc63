"""Tokens that the model said itself: whether one pass over all of them agrees with how they were said, one by one.

A recording is of one forced pass over prompt and continuation. Its weights are those of the steps if both passes
expected the same, which is required of every step (looking.md 1.2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from regard.looking.kept import Readings

TOLERANCE = 1e-4
"""Nats by which a token's log p may differ, in float32."""


@dataclass(frozen=True)
class Generated:
    start: int
    """The first token that the model said; all that follow are its own, too."""
    same: bool
    """Whether at every step the same token was the likeliest; one of several that are equally likely counts."""
    difference: float
    """The largest difference of the log p of a token that was said, in nats."""
    sampling: Mapping[str, Any]
    """How they were chosen: the options that `predict` has."""

    @property
    def agrees(self) -> bool:
        return self.same and self.difference <= TOLERANCE

    @property
    def mark(self) -> str:
        """In a few words, for every place where the tokens are shown."""
        return "forced pass agrees" if self.agrees else "forced pass differs"

    @property
    def brief(self) -> str:
        """For a caption."""
        return f"from token {self.start} on the model's own words, {self.mark}"

    @property
    def about(self) -> str:
        """The whole sentence, but for the number of nats that it ends with: `difference`."""
        chosen = sorted((name, value) for name, value in self.sampling.items() if name != "tokens")
        how = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in chosen)
        same = "the same tokens likeliest" if self.same else "NOT the same tokens likeliest"
        return (f"From token {self.start} on the model's own words ({how}); {self.mark} with saying them one by one: "
                f"{same}, log p within")  # fmt: skip


def compared(
    readings: Readings, start: int, likeliest: Sequence[int], log_p: Sequence[float], sampling: Mapping[str, Any]
) -> Generated:
    """The forced pass beside the steps: of each token from `start` on, which one was likeliest, and its log p."""
    rows = slice(start - 1, start - 1 + len(likeliest))  # position i speaks of token i + 1
    among = readings.top[rows] == np.asarray(likeliest)[:, None]  # (steps, 50)
    largest = readings.top_logits[rows] == readings.top_logits[rows, :1]
    same = bool((among & largest).any(axis=1).all())
    difference = float(np.abs(readings.log_probability[rows] - np.asarray(log_p)).max())
    return Generated(start, same, difference, dict(sampling))
