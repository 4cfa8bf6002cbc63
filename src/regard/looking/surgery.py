"""A forward pass with parts of it changed, without the model knowing: hooks on its parts, taken off whatever happens.

Only the heads that are edited leave the fused kernel: their slice of what enters the output matrix is replaced, all
else stays the same bits. Shapes: n queries; m keys; heads; groups; d numbers in a value; width; a batch of 1.
"""

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Sequence as Many
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from regard.errors import RegardError
from regard.looking.capture import Recorder, at_rest, logits_of
from regard.looking.checkpoint import block_of
from regard.looking.formula import allowed, blocks, scores
from regard.looking.kept import Call
from regard.looking.stopping import stop_if_unwanted
from regard.model.sequence import Sequence
from regard.model.transformer import Transformer

Part = Literal["heads", "attention", "feed_forward", "edges", "value"]
Kind = Literal["zero", "mean", "resample", "mask", "cut", "none"]

Activations = Mapping[tuple[str, int], Tensor]
"""("out", layer) (heads, n, d); ("value", layer) (groups, n, d); ("attention" or "feed_forward", layer) (n, width)."""


@dataclass(frozen=True, kw_only=True)
class Edit:
    """One thing to change; a list of them is ordered, and where two replace the same thing the last counts.

    Within a head, masked edges act first, then replaced values, then a replaced output.
    """

    part: Part
    """heads: their outputs; attention, feed_forward: all of a sublayer; edges: rows take from cols; value: of cols."""
    kind: Kind
    """zero, mean, resample: what comes instead; edges also mask (the rest of the row grows) or cut (as zero)."""
    layer: int
    heads: tuple[int, ...] = ()
    rows: tuple[int, ...] = ()
    cols: tuple[int, ...] = ()

    @classmethod
    def head(cls, layer: int, heads: int | Iterable[int], kind: Kind = "zero") -> "Edit":
        """One head's output, or those of several heads of one layer."""
        return cls(part="heads", kind=kind, layer=layer, heads=_several(heads))

    @classmethod
    def sublayer(cls, layer: int, part: Literal["attention", "feed_forward"], kind: Kind = "zero") -> "Edit":
        """All that a layer's attention, or its feed-forward network, adds to the stream."""
        return cls(part=part, kind=kind, layer=layer)

    @classmethod
    def edges(
        cls, layer: int, head: int, rows: int | Iterable[int], cols: int | Iterable[int], kind: Kind = "mask"
    ) -> "Edit":
        """What each of the rows takes from each of the columns, in one head."""
        return cls(part="edges", kind=kind, layer=layer, heads=(head,), rows=_several(rows), cols=_several(cols))

    @classmethod
    def value(cls, layer: int, head: int, token: int, kind: Kind = "zero") -> "Edit":
        """One token's value vector, as one head takes it."""
        return cls(part="value", kind=kind, layer=layer, heads=(head,), cols=(token,))

    def __str__(self) -> str:
        heads = f" head{'s' if len(self.heads) > 1 else ''} {', '.join(map(str, self.heads))}" if self.heads else ""
        where = {"edges": f" edges {_run(self.rows)} to {_run(self.cols)}", "value": f" value of {_run(self.cols)}"}
        return (
            f"layer {self.layer}{heads}{where.get(self.part, '')}{'' if self.heads else ' ' + self.part}: {self.kind}"
        )

    def check(self, model: Transformer, n: int) -> None:
        """Raises RegardError, naming it, for a target that does not exist or a kind that it cannot have."""
        heads = model.config.attention.heads
        limits = (("layer", (self.layer,), model.config.layers), ("head", self.heads, heads), ("row", self.rows, n),
                  ("column", self.cols, n))  # fmt: skip
        for name, given, size in limits:
            wrong = [x for x in given if not 0 <= x < size]
            if wrong:
                raise RegardError(f"edit ({self})", f"{name} {wrong[0]} does not exist", f"choose 0 to {size - 1}")
        if self.kind in ("mask", "cut") and self.part != "edges":
            raise RegardError(f"edit ({self})", f"{self.kind} is for edges", "choose zero, mean or resample")


def _several(given: int | Iterable[int]) -> tuple[int, ...]:
    return (given,) if isinstance(given, int) else tuple(int(x) for x in given)


def _run(numbers: tuple[int, ...]) -> str:
    if len(numbers) > 2 and numbers == tuple(range(numbers[0], numbers[-1] + 1)):
        return f"{numbers[0]}-{numbers[-1]}"
    return ",".join(map(str, numbers))


@dataclass(frozen=True)
class Original:
    """A pass without edits: an edit in a layer changes nothing before it, so there is nothing to compute again."""

    logits: Tensor
    """(n, vocabulary) float32."""
    streams: Mapping[tuple[str, int], Tensor]
    """("in", layer): what entered it, (n, width)."""


def unedited(model: Transformer, sequence: Sequence) -> Original:
    recorder = Recorder()
    with at_rest(model):
        logits = torch.cat(list(logits_of(model, sequence, recorder)))
    return Original(logits.cpu(), recorder.streams)


def edited(
    model: Transformer, sequence: Sequence, edits: Many[Edit], instead: Activations | None, original: Original
) -> Tensor:
    """Logits (n, vocabulary) float32 of a pass with the edits. instead: what mean and resample put in place."""
    surgeon, first = _Surgeon(edits, instead or {}), min(edit.layer for edit in edits)
    with at_rest(model), surgeon.at(model):
        start = first, original.streams["in", first]
        logits = torch.cat(list(logits_of(model, sequence, surgeon, start)))
    surgeon.check_done()
    return logits.cpu()


def activations(model: Transformer, sequence: Sequence) -> Activations:
    """What each head, value and sublayer gave in a pass without edits."""
    recorder, found = Recorder(), {}

    def keep(name: str, layer: int) -> Any:
        return lambda _module, _inputs, output: found.update({(name, layer): output.detach()[0]})

    with ExitStack() as stack:
        for layer in range(len(model.blocks)):
            block = block_of(model, layer)
            for name, part in (("attention", block.attention), ("feed_forward", block.feed_forward)):
                stack.callback(part.register_forward_hook(keep(name, layer)).remove)
        with at_rest(model):
            for _ in logits_of(model, sequence, recorder):
                pass
    for (site, layer), call in recorder.calls.items():
        if site == "self":
            found["out", layer], found["value", layer] = call.out, call.value
    return found


class _Surgeon(Recorder):
    """A recorder that knows the call in progress, and the hooks that change what comes of it."""

    def __init__(self, edits: Many[Edit], instead: Activations) -> None:
        super().__init__()
        self._edits, self._instead = edits, instead
        self._done: set[Part] = set()
        self._reached: set[tuple[int, str]] = set()

    def stream(self, layer: int, place: str, x: Tensor) -> None:
        pass

    @contextmanager
    def at(self, model: Transformer) -> Iterator[None]:
        """Hooks on for the time of the block."""
        with ExitStack() as stack:
            for edit in self._edits:
                block = block_of(model, edit.layer)
                if edit.part in ("attention", "feed_forward"):
                    part: nn.Module = getattr(block, edit.part)
                    handle = part.register_forward_hook(self._sublayer(edit))
                    stack.callback(handle.remove)
            for layer in {edit.layer for edit in self._edits if edit.heads}:
                matrix = block_of(model, layer).attention.output
                stack.callback(matrix.register_forward_pre_hook(self._heads(layer)).remove)
            yield

    def check_done(self) -> None:
        """A hook that was not reached would mean that nothing was edited: then the model has changed its way."""
        wanted = {(edit.layer, edit.part if not edit.heads else "heads") for edit in self._edits}
        if wanted != self._reached:
            raise RegardError("edit", f"{sorted(wanted - self._reached)} was not reached", "report this", 1)

    def _sublayer(self, edit: Edit) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
            self._reached.add((edit.layer, edit.part))
            return self._replaced(edit, edit.part, output[0])[None]  # (1, n, width)

        return hook

    def _heads(self, layer: int) -> Any:
        def hook(_module: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
            self._reached.add((layer, "heads"))
            call, mixed = self.calls["self", layer], inputs[0].clone()  # (1, n, heads * d)
            d = call.out.shape[-1]
            for head in sorted({head for edit in self._edits if edit.layer == layer for head in edit.heads}):
                mine = [edit for edit in self._edits if edit.layer == layer and head in edit.heads]
                mixed[0, :, head * d : (head + 1) * d] = self._head(call, head, mine)
            return (mixed,)

        return hook

    def _head(self, call: Call, head: int, edits: list[Edit]) -> Tensor:
        """One head's output with its edits, (n, d): the formula in float64, then what was asked for."""
        value = call.value[call.group(head)].double()
        out = torch.zeros(call.n, value.shape[1], dtype=torch.float64)
        if not any(edit.part == "heads" and edit.kind != "none" for edit in edits):  # else all of it is replaced below
            for rows in blocks(call.n, call.m):
                stop_if_unwanted()
                out[rows] = self._rows(call, head, rows, value, edits)
        for edit in edits:
            if edit.part == "heads":
                out = self._replaced(edit, "out", out, head)
        return out.to(call.out.dtype)

    def _rows(self, call: Call, head: int, rows: slice, value: Tensor, edits: list[Edit]) -> Tensor:
        """Some rows of a head's output, (r, d), with masked edges and replaced values."""
        number = torch.arange(call.n)[rows]
        may = allowed(call.mask, rows, slice(None)).clone()
        for edit in (edit for edit in edits if edit.kind == "mask"):
            may[torch.isin(number, torch.tensor(edit.rows))[:, None] & _chosen(edit.cols, call.m)] = False
        entering = scores(call, head, rows, slice(None)).masked_fill_(~may, -torch.inf)
        weights = entering.softmax(dim=-1).nan_to_num_(0.0)  # (r, m); a row that sees nothing is 0
        out, still = weights @ value, torch.ones_like(may)
        for edit in reversed(edits):  # where two replace one cell's value, the last counts
            if edit.part in ("edges", "value") and edit.kind not in ("mask", "none"):
                here = still & _chosen(edit.cols, call.m)
                if edit.part == "edges":
                    here &= torch.isin(number, torch.tensor(edit.rows))[:, None]
                out += (weights * here) @ (self._replaced(edit, "value", value, call.group(head)) - value)
                still &= ~here
        return out

    def _replaced(self, edit: Edit, name: str, given: Tensor, index: int | None = None) -> Tensor:
        """What comes in place of `given`, of its shape (n or m, size)."""
        if edit.kind == "none":
            return given
        if edit.kind in ("zero", "cut"):
            return torch.zeros_like(given)
        found = self._instead[name, edit.layer]
        found = found if index is None else found[index]
        return found[: len(given)].to(given).expand_as(given)


def _chosen(numbers: tuple[int, ...], size: int) -> Tensor:
    mask = torch.zeros(size, dtype=torch.bool)
    mask[list(numbers)] = True
    return mask[None]
