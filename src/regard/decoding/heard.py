"""What a model says token by token, and at each step what it expected before anything was filtered."""

from collections.abc import Iterator
from typing import Any, Generic, NamedTuple, TypeVar

from torch import Tensor

from regard.decoding.sample import Sampling, generate
from regard.decoding.step import Decoder, Kept

K = TypeVar("K", bound=Kept)


class Said(NamedTuple):
    token: int
    likeliest: int
    """The id with the largest logit at this step, whichever was drawn."""
    log_p: float
    """That the model itself gave to `token`, in nats."""


class Heard(Generic[K]):
    """A decoder whose last logits can be seen; else it is the decoder that it was made of."""

    def __init__(self, decoder: Decoder[K]) -> None:
        self.decoder = decoder
        self.start, self.step = decoder.start, decoder.step
        self.last: Tensor | None = None
        """(batch, vocabulary)."""

    def logits(self, tokens: Tensor, kept: K) -> Tensor:
        self.last = self.decoder.logits(tokens, kept)
        return self.last


def heard(decoder: Decoder[Any], prompt: list[int], sampling: Sampling, end: int | None = None) -> Iterator[Said]:
    """The tokens of one sample, as `generate` says them. Raises RegardError for an empty prompt."""
    listening = Heard(decoder)
    for said in generate(listening, prompt, sampling, end):
        assert listening.last is not None
        logits, token = listening.last[0].double(), said[0]  # (vocabulary,)
        yield Said(token, int(logits.argmax()), float(logits[token] - logits.logsumexp(dim=-1)))
