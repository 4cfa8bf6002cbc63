"""One rule, read off a table of cases and compared with the reference's sentence for any places at all."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from regard.model.mask import PADDING, Mask, Places, causal_matrix, may_look

from .reference import Token, sees
from .small import M, N, placed

Place = tuple[int, int, int]
PLACE = st.tuples(st.integers(-1, 1), st.integers(0, 2), st.integers(0, 3))


def rows(n: int, batch: int) -> st.SearchStrategy[list[list[Place]]]:
    return st.lists(st.lists(PLACE, min_size=n, max_size=n), min_size=batch, max_size=batch)


def token(place: Place) -> Token:
    sequence, branch, step = place
    return Token(0, [0], sequence, branch, step)


@pytest.mark.parametrize(
    ("query", "key", "allowed"),
    [
        ((0, 0, 3), (0, 0, 3), True),  # itself
        ((0, 0, 3), (0, 0, 2), True),  # an earlier word
        ((0, 0, 3), (0, 0, 4), False),  # a later word
        ((0, 0, 3), (1, 0, 2), False),  # another document
        ((PADDING, 0, 3), (PADDING, 0, 3), False),  # padding, itself included
        ((0, 0, 3), (PADDING, 0, 0), False),  # padding is seen by nobody
        ((PADDING, 0, 3), (0, 0, 0), False),  # and sees nobody
        ((0, 2, 3), (0, 0, 0), True),  # a caption sees its picture
        ((0, 2, 3), (0, 2, 1), True),  # and its own words
        ((0, 2, 3), (0, 1, 1), False),  # but no other caption
        ((0, 0, 0), (0, 2, 0), False),  # a picture sees no question, even at its own step
    ],
)
def test_the_rule_case_by_case(query: Place, key: Place, allowed: bool) -> None:
    assert may_look(placed([[query]]), placed([[key]])).item() is allowed


@given(query=rows(N, 2), key=rows(M, 2), shared=st.sampled_from(["neither", "query", "key"]))
@settings(max_examples=60, deadline=None)
def test_the_rule_and_its_mask_for_any_places(query: list[list[Place]], key: list[list[Place]], shared: str) -> None:
    query, key = query[:1] if shared == "query" else query, key[:1] if shared == "key" else key
    mask = Mask.between(placed(query), placed(key))
    matrix = mask.matrix().expand(2, N, M)
    for b in range(2):
        for i, place in enumerate(query[b % len(query)]):
            expected = [sees(token(place), token(other)) for other in key[b % len(key)]]
            assert matrix[b, i].tolist() == expected


def kind_of(places: Places) -> str:
    return Mask.between(places, places).kind


def test_the_kind_is_found_by_looking() -> None:
    text = [(0, 0, step) for step in range(N)]
    picture = [(0, 0, 0)] * N
    assert kind_of(placed([text])) == "causal"
    assert kind_of(placed([text, [(4, 0, step + 9) for step in range(N)]])) == "causal"  # only the order counts
    assert kind_of(placed([picture])) == "full"
    assert kind_of(placed([text, picture])) == "mixed"
    assert kind_of(placed([[*text[:-1], (PADDING, 0, 0)]])) == "mixed"
    assert kind_of(placed([picture[:2] + text[1:4]])) == "mixed"
    assert kind_of(placed([[(0, 0, 5 - step) for step in range(N)]])) == "mixed"  # time runs backwards


def test_a_memory_is_seen_by_the_same_rule() -> None:
    words = placed([[(0, 0, 1), (0, 0, 2), (PADDING, 0, 3)], [(7, 1, 1), (7, 2, 2), (7, 0, 3)]])
    memory = placed([[(0, 0, 0), (PADDING, 0, 0)], [(7, 0, 0), (7, 1, 0)]])
    mask = Mask.between(words, memory)
    assert (mask.kind, mask.n, mask.m) == ("mixed", 3, 2)
    assert mask.matrix().tolist() == [
        [[True, False], [True, False], [False, False]],
        [[True, True], [True, False], [True, False]],
    ]
    assert Mask.between(placed([[(0, 0, 1), (0, 0, 2)]]), placed([[(0, 0, 0)] * M])).kind == "full"


MASKS = [
    Mask("causal", N, N),
    Mask("full", N, M),
    Mask("mixed", N, M, torch.ones(2, N, M, dtype=torch.bool).tril()),
    Mask("mixed", N, M, torch.ones(1, N, M, dtype=torch.bool).tril(-2)),
]


@pytest.mark.parametrize("mask", MASKS, ids=lambda mask: mask.kind)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
def test_the_bias_is_minus_infinity_where_nothing_may_be_seen_and_zero_on_blind_rows(
    mask: Mask, dtype: torch.dtype
) -> None:
    bias = mask.bias(torch.zeros(1, dtype=dtype))
    matrix = mask.matrix()
    if bias is None:
        assert bool(matrix.all())
        return
    assert bias.dtype == dtype
    assert bias.shape == (len(matrix), 1, N, mask.m)
    allowed = matrix | ~matrix.any(-1, keepdim=True)
    assert torch.equal(bias[:, 0].isneginf(), ~allowed)
    assert torch.equal(bias[:, 0] == 0, allowed)
    assert mask.bias(torch.zeros(1, dtype=dtype)) is bias  # made once, not once a layer


def test_blind_rows_are_found() -> None:
    assert [mask.blind() is None for mask in MASKS] == [True, True, True, False]
    blind = MASKS[3].blind()
    assert blind is not None
    assert blind.tolist() == [[True, True, False, False, False]]


def test_causal_is_row_i_sees_keys_0_to_i() -> None:
    matrix = causal_matrix(N, torch.device("cpu")).tolist()
    assert matrix == [[j <= i for j in range(N)] for i in range(N)]
    assert Mask("causal", N, N).matrix()[0].tolist() == matrix


@given(first=rows(3, 2), second=rows(4, 2), shared=st.sampled_from(["neither", "first", "second", "both"]))
@settings(max_examples=25, deadline=None)
def test_joined_and_reordered_places_are_those_of_the_joined_and_reordered_rows(
    first: list[list[Place]], second: list[list[Place]], shared: str
) -> None:
    first, second = (
        first[:1] if shared in ("first", "both") else first,
        second[:1] if shared in ("second", "both") else second,
    )
    joined = placed(first).joined(placed(second))
    batch = max(len(first), len(second))
    expected = [first[b % len(first)] + second[b % len(second)] for b in range(batch)]
    assert numbers(joined) == expected
    index = torch.tensor([1, 1, 0]) if batch == 2 else torch.tensor([0, 0, 0])
    reordered = joined.reordered(index)
    assert [numbers(reordered)[b % len(reordered.step)] for b in range(3)] == [expected[i] for i in index.tolist()]


def numbers(places: Places) -> list[list[Place]]:
    stacked: Tensor = torch.stack((places.sequence, places.branch, places.step), dim=-1)
    return [[(s, b, t) for s, b, t in row] for row in stacked.tolist()]


def test_a_mask_is_frozen_and_its_bias_follows_the_matrix() -> None:
    mask = replace(MASKS[2], allowed=torch.ones(1, N, M, dtype=torch.bool).triu())
    bias = mask.bias(torch.zeros(1))
    assert bias is not None
    assert bias[0, 0, 1, 0].item() == -math.inf  # not the bias of the mask that it was made from


@given(first=st.integers(0, 3), lengths=st.lists(st.integers(1, 3), min_size=2, max_size=4), gap=st.integers(0, 1))
@settings(max_examples=60, deadline=None)
def test_what_is_known_of_a_text_without_looking_is_what_looking_finds(
    first: int, lengths: list[int], gap: int
) -> None:
    """A text in parts, the last one perhaps after a gap: places and mask equal those that know nothing beforehand."""
    *before, last = lengths
    known = Places.text(first, before[0], torch.device("cpu"))
    for n in before[1:]:
        known = known.joined(Places.text(first + known.step.shape[1], n, torch.device("cpu")))
    assert known.begin == first
    new = Places.text(first + known.step.shape[1] + gap, last, torch.device("cpu"))
    whole, seen = known.joined(new), replace(known, begin=None).joined(new)
    assert (whole.begin is None) == bool(gap)
    for name in ("sequence", "branch", "step"):
        assert torch.equal(getattr(whole, name), getattr(seen, name))
    for query, key in ((new, whole), (new, known), (known, new)):
        looked = Mask.between(replace(query, begin=None), replace(key, begin=None))
        found = Mask.between(query, key)
        assert (found.kind, found.n, found.m) == (looked.kind, looked.n, looked.m)
        assert torch.equal(found.matrix(), looked.matrix())
