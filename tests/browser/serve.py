"""A page that is served from a model made here: `python serve.py KIND`, one of MODELS; prints its address."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.looking.small import QWEN3, build, induction, planted, text

from regard.looking.kept import Tokens
from regard.looking.record import Recording, record
from regard.model.sequence import Sequence
from regard.model.transformer import Transformer
from regard.page.server import serve
from regard.page.studio import Studio

HOSTILE = (
    "</script>",
    "<img src=x onerror=alert(1)>",
    "\U0001f600",
    "אבג",
    "\\xe4",
    "\u200b",
    "\u202e",
    "a",
    " ",
    "\n",
)


LONG = replace(QWEN3, vocabulary=60, context=300, layers=12)
MODELS: dict[str, tuple[Callable[[], Transformer], torch.Tensor]] = {
    "random": (build, text(12)),
    "induction": (induction, torch.tensor([[0, 1, 2, 3, 0, 1, 4, 2]])),
    "planted": (lambda: planted(gain=8.0), torch.tensor([[0, 1, 2, 3, 0, 1, 4, 2]])),
    "long": (lambda: build(LONG), text(300)),
    "hostile": (build, text(12)),
}


class Letters:
    """Letters of the alphabet, one token each."""

    def token_bytes(self, token: int) -> bytes:
        return bytes([97 + token])

    def label(self, token: int) -> str:
        return chr(97 + token)


class Hostile(Letters):
    def label(self, token: int) -> str:
        return HOSTILE[token % len(HOSTILE)]


def recording_of(kind: str, letters: str | None = None) -> Recording:
    build_it, ids = MODELS[kind]
    model = build_it()
    tokenizer: Any = Hostile() if kind == "hostile" else Letters()
    if letters is not None:
        limit = model.config.vocabulary
        ids = torch.tensor([[(ord(letter) - 97) % limit for letter in letters if letter.isalpha()] or [0]])
    made = record(model, Sequence.text(ids), Tokens.of_text(ids[0].tolist(), tokenizer), name=kind)
    made.label = tokenizer.label
    return made


def main(kind: str) -> None:
    look = None if kind == "hostile" else lambda letters: recording_of(kind, letters)
    serve(Studio(look, recording_of(kind), kind), open_browser=False, say=lambda text: print(text, flush=True))


if __name__ == "__main__":
    main(sys.argv[1])
