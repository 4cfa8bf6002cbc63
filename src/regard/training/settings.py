"""Every setting of a training: name, type, range, meaning; the command's options come from here (no imports)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal

from regard.errors import RegardError

Value = int | float | str


@dataclass(frozen=True)
class Setting:
    name: str
    """As in Python; the option is --name with hyphens."""
    kind: Literal["whole", "number", "choice"]
    meaning: str
    low: float = 0
    high: float = 0
    choices: tuple[str, ...] = ()
    of: tuple[str, ...] = ()
    """The kinds of data, or the tasks, that it is for; () for any."""

    @property
    def option(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def allowed(self) -> str:
        if self.kind == "choice":
            return "one of " + ", ".join(self.choices)
        low, high = (f"{limit:,.10g}" for limit in (self.low, self.high))
        return f"{'a whole number' if self.kind == 'whole' else 'a number'} from {low} to {high}"

    def check(self, value: object) -> Value:
        """The value in its own type. Raises RegardError naming the option and what is allowed."""
        if self.kind == "choice":
            if str(value) in self.choices:
                return str(value)
        else:
            number = _number(value)
            if self.low <= number <= self.high and (self.kind == "number" or number == int(number)):
                return int(number) if self.kind == "whole" else number
        raise RegardError(self.option, f"{str(value)[:40]!r} does not fit", f"give {self.allowed}")


def _number(value: object) -> float:
    """The number, or not-a-number, which is in no range: so are 1_000 and Arabic digits, which Python would take."""
    text = str(value)
    if isinstance(value, bool) or not text.isascii() or "_" in text:
        return math.nan
    try:
        return float(text)
    except ValueError:
        return math.nan


LANGUAGE, TEXTS, PICTURES, SOUNDS = ("text",), ("text", "labelled_text"), ("pictures",), ("sounds",)
SERIES = ("series",)
CUT = (*PICTURES, *SOUNDS)
LABELLED, UNLABELLED = ("classification",), ("distillation",)
TASK_NAMES = ("language", "classification", "distillation", "forecasting")

SETTINGS: tuple[Setting, ...] = (
    Setting("task", "choice", "what is asked of the data", choices=TASK_NAMES),
    Setting("tokens", "choice", "what a token is", choices=("characters", "bpe"), of=TEXTS),
    Setting(
        "vocabulary",
        "whole",
        "ids of a BPE tokenizer, the 256 bytes and the document mark included",
        257,
        1_000_000,
        of=TEXTS,
    ),
    Setting("context", "whole", "tokens in a training window", 2, 8192, of=(*TEXTS, *SERIES)),
    Setting("pixels", "whole", "of the shorter side that pictures are kept with", 1, 4096, of=PICTURES),
    Setting("seconds", "number", "of each sound that are kept", 0.01, 600, of=SOUNDS),
    Setting(
        "patch",
        "whole",
        "pixels on the side of a patch, frames in a slice of a sound, or rows of a series",
        1,
        1024,
        of=(*CUT, *SERIES),
    ),
    Setting("pooling", "choice", "what the answer is read from", choices=("mean", "class"), of=CUT),
    Setting("registers", "whole", "learned tokens that have no pixels", 0, 64, of=CUT),
    Setting(
        "shown",
        "number",
        "share of a picture's patches that all but the last part of the training sees",
        0.05,
        1,
        of=PICTURES,
    ),
    Setting(
        "mixed", "number", "share of pictures with a rectangle of another, labels in proportion", 0, 1, of=PICTURES
    ),
    Setting(
        "blended", "number", "share of pictures that another shines through, labels in proportion", 0, 1, of=PICTURES
    ),
    Setting("blanked", "number", "side of a square left blank, as a share of the picture's", 0, 0.9, of=PICTURES),
    Setting("colours", "number", "by which part brightness, contrast and saturation change", 0, 1, of=PICTURES),
    Setting("flip", "choice", "whether pictures are also learnt mirrored", choices=("yes", "no"), of=PICTURES),
    Setting(
        "shift",
        "whole",
        "pixels, or frames of a sound, by which one is moved at most while learning",
        0,
        1024,
        of=LABELLED,
    ),
    Setting("label_smoothing", "number", "share of a label that is spread over all classes", 0, 0.9, of=LABELLED),
    Setting(
        "masked", "number", "share of pitches, and of time, that are silenced at most while learning", 0, 0.9, of=SOUNDS
    ),
    Setting("local_crops", "whole", "small crops of a picture beside two large ones", 0, 64, of=UNLABELLED),
    Setting(
        "contrast",
        "number",
        "1: pictures of a step are told apart; 0: they are shared among prototypes (DINO)",
        0,
        1,
        of=UNLABELLED,
    ),
    Setting("prototypes", "whole", "groups that pictures sort themselves into", 2, 1_000_000, of=UNLABELLED),
    Setting(
        "teacher_temperature",
        "number",
        "below 0.1 the teacher is surer than the student",
        1e-3,
        10,
        of=UNLABELLED,
    ),
    Setting("temperature_warm_up", "whole", "steps in which that temperature rises", 0, 1_000_000, of=UNLABELLED),
    Setting("width", "whole", "numbers in a token's vector", 2, 65_536),
    Setting("layers", "whole", "blocks", 1, 1000),
    Setting("heads", "whole", "attention heads in a block", 1, 1024),
    Setting("key_value_heads", "whole", "heads of keys and values, shared by the query heads in equal groups", 1, 1024),
    Setting("head_width", "whole", "numbers in a head's query and key", 2, 1024),
    Setting("feed_forward", "whole", "hidden numbers of the fully connected network", 1, 262_144),
    Setting("tied", "choice", "whether the output matrix is the embedding table", choices=("yes", "no"), of=LANGUAGE),
    Setting("dropout", "number", "share of each part's output set to 0 while training", 0, 0.9),
    Setting("batch", "whole", "windows in a step, over all ranks", 1, 1_000_000),
    Setting(
        "micro_batch", "whole", "windows computed at once by one rank; the step adds their gradients", 1, 1_000_000
    ),
    Setting("learning_rate", "number", "of Muon, for the matrices inside blocks", 0, 1e9),
    Setting("table_learning_rate", "number", "of AdamW, for tables, the output matrix and norms", 0, 1e9),
    Setting("weight_decay", "number", "share of the learning rate by which matrices shrink each step", 0, 100),
    Setting("warm_up", "whole", "steps in which the learning rate rises", 0, 1_000_000),
    Setting("cool_down", "number", "last share of the training in which the learning rate falls to 0", 0, 1),
    Setting("average", "number", "how much of the running average of the weights each step keeps", 0, 0.99999),
    Setting(
        "monitor",
        "number",
        "share of the training part held back to choose the best checkpoint; 0: the last is it",
        0,
        0.5,
    ),
    Setting("evaluate_every", "whole", "steps between evaluations", 1, 1_000_000_000),
    Setting("checkpoint_every", "whole", "steps between checkpoints", 1, 1_000_000_000),
    Setting("precision", "choice", "numbers in the matrix products while training", choices=("float32", "bfloat16")),
    Setting(
        "attention", "choice", "how it is computed while training", choices=("plain", "unfused", "fused", "written")
    ),
    Setting("seed", "whole", "of the first weights, the order of data and dropout", 0, 2**31 - 1),
)
BY_NAME = {setting.name: setting for setting in SETTINGS}

MINUTES = Setting("minutes", "number", "time from the command's start to the last score", 0.001, 1_000_000)
STEPS = Setting("steps", "whole", "optimiser steps, instead of minutes", 1, 1_000_000_000)


def checked(given: Mapping[str, Any]) -> dict[str, Value]:
    """The settings that were given (not None), each in its type. Raises RegardError for unknown names, bad values."""
    known = {**BY_NAME, "minutes": MINUTES, "steps": STEPS}
    result = {}
    for name, value in given.items():
        if name not in known:
            near = get_close_matches(name, known, 1)
            raise RegardError(
                name, "there is no such setting", f"did you mean {near[0]}?" if near else "see `regard train --help`"
            )
        if value is not None:
            result[name] = known[name].check(value)
    if "minutes" in result and "steps" in result:
        raise RegardError("--minutes and --steps", "they contradict each other", "give one of the two")
    return result
