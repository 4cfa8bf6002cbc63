"""The layout of regard's own tokenizer files: a document mark, 256 bytes, then merges, each its rank's place.

Source: byte-level BPE with GPT-2's visible sign for each byte (Radford et al. 2019), Qwen2's pattern for splitting.
"""

import json
from collections.abc import Iterable
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from regard.tokens.cuts import stretches

QWEN2_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How Qwen2 cuts text before merging: words with one sign or space before them, single digits, runs of other signs."""

DOCUMENT_MARK = "<|endoftext|>"
"""Stands before each document; id 0."""

LONGEST_IN_TRAINING = 16
"""Characters of a pre-token while BPE is trained; without it, scripts without spaces make whole sentences tokens."""

SAMPLE = 16_000_000
"""Characters that BPE is trained on at most, evenly spread: about three seconds."""

DISTINCT = 2_000_000
"""Bytes of different words among them at most; the trainer takes about 130 bytes of memory for each byte of them."""

Merge = tuple[str, str]


def _signs() -> list[str]:
    """(256,) the visible character that stands for each byte: itself where it can be seen, else U+0100 and up."""
    visible = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in visible else next(others)) for byte in range(256)]


SIGN_OF_BYTE = _signs()
BYTE_OF_SIGN = {sign: byte for byte, sign in enumerate(SIGN_OF_BYTE)}


def signs(raw: bytes) -> str:
    """The bytes as a tokenizer file writes them."""
    return "".join(SIGN_OF_BYTE[byte] for byte in raw)


def raw_bytes(token: str) -> bytes:
    """The bytes of a token as a tokenizer file writes it. Raises KeyError for a character that is no byte's sign."""
    return bytes([BYTE_OF_SIGN[sign] for sign in token])


def character_merges(characters: Iterable[str]) -> list[Merge]:
    """Merges that only ever complete one character: (prefix, next byte) for each multi-byte one, sorted, once each."""
    merges = dict[Merge, None]()
    for character in sorted(set(characters)):
        written = signs(character.encode())
        for n in range(1, len(written)):
            merges[written[:n], written[n]] = None
    return list(merges)


def completes_characters(merges: Iterable[Merge]) -> bool:
    """Whether no merge goes past one character: each adds one byte to the beginning of a character."""
    return all(len(right) == 1 and _begins_a_character(raw_bytes(left + right)) for left, right in merges)


def _begins_a_character(raw: bytes) -> bool:
    lead, rest = raw[0], raw[1:]
    length = 2 if 0xC2 <= lead <= 0xDF else 3 if 0xE0 <= lead <= 0xEF else 4 if 0xF0 <= lead <= 0xF4 else 1
    return len(raw) <= length and all(0x80 <= byte <= 0xBF for byte in rest)


def trained_merges(texts: Iterable[str], vocabulary: int) -> tuple[list[Merge], bool]:
    """The merges of byte-level BPE with at most `vocabulary` ids; and whether only a sample of the texts was used.

    The same texts give the same merges. A pair must occur twice to be merged, so there may be fewer ids.
    """
    sample, thinned = _sample(texts)
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=2,
        special_tokens=[DOCUMENT_MARK],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = _splitting(f"[\\s\\S]{{1,{LONGEST_IN_TRAINING}}}")
    tokenizer.train_from_iterator(sample, trainer)
    # The trainer orders its alphabet by sign, not by byte; only the merges and their order are taken from it.
    return [(left, right) for left, right in _state(tokenizer)["model"]["merges"]], thinned


def _sample(texts: Iterable[str]) -> tuple[list[str], bool]:
    """All texts, or every 2nd, 4th, 8th ... of them, so that they (or the only one left) keep SAMPLE and DISTINCT."""
    kept, stride, size = list[str](), 1, _Size()
    for number, text in enumerate(texts):
        if number % stride == 0:
            kept.append(text)
            size.add(text)
        while size.too_large and len(kept) > 1:
            kept, stride, size = kept[::2], 2 * stride, _Size()
            for text_kept in kept:
                size.add(text_kept)
    return kept, stride > 1


class _Size:
    """How much work a sample makes: its characters, and its different words."""

    def __init__(self) -> None:
        self._words: set[str] = set()
        self._characters = self._distinct = 0

    def add(self, text: str) -> None:
        new = set(stretches(text)) - self._words
        self._words |= new
        self._characters += len(text)
        self._distinct += sum(len(word.encode()) for word in new)

    @property
    def too_large(self) -> bool:
        return self._characters > SAMPLE or self._distinct > DISTINCT


def build(merges: Iterable[Merge]) -> Tokenizer:
    """The tokenizer with these merges: id 0 the document mark, 1 to 256 the bytes, then a new token a merge."""
    merges = list(merges)
    tokenizer = Tokenizer(models.BPE(vocab=_vocabulary(merges), merges=merges))
    tokenizer.pre_tokenizer = _splitting()
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([DOCUMENT_MARK])
    return tokenizer


def own_merges(tokenizer: Tokenizer) -> list[Merge] | None:
    """The merges if the tokenizer is one that `build` makes, to the last field; else None."""
    found, ours = _state(tokenizer), _state(build([]))
    merges = [(left, right) for left, right in found["model"].pop("merges")]
    vocabulary = found["model"].pop("vocab")
    del ours["model"]["merges"], ours["model"]["vocab"]
    return merges if found == ours and vocabulary == _vocabulary(merges) else None


def _vocabulary(merges: Iterable[Merge]) -> dict[str, int]:
    vocabulary = {DOCUMENT_MARK: 0} | {sign: 1 + byte for byte, sign in enumerate(SIGN_OF_BYTE)}
    for left, right in merges:
        vocabulary.setdefault(left + right, len(vocabulary))  # two merges may make the same token
    return vocabulary


def _state(tokenizer: Tokenizer) -> dict[str, Any]:
    state: dict[str, Any] = json.loads(tokenizer.to_str())
    return state


def _splitting(*further: str) -> pre_tokenizers.PreTokenizer:
    splits = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in (QWEN2_PATTERN, *further)]
    return pre_tokenizers.Sequence([*splits, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
