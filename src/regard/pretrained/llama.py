"""Llama: RMSNorm before each part, rotary positions, SwiGLU, grouped keys and values (Touvron et al. 2023)."""

from regard.pretrained.rows import Row
from regard.pretrained.table import ACTIVATION, FLAG, IDS_ALONE, POSITIVE, Family, Field, Fixed, Rule, Values

ROTARY_THETA = Field(("rope_parameters.rope_theta", "rope_theta"), "position.theta", POSITIVE, lambda v: 10_000.0)
"""transformers 5 writes the first place, everything older reads the second; both are written."""


def _default_rotation(value: object) -> bool:
    """Rotary positions as in the first Llama: neither stretched nor applied to a part of the head only."""
    if not isinstance(value, dict) or any(isinstance(inner, dict) for inner in value.values()):  # a kind for each layer
        return False
    kinds = [value.get("rope_type"), value.get("type")]
    return all(kind in (None, "default") for kind in kinds) and value.get("partial_rotary_factor") in (None, 1.0)


PLAIN_ROTATION = (
    Fixed("rope_scaling", "null or of rope_type default, without rope_theta",
          lambda value: _default_rotation(value) and "rope_theta" not in value),
    Fixed("rope_parameters", "of rope_type default, without partial_rotary_factor", _default_rotation),
    Fixed("partial_rotary_factor", "1.0", lambda value: value == 1.0),
)  # fmt: skip
NOT_QUANTISED = Fixed("quantization_config", "left out: weights in float32, float16 or bfloat16", lambda value: False)

SILENT = frozenset({
    *{"architectures", "model_type", "torch_dtype", "dtype", "transformers_version", "_name_or_path"},
    *{"initializer_range", "use_cache", "attention_dropout", "output_attentions", "output_hidden_states"},
    *{"bos_token_id", "eos_token_id", "pad_token_id", "chunk_size_feed_forward", "is_decoder", "return_dict"},
})  # fmt: skip
"""Who wrote the file, how the weights began, training, and the special ids, which are read elsewhere."""

GROUPS = Rule("num_attention_heads", "a multiple of num_key_value_heads",
              lambda v: v["attention.heads"] % v["attention.key_value_heads"] == 0)  # fmt: skip
EVEN_HEADS = Rule("head_dim", "even, for rotary positions turn pairs", lambda v: v["attention.head_width"] % 2 == 0)
"""Where head_dim is missing it is hidden_size / num_attention_heads."""
WHOLE_HEADS = Rule("hidden_size", "a multiple of num_attention_heads (transformers insists)",
                   lambda v: v["width"] % v["attention.heads"] == 0)  # fmt: skip

ROWS = (
    Row("model.embed_tokens.weight", "embedding.table.weight"),
    Row("model.layers.{}.input_layernorm.weight", "blocks.{}.attention_norm.weight"),
    Row("model.layers.{}.self_attn.q_proj.weight", "blocks.{}.attention.query.weight"),
    Row("model.layers.{}.self_attn.q_proj.bias", "blocks.{}.attention.query.bias"),
    Row("model.layers.{}.self_attn.k_proj.weight", "blocks.{}.attention.key.weight"),
    Row("model.layers.{}.self_attn.k_proj.bias", "blocks.{}.attention.key.bias"),
    Row("model.layers.{}.self_attn.v_proj.weight", "blocks.{}.attention.value.weight"),
    Row("model.layers.{}.self_attn.v_proj.bias", "blocks.{}.attention.value.bias"),
    Row("model.layers.{}.self_attn.o_proj.weight", "blocks.{}.attention.output.weight"),
    Row("model.layers.{}.self_attn.o_proj.bias", "blocks.{}.attention.output.bias"),
    Row("model.layers.{}.post_attention_layernorm.weight", "blocks.{}.feed_forward_norm.weight"),
    Row("model.layers.{}.mlp.gate_proj.weight", "blocks.{}.feed_forward.gate.weight"),
    Row("model.layers.{}.mlp.gate_proj.bias", "blocks.{}.feed_forward.gate.bias"),
    Row("model.layers.{}.mlp.up_proj.weight", "blocks.{}.feed_forward.up.weight"),
    Row("model.layers.{}.mlp.up_proj.bias", "blocks.{}.feed_forward.up.bias"),
    Row("model.layers.{}.mlp.down_proj.weight", "blocks.{}.feed_forward.down.weight"),
    Row("model.layers.{}.mlp.down_proj.bias", "blocks.{}.feed_forward.down.bias"),
    Row("model.norm.weight", "output.norm.weight"),
    Row("lm_head.weight", "output.projection.weight"),
)


def _always(values: Values) -> Values:
    return {**IDS_ALONE, "norm.kind": "rms", "position.kind": "rotary", "residual": "pre", "memory": False,
            "attention.query_key_norm": False, "feed_forward.gated": True}  # fmt: skip


LLAMA = Family(
    name="Llama",
    architecture="LlamaForCausalLM",
    model_type="llama",
    fields=(
        Field("vocab_size", "vocabulary"),
        Field("max_position_embeddings", "context"),
        Field("hidden_size", "width"),
        Field("num_hidden_layers", "layers"),
        Field("num_attention_heads", "attention.heads"),
        Field("num_key_value_heads", "attention.key_value_heads", missing=lambda v: v["attention.heads"]),
        Field("head_dim", "attention.head_width", missing=lambda v: max(v["width"] // v["attention.heads"], 1)),
        Field("attention_bias", ("attention.bias", "attention.output_bias"), FLAG, lambda v: False),
        Field("intermediate_size", "feed_forward.width"),
        Field("hidden_act", "feed_forward.activation", ACTIVATION, lambda v: "silu"),
        Field("mlp_bias", "feed_forward.bias", FLAG, lambda v: False),
        Field("rms_norm_eps", "norm.epsilon", POSITIVE, lambda v: 1e-6),
        ROTARY_THETA,
        Field("tie_word_embeddings", "tied", FLAG, lambda v: False),
    ),
    always=_always,
    rules=(WHOLE_HEADS, GROUPS, EVEN_HEADS),
    fixed=(
        Fixed("model_type", "llama", lambda value: value == "llama"),
        Fixed("sliding_window", "null", lambda value: False),
        Fixed("is_encoder_decoder", "false", lambda value: value is False),
        *PLAIN_ROTATION,
        NOT_QUANTISED,
    ),
    written={"rope_parameters.rope_type": "default", "attention_dropout": 0.0},
    silent=SILENT | {"pretraining_tp"},
    rows=ROWS,
    prefix="model.",
    harmless=("model.layers.{}.self_attn.rotary_emb.inv_freq", "model.rotary_emb.inv_freq"),
)
