"""A config survives JSON, cannot change, and knows its size without building anything."""

import json
from dataclasses import FrozenInstanceError, replace

import pytest
from hypothesis import given, settings

from regard.model.config import TransformerConfig
from regard.model.transformer import Transformer

from .small import QWEN3, configs


@given(config=configs())
@settings(max_examples=60, deadline=None)
def test_json_and_back_is_the_same_config(config: TransformerConfig) -> None:
    text = json.dumps(config.to_json(), allow_nan=False)
    assert TransformerConfig.from_json(json.loads(text)) == config
    assert hash(TransformerConfig.from_json(json.loads(text))) == hash(config)


@given(config=configs())
@settings(max_examples=40, deadline=None)
def test_the_number_of_parameters_is_that_of_the_built_model(config: TransformerConfig) -> None:
    assert config.parameters() == sum(parameter.numel() for parameter in Transformer(config).parameters())


@pytest.mark.parametrize("learned", [0, 1, 5])
def test_a_model_of_vectors_counts_its_projection_in_place_of_a_table(learned: int) -> None:
    config = replace(QWEN3, features=7, learned=learned)
    assert config.parameters() == sum(parameter.numel() for parameter in Transformer(config).parameters())
    assert TransformerConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_a_name_that_is_not_known_is_a_type_error() -> None:
    values = QWEN3.to_json()
    with pytest.raises(TypeError, match="colour"):
        TransformerConfig.from_json({**values, "colour": 1})
    with pytest.raises(TypeError, match="colour"):
        TransformerConfig.from_json({**values, "norm": {"colour": 1}})
    with pytest.raises(TypeError, match="width"):
        TransformerConfig.from_json({name: value for name, value in values.items() if name != "width"})


def test_a_config_cannot_change_and_variants_are_copies() -> None:
    with pytest.raises(FrozenInstanceError):
        QWEN3.layers = 5  # type: ignore[misc]
    assert replace(QWEN3, layers=5) != QWEN3
