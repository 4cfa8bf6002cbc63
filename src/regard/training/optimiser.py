"""How weights change: Muon for the matrices inside blocks, AdamW for the rest.

Muon (Jordan et al. 2024) keeps a momentum of each matrix's gradient and steps along its nearest half-orthogonal matrix,
found by Newton and Schulz' iteration. Matrices of one shape are iterated together, as one batched product.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

State = dict[nn.Parameter, dict[str, Tensor]]
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


class Muon:
    """Momentum, orthogonalised; the same numbers as torch.optim.Muon, with equal shapes iterated as one product.

    lr: the step's size for a square matrix; a tall one takes sqrt(rows / columns) times as much. weight_decay: the
    share of lr by which weights shrink each step. precision: of the iteration (decision 12: the run's own).
    state: of each matrix its momentum, of the same shape.
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], lr: float = 0.02, weight_decay: float = 0.1, momentum: float = 0.95,
        precision: torch.dtype = torch.float32,
    ) -> None:  # fmt: skip
        self.parameters, self.lr, self.weight_decay, self.momentum = list(parameters), lr, weight_decay, momentum
        self.precision = precision
        self.state: State = {p: {"momentum": torch.zeros_like(p, requires_grad=False)} for p in self.parameters}

    @torch.no_grad()
    def step(self) -> None:
        """One step along each gradient that is there."""
        shapes: dict[tuple[int, int], list[nn.Parameter]] = defaultdict(list)
        for parameter in self.parameters:
            if parameter.grad is not None:
                rows, columns = parameter.shape
                shapes[min(rows, columns), max(rows, columns)].append(parameter)
        for parameters in shapes.values():
            self._step_together(parameters)

    def _step_together(self, parameters: Sequence[nn.Parameter]) -> None:
        """parameters: of one shape, some lying and some standing, each with a gradient."""
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        momenta = [self.state[parameter]["momentum"] for parameter in parameters]
        torch._foreach_lerp_(momenta, gradients, 1 - self.momentum)
        ahead = torch._foreach_lerp(gradients, momenta, self.momentum)  # Nesterov: where the momentum will be
        wide = torch.stack([x.mT if x.shape[0] > x.shape[1] else x for x in ahead])
        updates = orthogonalise(wide, precision=self.precision)
        torch._foreach_mul_(list[Tensor](parameters), 1 - self.lr * self.weight_decay)
        for parameter, update in zip(parameters, updates, strict=True):
            rows, columns = parameter.shape
            size = self.lr * max(1.0, rows / columns) ** 0.5
            parameter.add_(update.mT if rows > columns else update, alpha=-size)


class AdamW:
    """A step of about lr for each number, against its mean gradient over its spread (Kingma and Ba 2015).

    Without decay. torch's own kernel, called past torch.optim.AdamW, whose base class imports as much again as torch.
    state: of each parameter the two means, of its shape, and the number of its steps, ().
    """

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float, betas: tuple[float, float] = (0.9, 0.95)) -> None:
        self.parameters, self.lr, self.betas = list(parameters), lr, betas
        self.state: State = {}
        for p in self.parameters:
            mean, square = torch.zeros_like(p, requires_grad=False), torch.zeros_like(p, requires_grad=False)
            count = torch.zeros((), dtype=torch.float32, device=p.device)
            self.state[p] = {"exp_avg": mean, "exp_avg_sq": square, "step": count}

    @torch.no_grad()
    def step(self) -> None:
        """One step along each gradient that is there."""
        there = [(p, p.grad, self.state[p]) for p in self.parameters if p.grad is not None]
        adamw(
            [p for p, _, _ in there], [gradient for _, gradient, _ in there], [s["exp_avg"] for *_, s in there],
            [s["exp_avg_sq"] for *_, s in there], [], [s["step"] for *_, s in there], fused=True, amsgrad=False,
            beta1=self.betas[0], beta2=self.betas[1], lr=self.lr, weight_decay=0.0, eps=1e-8, maximize=False,
        )  # fmt: skip


def is_hidden_matrix(name: str, parameter: Tensor) -> bool:
    """Whether Muon changes it: a matrix inside a block. Tables, the output matrix and norms are AdamW's."""
    return parameter.dim() == 2 and "blocks." in name
