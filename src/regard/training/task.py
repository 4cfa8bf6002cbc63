"""What a task answers, so that one loop trains them all; and the order in which its examples are seen."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from torch import Tensor, nn

from regard.training.average import Averaged
from regard.training.settings import Value


class Unsound(Exception):
    """A training that has gone wrong in a way that more steps do not mend; the loop stops, and says so."""

    def __init__(self, what: str, do: str, figures: Mapping[str, float]) -> None:
        """what is wrong, what to change, and the figures that show it."""
        super().__init__(what)
        self.what, self.do, self.figures = what, do, figures


class Examples(Protocol):
    """What is learnt from: numbered examples."""

    def __len__(self) -> int: ...

    def size(self, example: int) -> int:
        """How much work the example is, in tokens."""


class Task(Protocol):
    """A question asked of the transformer. See tasks/language.py for a whole one."""

    name: str
    unit: str
    """What its losses are counted over, in the plural: tokens, pictures."""
    loss_in: str
    """The unit of its losses: nats a token, say."""

    def build(self, settings: Mapping[str, Value]) -> nn.Module:
        """A module of these settings, its weights not yet chosen."""

    def averaged(self, model: nn.Module, settings: Mapping[str, Value]) -> Averaged:
        """The running average of the module's weights: what is evaluated, and what `loss` is given as `average`."""

    def batch(self, ids: np.ndarray, rng: np.random.Generator, progress: float = 1.0) -> Any:
        """The examples of ids (count, 2), each (epoch, example), as tensors.

        progress: 0 to 1, how much of the training is over, for what is not the same from its beginning to its end.
        """

    def loss(self, model: nn.Module, batch: Any, average: nn.Module) -> tuple[Tensor, Tensor]:
        """(sum of the losses in nats, how many targets): the loop divides, over pieces and ranks alike."""

    def watched(self, model: nn.Module) -> Mapping[str, float]:
        """Figures that tell whether the training is sound, for the log. Raises Unsound where it is not."""

    def beside(self) -> None:
        """Computes what the scores will stand beside and no training changes, so that the end need not wait for it."""

    def evaluate(self, model: nn.Module) -> dict[str, Any]:
        """The scores on the whole held-out part, beside the dumb answers' (`baselines`)."""


class Order:
    """Which examples a step sees: a pure function of (seed, step), so that resuming needs no saved iterator.

    Each epoch is all examples once, in an order of its own; a step may cross from one epoch to the next.
    """

    def __init__(self, examples: int, batch: int, seed: int) -> None:
        self.examples, self.batch, self.seed = examples, batch, seed
        self._kept: dict[int, np.ndarray] = {}

    def ids(self, step: int) -> np.ndarray:
        """(batch, 2): epoch and example of each item of the step, which counts from 0."""
        epochs, places = np.divmod(np.arange(step * self.batch, (step + 1) * self.batch), self.examples)
        for epoch in [e for e in self._kept if e < epochs[0]]:
            del self._kept[epoch]
        chosen = [self._epoch(int(epoch))[place] for epoch, place in zip(epochs, places, strict=True)]
        return np.stack([epochs, np.array(chosen)], axis=1)

    def _epoch(self, epoch: int) -> np.ndarray:
        if epoch not in self._kept:
            self._kept[epoch] = np.random.default_rng((self.seed, epoch)).permutation(self.examples)
        return self._kept[epoch]

    def epochs(self, steps: int) -> float:
        """How often each example has been seen after so many steps."""
        return steps * self.batch / self.examples
