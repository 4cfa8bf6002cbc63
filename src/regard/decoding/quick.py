"""A model for one token at a time: each matrix as rows to add up, which a CPU reads twice as fast as a product does.

Shapes: inputs and outputs of a matrix; parts of its outputs; width of a part.
"""

import copy
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.model.block import Attention, FeedForward, side_by_side
from regard.model.output import Output
from regard.model.transformer import Transformer

SMALLEST = 1 << 16
"""Numbers in a matrix from which on reading it takes longer than calling the other kernel."""
LARGEST = 1 << 28
"""Numbers in a model up to which its rows are kept beside its matrices: 1 GiB more memory at most."""
WIDEST = 384
"""Numbers of a row that the kernel adds up without leaving the CPU's registers."""
FEW = 1 << 25
"""Numbers in a model up to which one thread does what lies between the matrices."""


class Pace:
    """How many threads read a matrix, one or all: tried and timed, as it depends on what else the machine does.

    Threads meet at each of a token's fifty matrices. Where every thread has a core, two read faster than one; where
    another process has one, they wait for each other. The same numbers come out, as no sum is split between threads.
    """

    def __init__(self, numbers: int) -> None:
        """numbers: how many the model has."""
        self.threads = torch.get_num_threads()
        """For the matrices of this step."""
        self._alone = numbers < FEW
        self._steps = 0
        self._seconds: dict[bool, deque[float]] = {False: deque(maxlen=8), True: deque(maxlen=8)}
        """How long the last steps took with one thread and with all."""

    def choose(self) -> bool:
        """All threads? As was quicker lately; the other way at steps 1, 2, 4, 8, ..., lest things changed."""
        self._steps += 1
        quicker, slower = sorted(self._seconds, key=lambda way: min(self._seconds[way], default=0))
        return slower if self._steps.bit_count() == 1 else quicker

    @contextmanager
    def step(self) -> Iterator[None]:
        """Times one step, in which `threads` is as chosen."""
        together, every = self.choose(), torch.get_num_threads()
        self.threads = every if together else 1
        began = time.perf_counter()
        torch.set_num_threads(1 if self._alone else every)
        try:
            yield
        finally:
            torch.set_num_threads(every)
            self._seconds[together].append(time.perf_counter() - began)


class Rows:
    """A matrix that meets one vector at a time.

    The product is the sum of the matrix's columns, each times a number: what an embedding table's kernel computes for a
    bag of words. It reads ahead and with all cores; BLAS's product with one vector does neither, and the time of such a
    product is the time of reading the matrix.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, pace: Pace) -> None:
        """weight (outputs, inputs), bias (outputs,) or None."""
        self.outputs, inputs = weight.shape
        self.bias, self.pace = bias, pace
        self.parts = 2 * -(-self.outputs // (2 * WIDEST))  # an even number, shared out over the cores
        width = -(-self.outputs // self.parts)
        padded = F.pad(weight, (0, 0, 0, self.parts * width - self.outputs))
        # row p * inputs + i is column i of the matrix, the outputs of part p; zeros behind the last
        self.rows = padded.view(self.parts, width, inputs).transpose(1, 2).reshape(-1, width)
        self.numbers = torch.arange(self.parts * inputs, dtype=torch.int32)
        self.begins = self.numbers[::inputs].contiguous()

    def __call__(self, x: Tensor) -> Tensor:
        """(1, 1, inputs) -> (1, 1, outputs)."""
        times = torch.cat((x,) * self.parts).view(-1)
        threads = torch.get_num_threads()
        torch.set_num_threads(self.pace.threads)
        # what follows begins: no scaling by frequency, mode 0 is the sum, not sparse
        summed = torch.embedding_bag(self.rows, self.numbers, self.begins, False, 0, False, times)[0]  # (parts, width)
        torch.set_num_threads(threads)
        y = summed.view(1, 1, -1)[..., : self.outputs]
        return y if self.bias is None else y + self.bias


class Projection(nn.Module):
    """A linear layer, x (..., inputs) -> (..., outputs). Its rows are made when the first single vector comes."""

    def __init__(self, weight: Tensor, bias: Tensor | None, pace: Pace) -> None:
        super().__init__()
        self.weight, self.bias, self.pace = weight.detach(), None if bias is None else bias.detach(), pace
        self.inputs, self.large = weight.shape[1], weight.numel() >= SMALLEST

    @cached_property
    def rows(self) -> Rows:
        return Rows(self.weight, self.bias, self.pace)

    def forward(self, x: Tensor) -> Tensor:
        return self.rows(x) if self.large and x.numel() == self.inputs else F.linear(x, self.weight, self.bias)


class Together:
    """Several projections of the same vector (block.Join): read as one matrix, which is kept as rows only."""

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self.rows: Rows | None = None

    def __call__(self, x: Tensor, *linears: nn.Linear) -> Tensor:
        if x.numel() != x.shape[-1]:
            return torch.cat([linear(x) for linear in linears], dim=-1)
        if self.rows is None:
            self.rows = Rows(*side_by_side(*linears), self.pace)
        return self.rows(x)


def quick(model: Transformer, pace: Pace) -> nn.Module:
    """The same model, its weights shared, each matrix read as rows; the model itself where that is no faster.

    It speaks with the weights of now: after training on, make another.
    """
    plain = all(weight.device.type == "cpu" and weight.dtype == torch.float32 for weight in model.parameters())
    if not (kernel_reads_ahead() and plain) or model.config.parameters() > LARGEST:
        return model
    return _twin(model, pace)


def kernel_reads_ahead() -> bool:
    """Whether this torch sums rows by FBGEMM, on x86; elsewhere by a plain loop."""
    return "fbgemm" in torch.backends.quantized.supported_engines


def _twin(module: nn.Module, pace: Pace) -> nn.Module:
    if isinstance(module, Output):
        return nn.Sequential(module.norm, Projection(module.matrix, None, pace))
    if isinstance(module, nn.Linear):
        return Projection(module.weight, module.bias, pace)
    twin = copy.copy(module)
    twin._modules = {name: child and _twin(child, pace) for name, child in module._modules.items()}
    if isinstance(twin, Attention | FeedForward):
        twin.join = Together(pace)
    return twin
