"""Small models, hand-written ones whose attention is known in closed form, and what the tests hand to them."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from regard.looking.kept import Call, mark
from regard.looking.record import Recording, Tokens, record
from regard.model.attention import ScaledDot, fused, plain, unfused
from regard.model.block import Block, RMSNorm
from regard.model.config import AttentionConfig, FeedForwardConfig, NormConfig, PositionConfig, TransformerConfig
from regard.model.mask import Mask
from regard.model.position import Learned
from regard.model.sequence import Sequence
from regard.model.transformer import Transformer, initialise

VOCABULARY, CONTEXT, WIDTH, LAYERS = 29, 97, 24, 3

QWEN3 = TransformerConfig(
    vocabulary=VOCABULARY, context=CONTEXT, width=WIDTH, layers=LAYERS,
    attention=AttentionConfig(heads=6, key_value_heads=2, head_width=10), feed_forward=FeedForwardConfig(width=31),
)  # fmt: skip
GPT2 = replace(
    QWEN3,
    attention=AttentionConfig(
        heads=3, key_value_heads=3, head_width=8, query_key_norm=False, bias=True, output_bias=True
    ),
    feed_forward=FeedForwardConfig(width=31, gated=False, activation="gelu_tanh", bias=True),
    norm=NormConfig(kind="layer", epsilon=1e-5), position=PositionConfig(kind="learned"), tied=True,
)  # fmt: skip
POST = replace(QWEN3, residual="post", position=PositionConfig(kind="sinusoidal"))
CONFIGS = {"qwen3": QWEN3, "gpt2": GPT2, "post": POST}


def build(config: TransformerConfig = QWEN3, seed: int = 0, sharp: float = 2.0) -> Transformer:
    """Random weights that are nowhere 0 or 1; sharp makes attention far from uniform, so that errors show."""
    model = Transformer(config)
    initialise(model, seed)
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() < 2:
                parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
            if name.endswith(("query.weight", "query_norm.weight")):
                parameter.mul_(sharp)
    return model.eval()


def block(model: Transformer, layer: int) -> Block:
    return cast(Block, model.blocks[layer])


@contextmanager
def before_rotation(model: Transformer) -> Iterator[dict[tuple[str, int], Tensor]]:
    """What the model itself has for queries and keys when their norm is done: (1, heads or groups, n, d)."""
    found: dict[tuple[str, int], Tensor] = {}

    def keep(part: str, layer: int) -> Any:
        return lambda _module, _inputs, output: found.update({(part, layer): output.detach()})

    handles = [getattr(block(model, layer).attention, f"{part}_norm").register_forward_hook(keep(part, layer))
               for layer in range(model.config.layers) for part in ("query", "key")]  # fmt: skip
    yield found
    for handle in handles:
        handle.remove()


def text(n: int, seed: int = 3, vocabulary: int = VOCABULARY) -> Tensor:
    return torch.randint(vocabulary, (1, n), generator=torch.Generator().manual_seed(seed))


class Letters:
    """A tokenizer of single bytes."""

    def token_bytes(self, token: int) -> bytes:
        return bytes([97 + token])

    def label(self, token: int) -> str:
        return chr(97 + token)


def named(ids: Tensor) -> Tokens:
    return Tokens.of_text(ids[0].tolist(), Letters())


def look(model: Transformer, ids: Tensor) -> Recording:
    return record(model, Sequence.text(ids), named(ids), name="small")


def call(
    heads: int = 4, groups: int = 2, n: int = 13, m: int = 13, d: int = 8, kind: str = "causal", kernel: str = "fused",
    dtype: torch.dtype = torch.float32, seed: int = 0, size: float = 1.5,
) -> Call:  # fmt: skip
    """One call of attention that really ran, with random queries, keys and values."""
    generator = torch.Generator().manual_seed(seed)
    query, key, value = (size * torch.randn(1, h, length, d, generator=generator, dtype=torch.float64).to(dtype)
                         for h, length in ((heads, n), (groups, m), (groups, m)))  # fmt: skip
    corner = torch.arange(m)[None] <= torch.arange(n)[:, None] + (m - n)  # the last query sees every key
    mask = Mask("mixed", n, m, corner[None]) if kind == "mixed" else Mask(kind, n, m)  # type: ignore[arg-type]
    path = {"fused": fused, "plain": plain, "unfused": unfused}[kernel]
    ran = path(query, key, value, mask, ScaledDot())
    total = None if ran.logsumexp is None else ran.logsumexp[0]
    made = Call("self" if n == m else "cross", 0, query[0], key[0], value[0], ran.out[0], total, mask, d**-0.5,
                ran.kernel, str(dtype).removeprefix("torch."), {})  # fmt: skip
    return marked(made)


def marked(one: Call) -> Call:
    """The call with the marks of what it now holds, so that only other checks can object."""
    return replace(one, marks={part: mark(getattr(one, part)) for part in ("query", "key", "value", "out")})


# Heads written by hand. A token's vector is (its word, its place, answers), word and place one-hot, answers 0 at first:
# so queries and keys can ask for words and places, and logits are the answers, which only attention writes.

PLACES, WORDS = 12, 6
PREVIOUS, FIRST, UNIFORM, SAME = range(4)
ALL = torch.eye(2 * WORDS + PLACES)
WORD, PLACE, ANSWER = ALL[:WORDS], ALL[WORDS:-WORDS], ALL[-WORDS:]


def blank(layers: int) -> Transformer:
    """Everything 0 but the tokens' vectors and the norms, which return them as they are; no final norm."""
    config = TransformerConfig(
        vocabulary=WORDS, context=PLACES, width=len(ALL), layers=layers,
        attention=AttentionConfig(heads=4, key_value_heads=4, head_width=PLACES, query_key_norm=False),
        feed_forward=FeedForwardConfig(width=2), position=PositionConfig(kind="learned"),
    )  # fmt: skip
    model = Transformer(config)
    model.output.norm = nn.Identity()
    places, projection = model.position, model.output.projection
    assert isinstance(places, Learned)
    assert projection is not None
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.embedding.table.weight.copy_(WORD)
        places.table.weight.copy_(PLACE)
        projection.weight.copy_(ANSWER)
        for layer in range(layers):
            ones = 2 + layer  # that a vector has when it enters
            norm = block(model, layer).attention_norm
            assert isinstance(norm, RMSNorm)
            norm.weight.fill_(math.sqrt(ones / len(ALL) + 1e-6))
    return model.eval()


def by_head(linear: nn.Linear) -> Tensor:
    """The rows of a projection, (heads, head_width, width)."""
    return linear.weight.view(4, PLACES, len(ALL))


def planted(beta: float = 5.0, gain: float = 0.0) -> Transformer:
    """One layer: heads that look at the previous token, at the first, at all, at the same word, with score beta.

    The one that looks at all carries words into the answers: logits are gain times each word's share of what was seen.
    """
    model = blank(1)
    attention, strength = block(model, 0).attention, beta * math.sqrt(PLACES)
    with torch.no_grad():
        query, key, value = map(by_head, (attention.query, attention.key, attention.value))
        query[PREVIOUS, : PLACES - 1] = strength * PLACE[1:]  # place i asks for i - 1
        query[FIRST, 0] = strength * PLACE.sum(dim=0)
        query[SAME, :WORDS] = strength * WORD
        key[PREVIOUS], key[FIRST] = PLACE, PLACE
        key[SAME, :WORDS] = WORD
        value[UNIFORM, :WORDS] = WORD
        attention.output.weight.view(-1, 4, PLACES)[-WORDS:, UNIFORM, :WORDS] = gain * torch.eye(WORDS)
    return model


def induction(beta: float = 60.0) -> Transformer:
    """Two layers: the first copies the previous word into the answers, the second looks for its own word there."""
    model = blank(2)
    first, second = (block(model, layer).attention for layer in range(2))
    strength = beta * math.sqrt(PLACES)
    with torch.no_grad():
        by_head(first.query)[PREVIOUS, : PLACES - 1] = strength * PLACE[1:]
        by_head(first.key)[PREVIOUS] = PLACE
        by_head(first.value)[PREVIOUS, :WORDS] = WORD
        first.output.weight.view(-1, 4, PLACES)[-WORDS:, PREVIOUS, :WORDS] = torch.eye(WORDS)
        by_head(second.query)[0, :WORDS], by_head(second.key)[0, :WORDS] = strength * WORD, ANSWER
    return model
