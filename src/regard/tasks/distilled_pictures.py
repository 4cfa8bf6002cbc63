"""Pictures without labels, from what was read to a task: the plan, the cache, and distillation opened on a run.

docs/log.md has the trials behind the figures; they were short.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from regard.data.picture_cache import Decoded, open_decoded
from regard.data.picture_facts import LEAST
from regard.data.pictures import PictureSource
from regard.errors import RegardError
from regard.model.config import TransformerConfig
from regard.tasks.crops import View
from regard.tasks.distillation import KNOWN, Distillation, Parts, Views
from regard.tasks.labelled_pictures import LabelledPictures
from regard.tasks.picture_plan import Prepared, choose_patch, choose_size, chopper_of, transformer_config
from regard.tasks.pictures import Chopper, PictureExamples
from regard.training.by_time import Budget, Needs
from regard.training.plan import Plan
from regard.training.ranks import Ranks

OUTPUTS = 256
"""What the transformer makes of a picture for the head: its first layer."""
INSIDE = "transformer."
"""How the names of the transformer's own weights begin in a checkpoint."""
LARGE, SMALL = (0.5, 1.0), (0.3, 0.8)
"""Shares of the picture that crops take: the paper's small ones, 0.05 to 0.4, would seldom show an object of these."""
LARGE_SIDE, SMALL_SIDE = 3 / 4, 3 / 8
"""Of a picture's patches each way, how many a crop of it is brought to: fewer are more pictures in the same time."""
TOKENS_A_STEP = 4096
"""Of whole pictures; a step computes some three times as many, as each is seen in several crops."""
FED = 25.0
"""Tokens of whole pictures for each number of a model: small networks learn more in minutes (docs/log.md)."""
TEMPERATURE = 0.04
"""Of the teacher, once it has risen."""
SCORING = 0.25
"""What looking at a whole picture costs, of what is counted for it: no crops, and the teacher alone."""


class DistilledPictures:
    name = "distillation"

    @staticmethod
    def prepare(source: PictureSource, plan: Plan, folder: Path, base: Any | None, budget: Budget) -> Prepared:
        """Decodes the pictures into the folder's cache/; raises RegardError for what nothing can be learnt from."""
        if base is not None:
            raise RegardError("--from", "pictures cannot go on from another model yet", "leave it out")
        height, width = choose_size(plan, source.sizes)
        decoded = source.decode(folder, height, width)
        if (there := len(decoded.labels)) < LEAST:
            raise RegardError(source.shown, f"only {there} pictures can be read", f"give at least {LEAST}")
        count = len(decoded.rows("train"))
        choose_patch(plan, height, width)
        plan.choose("pooling", "class", "its row of the last attention outlines what is in the picture")
        plan.choose("registers", 0, "learned tokens without pixels; models of this size do without")
        plan.choose("local_crops", 2, "beside two large ones; each costs a quarter of one")
        choose_contrast(plan)
        plan.choose("flip", "yes", "a mirrored picture shows the same things; --flip no where sides matter")
        plan.choose("prototypes", prototypes_for(count), f"{count:,} pictures")
        known = 2 * min(1.0, KNOWN / count) if decoded.classes else 0.0
        return Prepared(decoded, OUTPUTS, partial(needs, known), list(decoded.notices), {"inside": INSIDE})

    restore_cache = staticmethod(LabelledPictures.restore_cache)

    @staticmethod
    def open(
        folder: Path, settings: Mapping[str, Any], ranks: Ranks, model: Mapping[str, Any] | None
    ) -> Distillation:  # fmt: skip
        """From a run's folder, its pictures mapped from the disk. Raises RegardError where the cache is incomplete."""
        decoded = open_decoded(folder)
        if decoded is None:
            do = "give the training command again with its data"
            raise RegardError(str(folder / "cache"), "the run's pictures are incomplete", do)
        return distillation(decoded, settings, ranks, model)


def distillation(
    decoded: Decoded, settings: Mapping[str, Any], ranks: Ranks, model: Mapping[str, Any] | None = None,
    chopper: Chopper | None = None,
) -> Distillation:  # fmt: skip
    """model: the transformer's configuration, else it follows from the settings; chopper: else from the pictures."""
    chopper = chopper or chopper_of(decoded, settings)
    whole = PictureExamples(decoded.pictures, decoded.labels.astype(np.int64), decoded.rows("train"), chopper)
    held_out = decoded.rows("held_out")
    views = views_of(chopper, int(settings["local_crops"]), settings["flip"] == "yes")
    parts = Parts(whole, replace(whole, rows=held_out), decoded.classes, views, decoded.copied[held_out])

    def config(chosen: Mapping[str, Any]) -> TransformerConfig:
        if model is None:
            return transformer_config(chosen, chopper, OUTPUTS)
        return replace(TransformerConfig.from_json(dict(model)), dropout=float(chosen["dropout"]))

    return Distillation(parts, ranks, settings, config)


def views_of(chopper: Chopper, small: int, flip: bool) -> Views:
    """Both are brought to whole patches."""

    def view(side: float, shares: tuple[float, float]) -> View:
        grid, patch = chopper.grid, chopper.patch
        height, width = (patch * max(1, round(n * side)) for n in (grid.rows, grid.columns))
        return View(height, width, *shares, flip)

    return Views(view(LARGE_SIDE, LARGE), view(SMALL_SIDE, SMALL), small)


def choose_contrast(plan: Plan) -> None:
    """Raises RegardError for what would leave nothing to learn from."""
    contrast = plan.choose("contrast", 1.0, "pictures of a step are told apart; less, and prototypes are learnt, too")
    for name in ("batch", "micro_batch"):
        if contrast and plan.known(name) == 1:
            what = "1 picture at a time has no others from which it could be told apart"
            raise RegardError(f"--{name.replace('_', '-')}", what, "give 2 or more, or --contrast 0")
    if contrast == 1:
        plan.fix("teacher_temperature", TEMPERATURE, "prototypes only measure where pictures are told apart alone")


def prototypes_for(pictures: int) -> int:
    """As lightly-train chooses: more pictures fall into more groups."""
    return next((k for limit, k in ((20_000, 1024), (50_000, 2048)) if pictures < limit), 4096)


def needs(known: float, train: int, held_out: int, outputs: int) -> Needs:
    """known: how often the training part is looked at for the scores; train, held_out: tokens of the two parts."""
    scored = int(3 * held_out + known * train)
    return Needs(train=train, held_out=scored, vocabulary=outputs, tokens_a_step=TOKENS_A_STEP, steps=1500, fed=FED,
                 room=10.0, scorings=SCORING, rest=partial(_choose_rest, train))  # fmt: skip


def _choose_rest(train: int, plan: Plan, steps: float, seen: float) -> None:
    often = f"each picture is seen {seen / max(train, 1):.1f} times, never twice in the same crops"
    plan.choose("dropout", 0.0, often)
    plan.choose("weight_decay", 0.1, often)
    warm_up = int(plan.choose("warm_up", max(1, min(200, int(steps * 0.03))), "the prototypes rest meanwhile"))
    if plan["contrast"] < 1:
        plan.choose("teacher_temperature", TEMPERATURE, "the student's is 0.1")
    plan.choose("temperature_warm_up", max(warm_up, int(steps * 0.4)), "two fifths of the steps")
    decay = round(min(0.996, max(0.9, 1 - 40 / max(steps, 1.0))), 4)
    plan.choose("average", decay, f"the teacher follows over {1 / (1 - decay):,.0f} of {steps:,.0f} steps, then rests")
    plan.choose("monitor", 0.0, "the teacher has come to rest at the end")
    plan.choose("learning_rate", 0.02, "Muon's, as with labels")
    plan.choose("table_learning_rate", 0.002, "AdamW's, as with labels")
    plan.choose("cool_down", 0.4, "falls to 0 over the last part of the time")


TASK = DistilledPictures
