"""GPT-2: LayerNorm before each part, learned positions, GELU, biases everywhere (Radford et al. 2019)."""

from regard.pretrained.llama import NOT_QUANTISED, SILENT
from regard.pretrained.rows import Row
from regard.pretrained.table import ACTIVATION, FLAG, IDS_ALONE, POSITIVE, Family, Field, Fixed, Rule, Values


def _always(values: Values) -> Values:
    return {
        **IDS_ALONE,
        "attention.key_value_heads": values["attention.heads"],
        "attention.head_width": values["width"] // values["attention.heads"],
        "attention.query_key_norm": False,
        "attention.bias": True,
        "attention.output_bias": True,
        "feed_forward.gated": False,
        "feed_forward.bias": True,
        "norm.kind": "layer",
        "position.kind": "learned",
        "position.theta": values.get("position.theta", 10_000.0),  # of no use here, so any value fits
        "residual": "pre",
        "memory": False,
    }


def _must_be(theirs: str, only: bool) -> Fixed:
    return Fixed(theirs, "true" if only else "false", lambda value: value is only)


GPT2 = Family(
    name="GPT-2",
    architecture="GPT2LMHeadModel",
    model_type="gpt2",
    fields=(
        Field("vocab_size", "vocabulary"),
        Field("n_positions", "context"),
        Field("n_embd", "width"),
        Field("n_layer", "layers"),
        Field("n_head", "attention.heads"),
        Field("n_inner", "feed_forward.width", missing=lambda v: 4 * v["width"]),
        Field("activation_function", "feed_forward.activation", ACTIVATION, lambda v: "gelu_tanh"),
        Field("layer_norm_epsilon", "norm.epsilon", POSITIVE, lambda v: 1e-5),
        Field("tie_word_embeddings", "tied", FLAG, lambda v: True),
    ),
    always=_always,
    rules=(
        Rule(
            "n_head",
            "a divisor of n_embd, for this family has no head width of its own",
            lambda v: v["width"] % v["attention.heads"] == 0,
        ),
        Rule("n_head", "such that n_embd / n_head is even", lambda v: v["width"] // v["attention.heads"] % 2 == 0),
    ),
    fixed=(
        Fixed("model_type", "gpt2", lambda value: value == "gpt2"),
        _must_be("scale_attn_weights", True),
        _must_be("scale_attn_by_inverse_layer_idx", False),
        _must_be("add_cross_attention", False),
        _must_be("is_encoder_decoder", False),
        NOT_QUANTISED,
    ),
    written={"attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0},
    silent=SILENT
    | {
        *{"attn_pdrop", "embd_pdrop", "resid_pdrop", "n_ctx", "task_specific_params"},
        *{"reorder_and_upcast_attn", "summary_activation"},
        *{"summary_first_dropout", "summary_proj_to_labels", "summary_type", "summary_use_proj"},
    },
    rows=(
        Row("transformer.wte.weight", "embedding.table.weight"),
        Row("transformer.wpe.weight", "position.table.weight"),
        Row("transformer.h.{}.ln_1.weight", "blocks.{}.attention_norm.weight"),
        Row("transformer.h.{}.ln_1.bias", "blocks.{}.attention_norm.bias"),
        Row(
            "transformer.h.{}.attn.c_attn.weight",
            ("blocks.{}.attention.query.weight", "blocks.{}.attention.key.weight", "blocks.{}.attention.value.weight"),
            turned=True,
        ),
        Row(
            "transformer.h.{}.attn.c_attn.bias",
            ("blocks.{}.attention.query.bias", "blocks.{}.attention.key.bias", "blocks.{}.attention.value.bias"),
        ),
        Row("transformer.h.{}.attn.c_proj.weight", "blocks.{}.attention.output.weight", turned=True),
        Row("transformer.h.{}.attn.c_proj.bias", "blocks.{}.attention.output.bias"),
        Row("transformer.h.{}.ln_2.weight", "blocks.{}.feed_forward_norm.weight"),
        Row("transformer.h.{}.ln_2.bias", "blocks.{}.feed_forward_norm.bias"),
        Row("transformer.h.{}.mlp.c_fc.weight", "blocks.{}.feed_forward.up.weight", turned=True),
        Row("transformer.h.{}.mlp.c_fc.bias", "blocks.{}.feed_forward.up.bias"),
        Row("transformer.h.{}.mlp.c_proj.weight", "blocks.{}.feed_forward.down.weight", turned=True),
        Row("transformer.h.{}.mlp.c_proj.bias", "blocks.{}.feed_forward.down.bias"),
        Row("transformer.ln_f.weight", "output.norm.weight"),
        Row("transformer.ln_f.bias", "output.norm.bias"),
        Row("lm_head.weight", "output.projection.weight"),
    ),
    prefix="transformer.",
    harmless=("transformer.h.{}.attn.bias", "transformer.h.{}.attn.masked_bias"),
)
