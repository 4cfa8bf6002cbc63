"""More than one process: who am I, sums over all, and words from rank 0 to the others; alone, all of it is free.

Only tensors travel (no pickle): text goes as its bytes. gloo between CPUs, nccl between GPUs.
"""

import json
import os
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist


@dataclass(frozen=True)
class Ranks:
    rank: int = 0
    count: int = 1
    local_rank: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

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
        """What rank 0 says, as JSON; the others give nothing and get it."""
        if self.count == 1:
            return words
        text = torch.tensor(list(json.dumps(words).encode()) if self.first else [], dtype=torch.uint8)
        length = torch.tensor([len(text)], device=self.device)
        dist.broadcast(length, 0)
        text = text.to(self.device) if self.first else torch.empty(int(length), dtype=torch.uint8, device=self.device)
        dist.broadcast(text, 0)
        return json.loads(bytes(text.tolist()))

    def wait(self) -> None:
        if self.count > 1:
            dist.barrier()

    def leave(self) -> None:
        if self.count > 1:
            dist.destroy_process_group()


def join(device: torch.device) -> Ranks:
    """This process's place among those that torchrun started, or alone. Joins the process group."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        return Ranks(device=device)
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if device.type == "cuda":
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=timedelta(seconds=120))
    return Ranks(dist.get_rank(), count, local, device)
