"""The loop: one gradient however the batch is cut, the mean over its targets, an end by steps or by time."""

import math
from typing import Any

import pytest
import torch

from regard.errors import RegardError
from regard.training.loop import Clock, Learner, train
from regard.training.ranks import Ranks

from .small import SETTINGS, Line, Small


def learner(task: Small | None = None, **settings: Any) -> Learner:
    task = task or Small()
    chosen = SETTINGS | settings
    return Learner(task, task.build(chosen), task.size, chosen, Ranks())


def run(made: Learner, steps: int) -> list[float]:
    return [step.loss for step in train(made, Clock(steps=steps), 0, lambda: 0)]


def state(made: Learner) -> list[torch.Tensor]:
    kept = [tensor for optimiser in made.optimisers for state in optimiser.state.values() for tensor in state.values()]
    return [*made.model.parameters(), *made.average.model.parameters(), *kept]


def test_it_learns_and_the_average_follows() -> None:
    made = learner()
    losses = run(made, 120)
    assert losses[-1] < 0.05 * losses[0]
    x, y, _ = Small().batch(torch.zeros(1, 2, dtype=torch.long).numpy(), None)  # type: ignore[arg-type]
    assert abs(float(made.average.model(x) - y)) < 0.5


@pytest.mark.parametrize("micro_batch", [1, 2, 4, 5])
def test_pieces_give_the_gradient_of_the_whole(micro_batch: int) -> None:
    whole, cut = learner(), learner(micro_batch=micro_batch)
    assert run(cut, 10) == pytest.approx(run(whole, 10), rel=1e-5)
    for one, other in zip(state(cut), state(whole), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_the_gradient_is_that_of_the_mean_over_all_targets() -> None:
    task = Small()
    made, plain = learner(task, micro_batch=4), Small().build(SETTINGS)
    plain.load_state_dict(made.model.state_dict())
    loss, targets = made._gradients(0, 0.0)
    x, y, weight = task.batch(made.order.ids(0), None)  # type: ignore[arg-type]
    mean = (weight * (plain(x) - y) ** 2).sum() / weight.sum()
    mean.backward()
    assert loss == pytest.approx(mean.item(), rel=1e-6)
    assert targets == int(weight.sum())
    for parameter, its in zip(made.model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, its.grad)


def test_the_same_seed_gives_the_same_bits_dropout_included() -> None:
    first, second = learner(Small(0.3)), learner(Small(0.3))
    torch.manual_seed(99)  # what others do with random numbers has no say
    one = run(first, 12)
    torch.manual_seed(7)
    torch.rand(5)
    assert run(second, 12) == one
    assert all(torch.equal(a, b) for a, b in zip(state(first), state(second), strict=True))
    assert run(learner(Small(0.3), seed=2), 12) != one


def test_every_example_is_seen_once_an_epoch() -> None:
    task = Small()
    run(learner(task, batch=5, micro_batch=2), 8)
    seen = [row for rows in task.seen for row in rows]
    assert sorted(seen[:20]) == sorted(seen[20:40]) == list(range(20))


@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf])
def test_R20_a_spoiled_batch_changes_nothing(poison: float) -> None:
    task = Small()
    made = learner(task)
    run(made, 3)
    made.saved = 2
    before = [tensor.detach().clone() for tensor in state(made)]
    task.y[:] = poison
    with pytest.raises(RegardError, match=r"^step 4: .*; .* the last good checkpoint is of step 2$") as caught:
        made.step(4, 0.5)
    assert caught.value.code == 1
    assert all(torch.equal(old, now) for old, now in zip(before, state(made), strict=True))
    made.check(3)


def test_R20_an_infinite_weight_is_found() -> None:
    made = learner()
    made.check(1)
    made.average.model.get_parameter("output.bias").data[0] = math.inf
    with pytest.raises(RegardError, match=r"step 1: weights became infinite .* nothing was saved yet"):
        made.check(1)


def test_by_steps_it_makes_these_and_no_more() -> None:
    made = learner()
    assert [step.number for step in train(made, Clock(steps=4), 0, lambda: 0)] == [1, 2, 3, 4]
    assert [step.number for step in train(made, Clock(steps=6), 4, lambda: 0)] == [5, 6]
    assert list(train(made, Clock(steps=6), 6, lambda: 0)) == []


def test_by_time_it_ends_when_the_time_is_over_but_makes_one_step() -> None:
    now = [0.0]
    clock = Clock(seconds=1.0, now=lambda: now[0])
    numbers = []
    for step in train(learner(), clock, 0, lambda: 0):
        numbers.append(step.number)
        now[0] += 0.3
    assert numbers == [1, 2, 3, 4]
    assert [step.number for step in train(learner(), clock, 0, lambda: 0)] == [1]
    assert list(train(learner(), clock, 1, lambda: 0)) == []


def test_it_stops_when_asked_to_after_the_step() -> None:
    wishes = iter([0, 0, 15])
    assert [step.number for step in train(learner(), Clock(steps=9), 0, lambda: next(wishes))] == [1, 2]


def test_the_learning_rate_follows_the_schedule() -> None:
    made = learner(warm_up=3, cool_down=0.5)
    rates = []
    for _ in train(made, Clock(steps=10), 0, lambda: 0):
        rates.append(made.optimisers[0].lr / made.peaks[0])
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 0.8, 0.6, 0.4, 0.2])


def test_a_step_says_what_it_did() -> None:
    (step,) = train(learner(), Clock(steps=1), 0, lambda: 0)
    assert step.number == 1
    assert 6 <= step.targets <= 12
    assert step.norm > 0
    assert step.seconds > 0


def test_the_precision_is_the_runs() -> None:
    seen: list[torch.dtype] = []

    class Watched(Line):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(self.blocks[0](x).dtype)
            return super().forward(x)

    class Rough(Small):
        def build(self, settings: Any) -> Line:
            return Watched()

    made = learner(Rough(), precision="bfloat16")
    run(made, 3)
    assert seen == [torch.bfloat16] * 3
    assert {tensor.dtype for tensor in state(made)} == {torch.float32}
