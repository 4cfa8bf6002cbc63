"""Around the loop: where it begins, evaluations and checkpoints on the way, how it stops, and the end."""

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from shlex import quote
from types import TracebackType
from typing import Any, Self

from torch import nn

from regard import files
from regard.errors import Notice
from regard.training import checkpoint
from regard.training.folders import LOG, length, sweep
from regard.training.loop import Clock, Learner, train
from regard.training.picture import loss_picture
from regard.training.ranks import Ranks
from regard.training.report import Report, Terminal, clock_time
from regard.training.request import Request
from regard.training.signals import Stopped, Wish
from regard.training.task import Unsound

WORTH_TRAINING = 15.0
"""Seconds left from which on the score may not take more than half of them."""


class Training:
    """One training in its folder. begin, then until_the_end; every rank runs it, rank 0 writes and prints."""

    def __init__(self, folder: Path, config: dict[str, Any], task: Any, request: Request, ranks: Ranks,
                 terminal: Terminal, wish: Wish) -> None:  # fmt: skip
        self.folder, self.config, self.task, self.request = folder, config, task, request
        self.ranks, self.terminal, self.wish = ranks, terminal, wish
        self.settings: dict[str, Any] = config["settings"]
        told = ranks.told({"steps": request.steps, "minutes": request.minutes})  # of --resume, rank 0's
        self.steps, self.minutes = told["steps"], told["minutes"]
        model = task.build(self.settings)
        task.first_weights(model)
        self.learner = Learner(task, model, len(task.examples), self.settings, ranks)
        log = files.Log(folder / LOG) if ranks.first else None
        board = folder / "tensorboard" if request.tensorboard and ranks.first else None
        self.report = Report(terminal, log, board, task.unit)
        self.done, self.saved = 0, -1
        self.saved_at, self.save_seconds = time.monotonic(), 0.0
        self.score_seconds: float = config["reserve"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.report.close()

    def begin(self, notices: list[Notice], base: Callable[[], nn.Module] | None) -> None:
        """From the newest checkpoint if there is one, else from the base's weights or random ones."""
        found = self.ranks.agreed(self._newest)
        seconds = 0.0
        if found is not None:
            state = checkpoint.restore(self.learner, Path(found))
            self.done = self.saved = self.learner.saved = state["step"]
            seconds = float(state["seconds"])
            self.report.resumed(self.done, seconds)
            if changed := checkpoint.differences(state, self.learner):
                self.report.notice(changed)
        else:
            self.report.started(self.steps, self.minutes)
            if base is not None:
                weights = dict(base().named_parameters())
                for model in (self.learner.model, self.learner.average.model):
                    checkpoint.put(dict(model.named_parameters()), weights, Path(self.config["from"]))
        if (self.steps, self.minutes) != length(self.folder, self.config):
            self.report.event("extended", steps=self.steps, minutes=self.minutes)
        for notice in notices:
            self.report.notice(notice)
        self.before = seconds + time.monotonic() - self.request.began
        self.clock = Clock(steps=self.steps, seconds=self._loop_seconds(), used=self.before)

    def _newest(self) -> str | None:
        """The folder of the checkpoint to go on from; what a crash left is tidied first. The lock is ours."""
        if swept := sweep(self.folder):
            self.report.notice(swept)
        files.set_aside_damaged(self.folder, say=self.report.notice)
        files.remove_leftovers(self.folder, say=self.report.notice)
        files.prune(self.folder)  # a kill between a commit and its prune leaves one too many
        if self.report.log is not None and self.report.log.torn is not None:
            self.report.notice(self.report.log.torn)
        found = files.newest(self.folder, digests=True, say=self.report.notice)
        return None if found is None else str(found.path)

    def _loop_seconds(self) -> float | None:
        """Of the loop alone: the last checkpoint and the score come after it, in the time given, by their last cost.

        Half of what was left when it began is its own, unless that is next to nothing: where the score takes longer,
        the end is late, and that is said.
        """
        if self.minutes is None:
            return None
        given: float = 60 * self.minutes
        half = (given + self.before) / 2 if given - self.before > WORTH_TRAINING else 0.0
        return max(given - self.score_seconds - self.save_seconds, half)

    def until_the_end(self) -> None:
        self.wish.after_the_step()
        begun = self.done
        for step in train(self.learner, self.clock, self.done, lambda: self.wish.signal):
            self.done = step.number
            self.report.step(step, self.clock.used, self._left())
            first = self.done == begun + 1 and self.minutes is not None  # what the score costs is measured, not guessed
            if first:
                self.task.beside()
            if first or self.done % self.settings["evaluate_every"] == 0:
                self._evaluate()
            if self.done % self.settings["checkpoint_every"] == 0 and self._worth_saving():
                self._save()
        if number := int(self.ranks.max(float(self.wish.signal))[0]):
            self._save()
            self.report.event("stopped", step=self.done, signal=number)
            raise Stopped(number, f"stopped after step {self.done:,}; {self._again}" if self.ranks.first else "")
        self._finish()

    @property
    def _again(self) -> str:
        return f"go on with: regard train --resume {quote(str(self.folder))}"

    def _left(self) -> float | None:
        """Seconds until the loop's end, or None before the first step."""
        progress = self.clock.progress(self.done)
        if self.clock.seconds is not None:
            return self.clock.seconds - self.clock.used
        return self.clock.used * (1 - progress) / progress if progress > 0 else None

    def _evaluate(self) -> None:
        model = self.learner.average.model
        began = time.monotonic()
        quick, figures = self.task.quick_score(model), self._watched()
        self.score_seconds = 1.0 + (time.monotonic() - began) * self.task.whole_score
        self.clock.seconds = self._loop_seconds()
        self.report.evaluation(self.done, quick, self.clock.used, self._left(), **figures)
        if self.ranks.first and self.done // self.settings["evaluate_every"] % 4 == 2:
            self.report.sample(self.done, self.task.sample(model))

    def _watched(self) -> Mapping[str, float]:
        """The task's own figures. Raises RegardError, exit 1, where they say that training goes nowhere (P17)."""
        try:
            figures: Mapping[str, float] = self.task.watched(self.learner.average.model)
        except Unsound as wrong:
            self.report.event("unsound", step=self.done, what=wrong.what, **wrong.figures)
            raise self.learner.spoiled(self.done, wrong.what, wrong.do) from None
        return figures

    def _worth_saving(self) -> bool:
        """By steps always; by time only while checkpoints take at most a twentieth of it."""
        if self.steps is not None or self.save_seconds == 0.0:
            return True
        rare = time.monotonic() - self.saved_at > 20 * self.save_seconds
        return bool(self.ranks.max(float(rare and self.ranks.first))[0])

    def _save(self, final: bool = False) -> None:
        """Decision 9: the average is what is evaluated; raw weights and optimiser's numbers are for resuming."""
        if self.saved == self.done:
            return
        began = time.monotonic()
        self.learner.check(self.done)
        self._watched()  # so that what is saved is worth going on from
        score = self.task.monitor(self.learner.average.model)

        def commit() -> bool:
            content = checkpoint.contents(self.learner, self.done, self.clock.used)
            return files.commit_checkpoint(self.folder, self.done, content, score, self.report.log, final=final,
                                           say=self.report.notice) is not None  # fmt: skip

        if self.ranks.agreed(commit):
            self.saved = self.learner.saved = self.done
        self.saved_at = time.monotonic()
        self.save_seconds = self.saved_at - began
        self.clock.seconds = self._loop_seconds()

    def _finish(self) -> None:
        """The last checkpoint first, so that a crash while scoring loses nothing; then the score of the best one."""
        self._save(final=True)
        waits = f"stopped after the last step; it is saved and waits for its score: {self._again}"
        self.wish.at_once(waits if self.ranks.first else "")
        best, model = files.best(self.folder), self.learner.average.model
        if best is not None and best.step != self.done:
            checkpoint.load_weights(model, best.path / checkpoint.MODEL)
            self.report.notice(
                Notice(f"step(s) after the best checkpoint, of step {best.step:,}, not used", self.done - best.step)
            )
        scores = self.task.evaluate(model)
        if not self.ranks.first:
            return
        over = self.clock.used - 60 * (self.minutes or math.inf)
        if over > 0.05 * (self.clock.used - over):
            self.report.notice(Notice("second(s) more than given", math.ceil(over)))
        self.report.event(
            "finished", step=self.done, seconds=self.clock.used, minutes=self.minutes, steps=self.steps,
            **self.report.speed, scores=scores, sample=self.task.sample(model),
        )  # fmt: skip
        lines, _ = files.Log.read(self.folder / LOG)
        picture = loss_picture(files.last_attempt(lines), f"{self.config['name']}: loss by step", self.task.loss_in)
        files.write(self.folder / "loss.svg", picture.encode(), overwrite=True)
        self.terminal.line(f"finished after step {self.done:,} in {clock_time(self.clock.used)}")
