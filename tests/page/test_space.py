"""Where tokens are drawn and how much that explains, against NumPy's SVD of the same vectors in float64."""

import json
from typing import Any

import numpy as np
import pytest

from regard.errors import RegardError
from regard.looking.record import Recording
from regard.page.answers import answer, every_question
from regard.page.space import axes_of, space

from ..looking.small import GPT2, LAYERS, QWEN3, build, look, text

Array = np.ndarray[Any, Any]
N = 19


@pytest.fixture(scope="module", params=[QWEN3, GPT2], ids=["qwen3", "gpt2"])
def recording(request: pytest.FixtureRequest) -> Recording:
    return look(build(request.param), text(N))


def streams(recording: Recording) -> list[Array]:
    return [recording.stream(layer).astype(np.float64) for layer in range(LAYERS + 1)]


def by_svd(vectors: Array) -> tuple[Array, Array]:
    """(2, width) right singular vectors, the largest loading of each positive; the squares of all singular values."""
    _, singular, directions = np.linalg.svd(vectors, full_matrices=False)
    two = np.stack([one * np.sign(one[np.abs(one).argmax()]) for one in directions[:2]])
    return two, singular**2


@pytest.mark.parametrize("centring", ["centred", "raw"])
@pytest.mark.parametrize("what", ["stream", "query.2", "key.1", "value.0"])
def test_a_layers_own_basis_is_its_svd(recording: Recording, what: str, centring: str) -> None:
    kind, _, head = what.partition(".")
    for layer in range(LAYERS):
        call = recording.kept.call("self", layer)
        vectors = recording.stream(layer).astype(np.float64)
        if head:
            at = int(head) if kind == "query" else call.group(int(head))
            vectors = getattr(call, kind)[at].double().numpy()
        about = vectors - vectors.mean(axis=0) if centring == "centred" else vectors
        two, squares = by_svd(about)
        found = space(recording, what, layer, "own", centring)
        np.testing.assert_allclose(np.stack([found["x"], found["y"]]), two @ about.T, atol=1e-9)
        np.testing.assert_allclose(found["explained"], squares[:2] / squares.sum(), rtol=1e-9)
        np.testing.assert_allclose(found["norms"], np.linalg.norm(vectors, axis=1))
        assert "overall" not in found


@pytest.mark.parametrize("centring", ["centred", "raw"])
def test_one_basis_for_all_layers_is_the_svd_of_all_streams_together(recording: Recording, centring: str) -> None:
    whole = np.concatenate(streams(recording))
    centre = whole.mean(axis=0) if centring == "centred" else np.zeros(whole.shape[1])
    two, squares = by_svd(whole - centre)
    points = [(one - centre) @ two.T for one in streams(recording)]
    for layer, vectors in enumerate(streams(recording)):
        found = space(recording, "stream", layer, "all", centring)
        np.testing.assert_allclose(np.stack([found["x"], found["y"]], axis=1), points[layer], atol=1e-9)
        np.testing.assert_allclose(found["overall"], squares[:2] / squares.sum(), rtol=1e-9)
        own = vectors - vectors.mean(axis=0) if centring == "centred" else vectors
        np.testing.assert_allclose(found["explained"], ((own @ two.T) ** 2).sum(axis=0) / (own**2).sum(), rtol=1e-9)


def test_the_mean_counts_only_where_it_is_left_in() -> None:
    """Vectors far from zero and alike: raw, nearly everything lies along their mean; centred, nothing of it is left."""
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(40, 5)) * [9, 4, 1, 0.5, 0.1] + [0, 0, 0, 0, 1000]
    raw, centred = (
        axes_of(lambda: [vectors], centred=False),
        axes_of(lambda: [vectors[:13], vectors[13:]], centred=True),
    )
    assert raw.shares[0] == pytest.approx(raw.explained(vectors)[0])
    assert raw.shares[0] > 0.999
    assert raw.directions[4, 0] == pytest.approx(1, abs=1e-3)
    singular = np.linalg.svd(vectors - vectors.mean(axis=0), compute_uv=False) ** 2
    np.testing.assert_allclose(centred.shares, singular[:2] / singular.sum())
    assert abs(centred.directions[4]).max() < 0.1
    assert abs(centred.along(vectors).mean(axis=0)).max() < 1e-9
    assert np.sign(centred.directions[abs(centred.directions).argmax(axis=0), [0, 1]]).tolist() == [1, 1]


def test_one_token_and_one_number_have_no_second_direction() -> None:
    alone = axes_of(lambda: [np.array([[3.0, 4.0]])], centred=True)
    assert (alone.shares, alone.directions.any()) == ([0.0, 0.0], False)
    thin = axes_of(lambda: [np.array([[1.0], [2.0], [4.0]])], centred=True)
    assert thin.along(np.array([[1.0], [4.0]]))[:, 1].tolist() == [0, 0]
    assert thin.shares[0] == pytest.approx(1)


def test_the_same_is_answered_twice_and_in_a_saved_page(recording: Recording) -> None:
    asked = [one for one in every_question(recording, [(1, 2)]) if one.startswith("space/")]
    assert len(asked) == 4 * (LAYERS + 1) + 3 * 2
    again = Recording(recording.kept, recording.model)
    for question in asked:
        assert answer(recording, question).body == answer(recording, question).body == answer(again, question).body
        assert json.loads(answer(recording, question).body)["x"]


@pytest.mark.parametrize("words", ["stream/0/both/centred", "stream/0/own/whitened", "query.0/0/all/centred",
                                   "value.0/1/all/raw", "stream/9/all/centred", "stream/0"])  # fmt: skip
def test_what_is_not_there_is_refused_in_a_sentence(recording: Recording, words: str) -> None:
    with pytest.raises(RegardError, match="; "):
        answer(recording, f"space/{words}")
