"""One file that llama.cpp opens: a Qwen3 model with its byte-level BPE, written by llama.cpp's own package."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from regard.errors import Notice, RegardError
from regard.files import durable
from regard.model.config import TransformerConfig
from regard.model.transformer import Transformer
from regard.pretrained.export import ExportResult, check_tokenizer
from regard.pretrained.fields import flat, misfits
from regard.pretrained.qwen3 import QWEN3
from regard.pretrained.rounded import check_dtype, difference, narrowed, stored, whole_state
from regard.pretrained.rows import Row, expected
from regard.pretrained.special import token_ids
from regard.tokens.text import QWEN2_PATTERN, TextTokenizer

if TYPE_CHECKING:
    from gguf import GGUFWriter

FIELDS = {
    "qwen3.vocab_size": "vocabulary",
    "qwen3.context_length": "context",
    "qwen3.embedding_length": "width",
    "qwen3.block_count": "layers",
    "qwen3.feed_forward_length": "feed_forward.width",
    "qwen3.attention.head_count": "attention.heads",
    "qwen3.attention.head_count_kv": "attention.key_value_heads",
    "qwen3.attention.key_length": "attention.head_width",
    "qwen3.attention.value_length": "attention.head_width",
    "qwen3.attention.layer_norm_rms_epsilon": "norm.epsilon",
    "qwen3.rope.freq_base": "position.theta",
}
"""Whole numbers are written as uint32, others as float32, which is what llama.cpp computes with."""

ROWS = (
    Row("token_embd.weight", "embedding.table.weight"),
    Row("blk.{}.attn_norm.weight", "blocks.{}.attention_norm.weight"),
    Row("blk.{}.attn_q.weight", "blocks.{}.attention.query.weight"),
    Row("blk.{}.attn_k.weight", "blocks.{}.attention.key.weight"),
    Row("blk.{}.attn_v.weight", "blocks.{}.attention.value.weight"),
    Row("blk.{}.attn_output.weight", "blocks.{}.attention.output.weight"),
    Row("blk.{}.attn_q_norm.weight", "blocks.{}.attention.query_norm.weight"),
    Row("blk.{}.attn_k_norm.weight", "blocks.{}.attention.key_norm.weight"),
    Row("blk.{}.ffn_norm.weight", "blocks.{}.feed_forward_norm.weight"),
    Row("blk.{}.ffn_gate.weight", "blocks.{}.feed_forward.gate.weight"),
    Row("blk.{}.ffn_up.weight", "blocks.{}.feed_forward.up.weight"),
    Row("blk.{}.ffn_down.weight", "blocks.{}.feed_forward.down.weight"),
    Row("output_norm.weight", "output.norm.weight"),
    Row("output.weight", "output.projection.weight"),  # where it is missing, llama.cpp takes token_embd: a tied head
)

CUTTING: tuple[dict[str, Any], ...] = (
    {"type": "Split", "pattern": {"Regex": QWEN2_PATTERN}, "behavior": "Isolated", "invert": False},
    {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False},
)
"""What "qwen2" means to llama.cpp, in tokenizer.json's words."""

FILE_TYPES = {"float32": 0, "float16": 1, "bfloat16": 32}
"""llama.cpp's LLAMA_FTYPE_..."""
NORMAL, CONTROL, USER_DEFINED, UNUSED = 1, 3, 4, 5
"""llama.cpp's kinds of tokens. Bytes are normal ones: its kind for bytes is SentencePiece's."""


def export_gguf(
    model: Transformer, tokenizer: TextTokenizer, path: Path, *, overwrite: bool = False, dtype: str = "float32"
) -> ExportResult:
    """Writes the model as GGUF, matrices in dtype, norms in float32 as llama.cpp wants them.

    Raises RegardError, and leaves nothing behind, if the gguf package is missing (C7), for a part that llama.cpp's
    Qwen3 does not have, a tokenizer that cuts text otherwise, and as `export_hf` does. In float32 llama.cpp gives the
    same logits to about 1e-5 with its flash attention off and a float32 cache; with it on, to about 5e-3.
    """
    gguf, path = _package(), Path(os.path.abspath(path))
    check_dtype(dtype)
    _check_parts(model.config)
    mark = check_tokenizer(tokenizer, model.config)
    if tokenizer.document is None or mark is None:
        raise RegardError("export", "the tokenizer has no document mark, and llama.cpp stops at one",
                          "load it with the name of its mark")  # fmt: skip
    _refuse_taken(path, overwrite)
    state = whole_state(model)
    beside = durable.unused(path.parent, "tmp")
    try:
        with durable.refusing(path):
            writer = gguf.GGUFWriter(beside, "qwen3")
            notices = _describe(writer, model.config, tokenizer, tokenizer.document, dtype)
            _add_tensors(writer, model.config, state, dtype)
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
            writer.close()
            check = difference(model.config, state, *_read_back(beside, model.config), dtype, str(path))
            _bring_to_disk(beside)
            _refuse_taken(path, overwrite)  # someone may have made it meanwhile
            durable.rename(beside, path)
            durable.sync_folder(path.parent)
    except BaseException:
        durable.discard(beside)
        raise
    return ExportResult((path,), check, notices)


def _package() -> Any:
    try:
        import gguf
    except ImportError:
        raise RegardError(
            "--format gguf", "the gguf package is not installed", 'install it: pip install "regard[gguf]"'
        ) from None
    return gguf


def _refuse_taken(path: Path, overwrite: bool) -> None:
    if path.exists() and not path.is_file():
        raise RegardError(str(path), "this is not a regular file", "choose another name")
    if os.path.lexists(path) and not overwrite:
        raise RegardError(str(path), "this file exists", "give --overwrite or choose another name")


def _bring_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        durable.sync(descriptor, path)
    finally:
        os.close(descriptor)


def _check_parts(config: TransformerConfig) -> None:
    """llama.cpp's qwen3 is Qwen3 with silu and without biases."""
    found = misfits(QWEN3, config)
    found += [f"{path} True" for path in ("attention.bias", "attention.output_bias") if flat(config)[path]]
    if config.feed_forward.activation != "silu":
        found.append(f"feed_forward.activation {config.feed_forward.activation}")
    if found:
        raise RegardError("--format gguf", f"llama.cpp's Qwen3 has no {', '.join(found[:3])}",
                          "export a folder for transformers instead")  # fmt: skip


def _describe(
    writer: "GGUFWriter", config: TransformerConfig, tokenizer: TextTokenizer, document: int, dtype: str
) -> tuple[Notice, ...]:
    """Sizes and tokenizer; returns what llama.cpp does otherwise."""
    values = flat(config)
    for name, ours in FIELDS.items():
        add = writer.add_uint32 if isinstance(values[ours], int) else writer.add_float32
        add(name, values[ours])
    writer.add_file_type(FILE_TYPES[dtype])
    said = json.loads(tokenizer.to_json())
    _check_cutting(said)
    tokens, kinds = _tokens(said, config.vocabulary)
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in said["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    # llama.cpp insists on merges. This one never applies: text is cut into bytes first, and no byte is a mark.
    writer.add_token_merges(merges or [f"{tokens[document]} {tokens[document]}"])
    writer.add_eos_token_id(document)
    writer.add_bos_token_id(document)
    writer.add_pad_token_id(document)
    writer.add_add_bos_token(False)
    normaliser = said.get("normalizer")
    return (Notice("step left out, which llama.cpp does not do: normalising text (NFC)", 1),) if normaliser else ()


def _check_cutting(said: dict[str, Any]) -> None:
    """Raises RegardError unless text is cut by Qwen2's pattern, the one that we name to llama.cpp, and then merged."""
    before = said.get("pre_tokenizer") or {}
    steps = before.get("pretokenizers", [before])
    same = len(steps) == len(CUTTING) and all(CUTTING[i].items() <= step.items() for i, step in enumerate(steps))
    normaliser = (said.get("normalizer") or {"type": "NFC"}).get("type")
    if not same or normaliser != "NFC" or said["model"].get("ignore_merges"):
        what = "the tokenizer does not cut text as Qwen2's does, so llama.cpp would find other ids"
        raise RegardError("--format gguf", what, "export a folder for transformers instead")


def _tokens(said: dict[str, Any], rows: int) -> tuple[list[str], list[int]]:
    """(rows,) tokens and their kinds; a row that no token uses gets a name that no text has."""
    added = {one["id"]: CONTROL if one.get("special") else USER_DEFINED for one in said.get("added_tokens", [])}
    names = {number: token for token, number in token_ids(said, "tokenizer").items()}
    tokens = [names.get(number, f"[PAD {number}]") for number in range(rows)]  # the space is in no byte's sign
    kinds = [added.get(number, NORMAL if number in names else UNUSED) for number in range(rows)]
    return tokens, kinds


def _add_tensors(writer: "GGUFWriter", config: TransformerConfig, state: Mapping[str, Tensor], dtype: str) -> None:
    from gguf import GGMLQuantizationType

    for place in expected(ROWS, config):
        kind = dtype if len(place.shape) > 1 else "float32"
        array, _ = stored(narrowed(place.write(state), kind, place.theirs), kind)
        if kind == "bfloat16":  # numpy has none: handed over as bytes
            writer.add_tensor(place.theirs, array.view(np.uint8), raw_dtype=GGMLQuantizationType.BF16)
        else:
            writer.add_tensor(place.theirs, array)


def _read_back(path: Path, config: TransformerConfig) -> tuple[TransformerConfig, dict[str, Tensor]]:
    """(the config if every field came back as float32 keeps it, our tensors in float32)."""
    from gguf import GGUFReader

    reader, values = GGUFReader(path), flat(config)
    for name, ours in FIELDS.items():
        if reader.fields[name].contents() != (
            values[ours] if isinstance(values[ours], int) else float(np.float32(values[ours]))
        ):
            raise RegardError(str(path), f"{name} did not come back as it was", "report this as a fault of regard", 1)
    there = {tensor.name: tensor for tensor in reader.tensors}
    tensors: dict[str, Tensor] = {}
    for place in expected(ROWS, config):
        data = np.array(there[place.theirs].data)  # out of the file's map
        tensor = torch.from_numpy(data)
        tensors |= place.read((tensor.view(torch.bfloat16) if data.dtype == np.uint8 else tensor).float())
    return config, tensors
