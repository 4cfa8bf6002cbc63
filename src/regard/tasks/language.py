"""Language: the next token of a text. No labels but the text itself: every position is an example.

Shapes: batch windows; n tokens of context; vocabulary.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard import files
from regard.data.text import TextSource
from regard.decoding.sample import LanguageDecoder, Nats, Sampling, speak
from regard.errors import Notice, RegardError
from regard.model.config import AttentionConfig, FeedForwardConfig, TransformerConfig
from regard.model.sequence import Sequence
from regard.model.transformer import Transformer, check_sizes, check_way
from regard.tasks.text_plan import characters_within, choose_context, needs_of_text
from regard.tasks.text_tokens import CACHE, TOKENIZER, choose_tokens, make_tokenizer, open_tokens, write_tokens
from regard.tasks.transformer_task import TransformerTask
from regard.tokens.text import TextTokenizer
from regard.training.average import evaluating
from regard.training.by_time import Budget, choose_all, choose_as_in
from regard.training.measure import Probe
from regard.training.plan import Plan
from regard.training.ranks import Ranks
from regard.training.settings import Value

QUICK = 48
"""Windows of the held-out part that are scored while training."""
MONITORED = 65_536
"""Tokens at most that choose the best checkpoint: scored with every one of them."""
SAMPLE = 60
"""Tokens of a sample."""


class Windows:
    """A long row of tokens cut into windows of one more token than the context; each epoch cuts at other places."""

    def __init__(self, tokens: np.ndarray, context: int, seed: int) -> None:
        self.tokens, self.context, self.seed = tokens, context, seed
        targets = len(tokens) - 1
        self._count = max(1, targets // context - 1)
        self._slack = targets - self._count * context  # how far the cuts may move
        self._shifts: dict[int, int] = {}

    def __len__(self) -> int:
        return self._count

    def size(self, example: int) -> int:
        return self.context

    def take(self, ids: np.ndarray) -> Tensor:
        """ids (count, 2), each (epoch, window) -> (count, context + 1) token ids."""
        starts = [window * self.context + self._shift(int(epoch)) for epoch, window in ids]
        rows = np.stack([self.tokens[start : start + self.context + 1] for start in starts])
        return torch.from_numpy(rows.astype(np.int64))

    def _shift(self, epoch: int) -> int:
        if epoch not in self._shifts:
            self._shifts = {e: shift for e, shift in self._shifts.items() if e >= epoch - 1}
            self._shifts[epoch] = int(np.random.default_rng((self.seed, epoch, 1)).integers(0, self._slack + 1))
        return self._shifts[epoch]


class Language(TransformerTask):
    """Next-token prediction by a causal transformer; documents packed side by side do not see each other."""

    name, unit, loss_in = "language", "tokens", "nats a token"

    def __init__(
        self, tokenizer: TextTokenizer, context: int, ranks: Ranks, *, settings: Mapping[str, Value] | None = None,
        model: Mapping[str, Any] | None = None, train: np.ndarray | None = None, held_out: np.ndarray | None = None,
    ) -> None:  # fmt: skip
        """settings: of the training; model: the transformer's configuration, else it follows from the settings."""
        settings = settings or {}
        self.tokenizer, self.context, self.ranks = tokenizer, context, ranks
        self.config = dict(model) if model is not None else None
        self.train, self.held_out = train, held_out
        learnt, self.monitored = _without_monitor(train, float(settings.get("monitor", 0.0)))
        self.seed = int(settings.get("seed", 0))
        self.examples = None if learnt is None else Windows(learnt, self.context, self.seed)

    @staticmethod
    def prepare(source: TextSource, plan: Plan, folder: Path, base: Any | None, budget: Budget) -> "Prepared":
        """Chooses and trains the tokenizer, or takes the base's; writes tokenizer.json and cache/ into the folder."""
        if base is not None and not base.says:
            raise RegardError("--from", "it is no language model, and this is text", "leave it out, or name one")
        if base is None:
            choose_tokens(plan, source, characters_within(budget))
            tokenizer = make_tokenizer(plan, source)
        else:
            tokenizer = base.tokenizer
            plan.fix("tokens", tokenizer.kind, "the tokenizer is the checkpoint's")
            plan.fix("vocabulary", tokenizer.vocabulary, "the tokenizer is the checkpoint's")
        files.write(folder / TOKENIZER, tokenizer.to_json().encode(), overwrite=True)
        facts = write_tokens(source, tokenizer, folder)
        kept = {"document": facts["document"]}
        return Prepared(tokenizer, facts["train"], facts["held_out"], kept, base, list(tokenizer.notices))

    @staticmethod
    def restore_cache(source: TextSource, folder: Path, config: Mapping[str, Any]) -> None:
        """Makes the tokens of the run's data again where they are incomplete."""
        if open_tokens(folder) is None:
            write_tokens(source, TextTokenizer.load(folder / TOKENIZER, document=config["document"]), folder)

    @classmethod
    def open(
        cls, folder: Path, settings: Mapping[str, Any], ranks: Ranks, model: Mapping[str, Any] | None
    ) -> "Language":
        """From a run's folder, its tokens mapped from the disk. Raises RegardError where the cache is incomplete."""
        opened = open_tokens(folder)
        if opened is None:
            raise RegardError(
                str(folder / CACHE), "the run's tokens are incomplete", "give the training command again with its data"
            )
        tokens, document = opened
        tokenizer = TextTokenizer.load(folder / TOKENIZER, document=document)
        return cls(tokenizer, int(settings["context"]), ranks, settings=settings, model=model, **tokens)

    def configured(self, settings: Mapping[str, Any]) -> TransformerConfig:
        if self.config is None:
            return transformer_config(settings, self.tokenizer.vocabulary)
        return replace(TransformerConfig.from_json(self.config), dropout=float(settings["dropout"]))

    def batch(self, ids: np.ndarray, rng: np.random.Generator, progress: float = 1.0) -> tuple[Sequence, Tensor]:
        """(inputs, targets (batch, n)): each target is the token that follows."""
        assert self.examples is not None
        rows = self.examples.take(ids).to(self.ranks.device)
        return self._sequence(rows[:, :-1]), rows[:, 1:]

    def _sequence(self, ids: Tensor) -> Sequence:
        """Tokens after a document mark are of another sequence than those before it."""
        if self.tokenizer.document is None:
            return Sequence.text(ids)
        marks = ids == self.tokenizer.document
        return Sequence.packed(ids, marks.cumsum(1)) if bool(marks[:, 1:].any()) else Sequence.text(ids)

    def loss(self, model: nn.Module, batch: tuple[Sequence, Tensor], average: nn.Module) -> tuple[Tensor, Tensor]:
        """Cross-entropy: minus the logarithm of the probability that the model gave to the token that came."""
        sequence, targets = batch
        logits = model(sequence)  # (batch, n, vocabulary)
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum"), torch.tensor(targets.numel())

    def watched(self, model: nn.Module) -> dict[str, float]:
        return {}

    def beside(self) -> None:
        """Counting words takes no time that has to be planned."""

    def evaluate(self, model: nn.Module) -> dict[str, Any]:
        """The scores on the whole held-out part, and the baselines'."""
        assert self.held_out is not None
        return {**self.score(model, self.held_out), "baselines": self.baselines(self.held_out)}

    def score(self, model: nn.Module, tokens: np.ndarray) -> dict[str, float]:
        """nats_per_token on disjoint windows of the model's own context (every target but the very first token counted
        once, the last window short), the same with windows sliding by half, bits per byte, perplexity."""
        nats = nats_of_windows(self, model, tokens, self.context)
        sliding = nats_of_windows(self, model, tokens, max(1, self.context // 2))
        return self._keys(nats, sliding, tokens)

    def _keys(self, nats: float, sliding: float, tokens: np.ndarray) -> dict[str, float]:
        targets = len(tokens) - 1
        size = int(self.tokenizer.byte_lengths()[tokens[1:]].sum())
        per_token = nats / max(targets, 1)
        return {
            "nats_per_token": per_token,
            "nats_per_token_sliding": sliding / max(targets, 1),
            "bits_per_byte": nats / max(size, 1) / math.log(2),
            "perplexity": math.exp(min(per_token, 700.0)),
            "tokens": targets,
        }

    def baselines(self, tokens: np.ndarray) -> dict[str, dict[str, float]]:
        """Answers that look at nothing, so at no window: each token as often as in the training part, if that is known;
        every token equally likely."""
        targets, found = np.asarray(tokens[1:]), {}
        if self.train is not None:
            counts = _counts(self.train, self.tokenizer.vocabulary) + 1.0  # so that none is impossible
            found["unigram"] = float(-np.log(counts / counts.sum())[targets].sum())
        found["uniform"] = len(targets) * math.log(self.tokenizer.vocabulary)
        return {name: self._keys(nats, nats, tokens) for name, nats in found.items()}

    def quick_score(self, model: nn.Module) -> float:
        """Nats a token on the first windows of the held-out part: for the eye while training, not a result."""
        assert self.held_out is not None
        tokens = self.held_out[: QUICK * self.context + 1]
        return nats_of_windows(self, model, tokens, self.context) / max(len(tokens) - 1, 1)

    @property
    def whole_score(self) -> float:
        """How many times the quick score the whole one costs: disjoint windows, and sliding ones for twice as much."""
        assert self.held_out is not None
        return 3.0 * len(self.held_out) / min(len(self.held_out), QUICK * self.context + 1)

    def monitor(self, model: nn.Module) -> float | None:
        """Nats a token on the slice of the training part that was held back, or None where none was."""
        if self.monitored is None:
            return None
        return nats_of_windows(self, model, self.monitored, self.context) / (len(self.monitored) - 1)

    def sample(self, model: Transformer) -> str:
        """A line or two that the model says from nothing, always with the same random numbers; an ellipsis where it was
        not at its end."""
        start = self.tokenizer.document if self.tokenizer.document is not None else 0
        sampling = Sampling(tokens=SAMPLE, temperature=0.8, seed=self.seed)
        nats: Nats = {}
        said = "".join(text for _, text in speak(LanguageDecoder(model), self.tokenizer, [start], sampling, nats))
        return said + "…" * (len(nats.get(0, ())) == SAMPLE)


@dataclass
class Prepared:
    """Text on the disk as tokens, its sizes known: what the plan's second half starts from."""

    tokenizer: TextTokenizer
    train: int
    held_out: int
    kept: dict[str, Any]
    """What the run's config.json keeps of it."""
    base: Any | None = None
    notices: list[Notice] = field(default_factory=list)

    def choose(self, plan: Plan, budget: Budget, probe: Probe) -> tuple[dict[str, Any], float]:
        """The sizes and the rest; returns the model's configuration, and the seconds that the end is going to take."""
        if self.base is not None:
            choose_as_in(plan, self.base.model.config)
        longest = 8192 if self.base is None else self.base.model.config.context
        shortened = choose_context(plan, self.train, self.held_out, longest)
        if shortened:
            self.notices.append(Notice(shortened, 1))
        vocabulary = self.tokenizer.vocabulary if self.base is None else self.base.model.config.vocabulary
        needs = needs_of_text(self.train, self.held_out, vocabulary, self._model(plan))
        reserve = choose_all(plan, needs, budget, probe)
        model = self._model(plan) or transformer_config(plan.settings, vocabulary).to_json()
        config = TransformerConfig.from_json(model)
        check_sizes(config)  # before anything says that this is a run
        check_way(config, plan["attention"])
        return model, reserve

    def _model(self, plan: Plan) -> dict[str, Any] | None:
        """The base's configuration; its context stays its own, the windows of this training may be shorter."""
        return None if self.base is None else self.base.model.config.to_json()


def nats_of_windows(task: Language, model: nn.Module, tokens: np.ndarray, stride: int) -> float:
    """Nats of all tokens but the first, each predicted once, in windows of the context that move on by stride.

    A window's targets are those that no earlier window had; with stride < context each but the first few is predicted
    from at least context - stride tokens. Ranks share the windows; all of them must call this.
    """
    total = 0.0
    groups = list(_groups(len(tokens) - 1, task.context, stride))
    with evaluating(model):
        for group in groups[task.ranks.rank :: task.ranks.count]:
            length = group[0].end - group[0].start
            ids = np.stack([tokens[w.start : w.end + 1] for w in group]).astype(np.int64)
            rows = torch.from_numpy(ids).to(task.ranks.device)
            logits = model(task._sequence(rows[:, :-1]))  # (windows, length, vocabulary)
            nats = F.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten(), reduction="none").view(-1, length)
            total += sum(float(row[w.new - w.start :].double().sum()) for w, row in zip(group, nats, strict=True))
    return task.ranks.sum(total)[0]


class Window(NamedTuple):
    """Targets start to end - 1 (target k is token k + 1), of which those from `new` on are counted here."""

    start: int
    new: int
    end: int


def _groups(targets: int, context: int, stride: int, rows: int = 16) -> Iterator[list[Window]]:
    """All windows, those of equal length together, at most `rows` at once."""
    starts = range(0, max(1, targets - (context - stride)), stride)
    windows = [Window(s, 0 if s == 0 else s - stride + context, min(s + context, targets)) for s in starts]
    whole = [w for w in windows if w.end - w.start == context]
    yield from (whole[k : k + rows] for k in range(0, len(whole), rows))
    yield from ([w] for w in windows if w.end - w.start < context)


def _counts(tokens: np.ndarray, vocabulary: int, piece: int = 1 << 22) -> np.ndarray:
    """(vocabulary,) how often each token comes; in pieces, for numpy counts in copies of eight bytes a token."""
    parts = (np.bincount(tokens[k : k + piece], minlength=vocabulary) for k in range(0, len(tokens), piece))
    return sum(parts, np.zeros(vocabulary, np.int64))


def _without_monitor(train: np.ndarray | None, share: float) -> tuple[np.ndarray | None, np.ndarray | None]:
    """(what is learnt from, the tail that chooses the best checkpoint)."""
    if train is None or share == 0.0:
        return train, None
    tail = min(max(int(len(train) * share), 2), MONITORED)
    return train[:-tail], train[-tail:]


def transformer_config(settings: Mapping[str, Value], vocabulary: int) -> TransformerConfig:
    """The settings as a model: Qwen3's block (decision 1)."""
    whole = {name: int(settings[name]) for name in ("width", "layers", "heads", "key_value_heads", "head_width")}
    return TransformerConfig(
        vocabulary=vocabulary, context=int(settings["context"]), width=whole["width"], layers=whole["layers"],
        attention=AttentionConfig(heads=whole["heads"], key_value_heads=whole["key_value_heads"],
                                  head_width=whole["head_width"]),
        feed_forward=FeedForwardConfig(width=int(settings["feed_forward"])),
        tied=settings["tied"] == "yes", dropout=float(settings["dropout"]),
    )  # fmt: skip


TASK = Language
