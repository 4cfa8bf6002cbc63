"""The running average of the weights: the one that is evaluated, exported and looked at."""

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor, nn

Decay = Callable[[int, float], float]
"""(step, counted from 1; share of the training that is over) -> how much of the average this step keeps."""


def steady(decay: float) -> Decay:
    """The same for all steps but the first, which count more: early on the average is over about all so far."""
    return lambda step, progress: min(decay, step / (step + 10))


def rising(decay: float) -> Decay:
    """From `decay` to 1 along half a cosine: a teacher that comes to rest (Grill et al. 2020)."""
    return lambda step, progress: 1 - (1 - decay) * (1 + math.cos(math.pi * progress)) / 2


class Averaged(Protocol):
    """What a task keeps beside the weights that are trained: it is evaluated, saved and looked at in their place."""

    @property
    def model(self) -> nn.Module:
        """A whole module, ready to be called."""

    def update(self, step: int, progress: float) -> None:
        """After optimiser step number `step`, counted from 1; progress: the share of the training that was over."""


class Average:
    """average <- decay * average + (1 - decay) * weights after each step (Polyak 1992), of all that is trained."""

    def __init__(self, model: nn.Module, decay: Decay) -> None:
        self.decay = decay
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        pairs = zip(self.model.parameters(), model.parameters(), strict=True)
        trained = [(mean, weight.detach()) for mean, weight in pairs if weight.requires_grad]
        self._average: list[Tensor] = [mean for mean, _ in trained]
        self._weights: list[Tensor] = [weight for _, weight in trained]

    @torch.no_grad()
    def update(self, step: int, progress: float) -> None:
        torch._foreach_lerp_(self._average, self._weights, 1 - self.decay(step, progress))


@contextmanager
def evaluating(model: nn.Module) -> Iterator[nn.Module]:
    """The module in evaluation mode and without gradients, and as it was afterwards."""
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield model
    finally:
        model.train(training)
