"""The plan of a language run: context, sizes, batch and the rest, from the number of tokens and the speed measured."""

import time
from dataclasses import dataclass
from typing import Any

import torch

from regard.errors import RegardError
from regard.model.config import TransformerConfig
from regard.model.written import fits
from regard.training.measure import Probe
from regard.training.plan import (
    REFERENCE,
    Plan,
    Shape,
    Timing,
    choose_learning_rates,
    choose_regularisation,
    choose_shape,
)

LEAST = 64
"""Tokens of text below which there is nothing to learn."""
CONTEXT = 256
TOKENS_A_STEP = 2048
STEPS_WANTED = 1500
LEAST_SECONDS = 15.0
"""A shorter training is not worth timing for."""
ASSUMED_RATE = 3e10
"""Floating-point operations a second where nothing was timed: a slow laptop."""
LEARNT_BY_HEART = 5
"""Times through the text between checkpoints, where the best of them is chosen."""
CHARACTERS_A_TOKEN = 2.5
CHARACTERS_A_SECOND = {"cpu": 50_000.0}
"""Seen in training before anything is timed, of a small model on two cores; elsewhere fifty times as many."""
EVALUATION_SHARE = {"float32": 0.5, "bfloat16": 1.0}
"""What a token costs when scored, of what it costs in training of this precision: forward only, in float32."""


@dataclass(frozen=True)
class Budget:
    """What a run may take: so many steps, or so many seconds from `began` (of time.monotonic) on."""

    steps: int | None
    seconds: float | None
    began: float
    ranks: int = 1
    device: str = "cpu"

    def left(self) -> float:
        return (self.seconds or 0.0) - (time.monotonic() - self.began)


def characters_within(budget: Budget) -> float:
    """About how many characters a training will see: nothing is timed yet, and the tokenizer comes first."""
    if budget.steps is not None:
        return budget.steps * TOKENS_A_STEP * CHARACTERS_A_TOKEN
    rate = CHARACTERS_A_SECOND.get(budget.device, 50 * CHARACTERS_A_SECOND["cpu"])
    return max(budget.seconds or 0.0, 1.0) * rate * budget.ranks


def choose_as_in(plan: Plan, config: TransformerConfig) -> None:
    """The shape is the checkpoint's."""
    why = "the model is the checkpoint's"
    a = config.attention
    for name, value in (("width", config.width), ("layers", config.layers), ("head_width", a.head_width),
                        ("heads", a.heads), ("key_value_heads", a.key_value_heads),
                        ("feed_forward", config.feed_forward.width),
                        ("tied", "yes" if config.tied else "no")):  # fmt: skip
        plan.fix(name, value, why)


def choose_all(
    plan: Plan, train: int, held_out: int, vocabulary: int, budget: Budget, probe: Probe, model: dict[str, Any] | None
) -> float:
    """Every setting after the context; returns the seconds that the last checkpoint and score will take."""
    if budget.steps is not None:
        choose_by_steps(plan, train, vocabulary, budget, model)
        return 0.0
    if budget.left() < LEAST_SECONDS:
        rate, reason = ASSUMED_RATE, "the time is too short to time anything"
    else:
        rate, reason = reference_rate(plan, vocabulary, budget, probe), ""
    seconds = budget.left()
    choose_sizes(plan, train, vocabulary, budget, rate, seconds)
    if reason:
        plan.choose("precision", "float32", reason)
        plan.choose("attention", paths(plan, budget, model)[0], reason)
        step_seconds = float(plan["batch"] * plan["context"] * work(plan, vocabulary) / rate)
    else:
        step_seconds = choose_path(plan, budget, probe, model)
    # Scored twice, once in windows that slide by half, which is as much again: three times; and a little for luck.
    token_seconds = step_seconds / int(plan["batch"] * plan["context"])
    reserve = 1.0 + 3.2 * held_out * token_seconds * EVALUATION_SHARE[plan["precision"]]
    reserve = min(reserve, budget.left() / 4)  # an estimate may not eat the training; the first evaluation corrects it
    choose_by_time(plan, train, vocabulary, max(budget.left() - reserve, 0.1), step_seconds)
    return reserve


def work(plan: Plan, vocabulary: int) -> float:
    return Shape(plan["width"], plan["layers"]).work(plan["context"], vocabulary)


def reference_rate(plan: Plan, vocabulary: int, budget: Budget, probe: Probe) -> float:
    """Floating-point operations a second that a real step of the reference shape reaches here, on all ranks."""
    trial = Plan({"context": plan["context"], "seed": plan["seed"]})
    trial.choose("seed", 0, "")
    trial.choose("context", 0, "")
    choose_shape(trial, 10**12, lambda shape: float("inf") if shape == REFERENCE else 0.0)
    batch = max(budget.ranks, TOKENS_A_STEP // plan["context"])
    trial.choose("batch", batch, "")
    trial.choose("micro_batch", batch, "")
    trial.choose("precision", "float32", "")
    trial.choose("attention", paths(trial, budget, None)[0], "")
    _choose_rest(trial, 10**9, STEPS_WANTED, 0.0, vocabulary)
    timing = probe.time(trial.settings, 5)
    return float(REFERENCE.work(plan["context"], vocabulary) * batch * plan["context"] / timing.seconds)


def choose_path(plan: Plan, budget: Budget, probe: Probe, model: dict[str, Any] | None) -> float:
    """Times the real step for each precision and path, takes the fastest that learns the same; returns its seconds."""
    precisions = ["float32"] + ["bfloat16"] * has_bfloat16(budget.device)
    tried = [str(plan.given["attention"])] if "attention" in plan.given else paths(plan, budget, model)
    precisions = [str(plan.given["precision"])] if "precision" in plan.given else precisions
    timed = []
    for precision in precisions:
        for path in tried:
            # About two seconds of each, less of a short time: all timing together stays under a thirtieth.
            share = min(2.0, (budget.seconds or 0.0) / 30 / (len(precisions) * len(tried)))
            settings = {**plan.settings, "precision": precision, "attention": path}
            first = probe.time(settings, 2, model)
            more = int(min(20, share / max(first.seconds, 1e-6)))
            timed.append(probe.time(settings, more + 1, model) if more > 2 else first)
    best = min(timed, key=lambda t: t.seconds)
    if best.precision != "float32" and "precision" not in plan.given and not learns_the_same(plan, best, probe, model):
        best = min((t for t in timed if t.precision == "float32"), key=lambda t: t.seconds)
    words = ", ".join(f"{t.precision} {t.attention} {t.seconds * 1000:,.0f} ms" for t in timed)
    plan.choose("precision", best.precision, f"a step took: {words}")
    plan.choose("attention", best.attention, "the fastest of these whose loss is that of float32 within 1 %")
    return best.seconds


def paths(plan: Plan, budget: Budget, model: dict[str, Any] | None) -> list[str]:
    """The ways of attention that are worth timing; the first is taken where nothing is timed."""
    if plan["context"] > 1024:
        return ["fused"]
    ours = plan["heads"] == plan["key_value_heads"] if model is None else fits(TransformerConfig.from_json(model))
    short = ["written"] if ours and budget.device == "cpu" else ["unfused"]
    return [*short, "fused"] if plan["context"] <= 512 else ["fused", *short]


def learns_the_same(plan: Plan, fast: Timing, probe: Probe, model: dict[str, Any] | None) -> bool:
    """Whether 20 equal steps, small ones, end at float32's loss within 1 %."""
    batch = max(probe.ranks.count, plan["batch"] // 8)
    small = {**plan.settings, "batch": batch, "micro_batch": 1_000_000, "warm_up": 1}
    losses = [probe.time({**small, "precision": p, "attention": fast.attention}, 20, model).loss
              for p in ("float32", fast.precision)]  # fmt: skip
    return abs(losses[1] - losses[0]) <= 0.01 * abs(losses[0])


def has_bfloat16(device: str) -> bool:
    """Whether the machine multiplies bfloat16 natively; emulated it is slower than float32."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities() if device == "cpu" else {}
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "sve_bf16"))


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


def choose_by_steps(plan: Plan, train: int, vocabulary: int, budget: Budget, model: dict[str, Any] | None) -> None:
    """Everything from the data's numbers and the steps; nothing is timed, so the same command gives the same bits."""
    steps = budget.steps or 0
    batch = _choose_batch(plan, TOKENS_A_STEP * steps, train, budget.ranks)
    seen = float(steps * batch * plan["context"])
    choose_shape(plan, train, lambda shape: seen)
    plan.choose("precision", "float32", "steps are given: the same command gives the same bits")
    plan.choose("attention", paths(plan, budget, model)[0], "by the context; nothing is timed")
    _choose_rest(plan, train, steps, seen, vocabulary)
    plan.choose("evaluate_every", max(1, steps // 10), "ten times in all")
    plan.choose(
        "checkpoint_every", max(1, min(steps, max(50, steps // 10))), "ten times in all, 50 steps apart or more"
    )


def choose_sizes(plan: Plan, train: int, vocabulary: int, budget: Budget, rate: float, seconds: float) -> None:
    """Batch and shape by time. rate: floating-point operations a second that the reference's real step reached."""

    def seen(shape: Shape) -> float:
        # Wider products use the machine better: about the fourth root of the width (docs/log.md).
        faster = float((shape.width / REFERENCE.width) ** 0.25)
        return seconds * rate * faster / shape.work(plan["context"], vocabulary)

    shape = choose_shape(plan, train, seen)
    _choose_batch(plan, seen(shape), train, budget.ranks)
    _choose_rest(plan, train, STEPS_WANTED, seen(shape), vocabulary)  # for the timing; again with the speed found


def choose_by_time(plan: Plan, train: int, vocabulary: int, seconds: float, step_seconds: float) -> None:
    """What depends on how many steps there will be, now that the real step has been timed."""
    steps = max(1.0, seconds / step_seconds)
    _choose_rest(plan, train, steps, steps * plan["batch"] * plan["context"], vocabulary)
    every = max(1, round(min(max(seconds / 12, 10.0), 120.0) / step_seconds))
    plan.choose("evaluate_every", every, f"about every {every * step_seconds:,.0f} s")
    if plan["monitor"]:  # the best may come early, and only what was saved can be it
        windows = max(1, train // plan["context"])
        every = max(1, round(min(LEARNT_BY_HEART * windows / plan["batch"], steps / 20)))
        times = every * plan["batch"] / windows
        why = f"about every {times:,.0f} times through the text, as the best may come early; at most 5 % of the time"
        plan.choose("checkpoint_every", every, why)
        return
    every = max(1, round(min(max(seconds / 6, 30.0), 300.0) / step_seconds))
    plan.choose("checkpoint_every", every, f"about every {every * step_seconds:,.0f} s, at most 5 % of the time")


def _choose_batch(plan: Plan, seen: float, train: int, ranks: int) -> int:
    """Enough tokens a step to use the machine, few enough to make many steps."""
    windows = max(1, train // plan["context"])
    tokens = min(max(seen / STEPS_WANTED, TOKENS_A_STEP), 2**19)
    batch = max(ranks, min(windows, round(tokens / plan["context"])))
    why = f"{batch * plan['context']:,} tokens a step use the machine well"
    if seen > STEPS_WANTED * TOKENS_A_STEP:
        why += f"; more would mean fewer than {STEPS_WANTED:,} steps"
    batch = int(plan.choose("batch", batch, why))
    if batch < ranks:
        raise RegardError("--batch", f"{batch} windows cannot be shared by {ranks} ranks", "give at least one a rank")
    share = -(-batch // ranks)
    plan.choose("micro_batch", min(share, max(1, 65_536 // plan["context"])), "what one rank computes at once")
    return batch


def _choose_rest(plan: Plan, train: int, steps: float, seen: float, vocabulary: int) -> None:
    choose_regularisation(plan, seen / max(train, 1), steps, train)
    choose_learning_rates(plan, steps)
    table, blocks = vocabulary * plan["width"], Shape(plan["width"], plan["layers"]).parameters
    share = table / (table + blocks)
    plan.choose(
        "tied", "yes" if share >= 0.33 else "no", f"the table would be {share:.0%} of the numbers; tied from a third on"
    )
