"""A text read in any pieces gives the logits of the whole; samples and beams take their past with them."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from regard.errors import RegardError
from regard.model.cache import Cache
from regard.model.mask import PADDING, Places
from regard.model.sequence import Sequence

from .small import BATCH, GPT2, NAMED, QWEN3, build, ids, normal, placed

LENGTH = 13
MODELS = {name: build(config) for name, config in NAMED.items()}


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, atol=2e-5, rtol=2e-5)


def part(sequence: Sequence, start: int, end: int) -> Sequence:
    """Tokens start to end - 1, with the places that they have in the whole."""
    places = sequence.places
    cut = Places(places.sequence[:, start:end], places.branch[:, start:end], places.step[:, start:end])
    return Sequence.of(sequence.tokens[:, start:end], sequence.position[:, start:end], cut)


CUTS = st.sets(st.integers(1, LENGTH - 1)).map(lambda cuts: [0, *sorted(cuts), LENGTH])


@pytest.mark.parametrize("name", NAMED)
@given(cuts=CUTS)
@settings(max_examples=12, deadline=None)
@torch.no_grad()
def test_a_text_in_pieces_gives_the_logits_of_the_whole(name: str, cuts: list[int]) -> None:
    model, numbers, cache = MODELS[name], ids(n=LENGTH), Cache()
    memory = None
    if model.config.memory:
        source = Sequence.of(ids(n=3), torch.zeros(1, 3, 1), placed([[(0, 0, 0)] * 3]))
        memory = (normal(BATCH, 3, model.config.width), source)
    whole = model(Sequence.text(numbers), memory)
    pieces = [model(Sequence.text(numbers[:, a:b], a), memory, cache) for a, b in pairwise(cuts)]
    close(torch.cat(pieces, dim=1), whole)
    assert cache.length == LENGTH


ROWS = [  # two texts and padding; a picture of three parts with two captions
    [(0, 0, i) for i in range(5)] + [(1, 0, i) for i in range(5, 11)] + [(PADDING, 0, 0)] * 2,
    [(0, 0, 0)] * 3 + [(0, 1 + i % 2, 1 + i // 2) for i in range(10)],
]


@given(cuts=CUTS.map(lambda cuts: [cut for cut in cuts if cut not in (1, 2)]))  # a step's tokens come in one call
@settings(max_examples=12, deadline=None)
@torch.no_grad()
def test_packed_texts_and_branches_in_pieces_give_the_logits_of_the_whole(cuts: list[int]) -> None:
    model, cache = MODELS["qwen3"], Cache()
    whole = Sequence.of(ids(n=LENGTH), torch.arange(LENGTH)[None, :, None], placed(ROWS))
    pieces = [model(part(whole, a, b), cache=cache) for a, b in pairwise(cuts)]
    close(torch.cat(pieces, dim=1), model(whole))


@given(
    data=st.lists(st.tuples(st.integers(1, 4), st.lists(st.integers(0, 2), min_size=3, max_size=3)), max_size=4),
    pad=st.booleans(),
)
@settings(max_examples=15, deadline=None)
@torch.no_grad()
def test_reordering_takes_the_whole_past_along(data: list[tuple[int, list[int]]], pad: bool) -> None:
    """Pieces of 1 to 4 tokens; after each, example i goes on as a copy of example index[i]."""
    model, cache = MODELS["qwen3"], Cache()
    past = torch.zeros(3, 0, dtype=torch.long)
    padded = torch.zeros(3, 0, dtype=torch.long)
    for turn, (n, index) in enumerate(data):
        new = ids(3, n, seed=turn)
        sequence = torch.zeros_like(new)
        if pad:
            sequence[1, 0] = PADDING  # the examples differ in who is padding, so places are reordered, too
        past, padded = torch.cat((past, new), dim=1), torch.cat((padded, sequence), dim=1)
        whole = Sequence.packed(past, padded) if pad else Sequence.text(past)
        start = past.shape[1] - n
        piece = part(whole, start, past.shape[1]) if pad else Sequence.text(new, start)
        close(model(piece, cache=cache), model(whole)[:, start:])
        order = torch.tensor(index)
        cache.reorder(order)
        past, padded = past[order], padded[order]


@torch.no_grad()
def test_several_samples_share_one_reading_of_the_prompt() -> None:
    model, cache, prompt = MODELS["qwen3"], Cache(), ids(1, 7)
    model(Sequence.text(prompt), cache=cache)
    cache.reorder(torch.zeros(4, dtype=torch.long))
    texts = prompt.expand(4, -1)
    for step in range(3):
        new = ids(4, 1, seed=step)
        texts = torch.cat((texts, new), dim=1)
        logits = model(Sequence.text(new, cache.length), cache=cache)
        close(logits[:, 0], model(Sequence.text(texts))[:, -1])
    assert not torch.allclose(logits[0], logits[1])


@torch.no_grad()
def test_buffers_grow_and_keep_what_they_hold() -> None:
    model = build(replace(QWEN3, context=512), seed=3)
    cache, numbers = Cache(), ids(1, 301)
    cuts = [0, 60, 63, 64, 65, 129, 300, 301]
    pieces = [model(Sequence.text(numbers[:, a:b], a), cache=cache) for a, b in pairwise(cuts)]
    close(torch.cat(pieces, dim=1), model(Sequence.text(numbers)))


@torch.no_grad()
def test_only_new_keys_are_computed() -> None:
    model, cache = MODELS["qwen3"], Cache()
    seen: list[int] = []
    key = model.get_submodule("blocks.0.attention.key")
    hook = key.register_forward_hook(lambda _, given_, __: seen.append(given_[0].shape[1]))
    for a, b in pairwise([0, 5, 6, 8]):
        model(Sequence.text(ids(n=8)[:, a:b], a), cache=cache)
    hook.remove()
    assert seen == [5, 1, 2]


@torch.no_grad()
def test_a_refused_pass_leaves_the_cache_as_it_was() -> None:
    model, cache = MODELS["gpt2"], Cache()
    numbers = ids(1, GPT2.context)
    model(Sequence.text(numbers[:, :-1]), cache=cache)
    with pytest.raises(RegardError, match="past the 23"):
        model(Sequence.text(ids(1, 3), cache.length), cache=cache)
    assert cache.length == GPT2.context - 1
    close(model(Sequence.text(numbers[:, -1:], cache.length), cache=cache)[:, 0], model(Sequence.text(numbers))[:, -1])


def test_one_new_token_of_a_text_sees_all_and_takes_the_fast_path() -> None:
    cache = Cache()
    cache.advance(Sequence.text(ids(n=4)))
    assert cache.mask(Sequence.text(ids(n=1), 4)).kind == "full"
    two = cache.mask(Sequence.text(ids(n=2), 4))
    assert (two.kind, two.n, two.m) == ("mixed", 2, 6)
    assert two.matrix().tolist() == [[[True] * 5 + [False], [True] * 6]]
