"""What the axes of a sound's picture mean: seconds to the right, pitch upwards, the lowest band at the bottom.

Frame f is the sound around the middle of the f-th hop, so it stands for the time from f to f + 1 hops. Places are
pixels of the picture: frames from the left, bands from the top.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from regard.tokens.patches import Grid
from regard.tokens.sound import MelSettings, mel_of

HERTZ = (250, 500, 1000, 2000, 4000)
"""Pitches that are marked, where the bands reach so far."""
LONGEST = 60.0
"""Seconds of a window; what claims more is no recording of ours."""
Mark = tuple[float, str]


@dataclass(frozen=True)
class Spectrogram:
    settings: MelSettings

    @classmethod
    def of(cls, facts: Mapping[str, Any], grid: Grid) -> Self:
        """From what was recorded. Raises ValueError, TypeError or RegardError where that does not fit together."""
        if not isinstance(facts, Mapping):
            raise TypeError("facts")
        settings = MelSettings(**{name: value + 0 for name, value in facts.items()})  # + 0: of a text no sum is taken
        if settings.mels != grid.height or settings.window > LONGEST:
            raise ValueError("bands, or window")
        return cls(settings)

    def seconds(self, frames: float) -> str:
        return f"{frames * self.settings.hop:.2f} s"

    def times(self, frames: int, most: int = 8) -> list[Mark]:
        """(frame at whose beginning it is, seconds) of marks a round time apart, so many at most."""
        whole = frames * self.settings.hop
        steps = (digit * 10.0**power for power in count(-2) for digit in (1, 2, 5))
        step = next(one for one in steps if whole / one <= most - 1)
        return [(k * step / self.settings.hop, f"{k * step:.4g} s") for k in range(int(whole / step + 1e-9) + 1)]

    def pitches(self) -> list[Mark]:
        """(place from the top, hertz) of marks. The middle of a band is the edge at which its triangle is highest."""
        mels = mel_of([self.settings.lowest, self.settings.highest, *HERTZ])
        first, last, marks = float(mels[0]), float(mels[1]), mels[2:].tolist()
        a_band = (last - first) / (self.settings.mels + 1)
        places = [self.settings.mels + 0.5 - (mark - first) / a_band for mark in marks]
        named = zip(places, (f"{hertz:,} Hz" for hertz in HERTZ), strict=True)
        return [(place, name) for place, name in named if 0 <= place <= self.settings.mels]

    def part(self, top: int, left: int, height: int, width: int) -> str:
        """What a rectangle of the picture holds: when, and which bands."""
        when = f"{left * self.settings.hop:.2f} to {self.seconds(left + width)}"
        if height == self.settings.mels:
            return f"{when}, all {height} bands"
        below = self.settings.mels - top - height  # bands count upwards
        low, high = self._edges[below], self._edges[below + height + 1]
        return f"{when}, bands {below} to {below + height - 1}, {low:,.0f} to {high:,.0f} Hz"

    @cached_property
    def _edges(self) -> npt.NDArray[np.float64]:
        return self.settings.edges()

    def told(self, whole: int, grid: Grid) -> list[str]:
        """How it became what the model saw. whole: frames of the sound itself."""
        mels, given = self.settings.mels, grid.width
        found = [f"log-mel spectrogram: {whole} frames of {1000 * self.settings.hop:g} ms ({self.seconds(whole)}) x "
                 f"{mels} mel bands from {self.settings.lowest:,.0f} to {self.settings.highest:,.0f} Hz, "
                 "low pitch at the bottom"]  # fmt: skip
        if whole > given:
            found.append(f"of it the first {self.seconds(given)}")
        if whole < given:
            found.append(f"after it {self.seconds(given - whole)} of silence")
        patches = f"{grid.columns} patches" if grid.rows == 1 else f"{grid.columns} x {grid.rows} patches"
        each = f"{patches} of {grid.patch_width} frames x {grid.patch_height} bands"
        return [*found, f"given as {given} frames x {mels} bands in {each}"]
