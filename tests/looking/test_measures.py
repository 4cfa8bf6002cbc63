"""The named figures of heads, against plain loops and against heads written by hand."""

import math

import numpy as np
import pytest
import torch

from regard.looking.measures import measure
from regard.looking.sweep import after_the_same, sweep

from . import reference
from .small import (
    CONFIGS,
    FIRST,
    PLACES,
    PREVIOUS,
    SAME,
    UNIFORM,
    WORDS,
    block,
    build,
    call,
    induction,
    look,
    planted,
    text,
)

NAMES = ("entropy", "previous", "itself", "first", "induction", "distance")


@pytest.mark.parametrize("n", [2, 19, 61])
@pytest.mark.parametrize("name", CONFIGS)
def test_they_are_those_of_plain_loops(name: str, n: int) -> None:
    recording = look(build(CONFIGS[name]), text(n, vocabulary=7))
    for found in recording.measures():
        expected = reference.measures(recording.weights(found.layer, found.head).tolist(), recording.tokens.ids)
        np.testing.assert_allclose([getattr(found, one) for one in NAMES], [expected[one] for one in NAMES], rtol=1e-5)


def test_shares_are_of_what_the_heads_add() -> None:
    model = build()
    recording = look(model, text(21))
    found = [one for one in recording.measures() if one.layer == 1]
    call, matrix = recording.kept.call("self", 1), block(model, 1).attention.output.weight.detach()
    added = [call.out[h, 1:] @ matrix[:, 10 * h : 10 * h + 10].T for h in range(6)]  # the first row has no choice
    sizes = [float(one.norm(dim=1).mean()) for one in added]
    np.testing.assert_allclose([one.share for one in found], np.array(sizes) / sum(sizes), rtol=1e-5)
    assert sum(one.share for one in found) == pytest.approx(1)
    assert all(
        math.isnan(one.share) for one in measure(call, None, lambda head: sweep(call, head, recording.tokens.ids).sums)
    )


def test_planted_heads_are_told_apart() -> None:
    beta, n = 4.0, PLACES
    e = math.exp(beta)
    recording = look(planted(beta), text(n, vocabulary=WORDS))
    found = recording.measures()
    rows = range(1, n)
    assert found[PREVIOUS].previous == pytest.approx(sum(e / (e + i) for i in rows) / (n - 1), rel=1e-5)
    assert found[FIRST].first == pytest.approx(sum(e / (e + i) for i in rows) / (n - 1), rel=1e-5)
    assert found[UNIFORM].entropy == pytest.approx(1, rel=1e-6)
    assert found[UNIFORM].itself == pytest.approx(sum(1 / (i + 1) for i in rows) / (n - 1), rel=1e-6)
    assert found[UNIFORM].distance == pytest.approx(sum(i / 2 for i in rows) / (n - 1), rel=1e-6)
    assert found[SAME].itself > 3 * found[UNIFORM].itself


def test_where_there_is_no_choice_there_is_no_number() -> None:
    for one in look(build(), text(1)).measures():
        assert all(math.isnan(getattr(one, name)) for name in NAMES)
        assert one.induction_rows == 0


def test_across_two_sequences_only_entropy_and_first_are_known() -> None:
    across = call(kind="full", n=5, m=9)
    one = measure(across, None, lambda head: sweep(across, head, range(5)).sums)[0]
    assert math.isnan(one.previous)
    assert math.isnan(one.distance)
    assert 0 < one.entropy < 1


def test_an_induction_score_over_few_rows_is_marked() -> None:
    found = look(build(), text(30, vocabulary=29)).measures()[0]
    assert found.induction_rows < 20
    assert found.few
    assert not look(build(), text(60, vocabulary=5)).measures()[0].few
    assert after_the_same([3, 5, 3, 3, 5]).tolist() == [-1, -1, 1, 3, 2]


def test_a_two_layer_induction_head_is_found() -> None:
    ids = torch.tensor([[4, 0, 1, 2, 3, 5, 0, 1, 2, 3, 5, 0]])
    recording = look(induction(), ids)
    best = max((one for one in recording.measures() if not math.isnan(one.induction)), key=lambda one: one.induction)
    assert (best.layer, best.head) == (1, 0)
    assert best.induction == pytest.approx(5.5 / 6, rel=1e-6)  # the last row finds its word twice
    assert recording.row(1, 0, 7)[3] > 0.99  # the second 1 looks at what followed the first
    assert recording.prove().passed
