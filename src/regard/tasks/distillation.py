"""Distillation: a network learns pictures without labels, from its own running average.

Labels, where there are some, only score what was learnt: by its nearest neighbours and by a linear classifier.
Shapes: batch of pictures; count of crops; K prototypes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from regard.errors import RegardError, counted
from regard.model.config import TransformerConfig
from regard.model.sequence import Sequence as Tokens
from regard.model.transformer import Transformer, initialise
from regard.tasks import frozen
from regard.tasks.classification import evenly
from regard.tasks.collapse import Health
from regard.tasks.crops import View
from regard.tasks.distiller import Distiller, Teacher, begin, disagreement, shares, temperature_at, told_apart
from regard.tasks.layers import Streams
from regard.tasks.pictures import LINEAR, PictureExamples
from regard.tasks.vary import smaller
from regard.training.average import evaluating, rising
from regard.training.ranks import Ranks

BOTTLENECK = 64
"""Numbers between the head's network and the prototypes."""
QUICK = 256
"""Held-out pictures that are looked at while training."""
TOGETHER = 256
"""Pictures that are looked at at once."""
KNOWN = 20_000
"""Training pictures at most among which neighbours are sought."""


@dataclass(frozen=True)
class Views:
    """How a picture is cropped."""

    large: View
    """Two of them; the teacher sees these alone."""
    small: View
    count: int
    """Of small ones."""


@dataclass(frozen=True)
class Parts:
    train: PictureExamples
    held_out: PictureExamples
    classes: Sequence[str]
    """() where pictures have no labels."""
    views: Views
    copied: npt.NDArray[np.bool_] | None = None
    """Which of the held-out pictures stand in training, too."""


class Distillation:
    name, unit = "distillation", "pictures"
    loss_in = f"nats a picture (sought among a step's, in validation among {QUICK})"

    def __init__(
        self, parts: Parts, ranks: Ranks, settings: Mapping[str, Any],
        config: Callable[[Mapping[str, Any]], TransformerConfig],
    ) -> None:  # fmt: skip
        """settings: of the training; config: the transformer that follows from them.

        Raises RegardError where a picture would be told apart from no other.
        """
        self.parts, self.ranks, self.settings, self.config = parts, ranks, settings, config
        self.examples, self.held_out, self.classes = parts.train, parts.held_out, parts.classes
        self.chopper, self.seed = parts.train.chopper, int(settings["seed"])
        self.contrast = float(settings.get("contrast", 0.0))  # runs from before there was any learnt by prototypes
        if self.contrast and fewest_together(settings, ranks.count) < 2:
            batch, most = settings["batch"], settings["micro_batch"]
            parted = f"of {batch} a step for {counted(ranks.count, 'rank')}, {most} at once"
            what = f"{parted}, one picture has no others from which it could be told apart"
            do = "give each rank a multiple of --micro-batch, of 2 or more, or --contrast 0"
            raise ranks.of_all(RegardError("--batch", what, do))
        views = (parts.views.large, parts.views.small)
        self.large_chopper, self.small_chopper = (
            replace(self.chopper, height=view.height, width=view.width) for view in views
        )

    def build(self, settings: Mapping[str, Any]) -> Distiller:
        """Transformer and head, its attention path the one of the settings while training."""
        transformer = Transformer(self.config(settings))
        transformer.train_with(str(settings["attention"]))
        return Distiller(transformer, int(settings["prototypes"]), BOTTLENECK, self.chopper.pool)

    def first_weights(self, model: Distiller) -> None:
        initialise(model.transformer, self.seed)
        begin(model, self.seed)

    def averaged(self, model: Distiller, settings: Mapping[str, Any]) -> Teacher:
        """The teacher."""
        return Teacher(model, rising(float(settings["average"])), self.ranks)

    # learning

    def batch(self, ids: np.ndarray, rng: np.random.Generator, progress: float = 1.0) -> tuple[Tokens, ...]:
        """ids (batch, 2) -> two large crops of each picture, first the one of all, then the other; then small ones."""
        views, pictures = self.parts.views, self._pictures(self.examples.rows[ids[:, 1]])
        made = [self.large_chopper.sequence(views.large.of(pictures.repeat(2, 1, 1, 1), rng))]
        if views.count:
            made.append(self.small_chopper.sequence(views.small.of(pictures.repeat(views.count, 1, 1, 1), rng)))
        return tuple(made)

    def _pictures(self, rows: np.ndarray) -> Tensor:
        """(batch, channels, height, width), 0 to 255."""
        pixels = torch.from_numpy(self.examples.pictures[rows]).to(self.ranks.device)
        return pixels.permute(0, 3, 1, 2).to(torch.float32).contiguous()

    def loss(self, model: nn.Module, batch: tuple[Tokens, ...], average: nn.Module) -> tuple[Tensor, Tensor]:
        """Nats by which the student misses what the teacher says of another crop, summed over pictures."""
        assert isinstance(average, Distiller)
        crops = 2 + self.parts.views.count
        with torch.no_grad():
            places, cosines = average(batch[0])  # (2 * batch, bottleneck), (2 * batch, K)
            average.note(cosines)
        early = int(average.steps) < int(self.settings["warm_up"])  # or the first teacher's chances would be learnt
        found, said = model(*batch, frozen=early)
        taught = by_crop(places, 2)  # (2, batch, bottleneck)
        apart = told_apart(taught, by_crop(found, crops))
        shared = disagreement(by_crop(self.said(average, cosines), 2), by_crop(said, crops))
        return self._both(apart, shared), torch.tensor(taught.shape[1])

    def _both(self, apart: Tensor, shared: Tensor) -> Tensor:
        """Where pictures are told apart alone, prototypes have a gradient of 0, not none, as ranks wait for one."""
        return self.contrast * apart + (1 - self.contrast) * shared

    def said(self, teacher: Distiller, cosines: Tensor) -> Tensor:
        """The teacher's shares at its step, (count, K)."""
        last, warm_up = float(self.settings["teacher_temperature"]), int(self.settings["temperature_warm_up"])
        return shares(cosines, teacher.centre, temperature_at(int(teacher.steps), last, warm_up))

    # how it goes

    def quick_score(self, model: Distiller) -> float:
        """The loss of two large crops of some held-out pictures, the average its own teacher: for the eye."""
        some = evenly(self.held_out, QUICK)
        pictures = self._pictures(some.rows).repeat(2, 1, 1, 1)
        with evaluating(model):
            crops = self.parts.views.large.of(pictures, np.random.default_rng(0))
            places, cosines = model(self.large_chopper.sequence(crops))
            apart = told_apart(by_crop(places, 2), by_crop(places, 2))
            shared = disagreement(by_crop(self.said(model, cosines), 2), by_crop(cosines, 2))
        return float(self._both(apart, shared)) / len(some)

    @property
    def whole_score(self) -> float:
        """How many times the quick score the whole one costs."""
        passes = 3 * len(self.held_out) + 2 * len(self.known) if self.classes else len(self.held_out)
        return passes / (3 * min(len(self.held_out), QUICK))  # two crops of each, and once whole (watched)

    def health(self, model: Distiller, examples: PictureExamples) -> Health:
        """How the teacher takes whole pictures."""
        with evaluating(model):
            return Health.of(torch.cat([self.said(model, model(tokens)[1]) for tokens in self._seen(examples)]))

    def watched(self, model: Distiller) -> dict[str, float]:
        """Entropy and divergence of the teacher. Raises Unsound where it has collapsed."""
        found = self.health(model, evenly(self.held_out, QUICK))
        found.check(int(model.steps), int(self.settings["temperature_warm_up"]), shared=self.contrast < 1)
        return found.figures()

    def monitor(self, model: Distiller) -> None:
        """No slice is held back: the teacher has come to rest at the end."""

    def sample(self, model: Distiller) -> str:
        """How the held-out pictures are spread over the prototypes."""
        found = self.health(model, some := evenly(self.held_out, QUICK))
        return f"{found.used:,} of {found.prototypes:,} prototypes are the first choice of {len(some):,} pictures"

    # scores

    def beside(self) -> None:
        """What the same network and the pixels are worth is counted in whole_score."""

    def evaluate(self, model: Distiller) -> dict[str, Any]:
        """The scores on the whole held-out part, and those of the same network untrained and of the pixels."""
        return self.evaluate_on(model, self.held_out, self.parts.copied)

    def evaluate_on(
        self, model: Distiller, asked: PictureExamples, copied: npt.NDArray[np.bool_] | None = None
    ) -> dict[str, Any]:
        """knn and linear where pictures have labels (asked's are numbered as the run's), and the teacher's figures.

        copied: which of them were learnt from; then `without_copies` has the scores of the others.
        """
        scores: dict[str, Any] = {
            "examples": len(asked),
            "teacher": self.health(model, asked).figures(),
            "baselines": {},
        }
        if not self.classes:
            return scores
        untrained = self.build(self.settings).to(self.ranks.device).eval()
        self.first_weights(untrained)

        def right(features: Callable[[PictureExamples], Tensor]) -> frozen.Right:
            one, other = (frozen.Known(features(some), some.truth) for some in (self.known, asked))
            return frozen.put_right(one, other, len(self.classes))

        found = right(lambda some: self.features(model, some))
        scores["baselines"] = {
            "untrained": frozen.shares(right(lambda some: self.features(untrained, some))),
            "pixels": frozen.shares(right(pixels)),
        }
        if copied is not None and copied.any():
            scores["without_copies"] = {**frozen.shares(found, ~copied), "examples": int((~copied).sum())}
        return {**frozen.shares(found), **scores}

    @property
    def known(self) -> PictureExamples:
        """Training pictures among which neighbours are sought."""
        return evenly(self.examples, KNOWN)

    def features(self, model: Distiller, examples: PictureExamples, streams: Streams | None = None) -> Tensor:
        """(count, width): what the transformer makes of whole pictures, without the head.

        streams: what listens meanwhile.
        """
        found, start = list[Tensor](), 0
        with evaluating(model):
            for tokens in self._seen(examples):
                record = None if streams is None else streams.of(start, tokens)
                found.append(model.features(tokens, record))
                start += tokens.batch
        return torch.cat(found)

    def _seen(self, examples: PictureExamples) -> Iterator[Tokens]:
        """Whole pictures as they are, some at a time."""
        for start in range(0, len(examples), TOGETHER):
            yield examples.plain(start, start + TOGETHER, self.ranks.device)[0]


def fewest_together(settings: Mapping[str, Any], ranks: int) -> int:
    """Pictures of the smallest piece of a step that a rank computes at once, as the loop parts it."""
    batch, most = int(settings["batch"]), int(settings["micro_batch"])
    shares = batch // ranks, -(-batch // ranks)
    return min(share // max(1, -(-share // most)) for share in shares)


def pixels(examples: PictureExamples) -> Tensor:
    """(count, numbers): pictures as they are, made smaller where they are large; grey is 0."""
    return torch.from_numpy(smaller(examples.pictures[examples.rows], LINEAR)) - 0.5


def by_crop(x: Tensor, crops: int) -> Tensor:
    """(crops * batch, K), all pictures' first crops first -> (crops, batch, K)."""
    return x.view(crops, -1, x.shape[-1])
