"""What a block holds is the sum of its allowed cells in plain loops over another softmax; nothing else is a block."""

import math

import pytest
import torch

from regard.errors import RegardError
from regard.looking.block import Amount, block_of
from regard.looking.kept import Call
from regard.looking.record import Recording
from regard.looking.stopping import Stopped, while_wanted

from . import reference
from .small import QWEN3, block, build, call, look, text

Cells = list[list[float]]
May = list[list[bool]]


def cells_of(ran: Call, head: int) -> tuple[Cells, May]:
    """Weights in plain loops, and which cells are allowed."""
    may = [[j <= i for j in range(ran.m)] for i in range(ran.n)] if ran.mask.kind == "causal" else (
        ran.mask.matrix()[0].tolist())  # fmt: skip
    query, key = ran.query[head].double().tolist(), ran.key[ran.group(head)].double().tolist()
    return reference.weights(query, key, may, ran.scale), may


def check(found: Amount, cells: Cells, may: May, rows: range, columns: range) -> None:
    seen = [(cells[i][j], (i, j)) for i in rows for j in columns if may[i][j]]
    assert found.sum == pytest.approx(math.fsum(x for x, _ in seen), rel=1e-12)
    if not seen:
        assert math.isnan(found.mean)
        assert math.isnan(found.largest)
        assert found.at is None
        return
    assert found.mean == pytest.approx(math.fsum(x for x, _ in seen) / len(seen), rel=1e-12)
    assert found.largest == pytest.approx(max(seen)[0], rel=1e-12)
    assert found.at == max(seen)[1]


ALL = range(13)
BLOCKS = [(range(1), range(1)), (range(3, 9), range(2, 7)), (range(3), range(5, 9)), (ALL, ALL), (range(12, 13), ALL),
          (ALL, range(6, 7))]  # fmt: skip


@pytest.mark.parametrize("kind", ["causal", "full", "mixed"])
@pytest.mark.parametrize(("rows", "columns"), BLOCKS)
def test_sums_means_and_largest_are_of_the_allowed_cells(kind: str, rows: range, columns: range) -> None:
    ran = call(kind=kind, size=2.0)
    cells, may = cells_of(ran, 1)
    found = block_of(ran, 1, rows, columns, None)
    check(found.weights, cells, may, rows, columns)
    assert found.contributions is None
    assert found.cells == len(rows) * len(columns)
    assert found.allowed == sum(may[i][j] for i in rows for j in columns)
    assert found.share == pytest.approx(sum(cells[i][j] for i in rows for j in columns) / len(rows), rel=1e-12)


@pytest.mark.parametrize(("rows", "columns"), [((120, 300), (0, 300)), ((127, 129), (100, 140)), ((256, 257), (0, 5))])
def test_blocks_reach_over_strips(rows: tuple[int, int], columns: tuple[int, int]) -> None:
    ran = call(n=300, m=300, size=3.0)
    cells, may = cells_of(ran, 2)
    check(block_of(ran, 2, range(*rows), range(*columns), None).weights, cells, may, range(*rows), range(*columns))


@pytest.fixture(scope="module")
def recording() -> Recording:
    return look(build(QWEN3), text(30))


def test_contributions_are_lengths_after_the_output_matrix(recording: Recording) -> None:
    layer, head, rows, columns = 1, 4, range(5, 21), range(2, 17)
    ran = recording.kept.call("self", layer)
    weights, may = cells_of(ran, head)
    assert recording.model is not None
    d = ran.value.shape[-1]
    matrix = block(recording.model, layer).attention.output.weight[:, head * d : (head + 1) * d].double().tolist()
    values = ran.value[ran.group(head)].double().tolist()
    lengths = [[reference.contribution(w, v, matrix) for w, v in zip(row, values, strict=True)] for row in weights]
    found = recording.block(layer, head, slice(rows.start, rows.stop), slice(columns.start, columns.stop))
    assert found.contributions is not None
    check(found.contributions, lengths, may, rows, columns)
    check(found.weights, weights, may, rows, columns)


def test_all_of_a_matrix_holds_the_mass_of_its_rows(recording: Recording) -> None:
    found = recording.block(2, 0, slice(None), slice(None))
    assert found.weights.sum == pytest.approx(30, rel=1e-12)
    assert found.share == pytest.approx(1, rel=1e-12)
    assert (found.cells, found.allowed) == (900, 465)


@pytest.mark.parametrize("wrong", [slice(3, 3), slice(5, 2), slice(0, 31), slice(-2, 4), slice(0, 9, 2)])
def test_what_is_no_block_is_refused(recording: Recording, wrong: slice) -> None:
    with pytest.raises(RegardError, match=r"^rows: .* is no run of them; choose some of 0 to 29"):
        recording.block(0, 0, wrong, slice(0, 3))
    with pytest.raises(RegardError, match=r"^cols: "):
        recording.block(0, 0, slice(0, 3), wrong)
    with pytest.raises(RegardError, match="head"):
        recording.block(0, 99, slice(0, 3), slice(0, 3))


def test_it_stops_where_nobody_waits() -> None:
    with while_wanted(lambda: False), pytest.raises(Stopped):
        block_of(call(n=300, m=300), 0, range(300), range(300), None)


def test_blind_rows_hold_nothing() -> None:
    """Rows that may look at nothing are 0 everywhere, as the kernel has them."""
    ran = call(kind="mixed", n=5, m=3)
    blind = block_of(ran, 0, range(2), range(3), None)
    assert blind.allowed == 0
    assert blind.weights.sum == 0
    assert torch.equal(ran.out[0, :2], torch.zeros_like(ran.out[0, :2]))
