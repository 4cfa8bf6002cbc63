"""One pass over a head's matrix: its log-sum-exps, picture and sums are those of the whole matrix."""

import numpy as np
import pytest
import torch

from regard.looking.formula import STRIP, allowed, logsumexp, masked_scores
from regard.looking.kept import Call
from regard.looking.stopping import Stopped, while_wanted
from regard.looking.sweep import sweep

from .small import build, call, look, text

CALLS = [("causal", n, n) for n in (1, 127, 128, 129, 300)] + [
    (kind, n, m) for kind in ("full", "mixed") for n, m in ((130, 130), (5, 300), (300, 300))
]


@pytest.fixture(params=CALLS, ids=lambda one: "-".join(map(str, one)))
def ran(request: pytest.FixtureRequest) -> Call:
    kind, n, m = request.param
    return call(kind=kind, n=n, m=m, size=4.0)


def test_log_sum_exps_are_those_of_all_scores(ran: Call) -> None:
    whole = masked_scores(ran, 1, slice(None), slice(None)).logsumexp(-1)
    torch.testing.assert_close(sweep(ran, 1, range(ran.n)).total, whole, rtol=1e-13, atol=1e-13)


def test_the_picture_has_each_weight_and_no_masked_cell(ran: Call) -> None:
    whole = masked_scores(ran, 1, slice(None), slice(None)).softmax(-1).numpy()
    may = allowed(ran.mask, slice(None), slice(None)).numpy()
    found = sweep(ran, 1, range(ran.n)).level
    np.testing.assert_allclose(found, np.where(may, whole, np.nan), rtol=1e-6, atol=1e-44)


def test_sums_are_over_rows_with_a_choice(ran: Call) -> None:
    whole = masked_scores(ran, 1, slice(None), slice(None)).softmax(-1)
    keys = allowed(ran.mask, slice(None), slice(None)).sum(-1)
    sums, free = sweep(ran, 1, [0] * ran.n).sums, keys > 1
    assert sums.rows["entropy"] == int(free.sum())
    entropy = (torch.special.entr(whole).sum(-1) / keys.double().log())[free].sum()
    assert sums.values["entropy"] == pytest.approx(float(entropy), rel=1e-9)
    assert sums.values["first"] == pytest.approx(float(whole[free, 0].sum()), rel=1e-9)
    if ran.n == ran.m:
        i, j = torch.arange(ran.n)[:, None], torch.arange(ran.m)[None, :]
        assert sums.values["distance"] == pytest.approx(float((whole * (i - j).abs())[free].sum()), rel=1e-9)
        assert sums.values["itself"] == pytest.approx(float(whole.diagonal()[free].sum()), rel=1e-9)


def test_a_rows_number_is_the_same_however_it_is_asked_for() -> None:
    """Bit for bit: so a tile never changes, whatever was looked at before it."""
    ran = call(n=300, m=300)
    whole = sweep(ran, 2, range(300)).total
    for start, stop in ((0, 300), (0, 1), (127, 129), (STRIP, 2 * STRIP), (299, 300)):
        assert torch.equal(logsumexp(ran, 2, start, stop), whole[start:stop])


def test_some_rows_of_a_recording_ask_for_no_more_than_their_strips() -> None:
    recording = look(build(), text(97))
    of_all = look(build(), text(97)).weights(1, 2)
    np.testing.assert_array_equal(
        recording.weights(1, 2, rows=[90, 3, 40], cols=[1, 0]), of_all[[90, 3, 40]][:, [1, 0]]
    )


def test_it_stops_where_nobody_waits() -> None:
    with while_wanted(lambda: False), pytest.raises(Stopped):
        sweep(call(n=300, m=300), 0, range(300))
