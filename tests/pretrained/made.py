"""Small models, ours and transformers', with weights that are nowhere 0 or 1; and what every refusal must be like."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import pytest
import torch
from torch import Tensor, nn

from regard.errors import RegardError
from regard.files import read_safetensors, safetensors_bytes, write
from regard.model.config import AttentionConfig, FeedForwardConfig, NormConfig, PositionConfig, TransformerConfig
from regard.model.sequence import Sequence
from regard.model.transformer import Transformer, initialise
from regard.tokens.text import TextTokenizer

TEXT = "To date, the cleverest thinker. 中文字 日本語 🎉👩‍👧 café cafe\u0301 <|endoftext|> a  b\n\n c 12"
"""Chinese, emoji joined by zero-width signs, a combining accent (NFD), and text that looks like a document mark."""

QWEN3 = TransformerConfig(
    vocabulary=300,
    context=96,
    width=40,
    layers=2,
    attention=AttentionConfig(heads=6, key_value_heads=3, head_width=32),
    feed_forward=FeedForwardConfig(width=56),
    position=PositionConfig(theta=50_000.0),
)
LLAMA = replace(
    QWEN3,
    width=48,
    attention=AttentionConfig(
        heads=6, key_value_heads=2, head_width=64, query_key_norm=False, bias=True, output_bias=True
    ),
    feed_forward=FeedForwardConfig(width=56, bias=True),
    norm=NormConfig(epsilon=1e-5),
    tied=True,
)
GPT2 = replace(
    QWEN3,
    width=64,
    attention=AttentionConfig(
        heads=2, key_value_heads=2, head_width=32, query_key_norm=False, bias=True, output_bias=True
    ),
    feed_forward=FeedForwardConfig(width=96, gated=False, activation="gelu_tanh", bias=True),
    norm=NormConfig(kind="layer", epsilon=1e-5),
    position=PositionConfig(kind="learned"),
    tied=True,
)


def shaken(module: nn.Module, seed: int = 0, noise: float = 0.1) -> nn.Module:
    """The module with noise on every number, so that no two tensors could be swapped unnoticed."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(noise * torch.randn(parameter.shape, generator=generator))
    return module.eval()


def ours(config: TransformerConfig, seed: int = 0, noise: float = 0.1) -> Transformer:
    model = Transformer(config)
    initialise(model, seed)
    shaken(model, seed, noise)
    return model


def some_ids(vocabulary: int, n: int = 40) -> Tensor:
    """(2, n)."""
    return torch.randint(vocabulary, (2, n), generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def logits(model: Transformer, ids: Tensor) -> Tensor:
    return model(Sequence.text(ids))


@torch.no_grad()
def greedy(model: Transformer, prompt: list[int], n: int) -> tuple[list[int], float]:
    """(n ids, the smallest lead of a chosen token over the next best, in logits)."""
    ids, lead = list(prompt), float("inf")
    for _ in range(n):
        best = logits(model, torch.tensor([ids]))[0, -1].topk(2)
        lead = min(lead, float(best.values[0] - best.values[1]))
        ids.append(int(best.indices[0]))
    return ids[len(prompt) :], lead


def characters() -> TextTokenizer:
    return TextTokenizer.characters([TEXT])


def bpe() -> TextTokenizer:
    return TextTokenizer.bpe([TEXT] * 3, 290)


def edit(file: Path, **fields: Any) -> None:
    """Sets fields of a JSON file; a field of ... is removed."""
    values = json.loads(file.read_text()) | fields
    file.write_text(json.dumps({name: value for name, value in values.items() if value is not ...}))


def tensors_of(folder: Path) -> dict[str, Any]:
    return dict(read_safetensors(folder / "model.safetensors")[0])


def store(folder: Path, tensors: dict[str, Any]) -> None:
    write(folder / "model.safetensors", safetensors_bytes(tensors), overwrite=True)


@contextmanager
def refused(*words: str, code: int = 2) -> Iterator[None]:
    """Inside a RegardError is raised whose one short line holds the words."""
    with pytest.raises(RegardError) as caught:
        yield
    said = str(caught.value)
    assert "\n" not in said
    assert len(said) <= 300
    assert caught.value.code == code
    for word in words:
        assert word in said, said
