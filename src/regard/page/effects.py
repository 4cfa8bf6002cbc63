"""An edit as the page asks for it, and its effect as the page is told it.

Shapes: n positions.
"""

import math
from collections.abc import Mapping
from typing import Any, get_args

import numpy as np

from regard.errors import RegardError
from regard.looking.edit import Edit, Effect
from regard.looking.kept import LONGEST, Readings
from regard.looking.record import Recording
from regard.looking.surgery import Part
from regard.page.pictures import taken_for

MOST_EDITS = 64
TOP = 5
"""Likeliest tokens that are told before and after an edit."""
TARGETS: Mapping[str, tuple[str, ...]] = {
    "heads": ("heads",), "attention": (), "feed_forward": (), "edges": ("heads", "rows", "cols"),
    "value": ("heads", "cols"),
}  # fmt: skip
"""What names the target of each part; it must be given, and nothing else is taken."""
KINDS: Mapping[str, tuple[str, ...]] = dict.fromkeys(get_args(Part), ("zero",)) | {"edges": ("zero", "mask", "cut")}


def edits_of(given: Any) -> list[Edit]:
    """From JSON. Raises RegardError for what is no list of edits; whether the targets exist, Edit.check says."""
    if not isinstance(given, list) or not 0 < len(given) <= MOST_EDITS:
        raise RegardError("edits", "they are no list of edits", f"send 1 to {MOST_EDITS}")
    return [_edit(one) for one in given]


def _edit(given: Any) -> Edit:
    if not isinstance(given, dict):
        raise RegardError("edit", "it is no object", "send part, kind, layer and what they need")
    part, kind, layer = given.get("part"), given.get("kind"), given.get("layer")
    if not isinstance(part, str) or part not in TARGETS:
        raise RegardError("edit", "its part is not known", f"choose one of {', '.join(TARGETS)}")
    if kind not in KINDS[part]:
        raise RegardError("edit", f"its kind is none that {part} can have", f"choose {' or '.join(KINDS[part])}")
    if not _is_number(layer):
        raise RegardError("edit", "its layer is no whole number", "count from 0")
    targets = {name: _numbers(name, given.get(name)) for name in TARGETS[part]}
    return Edit(part=part, kind=kind, layer=layer, **targets)  # type: ignore[arg-type]


def _numbers(name: str, given: Any) -> tuple[int, ...]:
    """Each once, in order."""
    if not isinstance(given, list) or not 0 < len(given) <= LONGEST or not all(_is_number(one) for one in given):
        raise RegardError("edit", f"its {name} are no list of whole numbers", f"send 1 to {LONGEST}, from 0")
    return tuple(sorted(set(given)))


def _is_number(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 31  # type: True is an int, too


def effect_of(recording: Recording, effect: Effect) -> dict[str, Any]:
    """For the page; a position whose true token is not known has no change."""
    names: dict[int, str] = {}

    def name_of(token: int) -> str:
        if token not in names:
            names[token] = recording.name_of(token)
        return names[token]

    def top(readings: Readings) -> list[list[list[Any]]]:
        """(n, 5, label and probability)."""
        shares = np.exp(readings.top_logits[:, :TOP].astype(np.float64) - readings.logsumexp[:, None])
        rows = zip(readings.top[:, :TOP].tolist(), shares.tolist(), strict=True)
        return [[[name_of(token), p] for token, p in zip(tokens, ps, strict=True)] for tokens, ps in rows]

    return {
        "badge": effect.badge, "edits": [str(one) for one in effect.edits], "control": _finite(effect.control),
        "change": [_finite(one) for one in effect.change.tolist()],
        "divergence": [_finite(one) for one in effect.divergence.tolist()],
        "before": top(effect.before), "after": top(effect.after), "mean": _finite(effect.mean_change),
        "moved": _finite(effect.moved), "percentile": effect.percentile,
        "others": [_finite(one) for one in effect.others.tolist()],
        "truth": _truth(effect.after),
        "classes": [taken_for(recording, said) for said in (effect.before, effect.after)],
    }  # fmt: skip


def _truth(readings: Readings) -> dict[str, list[Any]]:
    """What really came next, position by position, in the edited run."""
    p = np.exp(readings.log_probability.astype(np.float64)).tolist()
    return {"p": [_finite(one) for one in p], "rank": readings.rank.tolist(), "ties": readings.ties.tolist()}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
