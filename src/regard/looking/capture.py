"""Keeping what one forward pass did: the recorder that the model is handed, and the pass in which it is.

Shapes: heads; n query positions; m key positions; rows and vocabulary of a piece of the logits.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor

from regard.errors import RegardError
from regard.looking.kept import LONGEST, Call, Tokens, mark
from regard.looking.readings import pieces
from regard.looking.stopping import stop_if_unwanted
from regard.model.attention import ScaledDot, Score
from regard.model.block import Recorder as AnyRecorder
from regard.model.mask import PADDING, Mask
from regard.model.sequence import Sequence
from regard.model.transformer import Transformer


class Recorder:
    """Keeps what attention was given and returned, and the streams; changes nothing and copies nothing.

    The tensors are those of the pass itself (on a GPU: one copy of each), so they cost the memory that they take and no
    time. What is taken inside the pass is one sum of each array's bits (`mark`), from which check A later sees whether
    the recording still holds what the kernel was given.
    """

    def __init__(self) -> None:
        self.calls: dict[tuple[str, int], Call] = {}
        self.streams: dict[tuple[str, int], Tensor] = {}

    def __call__(
        self, site: str, layer: int, query: Tensor, key: Tensor, value: Tensor, mask: Mask, score: Score, out: Tensor,
        kernel: str, logsumexp: Tensor | None,
    ) -> None:  # fmt: skip
        """One call of attention, batch of 1. Raises RegardError for what could not be recomputed, naming it."""
        stop_if_unwanted()
        if type(score) is not ScaledDot:
            unknown = f"its score is {type(score).__name__}, which the recomputation does not know"
            raise RegardError(f"layer {layer}", unknown, "record a model with scaled dot products")
        given = {"query": query, "key": key, "value": value, "out": out}
        kept = {name: x.detach()[0] for name, x in given.items()}
        marks = {name: mark(x) for name, x in kept.items()}
        for name in ("query", "key", "value"):
            _check_finite(kept[name], name, layer)
        self.calls[site, layer] = Call(
            site, layer, **{name: x.cpu() for name, x in kept.items()},
            logsumexp=None if logsumexp is None else logsumexp.detach()[0].cpu(), mask=_on_cpu(mask),
            scale=score.of(query), kernel=kernel, dtype=str(query.dtype).removeprefix("torch."), marks=marks,
        )  # fmt: skip

    def stream(self, layer: int, place: str, x: Tensor) -> None:
        self.streams[place, layer] = x.detach()[0].cpu()


def _check_finite(x: Tensor, name: str, layer: int) -> None:
    """x (heads, rows, d). Its sum nearly always tells; only where that is not finite is each number looked at."""
    if bool(torch.isfinite(x.sum())):
        return
    wrong = ~torch.isfinite(x)
    if bool(wrong.any()):
        head, row, _ = wrong.nonzero()[0].tolist()
        what = f"{name} of head {head}, position {row}, is NaN or infinite"
        raise RegardError(f"layer {layer}", what, "look at a checkpoint from before training diverged")


def _on_cpu(mask: Mask) -> Mask:
    if mask.allowed is None or mask.allowed.device.type == "cpu":
        return mask
    return replace(mask, allowed=mask.allowed.cpu())


def check_input(sequence: Sequence, tokens: Tokens) -> None:
    """Raises RegardError for what is not one example, whole, of at most 8192 tokens."""
    if sequence.batch != 1:
        raise RegardError("recording", f"{sequence.batch} examples were given", "record one at a time")
    if sequence.n > LONGEST:
        what = f"it has {sequence.n:,} tokens, over the {LONGEST:,} of a recording"
        raise RegardError("input", what, "give a shorter one")
    if bool((sequence.places.sequence == PADDING).any()):
        raise RegardError("recording", "the input holds padding", "give the example alone")
    if len(tokens) != sequence.n:
        raise RegardError("tokens", f"{len(tokens)} were named and {sequence.n} given", "name each one", 1)


@torch.no_grad()
def logits_of(
    model: Transformer, sequence: Sequence, recorder: AnyRecorder | None = None, start: tuple[int, Tensor] | None = None
) -> Iterator[Tensor]:
    """One pass, as the model itself makes it: logits in pieces of (rows, vocabulary), nearly always one piece.

    start: a layer, and the stream (n, width) that enters it, where nothing before it is to be computed again.
    """
    device = model.output.matrix.device
    entering = None if start is None else (start[0], start[1][None].to(device))
    yield from pieces(model, model.stream(sequence.to(device), record=recorder, start=entering)[0])


@contextmanager
def at_rest(model: Transformer) -> Iterator[None]:
    """Evaluation mode, and afterwards each part as it was. Raises RegardError if a dropout stays on all the same."""
    training = {part: part.training for part in model.modules()}
    model.eval()
    try:
        for name, part in model.named_modules():
            if "Dropout" in type(part).__name__ and part.training and getattr(part, "p", 0.0) > 0:
                do = "switch it off: what is dropped at random is not what the model does"
                raise RegardError(name, "dropout stays on in evaluation mode", do)
        yield
    finally:
        for part, flag in training.items():
            part.training = flag
