"""Training, and opening what was trained: a run's folder, or a checkpoint of another program."""

import json
import os
import time
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from regard import __version__
from regard.data import shipped
from regard.distilled_run import DistilledRun
from regard.errors import RegardError, printable
from regard.labelled_text_run import LabelledTextRun
from regard.picture_run import PictureRun
from regard.series_run import SeriesRun
from regard.sound_run import SoundRun
from regard.text_run import TextRun
from regard.trained import Run, check_torch
from regard.training.folders import CONFIG, read_config
from regard.training.request import Request
from regard.vit_run import ViTRun, is_vit

__all__ = ["Run", "is_one", "load", "missing", "origin", "request", "runs_in", "train"]

AnyRun = TextRun | LabelledTextRun | PictureRun | SeriesRun
RUNS: dict[tuple[str, str], type[TextRun] | type[LabelledTextRun] | type[PictureRun] | type[SeriesRun]] = {
    ("text", "language"): TextRun,
    ("labelled_text", "classification"): LabelledTextRun,
    ("pictures", "classification"): PictureRun,
    ("pictures", "distillation"): DistilledRun,
    ("sounds", "classification"): SoundRun,
    ("series", "forecasting"): SeriesRun,
}
"""What a run can be asked, by the kind of its data and its task."""
PICKLED = {".bin", ".pt", ".pth", ".ckpt", ".pkl"}
NO_RUNS = {".regard": ("a recording", "open it with `regard look {}`"),
           ".gguf": ("a model for llama.cpp", "name the run that it was made of")}  # fmt: skip
"""Files of ours that are no run: what they are, and what opens them (M16)."""


def load(path: str | Path) -> AnyRun:
    """A run's folder, or a Hugging Face checkpoint folder. Raises RegardError for anything else."""
    folder = Path(path)
    if not os.path.lexists(folder):
        raise missing(folder, ", and regard does not download models")  # `gpt2`, say (M16)
    if folder.is_file() and folder.suffix in NO_RUNS:
        what, do = NO_RUNS[folder.suffix]
        raise RegardError(str(path), f"this is {what}, not a run", do.format(path))
    if is_checkpoint_of_others(folder):
        return ViTRun(folder, None) if is_vit(_config_of_others(folder)) else TextRun(folder, None)
    config = read_config(folder)
    asked = config.get("kind"), config["task"]
    if asked not in RUNS:
        what = f"it is a run of a task that this regard does not know: {config['task']}"
        raise RegardError(str(path), what, f"install the regard that trained it ({config['versions']['regard']})")
    return RUNS[asked](folder, config)


def is_one(path: str | Path) -> bool:
    """Whether there is one run or checkpoint, rather than a folder of them."""
    folder = Path(path)
    return (folder / CONFIG).exists() or is_checkpoint_of_others(folder)


def missing(path: Path, besides: str = "") -> RegardError:
    """That nothing is there: with a name that is near, or the nearest folder that exists (C3)."""
    parent = next((parent for parent in path.parents if parent.is_dir()), Path())
    folders = [folder for folder in (parent / "runs", parent) if folder.is_dir()]
    there = [str(one) for folder in folders for one in sorted(folder.iterdir()) if one.is_dir()]
    near = [name for name in there if Path(name).name == path.name] or get_close_matches(str(path), there, 1)
    where = "the working folder" if parent == Path() else str(parent)
    do = f"did you mean {near[0]}?" if near else f"name one that is there; the nearest is {where}"
    return RegardError(str(path), "there is no such folder" + besides, do)


def is_checkpoint_of_others(folder: Path) -> bool:
    """Whether config.json is not one of ours, or its weights lie about: then pretrained/ decides what it is."""
    if folder.is_file():
        return True
    if folder.is_dir() and not (folder / CONFIG).exists():
        return any(path.suffix in {".safetensors", *PICKLED} for path in folder.iterdir())
    try:
        config = json.loads((folder / CONFIG).read_bytes())
        return not (isinstance(config, dict) and "format" in config and "task" in config)
    except (OSError, ValueError, RecursionError):
        return False


def _config_of_others(folder: Path) -> Any:
    """What its config.json holds; None where that cannot be read: what is wrong is said when its weights are needed."""
    try:
        return json.loads((folder / CONFIG).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def train(
    *paths: str | Path, minutes: float | None = None, steps: int | None = None, out: str | Path | None = None,
    resume: str | Path | None = None, from_: str | Path | None = None, device: str | None = None,
    encoding: str | None = None, skip_bad: bool = False, text_key: str = "text", tensorboard: bool = False,
    accept_new_data: bool = False, fresh: bool = False, no_lock: bool = False, quiet: bool = False, **settings: Any,
) -> AnyRun:  # fmt: skip
    """Trains on files and folders for so many minutes (5 unless given) or steps; returns the run.

    settings: those of regard.training.settings, by name. The same call again goes on with an unfinished run, and
    returns a finished one. Raises RegardError for what cannot be trained, KeyboardInterrupt, all saved, after Ctrl-C.
    """
    wanted = request(
        paths, {"minutes": minutes, "steps": steps, **settings}, out=out, resume=resume, base=from_, device=device,
        encoding=encoding, skip_bad=skip_bad, text_key=text_key, tensorboard=tensorboard,
        accept_new_data=accept_new_data, fresh=fresh, no_lock=no_lock,
    )  # fmt: skip
    from regard.session import run_session
    from regard.training.report import Terminal

    return load(run_session(wanted, Terminal(quiet=quiet), load))


def request(paths: Sequence[str | Path], given: dict[str, Any], **options: Any) -> Request:
    """What a training is asked for, checked as far as can be without reading anything.

    given: minutes, steps and settings, None where left to the plan; options: the other fields of Request.
    """
    from regard.training.settings import checked

    settings = checked(given)
    options = {name: str(value) if isinstance(value, Path) else value for name, value in options.items()}
    resume, fresh = options.get("resume"), options.get("fresh")
    if not paths and resume is None:
        raise RegardError("train", "there is nothing to learn from", f"name a file or folder, or {shipped.names()[0]}")
    if resume is not None and (options.get("out") is not None or fresh):
        raise RegardError("--resume", "it names the run already", "leave out --out and --fresh")
    if fresh and options.get("out") is not None:
        raise RegardError("--fresh", "it chooses a free name, and --out gives one", "give one of the two")
    if options.get("base") is not None:
        load(options["base"])  # whether it is there; its weights are read later
    if options.get("tensorboard"):
        _check_tensorboard()
    check_torch()
    found = tuple(shipped.found(str(path)) for path in paths)
    for path in found:
        if os.path.isdir(path) and (Path(path) / CONFIG).is_file() and not is_checkpoint_of_others(Path(path)):
            raise RegardError(path, "this is a run, not data", f"go on with it by `regard train --resume {path}`")
    return Request(paths=found, given=settings, **options)


def _check_tensorboard() -> None:
    """Before the first step, not at it (C7)."""
    from importlib.util import find_spec

    if find_spec("tensorboard") is None:
        do = 'install it: pip install "regard[tensorboard]"'
        raise RegardError("--tensorboard", "the tensorboard package is not there", do)


def runs_in(folder: Path) -> list[dict[str, Any]]:
    """What is known of every run in a folder, by name; of one that cannot be read, `run` and `error`."""
    if not folder.is_dir():
        if folder.exists():
            raise RegardError(str(folder), "this is a file", "name the folder that holds runs, or one run")
        raise missing(folder)
    found = []
    for path in sorted(folder.iterdir()):
        if (path / CONFIG).is_file() and not is_checkpoint_of_others(path):
            try:
                found.append(load(path).info())
            except (RegardError, KeyError, TypeError, ValueError) as error:
                found.append({"run": path.name, "error": str(error)})
    return found


def origin(run: Run, began: float) -> str:
    """A line that says where a result comes from."""
    seconds = time.monotonic() - began
    seed = "" if run.facts["seed"] is None else f" | seed {run.facts['seed']}"
    return f"{printable(run.facts['run'])}{seed} | regard {__version__} | {seconds:,.1f} s"


__all__ = ["Run", "is_one", "load", "origin", "request", "runs_in", "train"]
