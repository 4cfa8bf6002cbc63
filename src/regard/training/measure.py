"""How fast the real step is on this machine: a few steps of a throwaway learner, on all ranks together."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from regard.training.loop import Learner
from regard.training.plan import Timing
from regard.training.ranks import Ranks

Opened = Callable[[Mapping[str, Any], Mapping[str, Any] | None], Any]
"""(settings, model) -> a task that can build and batch."""


class Probe:
    """Times steps. Rank 0 says what to compute, the others follow until it says that there is no more."""

    def __init__(self, open_task: Opened, ranks: Ranks) -> None:
        self.open_task, self.ranks = open_task, ranks

    def time(self, settings: Mapping[str, Any], steps: int, model: Mapping[str, Any] | None = None) -> Timing:
        """Seconds of the fastest step (others only slow one down; the first warms up), and the loss after `steps`."""
        self.ranks.told({"settings": dict(settings), "steps": steps, "model": model})
        return self.compute(settings, steps, model)

    def over(self) -> None:
        """There is no more to time."""
        self.ranks.told({"settings": None})

    def follow(self) -> None:
        """Computes with rank 0 until it is over. Raises what it gives up with (`Ranks.telling`)."""
        while (job := self.ranks.told())["settings"] is not None:
            self.compute(job["settings"], job["steps"], job["model"])

    def compute(self, settings: Mapping[str, Any], steps: int, model: Mapping[str, Any] | None) -> Timing:
        task = self.open_task(settings, model)
        built = task.build(settings)
        task.first_weights(built)
        learner = Learner(task, built, len(task.examples), settings, self.ranks)
        step = learner.step(1, 0.0)
        taken = []
        for number in range(2, max(2, steps) + 1):
            began = time.perf_counter()
            step = learner.step(number, 0.0)  # ends with the loss on the CPU, so a GPU is done, too
            taken.append(time.perf_counter() - began)
        (seconds,) = self.ranks.max(min(taken))
        return Timing(str(settings["precision"]), str(settings["attention"]), seconds, step.loss)
