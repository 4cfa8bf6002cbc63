"""From the last residual stream to logits: final norm, then one score for each token of the vocabulary."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Output(nn.Module):
    """(batch, n, width) -> logits (batch, n, vocabulary), float32. A tied output reads the embedding's table."""

    def __init__(
        self, norm: nn.Module, width: int, vocabulary: int, table: nn.Embedding | None, bias: bool = False
    ) -> None:
        super().__init__()
        self.norm = norm
        self.projection = nn.Linear(width, vocabulary, bias=False) if table is None else None
        self.bias = nn.Parameter(torch.zeros(vocabulary)) if bias else None
        self._table = [table]  # in a list, so that the tied table is saved once, as the embedding's

    @property
    def matrix(self) -> Tensor:
        """(vocabulary, width)."""
        if self.projection is not None:
            return self.projection.weight
        (table,) = self._table
        assert table is not None
        return table.weight

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(self.norm(x), self.matrix, self.bias).float()
