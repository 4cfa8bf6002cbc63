"""Language: each target once, in training and in scores, equal to plain loops; documents do not see each other."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from regard.decoding.sample import LanguageDecoder, Sampling, generate
from regard.model.sequence import Sequence
from regard.tasks.language import Language, Windows, nats_of_windows

from .small import SETTINGS, language

TOKENS = np.random.default_rng(1).integers(1, 257, 400)


def plain_nats(task: Language, model: torch.nn.Module, tokens: np.ndarray, stride: int) -> float:
    """One window after another, one target after another."""
    context, total, next_target = task.context, 0.0, 1
    start = 0
    while next_target < len(tokens):
        rows = torch.tensor(tokens[start : start + context + 1].astype(np.int64))[None]
        with torch.no_grad():
            logits = model.eval()(Sequence.text(rows[:, :-1]))[0].log_softmax(-1)
        for place in range(rows.shape[1] - 1):
            if start + place + 1 == next_target:
                total -= float(logits[place, rows[0, place + 1]])
                next_target += 1
        start += stride
    return total


@pytest.mark.parametrize("length", [2, 3, 8, 9, 10, 12, 13, 16, 17, 25, 140, 400])
@pytest.mark.parametrize("stride", [8, 4])
def test_nats_are_those_of_a_plain_loop(length: int, stride: int) -> None:
    task, model = language()
    found = nats_of_windows(task, model, TOKENS[:length], stride)
    assert found == pytest.approx(plain_nats(task, model, TOKENS[:length], stride), rel=1e-6)


@pytest.mark.parametrize("context", [2, 3, 7])
def test_nats_of_odd_contexts(context: int) -> None:
    task, model = language(context=context)
    for stride in {context, max(1, context // 2)}:
        found = nats_of_windows(task, model, TOKENS[:50], stride)
        assert found == pytest.approx(plain_nats(task, model, TOKENS[:50], stride), rel=1e-6)


def test_sliding_windows_see_more() -> None:
    """Every target but the first few has at least half a context before it."""
    seen = []

    class Spy(torch.nn.Module):
        def forward(self, sequence: Sequence) -> torch.Tensor:
            seen.append(sequence.tokens.clone())
            return torch.zeros(*sequence.tokens.shape, 257)

    task, _ = language()
    nats = nats_of_windows(task, Spy(), np.arange(30), 4)
    assert nats == pytest.approx(29 * math.log(257), rel=1e-6)  # 29 targets, each once
    starts = sorted(int(row[0]) for batch in seen for row in batch)
    assert starts == [0, 4, 8, 12, 16, 20, 24]


def test_a_score_is_made_in_evaluation_mode_and_changes_nothing() -> None:
    task, model = language(dropout=0.5)
    model.train()
    first = nats_of_windows(task, model, TOKENS, 8)
    assert nats_of_windows(task, model, TOKENS, 8) == first
    assert model.training


def test_scores_of_one_kind_follow_from_another() -> None:
    task, model = language(train=TOKENS, held_out=TOKENS[:100])
    scores = task.evaluate(model)
    assert scores["tokens"] == 99
    assert scores["perplexity"] == pytest.approx(math.exp(scores["nats_per_token"]))
    assert scores["bits_per_byte"] == pytest.approx(scores["nats_per_token"] / math.log(2))  # a byte a token
    counts = np.bincount(TOKENS, minlength=257) + 1.0
    unigram = -np.log(counts / counts.sum())[TOKENS[1:100]].mean()
    assert scores["baselines"]["unigram"]["nats_per_token"] == pytest.approx(unigram)
    assert scores["baselines"]["uniform"]["nats_per_token"] == pytest.approx(math.log(257))


def test_a_document_mark_has_nats_but_no_bytes() -> None:
    tokens = TOKENS[:100].copy()
    tokens[[10, 50]] = 0
    task, model = language(held_out=tokens)
    scores = task.evaluate(model)
    assert scores["tokens"] == 99
    nats = scores["nats_per_token"] * 99
    assert scores["bits_per_byte"] == pytest.approx(nats / 97 / math.log(2))


@pytest.mark.parametrize(("length", "context"), [(401, 8), (17, 8), (18, 8), (64, 8), (9, 8), (400, 7), (65, 64)])
def test_windows_are_every_target_at_most_once_an_epoch(length: int, context: int) -> None:
    windows = Windows(np.arange(length), context, seed=2)
    for epoch in range(5):
        rows = windows.take(np.array([[epoch, k] for k in range(len(windows))]))
        assert rows.shape == (len(windows), context + 1)
        assert rows.dtype == torch.int64
        assert torch.equal(rows, rows[:, :1] + torch.arange(context + 1))  # each a piece of the text
        targets = rows[:, 1:].flatten().tolist()
        assert len(set(targets)) == len(targets)
        assert len(targets) > (length - 1) - 2 * context  # all but two windows' worth
        assert windows.size(0) == context


def test_windows_are_cut_elsewhere_in_each_epoch_so_that_all_is_learnt() -> None:
    windows = Windows(np.arange(200), 8, seed=2)
    seen = [set(windows.take(np.array([[epoch, k] for k in range(len(windows))]))[:, 1:].flatten().tolist())
            for epoch in range(60)]  # fmt: skip
    assert set.union(*seen) == set(range(1, 200))
    again = Windows(np.arange(200), 8, seed=2)
    ids = np.array([[7, 3], [2, 5], [7, 0]])
    assert torch.equal(again.take(ids), windows.take(ids))  # a pure function of seed and epoch
    assert not torch.equal(Windows(np.arange(200), 8, seed=3).take(ids), windows.take(ids))


def test_each_target_is_the_token_that_follows() -> None:
    task, _ = language(train=np.arange(200))
    sequence, targets = task.batch(np.array([[0, 0], [0, 1]]), np.random.default_rng(0))
    assert torch.equal(sequence.tokens + 1, targets)
    assert targets.shape == (2, 8)


def test_the_loss_is_a_sum_and_its_count() -> None:
    task, model = language(train=TOKENS)
    batch = task.batch(np.array([[0, 0], [0, 5], [1, 2]]), np.random.default_rng(0))
    total, count = task.loss(model, batch, model)
    assert int(count) == 24
    each = F.cross_entropy(model(batch[0]).flatten(0, 1), batch[1].flatten(), reduction="none")
    assert total.item() == pytest.approx(each.sum().item())


def test_documents_side_by_side_do_not_see_each_other() -> None:
    task, model = language(context=12)
    first = torch.tensor([[5, 6, 7, 0, 9, 10, 11, 12, 0, 14, 15, 16]])
    other = first.clone()
    other[0, :3] = torch.tensor([8, 9, 5])
    with torch.no_grad():
        one, two = model.eval()(task._sequence(first)), model(task._sequence(other))
        alone = model(task._sequence(first[:, 3:8]))
    torch.testing.assert_close(one[:, 3:], two[:, 3:])
    assert not torch.allclose(one[:, :3], two[:, :3])  # or the test would prove nothing
    torch.testing.assert_close(one[:, 3:8], alone, rtol=1e-4, atol=1e-5)
    plain, _ = language(context=12, document=False)
    with torch.no_grad():
        assert not torch.allclose(model(plain._sequence(first))[:, 3:], one[:, 3:])


def test_contract_6_the_monitor_is_a_slice_of_the_training_part_that_is_not_learnt() -> None:
    tokens = np.arange(400) % 256 + 1
    task, model = language(train=tokens, held_out=TOKENS, monitor=0.25)
    assert task.examples is not None
    assert task.monitored is not None
    np.testing.assert_array_equal(task.monitored, tokens[300:])
    rows = task.examples.take(np.array([[e, k] for e in range(30) for k in range(len(task.examples))]))
    assert rows.max() <= 256
    assert len(task.examples) == 299 // 8 - 1
    score = task.monitor(model)
    assert score == pytest.approx(plain_nats(task, model, tokens[300:], 8) / 99, rel=1e-6)
    assert task.baselines(TOKENS) == language(train=tokens)[0].baselines(TOKENS)  # of the whole training part
    assert language(train=tokens)[0].monitor(model) is None


def test_the_quick_score_is_that_of_the_first_windows() -> None:
    tokens = np.random.default_rng(3).integers(1, 257, 2000)
    task, model = language(held_out=tokens)
    first = tokens[: 48 * 8 + 1]
    assert task.quick_score(model) == pytest.approx(plain_nats(task, model, first, 8) / 384, rel=1e-6)


def test_a_sample_is_text_and_always_the_same() -> None:
    task, model = language(held_out=TOKENS)
    assert task.sample(model) == task.sample(model)
    assert isinstance(task.sample(model), str)


def test_a_sample_says_whether_it_was_cut() -> None:
    ended = set()
    for seed in range(8):
        task, model = language(seed=seed)
        tokens = list(generate(LanguageDecoder(model), [0], Sampling(tokens=60, temperature=0.8, seed=seed), end=0))
        ended.add(len(tokens) < 60)
        assert task.sample(model).endswith("…") == (len(tokens) == 60)
    assert ended == {True, False}


def test_the_first_weights_depend_on_the_seed_alone() -> None:
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(int(torch.randint(100, (1,))))
        return torch.cat([p.detach().flatten() for p in language(seed=seed)[1].parameters()])

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


@pytest.mark.parametrize("attention", ["plain", "unfused", "fused", "written"])
def test_the_paths_of_attention_learn_the_same(attention: str) -> None:
    task, model = language(train=TOKENS, attention=attention, key_value_heads=2)
    other, plain = language(train=TOKENS, attention="plain", key_value_heads=2)
    ids = np.array([[0, 0], [0, 5]])
    gradients = []
    for one, its in ((task, model), (other, plain)):
        total, _ = one.loss(its.train(), one.batch(ids, np.random.default_rng(0)), its)
        total.backward()  # type: ignore[no-untyped-call]
        gradients.append([p.grad for p in its.parameters()])
    for found, wanted in zip(*gradients, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    assert SETTINGS["context"] == task.context
