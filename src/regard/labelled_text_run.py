"""A run on labelled texts: what it can be asked."""

from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NoReturn

from regard.errors import RegardError, noticed, printable
from regard.trained import Run, called

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from regard.look import Look
    from regard.report import Report
    from regard.tasks.classification import Classification
    from regard.tasks.labelled_tokens import LabelledTokens
    from regard.tasks.texts import TextExamples
    from regard.tokens.text import TextTokenizer


class LabelledTextRun(Run):
    takes, says, answers = "text", False, True

    @cached_property
    def tokenizer(self) -> "TextTokenizer":
        from regard.tokens.text import TextTokenizer

        assert self.config is not None
        return TextTokenizer.load(self.path / "tokenizer.json", document=self.config["document"])

    @property
    def classes(self) -> list[str]:
        assert self.config is not None
        names: list[str] = self.config["classes"]
        return names

    @property
    def context(self) -> int:
        """Tokens of a text that are looked at, from its beginning on."""
        assert self.config is not None
        return int(self.config["settings"]["context"])

    def check(self) -> None:
        """Loads what answers need. Raises RegardError for what is wrong with it."""
        _ = self.tokenizer, self.model

    def _encode(self, text: str) -> "npt.NDArray[np.int64]":
        """The text's tokens: line ends as in training, the first ones if there are more than the context.

        Raises RegardError for white space alone, of which nothing was learnt.
        """
        import numpy as np

        if not text or text.isspace():
            raise RegardError("TEXT", "it is empty", "give one with words in it")
        unified = text.replace("\r\n", "\n").replace("\r", "\n")
        if unified != text:
            self.notice("line end(s) of the text made LF", text.count("\r"))
        ids = self.tokenizer.encode(unified)
        if len(ids) > self.context:
            what = f"token(s) at the end of the text left out, as the context is {self.context:,}"
            self.notice(what, len(ids) - self.context)
        return np.array(ids[: self.context], np.int64)

    def predict(self, text: str) -> list[tuple[str, float]]:
        """(class, probability) of a text, the likeliest first. Raises RegardError for an empty one."""
        import torch

        from regard.tasks.texts import pool, side_by_side

        tokens, model = side_by_side([self._encode(text)]), self.model  # loaded out here, or it could not be looked at
        with torch.inference_mode():
            shares = pool(model(tokens), tokens)[0].double().softmax(dim=-1).tolist()
        return sorted(zip(self.classes, shares, strict=True), key=lambda one: -one[1])

    def look(self, text: str) -> "Look":
        """One forward pass over the text, recorded: queries, keys, values, outputs and streams of every layer.

        Each position's outputs are the classes' scores; the answer is their mean. Raises RegardError for an empty text.
        """
        import torch

        from regard.look import Look
        from regard.looking.record import Tokens, record
        from regard.tasks.texts import side_by_side

        ids = self._encode(text)
        recording = record(
            self.model, side_by_side([ids]), Tokens.of_text(ids, self.tokenizer), truth=torch.full((len(ids),), -1),
            name=self.facts["run"], seed=self.facts["seed"],
            preprocessing={"classes": [printable(name) for name in self.classes]},
        )  # fmt: skip
        found = Look(recording.kept, self.model)
        found.run = self
        return found

    def evaluate(self, *paths: str | Path, encoding: str | None = None, skip_bad: bool = False,
                 text_key: str = "text") -> dict[str, Any]:  # fmt: skip
        """The scores on the run's own held-out part, or on other labelled texts, whose classes go by their names.

        The baselines know the run's training part: where its cache is gone, there are none. Raises RegardError for
        classes that the run does not know, and where the cache is gone and nothing else is named.
        """
        return self.report(*paths, encoding=encoding, skip_bad=skip_bad, text_key=text_key, layers=False).scores

    def report(self, *paths: str | Path, encoding: str | None = None, skip_bad: bool = False, text_key: str = "text",
               layers: bool = True, count: int = 12) -> "Report":  # fmt: skip
        """The scores as `evaluate` returns them, so many of the most wrong and most right cases, and the layers; all
        of it can be drawn: `report.save("x.html")`. Raises RegardError as `evaluate` does.
        """
        from regard.report import report_of
        from regard.tasks.labelled_texts import examples_of
        from regard.tasks.labelled_tokens import open_labelled

        own = open_labelled(self.path)
        if not paths:
            if own is None:
                raise RegardError(str(self.path), "its texts are not in its cache", "name texts to evaluate on")
            task = self._task(own)
            held_out: TextExamples = task.held_out  # type: ignore[assignment]
            return report_of(self, task, held_out, own.names.among(held_out.rows), partial(self._decoded, held_out),
                             what=called(paths), copied=task.parts.copied, layers=layers, count=count)  # fmt: skip
        with TemporaryDirectory(prefix="regard-eval-") as folder:
            other = self._tokens(paths, encoding, skip_bad, text_key, Path(folder))
            task = self._task(own or other)
            examples = examples_of(other, "all", self.context, task.parts.train.common)  # type: ignore[attr-defined]
            copied = None if own is None else own.copied_in(other)
            return report_of(self, task, examples, other.names.among(examples.rows), partial(self._decoded, examples),
                             what=called(paths), copied=copied, known=own is not None, layers=layers,
                             count=count)  # fmt: skip

    def _decoded(self, examples: "TextExamples", number: int) -> str:
        """The text that is looked at, of one of the examples."""
        return self.tokenizer.decode(examples.text(number).tolist())

    def _task(self, texts: "LabelledTokens") -> "Classification":
        from regard.tasks.labelled_texts import classification
        from regard.training.ranks import Ranks

        assert self.config is not None
        return classification(texts, self.config["settings"], Ranks(), lambda settings: self.model.config)

    def _tokens(
        self, paths: tuple[str | Path, ...], encoding: str | None, skip_bad: bool, text_key: str, folder: Path
    ) -> "LabelledTokens":
        """Other texts, their labels numbered as the run's classes are."""
        import numpy as np

        from regard.data.class_folders import matched
        from regard.data.labelled_text import LabelledTextSource
        from regard.data.labelled_text_open import WANTED
        from regard.data.open import open_source
        from regard.tasks.labelled_tokens import write_labelled

        source = open_source([str(path) for path in paths], encoding=encoding, skip_bad=skip_bad, text_key=text_key,
                             scoring=True, task="classification")  # fmt: skip
        if not isinstance(source, LabelledTextSource):
            raise RegardError(str(paths[0]), "these are no texts, and the run is on labelled texts", WANTED)
        number = matched(self.classes, source.classes, source.shown)
        self.notices += source.notices
        missing = [name for name in self.classes if name not in source.classes]
        self.notices += noticed("class(es) without a text here, not measured", missing)
        ours = np.array([number[name] for name in source.classes])
        other = write_labelled(source, self.tokenizer, folder)
        return replace(other, labels=ours[other.labels].astype(np.int32), classes=tuple(self.classes))

    def export(self, target: str | Path, format: str = "hf", *, dtype: str = "float32",
               overwrite: bool = False) -> NoReturn:  # fmt: skip
        """Raises RegardError: other programs have no such model."""
        raise RegardError(str(self.path), "a model of labelled texts cannot be exported yet", "export a run on text")
