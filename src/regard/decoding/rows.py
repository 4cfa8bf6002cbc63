"""A matrix as rows to add up, which a CPU reads twice as fast as a product does; and how many threads read it.

Shapes: inputs and outputs of a matrix; parts of its outputs; width of a part.
"""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional as F

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
