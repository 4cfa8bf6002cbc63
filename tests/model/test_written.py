"""The block with its gradient written out against the block: values, gradients, masks, dropout, types; when it runs."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from regard.errors import RegardError
from regard.model import written as written_module
from regard.model.cache import Cache
from regard.model.config import AttentionConfig, NormConfig
from regard.model.mask import PADDING, Places
from regard.model.sequence import Sequence
from regard.model.transformer import Transformer
from regard.model.written import fits

from .small import GPT2, QWEN3, VASWANI, Recording, build, ids, normal

OWN = replace(QWEN3, attention=AttentionConfig(heads=3, key_value_heads=3, head_width=10))
"""Each head with keys and values of its own."""
LONG = 11
SEQUENCES = {
    "causal": lambda: Sequence.text(ids(n=LONG)),
    "later": lambda: Sequence.text(ids(n=LONG), start=5),
    "whole": lambda: Sequence.whole(ids(n=LONG), torch.arange(2 * LONG).view(1, LONG, 2) // 3),
    "packed": lambda: Sequence.packed(ids(n=LONG), torch.tensor([[0] * 4 + [1] * 7, [0] * LONG])),
    "padded": lambda: Sequence.packed(ids(n=LONG), torch.tensor([[0] * 4 + [1] * 3 + [PADDING] * 4, [0] * LONG])),
    "padding in between": lambda: unordered([[0, 0, PADDING, 0, 1, 1, PADDING, 0, 1, 0, 0], [PADDING] * LONG]),
}


def unordered(sequence: list[list[int]]) -> Sequence:
    """Each token sees all of its own sequence, wherever they stand."""
    of = torch.tensor(sequence)
    zero = torch.zeros_like(of)
    return Sequence.of(ids(n=LONG), torch.arange(LONG).view(1, LONG, 1), Places(of, zero, zero))


@pytest.fixture(autouse=True)
def _short_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(written_module, "PIECE", 4)  # so that a row of 11 has three, the last one short


def taught(model: Transformer, sequence: Sequence, way: str, seed: int = 0) -> tuple[Tensor, dict[str, Tensor]]:
    """Logits, and every weight's gradient of a sum that no symmetry makes 0."""
    model.train_with(way)
    model.train().zero_grad()
    torch.manual_seed(seed)
    logits = model(sequence)
    (logits * normal(*logits.shape, seed=3, dtype=logits.dtype)).sum().backward()
    grads = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return logits.detach(), grads


@pytest.mark.parametrize("kind", SEQUENCES)
@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_values_and_gradients_are_the_blocks_own(kind: str, dropout: float) -> None:
    model, sequence = build(replace(OWN, dropout=dropout)).double(), SEQUENCES[kind]()
    expected, theirs = taught(model, sequence, "plain")
    logits, ours = taught(model, sequence, "written")
    tolerance = 1e-5 if model.output.matrix.dtype == torch.float32 else 1e-6  # logits are float32 in any case
    torch.testing.assert_close(logits, expected, rtol=tolerance, atol=tolerance)
    assert ours.keys() == theirs.keys()
    for name in theirs:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-6, atol=1e-7, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("piece", [1, 3, 11, 64])
def test_pieces_change_nothing(piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, sequence = build(OWN), SEQUENCES["causal"]()
    expected, theirs = taught(model, sequence, "written")
    monkeypatch.setattr(written_module, "PIECE", piece)
    logits, ours = taught(model, sequence, "written")
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)
    for name in theirs:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-3, atol=1e-4)


def test_other_epsilons_are_heard() -> None:
    model, sequence = build(replace(OWN, norm=NormConfig(epsilon=0.3))), SEQUENCES["causal"]()
    expected, theirs = taught(model, sequence, "plain")
    logits, ours = taught(model, sequence, "written")
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)
    for name in theirs:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-3, atol=1e-4)


def test_in_bfloat16_it_is_as_near_to_float32_as_the_block() -> None:
    model, sequence = build(OWN), SEQUENCES["causal"]()
    exact, right = taught(model, sequence, "plain")

    def off(way: str) -> tuple[float, float]:
        with torch.autocast("cpu", torch.bfloat16):
            logits, grads = taught(model, sequence, way)
        far = [float((grads[n].float() - right[n]).norm() / right[n].norm()) for n in right]
        return float((logits - exact).norm() / exact.norm()), max(far)

    (values, gradients), (theirs, their_gradients) = off("written"), off("unfused")
    assert 0 < values < 1.5 * theirs + 1e-3
    assert 0 < gradients < 1.5 * their_gradients + 1e-3


def test_only_training_without_a_cache_or_a_recorder_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    model, calls = build(OWN), []
    whole = written_module.whole
    monkeypatch.setattr(written_module, "whole", lambda *given, **how: calls.append(1) or whole(*given, **how))
    model.train_with("written")
    model.eval()(SEQUENCES["causal"]())
    model.train()
    model(SEQUENCES["causal"](), cache=Cache())
    model(SEQUENCES["causal"](), record=Recording())
    assert not calls
    model(SEQUENCES["causal"]())
    assert len(calls) == OWN.layers
    model.train_with("fused")
    model(SEQUENCES["causal"]())
    assert len(calls) == OWN.layers


def test_other_blocks_are_refused_by_name() -> None:
    assert fits(OWN)
    for config in (QWEN3, GPT2, VASWANI, replace(OWN, memory=True), replace(OWN, residual="post")):
        assert not fits(config)
        with pytest.raises(RegardError, match="--attention: written is for Qwen3's block"):
            Transformer(config).train_with("written")


def test_what_was_kept_is_let_go_after_the_way_back() -> None:
    model = build(OWN)
    model.train_with("written")
    loss = model.train()(SEQUENCES["causal"]()).sum()
    loss.backward(retain_graph=True)
    with pytest.raises(TypeError):
        loss.backward()
