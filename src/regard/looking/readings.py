"""From logits to what they say at each position: the true token, its rank, the fifty most likely, the log-sum-exp.

Shapes: n positions; vocabulary.
"""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from regard.errors import RegardError
from regard.looking.kept import Readings
from regard.model.sequence import Sequence
from regard.model.transformer import Transformer

TOP = 50
"""Tokens kept a position."""
MOST_AT_ONCE = 1 << 28
"""Logits computed at once (1 GiB); a longer product of positions and vocabulary goes in pieces."""
_IN_CACHE = 1 << 19
"""Logits looked at together, so that each is fetched from memory once."""


def next_tokens(sequence: Sequence) -> Tensor:
    """(n,) the token that came next, -1 at the last position; -1 everywhere where tokens are vectors."""
    ids = sequence.tokens[0]
    if ids.dim() > 1:
        return torch.full((len(ids),), -1)
    return torch.cat((ids[1:], ids.new_full((1,), -1))).long()


def pieces(model: Transformer, stream: Tensor) -> Iterator[Tensor]:
    """The logits of a stream (n, width), in pieces (rows, vocabulary) float32; nearly always in one piece."""
    rows = max(1, MOST_AT_ONCE // model.config.vocabulary)
    for start in range(0, len(stream), rows):
        logits: Tensor = model.output(stream[None, start : start + rows])
        yield logits[0]


def read(parts: Iterable[Tensor], truth: Tensor) -> Readings:
    """What logits (rows, vocabulary), given in parts, say; truth (n,) ids or -1. Raises RegardError for NaN in them."""
    found, at = [], 0
    for logits in parts:
        rows = max(1, _IN_CACHE // logits.shape[1])
        expected = truth[at : at + len(logits)].to(logits.device)
        at += len(logits)
        found += [_read_rows(logits[i : i + rows], expected[i : i + rows]) for i in range(0, len(logits), rows)]
    return Readings(*(torch.cat(column).cpu().numpy() for column in zip(*found, strict=True)))


def _read_rows(logits: Tensor, truth: Tensor) -> tuple[Tensor, ...]:
    """The fields of Readings, in their order."""
    top = logits.topk(min(TOP, logits.shape[1]), dim=-1)
    largest = top.values[:, :1]
    away = (logits - largest).clamp_(
        min=-80.0
    )  # below, exp is a denormal number: adds nothing and takes ten times as long
    total = largest[:, 0] + away.exp_().sum(dim=-1).log_()
    if not bool(torch.isfinite(total).all()):
        raise RegardError("logits", "they hold NaN or infinity", "look at a checkpoint from before training diverged")
    known = truth >= 0
    true_logit = logits.gather(1, truth.clamp(min=0)[:, None])
    rank = torch.count_nonzero(logits > true_logit, dim=-1) + 1
    ties = torch.count_nonzero(logits == true_logit, dim=-1) - 1
    nothing = torch.zeros_like(rank)
    return (truth, torch.where(known, true_logit[:, 0], torch.nan), torch.where(known, rank, nothing),
            torch.where(known, ties, nothing), top.indices, top.values, total)  # fmt: skip
