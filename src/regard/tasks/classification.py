"""Classification: which of the known classes an example is of. Every token scores each class; their mean counts.

The mean of the tokens' scores is the scores of their mean, as the output matrix is linear: so each patch's part in the
answer can be read off, and the model needs no other output than a text's. What was chopped does not matter here.
Shapes: batch; n tokens; classes; features of an example, for the linear answer beside.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.model.config import TransformerConfig
from regard.model.sequence import Sequence as Tokens
from regard.model.transformer import Transformer
from regard.tasks.layers import Mean, Streams, mean_of_rows, spread
from regard.tasks.linear import fit
from regard.tasks.scores import Answers
from regard.tasks.transformer_task import TransformerTask
from regard.training.average import evaluating
from regard.training.ranks import Ranks

QUICK = 512
"""Held-out examples that are scored while training."""
TOGETHER = 256
"""Examples that are scored at once, at most."""
TOKENS = 16_384
"""And tokens, as those of another program's large model fill the memory sooner."""
LEARNT = 60_000
"""Training examples that a linear classifier is fitted to."""
SHOWN = 4


class Labelled(Protocol):
    """Examples with a class each, chopped into tokens when they are needed."""

    def __len__(self) -> int: ...
    def size(self, example: int) -> int: ...

    @property
    def truth(self) -> npt.NDArray[np.int64]:
        """(len,) the class of each."""

    def varied(
        self, ids: np.ndarray, rng: np.random.Generator, device: torch.device, progress: float = 1.0
    ) -> tuple[Tokens, Tensor]:
        """ids (batch, 2), each (epoch, example) -> as they are seen in that epoch, and their classes (batch,), or what
        part of each is of which class (batch, classes).

        progress: 0 to 1, how much of the training is over.
        """

    def plain(self, start: int, end: int, device: torch.device) -> tuple[Tokens, Tensor]:
        """Examples start to end - 1 as they are, and their classes."""

    def numbers(self) -> npt.NDArray[np.float32]:
        """(len, features): what a linear classifier is given of them."""

    def some(self, rows: slice | npt.NDArray[np.bool_]) -> Self:
        """Only those."""


Pool = Callable[[Tensor, Tokens], Tensor]
"""(logits (batch, n, classes), the tokens they are of) -> (batch, classes)."""


@dataclass(frozen=True)
class Parts:
    train: Labelled
    held_out: Labelled
    classes: Sequence[str]
    pool: Pool
    copied: npt.NDArray[np.bool_] | None = None
    """Which of the held-out examples have a copy among those that are learnt from (P11)."""
    mean: Mean = mean_of_rows
    """Of the residual stream over an example's tokens."""


class Classification(TransformerTask):
    """Cross-entropy on the classes."""

    name = "classification"

    def __init__(
        self, parts: Parts, ranks: Ranks, settings: Mapping[str, Any],
        config: Callable[[Mapping[str, Any]], TransformerConfig], unit: str,
    ) -> None:  # fmt: skip
        """settings: of the training; config: the transformer that follows from them; unit: pictures, say."""
        self.parts, self.ranks, self.config, self.unit = parts, ranks, config, unit
        self.loss_in = f"nats a {unit.removesuffix('s')}{in_training(settings, unit)}"
        self.classes, self.held_out = parts.classes, parts.held_out
        self.seed, self.smoothing = int(settings["seed"]), float(settings["label_smoothing"])
        held = _monitored(len(parts.train), float(settings["monitor"]))
        self.examples, self.monitored = parts.train.some(~held), parts.train.some(held)

    def configured(self, settings: Mapping[str, Any]) -> TransformerConfig:
        return self.config(settings)

    def batch(self, ids: np.ndarray, rng: np.random.Generator, progress: float = 1.0) -> tuple[Tokens, Tensor]:
        """(examples as tokens, their classes (batch,)), varied as settings say."""
        return self.examples.varied(ids, rng, self.ranks.device, progress)

    def scores(self, model: nn.Module, tokens: Tokens) -> Tensor:
        """Of each class before the softmax, (batch, classes)."""
        return self.parts.pool(model(tokens), tokens)

    def loss(self, model: nn.Module, batch: tuple[Tokens, Tensor], average: nn.Module) -> tuple[Tensor, Tensor]:
        """Cross-entropy, a share of each label spread over all classes (Szegedy et al. 2016, section 7)."""
        tokens, labels = batch
        scores = self.scores(model, tokens)
        loss = F.cross_entropy(scores, labels, reduction="sum", label_smoothing=self.smoothing)
        return loss, torch.tensor(len(labels))

    def watched(self, model: nn.Module) -> dict[str, float]:
        return {}

    def evaluate(self, model: nn.Module) -> dict[str, Any]:
        """The scores on the whole held-out part, and the baselines'."""
        return self.evaluate_on(model, self.held_out, self.parts.copied)

    def evaluate_on(
        self, model: nn.Module, examples: Labelled, copied: npt.NDArray[np.bool_] | None = None
    ) -> dict[str, Any]:
        """copied: which of them were learnt from; then `without_copies` has the scores of the others."""
        return self.scored(self.answers(model, examples), examples, copied)

    def scored(
        self, answers: Answers, examples: Labelled, copied: npt.NDArray[np.bool_] | None = None
    ) -> dict[str, Any]:
        """The figures of what was answered to the examples, and the baselines'."""
        beside = self._beside if examples is self.held_out else self.baselines(examples)
        scores = {**answers.scores(self.classes), "baselines": beside}
        if copied is not None and copied.any():
            others = answers.some(~copied)
            some = len(others.truth)
            scores["without_copies"] = {"accuracy": others.accuracy if some else None,
                                        "nats": others.mean if some else None, "examples": some}  # fmt: skip
        return scores

    def answers(self, model: nn.Module, examples: Labelled, streams: Streams | None = None) -> Answers:
        """What the model says of each, in one pass. Ranks share them; all of them must call this.

        streams: what listens meanwhile, to the examples of this rank.
        """
        found = Answers.none(examples.truth)
        together = max(1, min(TOGETHER, TOKENS // max(1, examples.size(0)))) if len(examples) else TOGETHER
        starts = range(0, len(examples), together)
        with evaluating(model):
            for start in list(starts)[self.ranks.rank :: self.ranks.count]:
                tokens, _ = examples.plain(start, start + together, self.ranks.device)
                record = None if streams is None else streams.of(start, tokens)
                found.fill(start, self.parts.pool(model(tokens, record=record), tokens))
        return found.summed(self.ranks)

    def beside(self) -> None:
        """The linear answer takes seconds where there are many examples."""
        _ = self._beside

    @cached_property
    def _beside(self) -> dict[str, dict[str, Any]]:
        return self.baselines(self.held_out)

    def baselines(self, examples: Labelled) -> dict[str, dict[str, Any]]:
        """Always the commonest class; and a linear classifier, of at most LEARNT training examples."""
        labels, truth, classes = self.parts.train.truth, examples.truth, len(self.classes)
        shares = (np.bincount(labels, minlength=classes) + 1.0) / (len(labels) + classes)  # none impossible
        some = evenly(self.parts.train, LEARNT)
        linear, numbers = fit(some.numbers(), some.truth, classes), examples.numbers()
        return {
            "majority": {"accuracy": float((truth == shares.argmax()).mean()),
                         "nats": float(-np.log(shares)[truth].mean())},
            "linear": {"accuracy": float((linear(numbers) == truth).mean()), "nats": linear.nats(numbers, truth)},
        }  # fmt: skip

    def quick_score(self, model: nn.Module) -> float:
        """Nats an example on some of the held-out part: for the eye while training, not a result."""
        return self.answers(model, evenly(self.held_out, QUICK)).mean

    @property
    def whole_score(self) -> float:
        """How many times the quick score the whole one costs."""
        return max(1.0, len(self.held_out) / QUICK)

    def monitor(self, model: nn.Module) -> float | None:
        """Nats an example on the slice of the training part that was held back, or None where none was."""
        return self.answers(model, self.monitored).mean if len(self.monitored) else None

    def sample(self, model: Transformer) -> str:
        """What it says of a few held-out examples, always the same."""
        shown = evenly(self.held_out, SHOWN)
        with evaluating(model):
            tokens, labels = shown.plain(0, len(shown), self.ranks.device)
            sure = self.scores(model, tokens).softmax(dim=-1).cpu()
        said = [f"{self.classes[int(p.argmax())]} {float(p.max()):.2f} (is {self.classes[truth]})"
                for p, truth in zip(sure, labels.tolist(), strict=True)]  # fmt: skip
        return ", ".join(said)


Some = TypeVar("Some", bound=Labelled)


def evenly(examples: Some, most: int) -> Some:
    """At most so many of them, chosen as if by chance, always the same: a table may name its classes in turn."""
    return examples.some(spread(len(examples), most))


def in_training(settings: Mapping[str, Any], unit: str) -> str:
    """Of what the training loss is, where that is not the plain examples' labels, as it is in validation."""
    mixed = any(settings.get(name) for name in ("mixed", "blended"))
    of = ["smoothed labels"] * bool(settings["label_smoothing"]) + [f"mixed {unit}"] * mixed
    return f" (in training of {' and '.join(of)})" if of else ""


def _monitored(count: int, share: float) -> npt.NDArray[np.bool_]:
    """(count,): every so manieth example, that chooses the best checkpoint instead of being learnt from."""
    held = np.zeros(count, dtype=bool)
    if share > 0:
        held[:: max(2, round(1 / share))] = True
    return held
