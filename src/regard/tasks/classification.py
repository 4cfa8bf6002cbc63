"""Classification: which of the known classes an example is of. Every token scores each class; their mean counts.

The mean of the tokens' scores is the scores of their mean, as the output matrix is linear: so each patch's part in the
answer can be read off, and the model needs no other output than a text's. Shapes: batch; n tokens; classes.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.data.picture_cache import Decoded, open_decoded
from regard.data.pictures import PictureSource
from regard.errors import RegardError
from regard.model.config import TransformerConfig
from regard.model.sequence import Sequence
from regard.model.transformer import Transformer, check_sizes, initialise
from regard.tasks.linear import fit
from regard.tasks.picture_plan import Prepared, chopper_of, prepare, transformer_config
from regard.tasks.pictures import Chopper, PictureExamples
from regard.tasks.scores import Counts
from regard.tasks.vary import Variation, smaller
from regard.training.average import evaluating
from regard.training.by_time import Budget
from regard.training.plan import Plan
from regard.training.ranks import Ranks
from regard.training.settings import Value

QUICK = 512
"""Held-out examples that are scored while training."""
TOGETHER = 256
"""Examples that are scored at once."""
LINEAR = 1024
"""Numbers of a picture that the linear classifier sees at most."""


class Classification:
    """Cross-entropy on the classes; the scores are means over the patches, or the class token's."""

    name, unit = "classification", "pictures"

    def __init__(
        self, decoded: Decoded, chopper: Chopper, ranks: Ranks, *, settings: Mapping[str, Value],
        model: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        """settings: of the training; model: the transformer's configuration, else it follows from the settings."""
        self.decoded, self.chopper, self.ranks = decoded, chopper, ranks
        self.classes, self.config = decoded.classes, dict(model) if model is not None else None
        self.seed, self.smoothing = int(settings["seed"]), float(settings["label_smoothing"])
        learnt, monitored = _without_monitor(decoded.rows("train"), float(settings["monitor"]))
        variation = Variation(settings["flip"] == "yes", int(settings["shift"]))
        whole = PictureExamples(decoded.pictures, decoded.labels, decoded.rows("train"), chopper)
        self.examples = replace(whole, rows=learnt, variation=variation)
        self.monitored = replace(whole, rows=monitored)
        self.held_out = replace(whole, rows=decoded.rows("held_out"))

    @staticmethod
    def prepare(source: PictureSource, plan: Plan, folder: Path, base: Any | None, budget: Budget) -> Prepared:
        """Decodes every picture once into the folder's cache/, and chooses how they are cut."""
        return prepare(source, plan, folder, base, budget)

    @staticmethod
    def restore_cache(source: PictureSource, folder: Path, config: Mapping[str, Any]) -> None:
        """Decodes the run's pictures again where the cache is incomplete."""
        if open_decoded(folder) is None:
            chopper = Chopper.from_json(config["chopper"])
            source.decode(folder, chopper.height, chopper.width)

    @classmethod
    def open(
        cls, folder: Path, settings: Mapping[str, Any], ranks: Ranks, model: Mapping[str, Any] | None
    ) -> "Classification":
        """From a run's folder, its pictures mapped from the disk. Raises RegardError where the cache is incomplete."""
        decoded = open_decoded(folder)
        if decoded is None:
            do = "give the training command again with its data"
            raise RegardError(str(folder / "cache"), "the run's pictures are incomplete", do)
        return cls(decoded, chopper_of(decoded, settings), ranks, settings=settings, model=model)

    def build(self, settings: Mapping[str, Any]) -> Transformer:
        """The transformer, its attention path the one of the settings while training."""
        config = transformer_config(settings, self.chopper, len(self.classes))
        if self.config is not None:
            config = replace(TransformerConfig.from_json(self.config), dropout=float(settings["dropout"]))
        check_sizes(config)
        model = Transformer(config)
        model.train_with(str(settings["attention"]))
        return model

    def first_weights(self, model: Transformer) -> None:
        initialise(model, self.seed)

    def batch(self, ids: np.ndarray, rng: np.random.Generator) -> tuple[Sequence, Tensor]:
        """(pictures as patches, labels (batch,)), varied as settings say."""
        return self.examples.varied(ids, rng, self.ranks.device)

    def loss(self, model: nn.Module, batch: tuple[Sequence, Tensor], average: nn.Module) -> tuple[Tensor, Tensor]:
        """Cross-entropy, a share of each label spread over all classes (Szegedy et al. 2016, section 7)."""
        sequence, labels = batch
        scores = class_scores(model(sequence), self.chopper.pooled)
        loss = F.cross_entropy(scores, labels, reduction="sum", label_smoothing=self.smoothing)
        return loss, torch.tensor(len(labels))

    def evaluate(self, model: nn.Module) -> dict[str, Any]:
        """The scores on the whole held-out part, and the baselines'."""
        return {**self.count(model, self.held_out).scores(self.classes), "baselines": self.baselines(self.held_out)}

    def count(self, model: nn.Module, examples: PictureExamples) -> Counts:
        """What the model says of examples. Ranks share them; all of them must call this."""
        counts = Counts.none(len(self.classes))
        starts = range(0, len(examples), TOGETHER)
        with evaluating(model):
            for start in list(starts)[self.ranks.rank :: self.ranks.count]:
                sequence, labels = examples.plain(start, start + TOGETHER, self.ranks.device)
                counts.add(class_scores(model(sequence), self.chopper.pooled), labels)
        return Counts.of(self.ranks.sum(*counts.flat()), len(self.classes))

    def baselines(self, examples: PictureExamples) -> dict[str, dict[str, Any]]:
        """Always the commonest class; and a linear classifier on the pixels (made smaller where they are many)."""
        learnt, classes = self.decoded.rows("train"), len(self.classes)
        truth, labels = self.decoded.labels[examples.rows], self.decoded.labels[learnt]
        shares = (np.bincount(labels, minlength=classes) + 1.0) / (len(labels) + classes)
        linear = fit(smaller(self.decoded.pictures[learnt], LINEAR), labels, classes)
        said = linear(smaller(self.decoded.pictures[examples.rows], LINEAR))
        return {
            "majority": {"accuracy": float((truth == shares.argmax()).mean()),
                         "nats": float(-np.log(shares)[truth].mean())},
            "linear": {"accuracy": float((said == truth).mean()), "nats": None},
        }  # fmt: skip

    def quick_score(self, model: nn.Module) -> float:
        """Nats an example on some of the held-out part: for the eye while training, not a result."""
        return self.count(model, evenly(self.held_out, QUICK)).nats

    @property
    def whole_score(self) -> float:
        """How many times the quick score the whole one costs."""
        return max(1.0, len(self.held_out) / QUICK)

    def monitor(self, model: nn.Module) -> float | None:
        """Nats an example on the slice of the training part that was held back, or None where none was."""
        return self.count(model, self.monitored).nats if len(self.monitored) else None

    def sample(self, model: Transformer) -> str:
        """What it says of a few held-out pictures, always the same."""
        shown = evenly(self.held_out, 4)
        with evaluating(model):
            sequence, labels = shown.plain(0, len(shown), self.ranks.device)
            sure = class_scores(model(sequence), self.chopper.pooled).softmax(dim=-1).cpu()
        said = [f"{self.classes[int(p.argmax())]} {float(p.max()):.2f} ({self.classes[truth]})"
                for p, truth in zip(sure, labels.tolist(), strict=True)]  # fmt: skip
        return ", ".join(said)


def class_scores(logits: Tensor, pooled: slice) -> Tensor:
    """Scores of the whole from those of its tokens: (batch, n, classes) -> (batch, classes). pooled: which count."""
    return logits[:, pooled].mean(dim=1)


def evenly(examples: PictureExamples, most: int) -> PictureExamples:
    """At most so many of them, evenly chosen."""
    step = max(1, math.ceil(len(examples) / most))
    return replace(examples, rows=examples.rows[::step])


Rows = npt.NDArray[np.int64]


def _without_monitor(rows: Rows, share: float) -> tuple[Rows, Rows]:
    """(what is learnt from, every so manieth: what chooses the best checkpoint)."""
    if share == 0.0:
        return rows, rows[:0]
    held = np.zeros(len(rows), dtype=bool)
    held[:: max(2, round(1 / share))] = True
    return rows[~held], rows[held]


TASK = Classification
