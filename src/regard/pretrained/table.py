"""What a family's table is made of: fields of config.json beside ours, and rows of tensors."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from regard.pretrained.rows import Row

Values = dict[str, Any]
"""A TransformerConfig laid flat: {"vocabulary": 50257, "attention.heads": 12, ...}."""

LARGEST_SIZE = 2**31 - 1


@dataclass(frozen=True)
class Kind:
    """What a field may hold, and its value in our words."""

    allowed: str
    """The end of the sentence "give ..."."""
    read: Callable[[Any], Any]
    """Their value -> ours; ValueError for anything that is not allowed."""
    write: Callable[[Any], Any] = lambda ours: ours
    """The inverse; ValueError for a value that the field cannot hold."""


def _size(value: Any) -> int:
    if type(value) is not int or not 1 <= value <= LARGEST_SIZE:  # type: True is an int to isinstance
        raise ValueError
    return value


def _positive(value: Any) -> float:
    if type(value) not in (int, float) or not 0 < value < math.inf:
        raise ValueError
    try:
        return float(value)
    except OverflowError:
        raise ValueError from None


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError
    return value


def choice(names: Mapping[str, str]) -> Kind:
    """One of the names, each with our word for it; of several names for one thing the first is written."""

    def read(value: Any) -> str:
        if not isinstance(value, str) or value not in names:
            raise ValueError
        return names[value]

    def write(ours: Any) -> str:
        for theirs, word in names.items():
            if word == ours:
                return theirs
        raise ValueError

    return Kind(f"one of {', '.join(names)}", read, write)


SIZE = Kind(f"a whole number from 1 to {LARGEST_SIZE}", _size)
POSITIVE = Kind("a number above 0", _positive)
FLAG = Kind("true or false", _flag)
ACTIVATION = choice({"silu": "silu", "swish": "silu", "gelu": "gelu", "gelu_new": "gelu_tanh",
                     "gelu_pytorch_tanh": "gelu_tanh", "gelu_fast": "gelu_tanh", "relu": "relu"})  # fmt: skip


@dataclass(frozen=True)
class Field:
    """A field of config.json beside what it is called here; dots lead into an object, a tuple is several places."""

    theirs: str | tuple[str, ...]
    ours: str | tuple[str, ...]
    kind: Kind = SIZE
    missing: Callable[[Values], Any] | None = None
    """Our value where the field is missing or null, from those read before it; None: it must be there."""


@dataclass(frozen=True)
class Fixed:
    """A field with which regard knows one meaning only; refused by name if it says anything else."""

    theirs: str
    allowed: str
    fits: Callable[[Any], bool]


@dataclass(frozen=True)
class Rule:
    """What sizes owe to each other."""

    theirs: str
    wants: str
    fits: Callable[[Values], bool]


IDS_ALONE: Values = {"ids": 0, "features": 0, "learned": 0, "output_bias": False}
"""Of a language model's configuration: token ids go in, and a score for each of them comes out, without a bias."""


@dataclass(frozen=True, kw_only=True)
class Family:
    name: str
    """As it is said to people."""
    architecture: str
    model_type: str
    fields: tuple[Field, ...]
    always: Callable[[Values], Values]
    """What no field says, for every model of the family; may use the values of the fields."""
    rules: tuple[Rule, ...] = ()
    fixed: tuple[Fixed, ...] = ()
    written: Mapping[str, Any] = field(default_factory=dict)
    """Fields written besides, always the same."""
    silent: frozenset[str] = frozenset()
    """Fields that change nothing in what is computed; not mentioned."""
    rows: tuple[Row, ...]
    prefix: str
    """The beginning of all names but the head's; files of the model without its head lack it."""
    harmless: tuple[str, ...] = ()
    """Buffers that hold no weights; {} is the layer. They are ignored, which is said."""
