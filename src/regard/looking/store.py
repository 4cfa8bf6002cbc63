"""A recording in a file: one safetensors file with its facts as JSON in the header, and nothing that could be run.

The id is the SHA-256 of all arrays and facts, without the proof, so a proof can be added to a recording that keeps its
id. A file is checked before any array is used: its own form (files/), the hash, every shape and type, and the limits.
"""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regard.errors import RegardError
from regard.files import Stored, read_safetensors, safetensors_bytes, write
from regard.looking.checkpoint import raw_bytes
from regard.looking.generated import Generated
from regard.looking.kept import KINDS, LONGEST, PARTS, Call, Facts, Kept, Readings, Tokens
from regard.looking.verdict import Proof
from regard.model.mask import Mask, Places
from regard.model.sequence import Sequence

FORMAT = "regard recording 1"
WITH_GENERATED = "regard recording 2"
"""The same, and some of the tokens were said by the model itself: only then, so that older versions open the others."""
SUFFIX = ".regard"
MOST_LAYERS = 1000
"""More than any model has; a forged file may not make us loop."""

Array = np.ndarray[Any, Any]
_TYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
          "I64": torch.int64, "U8": torch.uint8}  # fmt: skip
_NAMES = {dtype: name for name, dtype in _TYPES.items()}
_READINGS = {"truth": torch.int64, "true_logit": torch.float32, "rank": torch.int64, "ties": torch.int64,
             "top": torch.int64, "top_logits": torch.float32, "logsumexp": torch.float32}  # fmt: skip


def save(path: Path, kept: Kept, model_hash: str, proof: Proof | None, overwrite: bool = False) -> None:
    """Writes the file, whole or not at all. Raises RegardError."""
    if path.suffix != SUFFIX:
        raise RegardError(str(path), "a recording's name ends in .regard", f"call it {path.stem}{SUFFIX}")
    tensors, header = _packed(kept, model_hash)
    metadata = {
        "format": FORMAT if kept.generated is None else WITH_GENERATED,
        "id": _digest(tensors, header),
        "recording": header,
    }
    if proof is not None:
        metadata["proof"] = json.dumps(proof.to_json())
    write(path, safetensors_bytes({name: _stored(x) for name, x in tensors.items()}, metadata), overwrite)


def identity(kept: Kept, model_hash: str) -> str:
    """The recording's id: SHA-256 of its arrays and facts as they are now, 64 hexadecimal digits."""
    return _digest(*_packed(kept, model_hash))


def load(path: Path) -> tuple[Kept, str, Proof | None]:
    """(what was kept, the hash of the model that ran, the proof if one was made). Raises RegardError."""
    stored, metadata = read_safetensors(path)
    if metadata.get("format") not in (FORMAT, WITH_GENERATED):
        raise RegardError(str(path), f"this is not a {FORMAT!r}", "give a .regard file that regard has written")
    tensors = {name: _tensor(one, name, path) for name, one in stored.items()}
    header = metadata.get("recording", "")
    if _digest(tensors, header) != metadata.get("id"):
        raise RegardError(str(path), "its content does not match its id: it was changed or damaged", "record again")
    try:
        kept, model_hash = _unpacked(tensors, header)
        proof = Proof.from_json(json.loads(metadata["proof"])) if "proof" in metadata else None
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        what = f"its facts do not fit together ({type(error).__name__}: {error})"
        raise RegardError(str(path), what, "record again") from error
    return kept, model_hash, proof


def _packed(kept: Kept, model_hash: str) -> tuple[dict[str, Tensor], str]:
    """(arrays by name, facts as JSON)."""
    tensors: dict[str, Tensor] = {}
    masks: dict[int, str] = {}
    calls = []
    for (site, layer), call in kept.calls.items():
        name = f"{site}.{layer}"
        tensors |= {f"{name}.{part}": getattr(call, part) for part in PARTS}
        if call.logsumexp is not None:
            tensors[f"{name}.logsumexp"] = call.logsumexp
        if call.mask.allowed is not None and id(call.mask) not in masks:  # layers share one mask
            masks[id(call.mask)] = f"mask.{len(masks)}"
            tensors[masks[id(call.mask)]] = torch.from_numpy(np.packbits(call.mask.allowed[0].numpy(), axis=1))
        calls.append(
            {"site": site, "layer": layer, "mask": [call.mask.kind, call.n, call.m, masks.get(id(call.mask))],
             "scale": call.scale, "kernel": call.kernel, "dtype": call.dtype, "logsumexp": call.logsumexp is not None,
             "marks": {part: list(values) for part, values in call.marks.items()}})  # fmt: skip
    tensors |= {f"stream.{place}.{layer}": x for (place, layer), x in kept.streams.items()}
    tensors |= {f"readings.{name}": torch.from_numpy(getattr(kept.readings, name)) for name in _READINGS}
    if kept.logits is not None:
        tensors["logits"] = kept.logits
    given, places = kept.sequence, kept.sequence.places
    rule = torch.cat((places.sequence[:1], places.branch[:1], places.step[:1]))
    tensors |= {"sequence.tokens": given.tokens[0], "sequence.position": given.position[0], "sequence.places": rule}
    tokens = asdict(kept.tokens) | {"raw": [raw.hex() for raw in kept.tokens.raw]}
    facts = {"tokens": tokens, "calls": calls, "streams": [[place, layer] for place, layer in kept.streams],
             "logits": kept.logits is not None, "facts": asdict(kept.facts), "model_hash": model_hash}  # fmt: skip
    if kept.generated is not None:
        facts["generated"] = asdict(kept.generated)
    return {name: x.detach().cpu() for name, x in tensors.items()}, json.dumps(facts, sort_keys=True)


def _digest(tensors: Mapping[str, Tensor], header: str) -> str:
    digest = hashlib.sha256(header.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(json.dumps([name, _NAMES[tensor.dtype], list(tensor.shape)]).encode())
        digest.update(raw_bytes(tensor))
    return digest.hexdigest()


def _stored(x: Tensor) -> Stored:
    array = x.contiguous().view(torch.uint16).numpy() if x.dtype == torch.bfloat16 else x.numpy()
    return Stored(array, _NAMES[x.dtype])


def _tensor(stored: Stored, name: str, path: Path) -> Tensor:
    if stored.dtype not in _TYPES:
        raise RegardError(f"{path}: tensor {name[:60]!r}", f"no recording holds {stored.dtype}", "record again")
    found = torch.from_numpy(stored.array)
    return found.view(torch.bfloat16) if stored.dtype == "BF16" else found


def _unpacked(tensors: dict[str, Tensor], header: str) -> tuple[Kept, str]:
    """The inverse of _packed. Raises ValueError, KeyError or TypeError where anything is not as it must be."""
    facts = json.loads(header)
    left = dict(tensors)

    def take(name: str, shape: tuple[int, ...], *types: torch.dtype) -> Tensor:
        found = left.pop(name)
        if tuple(found.shape) != shape or (types and found.dtype not in types):
            raise ValueError(f"{name[:60]} is {found.dtype} of shape {tuple(found.shape)}")
        return found

    tokens = _tokens(facts["tokens"])
    n, width = len(tokens), int(facts["facts"]["config"]["width"])
    calls = _calls(facts["calls"], n, left, take)
    named = [(_text(place), _whole(layer)) for place, layer in facts["streams"]]
    streams = {(place, layer): take(f"stream.{place}.{layer}", (n, width)) for place, layer in named}
    columns = {"top": (tensors["readings.top"].shape[1],), "top_logits": (tensors["readings.top"].shape[1],)}
    readings = Readings(*(take(f"readings.{name}", (n, *columns.get(name, ())), dtype).numpy()
                          for name, dtype in _READINGS.items()))  # fmt: skip
    vocabulary = int(facts["facts"]["config"]["vocabulary"])
    logits = take("logits", (n, vocabulary), torch.float32) if facts["logits"] else None
    places = Places(*take("sequence.places", (3, n), torch.int64)[:, None])
    shape = tuple(tensors["sequence.tokens"].shape)
    given = take("sequence.tokens", (n, *shape[1:]))[None]
    position = take("sequence.position", (n, tensors["sequence.position"].shape[1]))[None]
    if left:
        raise ValueError(f"{min(left)[:60]!r} is not named in its facts")
    generated = _generated(facts["generated"], n) if "generated" in facts else None
    said = (_facts(facts["facts"]), generated)
    kept = Kept(tokens, Sequence.of(given, position, places), calls, streams, readings, logits, *said)
    return kept, _text(facts["model_hash"])


def _tokens(values: Mapping[str, Any]) -> Tokens:
    ids = tuple(_whole(i) for i in values["ids"])
    tokens = Tokens(ids, tuple(bytes.fromhex(x) for x in values["raw"]), tuple(_text(x) for x in values["labels"]),
                    tuple((_whole(a), _whole(b)) for a, b in values["offsets"]), tuple(values["kinds"]))  # fmt: skip
    lengths = {len(getattr(tokens, name)) for name in Tokens.__dataclass_fields__}
    if lengths != {len(ids)} or not 1 <= len(ids) <= LONGEST or not set(tokens.kinds) <= set(KINDS):
        raise ValueError("its tokens are not 1 to 8192 of known kinds")
    return tokens


def _facts(values: Mapping[str, Any]) -> Facts:
    facts = Facts(**values)
    if not isinstance(facts.config, dict) or not isinstance(facts.preprocessing, dict):
        raise ValueError("config and preprocessing are not objects")
    classes = facts.preprocessing.get("classes", [])
    if not isinstance(classes, list):
        raise ValueError("classes are no list")
    for text in (facts.version, facts.torch, facts.made, facts.name, *classes):
        _text(text)
    return facts


def _generated(values: Mapping[str, Any], n: int) -> Generated:
    found = Generated(**values)
    numbers = type(found.same) is bool and type(found.difference) is float and 0 <= found.difference < math.inf
    if not (0 < _whole(found.start) < n and numbers and isinstance(found.sampling, dict)):
        raise ValueError("what it generated is not said")
    return found


def _calls(
    listed: list[Any], n: int, left: dict[str, Tensor], take: Callable[..., Tensor]
) -> dict[tuple[str, int], Call]:
    """Every recorded call, its arrays of one shape with its mask."""
    if not 1 <= len(listed) <= MOST_LAYERS:
        raise ValueError(f"{len(listed)} calls")
    calls: dict[tuple[str, int], Call] = {}
    masks: dict[str, Tensor] = {}
    for one in listed:
        site, layer = _text(one["site"]), _whole(one["layer"])
        name = f"{site}.{layer}"
        (heads, _, d), (groups, m, width) = left[f"{name}.query"].shape, left[f"{name}.value"].shape
        if heads % groups or m > LONGEST or (site == "self" and m != n):
            raise ValueError(f"{name}: {heads} heads, {groups} groups, {m} keys")
        floats = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
        shapes = {"query": (heads, n, d), "key": (groups, m, d), "value": (groups, m, width), "out": (heads, n, width)}
        arrays = {part: take(f"{name}.{part}", shape, *floats) for part, shape in shapes.items()}
        total = take(f"{name}.logsumexp", (heads, n), *floats) if one["logsumexp"] else None
        marks = {part: tuple(_whole(x) for x in one["marks"][part]) for part in PARTS}
        calls[site, layer] = Call(
            site, layer, **arrays, logsumexp=total, mask=_mask(one["mask"], n, m, masks, take),
            scale=float(one["scale"]), kernel=_text(one["kernel"]), dtype=_text(one["dtype"]), marks=marks,
        )  # fmt: skip
    return calls


def _mask(values: Any, n: int, m: int, masks: dict[str, Tensor], take: Callable[..., Tensor]) -> Mask:
    kind, rows, columns, name = values
    if (rows, columns) != (n, m) or kind not in ("causal", "full", "mixed") or (kind == "causal" and n != m):
        raise ValueError(f"a {kind} mask of {rows} x {columns}")
    if kind != "mixed":
        return Mask(kind, n, m)
    if name not in masks:
        bits = take(_text(name), (n, (m + 7) // 8), torch.uint8)
        masks[name] = torch.from_numpy(np.unpackbits(bits.numpy(), axis=1, count=m).astype(bool))[None]
    return Mask("mixed", n, m, masks[name])


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise ValueError(f"{str(value)[:40]!r} is no whole number")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{str(value)[:40]!r} is no text")
    return value
