"""What is heard of each step is what the model says of the whole text so far, computed anew in float64."""

import pytest
import torch

from regard.decoding.heard import heard
from regard.decoding.sample import LanguageDecoder, Sampling, generate
from regard.model.sequence import Sequence

from .small import CONTEXT, NAMED, ROTARY, build, ids, quickly, says

HOWS = [Sampling(tokens=6, temperature=0), Sampling(tokens=6, seed=4), Sampling(tokens=6, top_k=3, min_p=0.1, seed=1),
        Sampling(tokens=6, temperature=3.0, repetition_penalty=2.0)]  # fmt: skip


@pytest.mark.parametrize("sampling", HOWS, ids=str)
@pytest.mark.parametrize("name", ["rotary", "learned"])
def test_each_step_has_the_models_own_expectation(name: str, sampling: Sampling) -> None:
    model = build(NAMED[name], seed=2)
    prompt = ids(1, 4)[0].tolist()
    decoder = quickly(LanguageDecoder, model)
    said = list(heard(decoder, prompt, sampling))
    assert [one.token for one in said] == [step[0] for step in generate(decoder, prompt, sampling)]
    assert len(said) == 6
    whole = build(NAMED[name], seed=2).double().requires_grad_(False)
    for at, one in enumerate(said):
        text = [*prompt, *(earlier.token for earlier in said[:at])]
        logits = whole(Sequence.text(torch.tensor([text])))[0, -1].double().log_softmax(dim=-1)
        assert one.likeliest == int(logits.argmax())
        assert one.log_p == pytest.approx(float(logits[one.token]), abs=2e-5)


def test_the_end_is_not_given_out() -> None:
    said = list(heard(says([3, 5, 2], 9), [1], Sampling(tokens=9, temperature=0), end=2))
    assert [one.token for one in said] == [3, 5]
    assert list(heard(says([2, 3], 9), [1], Sampling(tokens=9, temperature=0), end=2)) == []


def test_a_decoder_that_remembers_wrongly_is_heard_to() -> None:
    """One whose cache loses the first token: what it says of later steps is not what the whole text would give."""

    class Forgetful(LanguageDecoder):
        def logits(self, tokens, kept):  # type: ignore[no-untyped-def]
            found = super().logits(tokens, kept)
            kept.tokens, kept.cache = kept.tokens[:, :0], type(kept.cache)()
            return found

    model = build(ROTARY, seed=2)
    prompt = ids(1, CONTEXT - 5)[0].tolist()
    greedy = Sampling(tokens=4, temperature=0)
    right, wrong = (list(heard(one(model), prompt, greedy)) for one in (LanguageDecoder, Forgetful))
    assert right[0] == wrong[0]
    assert abs(right[1].log_p - wrong[1].log_p) > 1e-3
