"""Attention: softmax(q k^T / sqrt(d)) v, and each faster path beside it.

Shapes: batch; heads; n query positions; m key positions; head_width. Keys and values may have fewer heads than queries
(grouped, Ainslie et al. 2023): key-value head g serves the query heads g * size to (g + 1) * size - 1.
Source: Vaswani et al. 2017, equation 1; before it Bahdanau et al. 2015 (additive), Luong et al. 2015 (dot, bilinear).
"""

import math
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from regard.errors import RegardError
from regard.model.mask import Mask


class Score(Protocol):
    """How well a query fits a key: (batch, heads, n, d) and (batch, heads, m, d) -> scores (batch, heads, n, m)."""

    def __call__(self, query: Tensor, key: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class ScaledDot:
    """q . k * scale; scale is 1 / sqrt(d) unless given, so that scores keep their size when d grows."""

    scale: float | None = None

    def of(self, query: Tensor) -> float:
        return query.shape[-1] ** -0.5 if self.scale is None else self.scale

    def __call__(self, query: Tensor, key: Tensor) -> Tensor:
        return query @ key.transpose(-2, -1) * self.of(query)


DOT = ScaledDot(1.0)
"""q . k (Luong et al. 2015, "dot")."""


@dataclass(frozen=True)
class Bilinear:
    """q^T matrix k (Luong et al. 2015, "general"); matrix (d of queries, d of keys)."""

    matrix: Tensor

    def __call__(self, query: Tensor, key: Tensor) -> Tensor:
        return query @ self.matrix @ key.transpose(-2, -1)


@dataclass(frozen=True)
class Additive:
    """v . tanh(W q + U k) (Bahdanau et al. 2015, appendix A.1.2); W (d, hidden), U (d, hidden), v (hidden)."""

    query_matrix: Tensor
    key_matrix: Tensor
    vector: Tensor

    def __call__(self, query: Tensor, key: Tensor) -> Tensor:
        hidden = (query @ self.query_matrix)[..., :, None, :] + (key @ self.key_matrix)[..., None, :, :]
        return torch.tanh(hidden) @ self.vector  # (..., n, m)


class Attended(NamedTuple):
    """What a path returns: (batch, heads, n, head_width); the rows' log-sum-exp if the kernel gives it; its name.

    The log-sum-exp is (batch, heads, n), float32; that of a row that may look at nothing means nothing.
    """

    out: Tensor
    logsumexp: Tensor | None
    kernel: str


Path = Callable[[Tensor, Tensor, Tensor, Mask, Score], Attended]


def attention_weights(query: Tensor, key: Tensor, mask: Mask, score: Score) -> Tensor:
    """softmax(score(q, k)): how much each query takes from each key, (batch, heads, n, m).

    Rows sum to 1; a row that may look at nothing is 0.
    """
    allowed = mask.matrix(query.device)[:, None]  # (batch or 1, 1, n, m)
    scores = score(query, key).masked_fill(~allowed, -math.inf)
    return scores.softmax(dim=-1).masked_fill(~allowed, 0.0)


def plain(query: Tensor, key: Tensor, value: Tensor, mask: Mask, score: Score) -> Attended:
    """The formula as it stands: the reference that the other paths are held equal to."""
    key, value = (_for_each_query_head(x, query) for x in (key, value))
    return Attended(attention_weights(query, key, mask, score) @ value, None, "plain")


def unfused(query: Tensor, key: Tensor, value: Tensor, mask: Mask, score: Score) -> Attended:
    """The formula with the mask added and the scale on the smaller side: the fastest for short sequences on a CPU."""
    if not isinstance(score, ScaledDot):
        return plain(query, key, value, mask, score)
    key, value = (_for_each_query_head(x, query) for x in (key, value))
    scores = (query * score.of(query)) @ key.transpose(-2, -1)
    bias = mask.bias(scores)
    weights = (scores if bias is None else scores + bias).softmax(dim=-1)
    return Attended(_nothing_to_the_blind(weights @ value, mask), None, "unfused")


def fused(query: Tensor, key: Tensor, value: Tensor, mask: Mask, score: Score) -> Attended:
    """One kernel that never holds the n x m weights (Dao et al. 2022); on a CPU it also gives the rows' log-sum-exp."""
    if not isinstance(score, ScaledDot):
        return plain(query, key, value, mask, score)
    key, value = (_for_each_query_head(x, query) for x in (key, value))
    bias = mask.bias(query) if mask.kind == "mixed" else None
    causal = mask.kind == "causal"
    if query.device.type == "cpu":
        kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
        out, logsumexp = kernel(query, key, value, 0.0, causal, attn_mask=bias, scale=score.of(query))
        name = "aten::_scaled_dot_product_flash_attention_for_cpu"
        return Attended(_nothing_to_the_blind(out, mask), logsumexp, name)
    out = F.scaled_dot_product_attention(query, key, value, bias, 0.0, causal, scale=score.of(query))
    return Attended(_nothing_to_the_blind(out, mask), None, "scaled_dot_product_attention")


PATHS: dict[str, Path] = {"plain": plain, "unfused": unfused, "fused": fused}


def _for_each_query_head(x: Tensor, query: Tensor) -> Tensor:
    """Grouped keys or values repeated so that there is one head a query head."""
    size = query.shape[1] // x.shape[1]
    return x if size == 1 else x.repeat_interleave(size, dim=1)


def _nothing_to_the_blind(out: Tensor, mask: Mask) -> Tensor:
    blind = mask.blind()
    return out if blind is None else out.masked_fill(blind[:, None, :, None], 0.0)


class SoftDictionary:
    """A dictionary that answers a key it does not hold with a mixture of its values, by the attention above.

    `embedding` maps a word to its vector: a mapping, or a function. Looking up "orange" compares its vector with those
    of the keys; the answer is {value: weight}, weights that sum to 1. Equal values share one entry.
    Raises RegardError without entries, or for a word whose vector is of another length than the others'.
    """

    def __init__(
        self,
        entries: Mapping[Any, Hashable],
        embedding: Mapping[Any, Any] | Callable[[Any], Any],
        score: Score = DOT,
    ) -> None:
        self._vector = embedding if callable(embedding) else embedding.__getitem__
        self._score = score
        self._values = list(entries.values())
        if not entries:
            raise RegardError("SoftDictionary", "it has no entries", "give one or more")
        self._width = 0  # until the first word's vector tells
        self._keys = torch.stack([self._embed(word) for word in entries])  # (m, d)

    def _embed(self, word: Any) -> Tensor:
        vector = torch.as_tensor(self._vector(word), dtype=torch.float32).detach().flatten()
        self._width = self._width or len(vector)
        if len(vector) != self._width:
            raise RegardError("SoftDictionary", f"{word!r} has {len(vector)} numbers, words before it {self._width}",
                              "give each word a vector of one length")  # fmt: skip
        return vector

    def __getitem__(self, word: Any) -> dict[Hashable, float]:
        """{value: weight}. Raises whatever the embedding raises for a word that it has no vector for."""
        query, m = self._embed(word), len(self._keys)
        one_hot = torch.eye(m)  # value j is the j-th axis, so what comes out is the weights themselves
        heads = (1, 1)
        out = plain(query.view(*heads, 1, -1), self._keys.view(*heads, m, -1), one_hot.view(*heads, m, m),
                    Mask("full", 1, m), self._score).out.flatten()  # fmt: skip
        mixture: dict[Hashable, float] = {}
        for value, weight in zip(self._values, out.tolist(), strict=True):
            mixture[value] = mixture.get(value, 0.0) + weight
        return mixture

    def __len__(self) -> int:
        return len(self._values)
