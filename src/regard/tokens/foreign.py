"""Reading a tokenizer.json that someone else wrote: which kinds are taken, and what the refused ones are called."""

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from regard.errors import RegardError, places
from regard.tokens.layout import SIGN_OF_BYTE, raw_bytes

LARGEST_FILE = 100_000_000
"""Bytes of a tokenizer.json that is read; those of the largest families are about 35 MB."""

LARGEST_ID = 10_000_000

TAKEN = "give a byte-level BPE tokenizer.json (GPT-2, Llama 3, Qwen families), or train one"

MARKS = ("<|endoftext|>", "<|begin_of_text|>", "<|end_of_text|>", "<s>", "</s>")
"""Special tokens that can stand before a document, the first that is there; Llama 3 puts the second one there."""


def load(path: Path, source: str) -> Tokenizer:
    """The library's tokenizer of a tokenizer.json. Raises RegardError naming `source` if it is broken or not taken."""
    state = _read(path, source)
    _check_family(state, source)
    return _open_with_library(state, source)


def _read(path: Path, source: str) -> dict[str, Any]:
    """The parsed file. Raises RegardError if it cannot be read, is too large, or is no JSON object."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise RegardError(source, f"has {path.stat().st_size:,} bytes, over {LARGEST_FILE:,}", TAKEN)
        state = json.loads(path.read_bytes())
    except OSError as error:
        raise RegardError(source, f"cannot be read ({error.strerror})", "give a readable tokenizer.json") from error
    except (ValueError, RecursionError) as error:
        raise RegardError(source, f"is no valid JSON ({error})", "get the file again") from error
    if not isinstance(state, dict) or not isinstance(state.get("model"), dict):
        raise RegardError(source, "is not a tokenizer.json: it has no model", TAKEN)
    return state


def _check_family(state: dict[str, Any], source: str) -> None:
    """Raises RegardError naming what the tokenizer is, unless it is byte-level BPE over all 256 bytes."""
    model = state["model"]
    kind = model.get("type", "BPE" if "merges" in model else "unknown")
    if kind != "BPE":
        raise RegardError(source, f"is a {kind} tokenizer", TAKEN)
    if model.get("byte_fallback") or not (
        _uses_bytes(state.get("pre_tokenizer")) and _uses_bytes(state.get("decoder"))
    ):
        raise RegardError(source, "is BPE over characters (as SentencePiece writes it), not over bytes", TAKEN)
    vocabulary = model.get("vocab")
    if not isinstance(vocabulary, dict) or not all(isinstance(number, int) for number in vocabulary.values()):
        raise RegardError(source, "has no vocabulary of tokens and ids", "get the file again")
    if missing := [f"0x{byte:02X}" for byte, sign in enumerate(SIGN_OF_BYTE) if sign not in vocabulary]:
        raise RegardError(source, f"is BPE that lacks bytes: {places(missing)}", TAKEN)


def _uses_bytes(part: Any) -> bool:
    """Whether a pre-tokenizer or decoder of the file is ByteLevel, or a sequence with it."""
    if not isinstance(part, dict):
        return False
    parts = part.get("pretokenizers") or part.get("decoders") or []
    return part.get("type") == "ByteLevel" or (isinstance(parts, list) and any(map(_uses_bytes, parts)))


def _open_with_library(state: dict[str, Any], source: str) -> Tokenizer:
    """The library's tokenizer, without truncation, padding and dropout. Raises RegardError if the library refuses."""
    try:
        tokenizer = Tokenizer.from_str(json.dumps(state | {"truncation": None, "padding": None}))
        tokenizer.model.dropout = None
        tokenizer.encode("a", add_special_tokens=False)
    except BaseException as error:  # a panic in the library's Rust is a PanicException, which is no Exception
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise RegardError(source, f"is a broken tokenizer file ({error})", "get the file again") from error
    return tokenizer


def bytes_of_ids(tokenizer: Tokenizer, source: str) -> list[bytes]:
    """(ids,) the bytes of each id; none for special ones and gaps. Raises RegardError for a token that is no bytes."""
    added = tokenizer.get_added_tokens_decoder()
    tokens = tokenizer.get_vocab(with_added_tokens=True)
    largest = max(tokens.values())
    if largest > LARGEST_ID:
        raise RegardError(source, f"has an id of {largest:,}, over {LARGEST_ID:,}", "get the file again")
    result = [b""] * (largest + 1)
    for token, number in tokens.items():
        if number not in added:
            try:
                result[number] = raw_bytes(token)
            except KeyError as error:
                raise RegardError(source, f"has a token that is not written in bytes: {token!r}", TAKEN) from error
        elif not added[number].special:
            result[number] = added[number].content.encode()
    return result


def find_mark(marks: dict[int, str], wanted: str | None, source: str) -> int | None:
    """The id of the special token that stands before documents; None if there is none. `wanted` must be there."""
    ids = {name: number for number, name in marks.items()}
    if wanted is not None and wanted not in ids:
        raise RegardError(source, f"has no special token {wanted!r}", f"choose one of {places(ids)}")
    candidates = MARKS if wanted is None else (wanted,)
    return next((ids[name] for name in candidates if name in ids), None)
