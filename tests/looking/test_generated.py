"""One pass over what a model said against the steps in which it said it; a recording keeps the outcome."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from regard.errors import RegardError
from regard.files import read_safetensors
from regard.looking.draw import draw_heads
from regard.looking.generated import TOLERANCE, Generated, compared
from regard.looking.record import Recording

from .small import WORDS, build, look, planted, text
from .test_store import forge, set_in

N, START = 14, 5
HOW = {"tokens": N - START, "temperature": 0.8, "seed": 0}


@pytest.fixture(scope="module")
def recording() -> Recording:
    return look(build(), text(N))


def steps(recording: Recording) -> tuple[list[int], list[float]]:
    """What each step expected and gave, from the logits of the pass itself, in float64."""
    logits = recording.kept.logits
    assert logits is not None
    log_p = logits.double().log_softmax(dim=-1)[START - 1 : N - 1]
    said = recording.tokens.ids[START:]
    return log_p.argmax(dim=-1).tolist(), [float(row[token]) for row, token in zip(log_p, said, strict=True)]


def test_the_same_pass_agrees_with_itself(recording: Recording) -> None:
    likeliest, log_p = steps(recording)
    found = compared(recording.readings, START, likeliest, log_p, HOW)
    assert (found.start, found.same, found.sampling) == (START, True, HOW)
    assert found.difference < 1e-6
    assert (found.agrees, found.mark) == (True, "forced pass agrees")


@pytest.mark.parametrize("at", [0, 4, N - START - 1])
def test_one_step_that_expected_something_else_is_seen(recording: Recording, at: int) -> None:
    likeliest, log_p = steps(recording)
    other = [*likeliest[:at], (likeliest[at] + 1) % 29, *likeliest[at + 1 :]]
    found = compared(recording.readings, START, other, log_p, HOW)
    assert (found.same, found.agrees, found.mark) == (False, False, "forced pass differs")
    off = [value + (2 * TOLERANCE if k == at else 0) for k, value in enumerate(log_p)]
    found = compared(recording.readings, START, likeliest, off, HOW)
    assert (found.same, found.agrees) == (True, False)
    assert found.difference == pytest.approx(2 * TOLERANCE, rel=1e-2)
    near = [value - TOLERANCE / 2 for value in log_p]
    assert compared(recording.readings, START, likeliest, near, HOW).agrees


def test_of_tokens_that_are_equally_likely_any_counts() -> None:
    """Nothing is written into the answers, so all six words have the same logit; which is named first is chance."""
    silent = look(planted(gain=0.0), text(6, vocabulary=WORDS))
    for word in range(WORDS):
        found = compared(silent.readings, 3, [word] * 3, [-math.log(WORDS)] * 3, HOW)
        assert (found.same, found.agrees) == (True, True)


def generated(recording: Recording, **other: Any) -> Recording:
    said = Generated(START, same=True, difference=3e-6, sampling=HOW)
    return Recording(replace(recording.kept, generated=replace(said, **other)), recording.model)


def test_a_recording_keeps_which_tokens_the_model_said(recording: Recording, tmp_path: Path) -> None:
    for name, made in (("a", generated(recording)), ("b", generated(recording, same=False, difference=0.5))):
        made.save(tmp_path / f"{name}.regard")
        again = Recording.load(tmp_path / f"{name}.regard")
        assert again.generated == made.generated
        assert (again.id, again.model_hash) == (made.id, made.model_hash)
        np.testing.assert_array_equal(again.weights(1, 2), recording.weights(1, 2))
        assert again.prove(seed=1).check("E").passed
    assert generated(recording).id != generated(recording, start=START + 1).id != recording.id


def test_files_without_such_tokens_stay_as_older_versions_wrote_them(recording: Recording, tmp_path: Path) -> None:
    recording.save(tmp_path / "plain.regard")
    generated(recording).save(tmp_path / "said.regard")
    plain, said = (read_safetensors(tmp_path / f"{name}.regard")[1] for name in ("plain", "said"))
    assert (plain["format"], said["format"]) == ("regard recording 1", "regard recording 2")
    assert "generated" not in plain["recording"]
    assert Recording.load(tmp_path / "plain.regard").generated is None


def without(name: str) -> Callable[[dict[str, Any], Any], None]:
    def change(facts: dict[str, Any], _tensors: Any) -> None:
        del facts["generated"][name]

    return change


WRONG = [
    *(set_in("generated", "start", to=value) for value in (0, N, -1, 2.5, True, "5")),
    *(set_in("generated", "same", to=value) for value in (1, "yes", None)),
    *(set_in("generated", "difference", to=value) for value in (-1.0, float("inf"), float("nan"), "0", None, 0)),
    *(set_in("generated", "sampling", to=value) for value in ([], "greedy", None)),
    set_in("generated", to=None), set_in("generated", to=[]), set_in("generated", "more", to=1),
    *map(without, ("start", "same", "difference", "sampling")),
]  # fmt: skip


@pytest.mark.parametrize("change", WRONG)
def test_forged_facts_about_them_are_refused(recording: Recording, tmp_path: Path, change: Any) -> None:
    generated(recording).save(tmp_path / "said.regard")
    forge(tmp_path / "said.regard", change)
    with pytest.raises(RegardError, match="its facts do not fit together"):
        Recording.load(tmp_path / "said.regard")


def test_pictures_say_which_tokens_are_the_models_own(recording: Recording) -> None:
    drawing = draw_heads(generated(recording, same=False))
    assert drawing.facts["generated"] == f"from token {START} on the model's own words, forced pass differs"
    assert f"from token {START} on the model's own words, forced pass differs" in " ".join(
        getattr(item, "text", "") for item in drawing.items
    )
    assert "generated" not in draw_heads(recording).facts
