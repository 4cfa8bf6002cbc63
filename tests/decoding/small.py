"""Small decoders for tests: models with random weights, and one that says what a script tells it."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar
from unittest.mock import patch

import torch
from torch import Tensor

from regard.decoding import quick
from regard.model.config import AttentionConfig, FeedForwardConfig, NormConfig, PositionConfig, TransformerConfig
from regard.model.transformer import Transformer, initialise

T = TypeVar("T")
VOCABULARY, CONTEXT = 17, 11

ROTARY = TransformerConfig(
    vocabulary=VOCABULARY,
    context=CONTEXT,
    width=13,
    layers=2,
    attention=AttentionConfig(heads=6, key_value_heads=3, head_width=10),
    feed_forward=FeedForwardConfig(width=19),
)
LEARNED = replace(
    ROTARY,
    attention=AttentionConfig(heads=3, key_value_heads=3, head_width=4, query_key_norm=False, bias=True),
    feed_forward=FeedForwardConfig(width=19, gated=False, activation="gelu_tanh", bias=True),
    norm=NormConfig(kind="layer"),
    position=PositionConfig(kind="learned"),
    tied=True,
)
SINES = replace(LEARNED, width=14, position=PositionConfig(kind="sinusoidal"), residual="post", context=8)
NAMED = {"rotary": ROTARY, "learned": LEARNED, "sines": SINES, "context of one": replace(ROTARY, context=1)}


def build(config: TransformerConfig, seed: int = 0) -> Transformer:
    """Random weights, large enough that the next token depends on the whole window."""
    model = Transformer(config)
    initialise(model, seed)
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.4 * torch.randn(parameter.shape, generator=generator))
    return model


def ids(batch: int, n: int, vocabulary: int = VOCABULARY, seed: int = 0) -> Tensor:
    return torch.randint(0, vocabulary, (batch, n), generator=torch.Generator().manual_seed(seed))


def quickly(make: Callable[[Transformer], T], model: Transformer) -> T:
    """What `make` makes of the model, its matrices read as rows although they are small."""
    with patch.object(quick, "SMALLEST", 0):
        return make(model)


class Row:
    """What a script decoder keeps: all tokens."""

    def __init__(self) -> None:
        self.tokens = torch.empty(1, 0, dtype=torch.long)

    def reorder(self, index: Tensor) -> None:
        self.tokens = self.tokens[index]


class Scripted:
    """Scores that are a plain function of a text's tokens: scores(tokens) -> (vocabulary,)."""

    def __init__(self, scores: Callable[[list[int]], Tensor]) -> None:
        self.scores = scores
        self.fed: list[tuple[int, int]] = []
        """(batch, n) of every call."""

    def start(self) -> Row:
        return Row()

    def logits(self, tokens: Tensor, kept: Row) -> Tensor:
        self.fed.append((tokens.shape[0], tokens.shape[1]))
        kept.tokens = torch.cat((kept.tokens, tokens), dim=1)
        return torch.stack([self.scores(row) for row in kept.tokens.tolist()])

    def step(self, tokens: Tensor, kept: Row) -> Tensor:
        return self.logits(tokens, kept).log_softmax(dim=-1)


def says(answer: list[int], vocabulary: int, prompt: int = 1) -> Scripted:
    """After a prompt of that many tokens it says the answer, then 0 for ever, all with certainty."""

    def scores(tokens: list[int]) -> Tensor:
        place = len(tokens) - prompt
        row = torch.full((vocabulary,), -50.0)
        row[answer[place] if place < len(answer) else 0] = 50.0
        return row

    return Scripted(scores)
