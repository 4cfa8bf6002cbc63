"""Pictures whose attention is known in closed form: a class token that looks at one patch, and what that says.

A token's vector has a mark (+1: the target, -1: another patch), a one for the class token, one for registers, and an
answer, which the last layer alone writes. So in every layer the same is seen. Shapes: n tokens; patches; classes.
"""

import math
from dataclasses import asdict, dataclass, field
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from regard.looking.picture import tokens_of_patches
from regard.looking.record import Recording, record
from regard.model.block import RMSNorm
from regard.model.config import AttentionConfig, FeedForwardConfig, PositionConfig, TransformerConfig
from regard.model.sequence import Sequence
from regard.model.transformer import Transformer
from regard.tokens.patches import Grid, cut
from regard.tokens.sound import MelSettings

from .small import block

MARK, CLASS, REGISTER, ANSWER, WIDTH = 0, 1, 2, 3, 8
CLASSES = ("circle", "star", "<b>ring</b>")
OUTPUT = np.random.default_rng(5).normal(size=(len(CLASSES), WIDTH))
SHAPES = {"square": (24, 24, 8), "wide": (16, 40, 8), "tall": (40, 16, 8), "with a lost border": (19, 29, 8),
          "one patch": (8, 8, 8), "patches of one pixel": (3, 5, 1)}  # fmt: skip
"""Height and width of the picture, and a patch's side."""
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Planted:
    """In layer 0 head 0 and layer 1 head 1 the class token looks at the target with score beta; else all look alike."""

    recording: Recording
    pixels: Array = field(repr=False)
    """(height, width, channels) as the model was given them."""
    grid: Grid
    learned: int
    target: int
    """Which patch, in reading order."""
    beta: float
    gain: float
    output: Array
    """(classes, width)."""

    @property
    def n(self) -> int:
        return self.learned + self.grid.n

    @property
    def class_row(self) -> Array:
        """(n,) what the class token looks at in a planted head."""
        scores = np.full(self.n, -self.beta)
        scores[: self.learned] = 0
        scores[self.learned + self.target] = self.beta
        found: Array = np.exp(scores) / np.exp(scores).sum()
        return found

    def weights(self, layer: int, head: int) -> Array:
        """(n, n)."""
        found = np.full((self.n, self.n), 1 / self.n)
        if (layer, head) in PLANTED and self.learned:
            found[0] = self.class_row
        return found

    def logits(self, layer: int) -> Array:
        """(n, classes) what the stream that enters a layer is read as."""
        stream = np.zeros((self.n, WIDTH))
        stream[self.learned :, MARK] = -1
        stream[self.learned + self.target, MARK] = 1
        stream[: min(1, self.learned), CLASS], stream[1 : self.learned, REGISTER] = 1, 1
        if layer == 2:  # heads 0 and 1 of the last layer both write the mean mark of what they look at
            marks = stream[:, MARK].copy()
            stream[:, ANSWER] = self.gain * sum(self.weights(1, head) @ marks for head in range(2))
        return stream @ self.output.T


PLANTED = ((0, 0), (1, 1))


def planted(
    height: int = 24, width: int = 24, patch: int = 8, *, registers: int = 1, class_token: bool = True,
    channels: int = 3, target: int | None = None, beta: float = 2.0, gain: float = 1.5,
    size: tuple[int, int] | None = None, crop: tuple[float, float, float, float] | None = None,
    done: tuple[str, ...] = (), patch_width: int | None = None, classes: tuple[str, ...] | None = None,
    answers: bool = True, sound: MelSettings | None = None,
) -> Planted:  # fmt: skip
    """target: the last but one unless given. size, crop: of the whole picture, in which it is all unless given.

    sound: how it was made, of a spectrogram.
    """
    grid, learned = Grid(height, width, patch, patch_width or patch), class_token + registers
    aim = max(0, grid.n - 2) if target is None else target
    pixels = np.random.default_rng(height * width).integers(0, 256, (height, width, channels), np.uint8)
    for k, (top, left, _, _) in enumerate(grid.rectangles().tolist()):
        pixels[top, left, 0] = 255 if k == aim else 0  # the first number of a patch is its mark
    output = OUTPUT if classes is None else np.random.default_rng(5).normal(size=(len(classes), WIDTH))
    names = CLASSES if classes is None else classes
    model = model_of(grid, learned, channels, beta, gain, output)
    vectors = torch.from_numpy(cut((pixels[None] / 255 - 0.5) / 0.5, grid)).float()
    tokens = torch.nn.functional.pad(vectors, (0, 0, learned, 0))
    facts = {"grid": [height, width, patch, patch_width or patch], "mean": [0.5] * channels,
             "deviation": [0.5] * channels, "size": list(size or (height, width)),
             "crop": list(crop or (0, 0, *(size or (height, width)))), "class_token": class_token,
             "answers": answers, "classes": list(names), "done": list(done),
             **({} if sound is None else {"sound": asdict(sound)})}  # fmt: skip
    places = torch.cat((torch.zeros(learned, 2, dtype=torch.long), torch.from_numpy(grid.positions())))
    sequence = Sequence.whole(tokens, places[None])
    named = tokens_of_patches(grid, learned, class_token)
    recording = record(model, sequence, named, name="planted", preprocessing=facts)
    return Planted(recording, pixels, grid, learned, aim, beta, gain, output)


def model_of(grid: Grid, learned: int, channels: int, beta: float, gain: float, output: Array) -> Transformer:
    """The model that reads such pictures."""
    features = grid.patch_height * grid.patch_width * channels
    config = TransformerConfig(
        vocabulary=len(output), context=learned + grid.n, width=WIDTH, layers=2, features=features, learned=learned,
        attention=AttentionConfig(heads=2, key_value_heads=2, head_width=4, query_key_norm=False),
        feed_forward=FeedForwardConfig(width=2),
        position=PositionConfig(theta=1e16),  # so that number 1 of a query or key does not turn
    )  # fmt: skip
    model, strength = Transformer(config), beta * math.sqrt(4)
    model.output.norm = nn.Identity()
    embedding: Any = model.embedding
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        embedding.projection.weight[MARK, 0] = 1
        if learned:
            embedding.learned[0, CLASS] = 1
            embedding.learned[1:, REGISTER] = 1
        cast(nn.Linear, model.output.projection).weight.copy_(torch.from_numpy(output))
        for layer in range(2):
            norm, attention = block(model, layer).attention_norm, block(model, layer).attention
            cast(RMSNorm, norm).weight.fill_(math.sqrt(1 / WIDTH + 1e-6))  # vectors of length 1 stay as they are
            for head in range(2):
                if (layer, head) in PLANTED:
                    attention.query.weight.view(2, 4, WIDTH)[head, 1, CLASS] = strength
                attention.key.weight.view(2, 4, WIDTH)[head, 1, MARK] = 1
                if layer == 1:
                    attention.value.weight.view(2, 4, WIDTH)[head, 0, MARK] = 1
                    attention.output.weight.view(WIDTH, 2, 4)[ANSWER, head, 0] = gain
    return model.eval()
