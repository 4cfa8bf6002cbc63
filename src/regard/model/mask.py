"""Who may look at whom: one rule over each token's sequence, branch and step.

Shapes: batch (or 1, where all examples agree); n query positions; m key positions.
"""

from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Literal

import torch
from torch import Tensor

PADDING = -1
"""The sequence of padding: it equals nothing, itself included."""


@dataclass(frozen=True)
class Places:
    """Where each token stands in the rule; three integer tensors of one shape, (batch or 1, n).

    Text counts steps 0, 1, 2, ...; an encoder has step 0 everywhere; documents packed side by side differ in sequence;
    five captions of one picture are five branches beside the picture's branch 0.
    """

    sequence: Tensor
    branch: Tensor
    step: Tensor
    begin: int | None = field(default=None, kw_only=True)
    """Where known without looking: these are the steps begin, begin + 1, ... of one text (sequence 0, branch 0)."""

    @classmethod
    def text(cls, begin: int, n: int, device: torch.device) -> "Places":
        """n tokens of one text, the first at step `begin`, the same in every example: (1, n)."""
        step = torch.arange(begin, begin + n, device=device)[None]
        zero = torch.zeros_like(step)
        return cls(zero, zero, step, begin=begin)

    def joined(self, after: "Places") -> "Places":
        """These places, then those that come after."""
        n, m = self.step.shape[1], after.step.shape[1]
        if self.begin is not None and after.begin == self.begin + n:
            return Places.text(self.begin, n + m, self.step.device)
        mine, theirs = (self.sequence, self.branch, self.step), (after.sequence, after.branch, after.step)
        return Places(*(torch.cat(_same_batch(a, b), dim=1) for a, b in zip(mine, theirs, strict=True)))

    def reordered(self, index: Tensor) -> "Places":
        """The examples at index (beams, samples); examples that all agree stay as they are."""
        return self if len(self.step) == 1 else Places(self.sequence[index], self.branch[index], self.step[index])


def _same_batch(a: Tensor, b: Tensor) -> list[Tensor]:
    batch = max(len(a), len(b))
    return [x.expand(batch, -1) for x in (a, b)]


def may_look(query: Places, key: Places) -> Tensor:
    """True where a query may look at a key: (batch or 1, n, m).

    They are of one sequence, the key's branch is 0 or the query's own, and the key's step is not later.
    """
    of_one_sequence = (query.sequence[:, :, None] == key.sequence[:, None, :]) & (query.sequence != PADDING)[:, :, None]
    in_its_branch = (key.branch == 0)[:, None, :] | (key.branch[:, None, :] == query.branch[:, :, None])
    not_later = key.step[:, None, :] <= query.step[:, :, None]
    return of_one_sequence & in_its_branch & not_later


@dataclass(frozen=True)
class Mask:
    """The rule for one call of attention. Causal (row i sees keys 0 to i) and full need no matrix and are faster."""

    kind: Literal["causal", "full", "mixed"]
    n: int
    m: int
    allowed: Tensor | None = None
    """(batch or 1, n, m), True = may look; only of kind mixed."""

    @classmethod
    def between(cls, query: Places, key: Places) -> "Mask":
        """The mask by the rule, its kind found by looking at it once, where it is not known before."""
        n, m = query.step.shape[1], key.step.shape[1]
        if query.begin is not None and key.begin is not None and key.begin + m - 1 <= query.begin:
            return cls("full", n, m)  # no key is later than the first query: each new token of a text
        allowed = may_look(query, key)
        if bool(allowed.all()):
            return cls("full", n, m)
        if n == m and bool((allowed == causal_matrix(n, allowed.device)).all()):
            return cls("causal", n, m)
        return cls("mixed", n, m, allowed)

    def matrix(self, device: torch.device | str = "cpu") -> Tensor:
        """True = may look, whatever the kind: (batch or 1, n, m)."""
        if self.kind == "mixed":
            assert self.allowed is not None
            return self.allowed
        if self.kind == "causal":
            return causal_matrix(self.n, torch.device(device))[None]
        return torch.ones(1, self.n, self.m, dtype=torch.bool, device=device)

    def blind(self) -> Tensor | None:
        """True where a query may look at nothing, (batch or 1, n); None where no query is blind."""
        return self._blind

    def bias(self, like: Tensor) -> Tensor | None:
        """What is added to scores: 0 where a query may look, minus infinity where not; (batch or 1, 1, n, m) or None.

        A blind row is 0 everywhere, as softmax of nothing is not a number; attention sets its result to 0 afterwards.
        """
        if self.kind == "full":
            return None
        if self.kind == "causal":
            return _causal_bias(self.n, like.dtype, like.device)
        assert self.allowed is not None
        if like.dtype not in self._biases:
            allowed = self.allowed if self._blind is None else self.allowed | self._blind[:, :, None]
            self._biases[like.dtype] = _zero_or_minus_infinity(allowed[:, None], like.dtype)
        return self._biases[like.dtype]

    @cached_property
    def _blind(self) -> Tensor | None:
        if self.allowed is None:
            return None
        with torch.inference_mode(False):  # what is kept may meet a backward pass later
            rows = ~self.allowed.any(dim=-1)
        return rows if bool(rows.any()) else None

    @cached_property
    def _biases(self) -> dict[torch.dtype, Tensor]:
        """Made once for all layers of a pass, not once a layer."""
        return {}


def _zero_or_minus_infinity(allowed: Tensor, dtype: torch.dtype) -> Tensor:
    with torch.inference_mode(False):  # what is kept may meet a backward pass later
        return torch.zeros(allowed.shape, dtype=dtype, device=allowed.device).masked_fill_(~allowed, -torch.inf)


@lru_cache(maxsize=4)  # a run has few lengths; n x n numbers each
def causal_matrix(n: int, device: torch.device) -> Tensor:
    """(n, n): row i sees keys 0 to i."""
    with torch.inference_mode(False):
        return torch.ones(n, n, dtype=torch.bool, device=device).tril()


@lru_cache(maxsize=4)
def _causal_bias(n: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    return _zero_or_minus_infinity(causal_matrix(n, device)[None, None], dtype)
