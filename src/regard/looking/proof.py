"""Proof that a recording's weights are those that the model's own kernel used: seven checks, and one for the streams.

Reproducing the output is necessary but not enough: with more keys than numbers in a value, many other weight rows give
the same output (Brunner et al. 2020). So check C multiplies the kernel's weights with values of our own choosing.
"""

import secrets
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import torch
from torch import Tensor

from regard.errors import RegardError
from regard.looking import formula
from regard.looking.capture import Recorder, at_rest, logits_of
from regard.looking.checkpoint import block_of
from regard.looking.formula import WeightsOf
from regard.looking.kept import PARTS, Call, Kept, mark
from regard.looking.probes import WRONG, Probed, Worst, kernel_of, probe
from regard.looking.readings import pieces, read
from regard.looking.verdict import Check, Proof, short
from regard.model.transformer import Transformer

TOLERANCE = {"float64": 1e-12, "float32": 5e-5, "float16": 1.5e-3, "bfloat16": 1e-2}
ROUNDOFF = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}
ROW_SUM = 1e-12
LENS = 1e-5
"""Of the lens reading at the last layer against the model's own logits, relative to the largest logit if over 1."""
WITHOUT = "it needs the model: load the recording with model="


def prove(
    kept: Kept, model: Transformer | None, seed: int | None = None, *, stale: str = "", exact: bool = False,
    weights: WeightsOf = formula.weights,
) -> Proof:  # fmt: skip
    """Makes all checks (without a model A, B and E; the others are then marked as not done).

    stale: why this is not the model that was recorded, or "". exact: it is the very one that ran, in this process, so a
    second pass must give the same bits. weights: the recomputation that is on trial. seed: fresh unless given.
    """
    started, seed = time.monotonic(), secrets.randbits(32) if seed is None else seed
    calls, found = list(kept.calls.values()), Probed()
    dtype, here = calls[0].dtype, True
    device = torch.device("cpu") if model is None else model.output.matrix.device
    with torch.no_grad():
        for number, call in enumerate(calls):
            kernel = kernel_of(call, device)
            here = here and kernel is not None
            probe(call, kernel, weights, seed + number, found, everything=model is not None)
        again = None if model is None else _Again(kept, model)
        checks = [_inputs(kept, again, stale, exact), _no_effect(kept, again), _streams(kept, model)]
    reason = WITHOUT if model is None else "" if here else f"{calls[0].kernel} is not to be had here"
    return Proof(
        checks=tuple(sorted(checks + _probes(found, TOLERANCE[dtype], reason, here), key=lambda check: check.name)),
        dtype=dtype, seed=seed, kernel=calls[0].kernel,
        bound=None if reason else 2 * (found.probe.number + ROUNDOFF[dtype] + ROUNDOFF["float32"]),
        unseen=() if reason else _unseen(found, TOLERANCE[dtype]), seconds=time.monotonic() - started,
        made=datetime.now(UTC).isoformat(timespec="seconds"), threads=torch.get_num_threads(),
    )  # fmt: skip


class _Again:
    """A second and a third pass through the model, with and without a recorder."""

    def __init__(self, kept: Kept, model: Transformer) -> None:
        recorder, self.difference, self.fault = Recorder(), 0.0, ""
        try:
            with at_rest(model):
                self.readings = read(self._compared(kept, model, recorder), torch.from_numpy(kept.readings.truth))
        except RegardError as error:
            self.fault = str(error)
        self.calls = recorder.calls

    def _compared(self, kept: Kept, model: Transformer, recorder: Recorder) -> Iterator[Tensor]:
        with_it, without = logits_of(model, kept.sequence, recorder), logits_of(model, kept.sequence)
        for a, b in zip(with_it, without, strict=True):
            self.difference = max(self.difference, float((a - b).abs().max()))
            yield a


def _inputs(kept: Kept, again: _Again | None, stale: str, exact: bool) -> Check:
    """A: the arrays are those that the marks were taken of, and those that a second pass gives."""
    what, number = "queries, keys, values, outputs and arguments are those of the call that ran", 0.0

    def failed(note: str, call: Call | None = None, number: float | None = None, limit: float | None = None,
               head: int | None = None) -> Check:  # fmt: skip
        site, layer = (None, None) if call is None else (call.site, call.layer)
        return Check(name="A", what=what, passed=False, number=number, limit=limit, site=site, layer=layer, head=head,
                     note=note)  # fmt: skip

    if stale:
        return failed(stale)
    for call in kept.calls.values():
        for part in PARTS:
            x = getattr(call, part)
            if x.dtype != getattr(torch, call.dtype):
                return failed(f"{part} is kept as {x.dtype}, the call computed in {call.dtype}", call)
            changed = [head for head, now in enumerate(mark(x)) if now != call.marks[part][head]]
            if changed:
                head = changed[0] * call.heads // len(x)
                return failed(f"{part} is not what was recorded", call, len(changed), 0, head)
        if again is not None and not again.fault:
            off, note = _against(call, again.calls.get((call.site, call.layer)))
            limit = 0.0 if exact else TOLERANCE[call.dtype]
            if note or not off <= limit:
                return failed(note or "a second pass gives others", call, off, limit)
            number = max(number, off)
    same = "the same bits" if number == 0 else f"the same within {short(number, up=True)}"
    note = "" if again is None else f"a second pass gives {same}"
    return Check(name="A", what=what, passed=True, number=number, note=note)


def _against(call: Call, again: Call | None) -> tuple[float, str]:
    """(largest difference from a second pass, relative to the largest number; what else differs)."""
    if again is None or again.query.shape != call.query.shape or again.key.shape != call.key.shape:
        return 0.0, "a second pass makes no such call"
    if (again.scale, again.kernel, again.mask.kind) != (call.scale, call.kernel, call.mask.kind):
        return 0.0, f"a second pass uses {again.kernel}, scale {again.scale:g}, a {again.mask.kind} mask"
    if call.mask.allowed is not None and not torch.equal(call.mask.allowed, again.mask.matrix()):
        return 0.0, "a second pass uses another mask"
    off = 0.0
    for part in PARTS:
        mine, theirs = getattr(call, part).double(), getattr(again, part).double()
        off = max(off, float((mine - theirs).abs().max() / mine.abs().max().clamp(min=1e-30)))
    return off, ""


def _probes(found: Probed, tolerance: float, reason: str, here: bool) -> list[Check]:
    """B, C, D, E and G from what the probes found; reason: why C, D and G were not done."""

    def check(name: str, what: str, worst: Worst, limit: float, note: str = "") -> Check:
        if reason and name in "CD":
            return Check(name=name, what=what, passed=None, note=reason)
        return Check(name=name, what=what, passed=worst.number <= limit, number=worst.number, limit=limit,
                     site=worst.site, layer=worst.layer, head=worst.head, note=note)  # fmt: skip

    rows = (found.row_sum, ROW_SUM, "row sums")
    kinds = ((found.forbidden, 0.0, "from masked keys"), (found.logsumexp, tolerance, "log-sum-exp"), rows)
    worst, limit, note = next((kind for kind in kinds if not kind[0].number <= kind[1]), rows)
    checks = [
        check("B", "weights times values make the kernel's output", found.output, tolerance),
        check("C", "weights times random signs make what the kernel makes of them", found.probe, tolerance),
        check("D", "columns of weights are those that the kernel returns", found.column, tolerance),
        check("E", "rows sum to 1, and nothing comes from masked keys", worst, limit, note if here else note + " only"),
    ]
    what = "wrong recomputations would have been caught"
    if reason:
        return [*checks, Check(name="G", what=what, passed=None, note=reason)]
    least = min((number for *_, number in found.wrong if number >= 10 * tolerance), default=None)
    unseen = _unseen(found, tolerance)
    note = f"could not see {', '.join(unseen)}" if unseen else f"all {len(WRONG)} kinds"
    return [*checks, Check(name="G", what=what, passed=True, number=least, limit=10 * tolerance, note=note)]


def _unseen(found: Probed, tolerance: float) -> tuple[str, ...]:
    """Which wrong recomputations could not have been seen, and in which layers if not in all."""
    unseen = []
    for name in WRONG:
        tried = [(call, number) for known, call, number in found.wrong if known == name]
        missed = [call for call, number in tried if number < 10 * tolerance]
        if missed:
            layers = ", ".join(f"{call.site} {call.layer}".removeprefix("self ") for call in missed)
            unseen.append(name if len(missed) == len(tried) else f"{name} in layer {layers}")
    return tuple(unseen)


def _no_effect(kept: Kept, again: _Again | None) -> Check:
    """F: the logits are the same bits with and without a recorder, and those that were recorded."""
    what = "final logits with and without recording are the same bits"
    if again is None:
        return Check(name="F", what=what, passed=None, note=WITHOUT)
    if again.fault:
        return Check(name="F", what=what, passed=False, note=again.fault)
    then, now = kept.readings, again.readings
    off = max(float(abs(a - b).max()) for a, b in ((then.top_logits, now.top_logits), (then.logsumexp, now.logsumexp)))
    off /= max(1.0, float(abs(then.top_logits).max()))
    if off > LENS and again.difference == 0:
        return Check(name="F", what=what, passed=False, number=off, limit=LENS, note="the recorded logits are others")
    return Check(name="F", what=what, passed=again.difference == 0, number=again.difference, limit=0)


def _streams(kept: Kept, model: Transformer | None) -> Check:
    """S (looking.md 1.5): heads' contributions make the sublayer, sublayers the stream, the stream the logits."""
    what = "contributions make the streams, and the last stream the logits"
    if model is None:
        return Check(name="S", what=what, passed=None, note=WITHOUT)
    dtype = next(iter(kept.calls.values())).dtype
    limit = max(LENS, TOLERANCE[dtype]) if dtype != "float32" else LENS
    worst = Worst()
    for call in kept.calls.values():
        if call.site == "self":
            for made, recorded in _sublayers(kept, model, call):
                worst.see(_relative(made, recorded), call, None)
    last = list(kept.calls.values())[-1]
    lens = read(pieces(model, kept.streams["in", len(model.blocks)].to(model.output.matrix.device)),
                torch.from_numpy(kept.readings.truth))  # fmt: skip
    worst.see(_relative(torch.from_numpy(lens.top_logits), torch.from_numpy(kept.readings.top_logits)), last, None)
    return Check(name="S", what=what, passed=worst.number <= limit, number=worst.number, limit=limit,
                 site=worst.site, layer=worst.layer)  # fmt: skip


def _sublayers(kept: Kept, model: Transformer, call: Call) -> Iterator[tuple[Tensor, Tensor]]:
    """(made anew, as recorded) for the stream after a block's attention and the one that leaves the block."""
    block, streams = block_of(model, call.layer), kept.streams
    weight, bias = block.attention.output.weight, block.attention.output.bias
    out = call.out.to(weight.device).transpose(0, 1).flatten(1)  # (n, heads * d): all heads' contributions at once
    added = out.double() @ weight.T.double() + (0.0 if bias is None else bias.double())
    start, after, end = (streams[key].to(weight.device)[None] for key in
                         (("in", call.layer), ("attention", call.layer), ("in", call.layer + 1)))  # fmt: skip
    yield block.residual(start, block.attention_norm, lambda _: added[None].to(start.dtype)), after
    if ("memory", call.layer) in streams:
        after = streams["memory", call.layer].to(weight.device)[None]
    yield block.residual(after, block.feed_forward_norm, block.feed_forward), end


def _relative(a: Tensor, b: Tensor) -> float:
    """The largest difference, relative to the largest number where that is over 1."""
    return float((a.double() - b.double()).abs().max() / b.double().abs().max().clamp(min=1))
