"""Names of tensors: theirs beside ours, read in both directions."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from regard.model.config import TransformerConfig
from regard.model.transformer import Transformer


@dataclass(frozen=True)
class Layout:
    """How a tensor lies in their file, and how ours is made of that."""

    shape: tuple[int, ...]
    """In their file."""
    order: tuple[int, ...]
    """Their axes in the order of ours, in which neighbours are then one."""


@dataclass(frozen=True)
class Row:
    """One line of a family's table; {} is the layer, counted from 0."""

    theirs: str
    ours: str | tuple[str, ...]
    """Several: theirs holds them one below the other."""
    turned: bool = False
    """Theirs is (inputs, outputs), as GPT-2's Conv1D keeps it; ours is (outputs, inputs)."""
    layout: Layout | None = None
    """Where theirs has more axes."""

    def laid_out(self, shape: tuple[int, ...]) -> Layout:
        """Of our shape, theirs."""
        if self.layout is not None:
            return self.layout
        axes = tuple(range(len(shape)))
        return Layout(shape[::-1], axes[::-1]) if self.turned else Layout(shape, axes)


@dataclass(frozen=True)
class Place:
    """One tensor of their file, and what it is here."""

    theirs: str
    layout: Layout
    ours: tuple[str, ...]
    inside: tuple[int, ...]
    """The shape here, of several one below the other."""

    @property
    def shape(self) -> tuple[int, ...]:
        """In their file."""
        return self.layout.shape

    def read(self, tensor: Tensor) -> dict[str, Tensor]:
        """Theirs, of the shape above -> ours."""
        parts = tensor.permute(self.layout.order).reshape(self.inside).contiguous().chunk(len(self.ours))
        return dict(zip(self.ours, parts, strict=True))

    def write(self, state: Mapping[str, Tensor]) -> Tensor:
        """The inverse, from our tensors by name."""
        joined = torch.cat([state[name] for name in self.ours]) if len(self.ours) > 1 else state[self.ours[0]]
        apart = joined.reshape([self.shape[axis] for axis in self.layout.order])
        return apart.permute(*np.argsort(self.layout.order).tolist()).contiguous()


def several(names: str | tuple[str, ...]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else names


def expected(rows: tuple[Row, ...], config: TransformerConfig) -> Iterator[Place]:
    """Every tensor that a model of this config has, under the rows' names. No memory is taken for the tensors."""
    with torch.device("meta"):  # shapes only, and of one layer, for all are alike
        one_layer = Transformer(replace(config, layers=1)).state_dict()
    for row in rows:
        shapes = [
            one_layer[name].shape
            for name in (name.replace("{}", "0") for name in several(row.ours))
            if name in one_layer
        ]
        if not shapes:  # a bias that this config does not have, or a tied head
            continue
        shape = (sum(one[0] for one in shapes), *shapes[0][1:])
        for layer in range(config.layers if "{}" in row.theirs else 1):
            ours = tuple(name.replace("{}", str(layer)) for name in several(row.ours))
            yield Place(row.theirs.replace("{}", str(layer)), row.laid_out(shape), ours, shape)
