"""A task of a few numbers: to learn a line, with everything that the loop asks of a task."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from regard.training.average import Average, steady

SETTINGS: dict[str, Any] = {
    "batch": 6, "micro_batch": 6, "seed": 1, "average": 0.5, "learning_rate": 0.02, "table_learning_rate": 0.05,
    "weight_decay": 0.0, "warm_up": 1, "cool_down": 0.5, "precision": "float32", "evaluate_every": 5,
    "checkpoint_every": 5, "monitor": 0.0,
}  # fmt: skip


class Line(nn.Module):
    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(4, 4, bias=False)])
        self.output = nn.Linear(4, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.output(self.dropout(self.blocks[0](x)))[:, 0]
        return made


class Small:
    """Each example is one line of numbers; half of them count two targets, so that a mean of means would show."""

    name = "small"
    size = 20

    def __init__(self, dropout: float = 0.0) -> None:
        self.dropout = dropout
        generator = np.random.default_rng(0)
        self.x = generator.normal(size=(self.size, 4)).astype(np.float32)
        self.y = self.x @ np.array([1.0, -2.0, 0.5, 0.0], np.float32)
        self.seen: list[list[int]] = []

    def build(self, settings: Mapping[str, Any]) -> Line:
        torch.manual_seed(int(settings["seed"]))
        return Line(self.dropout)

    def averaged(self, model: nn.Module, settings: Mapping[str, Any]) -> Average:
        return Average(model, steady(settings["average"]))

    def batch(self, ids: np.ndarray, rng: np.random.Generator, progress: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
        rows = ids[:, 1]
        self.seen.append(rows.tolist())
        return torch.from_numpy(self.x[rows]), torch.from_numpy(self.y[rows]), torch.from_numpy(rows % 2 + 1)

    def loss(self, model: nn.Module, batch: tuple[Tensor, Tensor, Tensor], average: nn.Module) -> tuple[Tensor, Tensor]:
        x, y, weight = batch
        return (weight * (model(x) - y) ** 2).sum(), weight.sum()

    def evaluate(self, model: nn.Module) -> dict[str, Any]:
        return {}
