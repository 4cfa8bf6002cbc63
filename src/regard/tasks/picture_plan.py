"""The plan of a run on pictures: how large they are kept, how they are cut and varied, what they ask of the sizes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from regard.data.picture_cache import Decoded
from regard.data.pictures import PictureSource
from regard.errors import Notice, RegardError
from regard.model.config import AttentionConfig, FeedForwardConfig, PositionConfig, TransformerConfig
from regard.model.transformer import check_sizes, check_way
from regard.tasks.linear import fit
from regard.tasks.pictures import WHOLE_FROM, Chopper, scales_of
from regard.tasks.vary import smaller
from regard.training.by_time import Budget, Needs, choose_all
from regard.training.measure import Probe
from regard.training.plan import Plan, choose_learning_rates
from regard.training.settings import Value

SIDE = 64
"""Pixels of the shorter side that pictures of many sizes are kept with."""
LARGEST = 96
"""Pixels of a side up to which pictures that are all of one size stay as they are."""
PATCHES = 100
"""A picture is cut into at most so many."""
MANY = 32
"""Patches from which on half of them tell enough of a picture for the first part of the training."""
TOKENS_A_STEP = 4096
FED = 7.0
"""Tokens for each number of a model: so ten minutes of CIFAR-10 take the size that was measured (docs/log.md)."""
OFTEN = 30
"""Times that a picture is seen, from which on it would be learnt by heart rather than understood."""
THETA = 100.0
"""Base of the rotation: rows and columns are few, a text's 10,000 would hardly turn most pairs."""
MIRRORED_LIMIT = 0.8
"""Of what a linear classifier finds in pictures, which part it must find in mirrored ones, or nothing is mirrored."""
COMPARED = 4000
"""Pictures that this is measured on, as many again to learn from."""


def prepare(source: PictureSource, plan: Plan, folder: Path, base: Any | None, budget: Budget) -> "Prepared":
    """Decodes the pictures into the folder's cache/; raises RegardError for what cannot be learnt from."""
    if base is not None:
        raise RegardError("--from", "pictures cannot go on from another model yet", "leave it out")
    if not source.classes:
        do = "put each class into a folder of its own, or learn without any: --task distillation"
        raise RegardError(source.name, "its pictures have no labels", do)
    height, width = choose_size(plan, source.sizes)
    decoded = source.decode(folder, height, width)
    choose_patch(plan, height, width)
    plan.choose("pooling", "mean", "each patch has a say; a class token is there where it is asked for")
    plan.choose("registers", 0, "learned tokens without pixels; models of this size do without")
    choose_variation(plan, decoded)
    choose_shown(plan, height, width)
    return Prepared(decoded, len(decoded.classes), needs_of_pictures, list(decoded.notices))


def choose_size(plan: Plan, sizes: dict[tuple[int, int], int]) -> tuple[int, int]:
    """Height and width that all pictures are brought to. sizes: how many pictures there are of each (height, width)."""
    height, width = max(sizes, key=lambda size: sizes[size])
    if len(sizes) == 1 and max(height, width) <= LARGEST:
        side = plan.choose("pixels", min(height, width), "all pictures are of this size")
    else:
        why = "of the shorter side: pictures are of many sizes" if len(sizes) > 1 else "of the shorter side"
        side = plan.choose("pixels", min(SIDE, min(height, width)), why)
    if side == min(height, width) and len(sizes) == 1:
        return height, width
    ratio = float(np.median(np.repeat([h / w for h, w in sizes], list(sizes.values()))))
    ratio = min(max(ratio, 0.5), 2.0)
    step = 8 if side >= 32 else 1  # so that patches leave no border
    longer = step * round(max(ratio, 1 / ratio) * side / step)
    return (longer, side) if ratio >= 1 else (side, longer)


def choose_patch(plan: Plan, height: int, width: int) -> None:
    """The smallest side with which the picture is not more than PATCHES tokens; the context follows."""
    short = min(height, width)
    sides = range(min(2, short), short + 1)  # a single pixel says too little to be a token
    enough = [side for side in sides if (height // side) * (width // side) <= PATCHES] or [short]
    whole = [side for side in enough if height % side == width % side == 0 and side <= 2 * enough[0]]
    side = (whole or enough)[0]
    tokens = (height // side) * (width // side)
    side = plan.choose("patch", side, f"it cuts {height} x {width} pixels into {tokens} tokens")
    if side > short:
        raise RegardError("--patch", f"{side} pixels are more than the picture's {short}", "give less")


def choose_variation(plan: Plan, decoded: Decoded) -> None:
    """What may be done to a picture without changing what it is."""
    share = mirrored_share(decoded)
    measured = f"a linear classifier finds {share:.0%} as many mirrored ones"
    plan.choose("flip", "yes" if share >= MIRRORED_LIMIT else "no", measured)
    side = min(decoded.height, decoded.width)
    plan.choose("shift", round(side / 16), "a sixteenth of the side")
    plan.choose("label_smoothing", 0.1, "as is the custom (Szegedy et al. 2016)")
    plan.choose("blanked", 0.0, "nothing is left out of a picture unless it is asked for")
    plan.choose("colours", 0.0, "colours may be what a class is known by")


def choose_shown(plan: Plan, height: int, width: int) -> None:
    """How much of each picture most of the training sees."""
    patches = (height // plan["patch"]) * (width // plan["patch"])
    why = (
        f"{patches} patches: some leave a picture out, and more pictures are seen" if patches >= MANY else "few patches"
    )
    plan.choose("shown", 0.5 if patches >= MANY else 1.0, why)


def mirrored_share(decoded: Decoded) -> float:
    """What a linear classifier finds in mirrored pictures, of what it finds in the same as they are (none learnt)."""
    rows = decoded.rows("train")
    rows = rows[:: max(1, len(rows) // (2 * COMPARED))]
    learnt, other = rows[::2], rows[1::2]
    if len(other) == 0:
        return 1.0
    linear = fit(smaller(decoded.pictures[learnt], 256), decoded.labels[learnt], len(decoded.classes))
    seen, truth = decoded.pictures[other], decoded.labels[other]
    plain, mirrored = (float((linear(smaller(x, 256)) == truth).sum()) for x in (seen, seen[:, :, ::-1]))
    return min(1.0, mirrored / max(plain, 1.0))


def chopper_of(decoded: Decoded, settings: Mapping[str, Value]) -> Chopper:
    learned = int(settings["registers"]) + (settings["pooling"] == "class")
    return Chopper(decoded.height, decoded.width, decoded.channels, int(settings["patch"]), learned,
                   settings["pooling"] == "class", *scales_of(decoded.pictures, decoded.rows("train")))  # fmt: skip


@dataclass
class Prepared:
    """Pictures in the cache, their cutting chosen: what the plan's second half starts from."""

    decoded: Decoded
    outputs: int
    """Numbers that the transformer makes of a picture: a score a class."""
    needs: Callable[[int, int, int], Needs]
    """(tokens to learn from, tokens held out, outputs) -> what is asked of the sizes."""
    notices: list[Notice] = field(default_factory=list)
    kept: dict[str, Any] = field(default_factory=dict)
    """What the run's config.json keeps: how a picture becomes tokens, and what the classes are called."""
    things: str = "pictures"
    """What they are called, in the plural."""
    chop: Callable[[Decoded, Mapping[str, Value]], Chopper] = chopper_of
    """(what was decoded, settings) -> how it is cut."""

    def choose(self, plan: Plan, budget: Budget, probe: Probe) -> tuple[dict[str, Any], float]:
        """The sizes and the rest; returns the model's configuration, and the seconds that the end is going to take."""
        chopper = self.chop(self.decoded, plan.settings)
        plan.fix("context", chopper.n, f"tokens of a {self.things.removesuffix('s')}")
        self.kept |= {"chopper": chopper.to_json(), "classes": list(self.decoded.classes)}
        counts = {part: len(self.decoded.rows(part)) for part in ("train", "held_out")}
        self.kept["counts"] = {self.things: sum(counts.values()), **counts}
        train, held_out = (count * chopper.n for count in counts.values())
        reserve = choose_all(plan, self.needs(train, held_out, self.outputs), budget, probe)
        config = transformer_config(plan.settings, chopper, self.outputs)
        check_sizes(config)  # before anything says that this is a run
        check_way(config, plan["attention"])
        return config.to_json(), reserve


def needs_of_labelled(train: int, held_out: int, classes: int) -> Needs:
    """train, held_out: tokens of the two parts. That each number sees six of them is measured at four minutes only."""
    return Needs(train=train, held_out=held_out, vocabulary=classes, tokens_a_step=TOKENS_A_STEP, steps=1500, fed=6.0,
                 room=10.0, scorings=1.1, rest=partial(_choose_rest, train))  # fmt: skip


def needs_of_pictures(train: int, held_out: int, classes: int) -> Needs:
    """Some patches are shown first, and pictures that are seen often are mixed."""
    needs = needs_of_labelled(train, held_out, classes)
    return replace(needs, fed=FED, rest=partial(_choose_mixing, train), slower=_slower)


def _choose_mixing(train: int, plan: Plan, steps: float, seen: float) -> None:
    _choose_rest(train, plan, steps, seen)
    often = seen / max(train, 1) >= OFTEN
    why = f"pictures are seen {'more' if often else 'less'} than {OFTEN} times"
    plan.choose("blended", 0.5 if often else 0.0, f"{why}; docs/log.md has the runs beside it")
    plan.choose("mixed", 0.0, "one way of mixing is enough")
    if plan["mixed"] + plan["blended"] > 1:
        what = f"{plan['mixed']:g} mixed and {plan['blended']:g} blended are more than all pictures"
        raise RegardError("--blended", what, "give two shares whose sum is at most 1")


def _slower(plan: Plan) -> tuple[float, float]:
    """Beside a step on the patches that are shown first: one on the mean (WHOLE_FROM is a share of the time), and one
    on whole pictures."""
    whole = 1 / float(plan.settings.get("shown", 1.0))
    return 1 / (WHOLE_FROM + (1 - WHOLE_FROM) / whole), whole


def _choose_rest(train: int, plan: Plan, steps: float, seen: float) -> None:
    epochs = seen / max(train, 1)
    often = f"each is seen {epochs:.1f} times"
    plan.choose("dropout", 0.0 if epochs < 20 else 0.1, often)
    plan.choose("weight_decay", 0.1, often)
    decay = round(min(0.999, max(0.8, 1 - 40 / max(steps, 1.0))), 4)
    plan.choose("average", decay, f"over about the last {1 / (1 - decay):,.0f} of {steps:,.0f} steps")
    plan.choose("monitor", 0.0, "the last weights are the best where the learning rate ends at 0")
    choose_learning_rates(plan, steps)


def transformer_config(settings: Any, chopper: Chopper, outputs: int) -> TransformerConfig:
    """The settings as a model: Qwen3's block, as for text; patches in, a score a class out, or what else is asked."""
    whole = {name: int(settings[name]) for name in ("width", "layers", "heads", "key_value_heads", "head_width")}
    return TransformerConfig(
        vocabulary=outputs, context=chopper.n, width=whole["width"], layers=whole["layers"],
        attention=AttentionConfig(heads=whole["heads"], key_value_heads=whole["key_value_heads"],
                                  head_width=whole["head_width"]),
        feed_forward=FeedForwardConfig(width=int(settings["feed_forward"])), position=PositionConfig(theta=THETA),
        features=chopper.features, learned=chopper.learned, dropout=float(settings["dropout"]),
    )  # fmt: skip
