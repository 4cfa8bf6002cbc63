"""The half of a plan that every kind of data shares: sizes, batch and paths, from the time and the speed measured.

An example is `context` tokens long: a window of a text, or a picture's patches; whole texts are shorter on the mean.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from regard.errors import RegardError
from regard.model.config import TransformerConfig
from regard.model.written import fits
from regard.training.measure import Probe
from regard.training.plan import REFERENCE, Plan, Shape, Timing, choose_shape

LEAST_SECONDS = 15.0
"""A shorter training is not worth timing for."""
ASSUMED_RATE = 3e10
"""Floating-point operations a second where nothing was timed: a slow laptop."""
LEARNT_BY_HEART = 5
"""Times through the data between checkpoints, where the best of them is chosen."""
SHAPE = {"width", "layers", "head_width", "heads", "key_value_heads", "feed_forward"}
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


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a kind of data asks of the plan."""

    train: int
    """Tokens to learn from."""
    held_out: int
    """Tokens to be scored on."""
    scorings: float
    """How often they are computed for the final score, and a little for luck."""
    vocabulary: int
    """Scores that come out of a position."""
    tokens_a_step: int
    """That use the machine well."""
    steps: int
    """Below so many a step is not made larger."""
    fed: float
    """Training tokens that each number of the blocks should see."""
    room: float
    """So many times as many numbers as tokens to learn from may a model have; beyond, it learns by heart."""
    rest: Callable[[Plan, float, float], None]
    """Chooses what is left, from the steps and the tokens that will be seen: regularisation, learning rates, ..."""
    model: dict[str, Any] | None = None
    """The configuration of the checkpoint that training begins from."""
    mean: float | None = None
    """Tokens of an example, on the mean; None where each has as many as the context."""
    slower: Callable[[Plan], tuple[float, float]] = lambda plan: (1.0, 1.0)
    """Times as long as a step at the training's beginning, which is what is timed, takes one on the mean, and one of
    whole examples, as they are scored."""

    def size(self, plan: Plan) -> float:
        """Tokens of an example."""
        return float(plan["context"]) if self.mean is None else self.mean


def choose_as_in(plan: Plan, config: TransformerConfig) -> None:
    """The shape is the checkpoint's."""
    why = "the model is the checkpoint's"
    a = config.attention
    for name, value in (("width", config.width), ("layers", config.layers), ("head_width", a.head_width),
                        ("heads", a.heads), ("key_value_heads", a.key_value_heads),
                        ("feed_forward", config.feed_forward.width),
                        ("tied", "yes" if config.tied else "no")):  # fmt: skip
        plan.fix(name, value, why)


def choose_all(plan: Plan, needs: Needs, budget: Budget, probe: Probe) -> float:
    """Every setting after the context; returns the seconds that the last checkpoint and score will take."""
    if budget.steps is not None:
        choose_by_steps(plan, needs, budget)
        return 0.0
    if budget.left() < LEAST_SECONDS:
        rate, reason = ASSUMED_RATE * needs.slower(plan)[1], "the time is too short to time anything"
    else:
        rate, reason = reference_rate(plan, needs, budget, probe), ""
    seconds = budget.left()
    choose_sizes(plan, needs, budget, rate, seconds)
    if reason:
        plan.choose("precision", "float32", reason)
        plan.choose("attention", paths(plan, needs, budget)[0], reason)
        step_seconds = float(plan["batch"] * needs.size(plan) * work(plan, needs) / rate)
    else:
        step_seconds = choose_path(plan, needs, budget, probe)
    token_seconds = step_seconds * needs.slower(plan)[1] / (int(plan["batch"]) * needs.size(plan))
    reserve = 1.0 + needs.scorings * needs.held_out * token_seconds * EVALUATION_SHARE[plan["precision"]]
    reserve = min(reserve, budget.left() / 4)  # an estimate may not eat the training; the first evaluation corrects it
    choose_by_time(plan, needs, max(budget.left() - reserve, 0.1), step_seconds)
    return reserve


def work(plan: Plan, needs: Needs) -> float:
    return Shape(plan["width"], plan["layers"]).work(plan["context"], needs.vocabulary)


def reference_rate(plan: Plan, needs: Needs, budget: Budget, probe: Probe) -> float:
    """Floating-point operations a second that a real step of the reference shape reaches here, on all ranks."""
    trial = Plan({})
    for name, value in plan.settings.items():
        if name not in SHAPE:
            trial.choose(name, value, "")
    choose_shape(trial, 10**12, lambda shape: float("inf") if shape == REFERENCE else 0.0)
    batch = max(budget.ranks, int(needs.tokens_a_step / needs.size(plan)))
    trial.choose("batch", batch, "")
    trial.choose("micro_batch", batch, "")
    trial.choose("precision", "float32", "")
    trial.choose("attention", paths(trial, needs, budget)[0], "")
    needs.rest(trial, needs.steps, 0.0)
    timing = probe.time(trial.settings, 5)
    return float(REFERENCE.work(plan["context"], needs.vocabulary) * batch * needs.size(plan) / timing.seconds)


def choose_path(plan: Plan, needs: Needs, budget: Budget, probe: Probe) -> float:
    """Times the real step for each precision and path, takes the fastest that learns the same; returns its seconds."""
    precisions = ["float32"] + ["bfloat16"] * has_bfloat16(budget.device)
    tried = [str(plan.given["attention"])] if "attention" in plan.given else paths(plan, needs, budget)
    precisions = [str(plan.given["precision"])] if "precision" in plan.given else precisions
    timed = []
    for precision in precisions:
        for path in tried:
            # About two seconds of each, less of a short time: all timing together stays under a thirtieth.
            share = min(2.0, (budget.seconds or 0.0) / 30 / (len(precisions) * len(tried)))
            settings = {**plan.settings, "precision": precision, "attention": path}
            first = probe.time(settings, 2, needs.model)
            more = int(min(20, share / max(first.seconds, 1e-6)))
            timed.append(probe.time(settings, more + 1, needs.model) if more > 2 else first)
    best = min(timed, key=lambda t: t.seconds)
    if best.precision != "float32" and "precision" not in plan.given and not learns_the_same(plan, best, needs, probe):
        best = min((t for t in timed if t.precision == "float32"), key=lambda t: t.seconds)
    words = ", ".join(f"{t.precision} {t.attention} {t.seconds * 1000:,.0f} ms" for t in timed)
    plan.choose("precision", best.precision, f"a step took: {words}")
    plan.choose("attention", best.attention, "the fastest of these whose loss is that of float32 within 1 %")
    return best.seconds


def paths(plan: Plan, needs: Needs, budget: Budget) -> list[str]:
    """The ways of attention that are worth timing; the first is taken where nothing is timed."""
    if plan["context"] > 1024:
        return ["fused"]
    model = needs.model
    ours = plan["heads"] == plan["key_value_heads"] if model is None else fits(TransformerConfig.from_json(model))
    short = ["written"] if ours and budget.device == "cpu" else ["unfused"]
    return [*short, "fused"] if plan["context"] <= 512 else ["fused", *short]


def learns_the_same(plan: Plan, fast: Timing, needs: Needs, probe: Probe) -> bool:
    """Whether 20 equal steps, small ones, end at float32's loss within 1 %."""
    batch = max(probe.ranks.count, plan["batch"] // 8)
    small = {**plan.settings, "batch": batch, "micro_batch": 1_000_000, "warm_up": 1}
    losses = [probe.time({**small, "precision": p, "attention": fast.attention}, 20, needs.model).loss
              for p in ("float32", fast.precision)]  # fmt: skip
    return abs(losses[1] - losses[0]) <= 0.01 * abs(losses[0])


def has_bfloat16(device: str) -> bool:
    """Whether the machine multiplies bfloat16 natively; emulated it is slower than float32."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities() if device == "cpu" else {}
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "sve_bf16"))


def choose_by_steps(plan: Plan, needs: Needs, budget: Budget) -> None:
    """Everything from the data's numbers and the steps; nothing is timed, so the same command gives the same bits."""
    steps = budget.steps or 0
    batch = _choose_batch(plan, needs, needs.tokens_a_step * steps, budget.ranks)
    seen = float(steps * batch * needs.size(plan))
    _choose_shape(plan, needs, lambda shape: seen)
    plan.choose("precision", "float32", "steps are given: the same command gives the same bits")
    plan.choose("attention", paths(plan, needs, budget)[0], "by the context; nothing is timed")
    needs.rest(plan, steps, seen)
    plan.choose("evaluate_every", max(1, steps // 10), "ten times in all")
    plan.choose(
        "checkpoint_every", max(1, min(steps, max(50, steps // 10))), "ten times in all, 50 steps apart or more"
    )


def choose_sizes(plan: Plan, needs: Needs, budget: Budget, rate: float, seconds: float) -> None:
    """Batch and shape by time. rate: floating-point operations a second that the reference's real step reached."""

    def seen(shape: Shape) -> float:
        # Wider products use the machine better: about the fourth root of the width (docs/log.md).
        faster = float((shape.width / REFERENCE.width) ** 0.25)
        return seconds * rate * faster / needs.slower(plan)[0] / shape.work(plan["context"], needs.vocabulary)

    shape = _choose_shape(plan, needs, seen)
    _choose_batch(plan, needs, seen(shape), budget.ranks)
    needs.rest(plan, needs.steps, seen(shape))  # for the timing; again with the speed found


def choose_by_time(plan: Plan, needs: Needs, seconds: float, step_seconds: float) -> None:
    """What depends on how many steps there will be, now that the real step has been timed."""
    step_seconds *= needs.slower(plan)[0]
    steps = max(1.0, seconds / step_seconds)
    needs.rest(plan, steps, steps * plan["batch"] * needs.size(plan))
    every = max(1, round(min(max(seconds / 12, 10.0), 120.0) / step_seconds))
    plan.choose("evaluate_every", every, f"about every {every * step_seconds:,.0f} s")
    if plan["monitor"]:  # the best may come early, and only what was saved can be it
        examples = max(1, int(needs.train / needs.size(plan)))
        every = max(1, round(min(LEARNT_BY_HEART * examples / plan["batch"], steps / 20)))
        times = every * plan["batch"] / examples
        why = f"about every {times:,.0f} times through the data, as the best may come early; at most 5 % of the time"
        plan.choose("checkpoint_every", every, why)
        return
    every = max(1, round(min(max(seconds / 6, 30.0), 300.0) / step_seconds))
    plan.choose("checkpoint_every", every, f"about every {every * step_seconds:,.0f} s, at most 5 % of the time")


def _choose_shape(plan: Plan, needs: Needs, seen: Callable[[Shape], float]) -> Shape:
    return choose_shape(plan, needs.train, seen, fed=needs.fed, room=needs.room)


def _choose_batch(plan: Plan, needs: Needs, seen: float, ranks: int) -> int:
    """Enough tokens a step to use the machine, few enough to make many steps."""
    size = needs.size(plan)
    examples = max(1, int(needs.train / size))
    tokens = min(max(seen / needs.steps, needs.tokens_a_step), 2**19)
    batch = max(ranks, min(examples, round(tokens / size)))
    why = f"{batch * size:,.0f} tokens a step use the machine well"
    if seen > needs.steps * needs.tokens_a_step:
        why += f"; more would mean fewer than {needs.steps:,} steps"
    batch = int(plan.choose("batch", batch, why))
    if batch < ranks:
        raise RegardError("--batch", f"{batch} examples cannot be shared by {ranks} ranks", "give at least one a rank")
    share = -(-batch // ranks)
    plan.choose("micro_batch", min(share, max(1, int(65_536 / size))), "what one rank computes at once")
    return batch
