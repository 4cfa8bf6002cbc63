"""Tokens become vectors: a row of a table for each id."""

from torch import Tensor, nn


class TokenEmbedding(nn.Module):
    """One learned vector a token id: ids (batch, n) -> (batch, n, width)."""

    def __init__(self, vocabulary: int, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(vocabulary, width)

    def forward(self, ids: Tensor) -> Tensor:
        rows: Tensor = self.table(ids)
        return rows
