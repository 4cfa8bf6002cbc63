"""Labelled sounds, from what was read to a task: the plan, the cache, and classification opened on a run's folder.

A token is a slice of time, all pitches of it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from regard.data.class_split import HELD_OUT
from regard.data.picture_cache import Decoded, open_decoded
from regard.data.sounds import SoundSource
from regard.errors import RegardError
from regard.tasks.classification import Classification
from regard.tasks.labelled_pictures import of_examples
from regard.tasks.picture_plan import Prepared, needs_of_labelled
from regard.tasks.pictures import Chopper, PictureExamples, scales_of
from regard.tasks.vary_sounds import SoundVariation
from regard.tokens.sound import TELEPHONE, WIDE, MelSettings
from regard.training.by_time import Budget
from regard.training.plan import Plan
from regard.training.ranks import Ranks

LONGEST = 10.0
"""Seconds of a sound that are kept unless more are asked for."""
SLICES = 100
"""A sound is cut into at most so many."""
LOUDER = 15
"""Of a byte: 6 dB, what twice as far or as near does."""
SETTINGS = {settings.mels: settings for settings in (TELEPHONE, WIDE)}
"""By the number of bands, which is the height of the pictures."""


class LabelledSounds:
    name = "classification"

    @staticmethod
    def prepare(source: SoundSource, plan: Plan, folder: Path, base: Any | None, budget: Budget) -> Prepared:
        """Makes every sound a spectrogram once, in the folder's cache/, and chooses how they are cut and varied."""
        if base is not None:
            raise RegardError("--from", "sounds cannot go on from another model yet", "leave it out")
        frames = choose_frames(plan, source)
        decoded = source.decode(folder, frames, source.settings)
        plan.choose("pooling", "mean", "each slice has a say; a class token is there where it is asked for")
        plan.choose("registers", 0, "learned tokens without a sound; models of this size do without")
        choose_variation(plan, decoded)
        return Prepared(decoded, len(decoded.classes), needs_of_labelled, list(decoded.notices), things="sounds",
                        chop=chopper_of)  # fmt: skip

    @staticmethod
    def restore_cache(source: SoundSource, folder: Path, config: Mapping[str, Any]) -> None:
        """Makes the run's spectrograms again where the cache is incomplete."""
        if open_decoded(folder, "sounds") is None:
            chopper = Chopper.from_json(config["chopper"])
            source.decode(folder, chopper.width, SETTINGS[chopper.height])

    @staticmethod
    def open(
        folder: Path, settings: Mapping[str, Any], ranks: Ranks, model: Mapping[str, Any] | None
    ) -> Classification:
        """From a run's folder, mapped from the disk. Raises RegardError where the cache is incomplete."""
        decoded = open_decoded(folder, "sounds")
        if decoded is None:
            do = "give the training command again with its data"
            raise RegardError(str(folder / "cache"), "the run's sounds are incomplete", do)
        return classification(decoded, settings, ranks, model)


def choose_frames(plan: Plan, source: SoundSource) -> int:
    """How much of each sound is kept, and how wide the slices are; a whole number of slices, in frames."""
    mels: MelSettings = source.settings
    usual = float(np.percentile(source.seconds[source.parts != HELD_OUT], 95))  # or of all, where no folder says it yet
    why = "95 % of the sounds are not longer" if usual <= LONGEST else f"5 % are longer than {usual:.1f} s"
    seconds = float(plan.choose("seconds", round(min(max(usual, mels.window), LONGEST), 2), why))
    frames = max(1, round(seconds / mels.hop))
    width = max(2 if frames > 1 else 1, -(-frames // SLICES))
    why = f"frames of {1000 * mels.hop:g} ms in a slice: {-(-frames // width)} tokens"
    width = int(plan.choose("patch", width, why))
    if width > max(frames, 2):
        raise RegardError("--patch", f"{width} frames are more than the {frames} of a sound", "give less")
    return -(-frames // width) * width


def choose_variation(plan: Plan, decoded: Decoded) -> None:
    """What may be done to a sound without changing what it is."""
    plan.choose("shift", round(decoded.width / 10), "frames: a tenth of the length")
    plan.choose("masked", 0.2, "one stripe of pitches and one of time (Park et al. 2019)")
    plan.choose("label_smoothing", 0.1, "as is the custom (Szegedy et al. 2016)")


def chopper_of(decoded: Decoded, settings: Mapping[str, Any]) -> Chopper:
    """Slices as high as the spectrogram."""
    learned = int(settings["registers"]) + (settings["pooling"] == "class")
    scales = scales_of(decoded.pictures, decoded.rows("train"))
    return Chopper(decoded.height, decoded.width, decoded.channels, decoded.height, learned,
                   settings["pooling"] == "class", *scales, across=int(settings["patch"]))  # fmt: skip


def classification(
    decoded: Decoded, settings: Mapping[str, Any], ranks: Ranks, model: Mapping[str, Any] | None = None,
    chopper: Chopper | None = None,
) -> Classification:  # fmt: skip
    """model: the transformer's configuration, else it follows from the settings; chopper: else from the sounds."""
    chopper = chopper or chopper_of(decoded, settings)
    variation = SoundVariation(int(settings["shift"]), LOUDER, float(settings["masked"]))
    train = PictureExamples(
        decoded.pictures, decoded.labels.astype(np.int64), decoded.rows("train"), chopper, variation
    )
    return of_examples(decoded, train, settings, ranks, model, "sounds")


TASK = LabelledSounds
