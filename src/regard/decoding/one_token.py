"""One token through Qwen3's block, in as few operations as torch allows: each costs more than its arithmetic here.

Norms' weights lie in the matrices that follow them; queries and keys are normed and turned together.
Shapes: width; hidden; heads of queries, groups of keys and values; d numbers in a head.
"""

from functools import cached_property
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.decoding.rows import Pace, Rows
from regard.model.attention import fused
from regard.model.block import Block, RMSNorm, pre_norm
from regard.model.cache import Cache
from regard.model.mask import Mask
from regard.model.position import Rotation


class OneToken(nn.Module):
    """As the block it was made of; whatever is not one new token after others goes through `usual`."""

    def __init__(self, block: Block, usual: nn.Module, pace: Pace) -> None:
        super().__init__()
        self.usual, self.pace = usual, pace
        self._block = [block]  # in a list, so that its parts are not parts of this one
        self.epsilon = cast(RMSNorm, block.attention_norm).epsilon
        config = block.attention.config
        self.heads, self.groups, self.d = config.heads, config.key_value_heads, config.head_width

    @staticmethod
    def fits(block: Block) -> bool:
        """RMS norms before the parts, on queries and keys, too; a gated network; no biases."""
        a, f = block.attention, block.feed_forward
        norms = (block.attention_norm, block.feed_forward_norm, a.query_norm, a.key_norm)
        plain = all(x is None or x.bias is None for x in (a.query, a.key, a.value, a.output, f.gate, f.up, f.down))
        gated = f.gate is not None and f.activation is F.silu
        return plain and gated and block.residual is pre_norm and all(isinstance(norm, RMSNorm) for norm in norms)

    @cached_property
    def matrices(self) -> tuple[Rows, Rows, Rows, Rows]:
        """Queries, keys and values; output; gate and up; down. Made when the first token comes."""
        (block,) = self._block
        a, f = block.attention, block.feed_forward
        assert f.gate is not None
        before, between = cast(RMSNorm, block.attention_norm), cast(RMSNorm, block.feed_forward_norm)
        joint = torch.cat((a.query.weight, a.key.weight, a.value.weight)) * before.weight
        wide = torch.cat((f.gate.weight, f.up.weight)) * between.weight
        weights = (joint, a.output.weight, wide, f.down.weight)
        one, two, three, four = (Rows(matrix.detach(), None, self.pace) for matrix in weights)
        return one, two, three, four

    @cached_property
    def head_norms(self) -> Tensor:
        """The norms' weights of each query and key head, (heads + groups, d)."""
        a = self._block[0].attention
        query, key = cast(RMSNorm, a.query_norm).weight, cast(RMSNorm, a.key_norm).weight
        return torch.cat((query.expand(self.heads, -1), key.expand(self.groups, -1)))

    def forward(
        self, x: Tensor, mask: Mask, rotation: Rotation | None, memory: Tensor | None, memory_mask: Mask | None,
        cache: Cache | None, record: Any, layer: int,
    ) -> Tensor:  # fmt: skip
        """x (1, 1, width) -> the same, its key and value kept in the cache."""
        if x.numel() > x.shape[-1] or cache is None or rotation is None or memory is not None or record is not None:
            out: Tensor = self.usual(x, mask, rotation, memory, memory_mask, cache, record, layer)
            return out
        joint, output, wide, down = self.matrices
        h, g, d = self.heads, self.groups, self.d
        made = joint(self.sized(x)).view(h + 2 * g, d)
        query, key = torch.split(self.turned(made[: h + g], rotation).view(1, h + g, 1, d), [h, g], dim=1)
        key, value = cache.append(layer, key, made[h + g :].view(1, g, 1, d))
        x = x + output(fused(query, key, value, mask, self._block[0].attention.score).out.view(1, 1, h * d))
        gate, up = wide(self.sized(x)).chunk(2, dim=-1)
        return x + down(F.silu(gate).mul_(up))

    def sized(self, x: Tensor) -> Tensor:
        """x / sqrt(mean(x^2) + epsilon), without the norm's weight."""
        flat = x.view(-1)
        mean = float(torch.dot(flat, flat)) / flat.numel()
        return x * float((mean + self.epsilon) ** -0.5)

    def turned(self, x: Tensor, rotation: Rotation) -> Tensor:
        """Queries and keys (heads + groups, d), normed and rotated."""
        size = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        scale = size.square_().mul_(1 / self.d).add_(self.epsilon).rsqrt_()
        normed = x * (self.head_norms * scale)
        cos, sin = rotation.cos.view(-1), rotation.signed_sin.view(-1)
        return torch.addcmul(normed * cos, normed.roll(self.d // 2, -1), sin)
