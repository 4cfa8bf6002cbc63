"""Text that a run goes on with and that is looked at, too: the tokens are predict's, the pass agrees, room is kept."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import regard
from regard.decoding.sample import Sampling
from regard.errors import RegardError
from regard.look import Look, look
from regard.looking.generated import TOLERANCE
from regard.model.sequence import Sequence
from regard.model.transformer import Transformer

from .looking.small import Letters, build, planted

HOWS: list[dict[str, Any]] = [
    {"temperature": 0},
    {"temperature": 0.4, "seed": 7},
    {"top_k": 2, "temperature": 1.5, "seed": 2},
]


@pytest.fixture
def loaded(run: Path) -> regard.Run:
    return regard.load(run)


@pytest.mark.parametrize("how", HOWS, ids=str)
def test_what_is_looked_at_is_what_predict_says(loaded: regard.Run, how: dict[str, Any]) -> None:
    seen = loaded.look("So wise", tokens=20, **how)
    assert b"".join(seen.tokens.raw).decode() == "So wise" + loaded.predict("So wise", tokens=20, **how)
    said = seen.generated
    assert said is not None
    assert (said.start, said.same, said.agrees) == (7, True, True)
    assert said.sampling == {"tokens": 20, "temperature": 0.8, "seed": 0, **how}
    assert 0 <= said.difference < TOLERANCE / 10
    given = loaded.look(b"".join(seen.tokens.raw).decode())
    assert given.generated is None
    np.testing.assert_array_equal(seen.weights(0, 0), given.weights(0, 0))  # the same pass, whoever chose the tokens
    assert seen.prove().passed


def test_where_the_context_has_no_room_it_is_refused(loaded: regard.Run) -> None:
    with pytest.raises(RegardError) as refused:
        loaded.look("So wise", tokens=26)
    assert str(refused.value) == "--tokens: 7 tokens of text and 26 more are over the context of 32; give at most 25"
    assert loaded.look("So wise", tokens=25).n == 32
    with pytest.raises(RegardError, match="over the context of 32; give a shorter text"):
        loaded.look("So wise so young " * 9, tokens=1)


@pytest.mark.parametrize(("wrong", "part"), [
    ({"tokens": 3, "samples": 2}, "--samples: a recording is of one text"), ({"tokens": 3, "stop": ("x",)}, "--stop"),
    ({"tokens": -1}, "--tokens"), ({"tokens": 3, "temprature": 1}, "did you mean temperature?"),
    ({"temperature": 0.5}, "--tokens"),
])  # fmt: skip
def test_what_does_not_fit_is_refused_by_name(loaded: regard.Run, wrong: dict[str, Any], part: str) -> None:
    with pytest.raises(RegardError) as refused:
        loaded.look("So", **wrong)
    assert part in str(refused.value)


class Ending(Letters):
    """Letters, of which one ends a text."""

    def __init__(self, document: int) -> None:
        self.document = document


def asked(model: Transformer, document: int = -1) -> Any:
    """What `look` asks of a run."""
    said: list[tuple[str, int]] = []
    return SimpleNamespace(model=model, tokenizer=Ending(document), facts={"run": "small", "seed": 0}, surveyed=None,
                           notice=lambda *what: said.append(what), said=said)  # fmt: skip


def test_a_model_that_ends_the_text_is_looked_at_up_to_there() -> None:
    """The planted model says the word that it saw most; here that word is the end."""
    run = asked(planted(gain=8.0), document=2)
    seen = look(run, [2, 2, 1], Sampling(tokens=5, temperature=0))
    assert (seen.n, seen.generated) == (3, None)
    assert run.said == [("token(s) less than asked for, as the model ended the text", 5)]
    going = look(asked(planted(gain=8.0), document=4), [2, 2, 1], Sampling(tokens=5, temperature=0))
    assert going.tokens.ids == (2, 2, 1, 2, 2, 2, 2, 2)
    assert going.generated is not None
    assert going.generated.agrees


def test_a_pass_that_expects_something_else_than_the_steps_is_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The steps are spoiled: from the second one on the decoder has forgotten what came before."""
    from regard.decoding import sample

    class Forgetful(sample.LanguageDecoder):
        def logits(self, tokens, kept):  # type: ignore[no-untyped-def]
            found = super().logits(tokens, kept)
            kept.tokens, kept.cache = kept.tokens[:, :0], type(kept.cache)()
            return found

    run = asked(build().requires_grad_(False))
    right = look(run, [3, 1, 4, 1, 5], Sampling(tokens=6, temperature=0))
    monkeypatch.setattr(sample, "LanguageDecoder", Forgetful)
    wrong = look(run, [3, 1, 4, 1, 5], Sampling(tokens=6, temperature=0))
    assert right.generated is not None
    assert wrong.generated is not None
    assert (right.generated.mark, wrong.generated.mark) == ("forced pass agrees", "forced pass differs")
    logits = run.model(Sequence.text(torch.tensor([wrong.tokens.ids])))[0].double().log_softmax(dim=-1)
    alone = run.model(Sequence.text(torch.tensor([wrong.tokens.ids[-2:-1]])))[0].double().log_softmax(dim=-1)
    assert wrong.generated.difference >= abs(float(logits[-2, wrong.tokens.ids[-1]] - alone[-1, wrong.tokens.ids[-1]]))


def test_one_line_says_what_was_looked_at(loaded: regard.Run) -> None:
    seen = loaded.look("So wise", tokens=3)
    assert isinstance(seen, Look)
    name = "<Look text: 10 tokens, the last 3 said by the model, 1 layer x "
    assert repr(seen).startswith(name)
