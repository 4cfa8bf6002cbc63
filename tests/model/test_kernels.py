"""Norm, rotation and gate with written gradients, held to the plain formulas; the cheap dropout to its chances."""

import pytest
import torch

from regard.model.block import Dropout
from regard.model.kernels import rms_norm, rotated, swiglu

SHAPES = [(3, 5, 7, 8), (2, 11, 6), (1, 2), (13, 4)]


def plain_norm(x: torch.Tensor, weight: torch.Tensor, epsilon: float) -> torch.Tensor:
    return x / (x.square().mean(-1, keepdim=True) + epsilon).sqrt() * weight


def plain_rotation(x: torch.Tensor, angle: torch.Tensor) -> torch.Tensor:
    """As complex numbers: pair (i, i + d / 2) times e^(i angle)."""
    half = x.shape[-1] // 2
    turned = torch.complex(x[..., :half], x[..., half:]) * torch.polar(torch.ones_like(angle), angle)
    return torch.cat((turned.real, turned.imag), dim=-1)


def tables(angle: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.cat((angle.cos(),) * 2, -1), torch.cat((-angle.sin(), angle.sin()), -1)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("strided", [False, True])
def test_norm_and_its_gradient_are_the_formulas(shape: tuple[int, ...], strided: bool) -> None:
    torch.manual_seed(1)
    x = torch.randn(shape, dtype=torch.float64)
    x = (x.transpose(0, -2).contiguous().transpose(0, -2) if strided else x).requires_grad_()
    weight = torch.randn(shape[-1], dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(rms_norm(x, weight, 1e-6), plain_norm(x, weight, 1e-6))
    assert torch.autograd.gradcheck(lambda a, b: rms_norm(a, b, 1e-6), (x, weight))


@pytest.mark.parametrize("shape", SHAPES)
def test_rotation_and_its_gradient_are_the_formulas(shape: tuple[int, ...]) -> None:
    torch.manual_seed(2)
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    angle = torch.randn(*shape[-2:-1], shape[-1] // 2, dtype=torch.float64)
    torch.testing.assert_close(rotated(x, *tables(angle)), plain_rotation(x, angle))
    assert torch.autograd.gradcheck(lambda a: rotated(a, *tables(angle)), (x,))


@pytest.mark.parametrize("shape", SHAPES)
def test_gate_and_its_gradient_are_the_formulas(shape: tuple[int, ...]) -> None:
    torch.manual_seed(5)
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    gate, up = x.chunk(2, dim=-1)
    torch.testing.assert_close(swiglu(x), gate * torch.sigmoid(gate) * up)
    assert torch.autograd.gradcheck(swiglu, (x,))


def test_a_norm_of_zeros_stays_zeros_without_nan_gradients() -> None:
    x = torch.zeros(2, 3, 4, requires_grad=True)
    y = rms_norm(x, torch.ones(4), 1e-6)
    y.sum().backward()
    assert torch.equal(y, torch.zeros_like(y))
    assert x.grad is not None
    assert bool(x.grad.isfinite().all())


def test_bfloat16_keeps_statistics_in_float32() -> None:
    x = torch.randn(5, 512).bfloat16()
    exact = plain_norm(x.double(), torch.ones(512, dtype=torch.float64), 1e-6)
    assert float((rms_norm(x, torch.ones(512), 1e-6).double() - exact).abs().max()) < 2**-7 * float(exact.abs().max())


@pytest.mark.parametrize("share", [0.05, 0.3])
def test_dropout_zeroes_its_share_and_keeps_the_mean(share: float) -> None:
    torch.manual_seed(3)
    dropout = Dropout(share).train()
    y = dropout(torch.ones(1000, 1001))
    assert float((y == 0).float().mean()) == pytest.approx(round(share * 256) / 256, abs=2e-3)
    assert float(y.mean()) == pytest.approx(1.0, abs=3e-3)
    assert torch.equal(dropout.eval()(y), y)


def test_dropout_follows_the_seed() -> None:
    dropout, x = Dropout(0.5).train(), torch.ones(7, 9)
    torch.manual_seed(4)
    first, other = dropout(x), dropout(x)
    torch.manual_seed(4)
    assert torch.equal(dropout(x), first)
    assert not torch.equal(first, other)
