"""The plan of a language run: how long its windows are, and what it asks of sizes and learning rates."""

from functools import partial
from typing import Any

from regard.errors import RegardError
from regard.training.by_time import Budget, Needs
from regard.training.plan import Plan, Shape, choose_learning_rates, choose_regularisation

LEAST = 64
"""Tokens of text below which there is nothing to learn."""
CONTEXT = 256
TOKENS_A_STEP = 2048
CHARACTERS_A_TOKEN = 2.5
CHARACTERS_A_SECOND = {"cpu": 50_000.0}
"""Seen in training before anything is timed, of a small model on two cores; elsewhere fifty times as many."""


def needs_of_text(train: int, held_out: int, vocabulary: int, model: dict[str, Any] | None = None) -> Needs:
    """train, held_out: tokens of the two parts. docs/log.md has the runs behind the figures."""
    return Needs(
        train=train, held_out=held_out, vocabulary=vocabulary, tokens_a_step=TOKENS_A_STEP, steps=1500, fed=2.5,
        room=10.0, scorings=3.2,  # once, and once in windows that slide by half, which is as much again
        rest=partial(_choose_rest, train, vocabulary), model=model,
    )  # fmt: skip


def _choose_rest(train: int, vocabulary: int, plan: Plan, steps: float, seen: float) -> None:
    choose_regularisation(plan, seen / max(train, 1), steps, train)
    choose_learning_rates(plan, steps)
    table, blocks = vocabulary * plan["width"], Shape(plan["width"], plan["layers"]).parameters
    share = table / (table + blocks)
    plan.choose(
        "tied", "yes" if share >= 0.33 else "no", f"the table would be {share:.0%} of the numbers; tied from a third on"
    )


def characters_within(budget: Budget) -> float:
    """About how many characters a training will see: nothing is timed yet, and the tokenizer comes first."""
    if budget.steps is not None:
        return budget.steps * TOKENS_A_STEP * CHARACTERS_A_TOKEN
    rate = CHARACTERS_A_SECOND.get(budget.device, 50 * CHARACTERS_A_SECOND["cpu"])
    return max(budget.seconds or 0.0, 1.0) * rate * budget.ranks


def choose_context(plan: Plan, train: int, held_out: int, longest: int = 8192) -> str | None:
    """Sets the context; returns what to say if it had to be shorter than usual or than asked.

    train, held_out: tokens of the two parts; longest: the checkpoint's. Raises RegardError where there is too little
    text (T2) or more is asked than the checkpoint can.
    """
    if int(plan.given.get("context", 0)) > longest:
        raise RegardError("--context", f"{plan.given['context']} is more than the checkpoint's {longest}", "give less")
    if train + held_out < LEAST or held_out < 2:
        raise RegardError("the text", f"{train:,} + {held_out:,} tokens to learn from and to test on are too few",
                          f"give at least {LEAST} tokens in all")  # fmt: skip
    room = max(2, min(train // 8, held_out - 1))
    usual = min(CONTEXT, longest)
    wanted = int(plan.given.get("context", usual))
    fits = 1 << (room.bit_length() - 1)  # a power of two
    if wanted <= room:
        plan.choose("context", usual, "a paragraph; longer windows cost more than they taught (docs/log.md)")
        return None
    plan.given.pop("context", None)
    plan.choose("context", fits, f"{train:,} + {held_out:,} tokens of text leave no room for {wanted:,}")
    return f"context shortened to {fits} tokens, as there are {train:,} to learn from and {held_out:,} to test on"
