"""Answers that the later parts of the views ask for, each against a second computation."""

import json
from typing import Any

import numpy as np
import pytest

from regard.errors import RegardError
from regard.looking.edit import Edit
from regard.looking.record import Recording
from regard.model.block import RMSNorm
from regard.page.answers import answer
from regard.page.effects import effect_of

from ..looking.small import QWEN3, VOCABULARY, build, look, planted, text


@pytest.fixture(scope="module")
def recording() -> Recording:
    return look(build(QWEN3), text(19))


def told(recording: Recording, path: str) -> Any:
    return json.loads(answer(recording, path).body)


def lens_by_hand(recording: Recording, i: int, layer: int) -> np.ndarray[Any, Any]:
    """(vocabulary,) float64: the final norm and the output matrix, written out."""
    model = recording.model
    assert model is not None
    norm = model.output.norm
    assert isinstance(norm, RMSNorm)
    x = recording.stream(layer)[i].astype(np.float64)
    x = x / np.sqrt((x**2).mean() + norm.epsilon) * norm.weight.detach().double().numpy()
    found: np.ndarray[Any, Any] = model.output.matrix.detach().double().numpy() @ x
    return found


def test_the_path_of_any_token_is_its_rank_in_each_layer(recording: Recording) -> None:
    for token in (0, 7, VOCABULARY - 1):
        found = told(recording, f"path/4/{token}")
        assert (found["token"], found["label"]) == (token, recording.name_of(token))
        for layer, step in enumerate(found["path"]):
            logits = lens_by_hand(recording, 4, layer)
            assert step["rank"] == 1 + int((logits > logits[token]).sum())
            assert step["p"] == pytest.approx(np.exp(logits[token]) / np.exp(logits).sum(), rel=1e-5)
            assert (step["layer"], step["ties"]) == (layer, 0)
        assert len(found["path"]) == recording.layers + 1


def test_the_five_likeliest_come_with_their_paths(recording: Recording) -> None:
    whole = told(recording, "position/4")
    assert [one["token"] for one in whole["paths"]] == [token for _, _, token in whole["top"][:5]]
    for one in whole["paths"]:
        assert one == told(recording, f"path/4/{one['token']}")
    assert [one["path"][-1]["rank"] for one in whole["paths"]] == [1, 2, 3, 4, 5]
    truth = told(recording, f"path/4/{recording.tokens.ids[5]}")["path"]
    assert [(one["rank"], one["p"]) for one in truth] == [(one["rank"], one["truthP"]) for one in whole["path"]]


def test_equal_logits_are_told_as_ties() -> None:
    silent = look(planted(gain=0.0), text(5, vocabulary=6))  # nothing is ever written into the answers
    assert [(one["rank"], one["ties"]) for one in told(silent, "path/2/3")["path"]] == [(1, 5), (1, 5)]


@pytest.mark.parametrize("path", ["path/19/0", f"path/4/{VOCABULARY}", "path/4"])
def test_a_path_that_is_not_there_is_refused_in_a_sentence(recording: Recording, path: str) -> None:
    with pytest.raises(RegardError, match="; "):
        answer(recording, path)


def test_without_a_model_there_is_no_path_but_the_likeliest(recording: Recording) -> None:
    alone = Recording(recording.kept, None, recording.model_hash)
    whole = told(alone, "position/4")
    assert (whole["path"], whole["paths"]) == ([], [])
    assert whole["top"] == told(recording, "position/4")["top"]
    with pytest.raises(RegardError, match="needs the model"):
        answer(alone, "path/4/0")


def test_an_effect_tells_what_came_next_in_the_edited_run() -> None:
    """The one head that says something is silenced: every token is as likely as any other, and all are tied."""
    made = look(planted(gain=8.0), text(7, vocabulary=6))
    effect = made.edit([Edit(part="heads", kind="zero", layer=0, heads=(2,))])
    truth = effect_of(made, effect)["truth"]
    assert truth["p"][:-1] == pytest.approx([1 / 6] * 6)
    assert truth["p"][-1] is None
    assert (truth["rank"][:-1], truth["ties"][:-1]) == ([1] * 6, [5] * 6)
    expected = np.log(truth["p"][:-1]) - made.readings.log_probability[:-1]
    np.testing.assert_allclose(effect.change[:-1], expected, atol=1e-6)
    assert np.abs(expected).max() > 0.1
