"""A text on the disk, and a language task over made-up tokens."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from regard.data.open import open_source
from regard.data.text import TextSource
from regard.model.transformer import Transformer
from regard.tasks.language import Language
from regard.tokens.text import TextTokenizer
from regard.training.ranks import Ranks

SETTINGS: dict[str, Any] = {
    "width": 16, "layers": 1, "heads": 2, "key_value_heads": 1, "head_width": 8, "feed_forward": 24, "context": 8,
    "tied": "no", "dropout": 0.0, "attention": "unfused", "seed": 0, "monitor": 0.0,
}  # fmt: skip


def source_of(folder: Path, *texts: str) -> TextSource:
    """One text is a file, several are a folder of them."""
    place = folder / "texts"
    place.mkdir()
    for number, text in enumerate(texts):
        (place / f"{number:03}.txt").write_text(text)
    return open_source([str(place / "000.txt" if len(texts) == 1 else place)])


def language(
    train: np.ndarray | None = None, held_out: np.ndarray | None = None, document: bool = True, **settings: Any
) -> tuple[Language, Transformer]:
    """The task and a random model. Ids are those of the bytes; document: whether id 0 is a document's mark."""
    tokenizer = TextTokenizer.characters(["abc"])
    if not document:
        tokenizer.document = None
    chosen: Mapping[str, Any] = SETTINGS | settings
    task = Language(tokenizer, int(chosen["context"]), Ranks(), settings=chosen, train=train, held_out=held_out)
    model = task.build(chosen)
    task.first_weights(model)
    return task, model
