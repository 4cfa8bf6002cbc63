"""The formula against plain loops, each path against the formula, and the dictionary that answers with mixtures."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from regard.errors import RegardError
from regard.model.attention import (
    DOT,
    PATHS,
    Additive,
    Bilinear,
    ScaledDot,
    Score,
    SoftDictionary,
    attention_weights,
    fused,
    plain,
)
from regard.model.mask import Mask

from .reference import attend, softmax
from .small import BATCH, HEAD_WIDTH, HEADS, M, N, normal

HIDDEN = 13
GROUPS = [(3, 3), (6, 3), (5, 1)]  # query heads, key-value heads


def random_mask(batch: int, seed: int = 5) -> Tensor:
    return torch.rand(batch, N, M, generator=torch.Generator().manual_seed(seed)) < 0.5


def blind_rows() -> Tensor:
    allowed = random_mask(BATCH)
    allowed[0, 1] = allowed[1, 3] = allowed[1, 4] = False
    return allowed


MASKS = {
    "causal": Mask("causal", N, N),
    "full": Mask("full", N, M),
    "mixed, one for all": Mask("mixed", N, M, random_mask(1) | torch.eye(N, M, dtype=torch.bool)),
    "mixed, one an example": Mask("mixed", N, M, random_mask(BATCH) | torch.eye(N, M, dtype=torch.bool)),
    "blind rows": Mask("mixed", N, M, blind_rows()),
    "blind rows for all": Mask("mixed", N, M, blind_rows()[:1]),
    "all blind": Mask("mixed", N, M, torch.zeros(BATCH, N, M, dtype=torch.bool)),
    "one query": Mask("full", 1, M),
    "one query, one key": Mask("causal", 1, 1),
}


def inputs(
    mask: Mask, heads: int = HEADS, shared: int = HEADS, dtype: torch.dtype = torch.float64, grad: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """Query, key and value."""
    shapes = [(heads, mask.n), (shared, mask.m), (shared, mask.m)]
    query, key, value = (normal(BATCH, h, n, HEAD_WIDTH, seed=i, dtype=dtype) for i, (h, n) in enumerate(shapes))
    return query.requires_grad_(grad), key.requires_grad_(grad), value.requires_grad_(grad)


def leaves_of(*tensors: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    query, key, value = (x.detach().clone().to(dtype).requires_grad_() for x in tensors)
    return query, key, value


def score_of(score: Score, query: Tensor, key: Tensor) -> float:
    """The scores of the papers' formulas, one number at a time; query, key (head_width,)."""
    q, k = query.tolist(), key.tolist()
    if isinstance(score, ScaledDot):
        scale = 1 / math.sqrt(len(q)) if score.scale is None else score.scale
        return float(sum(a * b for a, b in zip(q, k, strict=True))) * scale
    if isinstance(score, Bilinear):
        w = score.matrix.tolist()
        return float(sum(q[i] * w[i][j] * k[j] for i in range(len(q)) for j in range(len(k))))
    assert isinstance(score, Additive)
    w, u, v = score.query_matrix.tolist(), score.key_matrix.tolist(), score.vector.tolist()
    total = 0.0
    for h in range(len(v)):
        inside = sum(q[i] * w[i][h] for i in range(len(q))) + sum(k[i] * u[i][h] for i in range(len(k)))
        total += v[h] * math.tanh(inside)
    return total


SCORES: dict[str, Score] = {
    "scaled dot": ScaledDot(),
    "scaled by 0.7": ScaledDot(0.7),
    "dot": DOT,
    "bilinear": Bilinear(normal(HEAD_WIDTH, HEAD_WIDTH, seed=7, dtype=torch.float64) / 3),
    "additive": Additive(
        normal(HEAD_WIDTH, HIDDEN, seed=8, dtype=torch.float64) / 3,
        normal(HEAD_WIDTH, HIDDEN, seed=9, dtype=torch.float64) / 3,
        normal(HIDDEN, seed=10, dtype=torch.float64),
    ),
}


@pytest.mark.parametrize("name", SCORES)
def test_scores_and_weights_are_those_of_the_formula(name: str) -> None:
    mask, score = MASKS["blind rows"], SCORES[name]
    query, key, _ = inputs(mask)
    scores, weights = score(query, key), attention_weights(query, key, mask, score)
    assert mask.allowed is not None
    for b in range(BATCH):
        for h in range(HEADS):
            for i in range(N):
                row = [score_of(score, query[b, h, i], key[b, h, j]) for j in range(M)]
                assert scores[b, h, i].tolist() == pytest.approx(row, rel=1e-9, abs=1e-12)
                seen = [j for j in range(M) if mask.allowed[b, i, j]]
                expected = dict(zip(seen, softmax([row[j] for j in seen]), strict=True)) if seen else {}
                assert weights[b, h, i].tolist() == pytest.approx([expected.get(j, 0.0) for j in range(M)], abs=1e-12)


@pytest.mark.parametrize("heads", GROUPS, ids=str)
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS.keys())
def test_the_plain_path_is_the_loop(mask: Mask, heads: tuple[int, int]) -> None:
    query, key, value = inputs(mask, *heads)
    out = plain(query, key, value, mask, ScaledDot()).out.numpy()
    allowed = mask.matrix().expand(BATCH, mask.n, mask.m)
    group = heads[0] // heads[1]
    for b in range(BATCH):
        for h in range(heads[0]):
            keys, values = list(key[b, h // group].numpy()), list(value[b, h // group].numpy())
            for i in range(mask.n):
                expected = attend(query[b, h, i].numpy(), keys, values, allowed[b, i].tolist(), HEAD_WIDTH**-0.5)
                np.testing.assert_allclose(out[b, h, i], expected, atol=1e-12)


TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-6, torch.bfloat16: 3e-2}


@pytest.mark.parametrize("heads", GROUPS, ids=str)
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS.keys())
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("path", ["unfused", "fused"])
def test_every_path_gives_what_the_plain_one_gives(
    path: str, dtype: torch.dtype, mask: Mask, heads: tuple[int, int]
) -> None:
    given_ = inputs(mask, *heads, dtype=dtype, grad=True)
    exact = leaves_of(*given_, dtype=torch.float64)
    expected = plain(*exact, mask, ScaledDot()).out
    attended = PATHS[path](*given_, mask, ScaledDot())
    assert attended.out.dtype == dtype
    close(attended.out, expected, TOLERANCE[dtype])
    weight = normal(*expected.shape, seed=3)
    torch.autograd.backward((expected * weight.double()).sum())
    torch.autograd.backward((attended.out.double() * weight.double()).sum())
    for x, y in zip(given_, exact, strict=True):
        assert x.grad is not None
        assert y.grad is not None
        close(x.grad, y.grad, 5 * TOLERANCE[dtype])


@pytest.mark.parametrize("mask", [MASKS["causal"], MASKS["full"], MASKS["blind rows"]], ids=lambda mask: mask.kind)
@pytest.mark.parametrize("path", ["unfused", "fused"])
@pytest.mark.parametrize("name", ["dot", "scaled by 0.7"])
def test_every_path_keeps_the_scores_own_scale(name: str, path: str, mask: Mask) -> None:
    query, key, value = inputs(mask)
    close(
        PATHS[path](query, key, value, mask, SCORES[name]).out, plain(query, key, value, mask, SCORES[name]).out, 1e-12
    )


def close(actual: Tensor, expected: Tensor, tolerance: float) -> None:
    torch.testing.assert_close(actual.double(), expected, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", ["bilinear", "additive"])
def test_a_score_without_a_kernel_takes_the_formula_in_every_path(path: str, name: str) -> None:
    mask = MASKS["blind rows"]
    query, key, value = inputs(mask)
    expected = attention_weights(query, key, mask, SCORES[name]) @ value
    attended = PATHS[path](query, key, value, mask, SCORES[name])
    assert torch.equal(attended.out, expected)
    assert attended.kernel == "plain"


@given(
    allowed=st.lists(st.lists(st.booleans(), min_size=M, max_size=M), min_size=N, max_size=N),
    size=st.sampled_from([0.0, 1.0, 100.0]),
)
@settings(max_examples=30, deadline=None)
def test_rows_sum_to_one_or_are_zero_and_nothing_becomes_nan(allowed: list[list[bool]], size: float) -> None:
    mask = Mask("mixed", N, M, torch.tensor(allowed)[None])
    sums = [float(any(row)) for row in allowed]
    query, key, value = (x * size for x in inputs(mask, dtype=torch.float32))
    weights = attention_weights(query, key, mask, ScaledDot())
    torch.testing.assert_close(weights.sum(-1), torch.tensor(sums).expand(BATCH, HEADS, N))
    assert bool((weights[:, :, ~torch.tensor(allowed)] == 0).all())
    for path in PATHS.values():
        leaves = leaves_of(query, key, value, dtype=torch.float32)
        out = path(*leaves, mask, ScaledDot()).out
        torch.autograd.backward(out.sum())
        assert bool((out[:, :, torch.tensor(sums) == 0] == 0).all())
        for leaf in leaves:
            assert leaf.grad is not None
            assert bool(leaf.grad.isfinite().all())


@pytest.mark.parametrize("path", PATHS)
def test_what_may_not_be_seen_gets_no_gradient(path: str) -> None:
    mask = MASKS["mixed, one an example"]
    assert mask.allowed is not None
    for i in range(N):
        query, key, value = inputs(mask, grad=True)
        torch.autograd.backward(PATHS[path](query, key, value, mask, ScaledDot()).out[:, :, i].square().sum())
        for x in (key, value):
            assert x.grad is not None
            reached = x.grad.abs().sum(dim=(1, 3)) > 0  # (batch, m)
            # with one key in sight the weight is 1 whatever the key is, so that key has no gradient, its value has
            expected = mask.allowed[:, i] & ((mask.allowed[:, i].sum(-1, keepdim=True) > 1) | (x is value))
            assert torch.equal(reached, expected)


@pytest.mark.parametrize("mask", [MASKS["causal"], MASKS["full"], MASKS["blind rows"]], ids=lambda mask: mask.kind)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_the_kernel_gives_its_rows_log_sum_exp(mask: Mask, dtype: torch.dtype) -> None:
    query, key, value = inputs(mask, dtype=dtype)
    attended = fused(query, key, value, mask, ScaledDot())
    assert attended.logsumexp is not None
    assert attended.logsumexp.dtype == torch.float32
    scores = ScaledDot()(query.double(), key.double()).masked_fill(~mask.matrix()[:, None], -math.inf)
    seeing = mask.matrix().any(-1)[:, None].expand(BATCH, HEADS, mask.n)
    torch.testing.assert_close(attended.logsumexp[seeing].double(), scores.logsumexp(-1)[seeing], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("mask", [MASKS["causal"], MASKS["full"]], ids=lambda mask: mask.kind)
def test_another_device_takes_torchs_own_choice_of_kernel(mask: Mask) -> None:
    query, key, value = (x.to("meta") for x in inputs(mask, 6, 3))  # a device without numbers: sizes and names only
    attended = fused(query, key, value, mask, ScaledDot())
    assert attended.out.shape == query.shape
    assert (attended.logsumexp, attended.kernel) == (None, "scaled_dot_product_attention")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", ["causal", "mixed"])
def test_a_mask_first_met_in_inference_mode_can_be_trained_with(path: str, kind: str) -> None:
    n = 29  # a length that no other test uses: the causal matrix is not kept yet
    allowed = torch.ones(1, n, n, dtype=torch.bool).tril(-1)  # the first row is blind
    mask = Mask("causal", n, n) if kind == "causal" else Mask("mixed", n, n, allowed)
    x = normal(1, 1, n, 4)
    with torch.inference_mode():
        PATHS[path](x, x, x, mask, ScaledDot())
    leaves = leaves_of(x, x, x, dtype=torch.float32)
    torch.autograd.backward(PATHS[path](*leaves, mask, ScaledDot()).out.sum())
    assert leaves[2].grad is not None
    assert leaves[2].grad.sum().item() == pytest.approx(4 * (n if kind == "causal" else n - 1), rel=1e-5)


# The dictionary. Three axes: fruit, tool, colour.
VECTORS = {
    "apple": [9.0, 0.0, 1.0],
    "pear": [9.0, 0.0, 0.0],
    "hammer": [0.0, 9.0, 0.0],
    "orange": [8.0, 0.0, 3.0],
    "nothing": [0.0, 0.0, 0.0],
}
ENTRIES = {"apple": "eat", "pear": "eat", "hammer": "hit"}


@pytest.mark.parametrize("score", [DOT, ScaledDot()], ids=["dot", "scaled"])
@pytest.mark.parametrize("word", VECTORS)
def test_the_weights_of_an_answer_sum_to_one(word: str, score: Score) -> None:
    answer = SoftDictionary(ENTRIES, VECTORS, score)[word]
    assert sum(answer.values()) == pytest.approx(1.0, abs=1e-6)
    assert set(answer) == {"eat", "hit"}


def test_equal_values_are_one_answer() -> None:
    dictionary = SoftDictionary(ENTRIES, VECTORS)
    assert len(dictionary) == 3
    assert dictionary["nothing"] == pytest.approx({"eat": 2 / 3, "hit": 1 / 3}, abs=1e-6)


def test_a_word_near_one_key_only_gets_nearly_that_keys_value() -> None:
    assert SoftDictionary(ENTRIES, VECTORS)["hammer"] == pytest.approx({"hit": 1.0, "eat": 0.0}, abs=1e-6)
    assert SoftDictionary(ENTRIES, VECTORS)["orange"]["eat"] > 0.999


def test_the_answer_is_the_softmax_of_the_scores() -> None:
    dictionary = SoftDictionary({"apple": 1, "pear": 2, "hammer": 3}, {w: np.array(v) / 5 for w, v in VECTORS.items()})
    scores = [sum(a * b for a, b in zip(VECTORS["orange"], VECTORS[key], strict=True)) / 25 for key in ENTRIES]
    assert list(dictionary["orange"].values()) == pytest.approx(softmax(scores), abs=1e-6)
    assert list(dictionary["orange"]) == [1, 2, 3]


@pytest.mark.parametrize(
    "embedding",
    [VECTORS, VECTORS.__getitem__, {word: torch.tensor(v, requires_grad=True) for word, v in VECTORS.items()}],
    ids=["mapping", "function", "tensors"],
)
def test_an_embedding_is_a_mapping_or_a_function(embedding: Callable[[str], list[float]]) -> None:
    assert SoftDictionary(ENTRIES, embedding)["orange"] == SoftDictionary(ENTRIES, VECTORS)["orange"]


def test_a_word_without_a_vector_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="lemon"):
        SoftDictionary(ENTRIES, VECTORS)["lemon"]
    with pytest.raises(KeyError, match="lemon"):
        SoftDictionary({"lemon": "eat"}, VECTORS)


def test_entries_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(RegardError, match="no entries; give one or more"):
        SoftDictionary({}, VECTORS)
    other_length = "'kiwi' has 2 numbers, words before it 3; give each word a vector of one length"
    vectors = {**VECTORS, "kiwi": [1.0, 2.0]}
    with pytest.raises(RegardError, match=other_length):
        SoftDictionary({"pear": 1, "kiwi": 2}, vectors)
    with pytest.raises(RegardError, match=other_length):
        SoftDictionary(ENTRIES, vectors)["kiwi"]
