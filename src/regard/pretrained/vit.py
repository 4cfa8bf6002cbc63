"""ViT: pictures in patches, a class token, learned positions, LayerNorm before each part (Dosovitskiy et al. 2021)."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from regard.model.config import TransformerConfig
from regard.pretrained.llama import NOT_QUANTISED, SILENT
from regard.pretrained.rows import Layout, Row
from regard.pretrained.table import ACTIVATION, FLAG, POSITIVE, SIZE, Family, Field, Fixed, Kind, Rule, Values


def _sides(value: Any) -> tuple[int, int]:
    """Height and width; one number stands for both."""
    sides = value if isinstance(value, list) else [value, value]
    if len(sides) != 2:
        raise ValueError
    return SIZE.read(sides[0]), SIZE.read(sides[1])


def _channels(value: Any) -> int:
    if type(value) is not int or value not in (1, 3):
        raise ValueError
    return value


def _classes(value: Any) -> tuple[str, ...]:
    """{"0": "cat", "1": "dog"} in the order of the numbers; what two classes are called gets its number besides."""
    if not isinstance(value, dict) or len(value) < 2:  # of one, transformers makes a regression
        raise ValueError
    names = [name for number in range(len(value)) if isinstance(name := value.get(str(number)), str)]
    if len(names) < len(value):
        raise ValueError
    times = Counter(names)
    told = tuple(name if times[name] == 1 else f"{name} ({number})" for number, name in enumerate(names))
    return told if len(set(told)) == len(told) else tuple(f"{name} ({number})" for number, name in enumerate(names))


SIDES = Kind("a whole number above 0, or two: height and width", _sides)
CHANNELS = Kind("1 (grey) or 3 (red, green, blue)", _channels)
CLASSES = Kind("an object that names each of two classes or more by its number, from 0 on", _classes)


def _fits(values: Values) -> bool:
    return all(patch <= side for patch, side in zip(values["picture.patch"], values["picture.size"], strict=True))


def _always(values: Values) -> Values:
    (high, wide), size = values["picture.patch"], values["picture.size"]
    return {
        "vocabulary": len(values["picture.classes"]),
        "context": 1 + (size[0] // high) * (size[1] // wide),
        "ids": 0,
        "features": high * wide * values["picture.channels"],
        "learned": 1,
        "tied": False,
        "output_bias": True,
        "attention.key_value_heads": values["attention.heads"],
        "attention.head_width": values["width"] // values["attention.heads"],
        "attention.query_key_norm": False,
        "attention.output_bias": True,
        "feed_forward.gated": False,
        "feed_forward.bias": True,
        "norm.kind": "layer",
        "position.kind": "learned",
        "residual": "pre",
        "memory": False,
    }


VIT = Family(
    name="ViT",
    architecture="ViTForImageClassification",
    model_type="vit",
    fields=(
        Field("hidden_size", "width"),
        Field("num_hidden_layers", "layers"),
        Field("num_attention_heads", "attention.heads"),
        Field("intermediate_size", "feed_forward.width"),
        Field("hidden_act", "feed_forward.activation", ACTIVATION, lambda v: "gelu"),
        Field("layer_norm_eps", "norm.epsilon", POSITIVE, lambda v: 1e-12),
        Field("qkv_bias", "attention.bias", FLAG, lambda v: True),
        Field("image_size", "picture.size", SIDES),
        Field("patch_size", "picture.patch", SIDES),
        Field("num_channels", "picture.channels", CHANNELS, lambda v: 3),
        Field("id2label", "picture.classes", CLASSES, lambda v: ("LABEL_0", "LABEL_1")),
    ),
    always=_always,
    rules=(
        Rule(
            "num_attention_heads",
            "a divisor of hidden_size, for this family has no head width of its own",
            lambda v: v["width"] % v["attention.heads"] == 0,
        ),
        Rule(
            "num_attention_heads",
            "such that hidden_size / num_attention_heads is even",
            lambda v: v["width"] // v["attention.heads"] % 2 == 0,
        ),
        Rule("patch_size", "at most image_size", _fits),
    ),
    fixed=(
        Fixed("model_type", "vit", lambda value: value == "vit"),
        Fixed("head_dim", "left out", lambda value: False),
        Fixed("problem_type", "left out or single_label_classification", lambda v: v == "single_label_classification"),
        NOT_QUANTISED,
    ),
    silent=SILENT
    | {
        *{"hidden_dropout_prob", "attention_probs_dropout_prob", "encoder_stride", "label2id", "num_labels"},
        *{"pooler_act", "pooler_output_size"},
    },
    rows=(),  # they follow from the sizes: `rows_of`
    prefix="vit.",
)
"""What begins with "picture." is in no TransformerConfig: how pictures become tokens, what scores are called."""

OLD = {
    "layer": "encoder.layer.{}", "query": "attention.attention.query", "key": "attention.attention.key",
    "value": "attention.attention.value", "mixed": "attention.output.dense", "up": "intermediate.dense",
    "down": "output.dense",
}  # fmt: skip
"""What a layer's parts are called in files, also in those that transformers 5 writes unless it is asked otherwise."""
NEW = {
    "layer": "layers.{}", "query": "attention.q_proj", "key": "attention.k_proj", "value": "attention.v_proj",
    "mixed": "attention.o_proj", "up": "mlp.fc1", "down": "mlp.fc2",
}  # fmt: skip
"""What they are called inside transformers 5."""


def rows_of(config: TransformerConfig, channels: int, patch: tuple[int, int], names: Iterable[str]) -> tuple[Row, ...]:
    """Every tensor beside ours, by the old or the new names, whichever are among these.

    The matrix of patches is a convolution's there, (width, channels, height, width of a patch); here a patch's numbers
    are ordered by row, column and channel.
    """
    parts = NEW if any(name.startswith("vit.layers.") for name in names) else OLD
    layer, width = f"vit.{parts['layer']}", config.width
    of_a_layer = {
        "layernorm_before": "attention_norm", parts["query"]: "attention.query", parts["key"]: "attention.key",
        parts["value"]: "attention.value", parts["mixed"]: "attention.output",
        "layernorm_after": "feed_forward_norm", parts["up"]: "feed_forward.up", parts["down"]: "feed_forward.down",
    }  # fmt: skip
    embeddings, patches = "vit.embeddings", "vit.embeddings.patch_embeddings.projection"
    return (
        Row(f"{embeddings}.cls_token", "embedding.learned", layout=Layout((1, 1, width), (0, 1, 2))),
        Row(f"{embeddings}.position_embeddings", "position.table.weight",
            layout=Layout((1, config.context, width), (0, 1, 2))),
        Row(f"{patches}.weight", "embedding.projection.weight",
            layout=Layout((width, channels, *patch), (0, 2, 3, 1))),
        Row(f"{patches}.bias", "embedding.projection.bias"),
        *(Row(f"{layer}.{theirs}.{kind}", f"blocks.{{}}.{ours}.{kind}")
          for theirs, ours in of_a_layer.items() for kind in ("weight", "bias")),
        Row("vit.layernorm.weight", "output.norm.weight"),
        Row("vit.layernorm.bias", "output.norm.bias"),
        Row("classifier.weight", "output.projection.weight"),
        Row("classifier.bias", "output.bias"),
    )  # fmt: skip


def scaling(channels: int) -> tuple[Field, ...]:
    """The fields of preprocessor_config.json that say how bytes become the numbers that a model is given."""

    def numbers(value: Any, above: float) -> tuple[float, ...]:
        given = value if isinstance(value, list) else [value] * channels
        if len(given) != channels or not all(type(one) in (int, float) and above < one < 1e9 for one in given):
            raise ValueError
        return tuple(map(float, given))

    mean = Kind(f"{channels} finite numbers", lambda value: numbers(value, -1e9))
    deviation = Kind(f"{channels} numbers above 0", lambda value: numbers(value, 0.0))
    return (
        Field("do_rescale", "rescaled", FLAG, lambda v: True),
        Field("rescale_factor", "factor", POSITIVE, lambda v: 1 / 255),
        Field("do_normalize", "normalised", FLAG, lambda v: True),
        Field("image_mean", "mean", mean, lambda v: (0.5,) * channels),
        Field("image_std", "deviation", deviation, lambda v: (0.5,) * channels),
    )


def scales(values: Values) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of each channel as shares of 255: a byte b becomes (b / 255 - mean) / deviation."""
    white = 255 * values["factor"] if values["rescaled"] else 255.0
    mean, deviation = values["mean"], values["deviation"]
    if not values["normalised"]:
        mean, deviation = [0.0] * len(mean), [1.0] * len(deviation)
    return tuple(m / white for m in mean), tuple(d / white for d in deviation)
