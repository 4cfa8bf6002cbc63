"""Weights from a folder's safetensors files: every name, shape, dtype and number checked before it is believed."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from regard.errors import Notice, RegardError, places
from regard.files import Entry, Stored, count_not_finite, read_safetensors, read_safetensors_header, refusing
from regard.model.config import TransformerConfig
from regard.pretrained.document import read_json, shown
from regard.pretrained.rows import Place, expected
from regard.pretrained.table import Family

SINGLE, INDEX, HEAD = "model.safetensors", "model.safetensors.index.json", "lm_head.weight"
DTYPES = ("F32", "F16", "BF16")

_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_MAGIC = (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_TRUSTED = "convert it to safetensors on a machine where you trust it"
_ONE_MODEL = "give config.json and weights of one model"
_SHARD = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*\.safetensors")


@dataclass(frozen=True)
class Found:
    """A tensor in a folder, as its file's header tells."""

    path: Path
    name: str
    entry: Entry

    def __str__(self) -> str:
        return f"{self.path}: tensor {self.name[:60]!r}"


def find(folder: Path, family: Family) -> dict[str, Found]:
    """Every tensor of the folder, by its full name in the family; headers only. Raises RegardError (M1 to M6)."""
    found: dict[str, Found] = {}
    for file in [folder / SINGLE] if (folder / SINGLE).exists() else _shards(folder):
        for name, entry in read_safetensors_header(file)[0].items():
            if name in found:
                raise RegardError(str(found[name]), f"it is also in {file.name}", "download both again")
            found[name] = Found(file, name, entry)
    if any(name.startswith(family.prefix) for name in found):
        return found
    # Saved without its head, as the first GPT-2 was: the same names without their beginning.
    return {name if name == HEAD else family.prefix + name: it for name, it in found.items()}


def _shards(folder: Path) -> list[Path]:
    """The files that the index names: plain names beside it, each there, each with the tensors that it should have."""
    index = folder / INDEX
    if not index.exists():
        raise _nothing_to_read(folder)
    file_of = read_json(index).get("weight_map")
    if not isinstance(file_of, dict) or not file_of:
        raise RegardError(str(index), "weight_map is no object of tensor and file names", "download it again")
    for name in file_of.values():
        if not isinstance(name, str) or not _SHARD.fullmatch(name):
            raise RegardError(str(index), f"{shown(name)} is no plain .safetensors name", "name files beside the index")
    files = [folder / name for name in sorted(set(file_of.values()))]
    for file in files:
        if not file.exists():
            raise RegardError(str(file), "this part of the weights is missing", "download it, too")
        held = read_safetensors_header(file)[0]
        lacking = [tensor for tensor, name in file_of.items() if name == file.name and tensor not in held]
        if lacking:
            named = places(name[:60] for name in lacking)
            raise RegardError(str(file), f"it lacks what the index promises: {named}", "download it again")
    return files


def _nothing_to_read(folder: Path) -> RegardError:
    pickled = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in _PICKLED)
    if pickled:
        return RegardError(str(folder / pickled[0]), "pickled weights can run code, and no others are here", _TRUSTED)
    return RegardError(str(folder), f"there is no {SINGLE} and no {INDEX}", "give a folder that holds the weights")


def refuse_pickle(path: Path) -> None:
    """Raises RegardError if the file's name or first bytes are those of pickled weights (M1)."""
    with refusing(path), open(path, "rb") as file:
        head = file.read(4)
    if path.suffix.lower() in _PICKLED or head.startswith(_MAGIC):
        raise RegardError(str(path), "this file holds pickled objects, which can run code", _TRUSTED)


def check(
    found: dict[str, Found], family: Family, config: TransformerConfig, folder: Path
) -> tuple[list[Place], list[str]]:
    """(what is to be read, names that are ignored), if the headers hold this config's tensors, no more and no less.

    Nothing is built and nothing is listed before the sizes agree roughly, so absurd ones cost nothing. Raises
    RegardError (M7, M8, M10).
    """
    ignored = [name for name in found if any(_is(name, pattern) for pattern in family.harmless)]
    if config.tied and HEAD in found:
        ignored.append(HEAD)  # `read` compares it with the embedding
    held = {name: it for name, it in found.items() if name not in set(ignored)}
    there, said = sum(prod(it.entry.shape) for it in held.values()), config.parameters()
    if config.layers > len(held) or not there <= 2 * said <= 4 * there:
        what = f"config.json describes {_short(said)} parameters, the weights have {_short(there)}"
        raise RegardError(str(folder), what, _ONE_MODEL)
    wanted = {place.theirs: place for place in expected(family.rows, config)}
    faults = [f"{name} missing" for name in wanted.keys() - held.keys()]
    faults += [f"{name} unexpected" for name in held.keys() - wanted.keys()]
    for name in wanted.keys() & held.keys():
        if held[name].entry.shape != wanted[name].shape:
            faults.append(f"{name} {held[name].entry.shape} instead of {wanted[name].shape}")
    if faults:
        named = places(fault.removeprefix(family.prefix)[:100] for fault in sorted(faults)[:5])
        raise RegardError(str(folder), f"{len(faults)} tensors do not fit config.json: {named}", _ONE_MODEL)
    for name in wanted:
        _check_dtype(found[name])
    return list(wanted.values()), ignored


def _check_dtype(found: Found) -> None:
    if found.entry.dtype not in DTYPES:
        what = f"its dtype is {found.entry.dtype}"
        raise RegardError(str(found), what, f"give weights in one of {', '.join(DTYPES)}")


def _is(name: str, pattern: str) -> bool:
    return re.fullmatch(re.escape(pattern).replace(r"\{\}", "[0-9]+"), name) is not None


def _short(number: int) -> str:
    return f"{number:,}" if number < 10**15 else f"about 10^{len(str(number)) - 1}"


def read(found: dict[str, Found], wanted: list[Place]) -> dict[str, Tensor]:
    """Our tensors by our names, float32. Raises RegardError for NaN or Inf (M9), or a tied head that differs (M7)."""
    place_of = {place.theirs: place for place in wanted}
    twin = found.get(HEAD) if HEAD not in place_of else None
    ours, head = dict[str, Tensor](), None
    for file in dict.fromkeys(it.path for it in found.values()):
        stored, _ = read_safetensors(file)
        for name, it in found.items():
            if it.path == file and name in place_of:
                ours |= place_of[name].read(_widened(it, stored))
            elif it.path == file and it is twin:
                head = _widened(it, stored)
    if twin is not None and head is not None and not torch.equal(head, ours["embedding.table.weight"]):
        what = "it differs from the embedding, though config.json ties the two"
        raise RegardError(str(twin), what, "set tie_word_embeddings to false if the head is its own")
    return ours


def _widened(found: Found, stored: dict[str, Stored]) -> Tensor:
    """One tensor in float32, taken out of `stored` so that its memory can go."""
    one = stored.pop(found.name, None)
    if one is None or one.array.shape != found.entry.shape or one.dtype != found.entry.dtype:
        raise RegardError(str(found.path), "it changed while it was read", "give the command again")
    _check_dtype(found)  # the twin's was not yet
    if bad := count_not_finite(one):
        what = f"{bad:,} of its {one.array.size:,} numbers are NaN or infinite"
        raise RegardError(str(found), what, "give weights of a training that went well")
    if one.dtype == "BF16":
        return torch.from_numpy(one.array.view("int16")).view(torch.bfloat16).float()
    return torch.from_numpy(one.array).float()


def notices(found: Mapping[str, Found], wanted: list[Place], ignored: list[str]) -> tuple[Notice, ...]:
    """What was changed or left out on the way."""
    narrow = [place.theirs for place in wanted if found[place.theirs].entry.dtype != "F32"]
    dtypes = sorted({found[name].entry.dtype for name in narrow})
    said = (
        Notice(f"tensor(s) widened from {' and '.join(dtypes)} to F32", len(narrow), tuple(narrow[:5])),
        Notice("tensor(s) ignored, without weights of their own", len(ignored), tuple(ignored[:5])),
    )
    return tuple(notice for notice in said if notice.count)
