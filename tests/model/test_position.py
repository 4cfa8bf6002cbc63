"""Rotations are complex multiplications that only differences of positions survive; sines and tables are added."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from regard.errors import RegardError
from regard.model.position import Learned, Rotary, Sinusoidal, sinusoids

from .reference import rotate, sinusoid
from .small import BATCH, HEADS, WIDTH, N, normal

HEAD_WIDTH = 14  # seven pairs: no multiple of two or three axes
THETA = 10_000.0


def turned(x: Tensor, positions: list[list[int]], theta: float = THETA) -> Tensor:
    rotation = Rotary(x.shape[-1], theta).rotation(torch.tensor(positions)[None])
    out: Tensor = rotation(x)
    return out


@given(
    positions=st.integers(1, 3).flatmap(
        lambda axes: st.lists(st.lists(st.integers(0, 60), min_size=axes, max_size=axes), min_size=N, max_size=N)
    ),
    theta=st.sampled_from([100.0, THETA, 1e6]),
)
@settings(max_examples=25, deadline=None)
def test_a_rotation_is_the_textbooks_complex_multiplication(positions: list[list[int]], theta: float) -> None:
    x = normal(BATCH, HEADS, N, HEAD_WIDTH)
    out = turned(x, positions, theta)
    for index in np.ndindex(BATCH, HEADS, N):
        expected = rotate(x[index].double().numpy(), positions[index[2]], theta)
        np.testing.assert_allclose(out[index], expected, atol=2e-5)
    torch.testing.assert_close(out.norm(dim=-1), x.norm(dim=-1))


def scores(query: Tensor, key: Tensor, positions: list[list[int]]) -> Tensor:
    return turned(query, positions) @ turned(key, positions).transpose(-2, -1)


@given(
    positions=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=N, max_size=N),
    shift=st.tuples(st.integers(0, 50), st.integers(0, 50)),
)
@settings(max_examples=25, deadline=None)
def test_scores_see_only_differences_of_positions_on_each_axis(
    positions: list[tuple[int, int]], shift: tuple[int, int]
) -> None:
    query, key = normal(1, HEADS, N, HEAD_WIDTH), normal(1, HEADS, N, HEAD_WIDTH, seed=1)
    before = scores(query, key, [list(place) for place in positions])
    after = scores(query, key, [[row + shift[0], column + shift[1]] for row, column in positions])
    torch.testing.assert_close(before, after, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("axis", [0, 1])
def test_moving_one_token_along_any_axis_changes_its_scores(axis: int) -> None:
    query, key = normal(1, HEADS, N, HEAD_WIDTH), normal(1, HEADS, N, HEAD_WIDTH, seed=1)
    here = [[i, 2 * i] for i in range(N)]
    there = [list(place) for place in here]
    there[3][axis] += 1
    changed = (scores(query, key, here) - scores(query, key, there)).abs() > 1e-3
    others = [i for i in range(N) if i != 3]
    assert bool(changed[:, :, 3, others].all())
    assert not bool(changed[:, :, others][..., others].any())


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_each_pair_belongs_to_one_axis_and_the_axes_share_them_in_turn(axes: int) -> None:
    x = torch.ones(1, 1, 1, HEAD_WIDTH)
    moved = []
    for axis in range(axes):
        position = [[0] * axes]
        position[0][axis] = 1
        out = turned(x, position, theta=10.0)[0, 0, 0]
        changed = (out - 1).abs() > 1e-3
        assert torch.equal(changed[: HEAD_WIDTH // 2], changed[HEAD_WIDTH // 2 :])  # both numbers of a pair
        moved.append({i for i in range(HEAD_WIDTH // 2) if changed[i]})
    assert moved == [set(range(axis, HEAD_WIDTH // 2, axes)) for axis in range(axes)]


def test_one_number_on_every_axis_is_the_rotation_of_text() -> None:
    x = normal(1, HEADS, N, HEAD_WIDTH)
    assert torch.equal(turned(x, [[i] for i in range(N)]), turned(x, [[i, i] for i in range(N)]))


def test_the_rotation_keeps_the_type_of_what_it_turns() -> None:
    x = normal(1, HEADS, N, HEAD_WIDTH)
    places = [[1000 + i] for i in range(N)]
    rounded = turned(x.bfloat16(), places)
    assert rounded.dtype == torch.bfloat16
    # the angles are float32: only x and the result were rounded
    torch.testing.assert_close(rounded.float(), turned(x.bfloat16().float(), places), atol=0, rtol=2**-8)


def test_each_example_may_have_its_own_positions() -> None:
    x = normal(2, HEADS, N, HEAD_WIDTH)
    places = [[[i] for i in range(N)], [[7 - i] for i in range(N)]]
    both = Rotary(HEAD_WIDTH, THETA).rotation(torch.tensor(places))(x)
    for b in range(2):
        assert torch.equal(both[b : b + 1], turned(x[b : b + 1], places[b]))


def test_sines_and_cosines_are_the_papers() -> None:
    position = torch.tensor([[0, 1, 7, 500]])
    out = sinusoids(position, 12)
    assert out.dtype == torch.float32
    for i, number in enumerate(position[0].tolist()):
        np.testing.assert_allclose(out[0, i], sinusoid(number, 12, THETA), atol=1e-4)
    assert bool((out.abs() <= 1).all())


def test_sines_are_added_in_the_type_of_the_vectors() -> None:
    x, position = normal(BATCH, N, 12), torch.arange(N)[None, :, None]
    out = Sinusoidal(12, THETA).embed(x, position)
    torch.testing.assert_close(out - x, sinusoids(position[..., 0], 12).expand(BATCH, N, 12))
    assert Sinusoidal(12, THETA).embed(x.bfloat16(), position).dtype == torch.bfloat16


def test_a_learned_position_adds_its_row() -> None:
    learned = Learned(N + 2, WIDTH)
    x, position = normal(BATCH, N, WIDTH), torch.tensor([4, 0, 6, 6, 1])[None, :, None]
    torch.testing.assert_close(learned.embed(x, position) - x, learned.table.weight[position[0, :, 0]].expand_as(x))


def test_a_position_that_was_not_learned_is_refused() -> None:
    learned = Learned(N, WIDTH)
    with pytest.raises(RegardError, match="context: position 5 is past the 5 that were learned; give a shorter input"):
        learned.embed(normal(1, N, WIDTH), torch.arange(1, N + 1)[None, :, None])


@pytest.mark.parametrize("kind", [Learned(N, 12), Sinusoidal(12, THETA)], ids=["learned", "sinusoidal"])
def test_a_second_axis_is_refused_where_it_would_be_lost(kind: Learned | Sinusoidal) -> None:
    with pytest.raises(RegardError, match=r"position: 2 axes, .* choose rotary positions"):
        kind.embed(normal(1, N, 12), torch.zeros(1, N, 2, dtype=torch.long))


def test_what_comes_in_pairs_needs_an_even_width() -> None:
    with pytest.raises(RegardError, match="head_width: 7 is odd and rotary turns pairs; choose an even head_width"):
        Rotary(7, THETA)
    with pytest.raises(RegardError, match="width: 7 is odd and sines come with cosines; choose an even width"):
        sinusoids(torch.arange(3), 7)
