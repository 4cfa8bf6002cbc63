"""Names of tensors: theirs beside ours, read in both directions."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from regard.model.config import TransformerConfig
from regard.model.transformer import Transformer


@dataclass(frozen=True)
class Row:
    """One line of a family's table; {} is the layer, counted from 0."""

    theirs: str
    ours: str | tuple[str, ...]
    """Several: theirs holds them one below the other."""
    turned: bool = False
    """Theirs is (inputs, outputs), as GPT-2's Conv1D keeps it; ours is (outputs, inputs)."""


@dataclass(frozen=True)
class Place:
    """One tensor of their file, and what it is here."""

    theirs: str
    shape: tuple[int, ...]
    """In their file."""
    ours: tuple[str, ...]
    turned: bool

    def read(self, tensor: Tensor) -> dict[str, Tensor]:
        """Theirs, of the shape above -> ours."""
        parts = (tensor.T if self.turned else tensor).contiguous().chunk(len(self.ours))
        return dict(zip(self.ours, parts, strict=True))

    def write(self, state: Mapping[str, Tensor]) -> Tensor:
        """The inverse, from our tensors by name."""
        joined = torch.cat([state[name] for name in self.ours]) if len(self.ours) > 1 else state[self.ours[0]]
        return joined.T.contiguous() if self.turned else joined


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
            yield Place(row.theirs.replace("{}", str(layer)), shape[::-1] if row.turned else shape, ours, row.turned)
