"""The default block with its gradient written out: the numbers of block.py, in less time on a CPU.

Each part returns what it makes, and a function that takes the gradient of that back to the gradients of what it was
made of. Between the products of a small model each pass over the tokens' numbers counts as much as arithmetic, so
queries and keys are normed and turned together, and what a causal row cannot see is not computed.
tests/model/test_written.py holds it to block.py, values and gradients.
Shapes: batch; n tokens; N = batch * n; width; heads; d numbers in a head; hidden.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from regard.model.block import Block
from regard.model.config import TransformerConfig
from regard.model.mask import Mask
from regard.model.position import Rotation

PIECE = 128
"""Rows of a causal matrix that are computed at once: fewer see less of what is masked, more make larger products."""

Back = Callable[[Tensor], tuple[Tensor, ...]]
"""The gradient of what a part made -> the gradients of what it was made of."""


def fits(config: TransformerConfig) -> bool:
    """Whether the blocks are of the kind written here: Qwen3's, each head with keys and values of its own."""
    a, f = config.attention, config.feed_forward
    plain = not (a.bias or a.output_bias or f.bias or config.memory) and a.heads == a.key_value_heads
    gated = f.gated and f.activation == "silu"
    return plain and gated and a.query_key_norm and (config.norm.kind, config.position.kind, config.residual) == (
        "rms", "rotary", "pre")  # fmt: skip


def normed(x: Tensor, weight: Tensor, epsilon: float, precision: torch.dtype) -> tuple[Tensor, Back]:
    """RMSNorm over the last axis, x (..., width)."""
    scale = _inverse_size(x, epsilon)
    return (x * scale).mul_(weight).to(precision), lambda g: _norm_back(g.to(x.dtype), x, scale, weight)


def _inverse_size(x: Tensor, epsilon: float) -> Tensor:
    """1 / sqrt(mean(x^2) + epsilon): (..., width) -> (..., 1)."""
    size: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return size.square_().mul_(1 / x.shape[-1]).add_(epsilon).rsqrt_()


def _norm_back(g: Tensor, x: Tensor, scale: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """A layer norm's gradient, told that the mean is 0; then what it took off for the mean is put back."""
    width = x.shape[-1]
    to_x, to_weight, _ = torch.ops.aten.native_layer_norm_backward(
        g, x, [width], torch.zeros_like(scale), scale, weight, None, [True, True, False]
    )
    taken = torch.mv(g.reshape(-1, width), weight).view(scale.shape).mul_(scale).mul_(1 / width)
    return to_x.add_(taken), to_weight


def normed_each(x: Tensor, weights: Tensor, epsilon: float) -> tuple[Tensor, Back]:
    """RMSNorm over the last axis, queries and keys each by their own weights: x (2, ..., d), weights (2, d)."""
    scale = _inverse_size(x, epsilon)
    out = (x * scale).mul_(weights.view(2, *[1] * (x.dim() - 2), -1))

    def back(g: Tensor) -> tuple[Tensor, Tensor]:
        (to_q, to_wq), (to_k, to_wk) = (_norm_back(g[i], x[i], scale[i], weights[i]) for i in range(2))
        return torch.stack((to_q, to_k)), torch.stack((to_wq, to_wk))

    return out, back


def product(x: Tensor, matrix: Tensor) -> tuple[Tensor, Back]:
    """x (N, inputs), matrix (outputs, inputs) -> (N, outputs)."""
    return x @ matrix.mT, lambda g: (g @ matrix, g.mT @ x)


def rotated(x: Tensor, turn: Rotation) -> tuple[Tensor, Back]:
    """Pairs (i, i + d / 2) turned by the position's angle: x (..., n, d)."""
    half = x.shape[-1] // 2
    out = (x * turn.cos).addcmul_(x.roll(half, -1), turn.signed_sin)
    return out, lambda g: ((g * turn.cos).addcmul_(g.roll(half, -1), turn.signed_sin, value=-1),)


def heads_of(joint: Tensor, shape: tuple[int, int, int, int]) -> Tensor:
    """(N, 3 * heads * d) seen as queries, keys and values, (3, batch, heads, n, d). shape: batch, heads, n, d."""
    batch, heads, n, d = shape
    return joint.view(batch, n, 3, heads, d).permute(2, 0, 3, 1, 4)


def mixed(query: Tensor, key: Tensor, value: Tensor, mask: Mask) -> tuple[Tensor, Back]:
    """softmax(q k^T) v, the scale in q already: (batch, heads, n, d) each -> the same shape.

    Causal rows are taken in pieces, each with the keys that its last row may see. A blind row is 0 and teaches nothing.
    """
    batch, heads, n, _ = query.shape
    bias, blind = mask.bias(query), mask.blind()
    q, k, v = (x.reshape(batch * heads, n, -1) for x in (query, key, value))
    piece = PIECE if mask.kind == "causal" else n
    ends = [(start, min(start + piece, n)) for start in range(0, n, piece)]
    weights = []
    out = torch.empty_like(q)
    for start, end in ends:
        seen = end if mask.kind == "causal" else n
        scores = torch.bmm(q[:, start:end], k[:, :seen].mT)
        if bias is not None:
            known = start if mask.kind == "causal" else 0  # before it all may be seen
            scores.view(batch, heads, end - start, seen)[..., known:] += bias[..., start:end, known:seen]
        weights.append(scores.softmax(dim=-1))
        torch.bmm(weights[-1], v[:, :seen], out=out[:, start:end])
    if blind is not None:
        out.view(batch, heads, n, -1).masked_fill_(blind[:, None, :, None], 0.0)

    def back(g: Tensor) -> tuple[Tensor, ...]:
        """dv = W^T g; dS = W (g v^T - the row's mean by W); dq = dS k; dk = dS^T q."""
        if blind is not None:
            g = g.masked_fill(blind[:, None, :, None], 0.0)
        g = g.reshape(batch * heads, n, -1)
        to_q, to_k, to_v = (torch.empty_like(x) for x in (q, k, v))
        for (start, end), weight in zip(reversed(ends), reversed(weights), strict=True):
            seen, rows = weight.shape[-1], slice(start, end)
            to_scores = torch._softmax_backward_data(torch.bmm(g[:, rows], v[:, :seen].mT), weight, -1, weight.dtype)
            torch.bmm(to_scores, k[:, :seen], out=to_q[:, rows])
            beta = 0 if end == n else 1  # the last piece is the first here and sees every key
            to_v[:, :seen].baddbmm_(weight.mT, g[:, rows], beta=beta)
            to_k[:, :seen].baddbmm_(to_scores.mT, q[:, rows], beta=beta)
        return tuple(x.view(batch, heads, n, -1) for x in (to_q, to_k, to_v))

    return out.view(batch, heads, n, -1), back


def gated(x: Tensor) -> tuple[Tensor, Back]:
    """silu(gate) * up of the two side by side: (N, 2 hidden) -> (N, hidden)."""
    gate, up = x.chunk(2, dim=-1)
    open_ = F.silu(gate)

    def back(g: Tensor) -> tuple[Tensor]:
        both = torch.empty_like(x)
        to_gate, to_up = both.chunk(2, dim=-1)
        torch.mul(g, open_, out=to_up)
        torch.ops.aten.silu_backward.grad_input(g * up, gate, grad_input=to_gate)
        return (both,)

    return open_ * up, back


def attention(
    x: Tensor, shape: tuple[int, int, int, int], joint: Tensor, norms: Tensor, output: Tensor, epsilon: float,
    mask: Mask, turn: Rotation,
) -> tuple[Tensor, Back]:  # fmt: skip
    """x (N, width), already normed -> (N, width). joint (3 * heads * d, width); norms (2, d), the query's scaled."""
    made, project = product(x, joint)
    parts = heads_of(made, shape)
    plain = torch.empty(2, *shape, dtype=norms.dtype, device=x.device).copy_(parts[:2])
    plain, norm = normed_each(plain, norms, epsilon)
    (query, key), turned_back = rotated(plain, turn)
    out, mix = mixed(query.to(x.dtype), key.to(x.dtype), parts[2], mask)
    flat = out.transpose(1, 2).reshape(len(x), -1)  # (N, heads * d)
    added, leave = product(flat, output)

    def back(g: Tensor) -> tuple[Tensor, ...]:
        to_flat, to_output = leave(g)
        to_heads = to_flat.view(out.transpose(1, 2).shape).transpose(1, 2)
        to_query, to_key, to_value = mix(to_heads)
        (to_plain,) = turned_back(torch.stack((to_query, to_key)).to(norms.dtype))
        to_qk, to_norms = norm(to_plain)
        to_made = torch.empty_like(made)
        to_parts = heads_of(to_made, shape)
        to_parts[:2], to_parts[2] = to_qk, to_value
        to_x, to_joint = project(to_made)
        return to_x, to_joint, to_norms, to_output

    return added, back


class _Written(torch.autograd.Function):
    """A block as one operation: forward keeps the parts' way back, backward goes it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, *given: Any) -> Tensor:
        *weights, how = given
        out, ctx.back = whole(x, *weights, **how)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        back, ctx.back = ctx.back, None  # what the forward pass kept can go as soon as it was used
        return *back(gradient), None


def whole(
    x: Tensor, norm1: Tensor, query: Tensor, key: Tensor, value: Tensor, query_norm: Tensor, key_norm: Tensor,
    output: Tensor, norm2: Tensor, gate: Tensor, up: Tensor, down: Tensor, *, heads: int, epsilon: float,
    precision: torch.dtype, mask: Mask, turn: Rotation, drops: tuple[Tensor | None, Tensor | None],
) -> tuple[Tensor, Back]:  # fmt: skip
    """x + attention(norm(x)), then that + feed-forward(norm(that)): (batch, n, width) -> the same.

    precision: of the products. drops: what each part's output is multiplied with, or None.
    """
    batch, n, width = x.shape
    d = len(query_norm)
    stream = x.reshape(batch * n, width)
    joint, output, wide, down = (w.to(precision) for w in
                                 (torch.cat((query, key, value)), output, torch.cat((gate, up)), down))  # fmt: skip
    scaled = torch.stack((query_norm * d**-0.5, key_norm))
    a, norm1_back = normed(stream, norm1, epsilon, precision)
    added, attend_back = attention(a, (batch, heads, n, d), joint, scaled, output, epsilon, mask, turn)
    middle = _plus(stream, added, drops[0])
    b, norm2_back = normed(middle, norm2, epsilon, precision)
    made, wide_back = product(b, wide)
    hidden, gate_back = gated(made)
    more, down_back = product(hidden, down)

    def back(g: Tensor) -> tuple[Tensor, ...]:
        g = g.reshape(batch * n, width)
        to_hidden, to_down = down_back(_times(g, drops[1]).to(precision))
        to_b, to_wide = wide_back(*gate_back(to_hidden))
        to_middle, to_norm2 = norm2_back(to_b)
        to_middle += g
        to_a, to_joint, to_scaled, to_output = attend_back(_times(to_middle, drops[0]).to(precision))
        to_x, to_norm1 = norm1_back(to_a)
        to_x += to_middle
        to_joint, to_output, to_wide, to_down = (w.to(query.dtype) for w in (to_joint, to_output, to_wide, to_down))
        return (to_x.view(batch, n, width), to_norm1, *to_joint.chunk(3), to_scaled[0] * d**-0.5, to_scaled[1],
                to_output, to_norm2, *to_wide.chunk(2), to_down)  # fmt: skip

    return _plus(middle, more, drops[1]).view(batch, n, width), back


def _plus(stream: Tensor, added: Tensor, drop: Tensor | None) -> Tensor:
    return stream + added if drop is None else torch.addcmul(stream, added, drop.flatten(0, 1))


def _times(g: Tensor, drop: Tensor | None) -> Tensor:
    return g if drop is None else g * drop.flatten(0, 1)


def written(block: Block, x: Tensor, mask: Mask, turn: Rotation) -> Tensor:
    """What block(x) is, for a block that fits: (batch, n, width) -> the same. Products in autocast's type, if on."""
    device, a, f = x.device.type, block.attention, block.feed_forward
    assert f.gate is not None
    on = torch.is_autocast_enabled(device)
    precision = torch.get_autocast_dtype(device) if on else x.dtype
    how = {"heads": a.config.heads, "epsilon": block.attention_norm.epsilon, "precision": precision, "mask": mask,
           "turn": turn, "drops": (block.dropout.factor(x), block.dropout.factor(x))}  # fmt: skip
    with torch.autocast(device, enabled=False):
        out: Tensor = _Written.apply(  # type: ignore[no-untyped-call]
            x, block.attention_norm.weight, a.query.weight, a.key.weight, a.value.weight, a.query_norm.weight,
            a.key_norm.weight, a.output.weight, block.feed_forward_norm.weight, f.gate.weight, f.up.weight,
            f.down.weight, how,
        )  # fmt: skip
    return out
