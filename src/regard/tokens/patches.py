"""Any array in patches and back: pictures, spectrograms and series become rows of tokens, without loss.

Shapes: batch..., any leading axes or none; height; width; channels; rows and columns of the grid; n = rows * columns
patches, read like a page. A patch's numbers are ordered by row, column, channel. A grey picture has 1 channel; a series
of numbers is a picture of height 1, with a patch height of 1.
"""

from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from regard.errors import RegardError


class Array(Protocol):
    """What cutting needs of an array; numpy's have it, and torch's tensors, through which gradients then flow."""

    @property
    def shape(self) -> Any: ...
    def reshape(self, *shape: Any) -> Any: ...
    def swapaxes(self, axis0: int, axis1: int, /) -> Any: ...
    def __getitem__(self, key: Any, /) -> Any: ...


AnyArray = TypeVar("AnyArray", bound=Array)


@dataclass(frozen=True)
class Grid:
    """Where the patches of a picture lie: from its upper left corner on, each pixel in one patch or in the lost border.

    Raises RegardError if a size is no positive number, or if not one patch fits.

    >>> grid = Grid(100, 100, 20, 20)
    >>> grid.n, str(grid)
    (25, '5 x 5 patches of 20 x 20')
    """

    height: int
    """Pixels of the picture, downwards."""
    width: int
    """Pixels of the picture, to the right."""
    patch_height: int
    """Pixels of one patch, downwards."""
    patch_width: int
    """Pixels of one patch, to the right."""

    def __post_init__(self) -> None:
        picture, patch = f"{self.height} x {self.width}", f"{self.patch_height} x {self.patch_width}"
        if min(self.height, self.width, self.patch_height, self.patch_width) < 1:
            raise RegardError("patch", f"patches of {patch} in a picture of {picture}", "give sizes of 1 or more")
        if self.patch_height > self.height or self.patch_width > self.width:
            what = f"a patch of {patch} does not fit into a picture of {picture}"
            raise RegardError("patch", what, "give smaller patches")

    @property
    def rows(self) -> int:
        """Patches that lie above each other."""
        return self.height // self.patch_height

    @property
    def columns(self) -> int:
        """Patches that lie side by side."""
        return self.width // self.patch_width

    @property
    def n(self) -> int:
        """Patches, so tokens, of one picture."""
        return self.rows * self.columns

    @property
    def covered(self) -> tuple[int, int]:
        """Height and width, in pixels, of what lies in patches."""
        return self.rows * self.patch_height, self.columns * self.patch_width

    @property
    def lost(self) -> tuple[int, int]:
        """Pixel rows at the bottom and pixel columns at the right that lie in no patch."""
        height, width = self.covered
        return self.height - height, self.width - width

    @property
    def lost_share(self) -> float:
        """Which part of the picture's pixels lies in no patch, from 0 to 1."""
        height, width = self.covered
        return 1 - height * width / (self.height * self.width)

    def rectangles(self) -> npt.NDArray[np.int64]:
        """(n, 4) top, left, height and width of each patch, in pixels."""
        corners = self.positions() * [self.patch_height, self.patch_width]
        sizes = np.broadcast_to([self.patch_height, self.patch_width], corners.shape)
        return np.concatenate([corners, sizes], axis=1)

    def positions(self) -> npt.NDArray[np.int64]:
        """(n, 2) row and column of each patch, counted in patches from 0."""
        return np.stack(np.divmod(np.arange(self.n), self.columns), axis=1)

    def __str__(self) -> str:
        """What is cut, and what is lost by it."""
        said = f"{self.rows} x {self.columns} patches of {self.patch_height} x {self.patch_width}"
        below, right = self.lost
        if not below and not right:
            return said
        return f"{said}; {below} px at the bottom and {right} px at the right are lost ({self.lost_share:.1%})"


def cut(array: AnyArray, grid: Grid) -> AnyArray:
    """(batch..., height, width, channels) -> (batch..., n, patch_height * patch_width * channels).

    Raises RegardError if the array is not of the grid's height and width.
    Source: Dosovitskiy et al. 2021, section 3.1.
    """
    shape = tuple(array.shape)
    if len(shape) < 3 or shape[-3:-1] != (grid.height, grid.width):
        _refuse(shape, f"(..., {grid.height}, {grid.width}, channels)")
    *batch, _, _, channels = shape
    height, width = grid.covered
    tiles = array[..., :height, :width, :].reshape(
        *batch, grid.rows, grid.patch_height, grid.columns, grid.patch_width, channels
    )
    # (batch..., rows, columns, patch_height, patch_width, channels)
    patches: AnyArray = tiles.swapaxes(-4, -3).reshape(*batch, grid.n, grid.patch_height * grid.patch_width * channels)
    return patches


def join(patches: AnyArray, grid: Grid, channels: int) -> AnyArray:
    """(batch..., n, patch_height * patch_width * channels) -> (batch..., covered height, covered width, channels).

    What `cut` took apart, without the lost border. Raises RegardError if the patches are not the grid's.
    """
    shape = tuple(patches.shape)
    if len(shape) < 2 or shape[-2:] != (grid.n, grid.patch_height * grid.patch_width * channels):
        _refuse(shape, f"(..., {grid.n}, {grid.patch_height * grid.patch_width * channels})")
    *batch, _, _ = shape
    tiles = patches.reshape(*batch, grid.rows, grid.columns, grid.patch_height, grid.patch_width, channels)
    # (batch..., rows, patch_height, columns, patch_width, channels)
    array: AnyArray = tiles.swapaxes(-4, -3).reshape(*batch, *grid.covered, channels)
    return array


def _refuse(shape: tuple[int, ...], wanted: str) -> None:
    found = f"({', '.join(str(length) for length in shape)})"
    raise RegardError("array", f"its shape is {found}, not {wanted}", "make the grid of this array's own size")
