"""Tokens become vectors: a row of a table for each id, or a linear projection of each token's own numbers."""

import torch
from torch import Tensor, nn


class TokenEmbedding(nn.Module):
    """One learned vector a token id: ids (batch, n) -> (batch, n, width)."""

    def __init__(self, vocabulary: int, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(vocabulary, width)

    def forward(self, ids: Tensor) -> Tensor:
        rows: Tensor = self.table(ids)
        return rows


class VectorEmbedding(nn.Module):
    """Numbers of a token (a patch's pixels) -> its vector: (batch, n, features) -> (batch, n, width).

    A linear projection (Dosovitskiy et al. 2021, equation 1). The first `learned` tokens have no numbers of their own
    (a class token, registers): whatever stands there, their vectors are weights.
    """

    def __init__(self, features: int, width: int, learned: int) -> None:
        super().__init__()
        self.projection = nn.Linear(features, width)
        self.learned = nn.Parameter(torch.zeros(learned, width)) if learned else None

    def forward(self, vectors: Tensor) -> Tensor:
        learned = 0 if self.learned is None else len(self.learned)
        projected: Tensor = self.projection(vectors[:, learned:])
        rest = projected.to(self.projection.weight.dtype)  # the stream stays exact, whatever products are made in
        return rest if self.learned is None else torch.cat((self.learned.expand(len(rest), -1, -1), rest), dim=1)
