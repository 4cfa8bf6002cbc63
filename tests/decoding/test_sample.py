"""Samples are functions of seed and number; what is streamed is what would be said at once."""

import math
from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from regard.decoding.sample import RANGES, LanguageDecoder, Sampling, draw, generate, speak
from regard.errors import RegardError
from regard.tokens.text import TextTokenizer

from .small import CONTEXT, NAMED, ROTARY, VOCABULARY, Scripted, build, quickly, says

DECODERS = {name: quickly(LanguageDecoder, build(config, seed=2)) for name, config in NAMED.items()}
ENGLISH = TextTokenizer.characters(["abcdefghijklmnopqrstuvwxyz .\näß€𝄞"])


def sampled(decoder: Any, prompt: list[int], sampling: Sampling, end: int | None = None) -> list[list[int]]:
    texts: list[list[int]] = [[] for _ in range(sampling.samples)]
    for said in generate(decoder, prompt, sampling, end):
        for sample, token in said.items():
            texts[sample].append(token)
    return texts


def spoken(decoder: Any, prompt: list[int], sampling: Sampling, tokenizer: TextTokenizer = ENGLISH) -> list[str]:
    texts = [""] * sampling.samples
    for sample, text in speak(decoder, tokenizer, prompt, sampling):
        assert text
        texts[sample] += text
    return texts


# what can be asked for

WRONG: list[tuple[str, Any]] = [
    *((name, value) for name in RANGES for value in (-1, math.nan, math.inf, -math.inf, 1e300, True, "7", [1])),
    *((name, 2.5) for name in ("tokens", "top_k", "samples", "seed", "top_p", "min_p")),
    *((name, 0) for name in ("tokens", "top_k", "samples", "top_p", "repetition_penalty")),
    *((name, None) for name in ("tokens", "temperature", "repetition_penalty", "samples", "seed")),
    ("stop", "\n"), ("stop", ["\n"]), ("stop", ("",)), ("stop", (3,)), ("stop", ("x" * 1001,)), ("stop", None),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), WRONG, ids=str)
def test_C2_values_out_of_range_are_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(RegardError) as refusal:
        Sampling(**{name: value})
    assert refusal.value.where == "--" + name.replace("_", "-")
    allowed = "1 to 1,000 characters" if name == "stop" else str(RANGES[name])
    assert allowed in str(refusal.value)
    assert len(str(refusal.value)) <= 300


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("text", ["", "x", "5m", "nan", "inf", "-1", "1e300", "1_000", "٣", "0x10", "1,5"])
def test_C2_texts_of_a_command_line_are_refused_by_name(name: str, text: str) -> None:
    with pytest.raises(RegardError) as refusal:
        Sampling.of_text({name: text})
    assert refusal.value.where == "--" + name.replace("_", "-")
    assert str(RANGES[name]) in str(refusal.value)


def test_options_of_a_command_line_become_settings() -> None:
    given_: Mapping[str, Any] = {"tokens": "7", "temperature": "0", "top_k": None, "top_p": "0.9", "min_p": "1e-2",
                                 "repetition_penalty": "1.5", "stop": ("\n", "x"), "samples": "3",
                                 "seed": "12"}  # fmt: skip
    expected = Sampling(tokens=7, temperature=0.0, top_p=0.9, min_p=0.01, repetition_penalty=1.5, stop=("\n", "x"),
                        samples=3, seed=12)  # fmt: skip
    assert Sampling.of_text(given_) == expected
    assert Sampling.of_text(dict.fromkeys(RANGES)) == Sampling()


def test_an_empty_prompt_is_refused() -> None:
    with pytest.raises(RegardError, match=r"prompt: .*document mark"):
        next(generate(DECODERS["rotary"], [], Sampling()))


# drawing


def test_every_token_is_drawn_as_often_as_it_is_likely() -> None:
    probabilities = torch.tensor([0.5, 0.0, 0.25, 0.125, 0.125])
    grid = [i / 64 for i in range(64)]
    counts = Counter(draw(probabilities.log().expand(64, -1), grid))
    assert counts == {0: 32, 2: 16, 3: 8, 4: 8}


@given(st.lists(st.floats(-80, 80) | st.just(-math.inf), min_size=1, max_size=9), st.floats(0, 1, exclude_max=True))
@settings(deadline=None)
def test_what_is_out_is_never_drawn(scores: list[float], number: float) -> None:
    scores[len(scores) // 2] = 1.0
    for chance in (number, 0.0, 1 - 2**-53):
        (token,) = draw(torch.tensor([scores]), [chance])
        assert scores[token] > -math.inf


def test_the_answer_follows_the_model() -> None:
    """A chain of two states with known odds, 4,000 draws: within four standard deviations."""
    odds = torch.tensor([[0.9, 0.1], [0.3, 0.7]])
    chain = Scripted(lambda tokens: odds[tokens[-1]].log())
    (text,) = sampled(chain, [0], Sampling(tokens=4000, temperature=1))
    after_one = [b for a, b in pairwise(text) if a == 1]
    share = sum(after_one) / len(after_one)
    assert abs(share - 0.7) < 4 * math.sqrt(0.7 * 0.3 / len(after_one))


@pytest.mark.parametrize("name", NAMED)
def test_greedy_is_the_likeliest_token_cached_or_not_also_past_the_context(name: str) -> None:
    decoder, text = DECODERS[name], [3, 1]
    (said,) = sampled(decoder, text, Sampling(tokens=3 * CONTEXT, temperature=0))
    for token in said:
        assert token == int(decoder.step(torch.tensor([text]), decoder.start()).argmax())
        text = [*text, token]
    assert len(said) == 3 * CONTEXT


def test_one_seed_one_text_another_seed_another() -> None:
    first, again, other = (sampled(DECODERS["rotary"], [1], Sampling(tokens=40, seed=s))[0] for s in (5, 5, 6))
    assert first == again != other


@pytest.mark.parametrize("end", [None, 4])
def test_sample_i_of_several_is_sample_i_alone(end: int | None) -> None:
    """Some end early, and leave the others as they are."""
    decoder = DECODERS["rotary"]
    many = sampled(decoder, [1, 2, 3], Sampling(tokens=30, samples=5, seed=7, temperature=1.5), end)
    few = sampled(decoder, [1, 2, 3], Sampling(tokens=30, samples=3, seed=7, temperature=1.5), end)
    assert many[:3] == few
    assert len({tuple(text) for text in many}) == 5
    assert end is None or len({len(text) for text in many}) > 1


def test_the_prompt_is_read_once_and_the_last_token_never() -> None:
    decoder = says([5, 6, 7], VOCABULARY, prompt=4)
    sampled(decoder, [1, 2, 3, 4], Sampling(tokens=3, samples=6))
    assert decoder.fed == [(1, 4), (6, 1), (6, 1)]


def test_a_sample_ends_at_the_end_which_is_not_given_out() -> None:
    assert sampled(says([5, 6, 9, 7], VOCABULARY), [1], Sampling(tokens=9), end=9) == [[5, 6]]
    assert list(generate(says([9], VOCABULARY), [1], Sampling(), end=9)) == []
    assert sampled(says([5, 6], VOCABULARY), [1], Sampling(tokens=4), end=9) == [[5, 6, 0, 0]]


def test_samples_that_are_over_are_not_computed() -> None:
    decoder, over, lengths = says([5] * 9, VOCABULARY), set[int](), Counter[int]()
    for number, said in enumerate(generate(decoder, [1], Sampling(tokens=8, samples=3), None, over)):
        lengths.update(said.keys())
        over |= {1} if number == 1 else {0, 2} if number == 4 else set()
    assert lengths == {0: 5, 1: 2, 2: 5}
    assert decoder.fed == [(1, 1), (3, 1), (2, 1), (2, 1), (2, 1)]


def test_the_repetition_penalty_sees_prompt_and_answer() -> None:
    row = torch.tensor([4.0, 3.5, 3.0, 2.5, -9.0])
    (text,) = sampled(Scripted(lambda _: row), [0], Sampling(tokens=4, temperature=0, repetition_penalty=2.0))
    assert text == [1, 2, 3, 0]


def test_filters_reach_the_draw() -> None:
    row = torch.tensor([3.0, 2.0, 1.0, 0.0])
    for chosen in (Sampling(tokens=60, top_k=2), Sampling(tokens=60, top_p=0.8), Sampling(tokens=60, min_p=0.2)):
        assert set(sampled(Scripted(lambda _: row), [0], chosen)[0]) == {0, 1}


def test_what_each_token_cost_is_the_models_own_number() -> None:
    """Before temperature, filters and penalty; the sample that ends earlier has fewer."""
    decoder, prompt = LanguageDecoder(build(ROTARY)), [3, 1]
    nats: dict[int, list[float]] = {}
    how = Sampling(tokens=6, temperature=0.5, top_k=3, repetition_penalty=1.3, samples=3)
    said: dict[int, list[int]] = {sample: [] for sample in range(3)}
    for step in generate(decoder, prompt, how, end=2, nats=nats):
        for sample, token in step.items():
            said[sample].append(token)
    for sample, tokens in said.items():
        costs = []
        for place, token in enumerate(tokens):
            logits = decoder.step(torch.tensor([prompt + tokens[:place]]), decoder.start())
            costs.append(-float(logits[0, token]))
        assert nats.get(sample, []) == pytest.approx(costs, abs=1e-4)


# speaking


@pytest.mark.parametrize("samples", [1, 3])
def test_streaming_equals_the_whole(samples: int) -> None:
    """Random bytes of a random model: whole characters, halves of some, and none."""
    decoder = LanguageDecoder(build(ROTARY.__class__.from_json({**ROTARY.to_json(), "vocabulary": ENGLISH.vocabulary})))
    chosen = Sampling(tokens=150, samples=samples, temperature=2.0)
    whole = [ENGLISH.decode(text) for text in sampled(decoder, [1, 2], chosen, ENGLISH.document)]
    assert spoken(decoder, [1, 2], chosen) == whole
    assert any("\ufffd" in text for text in whole)


def test_never_half_a_character() -> None:
    text = "aä€𝄞b"
    raw = [1 + byte for byte in text.encode()]  # ids 1 to 256 are the bytes (contract 10)
    pieces = [piece for _, piece in speak(says(raw, ENGLISH.vocabulary), ENGLISH, [1], Sampling(tokens=len(raw)))]
    assert pieces == list(text)
    cut = [piece for _, piece in speak(says(raw[:-2], ENGLISH.vocabulary), ENGLISH, [1], Sampling(tokens=len(raw) - 2))]
    assert "".join(cut) == "aä€\ufffd"


@pytest.mark.parametrize("stop", ["\n\n", " ", "ä€", "n"])
def test_stop_strings_split_over_tokens(stop: str) -> None:
    text = "die ersten ä€ zeilen\n\nund mehr"
    answer = ENGLISH.encode(text)
    said = spoken(says(answer, ENGLISH.vocabulary), [1], Sampling(tokens=len(answer), stop=(stop, "zz")))
    assert said == [text.partition(stop)[0]]


def test_a_stopped_sample_is_not_computed_further() -> None:
    decoder = says(ENGLISH.encode("ab" * 9), ENGLISH.vocabulary)
    assert spoken(decoder, [1], Sampling(tokens=18, samples=2, stop=("ba",))) == ["a", "a"]
    assert decoder.fed == [(1, 1), (2, 1), (2, 1)]


def test_what_waited_for_a_stop_string_comes_when_the_document_ends() -> None:
    answer = [*ENGLISH.encode("the en"), ENGLISH.document or 0, *ENGLISH.encode("d")]
    assert spoken(says(answer, ENGLISH.vocabulary), [1], Sampling(stop=("end",))) == ["the en"]


def test_T17_an_empty_prompt_starts_from_the_document_mark() -> None:
    decoder = LanguageDecoder(build(ROTARY.__class__.from_json({**ROTARY.to_json(), "vocabulary": ENGLISH.vocabulary})))
    assert ENGLISH.document is not None
    (text,) = spoken(decoder, [ENGLISH.document], Sampling(tokens=50))
    assert text


def test_T17_a_prompt_longer_than_the_context_goes_on_from_its_end() -> None:
    decoder, prompt = DECODERS["learned"], [i % VOCABULARY for i in range(5 * CONTEXT)]
    (text,) = sampled(decoder, prompt, Sampling(tokens=CONTEXT, temperature=0))
    assert text == sampled(decoder, prompt[3 * (CONTEXT // 2) :], Sampling(tokens=CONTEXT, temperature=0))[0]


def test_T18_control_characters_are_given_out_exactly() -> None:
    text = "\x1b[31mred\a\r\u202e\u200b"
    answer = ENGLISH.encode(text)
    assert spoken(says(answer, ENGLISH.vocabulary), [1], Sampling(tokens=len(answer))) == [text]


def test_a_decoder_is_anything_with_scores() -> None:
    """generate asks for no more than the interface: no model, no device, no parameters."""

    def scores(tokens: list[int]) -> Tensor:
        return torch.eye(3)[(tokens[-1] + 1) % 3] * 9

    assert sampled(Scripted(scores), [0], Sampling(tokens=5, temperature=0)) == [[1, 2, 0, 1, 2]]
