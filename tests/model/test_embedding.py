"""An id's vector is its row of the table."""

import pytest
import torch

from regard.model.embedding import TokenEmbedding

from .small import BATCH, VOCABULARY, WIDTH, N, ids


def test_an_ids_vector_is_its_row() -> None:
    embedding, numbers = TokenEmbedding(VOCABULARY, WIDTH), ids()
    vectors = embedding(numbers)
    for b in range(BATCH):
        for i in range(N):
            assert torch.equal(vectors[b, i], embedding.table.weight[numbers[b, i]])


def test_an_id_outside_the_vocabulary_is_not_read_from_elsewhere() -> None:
    for number in (-1, VOCABULARY):
        with pytest.raises(IndexError):
            TokenEmbedding(VOCABULARY, WIDTH)(torch.tensor([[number]]))
