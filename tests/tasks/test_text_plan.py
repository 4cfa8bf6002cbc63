"""A language run's plan: the context that fits, steps without a clock, minutes with a measured one, a base's shape."""

import json
import time
from collections.abc import Mapping
from typing import Any

import pytest

from regard.errors import RegardError
from regard.model.config import AttentionConfig, FeedForwardConfig, TransformerConfig
from regard.tasks import text_plan
from regard.tasks.text_plan import choose_context, needs_of_text
from regard.training import by_time as timed
from regard.training.by_time import Budget, choose_all, choose_as_in
from regard.training.plan import Plan, Shape, Timing
from regard.training.ranks import Ranks
from regard.training.settings import BY_NAME, SETTINGS, Value

LATER = {"tokens", "vocabulary", "task"}
"""Chosen with the tokenizer, and before the plan."""
OURS = [setting for setting in SETTINGS if not setting.of or "text" in setting.of]
OURS = [setting for setting in OURS if setting.name not in LATER]


class Untouched:
    """A probe that must not be asked."""

    ranks = Ranks()

    def time(self, *_: Any, **__: Any) -> Timing:
        raise AssertionError("something was timed")


class Machine(Untouched):
    """So many floating-point operations a second; bfloat16 twice as many, but perhaps with another loss."""

    def __init__(self, rate: float, loss: float = 5.0, rough: float = 5.0) -> None:
        self.rate, self.loss, self.rough = rate, loss, rough
        self.asked: list[Mapping[str, Any]] = []

    def time(self, settings: Mapping[str, Any], steps: int, model: Any = None) -> Timing:
        self.asked.append(dict(settings))
        shape = Shape(int(settings["width"]), int(settings["layers"]))
        tokens = int(settings["batch"]) * int(settings["context"])
        fast = 2.0 if settings["precision"] == "bfloat16" else 1.0
        fast *= {"unfused": 1.0, "written": 1.0, "fused": 0.8}[str(settings["attention"])]
        seconds = tokens * shape.work(int(settings["context"]), 300) / self.rate / fast
        loss = self.rough if settings["precision"] == "bfloat16" else self.loss
        return Timing(str(settings["precision"]), str(settings["attention"]), seconds, loss)


def planned(train: int, budget: Budget, probe: Any, **given: Value) -> Plan:
    plan = Plan(given)
    plan.choose("seed", 0, "any")
    choose_context(plan, train, train // 9)
    choose_all(plan, needs_of_text(train, train // 9, 300), budget, probe)
    return plan


def by_steps(steps: int, train: int = 100_000, ranks: int = 1, **given: Value) -> Plan:
    return planned(train, Budget(steps, None, 0.0, ranks), Untouched(), **given)


def by_time(seconds: float, probe: Any, train: int = 300_000, **given: Value) -> Plan:
    return planned(train, Budget(None, seconds, time.monotonic()), probe, **given)


@pytest.fixture(autouse=True)
def _a_machine_without_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timed, "has_bfloat16", lambda device: False)


@pytest.mark.parametrize("steps", [1, 50, 5000])
@pytest.mark.parametrize("train", [80, 3000, 10**6])
def test_with_steps_nothing_is_timed_and_every_setting_is_chosen(steps: int, train: int) -> None:
    plan = by_steps(steps, train)
    assert plan.settings.keys() == {setting.name for setting in OURS}
    for name, value in plan.settings.items():
        assert BY_NAME[name].check(value) == value
        assert plan.choices[name].reason
    assert plan["precision"] == "float32"
    assert plan["evaluate_every"] <= steps
    assert plan["checkpoint_every"] <= max(steps, 1)
    assert by_steps(steps, train).to_json() == plan.to_json()
    json.dumps(plan.to_json())


def test_with_steps_ranks_change_nothing_but_their_own_share() -> None:
    one, four = by_steps(200).settings, by_steps(200, ranks=4).settings
    assert {name for name in one if one[name] != four[name]} <= {"micro_batch"}


@pytest.mark.parametrize("setting", OURS, ids=lambda setting: setting.name)
def test_every_single_setting_can_be_given(setting: Any) -> None:
    value: Value = setting.choices[-1] if setting.choices else setting.check(setting.low or min(setting.high, 1))
    given: dict[str, Any] = {setting.name: value}
    for plan in (by_steps(100, **given), by_time(8.0, Untouched(), **given), by_time(60.0, Machine(1e10), **given)):
        assert plan[setting.name] == value
        assert plan.choices[setting.name].reason == "given"


def test_by_time_the_reference_is_timed_then_each_way_of_the_real_step() -> None:
    machine = Machine(3e10)
    plan = by_time(180.0, machine)
    assert plan.settings.keys() == {setting.name for setting in OURS}
    assert (machine.asked[0]["width"], machine.asked[0]["layers"]) == (128, 4)
    ways = {(asked["precision"], asked["attention"]) for asked in machine.asked[1:]}
    assert {("float32", "written"), ("float32", "fused")} <= ways
    assert all(asked["width"] == plan["width"] for asked in machine.asked[1:])
    assert "float32 written" in plan.choices["precision"].reason
    assert plan["attention"] == "written"


def test_a_faster_machine_or_more_time_gets_a_larger_model() -> None:
    def size(seconds: float, rate: float) -> int:
        plan = by_time(seconds, Machine(rate), train=10**8)
        return Shape(plan["width"], plan["layers"]).parameters

    assert size(180, 1e9) < size(180, 1e10) < size(180, 1e11)
    assert size(60, 1e10) < size(600, 1e10)


@pytest.mark.parametrize(("rough", "chosen"), [(5.0, "bfloat16"), (5.04, "bfloat16"), (5.2, "float32")])
def test_bfloat16_only_where_it_learns_the_same(rough: float, chosen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timed, "has_bfloat16", lambda device: True)
    assert by_time(180.0, Machine(1e10, 5.0, rough))["precision"] == chosen
    assert by_time(180.0, Machine(1e10, 5.0, rough), precision="bfloat16")["precision"] == "bfloat16"


def test_R19_too_little_time_is_not_spent_on_timing() -> None:
    plan = by_time(0.6, Untouched())
    assert "too short to time" in plan.choices["precision"].reason


@pytest.mark.parametrize("rough", [False, True])
def test_the_end_is_reserved(rough: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timed, "has_bfloat16", lambda device: rough)
    plan = Plan({})
    plan.choose("seed", 0, "")
    choose_context(plan, 10**6, 10**5)
    machine: Any = Machine(1e10)
    needs = needs_of_text(10**6, 10**5, 300)
    reserve = choose_all(plan, needs, Budget(None, 180.0, time.monotonic()), machine)
    token = timed.work(plan, needs) / 1e10
    assert 3 * 10**5 * token / 3 < reserve < 180  # at least the forward passes, in float32, of three whole scores
    assert plan["precision"] == ("bfloat16" if rough else "float32")


def test_a_batch_smaller_than_the_ranks_is_refused() -> None:
    with pytest.raises(RegardError, match="--batch: 1 examples cannot be shared by 2 ranks"):
        by_steps(10, ranks=2, batch=1)


@pytest.mark.parametrize(("train", "held_out", "context"), [
    (90, 10, 8), (58, 6, 4), (2700, 300, 256), (2000, 300, 128), (10**6, 10**5, 256), (10**6, 3, 2),
])  # fmt: skip
def test_T2_the_context_is_shortened_to_fit_and_says_so(train: int, held_out: int, context: int) -> None:
    plan = Plan({})
    said = choose_context(plan, train, held_out)
    assert plan["context"] == context
    assert (said is not None) == (context < 256)
    assert said is None or f"{context} tokens" in said
    assert context + 1 <= held_out
    given = Plan({"context": context})
    assert choose_context(given, train, held_out) is None
    assert given["context"] == context
    if context < 256:
        longer = Plan({"context": 8 * context})
        assert f"shortened to {context} tokens" in str(choose_context(longer, train, held_out))
        assert longer["context"] == context


@pytest.mark.parametrize(("train", "held_out"), [(0, 0), (36, 4), (57, 6), (100, 0), (100, 1)])
def test_T2_too_little_is_refused_with_both_figures(train: int, held_out: int) -> None:
    with pytest.raises(RegardError, match=f"{train} \\+ {held_out} tokens .* at least 64"):
        choose_context(Plan({}), train, held_out)


def test_the_shape_of_a_checkpoint_is_taken_and_its_contradiction_refused() -> None:
    config = TransformerConfig(vocabulary=9, context=512, width=96, layers=3, tied=True,
                               attention=AttentionConfig(heads=6, key_value_heads=2, head_width=20),
                               feed_forward=FeedForwardConfig(width=100))  # fmt: skip
    plan = Plan({"width": 96})
    choose_as_in(plan, config)
    plan.choose("seed", 0, "")
    assert choose_context(plan, 10**6, 10**5, longest=512) is None
    needs = needs_of_text(10**6, 10**5, 9, config.to_json())
    choose_all(plan, needs, Budget(10, None, 0.0), Untouched())  # type: ignore[arg-type]
    taken = {name: plan[name] for name in ("width", "layers", "heads", "key_value_heads", "head_width", "feed_forward")}
    assert taken == {"width": 96, "layers": 3, "heads": 6, "key_value_heads": 2, "head_width": 20, "feed_forward": 100}
    assert plan["tied"] == "yes"
    with pytest.raises(RegardError, match="--heads: 3 was given, but it is 6"):
        choose_as_in(Plan({"heads": 3}), config)
    with pytest.raises(RegardError, match="--context: 600 is more than the checkpoint's 512"):
        choose_context(Plan({"context": 600}), 10**6, 10**5, longest=512)
    short = Plan({})
    choose_context(short, 10**6, 10**5, longest=100)
    assert short["context"] == 100


def test_where_a_text_is_learnt_by_heart_checkpoints_come_early() -> None:
    """The best may come after a few times through the text, and only what was saved can be it."""
    small, large = by_time(60.0, Machine(1e10), train=3000), by_time(60.0, Machine(1e10), train=10**7)
    assert small["monitor"] > 0
    assert large["monitor"] == 0
    assert (
        small["checkpoint_every"] * small["batch"]
        <= timed.LEARNT_BY_HEART * (3000 // small["context"]) + small["batch"]
    )
    assert "the best may come early" in small.choices["checkpoint_every"].reason
    assert "the best may come early" not in large.choices["checkpoint_every"].reason


def test_characters_to_be_seen_follow_steps_or_time() -> None:
    assert text_plan.characters_within(Budget(10, None, 0.0)) == 10 * 2048 * 2.5
    minute, two_ranks = (text_plan.characters_within(Budget(None, 60.0, 0.0, ranks)) for ranks in (1, 2))
    assert two_ranks == 2 * minute == 2 * 60 * 50_000
