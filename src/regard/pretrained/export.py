"""A folder that transformers, vLLM and others open: config, weights, tokenizer; read back before it gets its name."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regard.errors import Notice, RegardError
from regard.files import Content, create, safetensors_bytes, write_folder
from regard.model.config import TransformerConfig
from regard.model.transformer import Transformer
from regard.pretrained.families import family_of
from regard.pretrained.fields import write_config
from regard.pretrained.folder import read_folder
from regard.pretrained.rounded import check_dtype, difference, narrowed, stored, whole_state
from regard.pretrained.rows import expected
from regard.pretrained.special import token_ids
from regard.tokens.text import TextTokenizer


@dataclass(frozen=True)
class ExportResult:
    files: tuple[Path, ...]
    check: float
    """The largest difference of a logit between the model and the export read back, on a fixed random prompt."""
    notices: tuple[Notice, ...] = ()


def export_hf(
    model: Transformer, tokenizer: TextTokenizer, folder: Path, *, dtype: str = "float32", overwrite: bool = False
) -> ExportResult:
    """Writes the model as one of the families, Qwen3 where it can be.

    dtype: float32, float16 or bfloat16. Nothing but the model and its tokenizer goes into the files (M18). Raises
    RegardError, and leaves nothing behind, for a part that no family has, a number that the dtype cannot hold, a folder
    that exists (unless `overwrite`), or an export that does not read back as it was (M17).
    """
    config = model.config
    check_dtype(dtype)
    family = family_of(config)
    mark = check_tokenizer(tokenizer, config)
    state = whole_state(model)
    tensors = {}
    for place in expected(family.rows, config):
        tensors[place.theirs] = stored(narrowed(place.write(state), dtype, place.theirs), dtype)
    contents: dict[str, Content] = {
        "config.json": _json(write_config(family, config) | {"dtype": dtype, "torch_dtype": dtype} | _ids(tokenizer)),
        "generation_config.json": _json(_ids(tokenizer, padding=True)),
        "model.safetensors": safetensors_bytes(tensors, {"format": "pt"}),
        "tokenizer.json": tokenizer.to_json().encode(),
        "tokenizer_config.json": _json(_tokenizer_config(config, mark)),
    }
    checks = list[float]()

    def fill(staging: Path) -> None:
        for name, content in contents.items():
            create(staging / name, content)
        back = read_folder(staging)
        checks.append(difference(config, state, back.config, back.tensors, dtype, str(folder)))

    write_folder(folder, fill, overwrite)
    return ExportResult(tuple(folder / name for name in contents), checks[0])


def check_tokenizer(tokenizer: TextTokenizer, config: TransformerConfig) -> str | None:
    """The document mark as written. Raises RegardError if the model has no row for one of the tokenizer's ids."""
    if tokenizer.vocabulary > config.vocabulary:
        what = f"the tokenizer has {tokenizer.vocabulary:,} ids, the embedding {config.vocabulary:,} rows"
        raise RegardError("export", what, "give the tokenizer that the model was trained with")
    tokens = {number: token for token, number in token_ids(json.loads(tokenizer.to_json()), "export").items()}
    return None if tokenizer.document is None else tokens[tokenizer.document]


def _ids(tokenizer: TextTokenizer, padding: bool = False) -> dict[str, int]:
    """The document mark stands before each text, so it ends the one before: it is both, and fills up in batches.

    config.json has no pad_token_id: transformers would then never train that row of the embedding.
    """
    names = ("bos_token_id", "eos_token_id", "pad_token_id")[: 3 if padding else 2]
    return {} if tokenizer.document is None else dict.fromkeys(names, tokenizer.document)


def _tokenizer_config(config: TransformerConfig, mark: str | None) -> dict[str, Any]:
    """The class takes tokenizer.json as it is; without its name AutoTokenizer would add NFC for Qwen3."""
    marks = {} if mark is None else dict.fromkeys(("bos_token", "eos_token", "pad_token"), mark)
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": config.context,
        "clean_up_tokenization_spaces": False,
        "split_special_tokens": True,  # text that looks like a mark is text, as while training
        **marks,
    }


def _json(values: dict[str, Any]) -> bytes:
    return (json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
