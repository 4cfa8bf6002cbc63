"""What a page is told is what the recording holds: every answer against the recording, and refusals by name."""

import json
import math
import struct
from typing import Any

import numpy as np
import pytest
import torch

from regard.errors import RegardError
from regard.looking.record import Recording
from regard.page.answers import answer, every_question, takes_long

from ..looking.small import QWEN3, build, look, text


@pytest.fixture(scope="module")
def recording() -> Recording:
    return look(build(QWEN3), text(19))


def told(recording: Recording, path: str) -> Any:
    found = answer(recording, path)
    assert found.kind == "application/json"
    return json.loads(found.body)


def arrays(body: bytes) -> dict[str, Any]:
    """What exact.js reads from an answer about vectors."""
    (length,) = struct.unpack_from("<I", body, 4)
    header = json.loads(body[8 : 8 + length])
    at = 8 + length + (-(8 + length) % 8)
    for name, kind, count in header["arrays"]:
        header[name] = np.frombuffer(body, np.dtype(kind), count, at)
        at += header[name].nbytes + (-header[name].nbytes % 8)
    assert at == len(body)
    return header


def test_facts_name_every_token_and_size(recording: Recording) -> None:
    facts = told(recording, "facts")
    assert (facts["n"], facts["layers"], facts["heads"], facts["groups"], facts["d"]) == (19, 3, 6, 2, 10)
    assert facts["tokens"]["labels"] == list(recording.tokens.labels)
    assert len(facts["palette"]) == 256 * 6
    assert facts["badge"].startswith("Not proven")


@pytest.mark.parametrize("what", ["weights", "scores", "contributions", "mean"])
@pytest.mark.parametrize("z", [0, 2])
def test_a_tile_is_the_recordings_own(recording: Recording, what: str, z: int) -> None:
    found = answer(recording, f"tile/self/2/3/{what}/{z}/0/0")
    assert found.kind == "application/octet-stream"
    magic, rows, columns, kind = struct.unpack_from("<4sIII", found.body)
    assert (magic, kind) == (b"RGT1", 1)
    cells = np.frombuffer(found.body, "<f4", offset=16).reshape(rows, columns)
    expected = recording.tile(2, 3, z, 0, 0, what=what)  # type: ignore[arg-type]
    np.testing.assert_array_equal(cells, expected)
    assert np.isnan(cells).any() or z


def test_vectors_give_every_weight_again(recording: Recording) -> None:
    for layer, head in ((0, 0), (2, 5)):
        found = arrays(answer(recording, f"vectors/self/{layer}/{head}").body)
        n, d = found["n"], found["d"]
        query, key = (found[name].reshape(n, d).astype(np.float64) for name in ("query", "key"))
        scores = query @ key.T * found["scale"]
        weights = np.exp(scores - found["logsumexp"][:, None]) * np.tri(n)
        np.testing.assert_allclose(weights, recording.weights(layer, head), atol=6e-8)
        moved = recording.contributions(layer, head) / np.maximum(recording.weights(layer, head), 1e-30)
        np.testing.assert_allclose(found["valueNorms"], moved[-1], rtol=1e-5)
        assert found["sharedBy"] == ([0, 1, 2] if head == 0 else [3, 4, 5])
        mixture = weights @ found["value"].reshape(n, -1)
        np.testing.assert_allclose(mixture, found["out"].reshape(n, -1), atol=1e-5)


def test_where_it_comes_from_needs_no_proof(recording: Recording) -> None:
    assert recording.proof is None
    assert told(recording, "origin") == {"recording": recording.id, "model": recording.model_hash}
    assert len(recording.id) == 64
    assert "origin" in every_question(recording, [])
    assert takes_long(recording, "origin")  # bytes of the whole recording: no tile waits behind them


def test_predictions_are_the_readings(recording: Recording) -> None:
    rows = told(recording, "prediction/0/19")
    logits = recording.kept.logits
    assert logits is not None
    p = logits.double().softmax(dim=-1)
    ids = recording.tokens.ids
    for i, row in enumerate(rows[:-1]):
        assert row["p"] == pytest.approx(float(p[i, ids[i + 1]]), rel=1e-5)
        assert row["surprisal"] == pytest.approx(-math.log2(row["p"]))
        assert row["rank"] == 1 + int((logits[i] > logits[i, ids[i + 1]]).sum())
        assert row["top"][0][2] == int(logits[i].argmax())
    assert rows[-1]["truth"] is rows[-1]["p"] is rows[-1]["surprisal"] is None


def test_a_lens_reads_each_layer_and_the_last_one_is_the_output(recording: Recording) -> None:
    whole = told(recording, "position/4")
    assert len(whole["top"]) == 29
    assert [row["layer"] for row in whole["path"]] == [0, 1, 2, 3]
    assert whole["path"][-1]["truthP"] == pytest.approx(whole["p"], rel=1e-4)
    for layer in range(4):
        (row,) = told(recording, f"lens/{layer}/4/5")
        assert row["truthP"] == pytest.approx(whole["path"][layer]["truthP"], rel=1e-5)
        assert row["rank"] == whole["path"][layer]["rank"]


def test_neighbours_are_found_in_the_full_space(recording: Recording) -> None:
    stream = torch.from_numpy(recording.stream(2)).double()
    cosine = torch.nn.functional.cosine_similarity(stream, stream[7:8])
    found = told(recording, "near/stream/2/7")
    assert [one["i"] for one in found] == [i for i in cosine.argsort(descending=True).tolist() if i != 7][:10]
    assert found[0]["cosine"] == pytest.approx(float(cosine[found[0]["i"]]))
    key = told(recording, "near/key.4/1/7")
    assert len(key) == 10


def test_every_question_of_a_saved_page_has_an_answer(recording: Recording) -> None:
    asked = every_question(recording, [(0, 1), (2, 5)])
    assert len(asked) == len(set(asked))
    for question in asked:
        assert answer(recording, question).body


@pytest.mark.parametrize("path", [
    "", "nothing", "facts/1", "tile/self/0/0/weights/0/0", "tile/self/0/99/weights/0/0/0", "tile/self/0/0/guess/0/0/0",
    "tile/self/0/0/weights/9/0/0", "tile/cross/0/0/weights/0/0/0", "vectors/self/7/0", "vectors/self/-1/0",
    "prediction/3/2", "prediction/0/999", "position/19", "lens/9/0/1", "space/stream/9/own/centred",
    "space/key/0/own/centred", "space/key.9/0/own/raw", "space/key.x/0/own/raw",
    "near/stream/0/19", "near/stream/0/1e3", "measures/self/3", "position/٣",
])  # fmt: skip
def test_what_is_not_there_is_refused_in_a_sentence(recording: Recording, path: str) -> None:
    with pytest.raises(RegardError) as refusal:
        answer(recording, path)
    assert "; " in str(refusal.value)
