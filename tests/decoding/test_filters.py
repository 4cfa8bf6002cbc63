"""Each filter gives what transformers' class of the same idea gives, alone and all in their order."""

import math
import os
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from regard.decoding import filters
from regard.decoding.sample import Sampling, filtered

os.environ["HF_HUB_OFFLINE"] = "1"
from transformers.generation.logits_process import (
    LogitsProcessor,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

BATCH, VOCABULARY = 3, 29


def scores(seed: int, spread: float = 3.0, ties: bool = False) -> Tensor:
    rows = spread * torch.randn(BATCH, VOCABULARY, generator=torch.Generator().manual_seed(seed))
    return rows.round() if ties else rows


def said(seed: int) -> Tensor:
    return torch.randint(0, VOCABULARY, (BATCH, 7), generator=torch.Generator().manual_seed(seed))


def seen(tokens: Tensor) -> Tensor:
    return torch.zeros(BATCH, VOCABULARY, dtype=torch.bool).scatter_(1, tokens, True)


def close(ours: Tensor, theirs: Tensor) -> None:
    """The same tokens are out, and the others have the same scores."""
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-6)


PAIRS: dict[str, tuple[Callable[[Tensor, float], Tensor], Callable[[float], LogitsProcessor], list[float]]] = {
    "temperature": (filters.temperature, TemperatureLogitsWarper, [0.1, 0.8, 1.0, 2.5]),
    "top_k": (lambda s, k: filters.top_k(s, int(k)), lambda k: TopKLogitsWarper(int(k)), [1, 2, 5, 29, 300]),
    "top_p": (filters.top_p, TopPLogitsWarper, [1e-6, 0.1, 0.5, 0.9, 0.999, 1.0]),
    "min_p": (filters.min_p, MinPLogitsWarper, [0.0, 0.01, 0.1, 0.5, 1.0]),
}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("ties", [False, True])
def test_a_filter_equals_transformers(name: str, ties: bool) -> None:
    ours, theirs, values = PAIRS[name]
    for value in values:
        for seed in range(5):
            given_ = scores(seed, ties=ties)
            close(ours(given_, value), theirs(value)(said(seed), given_))


@pytest.mark.parametrize("penalty", [0.5, 1.0, 1.3, 4.0])
def test_the_repetition_penalty_equals_transformers(penalty: float) -> None:
    for seed in range(5):
        given_, tokens = scores(seed), said(seed)
        theirs = RepetitionPenaltyLogitsProcessor(penalty)(tokens, given_.clone())
        close(filters.repetition_penalty(given_, seen(tokens), penalty), theirs)


@given(
    seed=st.integers(0, 1000), temperature=st.sampled_from([0.3, 0.8, 1.0, 1.7]),
    top_k=st.sampled_from([None, 1, 4, 12]), top_p=st.sampled_from([None, 0.2, 0.7, 0.95]),
    min_p=st.sampled_from([None, 0.03, 0.3]), penalty=st.sampled_from([1.0, 1.5]),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_all_filters_in_their_order_equal_transformers(
    seed: int, temperature: float, top_k: int | None, top_p: float | None, min_p: float | None, penalty: float
) -> None:
    """The order of transformers' GenerationMixin._get_logits_processor."""
    given_, tokens = scores(seed), said(seed)
    chosen = Sampling(
        temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p, repetition_penalty=penalty
    )  # fmt: skip
    theirs = RepetitionPenaltyLogitsProcessor(penalty)(tokens, given_.clone())
    theirs = TemperatureLogitsWarper(temperature)(tokens, theirs)
    theirs = theirs if top_k is None else TopKLogitsWarper(top_k)(tokens, theirs)
    theirs = theirs if top_p is None else TopPLogitsWarper(top_p)(tokens, theirs)
    theirs = theirs if min_p is None else MinPLogitsWarper(min_p)(tokens, theirs)
    close(filtered(given_, seen(tokens), chosen), theirs)


@pytest.mark.parametrize("name", PAIRS)
def test_a_constant_added_to_a_row_changes_no_odds(name: str) -> None:
    ours, _, values = PAIRS[name]
    for value in values:
        given_ = scores(3)
        shifted = ours(given_.log_softmax(-1), value)
        torch.testing.assert_close(shifted.softmax(-1), ours(given_, value).softmax(-1), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", PAIRS)
def test_the_likeliest_is_never_out_and_the_argument_stays(name: str) -> None:
    ours, _, values = PAIRS[name]
    for value in values:
        given_ = scores(4)
        before = given_.clone()
        assert torch.equal(ours(given_, value).argmax(-1), given_.argmax(-1))
        assert torch.equal(given_, before)


def test_by_hand() -> None:
    row = torch.tensor([[0.5, 0.25, 0.125, 0.125]]).log()
    out = -math.inf
    assert filters.top_k(row, 2)[0].exp().tolist() == pytest.approx([0.5, 0.25, 0, 0])
    assert filters.top_k(row, 3)[0].exp().tolist() == pytest.approx([0.5, 0.25, 0.125, 0.125])  # the last two tie
    assert filters.top_p(row, 0.7)[0].exp().tolist() == pytest.approx([0.5, 0.25, 0, 0])
    assert filters.top_p(row, 0.4)[0].tolist()[1:] == [out, out, out]
    assert filters.min_p(row, 0.4)[0].exp().tolist() == pytest.approx([0.5, 0.25, 0, 0])
    logits = torch.tensor([[2.0, -2.0, 2.0, -2.0]])
    mask = torch.tensor([[True, True, False, False]])
    assert filters.repetition_penalty(logits, mask, 4.0).tolist() == [[0.5, -8.0, 2.0, -2.0]]
