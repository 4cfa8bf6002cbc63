"""The plan: minutes, data and measured speed become settings, each with its reason, as text that one can argue with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from regard.errors import RegardError
from regard.training.settings import BY_NAME, Value


@dataclass(frozen=True)
class Choice:
    name: str
    value: Value
    reason: str


class Plan:
    """Settings in the order in which they were chosen; what was given is not chosen but taken."""

    def __init__(self, given: Mapping[str, Value]) -> None:
        self.given = dict(given)
        self.choices: dict[str, Choice] = {}
        self._fixed: set[str] = set()

    def choose(self, name: str, value: Value, reason: str) -> Any:
        """The given value if there is one, else this value, kept with its reason; what was fixed stays."""
        if name in self._fixed:
            return self.choices[name].value
        if name in self.given:
            value, reason = self.given[name], "given"
        self.choices[name] = Choice(name, value, reason)
        return value

    def fix(self, name: str, value: Value, reason: str) -> None:
        """A setting that something else decides. Raises RegardError if another value was given."""
        given = self.given.pop(name, value)
        if given != value:
            raise RegardError(
                f"--{name.replace('_', '-')}", f"{given} was given, but it is {value}: {reason}", "leave it out"
            )
        self.choices[name] = Choice(name, value, reason)
        self._fixed.add(name)

    def known(self, name: str) -> Any:
        """The value that was given or fixed, or None: what is still free follows from it."""
        return self.choices[name].value if name in self._fixed else self.given.get(name)

    def check_all_used(self, kind: str, task: str) -> None:
        """Raises RegardError for what was given and is not for this kind of data, or not for this task."""
        for name in self.given.keys() - self.choices.keys():
            of = BY_NAME[name].of
            what = f"it is not for {task if kind in of else kind}"
            if of and not {kind, task} & set(of):
                this = task if set(of) & set(BY_NAME["task"].choices) else kind
                *others, last = of
                what = f"it is for {', '.join(others)}{' and ' * bool(others)}{last}, and this is {this}"
            what = what.replace("_", " ")
            raise RegardError(BY_NAME[name].option, what, "leave it out")

    def __getitem__(self, name: str) -> Any:
        return self.choices[name].value

    @property
    def settings(self) -> dict[str, Value]:
        return {choice.name: choice.value for choice in self.choices.values()}

    def to_json(self) -> list[dict[str, Value]]:
        return [{"name": c.name, "value": c.value, "reason": c.reason} for c in self.choices.values()]


@dataclass(frozen=True)
class Shape:
    """The size of a stack of blocks: heads of 32 numbers below width 256, else of 64; three feed-forward matrices."""

    width: int
    layers: int

    @property
    def head_width(self) -> int:
        return min(32 if self.width < 256 else 64, max(2, self.width // 2 * 2))

    @property
    def heads(self) -> int:
        return max(1, self.width // self.head_width)

    @property
    def feed_forward(self) -> int:
        """8/3 of the width, so that three matrices weigh what two of four times the width would; a multiple of 32."""
        return -(-self.width * 8 // 3 // 32) * 32

    @property
    def parameters(self) -> int:
        """In the blocks."""
        return self.layers * self.width * (4 * self.heads * self.head_width + 3 * self.feed_forward)

    def work(self, context: int, vocabulary: int) -> float:
        """Floating-point operations a token costs in training, attention included (Kaplan et al. 2020, table 1)."""
        return 6 * (self.parameters + self.width * vocabulary) + 12 * self.layers * self.width * context


LADDER = tuple(Shape(*size) for size in (
    (32, 1), (32, 2), (64, 2), (64, 3), (64, 4), (96, 4), (128, 4), (128, 5), (160, 5), (192, 5), (192, 6), (256, 5),
    (256, 6), (256, 8), (320, 8), (384, 8), (512, 8), (512, 10), (640, 10), (768, 12), (1024, 12), (1024, 16),
    (1280, 20),
))  # fmt: skip

REFERENCE = Shape(128, 4)
SMALLEST = 30_000


def choose_shape(
    plan: Plan, tokens: int, seen: Callable[[Shape], float], *, fed: float = 2.5, room: float = 10.0
) -> Shape:
    """The largest of the ladder that the training can feed. tokens: to learn from; seen(shape): tokens it will see.

    fed: training tokens that each number of the blocks should see; room: numbers a token to learn from at most.

    Where width or layers are given, the ladder is that of the other; heads and feed-forward follow from the width.
    """
    cap = max(SMALLEST, room * tokens)
    width, layers = plan.known("width"), plan.known("layers")
    steps = [s for s in LADDER if width is None or s.width <= 2 * width] or LADDER[:1]  # narrow is not made deep
    ladder = sorted({Shape(width or s.width, layers or s.layers) for s in steps}, key=lambda s: s.parameters)
    enough = [s for s in ladder if s.parameters <= cap and seen(s) >= fed * s.parameters]
    shape = enough[-1] if enough else ladder[0]
    if shape.parameters * 1.6 > cap and seen(shape) > 2 * fed * shape.parameters:
        why = f"{tokens:,} tokens would not fill more than {shape.parameters:,} numbers"
    else:
        why = f"{seen(shape):,.0f} tokens can be seen, {fed:g} for each of {shape.parameters:,} numbers"
    plan.choose("width", shape.width, why)
    plan.choose("layers", shape.layers, why)
    _choose_heads(plan, shape)
    plan.choose("feed_forward", shape.feed_forward, "8/3 of the width, a multiple of 32")
    return shape


def _choose_heads(plan: Plan, shape: Shape) -> None:
    """Heads times head width make the width, as nearly as what is given allows."""
    heads, shared = plan.known("heads"), plan.known("key_value_heads")
    if heads is None:
        head_width = plan.choose("head_width", shape.head_width, "32 below width 256, else 64")
        planned = max(1, shape.width // head_width)
        planned = planned if shared is None else max(1, planned // shared) * shared
    else:
        planned = heads
        plan.choose("head_width", max(2, shape.width // heads // 2 * 2), "width / heads, an even number")
    heads = plan.choose("heads", planned, "width / head width")
    plan.choose("key_value_heads", heads, "no sharing: keys and values are cheap at this size")


def choose_regularisation(plan: Plan, epochs: float, steps: float, tokens: int) -> None:
    """Dropout, decay, average and early choice, from how often each example will be seen (more epochs, more of it)."""
    often = f"each part of the text is seen {epochs:.1f} times"
    dropout = next(
        value for limit, value in ((2, 0.0), (5, 0.05), (15, 0.1), (40, 0.2), (float("inf"), 0.3)) if epochs < limit
    )
    plan.choose("dropout", dropout, often)
    plan.choose("weight_decay", 0.1 if epochs < 15 else 0.2, often)
    decay = round(min(0.999, max(0.8, 1 - 40 / max(steps, 1.0))), 4)
    plan.choose("average", decay, f"over about the last {1 / (1 - decay):,.0f} of {steps:,.0f} steps")
    by_heart = epochs > 25 and tokens >= 1000
    plan.choose("monitor", 0.05 if by_heart else 0.0,
                "so many repetitions may be learnt by heart: the best checkpoint is kept" if by_heart else
                "few repetitions: the last weights are the best")  # fmt: skip


def choose_learning_rates(plan: Plan, steps: float) -> None:
    plan.choose("learning_rate", 0.02, "Muon's custom; docs/log.md has the runs beside it")
    plan.choose("table_learning_rate", 0.004, "AdamW's; docs/log.md has the runs beside it")
    plan.choose("warm_up", max(1, min(100, int(steps * 0.02))), "a fiftieth of the steps, at most 100")
    plan.choose("cool_down", 0.6, "falls to 0 over the last part of the time; docs/log.md has the runs beside it")


@dataclass(frozen=True)
class Timing:
    """One way to compute a step, and how fast it was."""

    precision: str
    attention: str
    seconds: float
    """A step, the slowest rank's."""
    loss: float
    """After the steps that were timed, the same for all."""
