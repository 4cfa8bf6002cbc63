"""Whether a teacher still tells pictures apart: two figures, and the two ways in which it may have stopped to.

A teacher that gives every picture the same shares teaches nothing, and nothing in the loss forbids it. Either every
prototype gets the same share, and the loss stays at ln K; or one gets nearly all, and the loss is 0 (Caron et al. 2021,
section 5.3).
Shapes: count of pictures; K prototypes.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from regard.training.task import Unsound

UNIFORM = 0.99
"""Entropy from which on shares are as good as all the same, of ln K."""
ONE_POINT = 0.01
"""Nats between pictures below which they are as good as one."""
YOUNG = 50
"""Steps before which nothing is concluded, or longer, while its temperature rises: it begins as a random network."""


@dataclass(frozen=True)
class Health:
    prototypes: int
    entropy: float
    """Of a picture's shares, in nats, the mean over pictures; ln K where all are the same, 0 where one has all."""
    between: float
    """Nats from the mean of all pictures' shares to one's own (Kullback, Leibler), the mean; 0: all say the same."""
    used: int
    """Prototypes that are some picture's first choice."""

    @classmethod
    def of(cls, shares: Tensor) -> "Health":
        """shares (count, K), rows sum to 1."""
        x = shares.double()
        entropy, mean = -torch.xlogy(x, x).sum(dim=-1).mean(), x.mean(dim=0)
        between = -torch.xlogy(mean, mean).sum() - entropy  # the mean divergence from the mean
        return cls(x.shape[1], float(entropy), float(between), len(set(x.argmax(dim=-1).tolist())))

    def figures(self) -> dict[str, float]:
        """As the log and the scores call them, in nats, and prototypes."""
        return {"entropy": self.entropy, "largest_entropy": math.log(self.prototypes), "between": self.between,
                "prototypes": self.prototypes, "prototypes_used": self.used}  # fmt: skip

    def check(self, step: int, warm_up: int = 0, shared: bool = True) -> None:
        """Raises Unsound, in plain words, where the teacher has collapsed by this step. warm_up: of its temperature.

        shared: whether its shares are learnt. Where pictures are told apart alone, they only measure, and nearly the
        same shares, or one for all, are both pictures that are not told apart.
        """
        most = math.log(self.prototypes)
        if step < max(warm_up, YOUNG) or (self.entropy < UNIFORM * most and self.between > ONE_POINT):
            return
        if shared and self.entropy >= UNIFORM * most:
            what = (f"the teacher gives each of {self.prototypes:,} prototypes the same share, so the loss stays at "
                    f"their logarithm, {most:.2f} nats, and nothing is learnt")  # fmt: skip
            raise Unsound(what, "lower --teacher-temperature or --learning-rate", self.figures())
        what = f"the teacher says the same of every picture ({self.between:.3f} nats apart), and nothing is learnt"
        do = "raise --teacher-temperature or lower --learning-rate" if shared else "lower --learning-rate"
        raise Unsound(what, do, self.figures())
