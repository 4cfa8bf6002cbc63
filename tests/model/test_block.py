"""A block's parts against the reference, one at a time, and in the types that training uses."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from regard.model.attention import plain
from regard.model.block import ACTIVATIONS, RESIDUALS, Attention, FeedForward, LayerNorm, RMSNorm, build_norm
from regard.model.cache import Cache
from regard.model.config import Activation, AttentionConfig, FeedForwardConfig, NormConfig
from regard.model.mask import Mask

from .reference import CURVES, feed_forward, layer_norm, rms_norm
from .small import BATCH, GPT2, INNER, QWEN3, VASWANI, WIDTH, N, Recording, build, normal, weights_of


def shaken(module: nn.Module) -> nn.Module:
    with torch.no_grad():
        for seed, parameter in enumerate(module.parameters()):
            parameter.copy_(normal(*parameter.shape, seed=seed + 20))
    return module


@pytest.mark.parametrize("epsilon", [1e-6, 0.1])
def test_norms_are_those_of_their_papers(epsilon: float) -> None:
    x = normal(BATCH, N, WIDTH) * 3 + 1
    rms, layer = shaken(RMSNorm(WIDTH, epsilon)), shaken(LayerNorm(WIDTH, eps=epsilon))
    for index in np.ndindex(BATCH, N):
        vector, w = x[index].double().numpy(), weights_of(layer)
        expected = rms_norm(weights_of(rms)["weight"], epsilon, vector)
        np.testing.assert_allclose(rms(x)[index].detach(), expected, rtol=1e-5, atol=1e-6)
        expected = layer_norm(w["weight"], w["bias"], epsilon, vector)
        np.testing.assert_allclose(layer(x)[index].detach(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["rms", "layer"])
def test_a_norm_of_zeros_is_finite_also_backwards(kind: str) -> None:
    norm = build_norm(NormConfig(kind="rms" if kind == "rms" else "layer"), WIDTH)
    x = torch.zeros(1, WIDTH, requires_grad=True)
    torch.autograd.backward(norm(x).sum())
    assert x.grad is not None
    assert bool(norm(x).isfinite().all())
    assert bool(x.grad.isfinite().all())


@pytest.mark.parametrize("kind", ["rms", "layer"])
@pytest.mark.parametrize("weights", [torch.float32, torch.bfloat16], ids=str)
def test_a_norms_statistics_are_float32_whatever_comes_in(kind: str, weights: torch.dtype) -> None:
    norm = build_norm(NormConfig(kind="rms" if kind == "rms" else "layer"), 512).to(weights)
    x = (normal(N, 512) * 1000 + 3000).bfloat16()  # in bfloat16 a sum of 512 such squares is off by percents
    out = norm(x)
    assert out.dtype == torch.bfloat16
    exact = build_norm(NormConfig(kind="rms" if kind == "rms" else "layer"), 512)(x.float())
    torch.testing.assert_close(out.float(), exact, rtol=2**-7, atol=2**-7)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_the_textbooks_curves(name: Activation) -> None:
    x = torch.linspace(-6, 6, 97)
    expected = [CURVES[name](number) for number in x.double().tolist()]
    np.testing.assert_allclose(ACTIVATIONS[name](x), expected, atol=1e-6)


@pytest.mark.parametrize("gated", [True, False], ids=["gated", "not gated"])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
def test_the_network_of_each_token_is_the_references(gated: bool, bias: bool) -> None:
    config = FeedForwardConfig(width=INNER, gated=gated, bias=bias)
    network, x = shaken(FeedForward(WIDTH, config)), normal(N, WIDTH)
    weights = {f"it.{name}": values for name, values in weights_of(network).items()}
    whole = replace(QWEN3, feed_forward=config)
    out = network(x).detach()
    for i in range(N):
        expected = feed_forward(whole, weights, "it", x[i].double().numpy())
        np.testing.assert_allclose(out[i], expected, rtol=1e-4, atol=1e-4)


def test_pre_norm_keeps_the_stream_and_post_norm_norms_the_sum() -> None:
    x, norm = normal(BATCH, N, WIDTH), shaken(RMSNorm(WIDTH))

    def part(h: Tensor) -> Tensor:
        return 3 * h + 1

    torch.testing.assert_close(RESIDUALS["pre"](x, norm, part), x + 3 * norm(x) + 1)
    torch.testing.assert_close(RESIDUALS["post"](x, norm, part), norm(4 * x + 1))


def attention_of(heads: int = 6, shared: int = 3, dtype: torch.dtype = torch.float32) -> Attention:
    config = AttentionConfig(heads=heads, key_value_heads=shared, head_width=10)
    return Attention(WIDTH, config, 1e-6).eval().to(dtype)


def test_heads_are_neighbouring_numbers() -> None:
    x = torch.arange(BATCH * N * 60).view(BATCH, N, 60)
    heads = attention_of().heads(x)
    for b, h, i, d in [(0, 0, 0, 0), (1, 2, 3, 4), (1, 5, 4, 9)]:
        assert heads[b, h, i, d] == x[b, i, h * 10 + d]


def test_the_handed_in_path_runs_in_training_and_the_fused_one_otherwise() -> None:
    attention, seen = attention_of(), []

    def spy(*arguments: object) -> object:
        seen.append(arguments)
        return plain(*arguments)  # type: ignore[arg-type]

    attention.training_path = spy  # type: ignore[assignment]
    x, mask = normal(BATCH, N, WIDTH), Mask("causal", N, N)
    evaluated, recording = attention(x, None, mask, None, None, None, "self", 0), Recording()
    assert not seen
    trained = attention.train()(x, None, mask, None, None, recording, "self", 0)
    torch.testing.assert_close(trained, evaluated)
    ((query, key, value, _, _),) = seen
    (call,) = recording.calls
    assert call["kernel"] == "plain"
    for name, handed in (("query", query), ("key", key), ("value", value)):
        assert torch.equal(call[name], handed)  # type: ignore[arg-type]


def test_with_a_cache_the_recorder_gets_all_keys_that_the_kernel_got() -> None:
    attention, cache, recording = attention_of(), Cache(), Recording()
    x = normal(BATCH, N, WIDTH)
    attention(x, None, Mask("causal", N, N), None, None, recording, "self", 0)
    for i in range(N):
        attention(x[:, i : i + 1], None, Mask("full", 1, i + 1), None, cache, recording, "self", 0)
        cache.length += 1
    whole, *steps = recording.calls
    for i, step in enumerate(steps):
        torch.testing.assert_close(step["key"], whole["key"][:, :, : i + 1])
        torch.testing.assert_close(step["value"], whole["value"][:, :, : i + 1])
        torch.testing.assert_close(step["out"], whole["out"][:, :, i : i + 1])


def test_the_named_configs_build_the_named_parts() -> None:
    qwen3, gpt2, vaswani = (build(config).blocks[0] for config in (QWEN3, GPT2, VASWANI))
    assert isinstance(qwen3.attention_norm, RMSNorm)
    assert isinstance(qwen3.get_submodule("attention.query_norm"), RMSNorm)
    assert qwen3.memory_attention is None
    assert all(parameter.dim() == 2 or "norm" in name for name, parameter in qwen3.named_parameters())  # no biases
    assert isinstance(gpt2.attention_norm, LayerNorm)
    assert isinstance(gpt2.get_submodule("attention.query_norm"), nn.Identity)
    assert all(".gate" not in name for name, _ in gpt2.named_parameters())
    assert isinstance(vaswani.memory_attention, Attention)
