"""A sequence: tokens not yet embedded, where each one is, and who may look at whom.

Shapes: batch; n tokens; axes of a position (1 for text, 2 for pictures). Tensors that all examples of a batch share may
have 1 in place of batch.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from regard.model.mask import PADDING, Mask, Places


@dataclass(frozen=True)
class Sequence:
    tokens: Tensor
    """(batch, n) ids, or (batch, n, features) vectors."""
    position: Tensor
    """(batch or 1, n, axes): a token's place, one number an axis."""
    places: Places
    """Sequence, branch and step of each token."""
    mask: Mask
    """Who may look at whom within this sequence; its kind was found once, when the Sequence was built."""

    @property
    def n(self) -> int:
        return self.tokens.shape[1]

    @property
    def batch(self) -> int:
        return self.tokens.shape[0]

    @classmethod
    def of(cls, tokens: Tensor, position: Tensor, places: Places) -> "Sequence":
        """Any tokens; whether they are causal, full or neither is found here."""
        return cls(tokens, position, places, Mask.between(places, places))

    @classmethod
    def text(cls, ids: Tensor, start: int = 0) -> "Sequence":
        """One text an example, each token seeing itself and those before: ids (batch, n), the first at `start`."""
        n = ids.shape[1]
        places = Places.text(start, n, ids.device)
        return cls(ids, places.step[:, :, None], places, Mask("causal", n, n))

    @classmethod
    def whole(cls, tokens: Tensor, position: Tensor) -> "Sequence":
        """Each token sees all of its example, as patches of a picture do: tokens (batch, n) or (batch, n, features)."""
        n = tokens.shape[1]
        zero = torch.zeros(1, n, dtype=torch.long, device=tokens.device)
        return cls(tokens, position, Places(zero, zero, zero), Mask("full", n, n))

    @classmethod
    def packed(cls, ids: Tensor, sequence: Tensor) -> "Sequence":
        """Several texts side by side in each example: sequence (batch, n) says which a token is of, -1 for padding.

        Steps and positions count through from 0, also over the texts' borders; rotary sees their differences only.
        """
        n = ids.shape[1]
        step = torch.arange(n, device=ids.device)[None]  # (1, n)
        places = Places(sequence, torch.zeros_like(sequence), step.expand_as(sequence))
        one_text = (sequence == sequence[:, :1]) & (sequence != PADDING)
        # the usual batch of a training run on one text: n comparisons in place of n x n
        mask = Mask("causal", n, n) if bool(one_text.all()) else Mask.between(places, places)
        return cls(ids, step[:, :, None], places, mask)

    def to(self, device: torch.device) -> "Sequence":
        """The same sequence where a model is."""
        if self.tokens.device == device:
            return self
        places = Places(*(x.to(device) for x in (self.places.sequence, self.places.branch, self.places.step)))
        return Sequence.of(self.tokens.to(device), self.position.to(device), places)
