"""A run on labelled pictures: what it can be asked."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from regard.errors import RegardError, agreeing, noticed, printable
from regard.trained import Run, called

if TYPE_CHECKING:
    from regard.data.picture_cache import Decoded
    from regard.data.picture_decode import Seen
    from regard.look import Look
    from regard.report import Report
    from regard.tasks.classification import Classification
    from regard.tasks.pictures import Chopper


class PictureRun(Run):
    takes, things, answers = "picture", "pictures", True
    axes: ClassVar[Mapping[str, Any]] = {}
    """What a recording keeps of what its picture's axes mean, where it is a sound's."""

    @cached_property
    def chopper(self) -> "Chopper":
        """How a picture becomes tokens."""
        from regard.tasks.pictures import Chopper

        assert self.config is not None
        return Chopper.from_json(self.config["chopper"])

    @property
    def classes(self) -> list[str]:
        assert self.config is not None
        names: list[str] = self.config["classes"]
        return names

    @property
    def outputs(self) -> list[str]:
        """What the numbers are called that come out of a position."""
        return self.classes

    def check(self) -> None:
        """Loads what answers need. Raises RegardError for what is wrong with it."""
        _ = self.model

    def seen(self, given: str | Path | bytes) -> "tuple[Seen, list[str]]":
        """What the model sees of a file, or its bytes, and what had to be done to it. Raises RegardError."""
        from regard.data.picture_decode import KINDS, SCALED, decode_one

        chopper = self.chopper
        seen = decode_one(given, chopper.height, chopper.width, chopper.channels)
        return seen, [what for bit, what in enumerate(KINDS) if seen.kinds & ~SCALED & 1 << bit]

    def task_on(self, decoded: "Decoded") -> "Classification":
        """What is asked of it, with these pictures as its own."""
        from regard.tasks.labelled_pictures import classification
        from regard.training.ranks import Ranks

        assert self.config is not None
        return classification(decoded, self.config["settings"], Ranks(), self.config["model"], self.chopper)

    def predict(self, picture: str | Path | bytes) -> list[tuple[str, float]]:
        """(class, probability) of a picture's file, or its bytes, the likeliest first.

        Raises RegardError for what is no picture that can be read.
        """
        import torch

        chopper, (seen, _) = self.chopper, self.seen(picture)
        tokens, model = chopper(seen.pixels[None]), self.model  # loaded out here, or it could not be looked at
        with torch.inference_mode():
            shares = chopper.pool(model(tokens), tokens)[0].double().softmax(dim=-1).tolist()
        return sorted(zip(self.classes, shares, strict=True), key=lambda one: -one[1])

    def look(self, picture: str | Path | bytes) -> "Look":
        """One forward pass over the picture, recorded: queries, keys, values, outputs and streams of every layer.

        Raises RegardError for what is no picture that can be read.
        """
        from regard.look import Look
        from regard.looking.picture import tokens_of_patches
        from regard.looking.record import record

        chopper, (seen, done) = self.chopper, self.seen(picture)
        grid, crop = chopper.grid, seen.crop
        named = tokens_of_patches(grid, chopper.learned, chopper.class_token)
        for what in done:
            self.notice(what, 1)
        facts = {"grid": [grid.height, grid.width, grid.patch_height, grid.patch_width],
                 "mean": list(chopper.mean), "deviation": list(chopper.deviation), "size": list(seen.size),
                 "crop": [crop.top, crop.left, crop.height, crop.width], "class_token": chopper.class_token,
                 "answers": self.answers, "classes": [printable(name) for name in self.outputs],
                 "done": [agreeing(what, 2) for what in done], **self.axes}  # fmt: skip
        recording = record(self.model, chopper(seen.pixels[None]), named, name=self.facts["run"],
                           seed=self.facts["seed"], preprocessing=facts)  # fmt: skip
        found = Look(recording.kept, self.model)
        found.run = self
        return found

    def evaluate(self, *paths: str | Path, skip_bad: bool = False, encoding: str | None = None,
                 text_key: str = "text") -> dict[str, Any]:  # fmt: skip
        """The scores on the run's own held-out part, or on other labelled pictures, whose classes go by their names.

        The baselines know the run's training part: where its cache is gone, there are none. Raises RegardError for
        classes that the run does not know, and where the cache is gone and nothing else is named.
        """
        return self.report(*paths, skip_bad=skip_bad, encoding=encoding, text_key=text_key, layers=False).scores

    def report(self, *paths: str | Path, skip_bad: bool = False, encoding: str | None = None, text_key: str = "text",
               layers: bool = True, count: int = 12) -> "Report":  # fmt: skip
        """The scores as `evaluate` returns them, so many of the most wrong and most right cases, and the layers; all
        of it can be drawn: `report.save("x.html")`. Raises RegardError as `evaluate` does.
        """
        import numpy as np

        from regard.data.picture_cache import open_decoded
        from regard.report import report_of
        from regard.tasks.pictures import PictureExamples

        self._check_reading(encoding, text_key)
        own = open_decoded(self.path, self.things)
        if own is None and not paths:
            what = f"its {self.things} are not in its cache"
            raise RegardError(str(self.path), what, f"name {self.things} to evaluate on")
        if not paths:
            assert own is not None
            task = self.task_on(own)
            held_out: PictureExamples = task.held_out  # type: ignore[assignment]
            return report_of(self, task, held_out, own.names.among(held_out.rows), held_out.picture,
                             what=called(paths), copied=task.parts.copied, layers=layers, count=count)  # fmt: skip
        with TemporaryDirectory(prefix="regard-eval-") as folder:
            other = self._decoded(paths, skip_bad, Path(folder))
            task = self.task_on(own or other)
            examples = PictureExamples(other.pictures, other.labels.astype(np.int64), other.rows("all"), self.chopper)
            copied = None if own is None else own.copied_in(other)
            return report_of(self, task, examples, other.names.among(examples.rows), examples.picture,
                             what=called(paths), copied=copied, known=own is not None, layers=layers,
                             count=count)  # fmt: skip

    def _check_reading(self, encoding: str | None, text_key: str) -> None:
        if encoding is not None or text_key != "text":
            raise RegardError("--encoding, --text-key", f"the run is on {self.things}", "leave it out")

    def _decoded(self, paths: tuple[str | Path, ...], skip_bad: bool, folder: Path) -> "Decoded":
        """Other pictures, their labels numbered as the run's classes are."""
        import numpy as np

        from regard.data.class_folders import matched
        from regard.data.open import open_source
        from regard.data.series import SeriesSource
        from regard.data.text import TextSource

        source = open_source([str(path) for path in paths], skip_bad=skip_bad, scoring=True)
        if isinstance(source, TextSource | SeriesSource) or source.kind != self.things:
            what = f"this is {source.kind.replace('_', ' ')}, and the run is on {self.things}"
            raise RegardError(str(paths[0]), what, f"name a folder of {self.things}")
        if not source.classes:
            do = "put each class into a folder of its own"
            raise RegardError(source.shown, f"its {self.things} have no labels", do)
        number = matched(self.classes, source.classes, source.shown)
        decoded = self.decoded(source, folder)
        self.notices += [*source.notices, *decoded.notices]
        missing = [name for name in self.classes if name not in source.classes]
        thing = self.things.removesuffix("s")
        self.notices += noticed(f"class(es) without a {thing} here, not measured", missing)
        ours = np.array([number[name] for name in source.classes])
        return replace(decoded, labels=ours[decoded.labels].astype(np.int32), classes=tuple(self.classes))

    def decoded(self, source: Any, folder: Path) -> "Decoded":
        """Others of the same kind, as the run's own were decoded; into a folder's cache."""
        found: Decoded = replace(source, channels=self.chopper.channels).decode(
            folder, self.chopper.height, self.chopper.width
        )
        return found

    def export(self, target: str | Path, format: str = "hf", *, dtype: str = "float32",
               overwrite: bool = False) -> NoReturn:  # fmt: skip
        """Raises RegardError: other programs have no such model."""
        raise RegardError(str(self.path), f"a model of {self.things} cannot be exported yet", "export a run on text")
