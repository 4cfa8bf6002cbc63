"""Segments: the fewest patches that hold most of what a class token looks at, beside plain loops; Jaccard's index."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from regard.looking.kept import Tokens
from regard.looking.record import record
from regard.looking.segments import agreement, class_attention, jaccard, mean_agreement, segments
from regard.model.config import AttentionConfig, FeedForwardConfig, TransformerConfig
from regard.model.sequence import Sequence
from regard.model.transformer import Transformer, initialise
from regard.tokens.patches import Grid

GRID = Grid(9, 14, 4, 3)  # 2 x 4 patches; a row of pixels and two columns are lost


def pictures(batch: int, learned: int) -> Sequence:
    tokens = torch.randn(batch, learned + 8, 12, generator=torch.Generator().manual_seed(1))
    places = torch.cat((torch.zeros(learned, 2, dtype=torch.long), torch.from_numpy(GRID.positions())))
    return Sequence.whole(tokens, places[None])


@pytest.mark.parametrize("learned", [1, 3])
@pytest.mark.parametrize("layer", [None, 0])
def test_the_class_tokens_row_is_that_of_a_recording(learned: int, layer: int | None) -> None:
    model = Transformer(TransformerConfig(
        vocabulary=5, context=11, width=12, layers=2, feed_forward=FeedForwardConfig(width=16), features=12,
        attention=AttentionConfig(heads=3, key_value_heads=1, head_width=4), learned=learned,
    )).eval()  # fmt: skip
    initialise(model, 0)
    batch = pictures(3, learned)
    found = class_attention(model, batch, layer)
    assert found.shape == (3, 3, 8)
    n = learned + 8
    names = Tokens(tuple(range(n)), (b"",) * n, ("",) * n, ((0, 0),) * n, ("patch",) * n)
    for k in range(3):
        alone = record(model, Sequence.whole(batch.tokens[k : k + 1], batch.position), names)
        for head in range(3):
            row = alone.row(1 if layer is None else layer, head, 0)
            np.testing.assert_allclose(found[k, head].numpy(), row[learned:], atol=1e-6)


@given(seed=st.integers(0, 1000), mass=st.floats(0.05, 0.95))
def test_a_segment_is_the_fewest_patches_that_hold_the_mass(seed: int, mass: float) -> None:
    weights = torch.rand(2, 3, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    found = segments(weights, GRID, mass)
    assert found.shape == (2, 3, 9, 14)
    for picture in range(2):
        for head in range(3):
            row, kept = weights[picture, head].tolist(), set()
            for patch in sorted(range(8), key=lambda k: -row[k]):
                if sum(row[k] for k in kept) >= mass * sum(row):
                    break
                kept.add(patch)
            expected = np.zeros((9, 14), bool)
            for top, left, height, width in GRID.rectangles()[sorted(kept)]:
                expected[top : top + height, left : left + width] = True
            assert np.array_equal(found[picture, head], expected)


def test_an_even_look_and_a_sharp_one() -> None:
    even, sharp = torch.full((1, 1, 8), 0.1), torch.eye(8)[5].view(1, 1, 8)
    assert segments(even, GRID).sum() == 5 * 12  # 60 % of eight patches are five
    assert segments(sharp, GRID)[0, 0].nonzero()[0].tolist() == [4] * 3 + [5] * 3 + [6] * 3 + [7] * 3
    assert segments(sharp, GRID).sum() == 12


def test_jaccard_counts_pixels() -> None:
    one, other = np.zeros((4, 5), bool), np.zeros((4, 5), bool)
    one[:2], other[1:3] = True, True
    assert jaccard(one, other) == pytest.approx(5 / 15)
    assert jaccard(one, one) == 1
    assert jaccard(one, ~one) == 0
    assert jaccard(one & other & ~one, np.zeros((4, 5), bool)) == 1


def test_the_best_head_is_chosen_for_each_object_and_for_all_together() -> None:
    objects = np.zeros((2, 6, 6), bool)
    objects[0, :2, :2], objects[1, 4:, 4:] = True, True
    heads = np.stack([objects[0], objects[1] | objects[0], np.ones((6, 6), bool)])
    assert agreement(heads, objects) == {"union": 1.0, "object": pytest.approx((1 + 0.5) / 2), "best": 1.0}
    assert agreement(heads[2:], objects) == {
        "union": pytest.approx(8 / 36), "object": pytest.approx(4 / 36), "best": pytest.approx(4 / 36)}  # fmt: skip
    assert mean_agreement([{"union": 0.5}, {"union": 1.0}]) == {"union": 0.75}
