"""A run on pictures without labels: what it can be asked."""

from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from regard import files
from regard.errors import RegardError
from regard.picture_run import PictureRun
from regard.trained import called, check_torch

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

    from regard.data.picture_cache import Decoded
    from regard.distilled_report import DistilledReport
    from regard.tasks.distillation import Distillation
    from regard.tasks.distiller import Distiller


class DistilledRun(PictureRun):
    """`model` is the transformer alone; the head, which only learning needs, is read for scores."""

    answers = False

    @property
    def outputs(self) -> list[str]:
        """What comes out of a position is for the head, and has no meaning of its own."""
        assert self.config is not None
        return [f"feature {number}" for number in range(self.config["model"]["vocabulary"])]

    @cached_property
    def own(self) -> "Decoded":
        """The run's own pictures. Raises RegardError where its cache is gone."""
        from regard.data.picture_cache import open_decoded

        found = open_decoded(self.path)
        if found is None:
            do = "give the training command again with its data"
            raise RegardError(str(self.path), "its pictures are not in its cache, and neighbours are among them", do)
        return found

    @cached_property
    def task(self) -> "Distillation":
        from regard.tasks.distilled_pictures import distillation
        from regard.training.ranks import Ranks

        assert self.config is not None
        return distillation(self.own, self.config["settings"], Ranks(), self.config["model"])

    @cached_property
    def teacher(self) -> "Distiller":
        """Transformer and head with the weights that are evaluated, in evaluation mode."""
        check_torch()
        from regard.training import checkpoint

        assert self.config is not None
        model = self.task.build(self.config["settings"])
        files.read_checkpoint(self.path, lambda one: checkpoint.load_weights(model, one.path / checkpoint.MODEL),
                              say=self.notices.append)  # fmt: skip
        return model.eval().requires_grad_(False)

    @cached_property
    def _known(self) -> "Tensor":
        """(count, width): the features of the training pictures."""
        return self.task.features(self.teacher, self.task.known)

    def features(self, picture: str | Path | bytes) -> "npt.NDArray[np.float32]":
        """(width,): what the network makes of a picture's file, or its bytes; like pictures have like numbers.

        Raises RegardError for what is no picture that can be read.
        """
        found: npt.NDArray[np.float32] = self._features(picture)[0].numpy()
        return found

    def _features(self, picture: str | Path | bytes) -> "Tensor":
        """(1, width)."""
        import torch

        from regard.data.picture_decode import decode_one

        chopper, model = self.chopper, self.model
        tokens = chopper(decode_one(picture, chopper.height, chopper.width, chopper.channels).pixels[None])
        with torch.no_grad():
            found: Tensor = chopper.pool(model.output.norm(model.stream(tokens)), tokens)
        return found

    def predict(self, picture: str | Path | bytes) -> list[tuple[str, float]]:
        """(class, share of the votes) of the 20 training pictures that are most like it, the largest first.

        Raises RegardError for what is no picture that can be read, and where the run's pictures have no labels.
        """
        from regard.tasks.neighbours import votes

        if not self.classes:
            do = "ask `regard eval`, or for its numbers in Python: run.features(picture)"
            raise RegardError(str(self.path), "it learnt from pictures without labels, so it knows no classes", do)
        asked = self._features(picture)
        shares = votes(self._known, self.task.known.truth, asked, len(self.classes))[0].tolist()
        return sorted(zip(self.classes, shares, strict=True), key=lambda one: -one[1])

    def report(  # type: ignore[override]  # there are no cases
        self, *paths: str | Path, skip_bad: bool = False, encoding: str | None = None, text_key: str = "text",
        layers: bool = True,
    ) -> "DistilledReport":  # fmt: skip
        """The scores as `evaluate` returns them, and what the layers make of the pictures; all of it can be drawn:
        `report.save("x.html")`.

        Of the run's own held-out part, or of other labelled pictures, whose classes go by their names. Raises
        RegardError where the run's cache is gone, as neighbours are sought in it, and for others where it has no
        labels.
        """
        import numpy as np

        from regard.distilled_report import distilled_report_of
        from regard.tasks.pictures import PictureExamples

        self._check_reading(encoding, text_key)
        task, what = self.task, called(paths)
        if not paths:
            return distilled_report_of(self, task, self.teacher, task.held_out, what=what, copied=task.parts.copied,
                                       layers=layers)  # fmt: skip
        if not self.classes:
            do = "leave PATHS out; its own held-out part shows whether it collapsed"
            raise RegardError(str(self.path), "its own pictures have no labels to score others by", do)
        with TemporaryDirectory(prefix="regard-eval-") as folder:
            other = self._decoded(paths, skip_bad, Path(folder))
            labels = other.labels.astype(np.int64)
            asked = PictureExamples(other.pictures, labels, other.rows("all"), task.chopper)
            return distilled_report_of(self, task, self.teacher, asked, what=what, copied=self.own.copied_in(other),
                                       layers=layers)  # fmt: skip
