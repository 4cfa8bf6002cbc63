"""Around the loop: where it begins, evaluations and checkpoints on the way, how it stops, and the end."""

import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from torch import nn

from regard import files
from regard.errors import Notice
from regard.training import checkpoint
from regard.training.folders import LOG
from regard.training.loop import Clock, Learner, train
from regard.training.picture import loss_picture
from regard.training.ranks import Ranks
from regard.training.report import Report, Terminal, clock_time
from regard.training.request import Request
from regard.training.signals import Stopped, Wish


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
        self.report = Report(terminal, log, board)
        self.done, self.saved = 0, -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.report.close()

    def begin(self, notices: list[Notice], base: nn.Module | None) -> None:
        """From the newest checkpoint if there is one, else from the base's weights or random ones."""
        if self.ranks.first:
            self._tidy()
        self.ranks.wait()
        found = files.newest(self.folder, digests=True, say=self.report.notice)
        state: dict[str, Any] = {}
        if found is not None:
            state = checkpoint.restore(self.learner, found.path)
            self.done = self.saved = state["step"]
            self.report.resumed(self.done, state["seconds"])
            if changed := checkpoint.differences(state, self.learner):
                self.report.notice(changed)
        else:
            self.report.event("start", step=0, steps=self.steps, minutes=self.minutes)
            if base is not None:
                for model in (self.learner.model, self.learner.average.model):
                    checkpoint.put(model, dict(base.named_parameters()), Path(str(self.config["from"])))
        for notice in notices:
            self.report.notice(notice)
        before = float(state.get("seconds", 0.0)) + time.monotonic() - self.request.began
        seconds = None if self.minutes is None else 60 * self.minutes - self.config["reserve"]
        self.clock = Clock(steps=self.steps, seconds=seconds, used=before)

    def _tidy(self) -> None:
        """What a crash left; the lock is ours, so nobody else is writing it."""
        files.set_aside_damaged(self.folder, say=self.report.notice)
        files.remove_leftovers(self.folder, say=self.report.notice)
        files.prune(self.folder)  # a kill between a commit and its prune leaves one too many
        if self.report.log is not None and self.report.log.torn is not None:
            self.report.notice(self.report.log.torn)

    def until_the_end(self) -> None:
        self.wish.defer = True
        for step in train(self.learner, self.clock, self.done, lambda: self.wish.signal):
            self.done = step.number
            self.report.step(step, self.clock.used, self._left())
            if self.done % self.settings["evaluate_every"] == 0:
                self._evaluate()
            if self.done % self.settings["checkpoint_every"] == 0:
                self._save()
        if number := int(self.ranks.max(float(self.wish.signal))[0]):
            self._save()
            self.report.event("stopped", step=self.done, signal=number)
            raise Stopped(number, f"stopped after step {self.done:,}; go on with: regard train --resume {self.folder}")
        self._finish()

    def _left(self) -> float | None:
        """Seconds until the loop's end, or None before the first step."""
        progress = self.clock.progress(self.done)
        if self.clock.seconds is not None:
            return self.clock.seconds - self.clock.used
        return self.clock.used * (1 - progress) / progress if progress > 0 else None

    def _evaluate(self) -> None:
        model = self.learner.average.model
        self.report.evaluation(self.done, self.task.quick_score(model), self.clock.used, self._left())
        if self.ranks.first and self.done // self.settings["evaluate_every"] % 4 == 2:
            self.report.sample(self.done, self.task.sample(model))

    def _save(self, final: bool = False) -> None:
        """Decision 9: the average is what is evaluated; raw weights and optimiser's numbers are for resuming."""
        if self.saved == self.done:
            return
        score = self.task.monitor(self.learner.average.model)
        where = None
        if self.ranks.first:
            content = checkpoint.contents(self.learner, self.done, self.clock.used)
            where = files.commit_checkpoint(self.folder, self.done, content, score, self.report.log, final=final,
                                            say=self.report.notice)  # fmt: skip
        if self.ranks.told({"saved": where is not None})["saved"]:
            self.saved = self.done

    def _finish(self) -> None:
        """The last checkpoint first, so that a crash while scoring loses nothing; then the score of the best one."""
        self._save(final=True)
        self.ranks.wait()
        best, model = files.best(self.folder), self.learner.average.model
        if best is not None and best.step != self.done:
            checkpoint.load_weights(model, best.path / checkpoint.MODEL)
            self.report.notice(
                Notice(f"steps after the best checkpoint, of step {best.step:,}, are not used", self.done - best.step)
            )
        scores = self.task.evaluate(model)
        if not self.ranks.first:
            return
        self.report.event(
            "finished", step=self.done, seconds=self.clock.used, minutes=self.minutes, steps=self.steps,
            tokens_per_second=self.report.tokens_per_second, scores=scores, sample=self.task.sample(model),
        )  # fmt: skip
        lines, _ = files.Log.read(self.folder / LOG)
        picture = loss_picture(files.last_attempt(lines), f"{self.config['name']}: loss by step")
        files.write(self.folder / "loss.svg", picture.encode(), overwrite=True)
        self.terminal.line(f"finished after step {self.done:,} in {clock_time(self.clock.used)}")
