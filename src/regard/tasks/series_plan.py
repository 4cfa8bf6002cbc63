"""The plan of a series: how many rows are a patch, how many patches are looked at, and what that asks of the sizes."""

from functools import partial

from regard.errors import RegardError
from regard.tasks.series_rows import Series
from regard.tasks.series_scores import best_period
from regard.training.by_time import Needs
from regard.training.plan import Plan, choose_learning_rates

PATCH, CONTEXT, LONGEST = 8, 32, 128
"""Rows of a patch; patches that are looked at, and at most where two seasons are longer."""
FEATURES = 1024
"""Numbers of a patch, at most."""
MONITOR = 0.1
"""Share of the training part that chooses the best checkpoint, where it may be learnt by heart."""


def choose_cut(plan: Plan, series: Series) -> int:
    """The patch and the context; returns the period of the seasonal baseline. Raises RegardError for more rows than
    there are."""
    train, held_out, columns = series.train, len(series.values) - series.train, len(series.columns)
    usual = max(1, min(PATCH, train // 64, held_out, FEATURES // columns))
    patch = int(plan.choose("patch", usual, f"rows of {columns:,} columns that are told at once"))
    if patch > min(held_out, train // 3):
        what = f"{patch} rows are more than {train:,} to learn from and {held_out:,} held out have room for"
        raise RegardError("--patch", what, f"give {min(held_out, train // 3)} or less")
    period = best_period(series.rows[:train], patch)
    room = (train - held_back(train, patch, float(plan.given.get("monitor", MONITOR)))) // patch - 1
    usual = max(2, min(LONGEST, max(CONTEXT, -(-2 * period // patch)), room // 4))
    why = f"patches, {usual * patch:,} rows; a season has {period:,} by the training part's own error, and two may help"
    context = int(plan.choose("context", usual, why))
    if context > room:
        what = f"{context} patches of {patch} rows and one more are not there: {train:,} rows are learnt from"
        raise RegardError("--context", what, f"give {room} or less" if room >= 2 else "give a smaller --patch")
    return period


def held_back(train: int, patch: int, share: float) -> int:
    """Rows at the end of the training part that choose the best checkpoint: a patch at least."""
    return max(int(train * share), patch) if share else 0


def needs_of_series(series: Series, patch: int, context: int) -> Needs:
    """A patch may begin at any row, so that there are as many tokens as rows."""
    held_out = (len(series.values) - series.train) // patch * context
    return Needs(
        train=series.train, held_out=held_out, vocabulary=patch * len(series.columns), tokens_a_step=1024, steps=1000,
        fed=6.0, room=30.0, scorings=1.1, rest=partial(_choose_rest, series.train),
    )  # fmt: skip


def _choose_rest(train: int, plan: Plan, steps: float, seen: float) -> None:
    often = f"each row is seen as a patch's first {seen / max(train, 1):.1f} times"
    by_heart = seen > 25 * train
    plan.choose("dropout", 0.1 if by_heart else 0.0, often)
    plan.choose("weight_decay", 0.1, often)
    decay = round(min(0.999, max(0.8, 1 - 40 / max(steps, 1.0))), 4)
    plan.choose("average", decay, f"over about the last {1 / (1 - decay):,.0f} of {steps:,.0f} steps")
    plan.choose("monitor", MONITOR if by_heart else 0.0,
                "so many repetitions may be learnt by heart: the best checkpoint is kept" if by_heart else
                "few repetitions: the last weights are the best")  # fmt: skip
    choose_learning_rates(plan, steps)
