"""The whole: equal to the plain loops of reference.py, blind to what it may not see, unchanged by being looked at."""

from dataclasses import replace
from itertools import pairwise
from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from regard.errors import RegardError
from regard.model.attention import PATHS
from regard.model.cache import Cache
from regard.model.config import AttentionConfig, FeedForwardConfig, NormConfig, PositionConfig, TransformerConfig
from regard.model.mask import PADDING
from regard.model.sequence import Sequence
from regard.model.transformer import Transformer, check_sizes, initialise

from . import reference
from .small import (
    BATCH,
    CONTEXT,
    GPT2,
    LAYERS,
    NAMED,
    QWEN3,
    VASWANI,
    VOCABULARY,
    M,
    N,
    Recording,
    build,
    configs,
    ids,
    normal,
    placed,
    weights_of,
)  # fmt: skip

Place = tuple[int, int, int]
MODELS = {name: build(config) for name, config in NAMED.items()}


@st.composite
def examples(draw: st.DrawFn, n: int, axes: int, padding: bool = True) -> tuple[list[list[Place]], list[Any]]:
    """Places and positions of BATCH examples: any sequence, branch and step, in any order."""
    place = st.tuples(st.integers(-1 if padding else 0, 1), st.integers(0, 2), st.integers(0, 3))
    rows = st.lists(place, min_size=n, max_size=n)
    position = st.lists(st.integers(0, 7), min_size=axes, max_size=axes)
    positions = st.lists(position, min_size=n, max_size=n)
    return (
        draw(st.lists(rows, min_size=BATCH, max_size=BATCH)),
        draw(st.lists(positions, min_size=BATCH, max_size=BATCH)),
    )


def told(content: Tensor, rows: list[list[Place]], positions: list[Any], b: int) -> list[reference.Token]:
    words = content[b].tolist() if content.dim() == 2 else list(content[b].double().numpy())
    return [
        reference.Token(word, position, *place)
        for word, position, place in zip(words, positions[b], rows[b], strict=True)
    ]


@given(config=configs(), data=st.data())
@settings(max_examples=60, deadline=None)
@torch.no_grad()
def test_any_model_on_any_sequence_gives_the_numbers_of_the_plain_loops(
    config: TransformerConfig, data: st.DataObject
) -> None:
    model = build(config, seed=data.draw(st.integers(0, 9)))
    axes = data.draw(st.integers(1, 2)) if config.position.kind == "rotary" else 1
    rows, positions = data.draw(examples(N, axes))
    tokens = ids(vocabulary=config.vocabulary, seed=data.draw(st.integers(0, 9)))
    sequence = Sequence.of(tokens, torch.tensor(positions), placed(rows))
    memory, remembered = None, cast(list[list[reference.Token] | None], [None] * BATCH)
    if config.memory and data.draw(st.booleans()):
        vectors = normal(BATCH, M, config.width)
        memory_rows, memory_positions = data.draw(examples(M, 1))
        memory = (vectors, Sequence.of(vectors, torch.tensor(memory_positions), placed(memory_rows)))
        remembered = [told(vectors, memory_rows, memory_positions, b) for b in range(BATCH)]
    out, weights = model(sequence, memory), weights_of(model)
    for b in range(BATCH):
        expected = reference.logits(config, weights, told(tokens, rows, positions, b), remembered[b])
        np.testing.assert_allclose(out[b], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", NAMED)
def test_the_named_models_on_a_text_give_the_numbers_of_the_plain_loops(name: str, path: str) -> None:
    model, tokens = build(NAMED[name], seed=4), ids()
    model.train_with(path)
    model.train()
    with torch.no_grad():
        out = model(Sequence.text(tokens))
    rows, positions = [[(0, 0, i) for i in range(N)]] * BATCH, [[[i] for i in range(N)]] * BATCH
    for b in range(BATCH):
        expected = reference.logits(model.config, weights_of(model), told(tokens, rows, positions, b))
        np.testing.assert_allclose(out[b], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NAMED)
@torch.no_grad()
def test_no_token_sees_a_later_one(name: str) -> None:
    model, tokens = MODELS[name], ids(n=11)
    changed = tokens.clone()
    changed[:, 6:] = (changed[:, 6:] + 1) % VOCABULARY
    before, after = model(Sequence.text(tokens)), model(Sequence.text(changed))
    torch.testing.assert_close(before[:, :6], after[:, :6])
    assert not torch.isclose(before[:, 6:], after[:, 6:]).all(-1).any()  # or the test would prove nothing


def reached(model: Transformer, sequence: Sequence, i: int) -> Tensor:
    """(batch, n): which tokens' vectors have a gradient when the logits at i are asked."""
    vectors: list[Tensor] = []

    def keep(_: torch.nn.Module, __: Any, output: Tensor) -> Tensor:
        vectors.append(output.detach().requires_grad_())
        return vectors[0]

    hook = model.embedding.register_forward_hook(keep)
    out = model(sequence)
    hook.remove()
    torch.autograd.backward(out[:, i].square().sum())
    assert vectors[0].grad is not None
    return vectors[0].grad.abs().sum(-1) > 0


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", NAMED)
def test_gradients_reach_exactly_what_may_be_seen(name: str, path: str) -> None:
    model = build(NAMED[name])
    model.train_with(path)
    model.train()
    text = Sequence.text(ids())
    for i in range(N):
        assert reached(model, text, i).tolist() == [[j <= i for j in range(N)]] * BATCH
    branches = Sequence.of(ids(1, 7), torch.arange(7)[None, :, None], placed([PICTURE_AND_CAPTIONS]))
    for i in range(7):
        expected = branches.mask.matrix()[0, i].tolist()
        assert reached(model, branches, i).tolist() == [expected]


PICTURE_AND_CAPTIONS = [(0, 0, 0), (0, 0, 0), (0, 0, 0), (0, 1, 1), (0, 2, 1), (0, 1, 2), (0, 2, 2)]


@torch.no_grad()
def test_packed_texts_give_what_each_gives_alone() -> None:
    model, tokens = MODELS["qwen3"], ids(1, 11)
    packed = model(Sequence.packed(tokens, torch.tensor([[4] * 4 + [PADDING] + [2] * 6])))
    for start, end in ((0, 4), (5, 11)):
        alone = model(Sequence.text(tokens[:, start:end]))
        torch.testing.assert_close(packed[:, start:end], alone, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_branch_gives_what_it_gives_without_the_others() -> None:
    model, tokens, position = MODELS["qwen3"], ids(1, 7), torch.tensor([[0, 1, 2, 3, 3, 4, 4]])[:, :, None]
    together = model(Sequence.of(tokens, position, placed([PICTURE_AND_CAPTIONS])))
    for branch in (0, 1, 2):
        kept = [i for i, place in enumerate(PICTURE_AND_CAPTIONS) if place[1] in (0, branch)]
        places = placed([[PICTURE_AND_CAPTIONS[i] for i in kept]])
        alone = model(Sequence.of(tokens[:, kept], position[:, kept], places))
        torch.testing.assert_close(together[:, kept], alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("sequence", [[0, 0, 0, -1, -1], [-1, 0, 0, 0, 0], [-1] * 5], ids=["behind", "before", "only"])
def test_padding_is_seen_by_nothing_and_spoils_nothing(name: str, path: str, sequence: list[int]) -> None:
    model = build(NAMED[name])
    model.train_with(path)
    model.train()
    rows, tokens = torch.tensor([sequence, [0] * N]), ids()
    real = rows != PADDING
    other = torch.where(real, tokens, (tokens + 1) % VOCABULARY)
    recording = Recording()
    out = model(Sequence.packed(tokens, rows), record=recording)
    torch.testing.assert_close(out[real], model(Sequence.packed(other, rows))[real])
    for call in recording.calls:
        assert bool((call["out"].transpose(1, 2)[~real] == 0).all())
    torch.autograd.backward(out.square().sum())
    assert bool(out.isfinite().all())
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in model.parameters())
    if bool(real[0].any()):
        text = model(Sequence.text(tokens[:1][real[:1]][None]))
        if name == "qwen3" or sequence[0] == 0:  # sums of positions see where the padding moved a text
            torch.testing.assert_close(out[:1][real[:1]], text[0], atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_a_memory_is_seen_where_the_rule_allows_it_only() -> None:
    model, tokens = MODELS["vaswani"], ids()
    words = Sequence.packed(tokens, torch.tensor([[0, 0, 1, 1, PADDING], [0, 0, 0, 0, 0]]))
    vectors = normal(BATCH, 3, model.config.width)
    source = Sequence.of(
        vectors, torch.zeros(1, 3, 1), placed([[(0, 0, 0), (1, 0, 0), (PADDING, 0, 0)], [(0, 0, 0)] * 3])
    )
    before = model(words, (vectors, source))
    for j, readers in ((0, [0, 1]), (1, [2, 3]), (2, [])):
        other = vectors.clone()
        other[0, j] += 1
        changed = ~torch.isclose(model(words, (other, source)), before).all(-1)
        assert changed.tolist() == [[i in readers for i in range(N)], [False] * N]
    assert not torch.allclose(model(words), before)


def test_a_memory_that_would_be_left_unread_is_our_mistake() -> None:
    source = Sequence.text(ids())
    with pytest.raises(AssertionError, match="built without memory"):
        MODELS["qwen3"](source, (normal(BATCH, N, QWEN3.width), source))


SEQUENCES = {
    "text": Sequence.text(ids()),
    "packed": Sequence.packed(ids(), torch.tensor([[0, 0, 1, 1, PADDING], [0, 0, 0, 0, 0]])),
    "full": Sequence.of(ids(), torch.arange(N)[None, :, None], placed([[(0, 0, 0)] * N])),
}


@pytest.mark.parametrize("kind", SEQUENCES)
@pytest.mark.parametrize("name", NAMED)
@torch.no_grad()
def test_looking_changes_nothing_and_sees_every_site(name: str, kind: str) -> None:
    model, sequence, recording = MODELS[name], SEQUENCES[kind], Recording()
    memory = (normal(BATCH, N, model.config.width), sequence) if model.config.memory else None
    assert torch.equal(model(sequence, memory), model(sequence, memory, record=recording))
    sites = ["self", "cross"] if model.config.memory else ["self"]
    assert [(c["layer"], c["site"]) for c in recording.calls] == [(i, s) for i in range(LAYERS) for s in sites]
    places = ["in", "attention", "memory"] if model.config.memory else ["in", "attention"]
    expected = [(i, place) for i in range(LAYERS) for place in places] + [(LAYERS, "in")]
    assert [(layer, place) for layer, place, _ in recording.streams] == expected
    torch.testing.assert_close(model.output(recording.streams[-1][2]), model(sequence, memory), rtol=0, atol=0)
    for call in recording.calls:  # what is told is what ran: the same path on the same numbers, the same bits
        again = PATHS["fused"](call["query"], call["key"], call["value"], call["mask"], call["score"])
        assert torch.equal(again.out, call["out"])
        assert call["kernel"] == again.kernel
        torch.testing.assert_close(again.logsumexp, call["logsumexp"], rtol=0, atol=0)
        assert call["key"].shape[1] == model.config.attention.key_value_heads


@pytest.mark.parametrize("path", PATHS)
def test_looking_while_training_changes_nothing_either(path: str) -> None:
    model, recording = build(QWEN3), Recording()
    model.train_with(path)
    model.train()
    assert torch.equal(model(SEQUENCES["packed"]), model(SEQUENCES["packed"], record=recording))
    assert len(recording.calls) == LAYERS


@torch.no_grad()
def test_looking_with_a_cache_changes_nothing() -> None:
    model, tokens = MODELS["qwen3"], ids()
    one, two, recording = Cache(), Cache(), Recording()
    for a, b in ((0, 3), (3, 4), (4, 5)):
        piece = Sequence.text(tokens[:, a:b], a)
        assert torch.equal(model(piece, cache=one), model(piece, cache=two, record=recording))
    assert [call["key"].shape[2] for call in recording.calls[::LAYERS]] == [3, 4, 5]


@pytest.mark.parametrize("kind", SEQUENCES)
@pytest.mark.parametrize("name", NAMED)
def test_every_path_trains_with_the_same_gradients(name: str, kind: str) -> None:
    model = build(NAMED[name])
    model.train()
    found: list[dict[str, Tensor]] = []
    for path in PATHS:
        model.train_with(path)
        model.zero_grad()
        torch.autograd.backward(model(SEQUENCES[kind]).logsumexp(-1).sum())
        found.append({n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None})
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], atol=1e-4, rtol=1e-4)
    if not model.config.memory:
        assert set(found[0]) == {n for n, _ in model.named_parameters()}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("how", ["autocast", "bfloat16 weights"])
def test_every_path_runs_in_bfloat16_and_backwards(name: str, path: str, how: str) -> None:
    """The default model's fused path once stopped here: rotation had made queries and keys float32, not values."""
    model = Transformer(NAMED[name])  # ordinary weights: the shaken ones are large, and bfloat16 has 8 bits
    initialise(model, 0)
    exact = model(SEQUENCES["packed"]).detach()
    model.train_with(path)
    model.train()
    if how == "bfloat16 weights":
        model.bfloat16()
    with torch.autocast("cpu", torch.bfloat16, enabled=how == "autocast"):
        out = model(SEQUENCES["packed"])
    assert out.dtype == torch.float32
    torch.testing.assert_close(out, exact, atol=0.03 * exact.std().item() * 3, rtol=0.03)
    torch.autograd.backward(out.logsumexp(-1).sum())
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in model.parameters())


@torch.no_grad()
def test_the_last_logits_are_the_last_ones() -> None:
    model, text = MODELS["gpt2"], SEQUENCES["text"]
    last = model(text, last=True)
    assert last.shape == (BATCH, 1, VOCABULARY)
    torch.testing.assert_close(last, model(text)[:, -1:])


@torch.no_grad()
def test_dropout_acts_in_training_only_and_on_each_part() -> None:
    config, text = replace(QWEN3, dropout=0.5, memory=True), SEQUENCES["text"]
    model, memory = build(config), (normal(BATCH, N, QWEN3.width), SEQUENCES["full"])
    assert torch.equal(model(text, memory), build(replace(config, dropout=0.0))(text, memory))
    model.train()
    recording = Recording()
    first = model(text, memory, record=recording)
    assert not torch.allclose(first, model(text, memory))
    for (_, _, before), (_, _, after) in pairwise(recording.streams):  # what was dropped adds nothing
        assert 0.25 < (before == after).float().mean().item() < 0.75


def test_weights_depend_on_the_seed_alone() -> None:
    def weights(seed: int, noise: int, config: TransformerConfig = VASWANI) -> dict[str, Tensor]:
        torch.manual_seed(noise)  # the global generator must not matter
        model = Transformer(config)
        initialise(model, seed)
        return {name: p.detach().clone() for name, p in model.named_parameters()}

    one, same, other = weights(7, 1), weights(7, 2), weights(8, 1)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert all(not torch.equal(one[name], other[name]) for name in one if one[name].dim() > 1)
    for name, tensor in one.items():
        if tensor.dim() == 1:
            assert torch.equal(tensor, torch.full_like(tensor, 1.0 if "norm.weight" in name else 0.0))


def test_matrices_start_at_the_promised_size() -> None:
    config = replace(
        QWEN3, vocabulary=211, width=64, attention=AttentionConfig(heads=2, key_value_heads=2, head_width=64),
        feed_forward=FeedForwardConfig(width=256), layers=8,
    )  # fmt: skip
    model = Transformer(config)
    initialise(model, 0)
    sizes = {name: parameter.std().item() for name, parameter in model.named_parameters() if parameter.dim() > 1}
    for name, size in sizes.items():
        inputs = model.get_parameter(name).shape[1]
        expected = 0.02 if name in ("embedding.table.weight", "output.projection.weight") else inputs**-0.5
        expected /= 4 if name.endswith(("attention.output.weight", "down.weight")) else 1
        assert size == pytest.approx(expected, rel=0.05), name


@given(config=configs())
@settings(max_examples=25, deadline=None)
def test_any_config_of_known_parts_is_accepted_and_starts_finite(config: TransformerConfig) -> None:
    check_sizes(config)
    model = Transformer(config)
    initialise(model, 1)
    out = model(Sequence.text(ids(vocabulary=config.vocabulary)))
    torch.autograd.backward(out.sum())
    assert bool(out.isfinite().all())


A, F, P = QWEN3.attention, QWEN3.feed_forward, PositionConfig
REFUSED: list[tuple[TransformerConfig, str]] = [
    (replace(QWEN3, vocabulary=0), "vocabulary: 0 is not a whole number above 0"),
    (replace(QWEN3, context=-3), "context: -3 is not"),
    (replace(QWEN3, width=64.0), "width: 64.0 is not"),  # type: ignore[arg-type]
    (replace(QWEN3, width=True), "width: True is not"),
    (replace(QWEN3, layers=0), "layers: 0 is not"),
    (replace(QWEN3, attention=replace(A, heads=0)), "heads: 0 is not"),
    (replace(QWEN3, attention=replace(A, key_value_heads=0)), "key_value_heads: 0 is not"),
    (replace(QWEN3, attention=replace(A, key_value_heads=4)), "heads: 6 query heads do not share 4 .* multiple"),
    (replace(QWEN3, attention=replace(A, heads=3, key_value_heads=6)), "heads: 3 query heads do not share 6"),
    (replace(QWEN3, attention=replace(A, head_width=7)), "head_width: 7 is odd; choose an even head_width"),
    (replace(QWEN3, feed_forward=replace(F, width=0)), "feed_forward: 0 is not"),
    (replace(QWEN3, feed_forward=replace(F, activation="tanh")), "activation: 'tanh' is not known; choose one of silu"),  # type: ignore[arg-type]
    (replace(QWEN3, norm=NormConfig(kind="batch")), "norm: 'batch' is not known; choose one of rms, layer"),  # type: ignore[arg-type]
    (replace(QWEN3, norm=NormConfig(epsilon=0.0)), "epsilon: 0.0 is not a number above 0"),
    (replace(QWEN3, norm=NormConfig(epsilon=float("nan"))), "epsilon: nan is not"),
    (replace(QWEN3, position=P(kind="alibi")), "position: 'alibi' is not known; choose one of rotary"),  # type: ignore[arg-type]
    (replace(QWEN3, position=P(theta=-1.0)), "theta: -1.0 is not a number above 0"),
    (replace(QWEN3, position=P(kind="sinusoidal")), "width: 13 is odd and sines come with cosines"),
    (replace(QWEN3, residual="both"), "residual: 'both' is not known; choose one of pre, post"),  # type: ignore[arg-type]
    (replace(QWEN3, features=-1), "features: -1 is not a whole number; give one from 0 on"),
    (replace(QWEN3, learned=1), "learned: tokens that are ids have a table already; leave it at 0"),
    (replace(QWEN3, features=4, tied=True), "tied: tokens that are vectors have no table to share; leave it out"),
    (replace(QWEN3, dropout=1.0), "dropout: 1.0 is not a share below 1; give a number from 0 to 0.9"),
]


@pytest.mark.parametrize(("config", "said"), REFUSED, ids=[said.split(" is")[0] for _, said in REFUSED])
def test_M11_what_cannot_be_built_is_refused_by_name(config: TransformerConfig, said: str) -> None:
    with pytest.raises(RegardError, match="^" + said):
        check_sizes(config)
    with pytest.raises(RegardError, match="^" + said):
        Transformer(config)


def test_patches_may_come_in_any_order_as_their_place_goes_with_them() -> None:
    """Nothing but the position says where a token is; each sees all the others."""
    model = build(replace(QWEN3, features=4, learned=1))
    place = torch.tensor([[[0, 0], [0, 0], [0, 1], [1, 0], [1, 1]]])
    vectors, order = normal(BATCH, N, 4), torch.tensor([0, 3, 1, 4, 2])
    logits = model(Sequence.whole(vectors, place))
    shuffled = model(Sequence.whole(vectors[:, order], place[:, order]))
    torch.testing.assert_close(shuffled, logits[:, order], rtol=1e-4, atol=1e-5)
    moved = model(Sequence.whole(vectors[:, order], place))
    assert not torch.allclose(moved, logits[:, order], rtol=1e-2, atol=1e-2)
    assert (reached(model, Sequence.whole(vectors, place), 0)[:, 1:] > 0).all()


def test_a_text_longer_than_the_learned_positions_is_refused() -> None:
    with pytest.raises(RegardError, match=f"position {CONTEXT} is past the {CONTEXT} that were learned"):
        build(GPT2)(Sequence.text(ids(n=CONTEXT + 1)))
