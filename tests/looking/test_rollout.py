"""Rollout against the product written out, row by row; rows sum to 1; one layer and twin layers in closed form."""

from dataclasses import replace

import numpy as np
import pytest

from regard.errors import RegardError
from regard.looking import rollout as module
from regard.looking.record import Recording
from regard.looking.rollout import rollout

from .patched import planted
from .small import QWEN3, build, look, text


def written_out(recording: Recording, layer: int, i: int) -> np.ndarray:
    """Row i by following mass down the layers: half of it stays, half goes where the heads look, each an equal part."""
    mass = np.eye(recording.n)[i]
    for at in range(layer, -1, -1):
        heads = [recording.weights(at, head).astype(np.float64) for head in range(recording.heads)]
        moved = sum(mass[row] * head[row] for head in heads for row in range(recording.n)) / recording.heads
        mass = 0.5 * mass + 0.5 * moved
    return np.asarray(mass)


@pytest.mark.parametrize(
    "recording", [planted(registers=2).recording, look(build(), text(11))], ids=["a picture", "a text"]
)
def test_each_row_is_what_following_the_mass_gives_and_sums_to_1(recording: Recording) -> None:
    for layer in range(recording.layers):
        found = rollout(recording, layer)
        np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-12)
        for i in range(recording.n):
            np.testing.assert_allclose(found[i], written_out(recording, layer, i), atol=1e-6)


def test_one_token_keeps_everything_and_a_causal_one_takes_from_no_later_one() -> None:
    assert rollout(look(build(), text(1)), 2) == 1
    assert np.triu(rollout(look(build(), text(9)), 2), 1).max() == 0


def test_what_is_not_there_or_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    recording = look(build(replace(QWEN3, layers=2)), text(9))
    with pytest.raises(RegardError, match="layer: 2 was not recorded"):
        rollout(recording, 2)
    monkeypatch.setattr(module, "LARGEST", 8)
    with pytest.raises(RegardError, match="and 9 tokens are over its limit of 8; look at one head instead"):
        rollout(recording, 0)
