"""Every tile at every zoom is the block maximum of the whole matrix, NaN where masked; others are refused."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

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


def test_means_are_of_the_cells_that_may_be_seen(long: Recording) -> None:
    cells = whole(long, 0, 2)
    np.testing.assert_allclose(long.tile(0, 2, 2, 0, 0, what="mean")[3, 3], np.nanmean(cells[12:16, 12:16]), rtol=1e-6)
    np.testing.assert_allclose(
        long.tile(0, 2, 11, 0, 0, what="mean"), [[np.nanmean(cells, dtype=np.float64)]], rtol=1e-6
    )
    assert math.isnan(long.tile(0, 2, 2, 0, 0, what="mean")[0, 1])


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
