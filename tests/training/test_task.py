"""The order of the data: every example once an epoch, and a pure function of seed and step."""

import numpy as np
import pytest

from regard.training.task import Order


@pytest.mark.parametrize(("examples", "batch"), [(7, 3), (7, 7), (5, 12), (1, 4), (100, 1), (64, 16)])
def test_each_epoch_is_all_examples_once(examples: int, batch: int) -> None:
    order = Order(examples, batch, seed=3)
    steps = 3 * examples  # whole epochs
    seen = np.concatenate([order.ids(step) for step in range(steps)])
    assert seen.shape == (steps * batch, 2)
    assert seen[:, 0].tolist() == sorted(seen[:, 0].tolist())
    for epoch in range(3 * batch):
        assert sorted(seen[seen[:, 0] == epoch, 1].tolist()) == list(range(examples))


def test_a_step_depends_on_seed_and_number_alone() -> None:
    forward = Order(11, 4, seed=5)
    steps = [forward.ids(step).tolist() for step in range(40)]
    backward = Order(11, 4, seed=5)
    assert [backward.ids(step).tolist() for step in reversed(range(40))] == steps[::-1]
    assert Order(11, 4, seed=5).ids(37).tolist() == steps[37]
    assert [Order(11, 4, seed=6).ids(step).tolist() for step in range(40)] != steps


def test_epochs_have_orders_of_their_own() -> None:
    order = Order(50, 50, seed=0)
    orders = [tuple(order.ids(step)[:, 1].tolist()) for step in range(4)]
    assert len(set(orders)) == 4


def test_how_often_each_example_was_seen() -> None:
    assert Order(100, 10, 0).epochs(25) == 2.5
