"""Sampling: the next token drawn by its probability, again and again.

Shapes: rows, one for each sample that is not over; vocabulary.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import torch
from torch import Tensor

from regard.decoding import filters
from regard.decoding.step import Decoder, LanguageDecoder
from regard.decoding.stop import UntilStop
from regard.errors import RegardError
from regard.tokens.text import Stream, TextTokenizer

__all__ = ["LanguageDecoder", "Sampling", "generate", "speak"]


class Range(NamedTuple):
    kind: type[int] | type[float]
    low: float
    high: float
    open_below: bool = False
    """Whether `low` itself is not allowed."""

    def __str__(self) -> str:
        noun = "a whole number" if self.kind is int else "a number"
        return f"{noun} {'above' if self.open_below else 'from'} {self.low:,g} to {self.high:,.0f}"

    def holds(self, number: float) -> bool:
        """False for what is not a number, too."""
        return self.low <= number <= self.high and not (self.open_below and number == self.low)


RANGES = {
    "tokens": Range(int, 1, 1_000_000),
    "temperature": Range(float, 0, 100),
    "top_k": Range(int, 1, 10_000_000),
    "top_p": Range(float, 0, 1, open_below=True),
    "min_p": Range(float, 0, 1),
    "repetition_penalty": Range(float, 0, 100, open_below=True),
    "samples": Range(int, 1, 1000),
    "seed": Range(int, 0, 2**63 - 1),
}
LONGEST_STOP = 1000
"""Characters of a stop string."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How tokens are drawn. Raises RegardError, naming the option, for what is not in its range."""

    tokens: int = 256
    """How many are said at most."""
    temperature: float = 0.8
    """0 is greedy: always the likeliest. Small models ramble at 1; at 0.8 they read better and still vary."""
    top_k: int | None = None
    """Only the k likeliest."""
    top_p: float | None = None
    """Only the likeliest that together have this probability."""
    min_p: float | None = None
    """Only those at least this many times as likely as the likeliest."""
    repetition_penalty: float = 1.0
    """Above 1, tokens that the text holds become less likely."""
    stop: tuple[str, ...] = ()
    """The text ends before the first of these."""
    samples: int = 1
    """How many answers to the prompt."""
    seed: int = 0
    """Sample i is a function of the seed and i: it is the same however many others there are."""

    def __post_init__(self) -> None:
        for name, allowed in RANGES.items():
            value = getattr(self, name)
            if value is not None or name not in OFF_BY_NONE:
                _check(name, value, allowed)
        for stop in self.stop if isinstance(self.stop, tuple) else (self.stop,):
            if isinstance(self.stop, str) or not isinstance(stop, str) or not 0 < len(stop) <= LONGEST_STOP:
                texts = f"a text of 1 to {LONGEST_STOP:,} characters"
                raise RegardError("--stop", f"{stop!r:.40} is not {texts} in a tuple", f"give {texts}")

    @classmethod
    def of_text(cls, options: Mapping[str, Any]) -> "Sampling":
        """From what a command line holds: texts, None where an option was not given. Raises RegardError."""
        given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
        for name in given.keys() & RANGES.keys():
            given[name] = _number(name, given[name], RANGES[name])
        if "stop" in given:
            given["stop"] = tuple(given["stop"])
        return cls(**given)


OFF_BY_NONE = {field.name for field in fields(Sampling) if field.default is None}


def _refusal(name: str, value: object, allowed: Range) -> RegardError:
    off = ", or leave it out" if name in OFF_BY_NONE else ""
    return RegardError("--" + name.replace("_", "-"), f"{value!r:.40} does not fit", f"give {allowed}{off}")


def _check(name: str, value: object, allowed: Range) -> None:
    kinds = (int,) if allowed.kind is int else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not allowed.holds(value):
        raise _refusal(name, value, allowed)


def _number(name: str, text: str, allowed: Range) -> int | float:
    """Python would also take 1_000 and Arabic digits, which are a person's slip."""
    try:
        if not text.isascii() or "_" in text:
            raise ValueError(text)
        return allowed.kind(text)
    except ValueError:
        raise _refusal(name, text, allowed) from None


def filtered(scores: Tensor, seen: Tensor, sampling: Sampling) -> Tensor:
    """Logits after all filters in their order, (rows, vocabulary); only the penalty's if greedy."""
    if sampling.repetition_penalty != 1:
        scores = filters.repetition_penalty(scores, seen, sampling.repetition_penalty)
    if sampling.temperature not in (0, 1):
        scores = filters.temperature(scores, sampling.temperature)
    if sampling.top_k is not None:
        scores = filters.top_k(scores, sampling.top_k)
    if sampling.top_p is not None:
        scores = filters.top_p(scores, sampling.top_p)
    if sampling.min_p is not None:
        scores = filters.min_p(scores, sampling.min_p)
    return scores


def draw(scores: Tensor, numbers: list[float]) -> list[int]:
    """One id a row by its probability: numbers in [0, 1), one a row, choose where in the running sum."""
    running = scores.cpu().double().softmax(dim=-1).cumsum(dim=-1)  # (rows, vocabulary); not every device has doubles
    # 1 - number is in (0, 1]: the first id whose running sum reaches it has a probability above 0
    reach = torch.tensor([[1 - number] for number in numbers], dtype=running.dtype)
    ids: list[int] = torch.searchsorted(running, reach * running[:, -1:])[:, 0].tolist()
    return ids


Nats = dict[int, list[float]]
"""Of each sample, what its tokens cost: minus the logarithm of the probability that the model itself gave to each."""


def generate(
    decoder: Decoder[Any], prompt: list[int], sampling: Sampling, end: int | None = None,
    over: set[int] | None = None, nats: Nats | None = None,
) -> Iterator[dict[int, int]]:  # fmt: skip
    """Step by step, the id that each sample says: {sample: id}, without the samples that are over.

    A sample is over when it says `end`, which is not given out, or when it is put into the set `over` between steps.
    The prompt is computed once for all samples. Sample i of several is what it would be alone, up to the rounding of
    sums over more rows. What each token cost is added to `nats`, if given. Raises RegardError for an empty prompt.
    """
    if not prompt:
        raise RegardError("prompt", "it holds no token", "start from the document mark")
    over = set() if over is None else over
    randoms = [random.Random(f"{sampling.seed}, {sample}") for sample in range(sampling.samples)]
    rows = list(range(sampling.samples))  # which sample each row is
    kept = decoder.start()
    tokens = torch.tensor([prompt])
    scores = decoder.logits(tokens, kept).expand(len(rows), -1)
    if len(rows) > 1:
        kept.reorder(torch.zeros(len(rows), dtype=torch.long))
    seen = torch.zeros_like(scores, dtype=torch.bool).index_fill_(1, tokens[0].to(scores.device), True)
    for left in range(sampling.tokens, 0, -1):
        raw, scores = scores, filtered(scores, seen, sampling)
        greedy = sampling.temperature == 0
        ids = scores.argmax(dim=-1).tolist() if greedy else draw(scores, [randoms[row].random() for row in rows])
        said = {row: token for row, token in zip(rows, ids, strict=True) if token != end}
        if nats is not None:
            _add_costs(nats, raw, rows, said)
        if said:
            yield said
        going = [place for place, row in enumerate(rows) if row in said and row not in over]
        if not going or left == 1:
            return
        if len(going) < len(rows):
            index = torch.tensor(going)
            kept.reorder(index)
            rows, ids, seen = [rows[i] for i in going], [ids[i] for i in going], seen[index]
        tokens = torch.tensor(ids)[:, None]  # (rows, 1)
        seen.scatter_(1, tokens.to(seen.device), True)
        scores = decoder.logits(tokens, kept)


def _add_costs(nats: Nats, logits: Tensor, rows: list[int], said: dict[int, int]) -> None:
    """logits (rows, vocabulary) before any filter."""
    costs = -logits.log_softmax(dim=-1)
    for place, row in enumerate(rows):
        if row in said:
            nats.setdefault(row, []).append(float(costs[place, said[row]]))


def speak(
    decoder: Decoder[Any], tokenizer: TextTokenizer, prompt: list[int], sampling: Sampling, nats: Nats | None = None
) -> Iterator[tuple[int, str]]:
    """(sample, new text) as it is said, until the document mark, a stop string or enough tokens.

    Never half a character (bytes that end up as none are U+FFFD) and never part of a stop string. A sample's texts
    joined are all its tokens decoded at once, cut before the stop string. Nothing is escaped.
    """
    over: set[int] = set()
    streams = [Stream(tokenizer) for _ in range(sampling.samples)]
    untils = [UntilStop(sampling.stop) for _ in range(sampling.samples)]
    for said in generate(decoder, prompt, sampling, tokenizer.document, over, nats):
        for sample, token in said.items():
            if text := untils[sample].push(streams[sample].push(token)):
                yield sample, text
            if untils[sample].over:
                over.add(sample)
    for sample, (stream, until) in enumerate(zip(streams, untils, strict=True)):
        if not until.over and (text := until.push(stream.finish())):
            yield sample, text
        if text := until.finish():
            yield sample, text
