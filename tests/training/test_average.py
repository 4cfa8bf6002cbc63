"""The running average: what it is after so many steps, and that evaluating leaves a module as it was."""

import math

import pytest
import torch
from torch import nn

from regard.training.average import Average, evaluating, rising, steady


def test_the_average_is_the_plain_sum() -> None:
    model = nn.Linear(3, 2)
    average, expected = Average(model, steady(0.9)), model.weight.detach().clone()
    for step in range(1, 200):
        with torch.no_grad():
            model.weight.add_(0.1)
        average.update(step, 0.0)
        decay = min(0.9, step / (step + 10))
        expected = decay * expected + (1 - decay) * model.weight.detach()
    torch.testing.assert_close(average.model.get_parameter("weight"), expected)
    # After long it lags behind a steady drift by 9 steps: decay / (1 - decay).
    torch.testing.assert_close(model.weight - average.model.get_parameter("weight"), torch.full((2, 3), 0.9),
                               rtol=1e-3, atol=1e-3)  # fmt: skip


def test_without_decay_it_is_the_weights() -> None:
    model = nn.Linear(3, 2)
    average = Average(model, steady(0.0))
    with torch.no_grad():
        model.weight.add_(1.0)
    average.update(1, 0.0)
    assert torch.equal(average.model.get_parameter("weight"), model.weight)


def test_a_teacher_comes_to_rest_along_half_a_cosine() -> None:
    decay = rising(0.96)
    assert decay(1, 0.0) == decay(1000, 0.0) == pytest.approx(0.96)
    assert decay(1, 0.5) == pytest.approx(0.98)
    assert decay(1, 0.25) == pytest.approx(1 - 0.04 * (1 + math.cos(math.pi / 4)) / 2)
    assert decay(1, 1.0) == 1.0


def test_what_is_not_trained_is_not_averaged() -> None:
    model = nn.Linear(3, 2)
    model.bias.requires_grad_(False)
    average = Average(model, steady(0.0))
    with torch.no_grad():
        average.model.get_parameter("bias").fill_(7.0)
        model.weight.add_(1.0)
    average.update(1, 0.0)
    assert torch.equal(average.model.get_parameter("weight"), model.weight)
    assert average.model.get_parameter("bias").tolist() == [7.0, 7.0]


def test_the_average_is_never_trained_and_in_evaluation_mode() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)).train()
    average = Average(model, steady(0.5))
    assert not average.model.training
    assert not any(parameter.requires_grad for parameter in average.model.parameters())
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert model.training


def test_evaluating_leaves_the_module_as_it_was() -> None:
    for training in (True, False):
        model = nn.Dropout(0.5).train(training)
        with evaluating(model) as inside:
            assert not inside.training
            assert torch.is_inference_mode_enabled()
        assert model.training == training
    failed = nn.Dropout(0.5).train()
    with pytest.raises(ZeroDivisionError), evaluating(failed):
        raise ZeroDivisionError
    assert failed.training


def test_a_tied_table_stays_tied() -> None:
    first = nn.Linear(4, 4, bias=False)
    second = nn.Linear(4, 4, bias=False)
    second.weight = first.weight
    average = Average(nn.Sequential(first, second), steady(0.5))
    assert average.model.get_parameter("0.weight") is average.model.get_parameter("0.weight")
    assert len(list(average.model.parameters())) == 1
