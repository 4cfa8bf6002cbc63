"""A pretrained folder as transformers writes it, read into our words: config, weights, tokenizer, special ids."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from regard.errors import Notice, RegardError
from regard.model.config import TransformerConfig
from regard.model.transformer import Transformer
from regard.pretrained import weights
from regard.pretrained.document import read_json
from regard.pretrained.families import family_asked_for
from regard.pretrained.fields import read_config
from regard.pretrained.special import check_ids, document_mark, special_ids, token_ids

CONFIG = "config.json"
LARGEST_CONFIG = 10_000_000
"""Bytes; those in use have a few thousand."""


@dataclass(frozen=True)
class Pretrained:
    """What a folder holds. Nothing of it is run, nothing is fetched."""

    family: str
    """Its architecture, one of families.FAMILIES."""
    config: TransformerConfig
    tensors: dict[str, Tensor]
    """By our names, float32; exactly the state of Transformer(config)."""
    tokenizer: Path | None
    """tokenizer.json, if there is one; its ids lie within the embedding."""
    special: dict[str, tuple[int, ...]]
    """The ids called "eos", "bos" and "pad", as far as the folder names any."""
    document: str | None
    """The special token, as written, that stood before each text: for TextTokenizer.load."""
    notices: tuple[Notice, ...]
    """What was widened, ignored, defaulted or not followed."""

    def build(self) -> Transformer:
        """The model, on the CPU, in evaluation mode; it shares memory with `tensors`."""
        return built(self.config, self.tensors)


def built(config: TransformerConfig, tensors: Mapping[str, Tensor]) -> Transformer:
    """A model of exactly these tensors, which it takes as they are, without a copy."""
    with torch.device("meta"):
        model = Transformer(config)
    model.load_state_dict(dict(tensors), strict=True, assign=True)
    return model.eval()


def read_folder(path: Path) -> Pretrained:
    """Reads config.json, the weights and where the tokenizer is. Raises RegardError (rows M1 to M12, M15, M16)."""
    path, theirs = opened(path)
    where = str(path / CONFIG)
    family = family_asked_for(theirs.get("architectures"), where)
    config, granted = read_config(family, theirs, where)
    found = weights.find(path, family)
    places, ignored = weights.check(found, family, config, path)
    tokens = _tokens(path, theirs, config)
    tensors = weights.read(found, places)
    notices = (*granted, *weights.notices(found, places, ignored), *tokens.notices)
    return Pretrained(family.architecture, config, tensors, tokens.file, tokens.special, tokens.document, notices)


def opened(path: Path) -> tuple[Path, dict[str, Any]]:
    """The folder, and what its config.json holds. Raises RegardError where there is none (M1, M16)."""
    path = _existing(Path(path))
    if not (path / CONFIG).is_file():
        raise RegardError(str(path), "there is no config.json", "give a folder with config.json and model.safetensors")
    return path, read_json(path / CONFIG, LARGEST_CONFIG)


def _existing(path: Path) -> Path:
    if path.is_dir():
        return path
    if path.suffix == ".safetensors" and path.is_file():
        raise RegardError(str(path), "this is one file of a model", "give the folder that holds it and config.json")
    if path.is_file():
        weights.refuse_pickle(path)
        raise RegardError(str(path), "this is a file", "give a folder with config.json and model.safetensors")
    raise RegardError(str(path), "there is no such folder, and regard does not download", "give the folder of a model")


class _Tokens(NamedTuple):
    file: Path | None
    special: dict[str, tuple[int, ...]]
    document: str | None
    notices: tuple[Notice, ...]


def _tokens(path: Path, theirs: dict[str, Any], config: TransformerConfig) -> _Tokens:
    file, tokenizer, ids, said = path / "tokenizer.json", dict[str, Any](), dict[str, int](), list[Notice]()
    if file.is_file():
        tokenizer = read_json(file)
        ids = token_ids(tokenizer, str(file))
        said += check_ids(ids, config.vocabulary, str(file))
    others = [path / name for name in ("generation_config.json", "tokenizer_config.json")]
    settings = [theirs, *(read_json(other, LARGEST_CONFIG) for other in others if other.is_file())]
    special, dropped = special_ids(settings, ids, config.vocabulary)
    if dropped:
        said.append(Notice("special id(s) past the embedding left out", len(dropped), dropped))
    return _Tokens(file if ids else None, special, document_mark(tokenizer, special), tuple(said))
