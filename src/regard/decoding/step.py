"""One step: the tokens so far in, how likely each token is next out; sampling and beam search know nothing else.

Shapes: batch of texts; n tokens; vocabulary.
"""

from contextlib import nullcontext
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from regard.decoding.quick import quick
from regard.decoding.rows import Pace
from regard.model.cache import Cache
from regard.model.sequence import Sequence
from regard.model.transformer import Transformer


class Kept(Protocol):
    """What a decoder remembers of a batch of texts between its steps."""

    def reorder(self, index: Tensor) -> None:
        """Text i becomes a copy of text index[i], index (new batch,): for samples, for beams, to leave texts out."""


K = TypeVar("K", bound=Kept)


class Decoder(Protocol[K]):
    """Anything that says one token after another."""

    def start(self) -> K:
        """Nothing said yet."""

    def logits(self, tokens: Tensor, kept: K) -> Tensor:
        """New tokens (batch, n) after those kept -> scores of the next (batch, vocabulary), float32; kept grows."""

    def step(self, tokens: Tensor, kept: K) -> Tensor:
        """The same as log probabilities in nats: what a beam adds up."""


def window_start(length: int, context: int) -> int:
    """Where the window begins through which a text of `length` tokens is seen: the one rule for long texts.

    A model is not good past the context that it was trained on (and has no positions there if they are learned). So the
    window slides by half contexts: it is the longest that fits, begins at a multiple of half the context, and its first
    token has position 0. It is a function of the length alone, whatever was computed before; each slide computes half a
    context anew, which is about one token more a token.
    """
    half = max(context // 2, 1)
    return max(0, -(-(length - context) // half)) * half


class Text:
    """The tokens in the window, the same number in each text of the batch, and their keys and values."""

    def __init__(self) -> None:
        self.tokens = torch.empty(1, 0, dtype=torch.long)
        self.cache = Cache()

    def reorder(self, index: Tensor) -> None:
        self.tokens = self.tokens[index]
        self.cache.reorder(index)


class LanguageDecoder:
    """A language model: text goes on.

    The model is put into evaluation mode, which switches dropout off. It speaks with the weights that it has when it
    first does; after training on, make another decoder.
    """

    def __init__(self, model: Transformer) -> None:
        self.config = model.config
        self.pace = Pace(self.config.parameters())
        self.model = quick(model.eval(), self.pace)
        self.device = model.output.matrix.device

    def start(self) -> Text:
        return Text()

    @torch.inference_mode()
    def logits(self, tokens: Tensor, kept: Text) -> Tensor:
        """A function of all tokens given so far alone: whether they came at once or one by one makes no difference."""
        said = torch.cat((kept.tokens, tokens), dim=1) if kept.tokens.shape[1] else tokens
        start = window_start(said.shape[1], self.config.context)
        if start > 0:  # as starts are multiples of one number, forgetting what lies before one changes no later one
            said, kept.cache = said[:, start:], Cache()
        kept.tokens = said
        done = kept.cache.length
        new = Sequence.text(said[:, done:].to(self.device), start=done)
        with self.pace.step() if new.tokens.numel() == 1 else nullcontext():
            logits: Tensor = self.model(new, cache=kept.cache, last=True)  # (batch, 1, vocabulary)
        return logits[:, -1]

    def step(self, tokens: Tensor, kept: Text) -> Tensor:
        return self.logits(tokens, kept).log_softmax(dim=-1)
