"""A matrix read as rows gives the product; a model that reads so says the same; threads change the time only."""

import time
from collections.abc import Iterator
from dataclasses import replace
from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from regard.decoding import quick as module
from regard.decoding.quick import Projection, Together, quick
from regard.decoding.rows import FEW, Pace, Rows
from regard.decoding.step import LanguageDecoder
from regard.model.sequence import Sequence

from .small import LEARNED, NAMED, ROTARY, SINES, build, ids, quickly

WIDE = replace(ROTARY, width=384, vocabulary=1033, feed_forward=replace(ROTARY.feed_forward, width=640), context=300)
MODELS = {**NAMED, "wide": WIDE, "wide and tied": replace(WIDE, tied=True),
          "with a bias": replace(ROTARY, output_bias=True)}  # fmt: skip
PACE = Pace(10)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


# one matrix


@given(st.integers(1, 1100), st.integers(1, 40), st.booleans(), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_rows_give_the_product(outputs: int, inputs: int, bias: bool, seed: int) -> None:
    weight, added = random(outputs, inputs, seed=seed), random(outputs, seed=1) if bias else None
    x = random(1, 1, inputs, seed=2)
    torch.testing.assert_close(Rows(weight, added, PACE)(x), F.linear(x, weight, added), atol=1e-4, rtol=1e-4)


def test_every_output_has_its_place() -> None:
    """Whole numbers, so that sums are exact: 1,025 outputs are four parts of 257, and three zeros are behind."""
    weight, x = torch.arange(1025 * 3).view(1025, 3).float(), torch.tensor([[[1.0, 10.0, 100.0]]])
    rows = Rows(weight, None, PACE)
    assert torch.equal(rows(x), F.linear(x, weight))
    assert (rows.parts, tuple(rows.rows.shape)) == (4, (12, 257))
    assert torch.equal(rows.rows[5], weight[257:514, 2])
    assert rows.rows[-1, -3:].tolist() == [0, 0, 0]


@pytest.mark.parametrize("shape", [(1, 1, 300), (2, 1, 300), (1, 4, 300)])
def test_only_a_single_vector_of_a_large_matrix_is_read_as_rows(shape: tuple[int, ...]) -> None:
    for outputs, large in ((300, True), (3, False)):
        layer, x = Projection(random(outputs, 300), None, PACE), random(*shape)
        torch.testing.assert_close(layer(x), F.linear(x, layer.weight), atol=1e-4, rtol=1e-4)
        assert ("rows" in vars(layer)) == (large and shape == (1, 1, 300))


# a model


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_the_quick_model_says_the_same(name: str) -> None:
    model = build(MODELS[name]).eval()
    twin, token = quickly(lambda m: quick(m, PACE), model), Sequence.text(ids(1, 1))
    logits = model(token)
    torch.testing.assert_close(twin(token), logits, atol=3e-6 * float(logits.abs().max()), rtol=0)
    assert_read_as_rows(twin)


def assert_read_as_rows(twin: nn.Module) -> None:
    """The output and both parts of the blocks, which have no cache here and so go through their usual parts."""
    alone = {name for name, part in twin.named_modules() if isinstance(part, Projection) and "rows" in vars(part)}
    together = {name for name, part in twin.named_modules() if getattr(vars(part).get("join"), "rows", None)}
    read = {name.rpartition(".")[0].replace(".usual", "") for name in alone} | together
    read = {name.replace(".usual", "") for name in read}
    assert read >= {f"blocks.{i}.{part}" for i in range(2) for part in ("attention", "feed_forward")} | {"output"}


@torch.no_grad()
def test_several_projections_of_one_vector_are_read_together() -> None:
    linears = [nn.Linear(12, outputs) for outputs in (5, 700, 9)]
    for bias in (True, False):
        for linear in linears:
            linear.bias = linear.bias if bias else None
        together = Together(PACE)
        for shape in ((1, 1, 12), (2, 1, 12), (1, 1, 12)):
            x = random(*shape)
            expected = torch.cat([linear(x) for linear in linears], dim=-1)
            torch.testing.assert_close(together(x, *linears), expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_the_model_itself_stays_as_it_was() -> None:
    model = build(LEARNED).eval()
    before, parts = {k: v.clone() for k, v in model.state_dict().items()}, list(model.modules())
    twin = quickly(lambda m: quick(m, PACE), model)
    twin(Sequence.text(ids(1, 1)))
    assert list(model.modules()) == parts
    assert not any(isinstance(part, Projection) for part in parts)
    assert all(torch.equal(model.state_dict()[name], before[name]) for name in before)
    shared = {part.weight.data_ptr() for part in twin.modules() if isinstance(part, Projection)}
    linears = {part.weight.data_ptr() for part in parts if isinstance(part, nn.Linear)}
    assert shared == linears | {model.embedding.table.weight.data_ptr()}  # tied: the output reads the table


def test_where_rows_are_no_faster_the_model_speaks_itself() -> None:
    model = build(SINES)
    assert quick(model, PACE) is not model
    with patch.object(module, "LARGEST", 10):
        assert quick(model, PACE) is model
    with patch.object(module, "kernel_reads_ahead", lambda: False):
        assert quick(model, PACE) is model
    assert quick(model.bfloat16(), PACE) is model


# threads


@pytest.mark.usefixtures("three_threads")
def test_threads_change_the_time_not_the_numbers() -> None:
    decoder, text, rows = LanguageDecoder(build(WIDE)), ids(1, 150), []
    for together in (False, True):
        with patch.object(Pace, "choose", lambda _, together=together: together):
            kept = decoder.start()
            rows.append(torch.stack([decoder.logits(token[None], kept) for token in text[0].split(1)]))
    assert torch.equal(*rows)


class Machine:
    """A clock: a step takes as long as the table says for the number of threads at the matrices."""

    def __init__(self, seconds: dict[int, float]) -> None:
        self.seconds, self.now = seconds, 0.0

    def run(self, pace: Pace, steps: int) -> list[int]:
        """The numbers of threads that it had."""
        used = []
        with patch.object(time, "perf_counter", lambda: self.now):
            for _ in range(steps):
                with pace.step():
                    used.append(pace.threads)
                    self.now += self.seconds[pace.threads]
        return used


@pytest.mark.usefixtures("three_threads")
@pytest.mark.parametrize(("seconds", "best"), [({1: 1.0, 3: 0.5}, 3), ({1: 1.0, 3: 9.0}, 1)])
def test_the_quicker_way_is_found_and_the_other_tried_now_and_then(seconds: dict[int, float], best: int) -> None:
    used = Machine(seconds).run(Pace(10), 40)
    assert set(used[:3]) == {1, 3}
    assert [step for step, threads in enumerate(used, 1) if threads != best and step > 3] == [4, 8, 16, 32]


@pytest.mark.usefixtures("three_threads")
def test_when_the_machine_gets_busy_the_pace_changes() -> None:
    machine, pace = Machine({1: 1.0, 3: 0.5}), Pace(10)
    machine.run(pace, 70)
    machine.seconds[3] = 30.0
    used = machine.run(pace, 50)
    assert used == [3] * 8 + [1] * 42  # eight late steps


@pytest.mark.usefixtures("three_threads")
@pytest.mark.parametrize(("numbers", "between"), [(10, 1), (FEW, 3)])
def test_a_step_gives_the_threads_back(numbers: int, between: int) -> None:
    def fails() -> None:
        assert torch.get_num_threads() == between
        raise ValueError("x")

    with pytest.raises(ValueError, match="x"), Pace(numbers).step():
        fails()
    assert torch.get_num_threads() == 3
    Rows(random(300, 300), None, PACE)(random(1, 1, 300))
    assert torch.get_num_threads() == 3
