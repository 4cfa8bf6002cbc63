"""A picture that was looked at: its patches as the model was given them, and what heads look at among them.

The pixels are no copy: they are the recording's own input, joined again. Which token is a patch, and where it lies,
comes from what was recorded, never from the number of tokens. Shapes: n tokens; patches; height; width; channels.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from torch import Tensor

from regard.errors import RegardError
from regard.looking.kept import Kept, Tokens
from regard.looking.record import Recording
from regard.looking.spectrogram import Spectrogram
from regard.tokens.patches import Grid, join

Array = npt.NDArray[np.float64]

LOG_ABOVE = 16
"""Tokens above which the scale of a picture's maps is logarithmic unless chosen: an even look at so many has 0.06."""


def tokens_of_patches(grid: Grid, learned: int, class_token: bool) -> Tokens:
    """What the tokens of a picture are called: the class token, registers, then patches by row and column from 0."""
    kinds = ("class",) * class_token + ("register",) * (learned - class_token) + ("patch",) * grid.n
    names = [kind if kind == "class" else f"register {k - class_token}" for k, kind in enumerate(kinds[:learned])]
    names += [f"{row},{column}" for row, column in grid.positions().tolist()]
    nothing = (0, 0)
    return Tokens(tuple(range(len(kinds))), (b"",) * len(kinds), tuple(names), (nothing,) * len(kinds), kinds)


@dataclass(frozen=True)
class Picture:
    pixels: npt.NDArray[np.uint8]
    """(height, width, channels): exactly what the model saw, without the border that patches leave."""
    rectangles: npt.NDArray[np.int64]
    """(patches, 4): top, left, height and width of each, in those pixels."""
    tokens: npt.NDArray[np.int64]
    """(patches,) which tokens they are; the others are class and register tokens."""
    size: tuple[int, int]
    """Height and width of the whole picture as it came, upright."""
    crop: tuple[float, float, float, float]
    """Top, left, height and width of what the model was given of it, in its pixels."""
    grid: Grid
    """How what the model was given was cut; its lost border lies in no patch and is not kept."""
    class_token: bool
    """Whether the answer is read from the class token; else from the mean over the patches."""
    answers: bool
    """Whether the logits are scores of classes; what comes out of a model that learnt without labels has no meaning."""
    classes: tuple[str, ...]
    """What the logits are called, in their order."""
    done: tuple[str, ...]
    """What was done to it on the way, beside cutting and scaling: as `regard train` counts it of many pictures."""
    sound: Spectrogram | None = None
    """What its axes mean, if it is the spectrogram of a sound."""

    @classmethod
    def of(cls, recording: Recording) -> Self:
        """Raises RegardError if it is not one of a picture, or if what a file says of it does not fit together."""
        if not recording.is_picture:
            raise RegardError("picture", "the recording is of a text", "look at a picture with a run on pictures")
        facts, kinds = recording.facts.preprocessing, np.array(recording.tokens.kinds)
        try:
            grid, patches = Grid(*facts["grid"]), np.flatnonzero(kinds == "patch")
            (high, wide), (top, left, height, width) = map(float, facts["size"]), map(float, facts["crop"])
            if not 0 < height <= high < 1e9 or not 0 < width <= wide < 1e9 or top < 0 or left < 0:
                raise ValueError("size")
            if facts["class_token"] and kinds[0] != "class":
                raise ValueError("class token")
            pixels, said = _pixels(recording.kept, facts, grid, patches), map(str, facts["done"])
            sound = Spectrogram.of(facts["sound"], grid) if "sound" in facts else None
            return cls(pixels, grid.rectangles(), patches, (int(high), int(wide)), (top, left, height, width), grid,
                       bool(facts["class_token"]), bool(facts["answers"]), tuple(map(str, facts["classes"])),
                       tuple(said), sound)  # fmt: skip
        except (KeyError, TypeError, ValueError, IndexError, RegardError) as error:
            what = "what the recording says of its picture does not fit together"
            raise RegardError("picture", what, "look at the picture again") from error

    @property
    def read(self) -> npt.NDArray[np.int64]:
        """The tokens whose logits, averaged, are the answer: the class token (always the first), or all patches."""
        return np.zeros(1, np.int64) if self.class_token else self.tokens

    @property
    def lost(self) -> tuple[int, int]:
        """Pixels at the bottom and at the right of what the model was given that lie in no patch."""
        return self.grid.lost

    @property
    def thing(self) -> str:
        return "picture" if self.sound is None else "spectrogram"

    def told(self) -> list[str]:
        """How it became what the model saw, in a few words each; sizes of pictures have the height first."""
        if self.sound is not None:
            return self.sound.told(self.size[1], self.grid)
        (high, wide), (top, left, tall, broad) = self.size, self.crop
        found = [f"the whole picture: {high} x {wide} pixels (height x width)"]
        if (tall, broad) != (high, wide):
            found.append(f"of it {tall:.5g} x {broad:.5g} from {top:.5g} down and {left:.5g} right on")
        found.append(f"given as {self.grid.height} x {self.grid.width} in {str(self.grid).partition(';')[0]}")
        if self.lost != (0, 0):
            found.append(f"lost, as they fill no patch, and hatched: {self.lost[0]} pixels at the bottom, "
                         f"{self.lost[1]} at the right")  # fmt: skip
        return found

    def moved(self, before: Tensor, after: Tensor) -> float:
        """Change of log p of what the picture is taken for, in nats. Logits (n, classes), before an edit and after."""
        p, q = (logits[self.read].double().mean(dim=0).log_softmax(-1) for logits in (before, after))
        return float(q[p.argmax()] - p.max())

    def masses(self, row: Array, kinds: tuple[str, ...]) -> dict[str, float]:
        """How much of a row of weights (n,) lies on patches, class and register tokens; they add up to the whole."""
        found = {kind: float(row[np.array(kinds) == kind].sum()) for kind in ("patch", "class", "register")}
        return {kind: mass for kind, mass in found.items() if kind in kinds}

    def heaviest(self, row: Array, share: float) -> npt.NDArray[np.bool_]:
        """(patches,) the smallest set of patches that holds `share` of the mass on patches (Caron et al. 2021, 0.6).

        Of equal weights the earlier patch counts first. row: weights (n,). Raises RegardError for no share of 1.
        """
        if not 0 < share <= 1:
            raise RegardError("share", f"{share:g} is not above 0 and at most 1", "give 0.6, say")
        on = row[self.tokens]
        order = np.argsort(-on, kind="stable")
        before = np.concatenate([[0.0], np.cumsum(on[order])[:-1]])
        chosen = np.zeros(len(on), dtype=bool)
        chosen[order] = before < share * on.sum() * (1 - 1e-12)
        return chosen

    def spread(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """(patches,) one number each -> (height, width), each pixel its patch's: nothing is smoothed."""
        out = np.zeros(self.pixels.shape[:2], dtype=values.dtype)
        for value, (top, left, height, width) in zip(values, self.rectangles.tolist(), strict=True):
            out[top : top + height, left : left + width] = value
        return out


def moves_of(recording: Recording) -> Callable[[Tensor, Tensor], float] | None:
    """What edits of a picture are compared by; None of a text, and of a model without classes."""
    seen = Picture.of(recording) if recording.is_picture else None
    return seen.moved if seen is not None and seen.answers else None


def _pixels(kept: Kept, facts: Mapping[str, Any], grid: Grid, patches: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    vectors = kept.sequence.tokens[0, patches].double().cpu().numpy()
    channels = len(facts["mean"])
    if channels not in (1, 3) or not np.isfinite([*facts["mean"], *facts["deviation"]]).all():
        raise ValueError("scales")
    joined: npt.NDArray[np.float64] = join(vectors, grid, channels)  # type: ignore[type-var]
    scaled = joined * np.array(facts["deviation"]) + np.array(facts["mean"])
    found: npt.NDArray[np.uint8] = np.clip(np.rint(scaled * 255), 0, 255).astype(np.uint8)
    return found
