"""The running average: what it is after so many steps, and that evaluating leaves a module as it was."""

import pytest
import torch
from torch import nn

from regard.training.average import Average, evaluating


def test_the_average_is_the_plain_sum() -> None:
    model = nn.Linear(3, 2)
    average, expected = Average(model, 0.9), model.weight.detach().clone()
    for step in range(1, 200):
        with torch.no_grad():
            model.weight.add_(0.1)
        average.update(step)
        decay = min(0.9, step / (step + 10))
        expected = decay * expected + (1 - decay) * model.weight.detach()
    torch.testing.assert_close(average.model.get_parameter("weight"), expected)
    # After long it lags behind a steady drift by 9 steps: decay / (1 - decay).
    torch.testing.assert_close(model.weight - average.model.get_parameter("weight"), torch.full((2, 3), 0.9),
                               rtol=1e-3, atol=1e-3)  # fmt: skip


def test_without_decay_it_is_the_weights() -> None:
    model = nn.Linear(3, 2)
    average = Average(model, 0.0)
    with torch.no_grad():
        model.weight.add_(1.0)
    average.update(1)
    assert torch.equal(average.model.get_parameter("weight"), model.weight)


def test_the_average_is_never_trained_and_in_evaluation_mode() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)).train()
    average = Average(model, 0.5)
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
    average = Average(nn.Sequential(first, second), 0.5)
    assert average.model.get_parameter("0.weight") is average.model.get_parameter("0.weight")
    assert len(list(average.model.parameters())) == 1
