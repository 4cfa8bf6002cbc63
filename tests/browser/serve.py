"""A page that is served from a model made here: `python serve.py random|induction|hostile`; prints its address."""

import sys
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.looking.small import build, induction, text

from regard.looking.kept import Tokens
from regard.looking.record import Recording, record
from regard.model.sequence import Sequence
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
    model, names = (induction(), Letters()) if kind == "induction" else (build(), Letters())
    tokenizer: Any = Hostile() if kind == "hostile" else names
    if letters is None:
        ids = torch.tensor([[0, 1, 2, 3, 0, 1, 4, 2]]) if kind == "induction" else text(12)
    else:
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
