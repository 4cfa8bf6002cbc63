"""What tasks have in common that train the transformer itself, with nothing around it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from torch import nn

from regard.model.config import TransformerConfig
from regard.model.transformer import Transformer, initialise
from regard.training.average import Average, steady


class TransformerTask(ABC):
    seed: int
    """Of the first weights."""

    @abstractmethod
    def configured(self, settings: Mapping[str, Any]) -> TransformerConfig:
        """The transformer of these settings."""

    def build(self, settings: Mapping[str, Any]) -> Transformer:
        """The transformer, its attention path the one of the settings while training. Raises RegardError."""
        model = Transformer(self.configured(settings))
        model.train_with(str(settings["attention"]))
        return model

    def first_weights(self, model: Transformer) -> None:
        initialise(model, self.seed)

    def averaged(self, model: nn.Module, settings: Mapping[str, Any]) -> Average:
        return Average(model, steady(settings["average"]))
