"""What is likely next is a function of the text alone, however it was read; beam search can stand on the interface."""

import math
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from regard.decoding.step import LanguageDecoder, window_start
from regard.model.sequence import Sequence

from .small import CONTEXT, NAMED, ROTARY, build, ids, quickly

DECODERS = {name: quickly(LanguageDecoder, build(config)) for name, config in NAMED.items()}
LENGTH = 3 * CONTEXT


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, atol=2e-5, rtol=2e-5)


@given(st.integers(1, 5000), st.integers(1, 600))
@settings(deadline=None)
def test_the_window_is_the_longest_that_fits_and_begins_at_half_contexts(length: int, context: int) -> None:
    start, half = window_start(length, context), max(context // 2, 1)
    assert start % half == 0
    assert 0 < length - start <= context
    assert start == 0 or length - (start - half) > context


def test_the_window_stays_while_the_text_fits() -> None:
    assert [window_start(n, 8) for n in (1, 8, 9, 12, 13, 16, 17)] == [0, 0, 4, 4, 8, 8, 12]
    assert [window_start(n, 7) for n in (7, 8, 10, 11)] == [0, 3, 3, 6]
    assert [window_start(n, 1) for n in (1, 2, 9)] == [0, 1, 8]


@pytest.mark.parametrize("name", NAMED)
@torch.no_grad()
def test_a_step_is_the_model_on_the_window(name: str) -> None:
    decoder, text = DECODERS[name], ids(2, LENGTH)
    for n in (1, 2, CONTEXT, CONTEXT + 1, LENGTH):
        window = text[:, window_start(n, decoder.config.context) : n]
        expected = decoder.model(Sequence.text(window))[:, -1].log_softmax(-1)
        close(decoder.step(text[:, :n], decoder.start()), expected)


@pytest.mark.parametrize("name", NAMED)
@given(cuts=st.sets(st.integers(1, LENGTH - 1), max_size=LENGTH))
@settings(max_examples=10, deadline=None)
def test_cached_equals_uncached_also_past_the_context(name: str, cuts: set[int]) -> None:
    decoder, text = DECODERS[name], ids(2, LENGTH)
    kept, ends = decoder.start(), [*sorted(cuts), LENGTH]
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        close(decoder.step(text[:, start:end], kept), decoder.step(text[:, :end], decoder.start()))


@pytest.mark.parametrize("name", NAMED)
def test_token_by_token_equals_at_once(name: str) -> None:
    decoder, text = DECODERS[name], ids(3, LENGTH, seed=1)
    kept = decoder.start()
    for n in range(1, LENGTH + 1):
        close(decoder.step(text[:, n - 1 : n], kept), decoder.step(text[:, :n], decoder.start()))


def test_what_is_remembered_stays_within_the_context() -> None:
    decoder, kept = DECODERS["rotary"], DECODERS["rotary"].start()
    for token in ids(1, 100)[0].split(1):
        decoder.step(token[None], kept)
        assert kept.tokens.shape[1] == kept.cache.length <= CONTEXT


def test_log_probabilities_are_those_of_the_logits_in_float32() -> None:
    decoder, text = DECODERS["rotary"], ids(3, 5)
    step = decoder.step(text, decoder.start())
    assert (step.dtype, tuple(step.shape)) == (torch.float32, (3, ROTARY.vocabulary))
    close(step.exp().sum(-1), torch.ones(3))
    close(step, decoder.logits(text, decoder.start()).log_softmax(-1))


def test_dropout_is_off_while_it_speaks() -> None:
    config = NAMED["rotary"].__class__.from_json({**ROTARY.to_json(), "dropout": 0.5})
    model = build(config).train()
    decoder = LanguageDecoder(model)
    assert not model.training
    assert torch.equal(decoder.step(ids(1, 5), decoder.start()), decoder.step(ids(1, 5), decoder.start()))


@given(st.lists(st.lists(st.integers(0, 2), min_size=3, max_size=3), max_size=16))
@settings(max_examples=10, deadline=None)
def test_reordered_texts_take_their_past_along(orders: list[list[int]]) -> None:
    decoder, kept, past = DECODERS["learned"], DECODERS["learned"].start(), torch.zeros(3, 0, dtype=torch.long)
    for turn, order in enumerate([[0, 1, 2], *orders]):
        new = ids(3, 1, seed=turn)
        past = torch.cat((past, new), dim=1)
        close(decoder.step(new, kept), decoder.step(past, decoder.start()))
        kept.reorder(torch.tensor(order))
        past = past[torch.tensor(order)]


def test_texts_can_be_left_out_and_doubled() -> None:
    decoder, kept, past = DECODERS["rotary"], DECODERS["rotary"].start(), ids(4, 6)
    decoder.step(past, kept)
    for index in ([2, 0], [1], [0, 0, 0, 0, 0]):
        kept.reorder(torch.tensor(index))
        new = ids(len(index), 1, seed=len(index))
        past = torch.cat((past[torch.tensor(index)], new), dim=1)
        close(decoder.step(new, kept), decoder.step(past, decoder.start()))


def test_a_beam_as_wide_as_all_texts_finds_the_likeliest_of_all() -> None:
    """All 5^4 continuations, scored whole, against a beam that keeps 5^3: past the context, too."""
    vocabulary, steps, prompt = 5, 4, [1, 0, 3]
    decoder = LanguageDecoder(build(ROTARY.__class__.from_json({**ROTARY.to_json(), "vocabulary": 5, "context": 5})))

    def whole(text: tuple[int, ...]) -> float:
        rows = [decoder.step(torch.tensor([[*prompt, *text[:i]]]), decoder.start())[0, text[i]] for i in range(steps)]
        return math.fsum(float(row) for row in rows)

    expected = max(product(range(vocabulary), repeat=steps), key=whole)
    kept, width = decoder.start(), vocabulary ** (steps - 1)
    totals = decoder.step(torch.tensor([prompt]), kept)  # (beams, vocabulary)
    texts = torch.zeros(1, 0, dtype=torch.long)
    for left in range(steps - 1, -1, -1):
        best = totals.flatten().topk(min(width, totals.numel()))
        beam, token = best.indices // vocabulary, best.indices % vocabulary
        texts = torch.cat((texts[beam], token[:, None]), dim=1)
        if left:
            kept.reorder(beam)
            totals = best.values[:, None] + decoder.step(token[:, None], kept)
    assert tuple(texts[0].tolist()) == expected
    assert float(best.values[0]) == pytest.approx(whole(expected), abs=1e-4)
