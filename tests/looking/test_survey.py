"""Measures over a data set: against recordings of each window and plain loops, with planted heads, however it goes."""

import math
import statistics

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from regard.errors import RegardError
from regard.looking.measures import FEW
from regard.looking.stopping import Stopped, while_wanted
from regard.looking.survey import MEASURES, Survey, Surveying, Windows, choose

from .small import FIRST, PLACES, PREVIOUS, UNIFORM, WORDS, Letters, build, induction, look, planted, text

SIZE, COUNT = 23, 7


def some(n: int = 500, vocabulary: int = 7) -> np.ndarray:
    return text(n, vocabulary=vocabulary)[0].numpy()


def chosen(n: int = 500, **how: int) -> Windows:
    return choose(some(n), Letters(), **{"windows": COUNT, "size": SIZE, **how})


@pytest.fixture(scope="module")
def survey() -> Survey:
    return Surveying(build(), chosen()).survey()


# which windows


@given(n=st.integers(2, 400), windows=st.integers(1, 30), size=st.integers(2, 60), seed=st.integers(0, 9))
def test_windows_are_parts_of_the_text_and_no_two_share_a_token(n: int, windows: int, size: int, seed: int) -> None:
    ids = some(n)
    found = choose(ids, Letters(), windows=windows, size=size, seed=seed)
    assert found.size == min(size, n)
    assert len(found) == min(windows, n // found.size)
    for k, (named, start) in enumerate(zip(found.named, found.starts, strict=True)):
        assert named.ids == tuple(ids[start : start + found.size])
        assert k * n // len(found) <= start  # evenly: one in each part
        assert start + found.size <= (k + 1) * n // len(found)


def test_the_seed_alone_decides_which_windows() -> None:
    assert chosen(seed=3) == chosen(seed=3)
    assert chosen(seed=3).starts != chosen(seed=4).starts
    assert len({chosen(seed=seed).starts[0] for seed in range(40)}) > 20  # of 49 places


def test_a_windows_text_is_that_of_its_tokens_without_half_characters() -> None:
    class Halves(Letters):
        def token_bytes(self, token: int) -> bytes:
            return (b"\xa4", b"a", b"b", b"", b"\xc3")[token % 5]

    found = choose(np.array([0, 1, 3, 2, 4]), Halves(), windows=1, size=5)
    assert found.text(0) == "ab"
    whole = choose(np.array([1, 4, 0, 2]), Halves(), windows=1, size=4)
    assert whole.text(0) == "aäb"


@pytest.mark.parametrize(
    ("n", "how", "part"),
    [(0, {}, "fewer than two tokens"), (1, {}, "fewer than two tokens"), (9, {"windows": 0}, "0 are none"),
     (9, {"windows": -1}, "-1 are none"), (9, {"seed": -1}, "-1 is below 0")],
)  # fmt: skip
def test_what_cannot_be_surveyed_is_refused(n: int, how: dict[str, int], part: str) -> None:
    with pytest.raises(RegardError, match=part):
        chosen(n, **how)


# the numbers


def test_each_number_is_that_of_a_recording_of_its_window(survey: Survey) -> None:
    model = build()
    for k, named in enumerate(survey.windows.named):
        for one in look(model, torch.tensor([named.ids])).measures():
            for name in MEASURES:
                assert survey.values[name][k, one.layer, one.head] == getattr(one, name)
            assert survey.induction_rows[k, one.layer, one.head] == one.induction_rows


def test_mean_spread_and_count_are_those_of_plain_loops_that_leave_nan_out(survey: Survey) -> None:
    values = {name: array.copy() for name, array in survey.values.items()}
    values["induction"][2:, 1, 4] = math.nan  # two windows are left
    values["induction"][1:, 0, 3] = math.nan  # one
    values["induction"][:, 2, 5] = math.nan  # none
    holes = Survey(survey.windows, values, survey.induction_rows)
    for name in MEASURES:
        mean, spread, count = holes.mean(name), holes.spread(name), holes.count(name)
        for layer, head in np.ndindex(mean.shape):
            known = [x for x in values[name][:, layer, head].tolist() if not math.isnan(x)]
            assert count[layer, head] == len(known)
            expected = [statistics.mean(known) if known else math.nan,
                        statistics.stdev(known) if len(known) > 1 else math.nan]  # fmt: skip
            np.testing.assert_allclose([mean[layer, head], spread[layer, head]], expected, rtol=1e-9)
    assert holes.count("induction")[1, 4] == 2
    assert holes.strongest("induction", 2, 5) == []
    assert sorted(holes.strongest("induction", 1, 4)) == [0, 1]
    assert len(holes.random()) == COUNT


def test_the_strongest_are_the_largest_in_order_and_of_equal_ones_the_earlier(survey: Survey) -> None:
    for name in MEASURES:
        values = survey.values[name][:, 2, 1].tolist()
        found = survey.strongest(name, 2, 1, 3)
        assert [values[k] for k in found] == sorted(values, reverse=True)[:3]
    level = Survey(survey.windows, {"first": np.ones((COUNT, 1, 1))}, survey.induction_rows)
    assert level.strongest("first", 0, 0, 4) == [0, 1, 2, 3]


def test_random_windows_come_from_the_seed_and_look_at_no_number(survey: Survey) -> None:
    other = Survey(survey.windows, {name: -array for name, array in survey.values.items()}, survey.induction_rows)
    assert survey.random(4, 1) == other.random(4, 1) == sorted(set(survey.random(4, 1)))
    drawn = [k for seed in range(200) for k in survey.random(4, seed)]
    assert len(drawn) == 800
    assert all(70 < drawn.count(k) < 165 for k in range(COUNT))  # each 114 times, give or take


def test_an_induction_score_over_few_rows_of_all_windows_is_marked() -> None:
    one = Surveying(build(), choose(some(20, 5), Letters(), windows=1, size=20)).survey()
    more = Surveying(build(), choose(some(40, 5), Letters(), windows=2, size=20)).survey()
    assert (one.induction_rows < FEW).all()
    assert one.few().all()
    assert (more.induction_rows < FEW).all()
    assert not more.few().any()


def test_planted_heads_score_highest() -> None:
    found = Surveying(planted(4.0), choose(some(600, WORDS), Letters(), windows=9, size=PLACES)).survey()
    for head, measure in ((PREVIOUS, "previous"), (FIRST, "first"), (UNIFORM, "entropy")):
        assert int(found.mean(measure).argmax()) == head
    e = math.exp(4.0)  # whatever stands in a window, so nothing is spread
    expected = sum(e / (e + i) for i in range(1, PLACES)) / (PLACES - 1)
    assert found.mean("previous")[0, PREVIOUS] == pytest.approx(expected, rel=1e-5)
    assert found.spread("previous")[0, PREVIOUS] == pytest.approx(0, abs=1e-6)


def test_a_planted_induction_head_scores_highest() -> None:
    found = Surveying(induction(), choose(some(600, WORDS), Letters(), windows=9, size=PLACES)).survey()
    score = found.mean("induction")
    assert int(score.argmax()) == 4  # layer 1, head 0
    assert score[1, 0] > 2 * np.delete(score.ravel(), 4).max()


# how it goes


def test_it_goes_on_where_it_was_stopped_and_ends_the_same(survey: Survey) -> None:
    surveying, asked = Surveying(build(), chosen()), 0

    def wanted() -> bool:
        nonlocal asked
        asked += 1
        return asked % 50 != 0  # each window asks some times: at each layer, and at each strip of a head

    stops, done = 0, list[int]()
    with while_wanted(wanted):
        while surveying.done < COUNT:
            try:
                done.append(next(surveying))
            except Stopped:
                stops += 1
    assert stops > 1
    assert done == list(range(1, COUNT + 1))
    assert next(surveying, None) is None
    again = surveying.survey()
    for name in MEASURES:
        np.testing.assert_array_equal(again.values[name], survey.values[name])
    np.testing.assert_array_equal(again.induction_rows, survey.induction_rows)


def test_what_is_not_wanted_measures_nothing() -> None:
    surveying = Surveying(build(), chosen())
    with while_wanted(lambda: False), pytest.raises(Stopped):
        next(surveying)
    assert surveying.done == 0


def test_nothing_as_large_as_a_matrix_is_kept(survey: Survey) -> None:
    sizes = [array.shape for array in (*survey.values.values(), survey.induction_rows)]
    assert set(sizes) == {(COUNT, 3, 6)}
