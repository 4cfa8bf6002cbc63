"""A trained thing in its folder, or a checkpoint of another program, whatever the data: what it is, and its model."""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regard import files
from regard.errors import Notice, RegardError
from regard.overview import overview
from regard.training.folders import DATA

if TYPE_CHECKING:  # info must work without torch (C12)
    from regard.model.transformer import Transformer
    from regard.report import Report
    from regard.tasks.cases import Cases

OLDEST_TORCH = (2, 10)


def called(paths: Sequence[str | Path]) -> str:
    """What is scored, in a word or two: the paths given, or else the run's own part."""
    return "held-out part" if not paths else Path(paths[0]).name if len(paths) == 1 else f"{len(paths)} files"


def check_torch() -> None:
    oldest = ".".join(map(str, OLDEST_TORCH))
    do = f'install a newer one: pip install --upgrade "torch>={oldest}"'
    try:
        found = metadata.version("torch")
    except metadata.PackageNotFoundError:
        raise RegardError("torch", "it is not installed", do, 1) from None
    numbers = [int(part) for part in found.split("+")[0].split(".")[:2] if part.isdecimal()]
    if tuple(numbers) < OLDEST_TORCH:
        raise RegardError("torch", f"version {found} is too old", do, 1)


class Run:
    """Of the folder `path`. Nothing heavy is loaded before it is needed. What it is asked depends on its data."""

    takes: str = "text"
    """What it is asked about: a text, or the file of a picture or sound."""
    says: bool = False
    """Whether it answers in words of its own."""
    answers: bool = False
    """Whether what comes out of the model are scores of classes."""

    def __init__(self, path: Path, config: dict[str, Any] | None) -> None:
        """config: its config.json; None for a checkpoint of another program."""
        self.path, self.config = path, config
        self.notices: list[Notice] = []
        """What had to be cut or converted to answer; the command line prints them."""

    def __repr__(self) -> str:
        return f"regard.load({str(self.path)!r})"

    def notice(self, what: str, count: int, *places: str) -> None:
        """Counted together with the same of earlier prompts."""
        before = next((notice for notice in self.notices if notice.what == what), Notice(what, 0))
        others = [notice for notice in self.notices if notice is not before]
        self.notices = [*others, Notice(what, before.count + count, (*before.places, *places)[:5])]

    # what it is

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What every JSON answer begins with: run, task, data, seed, version."""
        facts: dict[str, Any] = {"run": self.path.resolve().name, "task": "language", "data": None, "seed": None}
        if self.config is not None:
            try:
                digest = hashlib.sha256((self.path / DATA).read_bytes()).hexdigest()[:16]
            except OSError:
                digest = None
            facts |= {"task": self.config["task"], "data": {"name": self.config["name"], "digest": digest},
                      "seed": self.config["settings"].get("seed")}  # fmt: skip
        return {**facts, "version": metadata.version("regard")}

    def info(self) -> dict[str, Any]:
        """What it is, trained on what, its score and its size. Needs no torch."""
        return {**self.facts, **overview(self.path, self.config)}

    # what it is made of

    @cached_property
    def pretrained(self) -> Any:
        from regard.pretrained.folder import read_folder

        found = read_folder(self.path)
        self.notices += found.notices
        return found

    @cached_property
    def model(self) -> "Transformer":
        """The transformer with the weights that are evaluated, in evaluation mode."""
        check_torch()
        from regard.model.config import TransformerConfig
        from regard.model.transformer import Transformer
        from regard.training import checkpoint

        if self.config is None:
            built: Transformer = self.pretrained.build()
            return built.requires_grad_(False)
        model, inside = Transformer(TransformerConfig.from_json(self.config["model"])), self.config.get("inside", "")
        files.read_checkpoint(
            self.path, lambda one: checkpoint.load_weights(model, one.path / checkpoint.MODEL, inside),
            say=self.notices.append,
        )  # fmt: skip
        return model.eval().requires_grad_(False)

    def check(self) -> None:
        """Loads what answers need. Raises RegardError for what is wrong with it."""
        _ = self.model

    # how well it answers

    def report(self, *paths: Any, **how: Any) -> "Report":
        """What `evaluate` finds, with single cases and layers, to be drawn. Raises RegardError where there is none."""
        do = "ask for them alone, without --save, or by run.evaluate()"
        raise RegardError(str(self.path), "there is no drawing of its scores", do)

    def cases(self, *paths: Any, count: int = 12, **how: Any) -> "Cases":
        """The examples of its held-out part, or of others, that were answered most wrongly, and most rightly.

        count: of each. how: as `evaluate` takes it. Raises RegardError for a run that did not learn classes.
        """
        if not self.answers:
            what = "it did not learn classes, so there are no most wrong or most right examples"
            raise RegardError(str(self.path), what, "ask for its scores: run.evaluate()")
        return self.report(*paths, count=count, layers=False, **how).cases
