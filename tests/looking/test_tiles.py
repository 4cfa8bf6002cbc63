"""Every tile at every zoom is the block maximum of the whole matrix, NaN where masked; others are refused."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from regard.errors import RegardError
from regard.looking.record import Recording

from . import reference
from .small import GPT2, QWEN3, build, look, text


def whole(recording: Recording, layer: int, head: int) -> np.ndarray:
    cells = recording.weights(layer, head).copy()
    cells[~recording.mask(layer)] = np.nan
    return cells


@pytest.mark.parametrize("n", [1, 2, 63, 65])
def test_a_cell_is_the_largest_of_its_block(n: int) -> None:
    recording = look(build(), text(n))
    cells = whole(recording, 1, 3)
    for z in range((n - 1).bit_length() + 1):
        expected = reference.blocks_largest(cells.tolist(), 2**z)
        np.testing.assert_array_equal(recording.tile(1, 3, z, 0, 0), np.array(expected, np.float32))
        np.testing.assert_array_equal(recording.overview(1, 3, z), np.array(expected, np.float32))


@pytest.fixture(scope="module")
def long() -> Recording:
    """1100 tokens: five tiles a side at zoom 0, and the finest level that is kept is zoom 1."""
    config = replace(GPT2, context=1100, layers=1)
    return look(build(config, sharp=6.0), text(1100))


def test_tiles_cover_the_matrix(long: Recording) -> None:
    cells = whole(long, 0, 1)
    rows = []
    for y in range(5):
        rows.append(np.concatenate([long.tile(0, 1, 0, y, x) for x in range(5)], axis=1))
        assert long.tile(0, 1, 0, y, 4).shape == (76 if y == 4 else 256, 76)
    np.testing.assert_array_equal(np.concatenate(rows), cells)
    for z in (1, 2, 3, 11):
        step = 2**z
        size = math.ceil(1100 / step)
        made = np.concatenate([np.concatenate([long.tile(0, 1, z, y, x) for x in range(math.ceil(size / 256))], axis=1)
                               for y in range(math.ceil(size / 256))])  # fmt: skip
        padded = np.pad(cells, (0, -1100 % step), constant_values=np.nan)
        blocks = padded.reshape(size, step, size, step)
        np.testing.assert_array_equal(made, np.fmax.reduce(blocks, axis=(1, 3)))


@pytest.mark.parametrize("n", [1, 2, 63, 65])
def test_a_mean_is_of_the_cells_of_its_block_that_may_be_seen(n: int) -> None:
    """In plain loops over the weights of another softmax in float64: within the last bit of a float32."""
    recording = look(build(), text(n))
    call = recording.kept.call("self", 1)
    query, key = call.query[3].double().tolist(), call.key[call.group(3)].double().tolist()
    may = [[j <= i for j in range(n)] for i in range(n)]
    cells = reference.weights(query, key, may, call.scale)
    for z in range((n - 1).bit_length() + 1):
        expected = np.array(reference.blocks_mean(cells, may, 2**z))
        np.testing.assert_allclose(recording.tile(1, 3, z, 0, 0, what="mean"), expected, rtol=2e-7)
        np.testing.assert_allclose(recording.overview(1, 3, z, what="mean"), expected, rtol=2e-7)
        assert (np.isnan(expected) == np.isnan(recording.overview(1, 3, z))).all()


def test_means_of_a_long_text_are_those_of_all_its_weights(long: Recording) -> None:
    """At zooms of single tiles, of the finest level that is kept, and of those made from it."""
    call = long.kept.call("self", 0)
    scores = call.query[2].double() @ call.key[2].double().T * call.scale
    cells = scores.masked_fill(~torch.ones(1100, 1100).tril().bool(), -torch.inf).softmax(dim=-1).numpy()
    for z in (0, 1, 2, 5, 11):
        step = 2**z
        size = math.ceil(1100 / step)
        made = np.concatenate([np.concatenate([long.tile(0, 2, z, y, x, what="mean")
                                               for x in range(math.ceil(size / 256))], axis=1)
                               for y in range(math.ceil(size / 256))])  # fmt: skip
        may = np.pad(np.tri(1100), (0, -1100 % step)).reshape(size, step, size, step).sum(axis=(1, 3))
        sums = np.pad(cells, (0, -1100 % step)).reshape(size, step, size, step).sum(axis=(1, 3))
        with np.errstate(invalid="ignore"):
            np.testing.assert_allclose(made, sums / may, rtol=2e-7)


class Largest(TorchDispatchMode):
    """Of all tensors that are made meanwhile, the numbers in the largest."""

    numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for one in tree_leaves(made):
            self.numbers = max(self.numbers, one.numel() if isinstance(one, Tensor) else 0)
        return made


@pytest.mark.parametrize("z", [3, 12])
def test_means_never_take_the_whole_matrix_at_once(z: int) -> None:
    n = 4096
    attention = replace(QWEN3.attention, heads=1, key_value_heads=1, head_width=2)
    config = replace(QWEN3, layers=1, width=4, attention=attention, feed_forward=replace(QWEN3.feed_forward, width=2))
    recording = look(build(config), text(n))
    recording.logsumexp(0, 0)
    with Largest() as largest:
        recording.tile(0, 0, z, 0, 0, what="mean")
    assert 1024 * 1024 <= largest.numbers <= n * n / 8  # the level that is kept, with sums and counts


def test_scores_and_contributions_have_tiles_too(long: Recording) -> None:
    may = long.mask(0, rows=slice(0, 256), cols=slice(0, 256))
    for what in ("scores", "contributions"):
        tile = long.tile(0, 0, 0, 0, 0, what=what)
        cells = getattr(long, what)(0, 0, rows=slice(0, 256), cols=slice(0, 256))
        np.testing.assert_array_equal(tile[may], cells[may])
        assert (np.isnan(tile) == ~may).all()


@pytest.mark.parametrize(
    ("z", "y", "x", "said"), [(12, 0, 0, "zoom 12"), (-1, 0, 0, "zoom -1"), (0, 5, 0, "y = 5"), (1, 0, 3, "x = 3")]
)
def test_a_tile_that_does_not_exist_is_refused(long: Recording, z: int, y: int, x: int, said: str) -> None:
    with pytest.raises(RegardError, match=said):
        long.tile(0, 0, z, y, x)
    with pytest.raises(RegardError, match="'largest' is not drawn"):
        long.tile(0, 0, 0, 0, 0, what="largest")  # type: ignore[arg-type]
    with pytest.raises(RegardError, match="zoom 0 has over 1024 cells"):
        long.overview(0, 0, 0)


def test_8001_tokens_are_refused_at_once_and_seen_in_tiles() -> None:
    attention = replace(QWEN3.attention, heads=1, key_value_heads=1, head_width=2)
    small = replace(QWEN3.feed_forward, width=2)
    config = replace(QWEN3, layers=1, width=4, vocabulary=3, attention=attention, feed_forward=small)
    recording = look(build(config, sharp=5.0), text(8001, vocabulary=3))
    with pytest.raises(RegardError, match=r"8,001 x 8,001 is over 64 million cells at once; .* tile\("):
        recording.weights(0, 0)
    call = recording.kept.call("self", 0)
    for i, j in ((8000, 7999), (5000, 17), (4097, 4096)):
        q, k = call.query[0, i].double(), call.key[0, : i + 1].double()
        expected = float((k @ q * call.scale).softmax(dim=0)[j])
        assert recording.tile(0, 0, 0, i // 256, j // 256)[i % 256, j % 256] == pytest.approx(expected, rel=1e-6)
        assert recording.row(0, 0, i)[j] == pytest.approx(expected, rel=1e-6)
    block = recording.tile(0, 0, 3, 3, 1)[10, 5]
    rows, cols = slice(8 * (3 * 256 + 10), 8 * (3 * 256 + 11)), slice(8 * (256 + 5), 8 * (256 + 6))
    assert block == recording.weights(0, 0, rows=rows, cols=cols).max()
    assert torch.isfinite(torch.from_numpy(recording.logsumexp(0, 0))).all()
