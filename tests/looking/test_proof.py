"""The proof is green on what ran, whatever kernel and threads, and red for every error that it is there to find."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from regard.looking import formula
from regard.looking.formula import Index, allowed, scores
from regard.looking.kept import Call, Kept, mark
from regard.looking.probes import Probed, kernel_of, probe
from regard.looking.proof import TOLERANCE, prove
from regard.looking.record import Recording
from regard.looking.verdict import Check, Proof, short
from regard.model.mask import Mask
from regard.model.sequence import Sequence
from regard.model.transformer import Transformer

from .small import CONFIGS, LAYERS, PLACES, WORDS, block, build, call, look, marked, planted, text

Weights = Callable[[Call, int, Index, Index, Tensor], Tensor]
GREEN = r"Proven \(float32\): every weight within \de-\d of the kernel's own"


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def model() -> Transformer:
    return build()


@pytest.fixture(scope="module")
def recording(model: Transformer) -> Recording:
    return look(model, text(61))


@pytest.mark.parametrize(
    ("name", "n", "count"),
    [*((name, n, 1) for name in CONFIGS for n in (2, 64, 97)), ("qwen3", 33, 2)],
)
def test_what_ran_is_proven(name: str, n: int, count: int) -> None:
    with threads(count):
        proof = look(build(CONFIGS[name]), text(n)).prove()
    assert re.match(GREEN, proof.badge), proof.table()
    assert [check.name for check in proof.checks] == list("ABCDEFGS")
    assert proof.check("F").number == 0
    assert proof.bound is not None
    assert proof.bound < 1e-5


KINDS = ["causal", "full", "mixed"]
DTYPES = [torch.float32, torch.float16, torch.bfloat16, torch.float64]
KERNELS = [(kernel, dtype, kind, 1) for kernel in ("fused", "plain", "unfused") for dtype in DTYPES for kind in KINDS]


@pytest.mark.parametrize(("kernel", "dtype", "kind", "count"), [*KERNELS, ("fused", torch.float32, "mixed", 2)])
def test_every_kernel_is_proven(kernel: str, dtype: torch.dtype, kind: str, count: int) -> None:
    with threads(count):
        one = call(kernel=kernel, dtype=dtype, kind=kind, n=37, m=51 if kind == "mixed" else 37, d=16, size=1.0)
        found, limit = probed(one), TOLERANCE[one.dtype]
    for worst in (found.output, found.probe, found.column, found.logsumexp):
        assert worst.number <= limit
    assert found.forbidden.number == 0
    assert found.row_sum.number <= 1e-12


def probed(one: Call, weights: Weights = formula.weights) -> Probed:
    found = Probed()
    probe(one, kernel_of(one, torch.device("cpu")), weights, 7, found)
    return found


def test_the_badge_says_what_could_not_be_seen(model: Transformer) -> None:
    alone = look(model, text(1)).prove()
    every = "a scale 1 % off, a mask off by one, heads swapped, keys shifted by one"
    assert alone.badge.endswith(f"; could not see here: {every}")
    assert alone.passed
    flat = look(planted(0.0), text(PLACES, vocabulary=WORDS)).prove()  # all heads look at all alike
    assert flat.unseen == ("a scale 1 % off", "heads swapped", "keys shifted by one")
    assert look(model, text(60)).prove().unseen == ()


# Mutants of the recomputation: B or C must object.


def recomputed(call: Call, head: int, rows: Index, columns: Index, may: Tensor | None = None) -> Tensor:
    entering = scores(call, head, rows, columns)
    return entering.masked_fill(~(allowed(call.mask, rows, columns) if may is None else may), -torch.inf).softmax(
        dim=-1
    )


def wrong_scale(call: Call, head: int, rows: Index, columns: Index, total: Tensor) -> Tensor:
    return recomputed(replace(call, scale=1.01 * call.scale), head, rows, columns)


def mask_off_by_one(call: Call, head: int, rows: Index, columns: Index, total: Tensor) -> Tensor:
    i, j = torch.arange(call.n)[rows], torch.arange(call.m)[columns]
    return recomputed(call, head, rows, columns, j[None] <= i[:, None] + 1)


def forbidden_key(call: Call, head: int, rows: Index, columns: Index, total: Tensor) -> Tensor:
    weights = formula.weights(call, head, rows, columns, total)
    return weights + 1e-3 * (head == 1) * ~allowed(call.mask, rows, columns)


def swapped_heads(call: Call, head: int, rows: Index, columns: Index, total: Tensor) -> Tensor:
    return recomputed(call, head ^ 1, rows, columns)


def wrong_repeat(call: Call, head: int, rows: Index, columns: Index, total: Tensor) -> Tensor:
    tiled = call.key[torch.arange(call.heads) % call.groups]  # as repeat does; repeat_interleave is right
    return recomputed(replace(call, key=tiled), head, rows, columns)


def keys_shifted(call: Call, head: int, rows: Index, columns: Index, total: Tensor) -> Tensor:
    return recomputed(replace(call, key=call.key.roll(1, dims=1)), head, rows, columns)


def one_wrong_weight(call: Call, head: int, rows: Index, columns: Index, total: Tensor) -> Tensor:
    weights = formula.weights(call, head, rows, columns, total).clone()
    weights[-1, 0] += 1e-3 * (head == call.heads - 1)
    return weights


MUTANTS = [wrong_scale, mask_off_by_one, forbidden_key, swapped_heads, wrong_repeat, keys_shifted, one_wrong_weight]


@pytest.mark.parametrize("weights", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_wrong_recomputation_turns_it_red(recording: Recording, model: Transformer, weights: Weights) -> None:
    proof = prove(recording.kept, model, seed=5, weights=weights)
    assert re.match(r"Not proven: check [BC], layer \d head \d, \de-?\d", proof.badge)
    assert proof.check("A").passed
    assert not proof.check("C").passed


def test_a_row_forged_in_the_null_space_of_the_values_passes_b_and_fails_c(model: Transformer) -> None:
    """With more keys than numbers in a value, other rows give the same output and sum to 1 (Brunner et al. 2020)."""

    def forged(call: Call, head: int, rows: Index, columns: Index, total: Tensor) -> Tensor:
        weights = formula.weights(call, head, rows, columns, total).clone()
        if head == 2 and call.layer == 1:
            value = call.value[call.group(head)].double()
            fixed = torch.cat((value, torch.ones(call.m, 1)), dim=1).T  # (d + 1, m): output and sum must stay
            null = torch.linalg.svd(fixed).Vh[len(fixed) :]  # (m - d - 1, m)
            away = (weights[-1] @ null.T) @ null  # the part of the row that moves neither
            weights[-1] -= 0.1 * away / away.abs().sum() * 2
        return weights

    proof = prove(look(model, text(61)).kept, model, seed=5, weights=forged)
    assert proof.check("B").passed
    assert proof.check("E").passed
    assert re.match(r"Not proven: check C, layer 1 head 2, \de-[12]", proof.badge)


def test_the_wrong_corner_turns_it_red_where_rows_are_fewer_than_keys() -> None:
    one = call(kind="mixed", n=5, m=19)

    def upper_left(call: Call, head: int, rows: Index, columns: Index, total: Tensor) -> Tensor:
        i, j = torch.arange(call.n)[rows], torch.arange(call.m)[columns]
        return recomputed(call, head, rows, columns, j[None] <= i[:, None])

    assert probed(one).probe.number < 5e-6
    found = probed(one, upper_left)
    assert found.output.number > 0.1
    assert found.probe.number > 0.1


# Mutants of what is kept: as if something else had been recorded than what ran.


def with_call(kept: Kept, changed: Call) -> Kept:
    return replace(kept, calls={**kept.calls, (changed.site, changed.layer): changed})


def failed(kept: Kept, model: Transformer | None, **how: Any) -> Check:
    """The check that the badge names."""
    proof = prove(kept, model, seed=5, **how)
    match = re.match(r"Not proven: check (\w)", proof.badge)
    assert match, proof.badge
    return proof.check(match[1])


def test_a_wrong_scale_kept_turns_it_red(recording: Recording, model: Transformer) -> None:
    one = recording.kept.call("self", 1)
    kept = with_call(recording.kept, replace(one, scale=1.01 * one.scale))
    assert failed(kept, None).name == "B"
    assert failed(kept, model).note.startswith("a second pass uses")


def test_queries_before_rotation_turn_it_red(recording: Recording, model: Transformer) -> None:
    one = recording.kept.call("self", 2)
    turn = model.position.rotation(recording.kept.sequence.position)
    assert turn is not None
    there = torch.eye(10)[None].expand(one.n, -1, -1)  # what the rotation does to each axis, at each place
    matrix = turn(there.transpose(0, 1)[None])[0].transpose(0, 1)  # (n, 10, 10)
    query, key = ((x[:, :, None] @ matrix.transpose(1, 2))[:, :, 0] for x in (one.query, one.key))  # turned back
    kept = with_call(recording.kept, marked(replace(one, query=query, key=key)))
    check = failed(kept, None)
    assert (check.name, check.layer) == ("B", 2)


def test_the_mask_off_by_one_as_kept_turns_it_red(recording: Recording) -> None:
    one = recording.kept.call("self", 0)
    loose = torch.arange(one.m)[None] <= torch.arange(one.n)[:, None] + 1
    assert (
        failed(with_call(recording.kept, replace(one, mask=Mask("mixed", one.n, one.m, loose[None]))), None).name == "B"
    )


def test_dropped_weights_turn_it_red(recording: Recording) -> None:
    one = recording.kept.call("self", 1)
    out = one.out.clone()
    weights = torch.from_numpy(recording.weights(1, 3))
    torch.manual_seed(0)
    out[3] = nn.functional.dropout(weights, 0.1) @ one.value[one.group(3)]
    check = failed(with_call(recording.kept, marked(replace(one, out=out))), None)
    assert (check.name, check.layer, check.head) == ("B", 1, 3)


class AlwaysOn(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(x, 0.1)


def test_dropout_left_on_turns_it_red() -> None:
    model = build()
    block(model, 2).dropout = AlwaysOn()  # type: ignore[assignment]
    recording = look(model, text(20))
    proof = recording.prove()
    assert not proof.check("F").passed
    assert not proof.passed


def test_narrower_storage_turns_it_red(recording: Recording) -> None:
    one = recording.kept.call("self", 0)
    narrow = replace(one, query=one.query.bfloat16(), key=one.key.bfloat16())
    assert failed(with_call(recording.kept, marked(narrow)), None).note.startswith("query is kept as torch.bfloat16")
    rounded = marked(replace(one, query=narrow.query.float(), key=narrow.key.float()))
    assert failed(with_call(recording.kept, rounded), None).name == "B"


def test_one_flipped_bit_in_a_query_turns_it_red(model: Transformer) -> None:
    recording = look(model, text(30))
    bits = recording.kept.call("self", 2).query.view(torch.int32)
    bits[4, 17, 3] ^= 1
    check = failed(recording.kept, None)
    assert (check.name, check.layer, check.head) == ("A", 2, 4)
    assert check.note == "query is not what was recorded"
    assert recording.prove().badge == "Not proven: check A, layer 2 head 4, 1e0"


def test_a_bit_flipped_together_with_its_mark_is_found_by_a_second_pass(model: Transformer) -> None:
    recording = look(model, text(30))
    one = recording.kept.call("self", 1)
    query = one.query.clone()
    query.view(torch.int32)[0, 3, 2] ^= 1
    kept = with_call(recording.kept, marked(replace(one, query=query)))
    assert failed(kept, model, exact=True).note == "a second pass gives others"
    assert prove(kept, model, seed=5).passed  # another machine's last bits are not held against it


@given(st.integers(0, 2), st.integers(0, 6), st.integers(0, 4), st.integers(0, 31))
def test_any_flipped_bit_changes_the_mark(head: int, row: int, column: int, bit: int) -> None:
    x = torch.randn(3, 7, 5, generator=torch.Generator().manual_seed(0))
    before = mark(x)
    x.view(torch.int32)[head, row, column] ^= torch.tensor(1 << bit if bit < 31 else -(1 << 31), dtype=torch.int32)
    after = mark(x)
    assert [i for i in range(3) if before[i] != after[i]] == [head]


def test_exchanged_rows_change_the_mark() -> None:
    x = torch.randn(2, 6, 4)
    assert mark(x) != mark(x[:, [1, 0, 2, 3, 4, 5]])
    assert mark(x) != mark(x.flip(0))


def test_another_checkpoint_turns_it_red(recording: Recording) -> None:
    proof = Recording(recording.kept, build(seed=8), recording.model_hash).prove()
    assert proof.badge == "Not proven: check A"
    assert proof.check("A").note == "these are not the weights that were recorded"
    assert not proof.check("F").passed


def test_a_model_that_learnt_on_turns_it_red() -> None:
    model = build()
    recording = look(model, text(30))
    _ = recording.model_hash
    with torch.no_grad():
        block(model, 1).attention.key.weight += 1e-3
    assert not recording.prove().check("A").passed


def test_a_stream_that_does_not_add_up_turns_it_red(recording: Recording, model: Transformer) -> None:
    streams = dict(recording.kept.streams)
    streams["attention", 1] = streams["attention", 1] * 1.001
    check = failed(replace(recording.kept, streams=streams), model)
    assert (check.name, check.layer) == ("S", 1)


def test_other_logits_turn_it_red(recording: Recording, model: Transformer) -> None:
    readings = replace(recording.readings, top_logits=recording.readings.top_logits + np.float32(0.01))
    assert failed(replace(recording.kept, readings=readings), model).name == "F"


def test_a_kernel_that_lets_a_masked_key_through_turns_it_red() -> None:
    one = call(n=21, m=21)
    real = kernel_of(one, torch.device("cpu"))
    assert real is not None
    found = Probed()
    leaking = lambda columns: real(columns) + 1e-12  # noqa: E731
    probe(one, leaking, formula.weights, 7, found)
    assert 0 < found.forbidden.number < 1e-11


def test_a_wrong_logsumexp_of_the_kernel_turns_it_red(recording: Recording) -> None:
    one = recording.kept.call("self", 0)
    assert one.logsumexp is not None
    kept = with_call(recording.kept, replace(one, logsumexp=one.logsumexp * 1.001))
    assert failed(kept, None).note == "log-sum-exp"


def test_without_the_model_only_a_b_and_e_are_made(recording: Recording) -> None:
    proof = prove(recording.kept, None)
    assert [check.name for check in proof.checks if check.passed] == ["A", "B", "E"]
    assert proof.badge == "Not proven: C, D, F, G, S not done (A, B, E passed)"
    assert proof.bound is None


def test_a_kernel_that_is_not_here_is_named(recording: Recording, model: Transformer) -> None:
    one = recording.kept.call("self", 0)
    proof = prove(with_call(recording.kept, replace(one, kernel="another_kernel")), model)
    assert proof.check("C").note == "another_kernel is not to be had here"
    assert not proof.passed


def test_the_bound_holds_for_every_weight(recording: Recording) -> None:
    """The kernel's own weights, column by column with one-hot values, against those shown."""
    proof = recording.prove()
    assert proof.bound is not None
    for layer in range(LAYERS):
        one = recording.kept.call("self", layer)
        kernel = kernel_of(one, torch.device("cpu"))
        assert kernel is not None
        own = kernel(torch.eye(one.m)).double()
        for head in range(one.heads):
            away = (own[head] - torch.from_numpy(recording.weights(layer, head)).double()).norm(dim=-1)
            assert away.max() <= proof.bound


def test_a_proof_survives_json(recording: Recording) -> None:
    proof = recording.prove(seed=11)
    assert Proof.from_json(proof.to_json()) == proof
    assert proof.seed == 11
    assert len(proof.table().splitlines()) == 9
    for wrong in ({}, {**proof.to_json(), "seconds": "long"}, {**proof.to_json(), "more": 1}):
        with pytest.raises((TypeError, ValueError, KeyError)):
            Proof.from_json(wrong)


@pytest.mark.parametrize(
    ("number", "up", "said"),
    [(3.2e-2, False, "3e-2"), (3.2e-2, True, "4e-2"), (9.6e-7, False, "1e-6"), (8e-7, True, "8e-7"), (0.0, True, "0"),
     (float("nan"), False, "NaN"), (float("inf"), True, "infinity"), (-2e3, False, "-2e3")],
)  # fmt: skip
def test_numbers_are_said_in_one_digit(number: float, up: bool, said: str) -> None:
    assert short(number, up) == said


def test_the_badge_follows_the_state(recording: Recording, model: Transformer) -> None:
    fresh = look(model, text(8))
    assert fresh.badge == "Not proven: the proof has not run yet"
    fresh.proving = True
    assert fresh.badge == "Proof running"
    sequence = Sequence.text(text(8))
    assert torch.equal(fresh.kept.sequence.tokens, sequence.tokens)
