"""What the page computes with: queries and keys turn back into what they were before rotation; blocks as recorded."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from regard.errors import RegardError
from regard.looking.record import Recording, record
from regard.model.config import PositionConfig
from regard.model.mask import Places
from regard.model.sequence import Sequence
from regard.page.answers import answer

from ..looking.small import CONFIGS, QWEN3, before_rotation, build, look, named, text
from .test_answers import arrays

N = 23


def turned_back(x: np.ndarray, found: dict[str, Any]) -> np.ndarray:
    """(n, d) float64, by what the header says: pairs (c, c + d / 2), each axis in turn; angles are float32."""
    half, axes = found["d"] // 2, found["position"]["axes"]
    place = found["positions"].reshape(-1, axes)[:, np.arange(half) % axes]  # (n, d / 2)
    angle = (place * found["speeds"]).astype(np.float32).astype(np.float64)
    a, b = x[:, :half].astype(np.float64), x[:, half:].astype(np.float64)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.concatenate((a * cos + b * sin, b * cos - a * sin), axis=1)


def recorded(start: int, norm: bool, axes: int) -> tuple[Recording, dict[tuple[str, int], Tensor]]:
    model = build(replace(QWEN3, attention=replace(QWEN3.attention, query_key_norm=norm)))
    ids = text(N)
    position = torch.stack([(torch.arange(N) * (1 + 2 * axis) + start) for axis in range(axes)], dim=-1)[None]
    sequence = Sequence.of(ids, position, Places.text(0, N, ids.device))
    with before_rotation(model) as found:
        return record(model, sequence, named(ids), name="turned"), found


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize(("start", "axes"), [(0, 1), (8000, 1), (7, 2)])
def test_queries_and_keys_turn_back_into_what_they_were_before(start: int, norm: bool, axes: int) -> None:
    """At position 8000 the angles themselves, rounded to float32 by the model, are what must be turned back."""
    recording, before = recorded(start, norm, axes)
    for layer, head in ((0, 0), (2, 5)):
        found = arrays(answer(recording, f"vectors/self/{layer}/{head}").body)
        assert found["position"] == {"kind": "rotary", "theta": 10_000.0, "axes": axes}
        for part, at in (("query", head), ("key", head // 3)):
            x = found[part].reshape(N, found["d"])
            expected = before[part, layer][0, at].numpy()
            assert np.abs(x[1:] - expected[1:]).max() > 0.1  # they were turned
            np.testing.assert_allclose(turned_back(x, found), expected, atol=2e-6)


@pytest.mark.parametrize("kind", ["gpt2", "post"])
def test_positions_that_are_added_have_nothing_to_turn_back(kind: str) -> None:
    found = arrays(answer(look(build(CONFIGS[kind]), text(N)), "vectors/self/0/0").body)
    assert found["position"] == {"kind": CONFIGS[kind].position.kind}
    assert "positions" not in found
    assert "speeds" not in found


def test_theta_is_the_models_own() -> None:
    config = replace(QWEN3, position=PositionConfig(theta=500_000.0))
    found = arrays(answer(look(build(config), text(N)), "vectors/self/0/0").body)
    assert found["position"]["theta"] == 500_000.0
    np.testing.assert_allclose(found["speeds"], 500_000.0 ** -(np.arange(5) / 5), rtol=1e-6)


@pytest.fixture(scope="module")
def recording() -> Recording:
    return look(build(), text(N))


def test_a_block_is_told_as_recorded(recording: Recording) -> None:
    told = json.loads(answer(recording, "block/self/1/4/3/11/2/20").body)
    found = recording.block(1, 4, slice(3, 12), slice(2, 21))
    assert found.contributions is not None
    assert (told["cells"], told["allowed"]) == (9 * 19, found.allowed)
    for name, amount in (("weights", found.weights), ("contributions", found.contributions)):
        assert told[name] == {
            "sum": amount.sum,
            "mean": amount.mean,
            "largest": amount.largest,
            "at": list(amount.at or ()),
        }
    barred = json.loads(answer(recording, "block/self/1/4/0/2/9/9").body)
    assert barred["weights"] == {"sum": 0.0, "mean": None, "largest": None, "at": None}


def test_without_the_model_a_block_has_no_contributions(recording: Recording) -> None:
    alone = Recording(recording.kept, None, recording.model_hash)
    assert json.loads(answer(alone, "block/self/1/4/3/11/2/20").body)["contributions"] is None


NONE = ("self/0/0/3/2/0/0", "self/0/0/0/0/5/4", f"self/0/0/0/{N}/0/0", f"self/0/0/0/0/0/{N}", "self/0/9/0/0/0/0",
        "cross/0/0/0/0/0/0")  # fmt: skip


@pytest.mark.parametrize("path", NONE)
def test_what_is_no_block_is_refused_in_a_sentence(recording: Recording, path: str) -> None:
    with pytest.raises(RegardError, match=r"; (choose|give) "):
        answer(recording, f"block/{path}")
