"""A recording comes back from its file bit for bit; a file that was changed, forged or of another kind is refused."""

import getpass
import json
import os
import platform
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from regard.errors import RegardError
from regard.files import Stored, read_safetensors, safetensors_bytes, write
from regard.looking.record import Recording, record
from regard.looking.store import _digest, _tensor
from regard.model.sequence import Sequence
from regard.model.transformer import Transformer

from .small import GPT2, LAYERS, QWEN3, build, look, named, text


@pytest.fixture(scope="module")
def model() -> Transformer:
    return build(replace(QWEN3, layers=2))


@pytest.fixture
def saved(model: Transformer, tmp_path: Path) -> Path:
    recording = look(model, text(14))
    recording.prove(seed=4)
    recording.save(tmp_path / "a.regard")
    return tmp_path / "a.regard"


def test_it_comes_back_bit_for_bit(model: Transformer, saved: Path) -> None:
    recording = look(model, text(14))
    again = Recording.load(saved, model=model)
    assert again.tokens == recording.tokens
    assert again.model_hash == recording.model_hash
    assert again.badge.startswith("Proven")
    for key, call in recording.kept.calls.items():
        other = again.kept.calls[key]
        for part in ("query", "key", "value", "out", "logsumexp"):
            assert torch.equal(getattr(call, part), getattr(other, part))
        assert (call.scale, call.kernel, call.dtype, call.marks) == (
            other.scale,
            other.kernel,
            other.dtype,
            other.marks,
        )
    for key, stream in recording.kept.streams.items():
        assert torch.equal(stream, again.kept.streams[key])
    for name in type(recording.readings).__dataclass_fields__:
        np.testing.assert_array_equal(getattr(recording.readings, name), getattr(again.readings, name))
    assert recording.kept.logits is not None
    assert again.kept.logits is not None
    assert torch.equal(recording.kept.logits, again.kept.logits)
    np.testing.assert_array_equal(recording.weights(1, 2), again.weights(1, 2))
    np.testing.assert_array_equal(recording.contributions(1, 2), again.contributions(1, 2))
    assert again.prove(seed=1).passed


def test_the_id_is_of_content_without_the_proof(model: Transformer, saved: Path, tmp_path: Path) -> None:
    stored = json.loads(read_safetensors(saved)[1]["recording"])
    again = Recording.load(saved)
    assert again.id == read_safetensors(saved)[1]["id"]
    bare = Recording(again.kept, None, again.model_hash)
    bare.save(tmp_path / "bare.regard")
    assert Recording.load(tmp_path / "bare.regard").id == again.id
    assert Recording.load(tmp_path / "bare.regard").proof is None
    assert look(model, text(15)).id != again.id
    assert stored["facts"]["name"] == "small"


def test_without_the_model_it_says_what_needs_it(saved: Path) -> None:
    recording = Recording.load(saved)
    assert recording.weights(0, 0).shape == (14, 14)
    for asked in (lambda: recording.contributions(0, 0), lambda: recording.lens(0, 1), lambda: recording.edit([])):
        with pytest.raises(RegardError, match="needs the model, and this file holds none; load it with model="):
            asked()
    before = recording.badge
    proof = recording.prove(seed=9)  # A, B and E anew, the others as stored
    assert proof.badge == before
    assert proof.check("A").note == ""
    assert proof.check("C").passed
    assert proof.check("C").note == " (as stored in the file)"
    assert recording.prove().check("G").note == "all 4 kinds (as stored in the file)"


def test_another_checkpoint_is_refused(saved: Path) -> None:
    with pytest.raises(RegardError, match=r"it was made with other weights \([0-9a-f]{12}\)"):
        Recording.load(saved, model=build(replace(QWEN3, layers=2), seed=9))


def test_every_changed_byte_is_refused(saved: Path) -> None:
    whole = saved.read_bytes()
    start = 8 + int.from_bytes(whole[:8], "little")
    for at in np.linspace(9, len(whole) - 1, 60, dtype=int):
        changed = bytearray(whole)
        changed[at] ^= 1
        saved.write_bytes(changed)
        try:
            found = Recording.load(saved)
        except RegardError:
            continue
        assert at < start, "a changed array was opened"  # only the proof is outside the id, and whitespace
        assert found.id == json.loads(whole[8:start])["__metadata__"]["id"]
    for end in (0, 5, start - 3, len(whole) - 1):
        saved.write_bytes(whole[:end])
        with pytest.raises(RegardError):
            Recording.load(saved)


def forge(path: Path, change: Callable[[dict[str, Any], dict[str, Stored]], None]) -> None:
    """Changes facts or arrays and puts the right id beside them, as someone would who means harm."""
    tensors, metadata = read_safetensors(path)
    facts = json.loads(metadata["recording"])
    change(facts, tensors)
    header = json.dumps(facts, sort_keys=True)
    digest = _digest({name: _tensor(one, name, path) for name, one in tensors.items()}, header)
    write(path, safetensors_bytes(tensors, metadata | {"recording": header, "id": digest}), overwrite=True)


def set_in(*path: Any, to: Any) -> Callable[[dict[str, Any], dict[str, Stored]], None]:
    def change(facts: dict[str, Any], _tensors: dict[str, Stored]) -> None:
        at: Any = facts
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = to

    return change


def drop_array(facts: dict[str, Any], tensors: dict[str, Stored]) -> None:
    del tensors["self.1.key"]


def add_array(facts: dict[str, Any], tensors: dict[str, Stored]) -> None:
    tensors["more"] = Stored(np.zeros(3, np.float32), "F32")


def other_shape(facts: dict[str, Any], tensors: dict[str, Stored]) -> None:
    tensors["self.0.out"] = Stored(tensors["self.0.out"].array[:, :-1].copy(), "F32")


def other_type(facts: dict[str, Any], tensors: dict[str, Stored]) -> None:
    tensors["self.0.value"] = Stored(np.zeros(tensors["self.0.value"].array.shape, np.int64), "I64")


FORGERIES = [
    drop_array, add_array, other_shape, other_type,
    set_in("tokens", "ids", to=[1] * 8193), set_in("tokens", "labels", to=["a"]),
    set_in("tokens", "kinds", 0, to="virus"), set_in("tokens", "raw", 0, to="zz"), set_in("tokens", "ids", 0, to="1"),
    set_in("calls", to=[]), set_in("calls", 0, "mask", to=["causal", 99, 99, None]),
    set_in("calls", 0, "mask", to=["mixed", 14, 14, "mask.7"]), set_in("calls", 0, "scale", to="wide"),
    set_in("calls", 0, "marks", to={}), set_in("calls", 0, "layer", to=1), set_in("streams", to=[["in", "up"]]),
    set_in("facts", to={}), set_in("facts", "made", to=5), set_in("logits", to=None), set_in("model_hash", to=None),
    set_in("facts", "config", "width", to=10**12),
]  # fmt: skip


@pytest.mark.parametrize("change", FORGERIES)
def test_forged_facts_are_refused_in_one_sentence(
    saved: Path, change: Callable[[dict[str, Any], dict[str, Stored]], None]
) -> None:
    forge(saved, change)
    with pytest.raises(RegardError, match="its facts do not fit together"):
        Recording.load(saved)


def test_other_files_are_refused(tmp_path: Path) -> None:
    other = tmp_path / "weights.safetensors"
    write(other, safetensors_bytes({"a": np.zeros(3, np.float32)}))
    with pytest.raises(RegardError, match="this is not a 'regard recording 1'"):
        Recording.load(other)
    with pytest.raises(RegardError, match="there is no such file"):
        Recording.load(tmp_path / "none.regard")


def test_it_is_written_under_its_own_ending_and_never_over_something(model: Transformer, saved: Path) -> None:
    recording = look(model, text(3))
    with pytest.raises(RegardError, match=r"a recording's name ends in \.regard"):
        recording.save(saved.with_suffix(".pkl"))
    with pytest.raises(RegardError, match="this file exists"):
        recording.save(saved)
    recording.save(saved, overwrite=True)
    assert Recording.load(saved).n == 3


def test_M18_a_file_tells_nothing_of_who_made_it(saved: Path) -> None:
    content = saved.read_bytes()
    for secret in (str(Path.home()), os.getcwd(), getpass.getuser() + "@", platform.node(), str(saved.parent)):
        assert len(secret) < 4 or secret.encode() not in content
    assert content[8:9] == b"{"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_every_type_comes_back(tmp_path: Path, dtype: torch.dtype) -> None:
    recording = look(build(replace(GPT2, layers=1)).to(dtype), text(9))
    assert recording.kept.call("self", 0).query.dtype == dtype
    recording.save(tmp_path / "a.regard")
    again = Recording.load(tmp_path / "a.regard")
    assert torch.equal(again.kept.call("self", 0).key, recording.kept.call("self", 0).key)
    np.testing.assert_array_equal(again.weights(0, 1), recording.weights(0, 1))


def test_a_mask_of_its_own_comes_back(tmp_path: Path) -> None:
    ids = text(11)
    packed = Sequence.packed(ids, torch.tensor([[0] * 4 + [1] * 7]))
    recording = record(build(), packed, named(ids))
    recording.save(tmp_path / "a.regard")
    again = Recording.load(tmp_path / "a.regard")
    np.testing.assert_array_equal(again.mask(LAYERS - 1), recording.mask(0))
    assert len([name for name in read_safetensors(tmp_path / "a.regard")[0] if name.startswith("mask")]) == 1
    assert again.prove(seed=1).check("E").passed
