"""From a text source to tokens on the disk: which tokenizer, and the run's tokenizer.json and cache/."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from regard import files
from regard.data.text import TextSource
from regard.errors import RegardError
from regard.tokens.text import TextTokenizer
from regard.training.plan import Plan

TOKENIZER, CACHE = "tokenizer.json", "cache"
PARTS = ("train", "held_out")
LEARNT_FROM = 20_000_000
"""Characters of the training part that BPE is trained on, at most; more changes few merges and takes minutes."""


class Corpus(Protocol):
    """What a tokenizer is chosen for and trained on."""

    @property
    def train_characters(self) -> int: ...

    @property
    def distinct(self) -> Mapping[str, int]:
        """How often each character comes."""

    def texts(self, part: str) -> Iterator[Iterator[str]]:
        """The pieces of each of its texts."""


def choose_tokens(plan: Plan, source: Corpus, seen: float = math.inf) -> None:
    """Characters or BPE, and how many pieces, by the text's size and script, and how many characters will be seen."""
    characters = source.train_characters
    multi_byte = {c: n for c, n in source.distinct.items() if ord(c) > 127}
    if "vocabulary" in plan.given:
        chosen, why = "bpe", "a vocabulary is given"
    elif characters < 20_000:
        chosen, why = "characters", f"{characters:,} characters are too few to learn longer pieces from"
    else:
        chosen, why = "bpe", f"{characters:,} characters: longer pieces let a window and a second see more text"
    if plan.choose("tokens", chosen, why) == "characters":
        if "vocabulary" in plan.given:
            raise RegardError("--vocabulary", "of characters it is what the text has", "leave it out, or --tokens")
        return
    taught = max(min(characters, seen), 1)
    pieces = int(2 ** round(np.clip(np.log2(taught) / 2 - 1, 6, 14)))  # 512 at 1 M, 4,096 at 64 M characters
    whole = _characters_worth_a_token(multi_byte, sum(source.distinct.values()))
    time = "" if seen >= characters else f", of which about {seen:,.0f} can be seen"
    why = f"the 256 bytes and about {pieces:,} pieces for {characters:,} characters{time}"
    if whole:
        why += f", and {whole:,} frequent characters of several bytes as one token each"
    plan.choose("vocabulary", 257 + pieces + 2 * whole, why)


def _characters_worth_a_token(counts: dict[str, int], characters: int) -> int:
    """How many characters of several bytes stand for all but 2 % of the text's characters of that kind."""
    ordered = np.sort(np.array(list(counts.values()), dtype=np.int64))[::-1]
    if len(ordered) == 0 or ordered.sum() < 0.01 * characters:
        return 0
    return int(np.searchsorted(np.cumsum(ordered), 0.98 * ordered.sum())) + 1


def make_tokenizer(plan: Plan, source: Corpus) -> TextTokenizer:
    """Trained on the training part only."""
    pieces = chain.from_iterable(source.texts("train"))
    if plan["tokens"] == "characters":
        tokenizer = TextTokenizer.characters(pieces)
    else:
        tokenizer = TextTokenizer.bpe(_first(pieces, LEARNT_FROM), plan["vocabulary"])
    return tokenizer


def _first(pieces: Iterable[str], characters: int) -> Iterator[str]:
    for piece in pieces:
        yield piece
        characters -= len(piece)
        if characters <= 0:
            return


def write_tokens(source: TextSource, tokenizer: TextTokenizer, folder: Path) -> dict[str, Any]:
    """cache/train.tokens and cache/held_out.tokens, two or four bytes a token; a document mark precedes each document.

    The tail of a text that was split begins without a mark. Returns what tokens.json says: dtype, mark, counts.
    """
    cache = folder / CACHE
    files.make_folder(cache)
    dtype = "uint16" if tokenizer.vocabulary <= 65_536 else "uint32"
    counts = {part: _write_part(source, tokenizer, part, cache / f"{part}.tokens", dtype) for part in PARTS}
    mark = None if tokenizer.document is None else tokenizer.label(tokenizer.document)
    facts = {"dtype": dtype, "document": mark, **counts}
    files.write(cache / "tokens.json", json.dumps(facts).encode(), overwrite=True)
    return facts


def _write_part(source: TextSource, tokenizer: TextTokenizer, part: str, path: Path, dtype: str) -> int:
    count = 0

    def content(file: Any) -> None:
        nonlocal count
        for array in token_arrays(source, tokenizer, part):
            file.write(array.astype(dtype).tobytes())
            count += len(array)

    files.write(path, content, overwrite=True)
    return count


def token_arrays(source: TextSource, tokenizer: TextTokenizer, part: str) -> Iterator[np.ndarray]:
    """The part's tokens in pieces of bounded size."""
    split_tail = part == "held_out" and source.documents == 1
    for document in source.texts(part):
        if tokenizer.document is not None and not split_tail:
            yield np.array([tokenizer.document])
        yield from tokenizer.encode_pieces(document)


def open_tokens(folder: Path) -> tuple[dict[str, np.ndarray], str | None] | None:
    """({part: tokens}, mapped from the disk; the document mark), or None where the cache is incomplete."""
    cache = folder / CACHE
    try:
        facts = json.loads((cache / "tokens.json").read_bytes())
        dtype = np.dtype(facts["dtype"])
        sizes = {part: (cache / f"{part}.tokens").stat().st_size for part in PARTS}
        if any(sizes[part] != facts[part] * dtype.itemsize for part in PARTS):
            return None
        return {part: _mapped(cache / f"{part}.tokens", dtype, facts[part]) for part in PARTS}, facts["document"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _mapped(path: Path, dtype: np.dtype[Any], count: int) -> np.ndarray:
    return np.memmap(path, dtype=dtype, mode="r") if count else np.zeros(0, dtype)
