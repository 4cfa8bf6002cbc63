"""More than one process: who am I, sums over all, and words from rank 0 to the others; alone, all of it is free.

Only tensors travel (no pickle): text goes as its bytes. gloo between CPUs, nccl between GPUs.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from regard.errors import RegardError
from regard.training.signals import Stopped

STEP = timedelta(seconds=120)
"""How long a rank waits for the others within a step (D2)."""
WORK = timedelta(days=7)
"""How long it waits while rank 0 reads, plans or writes; a rank 0 that dies is noticed at once all the same."""


class Elsewhere(RegardError):
    """What rank 0 refuses, and says; this rank leaves with its code and without a word (D6)."""

    def __init__(self, code: int) -> None:
        super().__init__("", "", "", code)

    def __str__(self) -> str:
        return ""


@dataclass(frozen=True)
class Ranks:
    rank: int = 0
    count: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    patient: Any = None
    """The process group for words."""

    @property
    def first(self) -> bool:
        """Rank 0 alone reads the data, writes and prints."""
        return self.rank == 0

    def share(self, items: int) -> slice:
        """Which of the step's items are this rank's; all ranks' slices cover them once, sizes differ by at most 1."""
        return slice(items * self.rank // self.count, items * (self.rank + 1) // self.count)

    def sum(self, *values: float) -> list[float]:
        """Each value summed over the ranks."""
        return self._reduce(values, dist.ReduceOp.SUM)

    def max(self, *values: float) -> list[float]:
        """Each value's largest over the ranks; how stop decisions are taken together."""
        return self._reduce(values, dist.ReduceOp.MAX)

    def _reduce(self, values: tuple[float, ...], operation: Any) -> list[float]:
        if self.count == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(tensor, operation)
        return [float(x) for x in tensor.tolist()]

    def told(self, words: Any = None) -> Any:
        """What rank 0 says, as JSON; the others give nothing and get it. Raises what `telling` met on rank 0."""
        if self.count == 1:
            return words
        text = torch.tensor(list(json.dumps({"words": words}).encode()) if self.first else [], dtype=torch.uint8)
        said = json.loads(bytes(self._broadcast(text).tolist()))["words"]
        if isinstance(said, dict) and "gave up" in said and not self.first:
            raise Stopped(said["signal"], "") if said["signal"] else Elsewhere(said["gave up"])
        return said

    def _broadcast(self, text: torch.Tensor) -> torch.Tensor:
        """text: (length,) bytes of rank 0, empty elsewhere."""
        length = torch.tensor([len(text)])
        dist.broadcast(length, 0, group=self.patient)
        text = text if self.first else torch.empty(int(length), dtype=torch.uint8)
        dist.broadcast(text, 0, group=self.patient)
        return text

    def agreed(self, find: Callable[[], Any]) -> Any:
        """What find() returns on rank 0, told to all; called there alone."""
        if not self.first:
            return self.told()
        with self.telling():
            found = find()
        return self.told(found)

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Work of rank 0 while the others wait to be told something: where it gives up, they are told that."""
        try:
            yield
        except BaseException as error:
            with suppress(RuntimeError):  # they may be gone already
                self.told({"gave up": getattr(error, "code", 1), "signal": getattr(error, "signal", 0)})
            raise

    def of_all(self, error: RegardError) -> RegardError:
        """An error that every rank meets at once: rank 0 says it."""
        return error if self.first else Elsewhere(error.code)

    def leave(self) -> None:
        if self.count > 1:
            dist.destroy_process_group()


def join(device: torch.device) -> Ranks:
    """This process's place among those that torchrun started, or alone. Joins the process group."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        return Ranks(device=device)
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=STEP)
    return Ranks(dist.get_rank(), count, device, dist.new_group(backend="gloo", timeout=WORK))
