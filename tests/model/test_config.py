"""A config survives JSON, cannot change, and knows its size without building anything."""

import json
from dataclasses import FrozenInstanceError, replace

import pytest
import torch
from hypothesis import given, settings

from regard.errors import RegardError
from regard.model.config import TransformerConfig
from regard.model.sequence import Sequence
from regard.model.transformer import Transformer

from .small import QWEN3, VOCABULARY, configs


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


@pytest.mark.parametrize("numbers", [3, VOCABULARY, 29])
def test_as_many_ids_go_in_as_are_said_and_as_many_scores_come_out(numbers: int) -> None:
    config = replace(QWEN3, ids=numbers)
    model = Transformer(config)
    assert config.parameters() == sum(parameter.numel() for parameter in model.parameters())
    assert model(Sequence.text(torch.tensor([[numbers - 1]]))).shape == (1, 1, VOCABULARY)
    with pytest.raises(IndexError):
        model(Sequence.text(torch.tensor([[numbers]])))
    assert TransformerConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_a_config_from_before_ids_were_a_number_of_their_own_means_what_it_meant() -> None:
    values = QWEN3.to_json()
    assert values.pop("ids") == 0
    config = TransformerConfig.from_json(values)
    assert config == QWEN3
    assert Transformer(config).embedding.table.num_embeddings == VOCABULARY  # type: ignore[union-attr]


def test_ids_that_cannot_be_are_refused_by_name() -> None:
    for wrong in (replace(QWEN3, ids=-1), replace(QWEN3, ids=5, features=7)):
        with pytest.raises(RegardError, match=r"^ids: "):
            Transformer(wrong)
    with pytest.raises(RegardError, match="tied: 5 ids and 17 scores cannot share a table"):
        Transformer(replace(QWEN3, ids=5, tied=True))
    Transformer(replace(QWEN3, ids=VOCABULARY, tied=True))


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
