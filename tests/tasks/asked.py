"""Pictures of noise with labels, a random model of three layers, and classification of the ones by the other."""

from typing import Any

import numpy as np
import torch

from regard.model.config import AttentionConfig, FeedForwardConfig, TransformerConfig
from regard.model.transformer import Transformer, initialise
from regard.tasks.classification import Classification, Parts
from regard.tasks.pictures import Chopper, PictureExamples
from regard.training.ranks import Ranks

CLASSES = ("ant", "bee", "cat", "dog")
RNG = np.random.default_rng
CONFIG = TransformerConfig(
    vocabulary=len(CLASSES), context=8, width=16, layers=3, features=48, learned=1,
    attention=AttentionConfig(heads=2, key_value_heads=2, head_width=8), feed_forward=FeedForwardConfig(width=24),
)  # fmt: skip


def examples(count: int, seed: int = 0) -> PictureExamples:
    """Each a little like its class's own noise."""
    rng, labels = RNG(seed), RNG(seed).integers(0, len(CLASSES), count)
    own = RNG(9).integers(0, 256, (len(CLASSES), 8, 12, 3))
    pixels = (0.3 * own[labels] + 0.7 * rng.integers(0, 256, (count, 8, 12, 3))).astype(np.uint8)
    chopper = Chopper(8, 12, 3, 4, 1, True, (0.5,) * 3, (0.25,) * 3)
    return PictureExamples(pixels, labels, np.arange(count), chopper)


def task(train: int = 60, held_out: int = 40, ranks: Ranks | None = None) -> Classification:
    learnt, asked = examples(train, 1), examples(held_out, 2)
    settings: dict[str, Any] = {"seed": 0, "label_smoothing": 0.0, "monitor": 0.0}
    parts = Parts(learnt, asked, CLASSES, learnt.chopper.pool)
    return Classification(parts, ranks or Ranks(), settings, lambda chosen: CONFIG, unit="pictures")


def model() -> Transformer:
    made = Transformer(CONFIG)
    initialise(made, 3)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(2.0)
    return made.eval()
