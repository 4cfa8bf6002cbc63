"""Text to ids and back by one tokenizer, byte-level BPE; characters are its special case (decision 13, contract 10)."""

import codecs
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from regard.errors import Notice, RegardError, printable
from regard.tokens import foreign
from regard.tokens.characters import CODE_POINTS, CharacterTable, code_points
from regard.tokens.cuts import pieces, stretches
from regard.tokens.layout import (
    DOCUMENT_MARK,
    QWEN2_PATTERN,
    build,
    character_merges,
    completes_characters,
    own_merges,
    trained_merges,
)
from regard.tokens.words import examples, words

__all__ = ["DOCUMENT_MARK", "QWEN2_PATTERN", "Stream", "TextTokenizer", "examples", "pieces", "words"]

Ids = npt.NDArray[np.integer]

_REMEMBERED = 1 << 17
"""Stretches of text whose ids are kept at once; most words of a text are among them."""

_LONGEST_REMEMBERED = 64
"""Characters; a longer stretch hardly comes twice."""

_HEXADECIMAL = "regard.hexadecimal"
"""The name of our way to show bytes that are no UTF-8."""


class TextTokenizer:
    """Any text to ids and back without loss. Made by `characters`, `bpe` or `load`."""

    kind: Literal["characters", "bpe", "foreign"]
    vocabulary: int
    """Number of ids: the largest and one."""
    document: int | None
    """The id that stands before each document; None if a foreign file has none."""
    dtype: type[np.uint16] | type[np.int32]
    """What an array of ids needs: 16 bits, or 32 where the vocabulary is larger than those hold."""
    notices: tuple[Notice, ...] = ()
    """What training changed of what was asked: fewer ids, a sample instead of all text."""

    def __init__(self, tokenizer: Tokenizer, source: str = "tokenizer", document: str | None = None) -> None:
        """Of the library's tokenizer; `source` is what a refusal calls it, `document` names the document mark."""
        tokenizer.encode_special_tokens = True  # not kept in the file: text never becomes a special id (T8)
        self._tokenizer = tokenizer
        added = tokenizer.get_added_tokens_decoder()
        self._marks = {token: added[token].content for token in sorted(added) if added[token].special}
        self._bytes = foreign.bytes_of_ids(tokenizer, source)
        self.vocabulary = len(self._bytes)
        self.document = foreign.find_mark(self._marks, document, source)
        self.dtype = np.uint16 if self.vocabulary <= 1 << 16 else np.int32
        merges = own_merges(tokenizer)
        self.kind = "foreign" if merges is None else "characters" if completes_characters(merges) else "bpe"
        self._remembered: dict[str, bytes] = {}
        self._table: CharacterTable | None = None
        if self.kind == "characters":
            self._table = CharacterTable({raw: token for token, raw in enumerate(self._bytes) if raw})

    @classmethod
    def characters(cls, texts: Iterable[str]) -> "TextTokenizer":
        """One id for each character of the texts; others are written as bytes, so that nothing is unknown."""
        seen = np.zeros(CODE_POINTS, dtype=bool)
        for text in texts:
            seen[code_points(text)] = True
        return cls(build(character_merges(map(chr, np.flatnonzero(seen)))))

    @classmethod
    def bpe(cls, texts: Iterable[str], vocabulary: int) -> "TextTokenizer":
        """At most `vocabulary` ids, the commonest pairs of the texts merged; how the texts are cut does not matter.

        Raises RegardError if `vocabulary` leaves no room for the document mark and the 256 bytes.
        """
        if vocabulary < 257:
            what, do = f"{vocabulary} is too small", "give 257 or more: a document mark, 256 bytes, then merges"
            raise RegardError("vocabulary", what, do)
        merges, thinned = trained_merges(pieces(map(_checked, texts)), vocabulary)
        made = cls(build(merges))
        if made.vocabulary < vocabulary:
            what = f"id(s) fewer than the {vocabulary:,} asked for, as no further pair comes twice"
            made.notices += (Notice(what, vocabulary - made.vocabulary),)
        if thinned:
            made.notices += (Notice("tokenizer trained on an evenly spread sample of the text, not on all of it", 1),)
        return made

    @classmethod
    def load(cls, path: Path, source: str | None = None, document: str | None = None) -> "TextTokenizer":
        """From a tokenizer.json, ours or another's. `source` names it in refusals, `document` its document mark.

        Raises RegardError if the file is broken, or is not byte-level BPE: then with what it is.
        """
        source = source or str(path)
        return cls(foreign.load(path, source), source, document)

    def to_json(self) -> str:
        """The tokenizer.json, as the tokenizers library writes it."""
        return self._tokenizer.to_str(pretty=True)

    def encode(self, text: str) -> list[int]:
        """The ids of a text, never a special one. Raises RegardError for half a surrogate pair, which is no text."""
        return [token for part in self.encode_pieces([text]) for token in part.tolist()]

    def encode_pieces(self, texts: Iterable[str]) -> Iterator[Ids]:
        """The ids of the joined texts, part by part, in arrays of `dtype`; together the same however they are cut.

        Memory is bounded, time linear; a text that has no safe cut for a million characters is cut there all the same.
        """
        # A foreign pattern may look across a line feed (GPT-2's does), none of the families' across a word's space.
        return map(self._encode, pieces(texts, line_feeds=self.kind != "foreign"))

    def _encode(self, piece: str) -> Ids:
        if self._table is not None:
            return self._table.encode(piece).astype(self.dtype, copy=False)
        if self.kind == "bpe":
            return self._encode_by_memory(_checked(piece))
        return np.array(self._library_ids([_checked(piece)])[0], dtype=self.dtype)

    def _library_ids(self, texts: list[str]) -> list[list[int]]:
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)]

    def _encode_by_memory(self, piece: str) -> Ids:
        """Each different stretch goes through BPE once; most are words that came before."""
        row = stretches(piece)
        new = list(set(row).difference(self._remembered))
        for stretch, ids in zip(new, self._library_ids(new), strict=True):
            self._remembered[stretch] = np.array(ids, dtype=self.dtype).tobytes()
        joined = b"".join(map(self._remembered.__getitem__, row))
        for stretch in new:
            if len(stretch) > _LONGEST_REMEMBERED:
                del self._remembered[stretch]
        if len(self._remembered) > _REMEMBERED:
            self._remembered.clear()
        return np.frombuffer(joined, dtype=self.dtype)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of the ids; special ids are nothing, and only here bytes that are no UTF-8 become U+FFFD."""
        return self.decode_bytes(ids).decode("utf-8", "replace")

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes of the ids, one after the other."""
        return b"".join(map(self.token_bytes, ids))

    def token_bytes(self, token: int) -> bytes:
        """The bytes of one id; none for a special one, and none past the vocabulary (a padded embedding has such)."""
        return self._bytes[token] if 0 <= token < self.vocabulary else b""

    def byte_lengths(self) -> npt.NDArray[np.int32]:
        """(vocabulary,) the number of bytes of each id, 0 for special ones."""
        return np.array([len(raw) for raw in self._bytes], dtype=np.int32)

    def is_special(self, token: int) -> bool:
        """Whether the id is a mark, which no text is encoded to."""
        return token in self._marks

    def label(self, token: int) -> str:
        """One token, visible: a space as ␣, a line feed as ⏎, part of a character as <0xE2>, a mark as written."""
        if self.is_special(token):
            return printable(self._marks[token])
        text = self.token_bytes(token).decode("utf-8", _HEXADECIMAL)
        return printable(text.replace(" ", "␣").replace("\n", "⏎")) or f"<{token}>"


class Stream:
    """Ids to text as they come: a character is given out only when it is complete."""

    def __init__(self, tokenizer: TextTokenizer) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token: int) -> str:
        """The characters that this id completes; often none, where a character is several ids."""
        return self._decoder.decode(self._tokenizer.token_bytes(token))

    def finish(self) -> str:
        """What is left when no more ids come: nothing, or U+FFFD for a character that stayed half."""
        return self._decoder.decode(b"", final=True)


def _as_hexadecimal(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return "".join(f"<0x{byte:02X}>" for byte in error.object[error.start : error.end]), error.end


codecs.register_error(_HEXADECIMAL, _as_hexadecimal)


def _checked(text: str) -> str:
    """The text itself. Raises RegardError if it holds half a surrogate pair."""
    code_points(text)
    return text
