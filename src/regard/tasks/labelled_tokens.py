"""Labelled texts on the disk as tokens, one after another, with what is known of each; in a run's cache/.

cache/texts.tokens, two or four bytes a token; cache/texts.safetensors, where each text begins, its class and part; and
last, so that without it nothing else counts, cache/texts.json.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from regard import files
from regard.data.class_split import HELD_OUT, TRAIN
from regard.data.labelled import overlap
from regard.data.labelled_text import LabelledTextSource
from regard.data.names import Names, names_of, taken_from
from regard.errors import RegardError
from regard.tokens.text import TextTokenizer

CACHE, TOKENS, FACTS, STAMP = "cache", "texts.tokens", "texts.safetensors", "texts.json"
FORMAT = 1
LONGEST = 8192
"""Tokens of a text that are kept: more than any context."""


@dataclass(frozen=True, kw_only=True)
class LabelledTokens:
    """The texts of a run, mapped from the disk."""

    tokens: npt.NDArray[np.integer]
    starts: npt.NDArray[np.int64]
    """(count + 1,) where each text begins; the last is where they end."""
    labels: npt.NDArray[np.int32]
    """(count,) the class's number."""
    parts: npt.NDArray[np.uint8]
    """(count,) TRAIN (0) or HELD_OUT (1)."""
    copied: npt.NDArray[np.bool_]
    """(count,) held-out texts that stand in training, too: the score is also given without them (P11)."""
    digests: npt.NDArray[np.uint64]
    """(count,) equal for equal texts."""
    names: Names
    """What each is called: its file, and its line in a table."""
    classes: tuple[str, ...]
    document: str | None
    """What the tokenizer's document mark is called."""

    def rows(self, part: str) -> npt.NDArray[np.int64]:
        """The numbers of the texts of "train", "held_out" or "all"."""
        if part == "all":
            return np.arange(len(self.labels))
        return np.flatnonzero(self.parts == {"train": TRAIN, "held_out": HELD_OUT}[part])

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """(count,) tokens of each."""
        return np.diff(self.starts)

    def copied_in(self, other: "LabelledTokens") -> npt.NDArray[np.bool_]:
        """(count of the other,) which of its texts are learnt from here."""
        mine = self.digests[self.rows("train")]
        _, groups = np.unique(np.concatenate([mine, other.digests]), return_inverse=True)
        parts = np.full(len(groups), HELD_OUT, np.uint8)
        parts[: len(mine)] = TRAIN
        return overlap(parts, groups.astype(np.int64))[len(mine) :]


def write_labelled(source: LabelledTextSource, tokenizer: TextTokenizer, folder: Path) -> LabelledTokens:
    """Tokenises the source's texts into `folder`/cache."""
    cache = files.make_folder(folder / CACHE)
    files.durable.discard(cache / STAMP)
    lengths, dtype = list[int](), "uint16" if tokenizer.vocabulary <= 1 << 16 else "uint32"

    def content(file: Any) -> None:
        for ids in _tokens(source, tokenizer):
            file.write(ids.astype(dtype).tobytes())
            lengths.append(len(ids))

    files.write(cache / TOKENS, content, overwrite=True)
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    facts: dict[str, npt.NDArray[Any]] = {
        "starts": starts, "labels": source.labels, "parts": source.parts, "copied": source.copied,
        "digests": source.digests, **names_of(source.names).facts(),
    }  # fmt: skip
    files.write(cache / FACTS, files.safetensors_bytes(facts), overwrite=True)
    mark = None if tokenizer.document is None else tokenizer.label(tokenizer.document)
    said = {"format": FORMAT, "dtype": dtype, "document": mark, "classes": source.classes}
    files.write(cache / STAMP, json.dumps(said).encode(), overwrite=True)
    made = open_labelled(folder)
    assert made is not None
    return made


def _tokens(source: LabelledTextSource, tokenizer: TextTokenizer) -> Iterator[npt.NDArray[np.integer]]:
    """The first tokens of each text."""
    for text in source.texts("all"):
        parts, count = list[npt.NDArray[np.integer]](), 0
        for part in tokenizer.encode_pieces(text):
            parts.append(part[: LONGEST - count])
            count += len(parts[-1])
            if count >= LONGEST:
                break
        yield np.concatenate(parts)


def open_labelled(folder: Path) -> LabelledTokens | None:
    """The texts of a run's folder, or None where they are not there as a whole."""
    cache = folder / CACHE
    try:
        said = json.loads((cache / STAMP).read_bytes())
        facts = {name: stored.array for name, stored in files.read_safetensors(cache / FACTS)[0].items()}
        names = taken_from(facts)
        dtype, starts = np.dtype(said["dtype"]), facts["starts"]
        size, count = (cache / TOKENS).stat().st_size, len(starts) - 1
        if said["format"] != FORMAT or size != starts[-1] * dtype.itemsize or not size:
            return None
        if any(len(facts[name]) != count for name in ("labels", "parts", "copied", "digests")):
            return None
        return LabelledTokens(
            tokens=np.memmap(cache / TOKENS, dtype, "r"), starts=starts, labels=facts["labels"], parts=facts["parts"],
            copied=facts["copied"].astype(np.bool_), digests=facts["digests"], names=names,
            classes=tuple(said["classes"]), document=said["document"],
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, IndexError, RegardError):
        return None
