"""What a run is, trained on what, its score and its size: read from its folder alone, without torch (C12)."""

import json
import math
import os
from pathlib import Path
from typing import Any

from regard import files
from regard.errors import RegardError
from regard.training.folders import DATA, LOG, is_finished

THINGS = ("pictures", "texts", "sounds", "rows")
"""What is counted one by one; a corpus is counted in characters."""
COUNTS = ("documents", "characters", "train_characters", "held_out_characters", *THINGS, "held_out")
"""Of data.json."""


def overview(folder: Path, config: dict[str, Any] | None) -> dict[str, Any]:
    """config: the run's; None for a checkpoint of another program. Takes no lock: the run may be training (R23)."""
    if config is None:
        weights = sum(size_of(path) for path in folder.glob("*.safetensors"))
        return {"state": "a checkpoint of another program", "scores": None, "bytes": {"weights": weights}}
    lines, _ = files.Log.read(folder / LOG)
    end, saved = is_finished(folder), files.checkpoints(folder)
    last = max((line["step"] for line in files.last_attempt(lines) if line.get("kind") == "step"), default=0)
    return {
        "state": "finished" if end else "unfinished",
        "step": end["step"] if end else last,
        "scores": end["scores"] if end else None,
        **speed_of(end),
        "trained_on": trained_on(folder, config),
        "parameters": parameters(saved[-1].path / "model.safetensors") if saved else None,
        "checkpoints": [one.step for one in saved],
        "bytes": {"checkpoints": size_of(folder / "ckpt"), "cache": size_of(folder / "cache")},
        **{name: config[name] for name in ("minutes", "steps", "from", "model", "settings", "plan")},
    }


def speed_of(end: dict[str, Any] | None) -> dict[str, float]:
    """{"tokens_per_second": ...} of a finished run, or of one on pictures theirs; nothing of an unfinished one."""
    return {name: value for name, value in (end or {}).items() if name.endswith("_per_second")}


def trained_on(folder: Path, config: dict[str, Any]) -> dict[str, Any]:
    """The data's name, and its sizes from data.json; those that only decoding told from config.json."""
    try:
        data = json.loads((folder / DATA).read_bytes())
    except (OSError, ValueError):
        data = {}
    return {"name": config["name"], **{name: data.get(name, 0) for name in COUNTS}, **config.get("counts", {})}


def size_of(path: Path) -> int:
    """Bytes of a file or of all files of a folder; what vanishes meanwhile counts nothing."""
    inside = [Path(folder) / name for folder, _, names in os.walk(path) for name in names]
    total = 0
    for file in inside if path.is_dir() else [path]:
        try:
            total += file.stat().st_size
        except OSError:
            continue
    return total


def parameters(weights: Path) -> int | None:
    """How many numbers a safetensors file holds, from its header; None where it has vanished or is damaged."""
    try:
        tensors, _, _ = files.read_safetensors_header(weights)
    except (RegardError, OSError):
        return None
    return sum(math.prod(tensor.shape) for tensor in tensors.values())
