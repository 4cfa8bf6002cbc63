"""What a recording keeps and returns, against plain loops and against heads whose attention is known in closed form."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from regard.errors import RegardError
from regard.looking.capture import Recorder
from regard.looking.readings import read
from regard.looking.record import record
from regard.model.attention import Additive
from regard.model.block import LayerNorm
from regard.model.mask import Places
from regard.model.sequence import Sequence

from . import reference
from .small import (
    CONFIGS,
    FIRST,
    GPT2,
    LAYERS,
    PLACES,
    PREVIOUS,
    QWEN3,
    SAME,
    UNIFORM,
    WORDS,
    block,
    build,
    look,
    named,
    planted,
    text,
)


def causal(n: int) -> list[list[bool]]:
    return [[j <= i for j in range(n)] for i in range(n)]


@pytest.mark.parametrize("name", CONFIGS)
def test_looking_changes_nothing(name: str) -> None:
    model, ids = build(CONFIGS[name]), text(41)
    with torch.no_grad():
        assert torch.equal(model(Sequence.text(ids)), model(Sequence.text(ids), record=Recorder()))
        recorded = look(model, ids)
        assert recorded.kept.logits is not None
        assert torch.equal(recorded.kept.logits, model(Sequence.text(ids))[0])


@pytest.mark.parametrize("n", [1, 2, 17])
@pytest.mark.parametrize("name", CONFIGS)
def test_every_weight_score_and_contribution_is_that_of_plain_loops(name: str, n: int) -> None:
    model = build(CONFIGS[name])
    recording = look(model, text(n))
    for layer in range(LAYERS):
        call = recording.kept.call("self", layer)
        matrix = block(model, layer).attention.output.weight.detach().double()
        for head in range(recording.heads):
            group = head // (call.heads // call.groups)
            query, key, value = (x.double().tolist() for x in (call.query[head], call.key[group], call.value[group]))
            w = reference.weights(query, key, causal(n), call.scale)
            np.testing.assert_allclose(recording.weights(layer, head), w, rtol=1e-6, atol=1e-12)
            total = [reference.logsumexp(q, key, may, call.scale) for q, may in zip(query, causal(n), strict=True)]
            np.testing.assert_allclose(recording.logsumexp(layer, head), total, rtol=1e-12)
            mixing = matrix[:, head * call.query.shape[-1] : (head + 1) * call.query.shape[-1]].tolist()
            made = [[reference.contribution(w[i][j], value[j], mixing) for j in range(n)] for i in range(n)]
            np.testing.assert_allclose(recording.contributions(layer, head), made, rtol=1e-6, atol=1e-12)
    last = recording.scores(LAYERS - 1, head)
    expected = [[call.scale * float(np.dot(query[i], key[j])) if j <= i else 0.0 for j in range(n)] for i in range(n)]
    np.testing.assert_allclose(last, expected, rtol=1e-5, atol=1e-6)
    assert (recording.mask() == np.array(causal(n))).all()


def words(*numbers: int) -> Tensor:
    return torch.tensor([numbers])


def test_planted_heads_have_their_closed_forms() -> None:
    beta = 3.0
    ids = words(0, 1, 2, 0, 1, 3, 0, 4, 4, 5)
    recording, n, e = look(planted(beta), ids), 10, math.exp(beta)
    for i in range(n):
        np.testing.assert_allclose(recording.row(0, FIRST, i)[0], e / (e + i), rtol=1e-5)
        np.testing.assert_allclose(recording.row(0, UNIFORM, i)[: i + 1], 1 / (i + 1), rtol=1e-6)
        matches = [j for j in range(i + 1) if ids[0, j] == ids[0, i]]
        same = e / (len(matches) * e + i + 1 - len(matches))
        np.testing.assert_allclose(recording.row(0, SAME, i)[matches], same, rtol=1e-5)
        if i:
            np.testing.assert_allclose(recording.row(0, PREVIOUS, i)[i - 1], e / (e + i), rtol=1e-5)
    np.testing.assert_allclose(recording.first_mass(0, FIRST), [e / (e + i) for i in range(n)], rtol=1e-5)


def test_scores_of_eighty_give_exact_weights() -> None:
    recording = look(planted(80.0), text(PLACES, vocabulary=WORDS))
    assert recording.scores(0, FIRST)[5, 0] == pytest.approx(80, rel=1e-6)
    assert recording.weights(0, FIRST)[5, 3] == pytest.approx(math.exp(-80) / (1 + 5 * math.exp(-80)), rel=1e-4)
    assert look(planted(-80.0), text(PLACES, vocabulary=WORDS)).weights(0, FIRST)[5, 3] == pytest.approx(0.2, rel=1e-6)


def test_twin_keys_get_the_same_weight() -> None:
    row = look(planted(4.0), words(2, 1, 2, 5)).row(0, SAME, 2)
    assert row[0] == row[2] > row[1]


def test_a_large_weight_on_a_zero_value_contributes_nothing() -> None:
    recording = look(planted(5.0, gain=2.0), text(6, vocabulary=WORDS))
    assert recording.weights(0, FIRST)[5, 0] > 0.9
    assert (recording.contributions(0, FIRST) == 0).all()  # the first-token head's values are zero
    np.testing.assert_allclose(recording.contributions(0, UNIFORM, rows=3), [[0.5] * 4 + [0.0] * 2], rtol=1e-6)


def test_rows_and_columns_can_be_chosen() -> None:
    recording = look(build(), text(20))
    whole = recording.weights(1, 2)
    assert whole.dtype == np.float32
    for rows, cols in ((3, None), (slice(2, 9), slice(None, None, 3)), ([5, 1], np.array([0, 7])), (-0, 19)):
        down, across = (
            np.atleast_1d(np.arange(20)[rows]),
            np.arange(20) if cols is None else np.atleast_1d(np.arange(20)[cols]),
        )
        np.testing.assert_array_equal(recording.weights(1, 2, rows=rows, cols=cols), whole[np.ix_(down, across)])
    np.testing.assert_array_equal(recording.row(1, 2, 7), whole[7])


@pytest.mark.parametrize(
    ("arguments", "named_in"),
    [({"layer": 3}, "layer: 3"), ({"head": 6}, "head: 6"), ({"rows": 20}, "rows: 20"), ({"cols": [-1]}, "cols: -1"),
     ({"site": "cross"}, "site: 'cross'")],
)  # fmt: skip
def test_what_does_not_exist_is_refused_by_name(arguments: dict[str, object], named_in: str) -> None:
    recording = look(build(), text(20))
    with pytest.raises(RegardError, match=named_in):
        recording.weights(**{"layer": 0, "head": 0} | arguments)  # type: ignore[arg-type]


def test_streams_add_up_and_the_last_lens_is_the_output() -> None:
    model, ids = build(), text(23)
    recording = look(model, ids)
    for layer in range(LAYERS):
        part, call = block(model, layer), recording.kept.call("self", layer)
        added = part.attention.output(call.out.transpose(0, 1).flatten(1)).detach().numpy()
        np.testing.assert_allclose(recording.stream(layer, "attention"), recording.stream(layer) + added, atol=1e-5)
        middle = torch.from_numpy(recording.stream(layer, "attention"))
        fed = part.feed_forward(part.feed_forward_norm(middle)).detach().numpy()
        np.testing.assert_allclose(recording.stream(layer + 1), middle.numpy() + fed, atol=1e-5)
    assert np.array_equal(recording.lens(None, LAYERS).top_logits, recording.readings.top_logits)
    one = recording.lens(5, LAYERS)
    np.testing.assert_allclose(one.top_logits[0], recording.readings.top_logits[5], atol=1e-5)
    assert one.rank[0] == recording.readings.rank[5]


def test_a_lens_reading_is_the_final_norm_of_that_layers_stream() -> None:
    model, ids = build(GPT2), text(9)
    recording = look(model, ids)
    x = torch.from_numpy(recording.stream(1)[4]).double()
    norm = model.output.norm
    assert isinstance(norm, LayerNorm)
    normed = (x - x.mean()) / ((x - x.mean()).square().mean() + norm.eps).sqrt() * norm.weight + norm.bias
    logits = (model.output.matrix.double() @ normed).detach()
    found = recording.lens(4, 1)
    np.testing.assert_allclose(found.top_logits[0], logits.sort(descending=True).values, atol=1e-5)
    assert found.truth[0] == ids[0, 5]


def test_readings_are_those_of_plain_loops_ties_too() -> None:
    logits = torch.tensor([[1.0, 3.0, 3.0, 0.5], [2.0, 2.0, 2.0, 2.0], [0.0, -1.0, 5.0, 4.0]])
    found = read([logits[:1], logits[1:]], torch.tensor([2, 0, -1]))
    assert found.rank.tolist() == [1, 1, 0]
    assert found.ties.tolist() == [1, 3, 0]
    assert found.top[2].tolist() == [2, 3, 0, 1]
    expected = [math.log(sum(math.exp(x) for x in row)) for row in logits.tolist()]
    np.testing.assert_allclose(found.logsumexp, expected, rtol=1e-6)
    np.testing.assert_allclose(found.log_probability[:2], [3 - expected[0], 2 - expected[1]], rtol=1e-6)
    assert math.isnan(found.log_probability[2])


def test_the_recording_costs_the_memory_of_its_table() -> None:
    model, n = build(QWEN3), 96
    kept = look(model, text(n)).kept
    heads, groups, d, width = 6, 2, 10, model.config.width
    table = LAYERS * 4 * n * ((heads + groups + groups + heads) * d + heads) + (2 * LAYERS + 1) * 4 * n * width
    tensors = [x for call in kept.calls.values() for x in (call.query, call.key, call.value, call.out, call.logsumexp)]
    stores = [x.untyped_storage() for x in (*tensors, *kept.streams.values()) if x is not None]
    held = {store.data_ptr(): store.nbytes() for store in stores}
    assert table <= sum(held.values()) <= 1.05 * table


def test_evaluation_mode_is_used_and_the_training_mode_comes_back() -> None:
    model = build(replace(QWEN3, dropout=0.5))
    calm = look(model, text(12)).stream(LAYERS)
    model.train()
    block(model, 1).eval()
    assert np.array_equal(look(model, text(12)).stream(LAYERS), calm)
    assert model.training
    assert not block(model, 1).training
    assert block(model, 0).dropout.training


class StubbornDropout(nn.Dropout):
    def train(self, mode: bool = True) -> "StubbornDropout":
        return super().train(True)


def test_dropout_that_stays_on_is_refused() -> None:
    model = build()
    block(model, 1).dropout = StubbornDropout(0.1)  # type: ignore[assignment]
    with pytest.raises(RegardError, match=r"blocks\.1\.dropout: dropout stays on"):
        look(model, text(5))


def test_an_unknown_score_is_refused_by_name() -> None:
    model = build()
    block(model, 1).attention.score = Additive(torch.ones(10, 3), torch.ones(10, 3), torch.ones(3))  # type: ignore[assignment]
    with pytest.raises(RegardError, match="layer 1: its score is Additive"):
        look(model, text(5))


@pytest.mark.parametrize("part", ["query", "key", "value"])
def test_nan_is_refused_where_it_is(part: str) -> None:
    model = build(GPT2)
    with torch.no_grad():
        getattr(block(model, 2).attention, part).bias[9] = torch.nan
    with pytest.raises(RegardError, match=rf"layer 2: {part} of head 1, position 0"):
        look(model, text(5))


def test_nan_in_the_logits_is_refused() -> None:
    model = build()
    with torch.no_grad():
        model.output.matrix[3] = torch.inf
    with pytest.raises(RegardError, match="logits: they hold NaN"):
        look(model, text(5))


def test_only_one_whole_example_of_8192_tokens_is_recorded() -> None:
    model = build()
    with pytest.raises(RegardError, match="it has 8,193 tokens, over the 8,192"):
        look(model, torch.zeros(1, 8193, dtype=torch.long))
    with pytest.raises(RegardError, match="2 examples were given"):
        record(model, Sequence.text(text(4).expand(2, -1)), named(text(4)))
    with pytest.raises(RegardError, match="padding"):
        record(model, Sequence.packed(text(4), torch.tensor([[0, 0, 0, -1]])), named(text(4)))
    with pytest.raises(RegardError, match="3 were named and 4 given"):
        record(model, Sequence.text(text(4)), named(text(3)))


def test_packed_documents_are_recorded_with_their_mask() -> None:
    ids = text(6)
    places = Sequence.packed(ids, torch.tensor([[0, 0, 0, 1, 1, 1]]))
    recording = record(build(), places, named(ids))
    assert (recording.weights(0, 0)[3:, :3] == 0).all()
    np.testing.assert_allclose(recording.weights(0, 0).sum(axis=1), 1, rtol=1e-6)
    assert recording.prove(seed=1).passed
    blind = Sequence.of(
        ids, places.position, Places(*(torch.zeros(1, 6, dtype=torch.long),) * 2, torch.arange(6)[None])
    )
    assert record(build(), blind, named(ids)).kept.call("self", 0).mask.kind == "causal"


def test_tokens_know_where_they_come_from() -> None:
    tokens = named(torch.tensor([[0, 1, 2]]))
    assert tokens.labels == ("a", "b", "c")
    assert tokens.offsets == ((0, 1), (1, 2), (2, 3))
    assert tokens.kinds == ("text",) * 3


def test_the_hash_is_of_the_weights_that_ran() -> None:
    model = build()
    first, second = look(model, text(5)), look(model, text(5))
    known = first.model_hash
    with torch.no_grad():
        block(model, 0).attention.query.weight[0, 0] += 1
    assert first.model_hash == known
    with pytest.raises(RegardError, match="weights were changed"):
        second.model_hash  # noqa: B018
    assert look(model, text(5)).model_hash != known


def test_printed_it_says_in_one_line_what_it_is() -> None:
    recording = look(build(), text(12))
    assert repr(recording) == "<Recording small: 12 tokens, 3 layers x 6 heads, Not proven: the proof has not run yet>"
    recording.prove(seed=1)
    assert repr(recording).endswith(f"3 layers x 6 heads, {recording.badge}>")
    one = record(planted(), Sequence.text(text(1, vocabulary=WORDS)), named(text(1)), name="a\n\u202eb")
    assert repr(one).startswith("<Recording a\\n\\u202eb: 1 token, 1 layer x 4 heads, ")
    nameless = record(planted(), Sequence.text(text(2, vocabulary=WORDS)), named(text(2)))
    assert repr(nameless).startswith("<Recording: 2 tokens, ")
