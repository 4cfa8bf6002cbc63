"""On the same weights and token ids every weight of every head is the one that transformers' eager attention returns.

Those (`output_attentions=True`, `attn_implementation="eager"`) are what BertViz and other viewers are handed.
"""

import os
from collections.abc import Callable
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import pytest
import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from regard.looking.kept import Tokens
from regard.looking.record import record
from regard.model.sequence import Sequence
from regard.pretrained.folder import read_folder

from .small import Letters

VOCABULARY, N, LAYERS = 101, 41, 3
ROTARY = {"vocab_size": VOCABULARY, "hidden_size": 48, "intermediate_size": 72, "num_hidden_layers": LAYERS,
          "max_position_embeddings": 64, "num_attention_heads": 6, "num_key_value_heads": 2}  # fmt: skip
NEAR = 1e-5

MADE: dict[str, Callable[[], PreTrainedModel]] = {
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(vocab_size=VOCABULARY, n_positions=64, n_embd=96, n_head=3,
                                               n_layer=LAYERS, bos_token_id=7, eos_token_id=9)),
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**ROTARY, head_dim=32)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**ROTARY, head_dim=64)),
}  # fmt: skip


def random_model(name: str) -> PreTrainedModel:
    """Weights so large that no two heads are alike: else they could be swapped within the bound."""
    model = MADE[name]()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for part, parameter in model.named_parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
            if part.endswith(("q_proj.weight", "q_norm.weight", "c_attn.weight")):
                parameter.mul_(2)
    return model.eval()


@pytest.mark.parametrize("name", MADE)
def test_every_weight_is_the_one_that_eager_transformers_returns(name: str, tmp_path: Path) -> None:
    model = random_model(name)
    model.save_pretrained(tmp_path)
    model.set_attn_implementation("eager")
    ids = torch.randint(VOCABULARY, (1, N), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        theirs = model(ids, output_attentions=True).attentions
    ours = record(read_folder(tmp_path).build(), Sequence.text(ids), Tokens.of_text(range(N), Letters()), name=name)
    assert (len(theirs), theirs[0].shape[1]) == (ours.layers, ours.heads)
    for layer in range(ours.layers):
        for head in range(ours.heads):
            expected = theirs[layer][0, head].double().numpy()
            assert np.abs(ours.weights(layer, head) - expected).max() <= NEAR, (layer, head)
            others = [theirs[layer][0, other].double().numpy() for other in range(ours.heads) if other != head]
            assert min(np.abs(one - expected).max() for one in others) > 1000 * NEAR
