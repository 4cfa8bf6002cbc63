"""A ViT of transformers, in its folder: what it can be asked. It answers as a run on labelled pictures does."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regard.picture_run import PictureRun
from regard.trained import check_torch

if TYPE_CHECKING:
    from regard.data.picture_cache import Decoded
    from regard.data.picture_decode import Seen
    from regard.pretrained.vit_folder import PretrainedViT
    from regard.tasks.classification import Classification
    from regard.tasks.pictures import Chopper

CUT = "picture(s) cut to the middle, where transformers squeezes the whole"
UNTRAINED = {"seed": 0, "label_smoothing": 0.0, "monitor": 0.0}
"""Settings of a training that there is none of: pictures are scored as they are."""


def is_vit(config: object) -> bool:
    """Whether this is another program's config.json of a ViT, of whatever kind. Needs no torch."""
    if not isinstance(config, dict):
        return False
    return config.get("model_type") == "vit" or config.get("architectures") == ["ViTForImageClassification"]


class ViTRun(PictureRun):
    @cached_property
    def facts(self) -> dict[str, Any]:
        return {**super().facts, "task": "classification"}

    @cached_property
    def pretrained(self) -> "PretrainedViT":
        check_torch()
        from regard.pretrained.vit_folder import read_vit

        found = read_vit(self.path)
        self.notices += found.notices
        return found

    @cached_property
    def chopper(self) -> "Chopper":
        from regard.tasks.pictures import Chopper

        found = self.pretrained
        (height, width), (high, wide) = found.size, found.patch
        return Chopper(height, width, found.channels, patch=high, learned=1, class_token=True, mean=found.mean,
                       deviation=found.deviation, across=wide, axes=1)  # fmt: skip

    @property
    def classes(self) -> list[str]:
        return list(self.pretrained.classes)

    def seen(self, given: str | Path | bytes) -> "tuple[Seen, list[str]]":
        """As of a run's own picture; where something was cut away, that is a notice, for transformers cuts nothing."""
        seen, done = super().seen(given)
        if (seen.crop.height, seen.crop.width) != seen.size:
            self.notice(CUT, 1)
        return seen, done

    def decoded(self, source: Any, folder: Path) -> "Decoded":
        """Others as it sees them; of those that are of other proportions the middle is kept."""
        height, width = self.chopper.height, self.chopper.width
        if cut := sum(many for (high, wide), many in source.sizes.items() if high * width != wide * height):
            self.notice(CUT, cut)
        return super().decoded(source, folder)

    def task_on(self, decoded: "Decoded") -> "Classification":
        """Of other pictures alone, as there are none that it learnt from here."""
        import numpy as np

        from regard.tasks.classification import Classification, Parts
        from regard.tasks.pictures import PictureExamples
        from regard.training.ranks import Ranks

        whole = PictureExamples(decoded.pictures, decoded.labels.astype(np.int64), decoded.rows("all"), self.chopper)
        parts = Parts(whole, whole, self.classes, self.chopper.pool)
        return Classification(parts, Ranks(), UNTRAINED, lambda _: self.model.config, unit="pictures")
