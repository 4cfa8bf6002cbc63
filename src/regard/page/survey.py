"""What the page is told of a survey: every head's means over held-out text, and the windows of one head.

Windows are known by their numbers, from 0, in the text's order.
"""

from collections.abc import Sequence
from typing import Any

from regard.errors import RegardError
from regard.looking.kept import Tokens
from regard.looking.measures import FEW
from regard.looking.record import Recording
from regard.looking.survey import MEASURES, Survey

SHOWN = 60
"""Signs of a window that are shown, at least, where it has as many."""


def survey(recording: Recording) -> dict[str, Any]:
    """Mean, spread and count of every head's measures; and each window, its text whole and its first labels.

    mean[layer][head] is like an answer about one text: {measure: number}, and whether induction has few rows. Raises
    RegardError where nothing was measured yet.
    """
    found = _survey(recording)
    windows, few = found.windows, found.few()
    layers, heads = few.shape

    def of_heads(part: str) -> list[list[dict[str, Any]]]:
        numbers = {name: getattr(found, part)(name) for name in MEASURES} | {"few": few.tolist()}
        return [[{name: array[layer][head] for name, array in numbers.items()} for head in range(heads)]
                for layer in range(layers)]  # fmt: skip

    return {
        **{name: getattr(windows, name) for name in ("size", "tokens", "seed", "source", "digest")},
        **{part: of_heads(part) for part in ("mean", "spread", "count")},
        "windows": [{"start": windows.starts[k], "text": windows.text(k), "labels": beginning(windows.named[k])}
                    for k in range(len(windows))],
    }  # fmt: skip


def head_windows(recording: Recording, measure: str, layer: int, head: int) -> dict[str, Any]:
    """The ten with its largest numbers and ten at random: number of the window, value, whether over too few rows."""
    found = _survey(recording)
    if measure not in MEASURES:
        raise RegardError("measure", f"{measure[:40]!r} is not known", f"ask one of {', '.join(MEASURES)}")
    _, layers, heads = found.induction_rows.shape
    for name, at, count in (("layer", layer, layers), ("head", head, heads)):
        if at >= count:
            raise RegardError(name, f"{at} does not exist", f"choose 0 to {count - 1}")
    values, rows = found.values[measure][:, layer, head], found.induction_rows[:, layer, head]

    def told(chosen: list[int]) -> list[list[Any]]:
        return [[k, values[k], bool(measure == "induction" and 0 < rows[k] < FEW)] for k in chosen]

    seed = found.windows.seed
    return {"strongest": told(found.strongest(measure, layer, head)), "random": told(found.random(seed=seed))}


def survey_questions(recording: Recording, heads: Sequence[tuple[int, int]]) -> list[str]:
    """All of them, for a saved page; none where nothing was measured."""
    if recording.survey is None:
        return []
    return ["survey", *(f"windows/{name}/{layer}/{head}" for layer, head in heads for name in MEASURES)]


def beginning(tokens: Tokens) -> list[str]:
    """The labels of a window's first tokens."""
    signs, found = 0, list[str]()
    for label in tokens.labels:
        if signs >= SHOWN:
            break
        found.append(label)
        signs += len(label)
    return found


def _survey(recording: Recording) -> Survey:
    if recording.survey is None:
        raise RegardError("survey", "no held-out text is measured yet", "ask for it with the run, or run.survey()")
    return recording.survey
