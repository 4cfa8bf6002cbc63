"""A teacher's two collapses, planted; and the figures against plain sums."""

import math

import numpy as np
import pytest
import torch

from regard.tasks.collapse import Health
from regard.training.task import Unsound


def drawn(count: int, k: int, sharp: float, seed: int = 0) -> torch.Tensor:
    """Shares of so many pictures, each its own."""
    return (sharp * torch.randn(count, k, generator=torch.Generator().manual_seed(seed))).softmax(-1)


def test_the_figures_are_plain_sums() -> None:
    p = drawn(9, 5, 2.0).double()
    health = Health.of(p)
    rows, mean = p.tolist(), p.mean(0).tolist()
    assert health.entropy == pytest.approx(-sum(x * math.log(x) for row in rows for x in row) / 9, rel=1e-6)
    between = sum(x * math.log(x / m) for row in rows for x, m in zip(row, mean, strict=True)) / 9
    assert health.between == pytest.approx(between, rel=1e-6)
    assert health.used == len({row.index(max(row)) for row in rows})
    assert health.figures()["largest_entropy"] == math.log(5)


def test_certainty_needs_no_logarithm_of_0() -> None:
    health = Health.of(torch.eye(8))
    assert (health.entropy, health.used) == (0, 8)
    assert health.between == pytest.approx(math.log(8))


@pytest.mark.parametrize("count", [1, 256])
def test_P17_a_teacher_that_gives_all_the_same_share_is_found(count: int) -> None:
    uniform = torch.full((count, 1024), 1 / 1024) + 1e-6 * drawn(count, 1024, 1.0)
    with pytest.raises(Unsound) as found:
        Health.of(uniform).check(1000)
    assert "same share" in found.value.what
    assert "6.93 nats" in found.value.what  # ln 1024: the loss that does not move
    assert "--teacher-temperature" in found.value.do
    assert found.value.do.startswith("lower")
    assert found.value.figures["entropy"] == pytest.approx(math.log(1024), abs=1e-3)


@pytest.mark.parametrize("favourite", [1.0, 0.6])
def test_P17_a_teacher_that_says_the_same_of_all_is_found(favourite: float) -> None:
    one = torch.full((1024,), (1 - favourite) / 1023)
    one[17] = favourite
    pictures = one + 1e-7 * drawn(256, 1024, 1.0)
    with pytest.raises(Unsound) as found:
        Health.of(pictures).check(1000)
    assert "the same of every picture" in found.value.what
    assert found.value.do.startswith("raise --teacher-temperature")


def test_a_sound_teacher_and_a_young_one_pass() -> None:
    Health.of(drawn(256, 1024, 4.0)).check(1000)
    for step, warm_up in ((10, 0), (49, 0), (299, 300)):
        Health.of(torch.full((256, 1024), 1 / 1024)).check(step, warm_up)
    with pytest.raises(Unsound):
        Health.of(torch.full((256, 1024), 1 / 1024)).check(300, 300)
    two = torch.zeros(256, 1024)
    two[np.arange(256), np.arange(256) % 2] = 1.0  # it tells two kinds apart, if no more
    Health.of(two).check(1000)
