"""Which weights a model holds: their SHA-256, and whether they have changed since a moment."""

import hashlib
import json
from typing import cast

import torch
from torch import Tensor

from regard.errors import RegardError
from regard.model.block import Attention, Block
from regard.model.transformer import Transformer


def model_hash(model: Transformer) -> str:
    """SHA-256 over each parameter's name, type, shape and bytes, in the order of names; 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        digest.update(raw_bytes(tensor))
    return digest.hexdigest()


def raw_bytes(x: Tensor) -> memoryview:
    """The numbers of a tensor as they lie in memory, row by row."""
    flat = x.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data


class Witness:
    """The weights at the moment it is made, for nothing: torch counts the changes of each tensor.

    So a model of gigabytes is hashed when its hash is first asked for, not while someone waits for a recording.
    """

    def __init__(self, model: Transformer) -> None:
        self.model = model
        self._then = self._now()
        self._hash: str | None = None

    def _now(self) -> tuple[tuple[str, int, int], ...]:
        return tuple((name, x.data_ptr(), x._version) for name, x in self.model.state_dict(keep_vars=True).items())

    def hash(self) -> str:
        """The hash of the weights as they were. Raises RegardError if they were changed before it was first asked."""
        if self._hash is None:
            if self._now() != self._then:
                raise RegardError("recording", "the model's weights were changed after it was made", "record again", 1)
            self._hash = model_hash(self.model)
        return self._hash

    def unchanged(self) -> bool:
        return self._now() == self._then


def block_of(model: Transformer, layer: int) -> Block:
    return cast(Block, model.blocks[layer])


def attention_of(model: Transformer, site: str, layer: int) -> Attention:
    """The weights of one layer's attention to itself ("self") or to the memory ("cross")."""
    block = block_of(model, layer)
    attention = block.attention if site == "self" else block.memory_attention
    assert attention is not None
    return attention
