"""What the page computes with of one head: queries, keys, values, outputs and positions; and what a block holds.

Shapes: n queries; m keys; d numbers in a query or key; axes of a position (1 for text).
"""

import json
import struct
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from regard.errors import RegardError
from regard.looking.checkpoint import attention_of
from regard.looking.formula import value_norms
from regard.looking.kept import Call
from regard.looking.record import Recording
from regard.model.position import turns

MAGIC = b"RGT1"

Array = np.ndarray[Any, Any]


def vectors(recording: Recording, site: str, layer: int, head: int) -> bytes:
    """A head's queries, keys, values and outputs as the kernel had them, and each row's log-sum-exp.

    4 bytes magic, 4 bytes length of a JSON header, the header; then its arrays, each from a multiple of 8 bytes on.
    """
    total = recording.logsumexp(layer, head, site=site)  # raises for what does not exist
    call = recording.kept.call(site, layer)
    group = call.group(head)
    position, turned = _positions(recording, call)
    arrays: dict[str, Array] = {
        "query": _single(call, "query", head), "key": _single(call, "key", group),
        "value": _single(call, "value", group), "out": _single(call, "out", head), "logsumexp": total.astype("<f8"),
        **turned,
    }  # fmt: skip
    if recording.model is not None:
        arrays["valueNorms"] = value_norms(call, head, attention_of(recording.model, site, layer)).numpy()
    if call.mask.kind == "mixed":
        arrays["allowed"] = recording.mask(layer, site=site).astype(np.uint8)
    header = {
        "n": call.n, "m": call.m, "d": call.query.shape[-1], "width": call.value.shape[-1], "scale": call.scale,
        "mask": call.mask.kind, "sharedBy": [h for h in range(call.heads) if call.group(h) == group],
        "position": position, "arrays": [[name, str(x.dtype), x.size] for name, x in arrays.items()],
    }  # fmt: skip
    said = json.dumps(header).encode()
    parts = [MAGIC + struct.pack("<I", len(said)) + said, *(np.ascontiguousarray(x).tobytes() for x in arrays.values())]
    return b"".join(part + bytes(-len(part) % 8) for part in parts)


def _single(call: Call, part: str, at: int) -> Array:
    found: Array = getattr(call, part)[at].float().numpy().astype("<f4")
    return found


def _positions(recording: Recording, call: Call) -> tuple[dict[str, Any], dict[str, Array]]:
    """How positions came in; and where queries and keys were turned, what turns them back, float32 as the model had it.

    Numbers c and c + d / 2 of a query at position p (n, axes) were turned by the angle p[c % axes] * speeds[c].
    """
    kind, theta = (recording.facts.config["position"][name] for name in ("kind", "theta"))
    if kind != "rotary" or call.site != "self":
        return {"kind": kind if call.site == "self" else "none"}, {}
    position = recording.kept.sequence.position[0]
    axes, d = position.shape[-1], call.query.shape[-1]
    _, speeds, _ = turns(d, theta, axes, torch.device("cpu"))
    arrays = {"positions": position.float().cpu().numpy().astype("<f4"), "speeds": speeds[: d // 2].numpy()}
    return {"kind": kind, "theta": theta, "axes": axes}, arrays


def block(
    recording: Recording, site: str, layer: int, head: int, first: int, last: int, left: int, right: int
) -> dict[str, Any]:  # fmt: skip
    """Rows first to last and columns left to right, both ends in it: what it holds in all (looking/block.py)."""
    if first > last or left > right:
        raise RegardError("block", f"{first} to {last} by {left} to {right} is none", "give lower numbers first")
    found = recording.block(layer, head, slice(first, last + 1), slice(left, right + 1), site=site)
    contributions = None if found.contributions is None else asdict(found.contributions)
    cells = {"cells": found.cells, "allowed": found.allowed}
    return {**cells, "weights": asdict(found.weights), "contributions": contributions}
