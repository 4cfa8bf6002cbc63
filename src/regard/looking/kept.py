"""What a recording keeps of one forward pass: tokens, calls of attention, streams, what the logits say, and whence.

Shapes: n query positions; m key positions; heads of queries; groups of keys and values (heads, where none is shared);
d numbers in a head's query; width of the residual stream. There is no batch: a recording is of one example.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from regard.errors import RegardError
from regard.looking.generated import Generated
from regard.model.mask import Mask
from regard.model.sequence import Sequence

LONGEST = 8192
"""Tokens of a recording (looking.md 1.2)."""

PARTS = ("query", "key", "value", "out")
"""What is kept of a call, and marked."""
KINDS = ("text", "first", "end", "class", "register", "patch")


class Tokenizer(Protocol):
    """What is asked of a tokenizer here."""

    def token_bytes(self, token: int, /) -> bytes:
        """The token's exact bytes; none for a special one."""

    def label(self, token: int, /) -> str:
        """Visible signs for one token."""


@dataclass(frozen=True)
class Tokens:
    """What the tokens are called when looked at; one entry a token in each field."""

    ids: tuple[int, ...]
    raw: tuple[bytes, ...]
    """The exact bytes; none for a special token."""
    labels: tuple[str, ...]
    """Visible signs: spaces, line ends and half characters can be seen."""
    offsets: tuple[tuple[int, int], ...]
    """Where it lies in the source: first byte, and one past the last."""
    kinds: tuple[str, ...]
    """text, first, end, class, register or patch."""

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def of_text(cls, ids: Iterable[int], tokenizer: Tokenizer) -> "Tokens":
        """Tokens of a text. Raises RegardError if there is none."""
        given = tuple(int(i) for i in ids)
        if not given:
            raise RegardError("input", "it has no tokens", "give at least one character")
        pieces = tuple(tokenizer.token_bytes(i) for i in given)
        ends = [0, *np.cumsum([len(piece) for piece in pieces]).tolist()]
        kinds = tuple("text" if piece else "end" if at else "first" for at, piece in enumerate(pieces))
        return cls(given, pieces, tuple(tokenizer.label(i) for i in given), tuple(pairwise(ends)), kinds)


@dataclass(frozen=True)
class Call:
    """One call of attention as it ran: what it was given, what it returned, and a mark of both from that moment."""

    site: str
    layer: int
    query: Tensor
    """(heads, n, d), after norm and rotation."""
    key: Tensor
    """(groups, m, d), after norm and rotation; once a group."""
    value: Tensor
    """(groups, m, d)."""
    out: Tensor
    """(heads, n, d), before the heads are mixed."""
    logsumexp: Tensor | None
    """(heads, n), the kernel's own, or None where it gives none."""
    mask: Mask
    scale: float
    kernel: str
    dtype: str
    """float32, bfloat16, ...: the type that the call computed in."""
    marks: Mapping[str, tuple[int, ...]]
    """`mark` of query, key, value and out, taken inside the pass."""

    @property
    def heads(self) -> int:
        return self.query.shape[0]

    @property
    def n(self) -> int:
        return self.query.shape[1]

    @property
    def m(self) -> int:
        return self.key.shape[1]

    @property
    def groups(self) -> int:
        return self.key.shape[0]

    def group(self, head: int) -> int:
        """The head of keys and values that this query head looks into."""
        return head * self.groups // self.heads


@dataclass(frozen=True)
class Readings:
    """What logits say at each position: one row a position, ids of the vocabulary.

    log p of a token is its logit - logsumexp, in nats.
    """

    truth: np.ndarray[Any, Any]
    """(n,) int64: the token that really came next, -1 where none is known."""
    true_logit: np.ndarray[Any, Any]
    """(n,) float32, NaN where no truth is known."""
    rank: np.ndarray[Any, Any]
    """(n,) int64: 1 + number of strictly larger logits; 0 where no truth is known."""
    ties: np.ndarray[Any, Any]
    """(n,) int64: other tokens with exactly the truth's logit."""
    top: np.ndarray[Any, Any]
    """(n, 50 or the whole vocabulary) int64: the most likely tokens, best first."""
    top_logits: np.ndarray[Any, Any]
    """The same shape, float32."""
    logsumexp: np.ndarray[Any, Any]
    """(n,) float32 over the vocabulary."""

    @property
    def log_probability(self) -> np.ndarray[Any, Any]:
        """(n,) of the true token, in nats; NaN where no truth is known."""
        found: np.ndarray[Any, Any] = self.true_logit - self.logsumexp
        return found

    def at(self, position: int) -> "Readings":
        """The same facts of one position alone (arrays of one row)."""
        rows = slice(position, position + 1)
        return Readings(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Facts:
    """Whence a recording is. Nothing here names a path, a user or a machine."""

    config: Mapping[str, Any]
    """The model's sizes (TransformerConfig.to_json)."""
    version: str
    """regard's."""
    torch: str
    threads: int
    """How many threads computed the pass: with others, the last bits may differ."""
    made: str
    """When, in UTC, ISO 8601."""
    name: str = ""
    """What the caller calls it: the run and the step, say."""
    seed: int | None = None
    preprocessing: Mapping[str, Any] = field(default_factory=dict)
    """What was done to the input before it became tokens (crop, resize, normalisation)."""


@dataclass(frozen=True)
class Kept:
    """One forward pass, kept."""

    tokens: Tokens
    sequence: Sequence
    """What the model was given: one example."""
    calls: Mapping[tuple[str, int], Call]
    """By site and layer."""
    streams: Mapping[tuple[str, int], Tensor]
    """(n, width) by place ("in" or "attention") and layer; "in" of layer L leaves the last of L layers."""
    readings: Readings
    logits: Tensor | None
    """(n, vocabulary) float32, where vocabulary * n is at most 16 million."""
    facts: Facts
    generated: Generated | None = None
    """Which tokens the model said itself; None where all were given."""

    @property
    def n(self) -> int:
        return len(self.tokens)

    def call(self, site: str, layer: int) -> Call:
        """Raises RegardError, naming what there is, for a site or layer that was not recorded."""
        if (site, layer) not in self.calls:
            sites = sorted({known for known, _ in self.calls})
            layers = sum(known == site for known, _ in self.calls)
            if layers == 0:
                raise RegardError("site", f"{site!r} was not recorded", f"choose one of {', '.join(sites)}")
            raise RegardError("layer", f"{layer} was not recorded", f"choose 0 to {layers - 1}")
        return self.calls[site, layer]


def mark(x: Tensor) -> tuple[int, ...]:
    """A number a head that any single flipped bit changes: x (heads, rows, d) -> (heads,) whole numbers.

    Each row's bits are summed as integers, modulo 2^32 (or 2^16): a flipped bit moves that sum by a power of two, never
    by a multiple of the modulus. Rows are then summed with the weights 1, 2, 3, ... modulo 2^64, so that exchanged rows
    show as well. Cheap enough for the recorded pass (about 1 % of it), which SHA-256 is not. It finds accidents, not an
    adversary, against whom stand the recording's id (SHA-256) and a second pass through the model.
    """
    bits = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[x.element_size()]
    rows = x.view(bits).sum(dim=-1, dtype=bits).long()  # (heads, rows)
    weighted = rows * torch.arange(1, rows.shape[-1] + 1, device=x.device)
    return tuple(weighted.sum(dim=-1).tolist())
