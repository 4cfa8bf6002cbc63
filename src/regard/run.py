"""A run: a trained thing in its folder, or a checkpoint of another program; what it can be asked."""

import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regard import __version__, files
from regard.data import shipped
from regard.errors import Notice, RegardError, printable
from regard.overview import overview
from regard.tasks import TASKS
from regard.training.folders import CONFIG, DATA, read_config
from regard.training.request import Request

if TYPE_CHECKING:  # info must work without torch (C12)
    import numpy as np

    from regard.decoding.sample import Nats, Sampling
    from regard.look import Look
    from regard.looking.survey import Survey
    from regard.model.transformer import Transformer
    from regard.tokens.text import TextTokenizer

OLDEST_TORCH = (2, 10)
PICKLED = {".bin", ".pt", ".pth", ".ckpt", ".pkl"}
NO_RUNS = {".regard": ("a recording", "open it with `regard look {}`"),
           ".gguf": ("a model for llama.cpp", "name the run that it was made of")}  # fmt: skip
"""Files of ours that are no run: what they are, and what opens them (M16)."""


def load(path: str | Path) -> "Run":
    """A run's folder, or a Hugging Face checkpoint folder. Raises RegardError for anything else."""
    folder = Path(path)
    if not os.path.lexists(folder):
        raise missing(folder, ", and regard does not download models")  # `gpt2`, say (M16)
    if folder.is_file() and folder.suffix in NO_RUNS:
        what, do = NO_RUNS[folder.suffix]
        raise RegardError(str(path), f"this is {what}, not a run", do.format(path))
    if is_checkpoint_of_others(folder):
        return Run(folder, None)
    config = read_config(folder)
    if config.get("kind") not in TASKS:
        what = f"it is a run of a kind that this regard does not know: {config['task']}"
        raise RegardError(str(path), what, f"install the regard that trained it ({config['versions']['regard']})")
    return Run(folder, config)


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


def train(
    *paths: str | Path, minutes: float | None = None, steps: int | None = None, out: str | Path | None = None,
    resume: str | Path | None = None, from_: str | Path | None = None, device: str | None = None,
    encoding: str | None = None, skip_bad: bool = False, text_key: str = "text", tensorboard: bool = False,
    accept_new_data: bool = False, fresh: bool = False, no_lock: bool = False, quiet: bool = False, **settings: Any,
) -> "Run":  # fmt: skip
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
    _check_torch()
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


def _check_torch() -> None:
    from importlib.metadata import PackageNotFoundError, version

    oldest = ".".join(map(str, OLDEST_TORCH))
    do = f'install a newer one: pip install --upgrade "torch>={oldest}"'
    try:
        found = version("torch")
    except PackageNotFoundError:
        raise RegardError("torch", "it is not installed", do, 1) from None
    numbers = [int(part) for part in found.split("+")[0].split(".")[:2] if part.isdecimal()]
    if tuple(numbers) < OLDEST_TORCH:
        raise RegardError("torch", f"version {found} is too old", do, 1)


class Run:
    """Of the folder `path`. Nothing heavy is loaded before it is needed."""

    def __init__(self, path: Path, config: dict[str, Any] | None) -> None:
        """config: its config.json; None for a checkpoint of another program."""
        self.path, self.config = path, config
        self.notices: list[Notice] = []
        """What had to be cut or converted to answer; the command line prints them."""
        self.surveyed: Survey | None = None
        """The last survey: what is looked at from then on has it, too."""

    def __repr__(self) -> str:
        return f"regard.load({str(self.path)!r})"

    def _notice(self, what: str, count: int) -> None:
        """Counted together with the same of earlier prompts."""
        before = sum(notice.count for notice in self.notices if notice.what == what)
        self.notices = [notice for notice in self.notices if notice.what != what] + [Notice(what, before + count)]

    # what it is

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What every JSON answer begins with: run, task, data, seed, version."""
        facts: dict[str, Any] = {"run": self.path.resolve().name, "task": "language", "data": None, "seed": None}
        if self.config is not None:
            try:
                digest = hashlib.sha256((self.path / DATA).read_bytes()).hexdigest()[:16]
            except OSError:
                digest = None
            facts |= {"task": self.config["task"], "data": {"name": self.config["name"], "digest": digest},
                      "seed": self.config["settings"].get("seed")}  # fmt: skip
        return {**facts, "version": __version__}

    def info(self) -> dict[str, Any]:
        """What it is, trained on what, its score and its size. Needs no torch."""
        return {**self.facts, **overview(self.path, self.config)}

    # what it is made of

    @cached_property
    def _pretrained(self) -> Any:
        from regard.pretrained.folder import read_folder

        pretrained = read_folder(self.path)
        self.notices += pretrained.notices
        return pretrained

    @cached_property
    def model(self) -> "Transformer":
        """The transformer with the weights that are evaluated, in evaluation mode."""
        _check_torch()
        from regard.model.config import TransformerConfig
        from regard.model.transformer import Transformer
        from regard.training import checkpoint

        if self.config is None:
            built: Transformer = self._pretrained.build()
            return built.requires_grad_(False)
        model = Transformer(TransformerConfig.from_json(self.config["model"]))
        files.read_checkpoint(self.path, lambda one: checkpoint.load_weights(model, one.path / checkpoint.MODEL),
                              say=self.notices.append)  # fmt: skip
        return model.eval().requires_grad_(False)

    @cached_property
    def tokenizer(self) -> "TextTokenizer":
        from regard.tokens.text import TextTokenizer

        if self.config is not None:
            return TextTokenizer.load(self.path / "tokenizer.json", document=self.config.get("document"))
        if self._pretrained.tokenizer is None:
            raise RegardError(
                str(self.path), "it has no tokenizer.json", "add the checkpoint's tokenizer.json to the folder"
            )
        return TextTokenizer.load(self._pretrained.tokenizer, document=self._pretrained.document)

    def check(self) -> None:
        """Loads what answers need. Raises RegardError for what is wrong with it."""
        _ = self.tokenizer, self.model

    @property
    def context(self) -> int:
        """Tokens in a window of the training; of others' checkpoints at most 1,024."""
        return int(self.config["settings"]["context"]) if self.config else min(self.model.config.context, 1024)

    def _encode(self, text: str) -> list[int]:
        """A prompt's tokens: line ends as in training, the last ones if there are more than the context (T6, T17)."""
        unified = text.replace("\r\n", "\n").replace("\r", "\n")
        if unified != text:
            self._notice("line ends of the prompt written as line feeds", text.count("\r"))
        ids = self.tokenizer.encode(unified)
        longest = self.model.config.context
        if len(ids) > longest:
            what = f"tokens at the start of the prompt left out, as the context is {longest:,}"
            self._notice(what, len(ids) - longest)
            ids = ids[-longest:]
        return ids or [self.tokenizer.document if self.tokenizer.document is not None else 0]

    # what it can be asked

    def logits(self, ids: Sequence[int]) -> "np.ndarray":
        """(n, vocabulary), float32: the scores of the token after each. Raises RegardError for ids out of range."""
        import torch

        from regard.model.sequence import Sequence as Tokens

        vocabulary = self.model.config.vocabulary
        if len(ids) == 0 or not all(0 <= number < vocabulary for number in ids):
            raise RegardError("ids", f"they must be one or more, each from 0 to {vocabulary - 1}", "give such ids")
        with torch.inference_mode():
            array: np.ndarray = self.model(Tokens.text(torch.tensor([list(ids)])))[0].numpy()
        return array

    def predict(self, prompt: str = "", **sampling: Any) -> str | list[str]:
        """What the model says after the prompt; a list where samples > 1. sampling: see decoding.sample.Sampling."""
        said = self.samples(prompt, _sampling(sampling))
        return said[0] if len(said) == 1 else said

    def samples(self, prompt: str, sampling: "Sampling", nats: "Nats | None" = None) -> list[str]:
        """All that is said, one text a sample; what each token cost is added to `nats`, if given."""
        texts = [""] * sampling.samples
        for sample, text in self.stream(prompt, sampling, nats):
            texts[sample] += text
        return texts

    def stream(
        self, prompt: str, sampling: "Sampling | None" = None, nats: "Nats | None" = None
    ) -> Iterator[tuple[int, str]]:
        """(sample, text) as it is said; never half a character."""
        from regard.decoding.sample import LanguageDecoder, speak

        ids = self._encode(prompt)
        return speak(LanguageDecoder(self.model), self.tokenizer, ids, sampling or _sampling({}), nats)

    def look(self, text: str) -> "Look":
        """One forward pass over the text, recorded: queries, keys, values, outputs and streams of every layer."""
        from regard.look import look

        return look(self, self._encode(text))

    def survey(self, *paths: str | Path, windows: int = 64, seed: int = 0, encoding: str | None = None,
               skip_bad: bool = False, text_key: str = "text") -> "Survey":  # fmt: skip
        """What every head does in many windows of the run's own held-out part, or of other files (looking/survey.py).

        A window is as long as the context, and 256 tokens at most. Raises RegardError where there is no such text.
        """
        from regard.look import surveying

        read = (lambda: self._tokens_of(paths, encoding, skip_bad, text_key)) if paths else None
        self.surveyed = surveying(self, read, windows, seed).survey()
        return self.surveyed

    def evaluate(self, *paths: str | Path, encoding: str | None = None, skip_bad: bool = False,
                 text_key: str = "text") -> dict[str, Any]:  # fmt: skip
        """The scores on the run's own held-out part, or on other files; beside each, those of the dumb answers."""
        from regard.tasks.language import Language
        from regard.tasks.text_tokens import open_tokens
        from regard.training.ranks import Ranks

        opened = open_tokens(self.path) if self.config is not None else None
        own = None if opened is None else opened[0]
        if not paths and own is None:
            raise RegardError(str(self.path), "its held-out tokens are not there", "name a text file to evaluate on")
        held_out = own["held_out"] if own is not None and not paths else None
        if held_out is None:
            held_out = self._tokens_of(paths, encoding, skip_bad, text_key)
        if len(held_out) < 2:
            raise RegardError(str(paths[0] if paths else self.path), "fewer than two tokens to score", "give more text")
        train = own["train"] if own is not None else None
        shape = self.model.config.to_json()
        task = Language(self.tokenizer, self.context, Ranks(), model=shape, train=train, held_out=held_out)
        return task.evaluate(self.model)

    def _tokens_of(self, paths: Sequence[str | Path], encoding: str | None, skip_bad: bool,
                   text_key: str) -> "np.ndarray":  # fmt: skip
        """All of other texts, in one array."""
        import numpy as np

        from regard.data.open import open_source
        from regard.data.scan import is_of_the_split
        from regard.tasks.text_tokens import token_arrays

        named = [shipped.found(str(path)) for path in paths]
        source = open_source(named, encoding=encoding, skip_bad=skip_bad, text_key=text_key, spool=None)
        self.notices += [notice for notice in source.notices if not is_of_the_split(notice)]
        dtype = self.tokenizer.dtype
        return np.concatenate([array.astype(dtype) for array in token_arrays(source, self.tokenizer, "all")])

    def export(
        self, target: str | Path, format: str = "hf", *, dtype: str = "float32", overwrite: bool = False
    ) -> dict[str, Any]:
        """Writes the model for other programs: a folder (hf) or a file (gguf). Returns `files` and `check`, the largest
        difference of logits found on reading them back."""
        if format not in ("hf", "gguf"):
            raise RegardError("--format", f"{format!r} is not known", "give hf or gguf")
        if format == "gguf":
            from regard.pretrained.gguf import export_gguf

            result = export_gguf(self.model, self.tokenizer, Path(target), dtype=dtype, overwrite=overwrite)
        else:
            from regard.pretrained.export import export_hf

            result = export_hf(self.model, self.tokenizer, Path(target), dtype=dtype, overwrite=overwrite)
        self.notices += result.notices
        return {"files": [str(path) for path in result.files], "check": result.check}


def _sampling(given: dict[str, Any]) -> "Sampling":
    """Raises RegardError for an unknown name, as for a value out of range."""
    from regard.decoding.sample import Sampling

    known = list(Sampling.__dataclass_fields__)
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, 1)
            do = f"did you mean {near[0]}?" if near else f"choose among {', '.join(known)}"
            raise RegardError(name, "there is no such way to sample", do)
    return Sampling(**given)


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
