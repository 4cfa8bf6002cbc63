"""A block: attention, then a fully connected network, each added to the residual stream.

Shapes: batch; n tokens; m keys; width of the residual stream; inner = heads * head_width.
"""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.model.attention import Path, ScaledDot, Score, fused
from regard.model.cache import Cache
from regard.model.config import Activation, AttentionConfig, FeedForwardConfig, NormConfig
from regard.model.kernels import rms_norm, swiglu
from regard.model.mask import Mask
from regard.model.position import Rotation


class Recorder(Protocol):
    """What a forward pass tells when it is looked at; it changes nothing (design: one recorder call)."""

    def __call__(
        self, site: str, layer: int, query: Tensor, key: Tensor, value: Tensor, mask: Mask, score: Score, out: Tensor,
        kernel: str, logsumexp: Tensor | None,
    ) -> None: ...  # fmt: skip

    def stream(self, layer: int, place: str, x: Tensor) -> None:
        """The residual stream (batch, n, width) at "in" of a layer, after its "attention" or its "memory".

        Layer number `layers`, one past the last block, has "in" only: what leaves the last block.
        """


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + epsilon) * weight (Zhang and Sennrich 2019); statistics in float32."""

    def __init__(self, width: int, epsilon: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        return rms_norm(x, self.weight, self.epsilon)


class LayerNorm(nn.LayerNorm):
    """(x - mean) / sqrt(variance + epsilon) * weight + bias (Ba et al. 2016); statistics in float32."""

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.weight.float(), self.bias.float()
        return F.layer_norm(x.float(), self.normalized_shape, weight, bias, self.eps).to(x.dtype)


class Dropout(nn.Module):
    """While training, a number is 0 with probability p, else 1 / (1 - p) times itself (Srivastava et al. 2014).

    One byte of chance a number, so p is rounded to 256ths: torch's own draws cost a tenth of a small model's step.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.p, self.zeros = share, round(share * 256)

    def forward(self, x: Tensor) -> Tensor:
        factor = self.factor(x)
        return x if factor is None else x * factor

    def factor(self, x: Tensor) -> Tensor | None:
        """What x is multiplied with, drawn anew: of its shape and type; None where nothing is dropped."""
        if not self.training or self.zeros == 0:
            return None
        chance = torch.empty(-(-x.numel() // 8), dtype=torch.int64, device=x.device).random_(-(2**63), None)
        kept = chance.view(torch.uint8)[: x.numel()].view(x.shape) >= self.zeros
        return kept.to(x.dtype).mul_(256 / (256 - self.zeros))


def build_norm(config: NormConfig, width: int) -> nn.Module:
    return RMSNorm(width, config.epsilon) if config.kind == "rms" else LayerNorm(width, eps=config.epsilon)


class Attention(nn.Module):
    """Many heads: each token's query meets the keys; the values taken are mixed by one more matrix.

    The path (plain, unfused, fused) is handed in as a value and used while training; otherwise the fused one runs.
    Query, key and value are one product while training; otherwise one by one, or by the `join` that is handed in.
    """

    def __init__(self, width: int, config: AttentionConfig, epsilon: float) -> None:
        super().__init__()
        inner, shared = config.heads * config.head_width, config.key_value_heads * config.head_width
        self.config = config
        self.query = nn.Linear(width, inner, bias=config.bias)
        self.key = nn.Linear(width, shared, bias=config.bias)
        self.value = nn.Linear(width, shared, bias=config.bias)
        self.output = nn.Linear(inner, width, bias=config.output_bias)
        norm = config.query_key_norm
        self.query_norm = RMSNorm(config.head_width, epsilon) if norm else nn.Identity()
        self.key_norm = RMSNorm(config.head_width, epsilon) if norm else nn.Identity()
        self.sizes, self.score = [inner, shared, shared], ScaledDot()
        self.training_path: Path = fused
        self.join: Join | None = None

    def heads(self, x: Tensor) -> Tensor:
        """(batch, n, heads * head_width) -> (batch, heads, n, head_width)."""
        return x.unflatten(-1, (-1, self.config.head_width)).transpose(1, 2)  # type: ignore[no-any-return, no-untyped-call]

    def forward(
        self, x: Tensor, memory: Tensor | None, mask: Mask, rotation: Rotation | None,
        cache: Cache | None, record: Recorder | None, site: str, layer: int,
    ) -> Tensor:  # fmt: skip
        """x (batch, n, width) looks at itself, or at memory (batch, m, width) -> (batch, n, width)."""
        source = x if memory is None else memory
        join = joined if self.training else self.join
        if memory is None and join is not None:
            parts = torch.split(join(x, self.query, self.key, self.value), self.sizes, dim=-1)
            query, key, value = (self.heads(part) for part in parts)
        else:
            query, key, value = self.heads(self.query(x)), self.heads(self.key(source)), self.heads(self.value(source))
        query, key = self.query_norm(query), self.key_norm(key)
        if rotation is not None:
            query, key = rotation(query), rotation(key)
        if cache is not None:
            key, value = cache.append(layer, key, value)
        path = self.training_path if self.training else fused
        out, logsumexp, kernel = path(query, key, value, mask, self.score)  # (batch, heads, n, head_width)
        if record is not None:
            record(site, layer, query, key, value, mask, self.score, out, kernel, logsumexp)
        mixed: Tensor = self.output(out.transpose(1, 2).flatten(-2))
        return mixed


Join = Callable[..., Tensor]
"""Several projections of the same tokens, side by side: (x, *linears) -> (batch, n, all their outputs)."""


def joined(x: Tensor, *linears: nn.Linear) -> Tensor:
    """As one product: worth it where the tokens are many."""
    return F.linear(x, *side_by_side(*linears))


def side_by_side(*linears: nn.Linear) -> tuple[Tensor, Tensor | None]:
    """The weights and the biases of several as those of one."""
    bias = None if linears[0].bias is None else torch.cat([linear.bias for linear in linears])
    return torch.cat([linear.weight for linear in linears]), bias


ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "relu": F.relu,
}


class FeedForward(nn.Module):
    """The fully connected network, the same for every token: down(activation(gate(x)) * up(x)), or without the gate."""

    def __init__(self, width: int, config: FeedForwardConfig) -> None:
        super().__init__()
        self.gate = nn.Linear(width, config.width, bias=config.bias) if config.gated else None
        self.up = nn.Linear(width, config.width, bias=config.bias)
        self.down = nn.Linear(config.width, width, bias=config.bias)
        self.activation = ACTIVATIONS[config.activation]
        self.join: Join | None = None  # as Attention's

    def forward(self, x: Tensor) -> Tensor:
        join = joined if self.training else self.join
        if self.gate is None:
            hidden = self.activation(self.up(x))
        elif join is not None and self.activation is F.silu:
            hidden = swiglu(join(x, self.gate, self.up))
        else:
            hidden = self.activation(self.gate(x)) * self.up(x)
        down: Tensor = self.down(hidden)
        return down


Residual = Callable[[Tensor, nn.Module, Callable[[Tensor], Tensor]], Tensor]


def pre_norm(x: Tensor, norm: nn.Module, part: Callable[[Tensor], Tensor]) -> Tensor:
    return x + part(norm(x))


def post_norm(x: Tensor, norm: nn.Module, part: Callable[[Tensor], Tensor]) -> Tensor:
    normed: Tensor = norm(x + part(x))
    return normed


RESIDUALS: dict[str, Residual] = {"pre": pre_norm, "post": post_norm}


class Block(nn.Module):
    """Attention and feed-forward, between them attention to a memory where there is one; parts handed in as values.

    `whole`, where it is handed in, computes the same while training, faster (written.py).
    """

    def __init__(
        self, *, attention: Attention, attention_norm: nn.Module,
        feed_forward: FeedForward, feed_forward_norm: nn.Module,
        memory_attention: Attention | None = None, memory_norm: nn.Module | None = None,
        residual: Residual = pre_norm, dropout: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.attention_norm, self.attention = attention_norm, attention
        self.memory_norm, self.memory_attention = memory_norm, memory_attention
        self.feed_forward_norm, self.feed_forward = feed_forward_norm, feed_forward
        self.residual = residual
        self.dropout = Dropout(dropout)
        self.whole: Whole | None = None

    def forward(
        self, x: Tensor, mask: Mask, rotation: Rotation | None, memory: Tensor | None, memory_mask: Mask | None,
        cache: Cache | None, record: Recorder | None, layer: int,
    ) -> Tensor:  # fmt: skip
        """x (batch, n, width) -> (batch, n, width)."""
        if self.training and self.whole is not None and cache is None and record is None:
            assert rotation is not None
            return self.whole(self, x, mask, rotation)
        if record is not None:
            record.stream(layer, "in", x)
        x = self.residual(x, self.attention_norm, lambda h: self.dropout(
            self.attention(h, None, mask, rotation, cache, record, "self", layer)))  # fmt: skip
        if record is not None:
            record.stream(layer, "attention", x)
        if self.memory_attention is not None and memory is not None:
            attend, look_at, allowed = self.memory_attention, memory, memory_mask
            assert self.memory_norm is not None
            assert allowed is not None
            x = self.residual(x, self.memory_norm, lambda h: self.dropout(
                attend(h, look_at, allowed, None, None, record, "cross", layer)))  # fmt: skip
            if record is not None:
                record.stream(layer, "memory", x)
        return self.residual(x, self.feed_forward_norm, lambda h: self.dropout(self.feed_forward(h)))


Whole = Callable[[Block, Tensor, Mask, Rotation], Tensor]
"""A whole block at once: (block, x, mask, rotation) -> what block(x) is."""
