"""Keys and values kept while generating, so that each new token is computed once.

Shapes: batch; heads of keys and values; m kept positions; head_width.
"""

import torch
from torch import Tensor

from regard.model.mask import Mask, Places
from regard.model.sequence import Sequence


class Cache:
    """Grows as tokens come. Buffers are made anew twice as long as needed, so that appending mostly copies one row."""

    def __init__(self) -> None:
        self.length = 0
        """Positions kept so far."""
        self._keys: list[Tensor] = []
        self._values: list[Tensor] = []
        self._places: Places | None = None

    def mask(self, new: Sequence) -> Mask:
        """Who of the new tokens may look at which kept or new one; called before the blocks."""
        return new.mask if self._places is None else Mask.between(new.places, self._places.joined(new.places))

    def append(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """key, value (batch, heads, n, head_width) of the new tokens -> all kept, (batch, heads, m, head_width)."""
        start, end = self.length, self.length + key.shape[2]
        for buffers, new in ((self._keys, key), (self._values, value)):
            if layer == len(buffers):
                buffers.append(_room_for(end, new))
            elif buffers[layer].shape[2] < end:
                grown = _room_for(end, new)
                grown[:, :, :start] = buffers[layer][:, :, :start]
                buffers[layer] = grown
            buffers[layer][:, :, start:end] = new
        return self._keys[layer][:, :, :end], self._values[layer][:, :, :end]

    def advance(self, new: Sequence) -> None:
        """The pass is over: its tokens are kept. A pass that fails half-way leaves the cache as it was."""
        self._places = new.places if self._places is None else self._places.joined(new.places)
        self.length += new.n

    def reorder(self, index: Tensor) -> None:
        """Example i becomes a copy of example index[i] (beam search, several samples of one prompt): index (batch,)."""
        self._keys = [x[index] for x in self._keys]
        self._values = [x[index] for x in self._values]
        if self._places is not None:
            self._places = self._places.reordered(index)


def _room_for(length: int, like: Tensor) -> Tensor:
    batch, heads, _, head_width = like.shape
    return torch.empty(batch, heads, max(2 * length, 64), head_width, dtype=like.dtype, device=like.device)
