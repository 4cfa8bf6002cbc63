"""The running average of the weights: the one that is evaluated, exported and looked at."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """average <- decay * average + (1 - decay) * weights after each step; the first steps count more (Polyak 1992).

    `model` is a whole module with the averaged weights, ready to be called.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self._average: list[Tensor] = list(self.model.parameters())
        self._weights: list[Tensor] = [parameter.detach() for parameter in model.parameters()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """After optimiser step number `step`, counted from 1. Early on the average is over about all steps so far."""
        decay = min(self.decay, step / (step + 10))
        torch._foreach_lerp_(self._average, self._weights, 1 - decay)


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
