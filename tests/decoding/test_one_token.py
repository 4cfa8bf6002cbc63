"""One token through a block in few operations: the block's own numbers, the same cache, and only where it fits."""

from dataclasses import replace
from unittest.mock import patch

import pytest
import torch
from torch import Tensor, nn

from regard.decoding.one_token import OneToken
from regard.decoding.rows import Pace
from regard.model.block import Block
from regard.model.cache import Cache
from regard.model.config import AttentionConfig, NormConfig, TransformerConfig
from regard.model.sequence import Sequence
from regard.model.transformer import Transformer

from .small import LEARNED, ROTARY, SINES, build, ids

OWN = replace(ROTARY, attention=AttentionConfig(heads=3, key_value_heads=3, head_width=10))
ROUGH = replace(ROTARY, norm=NormConfig(epsilon=0.3))


def twin_of(model: Transformer) -> Transformer:
    """The same model, its blocks for one token; the usual way is the block itself."""
    twin = build(model.config)
    twin.load_state_dict(model.state_dict())
    twin.blocks = nn.ModuleList([OneToken(block, block, Pace(10)) for block in twin.blocks])
    return twin.eval()


def one_by_one(model: Transformer, tokens: Tensor) -> Tensor:
    """Logits of each position, the first three at once, then one after another."""
    cache, parts = Cache(), []
    for start, end in [(0, 3), *((i, i + 1) for i in range(3, tokens.shape[1]))]:
        parts.append(model(Sequence.text(tokens[:, start:end], start=start), cache=cache))
    return torch.cat(parts, dim=1)


@pytest.mark.parametrize("config", [ROTARY, OWN, ROUGH, replace(ROTARY, tied=True)])
@torch.no_grad()
def test_each_token_is_the_blocks_own(config: TransformerConfig) -> None:
    model, tokens = build(config), ids(1, 9)
    expected = model(Sequence.text(tokens))
    torch.testing.assert_close(one_by_one(twin_of(model), tokens), expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_only_one_token_with_a_cache_takes_the_short_way() -> None:
    model, short = twin_of(build(ROTARY)), []
    sized = OneToken.sized
    with patch.object(OneToken, "sized", lambda self, x: short.append(1) or sized(self, x)):
        model(Sequence.text(ids(1, 1)))
        model(Sequence.text(ids(1, 4)), cache=Cache())
        model(Sequence.text(ids(2, 1)), cache=Cache())
        assert not short
        model(Sequence.text(ids(1, 1)), cache=Cache())
        assert len(short) == 2 * ROTARY.layers


def test_other_blocks_do_not_fit() -> None:
    def first(config: TransformerConfig) -> Block:
        block = build(config).blocks[0]
        assert isinstance(block, Block)
        return block

    assert OneToken.fits(first(ROTARY))
    no_norm = replace(ROTARY, attention=replace(ROTARY.attention, query_key_norm=False))
    biased = replace(ROTARY, attention=replace(ROTARY.attention, bias=True))
    for config in (LEARNED, SINES, no_norm, biased, replace(ROTARY, residual="post")):
        assert not OneToken.fits(first(config))


@torch.no_grad()
def test_the_block_itself_is_not_a_part_of_its_twin() -> None:
    block = build(ROTARY).blocks[0]
    assert isinstance(block, Block)
    assert not list(OneToken(block, nn.Identity(), Pace(10)).parameters())
