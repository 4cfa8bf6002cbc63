"""Norm, rotation and gate with their gradients written out: the same numbers in half the passes over memory.

Between the matrix products of a small model on a CPU, each pass over the tokens' numbers counts as much as arithmetic.
tests/model/test_kernels.py holds both to the plain formulas, values and gradients.
"""

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


class _RMSNorm(torch.autograd.Function):
    """y = x r w with r = 1 / sqrt(mean(x^2) + epsilon), over the last axis."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        out, normed, scale = _normed(x, weight, epsilon)
        ctx.save_for_backward(normed, scale, weight)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        """dx = r (w g - n mean(n w g)) with n = x r; dw = the sum over tokens of n g."""
        normed, scale, weight = ctx.saved_tensors
        both = normed * gradient  # (..., width)
        along = (both @ weight.to(both.dtype)).unsqueeze(-1).mul_(1 / weight.shape[-1])
        to_weight = both.flatten(0, -2).sum(0)
        to_x = torch.addcmul(gradient * weight, normed, along, value=-1).mul_(scale)
        return to_x, to_weight, None


def _normed(x: Tensor, weight: Tensor, epsilon: float) -> tuple[Tensor, Tensor, Tensor]:
    """y, n = x r and r (..., 1)."""
    exact = torch.promote_types(x.dtype, torch.float32)
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=exact)
    scale = torch.addcmul(_number(epsilon, exact, x.device), length, length, value=1 / x.shape[-1]).rsqrt_()
    normed = x * scale
    return (normed * weight).to(x.dtype), normed, scale


@lru_cache(maxsize=16)
def _number(value: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Of no dimension; one operation fewer where an operation takes a tensor only."""
    with torch.inference_mode(False):  # what is kept may meet a backward pass later
        return torch.tensor(value, dtype=dtype, device=device)


class _Rotation(torch.autograd.Function):
    """y = x cos + swap(x) sin: swap exchanges the halves of the last axis, sin carries the first half's sign."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, signed_sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, signed_sin)
        return _turned(x, cos, signed_sin)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """The turn back: swap is its own transpose, and swapping the signed sine changes its sign."""
        cos, signed_sin = ctx.saved_tensors
        back = torch.addcmul(gradient * cos, _swapped(gradient), signed_sin, value=-1)
        return back.to(gradient.dtype), None, None


def _turned(x: Tensor, cos: Tensor, signed_sin: Tensor) -> Tensor:
    return torch.addcmul(x * cos, _swapped(x), signed_sin).to(x.dtype)


def _swapped(x: Tensor) -> Tensor:
    return x.roll(x.shape[-1] // 2, -1)


class _SwiGLU(torch.autograd.Function):
    """y = silu(a) b, where x holds a and b side by side; the gradient is written into one array like x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        gate, up = x.chunk(2, dim=-1)
        open_ = F.silu(gate)
        ctx.save_for_backward(x, open_)
        out: Tensor = open_ * up
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        x, open_ = ctx.saved_tensors
        gate, up = x.chunk(2, dim=-1)
        both = torch.empty_like(x)
        to_gate, to_up = both.chunk(2, dim=-1)
        torch.mul(gradient, open_, out=to_up)
        torch.ops.aten.silu_backward.grad_input(gradient * up, gate, grad_input=to_gate)
        return both


def rms_norm(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """x / sqrt(mean(x^2) + epsilon) * weight over the last axis, statistics in float32: x (..., width)."""
    if not torch.is_grad_enabled():  # a Function costs as much as the norm of one token
        return _normed(x, weight, epsilon)[0]
    normed: Tensor = _RMSNorm.apply(x, weight, epsilon)  # type: ignore[no-untyped-call]
    return normed


def rotated(x: Tensor, cos: Tensor, signed_sin: Tensor) -> Tensor:
    """Pairs (i, i + d / 2) of the last axis turned: x (..., d); cos and signed_sin (see above) broadcast."""
    if not torch.is_grad_enabled():
        return _turned(x, cos, signed_sin)
    turned: Tensor = _Rotation.apply(x, cos, signed_sin)  # type: ignore[no-untyped-call]
    return turned


def swiglu(x: Tensor) -> Tensor:
    """silu(gate) * up, of the two side by side: x (..., 2 hidden) -> (..., hidden). Shazeer 2020."""
    if not torch.is_grad_enabled():
        gate, up = x.chunk(2, dim=-1)
        return F.silu(gate) * up
    gated: Tensor = _SwiGLU.apply(x)  # type: ignore[no-untyped-call]
    return gated
