"""What is in a checkpoint, and how it comes back: averaged and raw weights, optimisers' numbers, step and seconds."""

import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from regard.errors import Notice, RegardError, places
from regard.files import read_safetensors, safetensors_bytes
from regard.training.loop import Learner

MODEL, OPTIMISER, STATE = "model.safetensors", "optim.safetensors", "state.json"


def contents(learner: Learner, step: int, seconds: float) -> dict[str, Any]:
    """The files of a checkpoint after `step`. seconds: used so far."""
    raw = {f"raw/{name}": array_of(p) for name, p in learner.model.named_parameters()}
    state = {
        "step": step,
        "seconds": seconds,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "ranks": learner.ranks.count,
        "device": learner.ranks.device.type,
    }
    return {
        MODEL: safetensors_bytes({name: array_of(p) for name, p in learner.average.model.named_parameters()}),
        OPTIMISER: safetensors_bytes({**raw, **_optimiser_arrays(learner)}),
        STATE: json.dumps(state, indent=1).encode(),
    }


def array_of(tensor: Tensor) -> np.ndarray:
    array: np.ndarray = tensor.detach().cpu().contiguous().numpy()
    return array


def _optimiser_arrays(learner: Learner) -> dict[str, np.ndarray]:
    names = {id(parameter): name for name, parameter in learner.model.named_parameters()}
    return {
        f"{key}/{names[id(parameter)]}": array_of(value)
        for optimiser in learner.optimisers
        for parameter, values in optimiser.state.items()
        for key, value in values.items()
    }


def restore(learner: Learner, folder: Path) -> dict[str, Any]:
    """Puts a checkpoint's numbers back, bit for bit; returns its state.json. Raises RegardError if they do not fit."""
    load_weights(learner.average.model, folder / MODEL)
    arrays, _ = read_safetensors(folder / OPTIMISER)
    tensors = {name: torch.from_numpy(np.array(stored.array)) for name, stored in arrays.items()}
    put(learner.model, {n[4:]: t for n, t in tensors.items() if n.startswith("raw/")}, folder / OPTIMISER)
    for optimiser in learner.optimisers:
        for group in optimiser.param_groups:
            for parameter in group["params"]:
                optimiser.state[parameter] = {}
    parameters = dict(learner.model.named_parameters())
    owner = {id(p): o for o in learner.optimisers for group in o.param_groups for p in group["params"]}
    for full, tensor in tensors.items():
        key, name = full.split("/", 1)
        if key != "raw":
            parameter = parameters[name]
            owner[id(parameter)].state[parameter][key] = tensor.to(parameter.device)
    state: dict[str, Any] = json.loads((folder / STATE).read_bytes())
    return state


def load_weights(model: nn.Module, path: Path) -> None:
    """Weights from a safetensors file of ours. Raises RegardError naming tensors missing, extra or of another shape."""
    arrays, _ = read_safetensors(path)
    put(model, {name: torch.from_numpy(np.array(stored.array)) for name, stored in arrays.items()}, path)


@torch.no_grad()
def put(model: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Copies the tensors into the parameters of their names; all of them, and nothing else."""
    parameters = dict(model.named_parameters())
    wrong = sorted(parameters.keys() ^ tensors.keys())
    wrong += [n for n in parameters.keys() & tensors.keys() if parameters[n].shape != tensors[n].shape]
    if wrong:
        what = f"tensors missing, extra or of another shape: {places(wrong)}"
        raise RegardError(str(path), what, "use the checkpoint of this model")
    for name, parameter in parameters.items():
        parameter.copy_(tensors[name])


def differences(state: dict[str, Any], learner: Learner) -> Notice | None:
    """What is not as it was when the checkpoint was written, so that the bits may differ (R17)."""
    now = {"torch": torch.__version__, "threads": torch.get_num_threads(), "ranks": learner.ranks.count,
           "device": learner.ranks.device.type}  # fmt: skip
    changed = [f"{key} {state[key]} → {value}" for key, value in now.items() if key in state and state[key] != value]
    return Notice("changes since the checkpoint, so not bit for bit", len(changed), tuple(changed)) if changed else None
