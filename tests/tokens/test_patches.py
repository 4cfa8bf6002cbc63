"""Patches: the lecture's 25 tokens; each pixel in one patch or in the lost border; and back exactly."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from regard.errors import RegardError
from regard.tokens.patches import Grid, cut, join


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    height, width = draw(st.integers(1, 23)), draw(st.integers(1, 23))
    return Grid(height, width, draw(st.integers(1, height)), draw(st.integers(1, width)))


BATCHES = st.lists(st.integers(1, 3), max_size=2).map(tuple)


def distinct(*shape: int) -> np.ndarray:
    """No two numbers are equal, so nothing can be swapped unseen."""
    return np.arange(np.prod(shape)).reshape(shape)


def by_loop(picture: np.ndarray, grid: Grid) -> np.ndarray:
    """(height, width, channels) -> (n, numbers), one number after the other."""
    rows = []
    for top in range(0, grid.height - grid.patch_height + 1, grid.patch_height):
        for left in range(0, grid.width - grid.patch_width + 1, grid.patch_width):
            row = []
            for y in range(top, top + grid.patch_height):
                for x in range(left, left + grid.patch_width):
                    row += list(picture[y, x])
            rows.append(row)
    return np.array(rows)


def test_the_lecture_s_picture_is_25_tokens_of_400_numbers() -> None:
    picture, grid = distinct(100, 100, 1), Grid(100, 100, 20, 20)
    patches = cut(picture, grid)
    assert (grid.n, patches.shape, grid.lost, grid.lost_share) == (25, (25, 400), (0, 0), 0)
    assert (patches[7] == picture[20:40, 40:60, 0].ravel()).all()  # second row, third column
    assert (join(patches, grid, 1) == picture).all()


@given(grids(), BATCHES, st.integers(1, 4))
def test_cutting_is_what_a_plain_loop_does(grid: Grid, batch: tuple[int, ...], channels: int) -> None:
    array = distinct(*batch, grid.height, grid.width, channels)
    patches = cut(array, grid)
    assert patches.shape == (*batch, grid.n, grid.patch_height * grid.patch_width * channels)
    for which in np.ndindex(*batch):
        assert (patches[which] == by_loop(array[which], grid)).all()


@given(grids(), BATCHES, st.integers(1, 4))
def test_joining_gives_back_the_covered_area(grid: Grid, batch: tuple[int, ...], channels: int) -> None:
    array = distinct(*batch, grid.height, grid.width, channels)
    below, right = grid.lost
    covered = array[..., : grid.height - below, : grid.width - right, :]
    joined = join(cut(array, grid), grid, channels)
    assert joined.shape == covered.shape
    assert (joined == covered).all()


@given(grids())
def test_each_pixel_is_in_one_patch_or_in_the_lost_border(grid: Grid) -> None:
    times = np.zeros((grid.height, grid.width), int)
    for top, left, height, width in grid.rectangles():
        assert top + height <= grid.height
        assert left + width <= grid.width
        times[top : top + height, left : left + width] += 1
    below, right = grid.lost
    assert 0 <= below < grid.patch_height
    assert 0 <= right < grid.patch_width
    assert (times[: grid.height - below, : grid.width - right] == 1).all()
    assert times.sum() == (grid.height - below) * (grid.width - right)
    assert grid.lost_share == pytest.approx((times == 0).mean())


@given(grids(), st.integers(1, 3))
def test_a_rectangle_is_where_its_patch_was_cut(grid: Grid, channels: int) -> None:
    array = distinct(grid.height, grid.width, channels)
    patches, rectangles, positions = cut(array, grid), grid.rectangles(), grid.positions()
    assert (len(patches), len(rectangles), len(positions)) == (grid.n,) * 3
    for patch, (top, left, height, width), (row, column) in zip(patches, rectangles, positions, strict=True):
        assert (patch == array[top : top + height, left : left + width].ravel()).all()
        assert (row * grid.patch_height, column * grid.patch_width) == (top, left)
    assert positions.tolist() == sorted(positions.tolist())  # read like a page


@given(grids(), st.integers(1, 3))
def test_a_tensor_is_cut_alike_and_its_gradient_comes_back(grid: Grid, channels: int) -> None:
    array = distinct(2, grid.height, grid.width, channels).astype(np.float32)
    tensor = torch.tensor(array, requires_grad=True)
    patches = cut(tensor, grid)
    assert (patches.detach().numpy() == cut(array, grid)).all()
    joined = join(patches, grid, channels)
    assert (joined.detach().numpy() == join(cut(array, grid), grid, channels)).all()
    joined.sum().backward()
    below, right = grid.lost
    gradient = np.zeros_like(array)
    gradient[:, : grid.height - below, : grid.width - right] = 1  # nothing of the lost border
    assert tensor.grad is not None
    assert (tensor.grad.numpy() == gradient).all()


def test_a_series_is_a_picture_of_height_1() -> None:
    series = distinct(17)
    patches = cut(series[None, :, None], Grid(1, 17, 1, 5))
    assert patches.tolist() == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11, 12, 13, 14]]


def test_what_is_lost_is_said() -> None:
    assert str(Grid(100, 100, 20, 20)) == "5 x 5 patches of 20 x 20"
    said = "3 x 4 patches of 16 x 16; 2 px at the bottom and 6 px at the right are lost (12.2%)"
    assert str(Grid(50, 70, 16, 16)) == said


@pytest.mark.parametrize(
    ("sizes", "sentence"),
    [
        ((16, 32, 20, 20), "patch: a patch of 20 x 20 does not fit into a picture of 16 x 32; give smaller patches"),
        ((32, 16, 20, 20), "patch: a patch of 20 x 20 does not fit into a picture of 32 x 16; give smaller patches"),
        ((32, 32, 0, 4), "patch: patches of 0 x 4 in a picture of 32 x 32; give sizes of 1 or more"),
        ((0, 5, 1, 1), "patch: patches of 1 x 1 in a picture of 0 x 5; give sizes of 1 or more"),
    ],
)
def test_patches_that_cannot_be_are_refused(sizes: tuple[int, int, int, int], sentence: str) -> None:
    with pytest.raises(RegardError) as refused:
        Grid(*sizes)
    assert str(refused.value) == sentence


@pytest.mark.parametrize("shape", [(8, 6, 3), (6, 3), (2, 3, 6, 8)])
def test_an_array_of_another_size_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(RegardError, match=r"\(\.\.\., 6, 8, channels\)"):
        cut(np.zeros(shape), Grid(6, 8, 2, 2))


@pytest.mark.parametrize("shape", [(12, 11), (11, 12), (12,), (3, 4, 12)])
def test_patches_of_another_grid_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(RegardError, match=r"\(\.\.\., 12, 12\)"):
        join(np.zeros(shape), Grid(6, 8, 2, 2), 3)
