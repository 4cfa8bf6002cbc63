"""Logits are one dot product a token of the vocabulary; a tied output has no matrix of its own."""

import copy
from dataclasses import replace

import pytest
import torch

from regard.model.block import RMSNorm
from regard.model.output import Output
from regard.model.sequence import Sequence

from .small import BATCH, QWEN3, VOCABULARY, WIDTH, N, build, ids, normal


def test_logits_are_dot_products_with_the_normed_stream() -> None:
    output, x = Output(RMSNorm(WIDTH), WIDTH, VOCABULARY, None), normal(BATCH, N, WIDTH)
    logits = output(x)
    normed = output.norm(x)
    for token in (0, 5, VOCABULARY - 1):
        torch.testing.assert_close(logits[..., token], (normed * output.matrix[token]).sum(-1))


@pytest.mark.parametrize("tied", [True, False])
def test_logits_are_float32_of_a_bfloat16_model_too(tied: bool) -> None:
    model = build(replace(QWEN3, tied=tied)).bfloat16()
    assert model(Sequence.text(ids())).dtype == torch.float32


@pytest.mark.parametrize("tied", [True, False])
def test_a_bias_is_added_to_each_score_at_every_position(tied: bool) -> None:
    model = build(replace(QWEN3, tied=tied, output_bias=True))
    with_it, bias = model(Sequence.text(ids())), model.output.bias
    assert bias.shape == (VOCABULARY,)
    assert len(set(bias.tolist())) == VOCABULARY
    expected = with_it - bias
    with torch.no_grad():
        bias.zero_()
    torch.testing.assert_close(model(Sequence.text(ids())), expected)
    assert "output.bias" not in build(replace(QWEN3, tied=tied)).state_dict()


def test_a_tied_output_reads_the_embedding_and_is_saved_once() -> None:
    model = build(replace(QWEN3, tied=True))
    table = model.embedding.table.weight
    assert model.output.matrix is table
    assert model.output.projection is None
    assert [name for name in model.state_dict() if name.startswith("output.")] == ["output.norm.weight"]
    before = model(Sequence.text(ids()))
    with torch.no_grad():
        table[3] += 1  # a token that ids() may not hold still changes its logit everywhere
    assert bool(((model(Sequence.text(ids())) - before)[..., 3].abs() > 0).all())


def test_a_copy_of_a_tied_model_is_tied_to_its_own_table() -> None:
    model = build(replace(QWEN3, tied=True))
    other = copy.deepcopy(model)
    assert other.output.matrix is other.embedding.table.weight
    assert other.output.matrix is not model.output.matrix


def test_an_untied_output_has_its_own_matrix() -> None:
    model = build(QWEN3)
    assert model.output.matrix is not model.embedding.table.weight
    assert "output.projection.weight" in model.state_dict()
