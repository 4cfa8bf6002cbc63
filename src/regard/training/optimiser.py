"""How weights change: Muon for the matrices inside blocks, AdamW for the rest.

Muon (Jordan et al. 2024) keeps a momentum of each matrix's gradient and steps along its nearest half-orthogonal matrix,
found by Newton and Schulz' iteration. Matrices of one shape are iterated together, as one batched product.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of a x + b x^3 + c x^5 (Jordan et al. 2024): singular values end between about 0.7 and 1.2."""


def orthogonalise(gradient: Tensor, steps: int = 5, precision: torch.dtype = torch.float32) -> Tensor:
    """The half-orthogonal matrix near each gradient: (count, rows, columns) -> the same shape, in that precision.

    Five steps of Newton and Schulz' iteration on X / |X|: X <- a X + (b A + c A^2) X with A = X X^T.
    """
    a, b, c = NEWTON_SCHULZ
    x = gradient.to(precision)
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised; the same numbers as torch.optim.Muon, with equal shapes iterated as one product.

    lr: the step's size for a square matrix; a tall one takes sqrt(rows / columns) times as much. weight_decay: the
    share of lr by which weights shrink each step. precision: of the iteration (decision 12: the run's own).
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], lr: float = 0.02, weight_decay: float = 0.1, momentum: float = 0.95,
        precision: torch.dtype = torch.float32,
    ) -> None:  # fmt: skip
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})
        self.precision = precision

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            shapes: dict[tuple[int, int], list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    rows, columns = parameter.shape
                    shapes[min(rows, columns), max(rows, columns)].append(parameter)
            for parameters in shapes.values():
                self._step_together(parameters, group["lr"], group["weight_decay"], group["momentum"])

    def _step_together(self, parameters: list[Tensor], lr: float, weight_decay: float, momentum: float) -> None:
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]  # all have one
        for parameter in parameters:
            if "momentum" not in self.state[parameter]:
                self.state[parameter]["momentum"] = torch.zeros_like(parameter)
        buffers = [self.state[parameter]["momentum"] for parameter in parameters]
        torch._foreach_lerp_(buffers, gradients, 1 - momentum)
        ahead = torch._foreach_lerp(gradients, buffers, momentum)  # Nesterov: where the momentum will be
        wide = torch.stack([x.mT if x.shape[0] > x.shape[1] else x for x in ahead])
        updates = orthogonalise(wide, precision=self.precision)
        torch._foreach_mul_(parameters, 1 - lr * weight_decay)
        for parameter, update in zip(parameters, updates, strict=True):
            rows, columns = parameter.shape
            parameter.add_(update.mT if rows > columns else update, alpha=-lr * max(1.0, rows / columns) ** 0.5)


def is_hidden_matrix(name: str, parameter: Tensor) -> bool:
    """Whether Muon changes it: a matrix inside a block. Tables, the output matrix and norms are AdamW's."""
    return parameter.dim() == 2 and "blocks." in name
