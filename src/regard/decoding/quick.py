"""A model for one token at a time: each matrix as rows to add up, which a CPU reads twice as fast as a product does."""

import copy
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.decoding.one_token import OneToken
from regard.decoding.rows import Pace, Rows
from regard.model.block import Attention, Block, FeedForward, side_by_side
from regard.model.output import Output
from regard.model.transformer import Transformer

SMALLEST = 1 << 16
"""Numbers in a matrix from which on reading it takes longer than calling the other kernel."""
LARGEST = 1 << 28
"""Numbers in a model up to which its rows are kept beside its matrices: 1 GiB more memory at most."""


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
        return nn.Sequential(module.norm, Projection(module.matrix, module.bias, pace))
    if isinstance(module, nn.Linear):
        return Projection(module.weight, module.bias, pace)
    if isinstance(module, Block) and OneToken.fits(module):
        return OneToken(module, _parts(module, pace), pace)
    return _parts(module, pace)


def _parts(module: nn.Module, pace: Pace) -> nn.Module:
    """A copy whose parts are twins."""
    twin = copy.copy(module)
    twin._modules = {name: child and _twin(child, pace) for name, child in module._modules.items()}
    if isinstance(twin, Attention | FeedForward):
        twin.join = Together(pace)
    return twin
