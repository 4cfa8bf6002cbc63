"""An id's vector is its row of the table; numbers are projected; learned tokens are weights."""

import pytest
import torch

from regard.model.embedding import TokenEmbedding, VectorEmbedding

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


def test_numbers_are_projected_and_learned_tokens_stand_before_them() -> None:
    features, learned = 6, 2
    embedding = VectorEmbedding(features, WIDTH, learned)
    assert embedding.learned is not None
    torch.nn.init.normal_(embedding.learned)
    vectors = torch.randn(BATCH, learned + N, features)
    out = embedding(vectors)
    weight, bias = embedding.projection.weight.detach(), embedding.projection.bias.detach()
    for b in range(BATCH):
        assert torch.equal(out[b, :learned], embedding.learned)
        for i in range(learned, learned + N):
            expected = [float((weight[w] * vectors[b, i]).sum() + bias[w]) for w in range(WIDTH)]
            torch.testing.assert_close(out[b, i], torch.tensor(expected))


def test_what_stands_where_a_learned_token_comes_does_not_matter() -> None:
    embedding, vectors = VectorEmbedding(3, WIDTH, 1), torch.randn(BATCH, N, 3)
    other = vectors.clone()
    other[:, 0] = torch.nan
    assert torch.equal(embedding(vectors), embedding(other))
