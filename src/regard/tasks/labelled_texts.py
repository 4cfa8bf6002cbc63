"""Labelled texts, from what was read to a task: the plan, the cache, and classification opened on a run's folder."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from regard import files
from regard.data.class_split import TRAIN
from regard.data.labelled_text import LabelledTextSource
from regard.errors import Notice, RegardError
from regard.model.config import TransformerConfig
from regard.model.transformer import check_sizes, check_way
from regard.tasks.classification import Classification, Parts
from regard.tasks.labelled_tokens import LabelledTokens, open_labelled, write_labelled
from regard.tasks.language import transformer_config
from regard.tasks.text_plan import characters_within
from regard.tasks.text_tokens import CACHE, TOKENIZER, choose_tokens, make_tokenizer
from regard.tasks.texts import LINEAR, TextExamples, pool
from regard.tokens.text import TextTokenizer
from regard.training.by_time import Budget, Needs, choose_all
from regard.training.measure import Probe
from regard.training.plan import Plan, choose_learning_rates, choose_regularisation
from regard.training.ranks import Ranks

CONTEXT = 256
"""Tokens of a text that are looked at, where some are longer."""
TOKENS_A_STEP = 4096


class LabelledTexts:
    name = "classification"

    @staticmethod
    def prepare(source: LabelledTextSource, plan: Plan, folder: Path, base: Any | None, budget: Budget) -> "Prepared":
        """Chooses and trains the tokenizer; writes tokenizer.json and cache/ into the folder."""
        if base is not None:
            raise RegardError("--from", "labelled texts cannot go on from another model yet", "leave it out")
        choose_tokens(plan, source, characters_within(budget))
        tokenizer = make_tokenizer(plan, source)
        files.write(folder / TOKENIZER, tokenizer.to_json().encode(), overwrite=True)
        texts = write_labelled(source, tokenizer, folder)
        notices = list(tokenizer.notices)
        context = choose_context(plan, texts)
        if cut := int((texts.lengths > context).sum()):
            notices.append(Notice(f"text(s) longer than {context:,} tokens, the beginning looked at", cut))
        plan.choose("label_smoothing", 0.0, "an answer may be as sure as the texts make it")
        return Prepared(texts, tokenizer.vocabulary, notices)

    @staticmethod
    def restore_cache(source: LabelledTextSource, folder: Path, config: Mapping[str, Any]) -> None:
        """Makes the tokens of the run's data again where they are incomplete."""
        if open_labelled(folder) is None:
            write_labelled(source, TextTokenizer.load(folder / TOKENIZER, document=config["document"]), folder)

    @staticmethod
    def open(
        folder: Path, settings: Mapping[str, Any], ranks: Ranks, model: Mapping[str, Any] | None
    ) -> Classification:
        """From a run's folder, its tokens mapped from the disk. Raises RegardError where the cache is incomplete."""
        texts = open_labelled(folder)
        if texts is None:
            do = "give the training command again with its data"
            raise RegardError(str(folder / CACHE), "the run's tokens are incomplete", do)
        if model is None:
            ids = TextTokenizer.load(folder / TOKENIZER, document=texts.document).vocabulary
            return classification(texts, settings, ranks, partial(config_of, ids=ids, classes=len(texts.classes)))
        known = TransformerConfig.from_json(dict(model))
        return classification(texts, settings, ranks, lambda chosen: replace(known, dropout=float(chosen["dropout"])))


def choose_context(plan: Plan, texts: LabelledTokens) -> int:
    """The longest text, if that is short."""
    longest = int(texts.lengths.max())
    why = "the longest text" if longest <= CONTEXT else f"texts have up to {longest:,}; longer windows cost more"
    return int(plan.choose("context", max(2, min(longest, CONTEXT)), why))


def classification(
    texts: LabelledTokens, settings: Mapping[str, Any], ranks: Ranks,
    config: Callable[[Mapping[str, Any]], TransformerConfig],
) -> Classification:  # fmt: skip
    """config: the transformer that follows from the settings."""
    train = examples_of(texts, "train", int(settings["context"]), commonest(texts))
    held_out = replace(train, rows=texts.rows("held_out"))
    parts = Parts(train, held_out, texts.classes, pool, texts.copied[held_out.rows], mean=pool)
    return Classification(parts, ranks, settings, config, unit="texts")


def examples_of(texts: LabelledTokens, part: str, context: int, common: np.ndarray) -> TextExamples:
    """common: what a linear classifier counts."""
    return TextExamples(texts.tokens, texts.starts, texts.labels.astype(np.int64), texts.rows(part), common, context)


def commonest(texts: LabelledTokens) -> np.ndarray:
    """Ids of the tokens that come most often in the texts that are learnt from."""
    learnt = texts.tokens[np.repeat(texts.parts == TRAIN, texts.lengths)]
    counts = np.bincount(learnt)
    ordered = np.argsort(-counts, kind="stable")[:LINEAR]
    common: np.ndarray = ordered[counts[ordered] > 0]
    return common


@dataclass
class Prepared:
    """Texts in the cache, their tokens chosen: what the plan's second half starts from."""

    texts: LabelledTokens
    ids: int
    """Of the tokenizer."""
    notices: list[Notice] = field(default_factory=list)

    @property
    def kept(self) -> dict[str, Any]:
        """What the run's config.json keeps."""
        counts = {part: len(self.texts.rows(part)) for part in ("train", "held_out")}
        return {"document": self.texts.document, "classes": list(self.texts.classes),
                "counts": {"texts": sum(counts.values()), **counts}}  # fmt: skip

    def choose(self, plan: Plan, budget: Budget, probe: Probe) -> tuple[dict[str, Any], float]:
        """The sizes and the rest; returns the model's configuration, and the seconds that the end is going to take."""
        lengths, classes = np.minimum(self.texts.lengths, plan["context"]), len(self.texts.classes)
        train, held_out = (lengths[self.texts.rows(part)] for part in ("train", "held_out"))
        needs = Needs(
            train=int(train.sum()), held_out=int(held_out.sum()), vocabulary=classes, mean=float(train.mean()),
            tokens_a_step=TOKENS_A_STEP, steps=1500, fed=6.0, room=10.0, scorings=1.1,
            rest=partial(_choose_rest, int(train.sum())),
        )  # fmt: skip
        reserve = choose_all(plan, needs, budget, probe)
        config = config_of(plan.settings, ids=self.ids, classes=classes)
        check_sizes(config)  # before anything says that this is a run
        check_way(config, plan["attention"])
        return config.to_json(), reserve


def _choose_rest(train: int, plan: Plan, steps: float, seen: float) -> None:
    choose_regularisation(plan, seen / max(train, 1), steps, train)
    choose_learning_rates(plan, steps)


def config_of(settings: Mapping[str, Any], ids: int, classes: int) -> TransformerConfig:
    """The settings as a model: as for language, but ids go in and scores of classes come out."""
    return replace(transformer_config({**settings, "tied": "no"}, classes), ids=ids)


TASK = LabelledTexts
