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
    state = {"step": step, "seconds": seconds, "python": platform.python_version(), **circumstances(learner)}
    weights = dict(learner.average.model.named_parameters())
    return {
        MODEL: safetensors_bytes({name: array_of(tensor) for name, tensor in weights.items()}),
        OPTIMISER: safetensors_bytes({name: array_of(tensor) for name, tensor in optimiser_tensors(learner).items()}),
        STATE: json.dumps(state, indent=1).encode(),
    }


def array_of(tensor: Tensor) -> np.ndarray:
    array: np.ndarray = tensor.detach().cpu().contiguous().numpy()
    return array


def optimiser_tensors(learner: Learner) -> dict[str, Tensor]:
    """What resuming needs beside the average: raw/NAME, the weights, and KEY/NAME, what the optimisers keep of them."""
    weights = dict(learner.model.named_parameters())
    names = {id(parameter): name for name, parameter in weights.items()}
    kept = {f"{key}/{names[id(parameter)]}": tensor for optimiser in learner.optimisers
            for parameter, state in optimiser.state.items() for key, tensor in state.items()}  # fmt: skip
    return {**{f"raw/{name}": weight for name, weight in weights.items()}, **kept}


def restore(learner: Learner, folder: Path) -> dict[str, Any]:
    """Puts a checkpoint's numbers back, bit for bit; returns its state.json. Raises RegardError if they do not fit."""
    load_weights(learner.average.model, folder / MODEL)
    put(optimiser_tensors(learner), read(folder / OPTIMISER), folder / OPTIMISER)
    state: dict[str, Any] = json.loads((folder / STATE).read_bytes())
    return state


def read(path: Path) -> dict[str, Tensor]:
    arrays, _ = read_safetensors(path)
    return {name: torch.from_numpy(np.array(stored.array)) for name, stored in arrays.items()}


def load_weights(model: nn.Module, path: Path, inside: str = "") -> None:
    """Weights from a safetensors file of ours. Raises RegardError naming tensors missing, extra or of another shape.

    inside: how the names of the model's tensors begin, where it is a part of what was trained; others are passed over.
    """
    tensors = {name.removeprefix(inside): tensor for name, tensor in read(path).items() if name.startswith(inside)}
    put(dict(model.named_parameters()), tensors, path)


@torch.no_grad()
def put(targets: Mapping[str, Tensor], tensors: Mapping[str, Tensor], path: Path) -> None:
    """Copies each tensor to the place of its name; all of them, and nothing else. path: where they come from.

    Raises RegardError naming tensors that are missing, extra or of another shape, or that hold no finite numbers (M9).
    """
    wrong = sorted(targets.keys() ^ tensors.keys())
    wrong += [name for name in targets.keys() & tensors.keys() if targets[name].shape != tensors[name].shape]
    if wrong:
        what = f"tensors missing, extra or of another shape: {places(wrong)}"
        raise RegardError(str(path), what, "use the checkpoint of this model")
    spoiled = [f"{name} ({count})" for name, tensor in tensors.items() if (count := int((~tensor.isfinite()).sum()))]
    if spoiled:
        raise RegardError(str(path), f"numbers that are not finite: {places(spoiled)}", "use another checkpoint")
    for name, place in targets.items():
        place.copy_(tensors[name])


def circumstances(learner: Learner) -> dict[str, Any]:
    """What the bits depend on beside the run's own settings."""
    return {"torch": torch.__version__, "threads": torch.get_num_threads(), "ranks": learner.ranks.count,
            "device": learner.ranks.device.type}  # fmt: skip


def differences(state: dict[str, Any], learner: Learner) -> Notice | None:
    """What is not as it was when the checkpoint was written, so that the bits may differ (R17)."""
    now = circumstances(learner)
    changed = [f"{key} {state[key]} → {value}" for key, value in now.items() if key in state and state[key] != value]
    what = "change(s) since the checkpoint, so not bit for bit"
    return Notice(what, len(changed), tuple(changed)) if changed else None
