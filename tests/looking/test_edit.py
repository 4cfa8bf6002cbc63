"""Edits do what a hand can work out, touch nothing else, and leave the model as it was."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from regard.errors import RegardError
from regard.looking.edit import CONTROL, Edit, Effect, Source, edit, summary
from regard.looking.surgery import edited, unedited
from regard.model.sequence import Sequence
from regard.model.transformer import Transformer

from . import patched
from .patched import ANSWER
from .small import CONFIGS, FIRST, PLACES, QWEN3, UNIFORM, WORDS, block, build, look, planted, text

GAIN = 3.0
IDS = torch.tensor([[0, 1, 2, 0, 1, 3, 0, 4, 4, 5]])
N = IDS.shape[1]
OTHER = torch.tensor([[5, 5, 3, 3, 3, 3, 0, 0, 0, 0, 1, 1]])
HOT = np.eye(WORDS)


def shares(ids: torch.Tensor, n: int = N) -> np.ndarray:
    """(n, words): each word's share of the tokens up to here, what the head that looks at all puts out."""
    found: np.ndarray = np.cumsum(HOT[ids[0, :n].numpy()], axis=0) / np.arange(1, n + 1)[:, None]
    return found


def logarithms(logits: np.ndarray) -> np.ndarray:
    found: np.ndarray = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return found


@pytest.fixture(scope="module")
def model() -> Transformer:
    return planted(2.0, gain=GAIN)


def effect(model: Transformer, *edits: Edit, **how: object) -> Effect:
    return edit(model, Sequence.text(IDS), edits, others=0, **how)  # type: ignore[arg-type]


def check(found: Effect, logits: np.ndarray) -> None:
    """Against the logits that a hand worked out for the edited model."""
    before, after = logarithms(GAIN * shares(IDS)), logarithms(logits)
    truth = IDS[0, 1:].numpy()
    change = (after - before)[np.arange(N - 1), truth]
    np.testing.assert_allclose(found.change[:-1], change, atol=2e-6)
    assert math.isnan(found.change[-1])
    np.testing.assert_allclose(found.divergence, (np.exp(before) * (before - after)).sum(axis=1), atol=2e-6)
    np.testing.assert_allclose(found.after.log_probability[:-1], after[np.arange(N - 1), truth], atol=2e-6)
    assert found.before.top.shape == (N, WORDS)
    assert found.control <= CONTROL


def test_a_head_set_to_zero(model: Transformer) -> None:
    check(effect(model, Edit.head(0, UNIFORM)), np.zeros((N, WORDS)))
    check(effect(model, Edit.head(0, [UNIFORM, FIRST])), np.zeros((N, WORDS)))
    check(effect(model, Edit.head(0, FIRST)), GAIN * shares(IDS))


def test_sublayers_set_to_zero(model: Transformer) -> None:
    check(effect(model, Edit.sublayer(0, "attention")), np.zeros((N, WORDS)))
    check(effect(model, Edit.sublayer(0, "feed_forward")), GAIN * shares(IDS))


def test_a_masked_edge_lets_the_rest_of_the_row_grow(model: Transformer) -> None:
    logits = GAIN * shares(IDS)
    logits[5] = GAIN * (6 * shares(IDS)[5] - HOT[2]) / 5
    check(effect(model, Edit.edges(0, UNIFORM, 5, 2, "mask")), logits)


@pytest.mark.parametrize("kind", ["cut", "zero"])
def test_a_cut_edge_leaves_the_rest_as_it_was(model: Transformer, kind: str) -> None:
    logits = GAIN * shares(IDS)
    logits[5] -= GAIN * HOT[2] / 6
    check(effect(model, Edit.edges(0, UNIFORM, 5, 2, kind)), logits)  # type: ignore[arg-type]


def test_a_block_of_edges(model: Transformer) -> None:
    logits = GAIN * shares(IDS)
    for i in (4, 5, 6):
        logits[i] = GAIN * ((i + 1) * shares(IDS)[i] - HOT[0] - HOT[1]) / (i - 1)
    check(effect(model, Edit.edges(0, UNIFORM, range(4, 7), [0, 1], "mask")), logits)


def test_a_row_whose_edges_are_all_masked_takes_nothing(model: Transformer) -> None:
    logits = GAIN * shares(IDS)
    logits[3] = 0
    check(effect(model, Edit.edges(0, UNIFORM, 3, range(4), "mask")), logits)


def test_a_value_set_to_zero_is_gone_for_every_row(model: Transformer) -> None:
    logits = GAIN * (shares(IDS) - np.tril(np.ones((N, N)))[:, [2]] * HOT[2] / np.arange(1, N + 1)[:, None])
    check(effect(model, Edit.value(0, UNIFORM, 2)), logits)


def test_means_are_over_the_named_set(model: Transformer) -> None:
    source = Source("two texts", (Sequence.text(IDS), Sequence.text(OTHER)))
    mean = np.concatenate((shares(IDS), shares(OTHER, 12))).mean(axis=0)
    found = effect(model, Edit.head(0, UNIFORM, "mean"), source=source)
    check(found, GAIN * np.tile(mean, (N, 1)))
    assert found.source == "two texts (2)"
    check(effect(model, Edit.sublayer(0, "attention", "mean"), source=source), GAIN * np.tile(mean, (N, 1)))
    words = HOT[torch.cat((IDS[0], OTHER[0])).numpy()].mean(axis=0)
    logits = GAIN * shares(IDS)
    logits[1:] += GAIN * (words - HOT[1]) / np.arange(2, N + 1)[:, None]
    check(effect(model, Edit.value(0, UNIFORM, 1, "mean"), source=source), logits)


def test_resampling_takes_the_same_position_of_other_inputs(model: Transformer) -> None:
    one = Source("the other", (Sequence.text(OTHER),))
    found = effect(model, Edit.head(0, UNIFORM, "resample"), source=one, draws=3)
    check(found, GAIN * shares(OTHER))
    assert found.draws == 3
    edges = effect(model, Edit.edges(0, UNIFORM, 4, [1, 2], "resample"), source=one, draws=1)
    logits = GAIN * shares(IDS)
    logits[4] += GAIN * (HOT[5] + HOT[3] - HOT[1] - HOT[2]) / 5
    check(edges, logits)
    two = Source("both", (Sequence.text(OTHER), Sequence.text(IDS)))
    drawn = [effect(model, Edit.head(0, UNIFORM, "resample"), source=two, seed=seed, draws=5) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(drawn[0].change, drawn[1].change)
    assert drawn[0].mean_change != drawn[2].mean_change


def test_the_last_of_two_edits_of_one_thing_counts(model: Transformer) -> None:
    source = Source("the other", (Sequence.text(OTHER),))
    mean = GAIN * np.tile(shares(OTHER, 12).mean(axis=0), (N, 1))
    zero, average = Edit.head(0, UNIFORM), Edit.head(0, UNIFORM, "mean")
    check(effect(model, zero, average, source=source), mean)
    check(effect(model, average, zero, source=source), np.zeros((N, WORDS)))
    logits = GAIN * shares(IDS)
    logits[5] -= GAIN * HOT[2] / 6
    both = Edit.value(0, UNIFORM, 2, "mean"), Edit.value(0, UNIFORM, 2), Edit.edges(0, UNIFORM, 5, 2, "cut")
    logits[2:] = GAIN * shares(IDS)[2:] - GAIN * HOT[2] / np.arange(3, N + 1)[:, None]
    check(effect(model, *both, source=source), logits)


@pytest.mark.parametrize("name", CONFIGS)
def test_only_edited_heads_leave_the_fused_path(name: str) -> None:
    model, sequence = build(CONFIGS[name]), Sequence.text(text(20))
    entered, original = [], unedited(model, sequence)
    watch = block(model, 1).attention.output.register_forward_hook(lambda _m, inputs, _o: entered.append(inputs[0][0]))
    with torch.no_grad():
        model(sequence)
        edited(model, sequence, [Edit.head(1, 2, "none")], None, original)
        edited(model, sequence, [Edit.head(1, 2)], None, original)
    watch.remove()
    d = model.config.attention.head_width
    mine = slice(2 * d, 3 * d)
    torch.testing.assert_close(entered[1], entered[0], rtol=1e-5, atol=1e-6)
    assert (entered[2][:, mine] == 0).all()
    for x in entered[1:]:
        x[:, mine] = entered[0][:, mine]
        assert torch.equal(x, entered[0])


@pytest.mark.parametrize("name", CONFIGS)
def test_what_an_edit_cannot_reach_is_not_computed_again(name: str) -> None:
    """And what follows is the same bits as in a pass from the start."""
    model, sequence = build(CONFIGS[name]), Sequence.text(text(20))
    original, ran = unedited(model, sequence), []
    hooked = [block(model, at).register_forward_hook(lambda *_, at=at: ran.append(at)) for at in range(3)]
    for layer in range(3):
        same = edited(model, sequence, [Edit.head(layer, (0, 2), "none"), Edit.head(2, 1, "none")], None, original)
        assert ran == list(range(layer, 3))
        ran.clear()
        torch.testing.assert_close(same, original.logits, rtol=1e-5, atol=1e-5)
        with torch.no_grad():
            start = layer, original.streams["in", layer][None]
            assert torch.equal(model.output(model.stream(sequence, start=start))[0], original.logits)
        ran.clear()
    for one in hooked:
        one.remove()


def hooks(model: nn.Module) -> int:
    return sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in model.modules())


def test_the_model_is_as_before_whatever_happens() -> None:
    model, sequence = build(), Sequence.text(text(12))
    with torch.no_grad():
        before = model(sequence)
    edits = [Edit.head(0, 1), Edit.sublayer(2, "feed_forward"), Edit.edges(1, 0, 5, 3), Edit.sublayer(1, "attention")]
    assert edit(model, sequence, edits, others=2).control <= CONTROL
    with pytest.raises(KeyError):  # resampling without anything to take
        edited(model, sequence, [Edit.head(0, 1, "resample")], {}, unedited(model, sequence))
    assert hooks(model) == 0
    with torch.no_grad():
        assert torch.equal(model(sequence), before)


def test_an_edit_stands_beside_random_others() -> None:
    recording = look(build(), text(24))
    found = recording.edit([Edit.head(1, 3)])
    assert found.others.shape == (17,)  # of 18 heads each other one once
    assert found.percentile == 100 * np.mean(np.abs(found.others) < abs(found.mean_change))
    assert recording.edit([Edit.head(1, 3)]).mean_change == found.mean_change
    again = recording.edit([Edit.edges(0, 2, range(9, 12), range(2, 4))], others=5)
    assert again.others.shape == (5,)
    assert again.badge == "Edited run"
    assert recording.edit([Edit.value(0, 2, 5), Edit.sublayer(1, "attention")], others=3).others.shape == (3,)


def test_there_may_be_no_others() -> None:
    found = edit(planted(2.0, gain=GAIN), Sequence.text(IDS), [Edit.sublayer(0, "attention")])
    assert len(found.others) == 0
    assert found.percentile is None


def test_a_known_important_head_is_above_all_others() -> None:
    found = edit(planted(2.0, gain=GAIN), Sequence.text(IDS), [Edit.head(0, UNIFORM)])
    assert found.percentile == 100  # the other three heads carry nothing
    assert (found.others == 0).all()


@pytest.mark.parametrize("class_token", [True, False])
def test_an_edit_of_a_picture_is_compared_by_what_it_is_taken_for(class_token: bool) -> None:
    one = patched.planted(class_token=class_token, registers=int(class_token))
    answering = slice(0, 1 if class_token else None)  # the class token, or the mean over all patches
    found = {(layer, head): one.recording.edit([Edit.head(layer, head)]) for layer in range(2) for head in range(2)}

    def log_p(*heads: int) -> np.ndarray:
        """Of the classes, where only these heads of the last layer write the answer; no other layer's do."""
        read = one.gain * sum((one.weights(1, head) @ mark_of(one) for head in heads), np.zeros(one.n))
        logits = one.logits(1) + np.outer(read, one.output[:, ANSWER])
        return logarithms(logits[answering].mean(axis=0)[None])[0]

    before = log_p(0, 1)
    for (layer, head), effect in found.items():
        after = before if layer == 0 else log_p(1 - head)
        assert effect.moved == pytest.approx(after[before.argmax()] - before.max(), abs=2e-6)
        assert effect.moved != 0 or layer == 0
        elsewhere = sorted(other.moved for place, other in found.items() if place != (layer, head))
        np.testing.assert_allclose(sorted(effect.others), elsewhere, atol=2e-6)
        assert effect.percentile == 100 * np.mean(np.abs(effect.others) < abs(effect.moved))
    assert len(patched.planted(answers=False).recording.edit([Edit.head(1, 1)]).others) == 0  # it knows no classes


def mark_of(one: patched.Planted) -> np.ndarray:
    """(n,) what the heads of the last layer read of each token."""
    marks = np.zeros(one.n)
    marks[one.learned :] = -1
    marks[one.learned + one.target] = 1
    return marks


@pytest.mark.parametrize(
    ("made", "said"),
    [(Edit.head(3, 0), "layer 3 does not exist"), (Edit.head(0, 6), "head 6"), (Edit.edges(0, 0, 12, 0), "row 12"),
     (Edit.value(0, 0, 12), "column 12"), (Edit.head(0, 0, "mask"), "mask is for edges"),
     (Edit.head(0, 0, "mean"), "need other inputs")],
)  # fmt: skip
def test_an_edit_that_cannot_be_is_refused(made: Edit, said: str) -> None:
    with pytest.raises(RegardError, match=said):
        edit(build(), Sequence.text(text(12)), [made], others=0)


def test_sources_that_do_not_fit_are_refused() -> None:
    short = Source("short", (Sequence.text(text(5)),))
    with pytest.raises(RegardError, match="input 0 of 'short' has 5 tokens, fewer than 12"):
        edit(build(), Sequence.text(text(12)), [Edit.head(0, 0, "resample")], source=short)
    both = [Edit.head(0, 0, "resample"), Edit.head(0, 1, "mean")]
    with pytest.raises(RegardError, match="mean and resample cannot be asked for at once"):
        edit(build(), Sequence.text(text(5)), both, source=short)


def test_an_edit_says_what_it_is() -> None:
    assert str(Edit.head(2, [1, 3])) == "layer 2 heads 1, 3: zero"
    assert str(Edit.sublayer(0, "feed_forward", "mean")) == "layer 0 feed_forward: mean"
    assert str(Edit.edges(1, 0, range(4, 8), 2, "mask")) == "layer 1 head 0 edges 4-7 to 2: mask"
    assert str(Edit.value(1, 0, 5)) == "layer 1 head 0 value of 5: zero"


def test_over_a_data_set_there_is_a_mean_with_its_interval() -> None:
    model = build()
    effects = [edit(model, Sequence.text(text(15, seed=s)), [Edit.head(0, 1)], others=0) for s in range(8)]
    found, means = summary(effects), [one.mean_change for one in effects]
    assert found.mean == pytest.approx(np.mean(means))
    assert min(means) < found.low < found.mean < found.high < max(means)
    assert found.inputs == 8
    with pytest.raises(RegardError, match="no effect with a known truth"):
        summary([edit(model, Sequence.text(text(1)), [Edit.head(0, 1)], others=0)])


def test_post_norm_and_shared_values_can_be_edited() -> None:
    for config in (CONFIGS["post"], QWEN3):
        found = edit(build(config), Sequence.text(text(10)), [Edit.value(1, 4, 3), Edit.head(2, 0)], others=0)
        assert found.control <= CONTROL
        assert np.isfinite(found.divergence).all()
        assert found.divergence[:3].max() < found.divergence.max()
    assert PLACES > N
