"""A checkpoint puts back what it was made of, bit for bit, and nothing that does not fit."""

from pathlib import Path

import numpy as np
import pytest
import torch

from regard.errors import RegardError
from regard.files import SafetensorsContent, create, read_safetensors, safetensors_bytes
from regard.training import checkpoint
from regard.training.loop import Learner

from .test_loop import learner, run, state


def written(made: Learner, folder: Path, step: int = 5) -> Path:
    folder.mkdir()
    for name, content in checkpoint.contents(made, step, 1.5).items():
        create(folder / name, content)
    return folder


def changed(path: Path, change: dict[str, np.ndarray | None]) -> None:
    arrays = {name: stored.array for name, stored in read_safetensors(path)[0].items()}
    kept = {name: array for name, array in {**arrays, **change}.items() if array is not None}
    path.unlink()
    create(path, safetensors_bytes(kept))


def test_what_comes_back_is_the_same_and_goes_on_the_same(tmp_path: Path) -> None:
    unbroken, first, second = learner(), learner(), learner(seed=9)
    whole = run(unbroken, 10)
    begun = [first.step(number, (number - 1) / 10).loss for number in range(1, 6)]
    found = checkpoint.restore(second, written(first, tmp_path / "five"))
    assert (found["step"], found["seconds"]) == (5, 1.5)
    assert all(torch.equal(one, other) for one, other in zip(state(first), state(second), strict=True))
    assert checkpoint.differences(found, second) is None
    second.order, second.settings = first.order, first.settings
    assert begun + [second.step(number, (number - 1) / 10).loss for number in range(6, 11)] == whole
    assert all(torch.equal(one, other) for one, other in zip(state(unbroken), state(second), strict=True))


def test_equal_states_make_equal_files(tmp_path: Path) -> None:
    first, second = learner(), learner()
    run(first, 3)
    run(second, 3)
    for name in (checkpoint.MODEL, checkpoint.OPTIMISER):
        assert (written(first, tmp_path / f"a{name}") / name).read_bytes() == \
               (written(second, tmp_path / f"b{name}") / name).read_bytes()  # fmt: skip


def test_the_average_is_what_is_evaluated_and_the_raw_weights_what_is_resumed(tmp_path: Path) -> None:
    made = learner()
    run(made, 3)
    folder = written(made, tmp_path / "three")
    model, optimiser = (read_safetensors(folder / name)[0] for name in (checkpoint.MODEL, checkpoint.OPTIMISER))
    for name, parameter in made.average.model.named_parameters():
        np.testing.assert_array_equal(model[name].array, parameter.numpy())
    for name, parameter in made.model.named_parameters():
        np.testing.assert_array_equal(optimiser[f"raw/{name}"].array, parameter.detach().numpy())
    assert optimiser["step/output.bias"].array == 3
    assert {name.split("/")[0] for name in optimiser} == {"raw", "momentum", "exp_avg", "exp_avg_sq", "step"}


@pytest.mark.parametrize(("name", "array", "said"), [
    ("momentum/blocks.0.weight", None, "momentum/blocks.0.weight"),
    ("raw/extra", np.zeros(3, np.float32), "raw/extra"),
    ("exp_avg/output.weight", np.zeros((4, 1), np.float32), "exp_avg/output.weight"),
    ("raw/output.bias", np.full(1, np.nan, np.float32), "not finite: raw/output.bias (1)"),
    ("exp_avg_sq/output.weight", np.full((1, 4), np.inf, np.float32), "not finite: exp_avg_sq/output.weight (4)"),
])  # fmt: skip
def test_M9_what_does_not_fit_is_refused_by_name(
    name: str, array: np.ndarray | None, said: str, tmp_path: Path
) -> None:
    made = learner()
    run(made, 2)
    folder = written(made, tmp_path / "two")
    changed(folder / checkpoint.OPTIMISER, {name: array})
    with pytest.raises(RegardError) as caught:
        checkpoint.restore(learner(), folder)
    assert str(folder / checkpoint.OPTIMISER) in str(caught.value)
    assert said in str(caught.value)


def test_R17_what_is_not_as_it_was_is_said() -> None:
    made = learner()
    before = checkpoint.circumstances(made)
    said = checkpoint.differences(before | {"threads": 64, "torch": "1.0"}, made)
    assert said is not None
    assert said.count == 2
    assert f"threads 64 → {torch.get_num_threads()}" in said.places
    assert "not bit for bit" in said.what


def test_the_content_knows_its_size() -> None:
    content = checkpoint.contents(learner(), 1, 0.0)[checkpoint.OPTIMISER]
    assert isinstance(content, SafetensorsContent)
    assert content.size > 4 * 4 * 4
