"""Student and teacher: a transformer with a projection head, its running average, and how the one learns of the other.

Both give each crop of a picture a direction. For a crop the student has to find the direction that the teacher gives
another crop of the same picture, among those of all pictures that are learnt together (MoCo v3, Chen et al. 2021). Or
it has to give each prototype the share that the teacher gives it, centred and sharpened (DINO, Caron et al. 2021,
section 3.1). docs/decisions/0010 has why the first is what is done in minutes.
Shapes: batch pictures; crops of each; K prototypes; hidden; bottleneck.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.model.block import Recorder
from regard.model.sequence import Sequence
from regard.model.transformer import Transformer
from regard.training.average import Average, Decay
from regard.training.ranks import Ranks

STUDENT_TEMPERATURE = 0.1
CONTRAST_TEMPERATURE = 0.2
"""Of the cosines between crops, when pictures are told apart."""
CENTRE_KEPT = 0.9
"""Of the centre, each step (their table 7: anything from 0 to 0.99 will do)."""
COOLER = 0.4
"""The teacher's temperature at the start, of what it will be."""

Pool = Callable[[Tensor, Sequence], Tensor]
"""(a vector of each token (batch, n, width), the tokens) -> one of the whole (batch, width)."""


class Head(nn.Module):
    """(count, hidden) -> directions, (count, bottleneck), and their cosines to each prototype, (count, K).

    A network, then directions alone (their appendix C).
    """

    def __init__(self, hidden: int, bottleneck: int, prototypes: int) -> None:
        super().__init__()
        self.inner = nn.Linear(hidden, hidden)
        self.bottleneck = nn.Linear(hidden, bottleneck)
        self.prototypes = nn.Parameter(torch.zeros(prototypes, bottleneck))

    def forward(self, x: Tensor, frozen: bool = False) -> tuple[Tensor, Tensor]:
        """frozen: the prototypes get a gradient of 0, not none, as ranks wait for one."""
        x = self.bottleneck(F.gelu(self.inner(F.gelu(x))))
        prototypes = F.normalize(self.prototypes, dim=-1)
        if frozen:
            prototypes = prototypes.detach() + 0 * prototypes
        with torch.autocast(x.device.type, enabled=False):  # a temperature of 0.02 would make 0.004 of bfloat16 0.2
            directions = F.normalize(x.float(), dim=-1)
            return directions, directions @ prototypes.mT


class Distiller(nn.Module):
    """What is trained: `transformer`, which is kept, looked at and asked; and the head, for learning alone.

    The transformer's own output matrix is the head's first layer. As the teacher it also knows how many steps it has
    seen and the centre of what it said: parameters that no gradient changes, so that they are saved with the others.
    """

    def __init__(self, transformer: Transformer, prototypes: int, bottleneck: int, pool: Pool) -> None:
        super().__init__()
        self.transformer, self.pool = transformer, pool
        self.head = Head(transformer.config.vocabulary, bottleneck, prototypes)
        self.centre = nn.Parameter(torch.zeros(prototypes), requires_grad=False)
        self.steps = nn.Parameter(torch.zeros(()), requires_grad=False)
        self.said: Tensor
        self.views: Tensor
        self.register_buffer("said", torch.zeros(prototypes), persistent=False)
        self.register_buffer("views", torch.zeros(()), persistent=False)

    def features(self, crops: Sequence, record: Recorder | None = None) -> Tensor:
        """What the transformer makes of each, (count, width): after its last norm, before the head."""
        return self.pool(self.transformer.output.norm(self.transformer.stream(crops, record=record)), crops)

    def forward(self, *crops: Sequence, frozen: bool = False) -> tuple[Tensor, Tensor]:
        """Crops of several sizes, one after another -> their directions, (count in all, bottleneck), and the cosines of
        those to the prototypes, (count in all, K)."""
        features = torch.cat([self.features(some) for some in crops])
        said: tuple[Tensor, Tensor] = self.head(F.linear(features, self.transformer.output.matrix), frozen)
        return said

    def note(self, cosines: Tensor) -> None:
        """Keeps what this teacher said of the step's views, for the centre: (count, K)."""
        self.said += cosines.sum(dim=0)
        self.views += len(cosines)


class Teacher:
    """The running average of the student, its centre moved with it after each step."""

    def __init__(self, student: Distiller, decay: Decay, ranks: Ranks) -> None:
        self._average, self.ranks = Average(student, decay), ranks

    @property
    def model(self) -> Distiller:
        model = self._average.model
        assert isinstance(model, Distiller)
        return model

    @torch.no_grad()
    def update(self, step: int, progress: float) -> None:
        """centre <- 0.9 centre + 0.1 mean of what was said (their equation 4), over all pieces and ranks."""
        self._average.update(step, progress)
        teacher = self.model
        *said, views = self.ranks.sum(*teacher.said.tolist(), float(teacher.views))
        if views:
            mean = torch.tensor(said, device=teacher.centre.device) / views
            teacher.centre.lerp_(mean, 1 - CENTRE_KEPT)
        teacher.steps.fill_(step)
        teacher.said.zero_()
        teacher.views.zero_()


def shares(cosines: Tensor, centre: Tensor, temperature: float) -> Tensor:
    """What the teacher says, (count, K), rows sum to 1: centred, or one would always win; sharpened, or none would."""
    return ((cosines - centre) / temperature).softmax(dim=-1)


def disagreement(taught: Tensor, said: Tensor) -> Tensor:
    """How far the student is from the teacher, in nats, the sum over pictures: their equation 3, over its pairs.

    taught (2, batch, K): the teacher's shares of each global crop. said (crops, batch, K): the student's cosines, the
    same global crops first. A crop is never compared with itself; each picture's pairs are averaged.
    """
    logs = (said / STUDENT_TEMPERATURE).log_softmax(dim=-1)
    others = logs.sum(dim=0) - logs[: len(taught)]  # (2, batch, K): of each global crop, all crops but itself
    return -(taught * others).sum() / (len(taught) * (len(logs) - 1))


def told_apart(taught: Tensor, said: Tensor) -> Tensor:
    """How far the student is from finding each crop's picture among the batch, in nats, the sum over pictures.

    taught (2, batch, bottleneck): the teacher's directions of each global crop. said (crops, batch, bottleneck): the
    student's, the same global crops first. A crop is never sought by itself; each picture's pairs are averaged.
    """
    own = torch.arange(taught.shape[1], device=said.device)
    pairs = [(a, b) for a in range(len(said)) for b in range(len(taught)) if a != b]
    with torch.autocast(said.device.type, enabled=False):  # cosines as exact as the directions are
        nats = [F.cross_entropy(said[a] @ taught[b].mT / CONTRAST_TEMPERATURE, own, reduction="sum") for a, b in pairs]
    return torch.stack(nats).sum() / len(pairs)


def temperature_at(step: int, last: float, warm_up: int) -> float:
    """The teacher's at a step, counted from 0: it rises linearly, as what an early teacher is sure of is little."""
    return last * (COOLER + (1 - COOLER) * min(1.0, step / max(warm_up, 1)))


def begin(model: Distiller, seed: int) -> None:
    """The head's first weights, which depend on the seed alone; the transformer has its own (model.transformer)."""
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for parameter in model.head.parameters():
            if parameter.dim() == 1:
                parameter.zero_()
            else:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) / math.sqrt(parameter.shape[1]))
