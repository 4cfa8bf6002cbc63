"""Labelled pictures, from what was read to a task: the plan, the cache, and classification opened on a run's folder."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from regard.data.picture_cache import Decoded, open_decoded
from regard.data.pictures import PictureSource
from regard.errors import RegardError
from regard.model.config import TransformerConfig
from regard.tasks.classification import Classification, Parts
from regard.tasks.mix import Mixing
from regard.tasks.picture_plan import Prepared, chopper_of, prepare, transformer_config
from regard.tasks.pictures import Chopper, PictureExamples
from regard.tasks.vary import Variation
from regard.training.by_time import Budget
from regard.training.plan import Plan
from regard.training.ranks import Ranks


class LabelledPictures:
    name = "classification"

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

    @staticmethod
    def open(
        folder: Path, settings: Mapping[str, Any], ranks: Ranks, model: Mapping[str, Any] | None
    ) -> Classification:
        """From a run's folder, its pictures mapped from the disk. Raises RegardError where the cache is incomplete."""
        decoded = open_decoded(folder)
        if decoded is None:
            do = "give the training command again with its data"
            raise RegardError(str(folder / "cache"), "the run's pictures are incomplete", do)
        return classification(decoded, settings, ranks, model)


def classification(
    decoded: Decoded, settings: Mapping[str, Any], ranks: Ranks, model: Mapping[str, Any] | None = None,
    chopper: Chopper | None = None,
) -> Classification:  # fmt: skip
    """model: the transformer's configuration, else it follows from the settings; chopper: else from the pictures."""
    chopper = chopper or chopper_of(decoded, settings)
    whole = PictureExamples(decoded.pictures, decoded.labels.astype(np.int64), decoded.rows("train"), chopper)
    variation = Variation(settings["flip"] == "yes", int(settings["shift"]))
    # runs of before there were these settings have none of it
    mixing = Mixing(**{name: float(settings.get(name, 0.0)) for name in ("mixed", "blended", "blanked", "colours")})
    train = replace(whole, variation=variation, shown=float(settings.get("shown", 1.0)), mixing=mixing,
                    classes=len(decoded.classes))  # fmt: skip
    return of_examples(decoded, train, settings, ranks, model, "pictures")


def of_examples(
    decoded: Decoded, train: PictureExamples, settings: Mapping[str, Any], ranks: Ranks,
    model: Mapping[str, Any] | None, unit: str,
) -> Classification:  # fmt: skip
    """Classification of pictures, or of sounds as pictures: what is held out is seen as it is."""
    held_out, chopper = decoded.rows("held_out"), train.chopper
    plain = PictureExamples(train.pictures, train.labels, held_out, chopper)
    parts = Parts(train, plain, decoded.classes, chopper.pool, decoded.copied[held_out])

    def config(chosen: Mapping[str, Any]) -> TransformerConfig:
        if model is None:
            return transformer_config(chosen, chopper, len(decoded.classes))
        return replace(TransformerConfig.from_json(dict(model)), dropout=float(chosen["dropout"]))

    return Classification(parts, ranks, settings, config, unit)


TASK = LabelledPictures
