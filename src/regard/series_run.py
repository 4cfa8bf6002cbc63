"""A run on a series of numbers: what it can be asked."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from regard.errors import Notice, RegardError, counted, places, printable
from regard.trained import Run

if TYPE_CHECKING:
    from regard.data.series import SeriesSource
    from regard.look import Look
    from regard.tasks.series_patches import Numbers
    from regard.tasks.series_scores import Forecasts

FARTHEST = 10_000
"""Patches that are told one after another, at most."""
MOST_DECIMALS = 9
"""That are looked for in a table; numbers of more were hardly rounded by anyone."""


def decimals_of(numbers: Sequence[float]) -> int | None:
    """The fewest with which all of them can be written as they are; None where it takes more than MOST_DECIMALS."""
    enough = (places for places in range(MOST_DECIMALS + 1) if all(float(f"{x:.{places}f}") == x for x in numbers))
    return next(enough, None)


class SeriesRun(Run):
    takes, says = "series", False

    @property
    def columns(self) -> list[str]:
        assert self.config is not None
        names: list[str] = self.config["columns"]
        return names

    @cached_property
    def forecasts(self) -> "Forecasts":
        """How rows become tokens, and how far back is looked."""
        from regard.tasks.series_patches import Scale
        from regard.tasks.series_scores import Forecasts

        assert self.config is not None
        settings = self.config["settings"]
        return Forecasts(int(settings["patch"]), int(settings["context"]), tuple(self.columns),
                         Scale.from_json(self.config["scale"]), int(self.config["period"]))  # fmt: skip

    def check(self) -> None:
        """Loads what answers need. Raises RegardError for what is wrong with it."""
        _ = self.forecasts, self.model

    def predict(self, table: str | Path, patches: int = 1) -> "Numbers":
        """(patches * patch, columns): the rows that come after a table's last one, in its own units.

        Each patch after the first is told from those told before it. Raises RegardError for a table without the run's
        columns, of fewer rows than a patch, and for what `regard train` refuses in a table.
        """
        return self.told(table, patches)[0]

    def told(self, table: str | Path, patches: int = 1) -> "tuple[Numbers, list[int | None]]":
        """The same, and with how many decimals each column of the table is written, None where in full.

        Raises RegardError as above.
        """
        import numpy as np

        from regard.training.ranks import Ranks

        if not 1 <= patches <= FARTHEST:
            raise RegardError("patches", f"{patches} are not told", f"give 1 to {FARTHEST:,}")
        (given, _), scale, told, model = self._last_rows(table), self.forecasts.scale, list["Numbers"](), self.model
        rows = scale.shrunk(given)
        for _ in range(patches):
            told.append(self.forecasts.told(model, rows, np.array([len(rows)]), Ranks())[0])
            rows = np.concatenate([rows, told[-1]])
        return scale.grown(np.concatenate(told)), [decimals_of(column) for column in given.T.tolist()]

    def look(self, table: str | Path) -> "Look":
        """One forward pass over the last rows of a table, recorded: queries, keys, values, outputs and streams of every
        layer. A token is a patch, named by its rows, which count from 0.

        What comes out of a position are numbers of the next patch, no chances: the recording's readings mean nothing
        here. Raises RegardError as `predict` does.
        """
        import torch

        from regard.look import Look
        from regard.looking.kept import Tokens
        from regard.looking.record import record
        from regard.tasks.series_patches import Patches

        patch, (rows, first) = self.forecasts.patch, self._last_rows(table)
        given = Patches.of(self.forecasts.scale.shrunk(rows)[None], patch).tokens(torch.device("cpu"))
        names = tuple(f"rows {row}-{row + patch - 1}" for row in range(first, first + len(rows), patch))
        n, outputs = len(names), [f"{name} {row + 1}" for row in range(patch) for name in map(printable, self.columns)]
        recording = record(
            self.model, given, Tokens(tuple(range(n)), (b"",) * n, names, ((0, 0),) * n, ("patch",) * n),
            truth=torch.full((n,), -1), name=self.facts["run"], seed=self.facts["seed"],
            preprocessing={"classes": outputs, "task": "forecasting"},
        )  # fmt: skip
        found = Look(recording.kept, self.model)
        found.run = self
        return found

    def evaluate(self, *paths: str | Path, encoding: str | None = None, skip_bad: bool = False,
                 text_key: str = "text") -> dict[str, Any]:  # fmt: skip
        """The errors of the next patch on the run's own held-out part, or on all of another table that has enough rows
        before it; beside them, those of the last value and of the last season.

        Raises RegardError where the cache is gone and nothing else is named, and for a table that is too short.
        """
        from regard.tasks.series_rows import open_rows
        from regard.training.ranks import Ranks

        asked = self.forecasts
        if paths:
            source = self._read(paths, encoding, skip_bad)
            values, first = self._chosen(source), 0
        else:
            own = open_rows(self.path)
            if own is None:
                raise RegardError(str(self.path), "its rows are not in its cache", "name a table to evaluate on")
            values, first = own.values, own.train
        starts = asked.starts(first, len(values))
        if len(starts) == 0:
            what = f"{counted(len(values), 'row')} of numbers leave no patch with all before it that is looked at"
            raise RegardError(str(paths[0] if paths else self.path), what,
                              f"give {asked.before + asked.patch:,} or more")  # fmt: skip
        return asked.evaluate(self.model, asked.scale.shrunk(values), starts, Ranks())

    def _read(self, paths: Sequence[str | Path], encoding: str | None = None, skip_bad: bool = False) -> "SeriesSource":
        """Another table, with all of its columns."""
        from regard.data.open import open_source
        from regard.data.series import WANTED, SeriesSource

        source = open_source([str(path) for path in paths], encoding=encoding, skip_bad=skip_bad, scoring=True,
                             task="forecasting")  # fmt: skip
        if not isinstance(source, SeriesSource):
            raise RegardError(str(paths[0]), "this is no series, and the run is on one", WANTED)
        missing = [name for name in self.columns if name not in source.columns]
        if missing:
            what = f"it has no column {places(missing)}, which was learnt from"
            raise RegardError(source.shown, what, f"give a table with all of: {places(self.columns)}")
        self.notices += source.notices
        if others := [name for name in source.columns if name not in self.columns]:
            what = "column(s) not looked at, unknown to the run"
            self.notices.append(Notice(what, len(others), tuple(others)))
        return source

    def _last_rows(self, table: str | Path) -> "tuple[Numbers, int]":
        """The last whole patches of a table that are looked at, (rows, columns); which row is the first, counted from
        0."""
        asked, source = self.forecasts, self._whole(table)
        if source.rows < asked.patch:
            what = f"{counted(source.rows, 'row')} make no patch of {asked.patch}"
            raise RegardError(source.shown, what, f"give {asked.patch} or more")
        looked_at = min(asked.context, source.rows // asked.patch) * asked.patch
        if left := source.rows - looked_at:
            why = f"{asked.context * asked.patch:,} are at most" if looked_at == asked.context * asked.patch else (
                f"they fill no patch of {asked.patch}")  # fmt: skip
            self.notice(f"row(s) at the beginning not looked at, as {why}", left)
        return self._chosen(source)[left:], left

    def _whole(self, table: str | Path) -> "SeriesSource":
        """A table whose last rows are asked about: none of them may be skipped, so that is not offered."""
        from regard.data.rows import OR_SKIP

        try:
            return self._read([table])
        except RegardError as refusal:
            raise RegardError(refusal.where, refusal.what, refusal.do.partition(OR_SKIP)[0], refusal.code) from None

    def _chosen(self, source: "SeriesSource") -> "Numbers":
        """(rows, columns), in the run's order."""
        found: Numbers = source.values[:, [source.columns.index(name) for name in self.columns]]
        return found

    def export(self, target: str | Path, format: str = "hf", *, dtype: str = "float32",
               overwrite: bool = False) -> NoReturn:  # fmt: skip
        """Raises RegardError: other programs have no such model."""
        raise RegardError(str(self.path), "a model of a series cannot be exported yet", "export a run on text")
