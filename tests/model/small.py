"""Small models with weights that are nowhere 0 or 1, and what the tests hand to them; each size has its own prime."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from hypothesis import strategies as st
from torch import Tensor

from regard.model.attention import Score
from regard.model.config import AttentionConfig, FeedForwardConfig, NormConfig, PositionConfig, TransformerConfig
from regard.model.mask import Mask, Places
from regard.model.transformer import Transformer, initialise

BATCH, HEADS, N, M, HEAD_WIDTH = 2, 3, 5, 7, 11
VOCABULARY, CONTEXT, WIDTH, INNER, LAYERS = 17, 23, 13, 19, 2

QWEN3 = TransformerConfig(
    vocabulary=VOCABULARY,
    context=CONTEXT,
    width=WIDTH,
    layers=LAYERS,
    attention=AttentionConfig(heads=6, key_value_heads=3, head_width=10),
    feed_forward=FeedForwardConfig(width=INNER),
)
GPT2 = replace(
    QWEN3,
    attention=AttentionConfig(
        heads=3, key_value_heads=3, head_width=4, query_key_norm=False, bias=True, output_bias=True
    ),
    feed_forward=FeedForwardConfig(width=INNER, gated=False, activation="gelu_tanh", bias=True),
    norm=NormConfig(kind="layer", epsilon=1e-5),
    position=PositionConfig(kind="learned"),
    tied=True,
)
VASWANI = replace(
    GPT2,
    width=14,
    feed_forward=FeedForwardConfig(width=INNER, gated=False, activation="relu", bias=True),
    position=PositionConfig(kind="sinusoidal"),
    residual="post",
    memory=True,
)
NAMED = {"qwen3": QWEN3, "gpt2": GPT2, "vaswani": VASWANI}


@st.composite
def configs(draw: st.DrawFn) -> TransformerConfig:
    """Any combination of parts."""
    key_value_heads, group = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    flag = st.booleans()
    return TransformerConfig(
        vocabulary=draw(st.integers(1, 11)),
        context=draw(st.integers(8, 13)),
        width=2 * draw(st.integers(1, 7)),
        layers=draw(st.integers(1, 3)),
        attention=AttentionConfig(
            heads=key_value_heads * group,
            key_value_heads=key_value_heads,
            head_width=2 * draw(st.integers(1, 5)),
            query_key_norm=draw(flag),
            bias=draw(flag),
            output_bias=draw(flag),
        ),
        feed_forward=FeedForwardConfig(
            width=draw(st.integers(1, 9)),
            gated=draw(flag),
            activation=draw(st.sampled_from(["silu", "gelu", "gelu_tanh", "relu"])),
            bias=draw(flag),
        ),
        norm=NormConfig(kind=draw(st.sampled_from(["rms", "layer"])), epsilon=draw(st.sampled_from([1e-6, 1e-3]))),
        position=PositionConfig(
            kind=draw(st.sampled_from(["rotary", "learned", "sinusoidal"])),
            theta=draw(st.sampled_from([100.0, 10_000.0, 1e6])),
        ),
        residual=draw(st.sampled_from(["pre", "post"])),
        memory=draw(flag),
        tied=draw(flag),
        output_bias=draw(flag),
        dropout=draw(st.sampled_from([0.0, 0.25])),
    )


def build(config: TransformerConfig, seed: int = 0) -> Transformer:
    """An evaluating model whose every weight is random: a bias left out or a norm's weight of 1 cannot hide."""
    model = Transformer(config)
    initialise(model, seed)
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def weights_of(model: torch.nn.Module) -> dict[str, npt.NDArray[np.float64]]:
    return {name: tensor.double().numpy() for name, tensor in model.state_dict().items()}


def ids(batch: int = BATCH, n: int = N, vocabulary: int = VOCABULARY, seed: int = 0) -> Tensor:
    return torch.randint(0, vocabulary, (batch, n), generator=torch.Generator().manual_seed(seed))


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def placed(rows: list[list[tuple[int, int, int]]]) -> Places:
    """Rows of (sequence, branch, step), one row an example."""
    numbers = torch.tensor(rows)  # (batch, n, 3)
    return Places(*numbers.unbind(-1))


@dataclass
class Recording:
    """Keeps every call as it came, and copies of its tensors taken at once."""

    calls: list[dict[str, Any]] = field(default_factory=list)
    streams: list[tuple[int, str, Tensor]] = field(default_factory=list)

    def __call__(
        self, site: str, layer: int, query: Tensor, key: Tensor, value: Tensor, mask: Mask, score: Score, out: Tensor,
        kernel: str, logsumexp: Tensor | None,
    ) -> None:  # fmt: skip
        self.calls.append({
            "site": site, "layer": layer, "query": query.clone(), "key": key.clone(), "value": value.clone(),
            "mask": mask, "score": score, "out": out.clone(), "kernel": kernel, "logsumexp": logsumexp,
        })  # fmt: skip

    def stream(self, layer: int, place: str, x: Tensor) -> None:
        self.streams.append((layer, place, x.clone()))
