"""Muon and AdamW give the numbers of torch's own, over several steps, shapes and learning rates."""

import math

import pytest
import torch
from torch import nn

from regard.model.config import AttentionConfig, FeedForwardConfig, TransformerConfig
from regard.model.transformer import Transformer
from regard.training.optimiser import AdamW, Muon, is_hidden_matrix, orthogonalise

SHAPES = [(6, 6), (6, 6), (12, 6), (6, 12), (12, 6), (1, 7), (7, 1), (64, 96)]
STEPS = 6


def weights(seed: int) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]


def step_both(ours: list[nn.Parameter], theirs: list[nn.Parameter], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for mine, its in zip(ours, theirs, strict=True):
        mine.grad = torch.randn(mine.shape, generator=generator) * 10.0 ** (seed % 3 - 1)
        its.grad = mine.grad.clone()


@pytest.mark.parametrize(("lr", "decay", "momentum"), [(0.02, 0.1, 0.95), (0.3, 0.0, 0.5), (0.001, 1.0, 0.0)])
def test_muon_is_torchs_in_bfloat16(lr: float, decay: float, momentum: float) -> None:
    ours, theirs = weights(0), weights(0)
    muon = Muon(ours, lr, weight_decay=decay, momentum=momentum, precision=torch.bfloat16)
    other = torch.optim.Muon(theirs, lr=lr, weight_decay=decay, momentum=momentum)
    for number in range(STEPS):
        step_both(ours, theirs, number)
        rate = lr * (1 - number / 10)
        muon.lr = other.param_groups[0]["lr"] = rate
        muon.step()
        other.step()  # type: ignore[no-untyped-call]
        for mine, its in zip(ours, theirs, strict=True):
            # A product of several at once may round otherwise than one at a time: bfloat16 has 8 bits.
            moved = rate * max(1.0, mine.shape[0] / mine.shape[1]) ** 0.5
            torch.testing.assert_close(mine, its, rtol=0, atol=0.02 * moved * (number + 1))


def test_muon_in_float32_is_near_its_bfloat16() -> None:
    ours, others = weights(1), weights(1)
    exact, rough = Muon(ours, 0.02), Muon(others, 0.02, precision=torch.bfloat16)
    for number in range(STEPS):
        step_both(ours, others, number)
        exact.step()
        rough.step()
    before = weights(1)
    for mine, other, start in zip(ours, others, before, strict=True):
        assert mine.dtype == other.dtype == torch.float32
        assert (mine - other).norm() < 0.05 * (mine - start).norm()


@pytest.mark.parametrize("shape", [(5, 5), (5, 9), (9, 5), (1, 4), (4, 1)])
def test_orthogonalised_singular_values_are_near_one(shape: tuple[int, int]) -> None:
    gradient = torch.randn(3, *shape, generator=torch.Generator().manual_seed(2))
    found = orthogonalise(gradient)
    assert found.shape == gradient.shape
    values = torch.linalg.svdvals(found)
    assert values.min() > 0.3
    assert values.max() < 1.3
    for one, whole in zip(gradient, found, strict=True):  # together as alone
        torch.testing.assert_close(orthogonalise(one[None])[0], whole)


def test_orthogonalised_nothing_is_nothing() -> None:
    assert torch.equal(orthogonalise(torch.zeros(2, 3, 4)), torch.zeros(2, 3, 4))
    tiny = torch.full((1, 3, 4), 1e-30)
    assert orthogonalise(tiny).isfinite().all()


def test_adamw_is_torchs() -> None:
    ours, theirs = weights(3), weights(3)
    adamw = AdamW(ours, 0.01)
    other = torch.optim.AdamW(theirs, lr=0.01, betas=(0.9, 0.95), weight_decay=0.0)
    for number in range(STEPS):
        step_both(ours, theirs, number)
        adamw.lr = other.param_groups[0]["lr"] = 0.01 * math.cos(number)
        adamw.step()
        other.step()
        for mine, its in zip(ours, theirs, strict=True):
            torch.testing.assert_close(mine, its)
    assert {float(state["step"]) for state in adamw.state.values()} == {float(STEPS)}


@pytest.mark.parametrize("kind", [Muon, AdamW])
def test_what_has_no_gradient_stays(kind: type[Muon] | type[AdamW]) -> None:
    parameters = weights(4)
    before = [parameter.detach().clone() for parameter in parameters]
    parameters[2].grad = torch.ones_like(parameters[2])
    kind(parameters, 0.1).step()
    changed = [not torch.equal(parameter, old) for parameter, old in zip(parameters, before, strict=True)]
    assert changed == [False, False, True, False, False, False, False, False]


def test_matrices_of_blocks_are_muons_and_the_rest_is_not() -> None:
    config = TransformerConfig(vocabulary=11, context=7, width=6, layers=2,
                               attention=AttentionConfig(heads=2, key_value_heads=1, head_width=4),
                               feed_forward=FeedForwardConfig(width=10))  # fmt: skip
    named = dict(Transformer(config).named_parameters())
    hidden = {name for name, parameter in named.items() if is_hidden_matrix(name, parameter)}
    assert all(name.startswith("blocks.") for name in hidden)
    assert all(named[name].dim() == 2 for name in hidden)
    rest = named.keys() - hidden
    assert any(name.startswith("embedding.") for name in rest)
    assert all(named[name].dim() == 1 or not name.startswith("blocks.") for name in rest)
    inner = sum(named[name].numel() for name in hidden)
    assert inner == 2 * (6 * 8 + 2 * 6 * 4 + 8 * 6 + 3 * 6 * 10)
