"""Every field of config.json is read, written and refused by its name (M8, M11); relations between sizes, too."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from regard.errors import RegardError
from regard.model.config import AttentionConfig, FeedForwardConfig, NormConfig, PositionConfig, TransformerConfig
from regard.model.transformer import check_sizes
from regard.pretrained.document import put
from regard.pretrained.families import FAMILIES, family_of
from regard.pretrained.fields import flat, folded, misfits, read_config, write_config
from regard.pretrained.rows import several
from regard.pretrained.table import ACTIVATION, FLAG, POSITIVE, SIZE, Family, Field

from .made import GPT2, LLAMA, QWEN3, refused

OF = {"Qwen3": QWEN3, "Llama": LLAMA, "GPT-2": GPT2}
EVERY = [(family, field) for family in FAMILIES.values() for field in family.fields]
NAMES = [f"{family.name} {several(field.theirs)[-1]}" for family, field in EVERY]

anything = st.one_of(
    st.text(max_size=9), st.lists(st.integers(), max_size=3), st.dictionaries(st.text(max_size=3), st.none())
)
WRONG = {
    SIZE: st.one_of(st.integers(max_value=0), st.integers(min_value=2**31), st.floats(), st.booleans(), anything),
    POSITIVE: st.one_of(st.floats(max_value=0), st.sampled_from([float("nan"), float("inf"), 10**400, True]), anything),
    FLAG: st.one_of(st.integers(), st.floats(), anything),
    ACTIVATION: st.one_of(st.sampled_from(["quick_gelu", "SiLU", "tanh", ""]), st.integers(), st.booleans(), anything),
}


@pytest.mark.parametrize(("family", "field"), EVERY, ids=NAMES)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_M11_a_wrong_value_is_refused_by_its_name(family: Family, field: Field, data: st.DataObject) -> None:
    theirs = write_config(family, OF[family.name])
    wrong = data.draw(WRONG[field.kind].filter(lambda value: not isinstance(value, dict) or field.kind is not POSITIVE))
    assume(field.kind is not ACTIVATION or wrong not in field.kind.allowed.replace(",", "").split())  # no name of one
    for place in several(field.theirs):
        put(theirs, place, wrong)
    with refused("config.json", several(field.theirs)[0].split(".")[-1], field.kind.allowed[:20]):
        read_config(family, theirs, "config.json")


@pytest.mark.parametrize(("family", "field"), EVERY, ids=NAMES)
def test_M11_a_missing_field_is_refused_or_its_default_said(family: Family, field: Field) -> None:
    theirs = write_config(family, OF[family.name])
    for place in several(field.theirs):
        theirs.pop(place.split(".")[0], None)
    name = several(field.theirs)[-1]
    if field.missing is None:
        with refused(f"{name} is missing"):
            read_config(family, theirs, "config.json")
        return
    try:
        _, (said,) = read_config(family, theirs, "config.json")
        assert f"{name} = " in str(said)
    except RegardError as error:  # the default may not fit the other sizes: 48 / 6 heads is no ...
        pytest.fail(str(error))


@pytest.mark.parametrize(
    ("config", "changed", "words"),
    [
        (GPT2, {"n_head": 3}, ("n_head is 3", "divisor of n_embd")),
        (GPT2, {"n_head": 64}, ("n_head is 64", "even")),
        (LLAMA, {"num_key_value_heads": 4}, ("num_attention_heads is 6", "multiple of num_key_value_heads")),
        (QWEN3, {"num_key_value_heads": 12}, ("num_attention_heads is 6", "multiple of num_key_value_heads")),
        (QWEN3, {"head_dim": 31}, ("head_dim is 31", "even")),
        (LLAMA, {"head_dim": 7}, ("head_dim is 7", "even")),
        (LLAMA, {"hidden_size": 50}, ("hidden_size is 50", "multiple of num_attention_heads")),
        (QWEN3, {"rope_theta": 7.0}, ("rope_parameters.rope_theta = 50000.0", "rope_theta = 7.0", "differ")),
    ],
)
def test_M11_sizes_that_contradict_each_other_are_refused(
    config: TransformerConfig, changed: dict[str, Any], words: tuple[str, ...]
) -> None:
    family = family_of(config)
    with refused(*words):
        read_config(family, write_config(family, config) | changed, "config.json")


ROTATIONS = [
    {"rope_scaling": {"rope_type": "yarn", "factor": 4.0}},
    {"rope_scaling": {"type": "linear", "factor": 2.0}},
    {"rope_scaling": {"rope_type": "default", "rope_theta": 3.0}},
    {"rope_scaling": "yarn"},
    {"rope_scaling": {"rope_type": ["default"]}},
    {"rope_parameters": {"rope_type": "llama3", "rope_theta": 5e4, "factor": 8.0}},
    {"rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 5e4}}},
    {"rope_parameters": {"rope_type": "default", "rope_theta": 5e4, "partial_rotary_factor": 0.5}},
    {"partial_rotary_factor": 0.25},
]
OTHER = [
    *[(config, field) for config in (QWEN3, LLAMA) for field in ROTATIONS],
    *[(config, {"quantization_config": {"quant_method": "gptq"}}) for config in (QWEN3, LLAMA, GPT2)],
    *[(config, {"model_type": "mistral"}) for config in (QWEN3, LLAMA, GPT2)],
    *[(config, {"is_encoder_decoder": True}) for config in (QWEN3, LLAMA, GPT2)],
    (QWEN3, {"use_sliding_window": True}),
    (QWEN3, {"layer_types": ["full_attention", "sliding_attention"]}),
    (QWEN3, {"layer_types": "sliding_attention"}),
    (LLAMA, {"sliding_window": 4096}),
    (GPT2, {"scale_attn_weights": False}),
    (GPT2, {"scale_attn_by_inverse_layer_idx": True}),
    (GPT2, {"add_cross_attention": True}),
]


@pytest.mark.parametrize(("config", "field"), OTHER, ids=str)
def test_M11_what_regard_does_not_compute_is_refused_by_name(config: TransformerConfig, field: dict[str, Any]) -> None:
    family = family_of(config)
    (name,) = field
    with refused("config.json", f"{name} is", family.name, f"a model with {name}"):
        read_config(family, write_config(family, config) | field, "config.json")


def test_a_window_that_is_not_used_does_not_matter() -> None:
    theirs = write_config(family_of(QWEN3), QWEN3) | {"sliding_window": 4096, "max_window_layers": 1}
    assert read_config(family_of(QWEN3), theirs, "config.json") == (QWEN3, ())


sizes = st.integers(1, 9)
activations = st.sampled_from(["silu", "gelu", "gelu_tanh", "relu"])


@st.composite
def configs(draw: st.DrawFn) -> TransformerConfig:
    """Of any of the families."""
    name = draw(st.sampled_from(list(OF)))
    groups, size, half = draw(sizes), draw(sizes), draw(sizes)
    heads, flag = groups * size, draw(st.booleans())
    epsilon = draw(st.floats(1e-9, 0.1))
    common: dict[str, Any] = {
        "vocabulary": draw(sizes),
        "context": draw(sizes),
        "layers": draw(sizes),
        "tied": draw(st.booleans()),
    }
    wide = FeedForwardConfig(width=draw(sizes), activation=draw(activations))
    if name == "GPT-2":
        attention = replace(GPT2.attention, heads=heads, key_value_heads=heads, head_width=2 * half)
        return replace(
            GPT2, **common, width=2 * half * heads, attention=attention, norm=NormConfig(kind="layer", epsilon=epsilon),
            feed_forward=replace(wide, gated=False, bias=True))  # fmt: skip
    attention = AttentionConfig(heads=heads, key_value_heads=groups, head_width=2 * half, bias=flag, output_bias=flag,
                                query_key_norm=name == "Qwen3")  # fmt: skip
    return replace(
        QWEN3, **common, width=heads * draw(sizes), attention=attention, norm=NormConfig(epsilon=epsilon),
        feed_forward=replace(wide, bias=flag and name == "Llama"),
        position=PositionConfig(theta=draw(st.floats(1.0, 1e9))))  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(configs())
def test_what_is_written_is_read_again(config: TransformerConfig) -> None:
    check_sizes(config)
    family = family_of(config)
    theirs = json.loads(json.dumps(write_config(family, config)))
    assert read_config(family, theirs, "config.json") == (config, ())
    assert folded(flat(config)) == config


def test_the_tables_name_every_part_of_our_config() -> None:
    """A part that no table named would be lost without a word, in both directions."""
    for family in FAMILIES.values():
        config = OF[family.name]
        named = {path for field in family.fields for path in several(field.ours)} | set(family.always(flat(config)))
        assert named == set(flat(config))
        assert misfits(family, config) == []


NOBODY = [
    (replace(QWEN3, position=PositionConfig(kind="sinusoidal")), "position.kind sinusoidal"),
    (replace(QWEN3, residual="post"), "residual post"),
    (replace(QWEN3, memory=True), "memory True"),
    (replace(QWEN3, norm=NormConfig(kind="layer")), "norm.kind layer"),
    (replace(QWEN3, feed_forward=FeedForwardConfig(width=8, gated=False)), "feed_forward.gated False"),
    (replace(QWEN3, attention=replace(QWEN3.attention, bias=True)), "attention.output_bias False"),
    (replace(LLAMA, width=50), "hidden_size"),
    (replace(GPT2, attention=replace(GPT2.attention, head_width=16)), "attention.head_width 16"),
    (replace(GPT2, attention=replace(GPT2.attention, key_value_heads=1)), "attention.key_value_heads 1"),
]


@pytest.mark.parametrize(("config", "part"), NOBODY, ids=[part for _, part in NOBODY])
def test_a_part_that_no_family_has_is_named(config: TransformerConfig, part: str) -> None:
    with refused("export", part):
        family_of(config)
