"""The plan: what is given is taken, what is not follows from it, and each setting has its reason."""

from functools import partial
from itertools import product

import pytest

from regard.errors import RegardError
from regard.model.config import AttentionConfig, FeedForwardConfig, TransformerConfig
from regard.model.transformer import check_sizes
from regard.training.plan import (
    LADDER,
    SMALLEST,
    Plan,
    Shape,
    choose_learning_rates,
    choose_regularisation,
    choose_shape,
)
from regard.training.settings import BY_NAME, Value

SIZES = ("width", "layers", "head_width", "heads", "key_value_heads", "feed_forward")


def shaped(tokens: int = 1_000_000, seen: float = 1e7, **given: Value) -> dict[str, int]:
    plan = Plan(given)
    choose_shape(plan, tokens, lambda shape: seen)
    return {name: plan[name] for name in SIZES}


def test_what_was_given_is_taken_and_says_so() -> None:
    plan = Plan({"width": 100})
    assert plan.choose("width", 64, "why") == 100
    assert plan.choose("layers", 2, "because") == 2
    assert plan.settings == {"width": 100, "layers": 2}
    assert plan.to_json() == [{"name": "width", "value": 100, "reason": "given"},
                              {"name": "layers", "value": 2, "reason": "because"}]  # fmt: skip
    assert (plan.known("width"), plan.known("layers")) == (100, None)


def test_what_is_fixed_stays_and_contradicting_it_is_refused() -> None:
    plan = Plan({"width": 64, "layers": 2})
    plan.fix("width", 64, "the checkpoint's")
    assert plan.choose("width", 128, "why") == plan.known("width") == 64
    with pytest.raises(RegardError, match="--layers: 2 was given, but it is 3: the checkpoint's; leave it out"):
        plan.fix("layers", 3, "the checkpoint's")


GIVEN = {
    "width": (2, 7, 33, 100, 256, 1000), "layers": (1, 40), "heads": (1, 3, 12), "head_width": (2, 64),
    "key_value_heads": (1, 2, 3), "feed_forward": (1, 500),
}  # fmt: skip


@pytest.mark.parametrize("names", [
    [name for name, chosen in zip(SIZES, choice, strict=True) if chosen] for choice in product([True, False], repeat=6)
], ids="+".join)  # fmt: skip
def test_every_combination_of_given_sizes_makes_a_model(names: list[str]) -> None:
    for values in product(*(GIVEN[name] for name in names)):
        given = dict(zip(names, values, strict=True))
        if given.get("heads", 12) % given.get("key_value_heads", 1):
            continue  # refused when the model is built
        sizes = shaped(**given)
        assert {name: sizes[name] for name in names} == given
        attention = AttentionConfig(heads=sizes["heads"], key_value_heads=sizes["key_value_heads"],
                                    head_width=sizes["head_width"])  # fmt: skip
        check_sizes(TransformerConfig(vocabulary=9, context=8, width=sizes["width"], layers=sizes["layers"],
                                      attention=attention,
                                      feed_forward=FeedForwardConfig(width=sizes["feed_forward"])))  # fmt: skip
        for name in SIZES:
            assert BY_NAME[name].check(sizes[name]) == sizes[name]


def test_sizes_follow_from_the_width_that_is_given() -> None:
    assert shaped(width=100)["feed_forward"] == 288
    assert {name: shaped(width=100)[name] for name in ("head_width", "heads")} == {"head_width": 32, "heads": 3}
    assert {name: shaped(width=512)[name] for name in ("head_width", "heads")} == {"head_width": 64, "heads": 8}
    assert shaped(width=96, heads=6)["head_width"] == 16
    assert shaped(width=100, heads=3)["head_width"] == 32  # even: rotation turns pairs
    assert shaped(heads=6, key_value_heads=2)["key_value_heads"] == 2
    assert shaped(heads=6)["key_value_heads"] == 6
    assert shaped(width=128, key_value_heads=3)["heads"] == 3
    assert shaped(width=7)["layers"] == 1  # narrow is not made deep


def always(seen: float, shape: Shape) -> float:
    return seen


def test_the_largest_that_can_be_fed() -> None:
    for seen in (1e3, 1e6, 1e8, 1e10):
        shape = choose_shape(Plan({}), 10**9, partial(always, seen))
        fed = [s for s in LADDER if seen >= 2.5 * s.parameters]
        assert shape == (max(fed, key=lambda s: s.parameters) if fed else LADDER[0])
    for tokens in (100, 10**4, 10**6):
        assert choose_shape(Plan({}), tokens, lambda shape: 1e15).parameters <= max(SMALLEST, 10.0 * tokens)


def test_a_shape_counts_its_blocks() -> None:
    shape = Shape(64, 3)
    assert (shape.heads, shape.head_width, shape.feed_forward) == (2, 32, 192)
    assert shape.parameters == 3 * (4 * 64 * 64 + 3 * 64 * 192)
    assert shape.work(10, 100) == 6 * (shape.parameters + 6400) + 12 * 3 * 64 * 10


def test_more_repetitions_more_against_learning_by_heart() -> None:
    found = []
    for epochs in (0.5, 3, 10, 30, 100):
        plan = Plan({})
        choose_regularisation(plan, epochs, 1000, 10**6)
        found.append((plan["dropout"], plan["weight_decay"], plan["monitor"]))
    assert found == sorted(found)
    assert found[0] == (0.0, 0.1, 0.0)
    assert found[-1] == (0.3, 0.2, 0.05)


@pytest.mark.parametrize("steps", [1, 10, 1000, 10**6])
def test_learning_rates_and_average_are_in_their_ranges(steps: int) -> None:
    plan = Plan({})
    choose_learning_rates(plan, steps)
    choose_regularisation(plan, 1.0, steps, 100)
    for name, value in plan.settings.items():
        assert BY_NAME[name].check(value) == value
