"""Qwen3: Llama's block with RMS-normalised queries and keys (Yang et al. 2025); regard's default block, exactly."""

from regard.pretrained.llama import EVEN_HEADS, GROUPS, NOT_QUANTISED, PLAIN_ROTATION, ROTARY_THETA, SILENT
from regard.pretrained.llama import ROWS as LLAMA_ROWS
from regard.pretrained.rows import Row
from regard.pretrained.table import ACTIVATION, FLAG, IDS_ALONE, POSITIVE, Family, Field, Fixed, Values


def _no_window(value: object) -> bool:
    return isinstance(value, list) and all(kind == "full_attention" for kind in value)


def _always(values: Values) -> Values:
    return {**IDS_ALONE, "norm.kind": "rms", "position.kind": "rotary", "residual": "pre", "memory": False,
            "attention.query_key_norm": True, "feed_forward.gated": True, "feed_forward.bias": False}  # fmt: skip


QWEN3 = Family(
    name="Qwen3",
    architecture="Qwen3ForCausalLM",
    model_type="qwen3",
    fields=(
        Field("vocab_size", "vocabulary"),
        Field("max_position_embeddings", "context"),
        Field("hidden_size", "width"),
        Field("num_hidden_layers", "layers"),
        Field("num_attention_heads", "attention.heads"),
        Field("num_key_value_heads", "attention.key_value_heads"),
        Field("head_dim", "attention.head_width"),
        Field("attention_bias", ("attention.bias", "attention.output_bias"), FLAG, lambda v: False),
        Field("intermediate_size", "feed_forward.width"),
        Field("hidden_act", "feed_forward.activation", ACTIVATION, lambda v: "silu"),
        Field("rms_norm_eps", "norm.epsilon", POSITIVE, lambda v: 1e-6),
        ROTARY_THETA,
        Field("tie_word_embeddings", "tied", FLAG, lambda v: False),
    ),
    always=_always,
    rules=(GROUPS, EVEN_HEADS),
    fixed=(
        Fixed("model_type", "qwen3", lambda value: value == "qwen3"),
        Fixed("use_sliding_window", "false", lambda value: value is False),  # sliding_window counts only with it
        Fixed("layer_types", "full_attention in every layer", _no_window),
        Fixed("is_encoder_decoder", "false", lambda value: value is False),
        *PLAIN_ROTATION,
        NOT_QUANTISED,
    ),
    written={"rope_parameters.rope_type": "default", "attention_dropout": 0.0, "use_sliding_window": False},
    silent=SILENT | {"sliding_window", "max_window_layers"},
    rows=(
        *LLAMA_ROWS,
        Row("model.layers.{}.self_attn.q_norm.weight", "blocks.{}.attention.query_norm.weight"),
        Row("model.layers.{}.self_attn.k_norm.weight", "blocks.{}.attention.key_norm.weight"),
    ),
    prefix="model.",
    harmless=("model.layers.{}.self_attn.rotary_emb.inv_freq", "model.rotary_emb.inv_freq"),
)
