"""The learning rate rises, stays, and falls to nothing at the end."""

import pytest

from regard.training.schedule import factor


def test_by_steps_it_rises_stays_and_falls() -> None:
    steps = 100
    values = [factor(step, step / steps, warm_up=4, cool_down=0.5) for step in range(steps)]
    assert values[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert values[5:50] == [1.0] * 45
    assert values[50:] == pytest.approx([(100 - step) / 50 for step in range(50, 100)])
    assert factor(steps, 1.0, 4, 0.5) == 0.0


def test_time_that_ran_over_is_zero_and_never_below() -> None:
    assert factor(3, 1.7, 0, 0.5) == 0.0
    assert factor(3, 1.0, 0, 0.0) == 1.0
    assert factor(0, 0.0, 0, 1.0) == 1.0


def test_it_stays_between_nothing_and_one() -> None:
    for warm_up in (0, 1, 7):
        for cool_down in (0.0, 0.3, 1.0):
            for step in range(30):
                assert 0.0 <= factor(step, step / 20, warm_up, cool_down) <= 1.0
