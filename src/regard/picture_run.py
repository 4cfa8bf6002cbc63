"""A run on labelled pictures: what it can be asked."""

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NoReturn

from regard.errors import Notice, RegardError, printable
from regard.trained import Run

if TYPE_CHECKING:
    from regard.data.picture_cache import Decoded
    from regard.look import Look
    from regard.tasks.pictures import Chopper


class PictureRun(Run):
    takes = "picture"
    answers = True
    """Whether what comes out of the model are scores of classes."""

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

    def predict(self, picture: str | Path | bytes) -> list[tuple[str, float]]:
        """(class, probability) of a picture's file, or its bytes, the likeliest first.

        Raises RegardError for what is no picture that can be read.
        """
        import torch

        from regard.data.picture_decode import decode_one

        chopper = self.chopper
        seen = decode_one(picture, chopper.height, chopper.width, chopper.channels)
        tokens, model = chopper(seen.pixels[None]), self.model  # loaded out here, or it could not be looked at
        with torch.inference_mode():
            shares = chopper.pool(model(tokens), tokens)[0].double().softmax(dim=-1).tolist()
        return sorted(zip(self.classes, shares, strict=True), key=lambda one: -one[1])

    def look(self, picture: str | Path | bytes) -> "Look":
        """One forward pass over the picture, recorded: queries, keys, values, outputs and streams of every layer.

        Raises RegardError for what is no picture that can be read.
        """
        from regard.data.picture_decode import KINDS, SCALED, decode_one
        from regard.look import Look
        from regard.looking.picture import tokens_of_patches
        from regard.looking.record import record

        chopper = self.chopper
        seen = decode_one(picture, chopper.height, chopper.width, chopper.channels)
        grid, crop = chopper.grid, seen.crop
        named = tokens_of_patches(grid, chopper.learned, chopper.class_token)
        done = [what for bit, what in enumerate(KINDS) if seen.kinds & ~SCALED & 1 << bit]
        for what in done:
            self.notice(what, 1)
        facts = {"grid": [grid.height, grid.width, grid.patch_height, grid.patch_width],
                 "mean": list(chopper.mean), "deviation": list(chopper.deviation), "size": list(seen.size),
                 "crop": [crop.top, crop.left, crop.height, crop.width], "class_token": chopper.class_token,
                 "answers": self.answers, "classes": [printable(name) for name in self.outputs],
                 "done": done}  # fmt: skip
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
        import numpy as np

        from regard.data.picture_cache import open_decoded
        from regard.tasks.labelled_pictures import classification
        from regard.tasks.pictures import PictureExamples
        from regard.training.ranks import Ranks

        if encoding is not None or text_key != "text":
            raise RegardError("--encoding, --text-key", "the run is on pictures", "leave it out")
        assert self.config is not None
        own = open_decoded(self.path)
        if own is None and not paths:
            raise RegardError(str(self.path), "its pictures are not in its cache", "name pictures to evaluate on")
        if not paths:
            assert own is not None
            task = classification(own, self.config["settings"], Ranks(), self.config["model"])
            return task.evaluate(self.model)
        with TemporaryDirectory(prefix="regard-eval-") as folder:
            other = self._decoded(paths, skip_bad, Path(folder))
            task = classification(own or other, self.config["settings"], Ranks(), self.config["model"], self.chopper)
            examples = PictureExamples(other.pictures, other.labels.astype(np.int64), other.rows("all"), self.chopper)
            if own is None:
                return {**task.count(self.model, examples).scores(self.classes), "baselines": {}}
            return task.evaluate_on(self.model, examples, own.copied_in(other))

    def _decoded(self, paths: tuple[str | Path, ...], skip_bad: bool, folder: Path) -> "Decoded":
        """Other pictures, their labels numbered as the run's classes are."""
        import numpy as np

        from regard.data.class_folders import matched
        from regard.data.open import open_source
        from regard.data.pictures import PictureSource

        source = open_source([str(path) for path in paths], skip_bad=skip_bad, scoring=True)
        if not isinstance(source, PictureSource):
            raise RegardError(str(paths[0]), "this is text, and the run is on pictures", "name a folder of pictures")
        if not source.classes:
            raise RegardError(source.shown, "its pictures have no labels", "put each class into a folder of its own")
        number = matched(self.classes, source.classes, source.shown)
        source = replace(source, channels=self.chopper.channels)
        decoded = source.decode(folder, self.chopper.height, self.chopper.width)
        self.notices += [*source.notices, *decoded.notices]
        missing = [name for name in self.classes if name not in source.classes]
        if missing:
            what = "classes without a picture here, not measured"
            self.notices.append(Notice(what, len(missing), tuple(missing[:5])))
        ours = np.array([number[name] for name in source.classes])
        return replace(decoded, labels=ours[decoded.labels].astype(np.int32), classes=tuple(self.classes))

    def export(self, target: str | Path, format: str = "hf", *, dtype: str = "float32",
               overwrite: bool = False) -> NoReturn:  # fmt: skip
        """Raises RegardError: other programs have no such model."""
        raise RegardError(str(self.path), "a model of pictures cannot be exported yet", "export a run on text")
