"""Pictures as sequences: each is cut into patches, a patch is a token, and its row and column are its place.

Shapes: batch; height; width; channels; n = learned + patches; features = numbers in a patch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from regard.model.sequence import Sequence
from regard.tasks.mix import Mixing
from regard.tasks.vary import Pixels, Variation, Vary, smaller
from regard.tokens.patches import Grid, cut

LINEAR = 1024
"""Numbers of a picture that a linear classifier sees at most."""
WHOLE_FROM = 0.7
"""Share of the training after which pictures are shown whole, as they will be when they are asked about."""


@dataclass(frozen=True)
class Chopper:
    """How a picture becomes tokens: fixed before the training, kept in config.json, the same ever after."""

    height: int
    width: int
    channels: int
    patch: int
    """Pixels on a patch's side, downwards."""
    learned: int
    """Tokens before the patches that have no pixels: a class token, registers."""
    class_token: bool
    """Whether the first of them is what the answer is read from; else it is the mean over the patches."""
    mean: tuple[float, ...]
    """Of each channel over the training part, 0 to 1."""
    deviation: tuple[float, ...]
    across: int = 0
    """Pixels on its side to the right; 0: as many as downwards."""
    axes: int = 2
    """Numbers of a token's place: row and column of its patch; or 1, its number from 0 on, as a learned table wants."""

    @cached_property
    def grid(self) -> Grid:
        return Grid(self.height, self.width, self.patch, self.across or self.patch)

    @property
    def n(self) -> int:
        return self.learned + self.grid.n

    def pool(self, logits: Tensor, tokens: Sequence) -> Tensor:
        """Scores of the whole from those of its tokens: (batch, n, classes) -> (batch, classes)."""
        return logits[:, 0] if self.class_token else logits[:, self.learned :].mean(dim=1)

    @property
    def features(self) -> int:
        return self.grid.patch_height * self.grid.patch_width * self.channels

    def __call__(self, pixels: Pixels, device: torch.device | str = "cpu") -> Sequence:
        """pixels (batch, height, width, channels), bytes -> a sequence in which each patch sees all."""
        return self._sequence(torch.from_numpy(pixels).to(device).to(torch.float32))

    def sequence(self, x: Tensor) -> Sequence:
        """x (batch, channels, height, width), 0 to 255, which need not be whole numbers -> the same."""
        return self._sequence(x.permute(0, 2, 3, 1).clone(memory_format=torch.contiguous_format))

    def _sequence(self, x: Tensor) -> Sequence:
        """x (batch, height, width, channels), which is changed."""
        mean, scale = self._scales(x.device)
        patches = cut(x.sub_(mean).mul_(scale), self.grid)  # (batch, patches, features)
        if self.learned:
            patches = torch.nn.functional.pad(patches, (0, 0, self.learned, 0))
        return Sequence.whole(patches, self._places.to(x.device))

    def _scales(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """What is taken from a byte, and what the rest is multiplied with: (channels,) each."""
        mean = torch.tensor(self.mean, dtype=torch.float32, device=device) * 255
        return mean, 1 / (torch.tensor(self.deviation, dtype=torch.float32, device=device) * 255)

    @cached_property
    def _places(self) -> Tensor:
        """(1, n, 2) row and column of each patch; learned tokens stand at the first one's place. Or (1, n, 1)."""
        if self.axes == 1:
            return torch.arange(self.n)[None, :, None]
        places = torch.from_numpy(self.grid.positions())
        return torch.cat((torch.zeros(self.learned, 2, dtype=torch.long), places))[None]

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Chopper":
        return cls(**{**values, "mean": tuple(values["mean"]), "deviation": tuple(values["deviation"])})


def scales_of(
    pictures: Pixels, rows: npt.NDArray[np.int64], most: int = 4096
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, 0 to 1, of at most so many of these pictures, evenly chosen.

    A channel that never changes has deviation 1: nothing is divided by 0. From how often each byte comes, one picture
    after another, so that large ones take no memory.
    """
    counts = np.zeros((pictures.shape[-1], 256), np.int64)
    for row in rows[:: max(1, -(-len(rows) // most))]:
        counts += [np.bincount(channel.ravel(), minlength=256) for channel in np.moveaxis(pictures[row], -1, 0)]
    value, share = np.arange(256) / 255, counts / counts.sum(axis=1, keepdims=True)
    mean = share @ value
    deviation = np.sqrt((share * (value - mean[:, None]) ** 2).sum(axis=1))
    return tuple(map(float, mean)), tuple(float(d) if d > 1e-6 else 1.0 for d in deviation)


def some_patches(tokens: Sequence, learned: int, share: float, rng: np.random.Generator) -> Sequence:
    """Of each picture the learned tokens and, by chance, this share of its patches, each where it was.

    Fewer tokens are fewer computations, so more pictures are seen in the same time, and the answer may not hang on
    single patches (Liu et al. 2022, PatchDropout).
    """
    batch, n, features = tokens.tokens.shape
    kept = max(1, round(share * (n - learned)))
    order = np.argsort(rng.random((batch, n - learned)), axis=1)[:, :kept]
    chosen = np.concatenate((np.tile(np.arange(learned), (batch, 1)), learned + np.sort(order, axis=1)), axis=1)
    rows = torch.from_numpy(chosen).to(tokens.tokens.device)  # (batch, learned + kept)
    vectors = tokens.tokens.gather(1, rows[:, :, None].expand(-1, -1, features))
    return Sequence.whole(vectors, tokens.position[0][rows])


@dataclass(frozen=True)
class PictureExamples:
    """Labelled pictures, or sounds as pictures, some of a larger array: what the loop numbers from 0 on."""

    pictures: Pixels = field(repr=False)
    """(count, height, width, channels), mapped from the disk."""
    labels: npt.NDArray[np.int64]
    """(count,) of all of them."""
    rows: npt.NDArray[np.int64]
    """Which of them these examples are."""
    chopper: Chopper
    variation: Vary = field(default_factory=Variation)
    shown: float = 1.0
    """Share of each picture's patches that it is first learnt from."""
    mixing: Mixing = field(default_factory=Mixing)
    classes: int = 0
    """How many there are; only for mixing."""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def truth(self) -> npt.NDArray[np.int64]:
        """(len,) the class of each."""
        return self.labels[self.rows]

    def some(self, rows: slice | npt.NDArray[np.bool_]) -> Self:
        return replace(self, rows=self.rows[rows])

    def numbers(self) -> npt.NDArray[np.float32]:
        """(len, features): the pixels, made smaller where they are many."""
        return smaller(self.pictures[self.rows], LINEAR)

    def size(self, example: int) -> int:
        return self.chopper.n

    def picture(self, example: int) -> Pixels:
        """(height, width, channels) as it is: a copy."""
        return np.array(self.pictures[self.rows[example]])

    def varied(
        self, ids: np.ndarray, rng: np.random.Generator, device: torch.device, progress: float = 1.0
    ) -> tuple[Sequence, Tensor]:
        """ids (batch, 2), each (epoch, example) -> the pictures as they are seen in that epoch, and their labels
        (batch,), or, where pictures are mixed, what part of each is of which class (batch, classes).

        progress: 0 to 1, how much of the training is over; before WHOLE_FROM only some patches of each are shown.
        """
        rows = self.rows[ids[:, 1]]
        pixels, labels = self.variation(self.pictures, rows, ids[:, 0], rng), torch.from_numpy(self.labels[rows])
        labels = labels.to(device)
        if self.mixing.does_something:
            x = torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).to(torch.float32)
            x, labels = self.mixing(x, labels, self.classes, rng)
            tokens = self.chopper.sequence(x)
        else:
            tokens = self.chopper(pixels, device)
        if self.shown < 1 and progress < WHOLE_FROM:
            tokens = some_patches(tokens, self.chopper.learned, self.shown, rng)
        return tokens, labels

    def plain(self, start: int, end: int, device: torch.device) -> tuple[Sequence, Tensor]:
        """Examples start to end - 1 as they are."""
        rows = self.rows[start:end]
        return self.chopper(self.pictures[rows], device), torch.from_numpy(self.labels[rows]).to(device)
