"""A run: a trained thing in its folder, or a checkpoint of another program; what it can be asked."""

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regard import __version__, files
from regard.errors import Notice, RegardError, printable
from regard.tokens.text import TextTokenizer
from regard.training.folders import CONFIG, DATA, LOG, is_finished, read_config

if TYPE_CHECKING:  # info must work without torch (C12)
    import numpy as np

    from regard.decoding.sample import Sampling
    from regard.looking.record import Recording
    from regard.model.transformer import Transformer


def load(path: str | Path) -> "Run":
    """A run's folder, or a Hugging Face checkpoint folder. Raises RegardError for anything else."""
    folder = Path(path)
    if is_checkpoint_of_others(folder):
        return Run(folder, None)
    if not folder.exists() and not str(path).startswith((".", "/", "runs")):
        raise RegardError(str(path), "there is no such folder, and regard does not download models", "give a folder")
    return Run(folder, read_config(folder))


def is_checkpoint_of_others(folder: Path) -> bool:
    """Whether config.json is not one of ours: then pretrained/ decides what it is."""
    if folder.is_file() or (folder.is_dir() and not (folder / CONFIG).exists() and any(folder.glob("*.safetensors"))):
        return True
    if folder.is_dir() and not (folder / CONFIG).exists():
        return any(p.suffix in {".bin", ".pt", ".pth", ".ckpt", ".pkl"} for p in folder.iterdir())
    try:
        config = json.loads((folder / CONFIG).read_bytes())
        return not (isinstance(config, dict) and "format" in config and "task" in config)
    except (OSError, ValueError):
        return False


def train(
    *paths: str | Path, minutes: float | None = None, steps: int | None = None, out: str | None = None,
    resume: str | None = None, from_: str | None = None, device: str | None = None, encoding: str | None = None,
    skip_bad: bool = False, text_key: str = "text", tensorboard: bool = False, accept_new_data: bool = False,
    fresh: bool = False, quiet: bool = False, **settings: Any,
) -> "Run":  # fmt: skip
    """Trains on files and folders for so many minutes (5 unless given) or steps; returns the run.

    settings: those of regard.training.settings, by name. The same call again goes on with an unfinished run, and
    returns a finished one. Raises RegardError for what cannot be trained, KeyboardInterrupt, all saved, after Ctrl-C.
    """
    from regard.session import run_session
    from regard.training.report import Terminal
    from regard.training.request import Request
    from regard.training.settings import checked

    given = checked({"minutes": minutes, "steps": steps, **settings})
    if not paths and resume is None:
        raise RegardError("train", "nothing to learn from was given", "name a file or folder")
    request = Request(
        paths=tuple(str(p) for p in paths), given=given, out=out, resume=resume, base=from_, device=device,
        encoding=encoding, skip_bad=skip_bad, text_key=text_key, tensorboard=tensorboard,
        accept_new_data=accept_new_data, fresh=fresh,
    )  # fmt: skip
    return load(run_session(request, Terminal(quiet=quiet), load))


class Run:
    """Of the folder `path`. Nothing heavy is loaded before it is needed."""

    def __init__(self, path: Path, config: dict[str, Any] | None) -> None:
        self.path, self.config = path, config
        self.notices: list[Notice] = []
        """What had to be cut or converted to answer; the command line prints them."""

    def __repr__(self) -> str:
        return f"regard.load({str(self.path)!r})"

    # what it is

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What every JSON answer begins with: run, task, data, seed, version."""
        if self.config is None:
            return {"run": self.path.name, "task": "language", "data": None, "seed": None, "version": __version__}
        try:
            digest = hashlib.sha256((self.path / DATA).read_bytes()).hexdigest()[:16]
        except OSError:
            digest = None
        data = {"name": self.config["name"], "digest": digest}
        return {"run": self.path.name, "task": self.config["task"], "data": data,
                "seed": self.config["settings"].get("seed"), "version": __version__}  # fmt: skip

    def info(self) -> dict[str, Any]:
        """What it is, trained on what, its score and its size. Needs no torch."""
        if self.config is None:
            return {**self.facts, "state": "checkpoint of another program"}
        lines, _ = files.Log.read(self.path / LOG)
        finished = is_finished(self.path)
        saved = files.checkpoints(self.path)
        sizes = {name: sum(f.stat().st_size for f in (self.path / name).rglob("*") if f.is_file())
                 for name in ("ckpt", "cache") if (self.path / name).is_dir()}  # fmt: skip
        last = max((line["step"] for line in lines if line.get("kind") == "step"), default=0)
        return {
            **self.facts, "state": "finished" if finished else "unfinished",
            "step": finished["step"] if finished else last,
            "checkpoints": [c.step for c in saved], "bytes": sizes, "minutes": self.config["minutes"],
            "steps": self.config["steps"], "from": self.config["from"], "model": self.config["model"],
            "settings": self.config["settings"], "plan": self.config["plan"],
            "scores": finished["scores"] if finished else None,
            "tokens_per_second": finished["tokens_per_second"] if finished else None,
        }  # fmt: skip

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
        from regard.model.config import TransformerConfig
        from regard.model.transformer import Transformer
        from regard.training import checkpoint

        if self.config is None:
            model = Transformer(self._pretrained.config)
            checkpoint.put(model, self._pretrained.tensors, self.path)
            return model.eval().requires_grad_(False)
        model = Transformer(TransformerConfig.from_json(self.config["model"]))
        files.read_checkpoint(self.path, lambda c: checkpoint.load_weights(model, c.path / checkpoint.MODEL),
                              say=self.notices.append)  # fmt: skip
        return model.eval().requires_grad_(False)

    @cached_property
    def tokenizer(self) -> TextTokenizer:
        if self.config is not None:
            return TextTokenizer.load(self.path / "tokenizer.json", document=self.config.get("document"))
        if self._pretrained.tokenizer is None:
            raise RegardError(
                str(self.path), "it has no tokenizer.json", "add the checkpoint's tokenizer.json to the folder"
            )
        return TextTokenizer.load(self._pretrained.tokenizer, document=self._pretrained.document)

    @property
    def context(self) -> int:
        """Tokens in a window of the training; of others' checkpoints at most 1,024."""
        return int(self.config["settings"]["context"]) if self.config else min(self.model.config.context, 1024)

    def _encode(self, text: str) -> list[int]:
        """A prompt's tokens: line ends as in training, the last ones if there are more than the context (T6, T17)."""
        unified = text.replace("\r\n", "\n").replace("\r", "\n")
        if unified != text:
            self.notices.append(Notice("line ends of the prompt written as line feeds", text.count("\r")))
        ids = self.tokenizer.encode(unified)
        longest = self.model.config.context
        if len(ids) > longest:
            self.notices.append(
                Notice(f"tokens at the start of the prompt left out, as the context is {longest}", len(ids) - longest)
            )
            ids = ids[-longest:]
        if not ids:
            ids = [self.tokenizer.document if self.tokenizer.document is not None else 0]
        return ids

    # what it can be asked

    def logits(self, ids: Sequence[int]) -> "np.ndarray":
        """(n, vocabulary), float32: the scores of the token after each. Raises RegardError for ids out of range."""
        import torch

        from regard.model.sequence import Sequence as Tokens

        vocabulary = self.model.config.vocabulary
        if len(ids) == 0 or min(ids) < 0 or max(ids) >= vocabulary:
            raise RegardError("ids", f"they must be one or more, each from 0 to {vocabulary - 1}", "give such ids")
        with torch.inference_mode():
            array: np.ndarray = self.model(Tokens.text(torch.tensor([list(ids)])))[0].numpy()
        return array

    def predict(self, prompt: str = "", **sampling: Any) -> str | list[str]:
        """What the model says after the prompt; a list where samples > 1. sampling: see decoding.sample.Sampling."""
        chosen = _sampling(sampling)
        texts = [""] * chosen.samples
        for sample, text in self.stream(prompt, chosen):
            texts[sample] += text
        return texts[0] if chosen.samples == 1 else texts

    def stream(self, prompt: str, sampling: "Sampling | None" = None) -> Iterator[tuple[int, str]]:
        """(sample, text) as it is said; never half a character."""
        from regard.decoding.sample import LanguageDecoder, speak

        return speak(LanguageDecoder(self.model), self.tokenizer, self._encode(prompt), sampling or _sampling({}))

    def look(self, text: str) -> "Recording":
        """One forward pass over the text, recorded: queries, keys, values, outputs and streams of every layer."""
        import torch

        from regard.looking.record import Tokens, record
        from regard.model.sequence import Sequence as Places

        ids = self._encode(text)
        named = Tokens.of_text(ids, self.tokenizer)
        return record(self.model, Places.text(torch.tensor([ids])), named, name=self.path.name)

    def evaluate(self, *paths: str | Path, encoding: str | None = None, skip_bad: bool = False,
                 text_key: str = "text") -> dict[str, Any]:  # fmt: skip
        """The scores on the run's own held-out part, or on other files; beside each, those of the dumb answers."""
        import numpy as np

        from regard.data.open import open_source
        from regard.tasks.language import Language
        from regard.tasks.text_tokens import open_tokens, token_arrays
        from regard.training.ranks import Ranks

        own = open_tokens(self.path) if self.config is not None else None
        if not paths and own is None:
            raise RegardError(str(self.path), "its held-out tokens are not there", "name a text file to evaluate on")
        held_out = own["held_out"] if own is not None else np.zeros(0, np.int64)
        if paths:
            source = open_source(
                [str(p) for p in paths], encoding=encoding, skip_bad=skip_bad, text_key=text_key, spool=None
            )
            self.notices += source.notices
            held_out = np.concatenate(list(token_arrays(source, self.tokenizer, "all")))
        if len(held_out) < 2:
            raise RegardError(str(paths[0] if paths else self.path), "fewer than two tokens to score", "give more text")
        train = own["train"] if own is not None else None
        task = Language(
            self.tokenizer, self.context, Ranks(), model=self.model.config.to_json(), train=train, held_out=held_out
        )
        return task.evaluate(self.model)

    def export(
        self, target: str | Path, format: str = "hf", *, dtype: str = "float32", overwrite: bool = False
    ) -> dict[str, Any]:
        """Writes the model for other programs: a folder (hf) or a file (gguf). Returns `files` and `check`, the largest
        difference of logits found on reloading."""
        if format not in ("hf", "gguf"):
            raise RegardError("--format", f"{format!r} is not known", "give hf or gguf")
        from regard.pretrained.export import export_hf
        from regard.pretrained.gguf import export_gguf

        write: Any = export_gguf if format == "gguf" else export_hf
        result = write(self.model, self.tokenizer, Path(target), dtype=dtype, overwrite=overwrite)
        return {"files": result.files, "check": result.check}


def _sampling(given: dict[str, Any]) -> "Sampling":
    from regard.decoding.sample import Sampling

    return Sampling(**given)


def runs_in(folder: Path) -> list[Run]:
    """Every run in a folder, by name."""
    if not folder.is_dir():
        raise RegardError(str(folder), "there is no such folder", "name the folder that holds runs, or one run")
    found = []
    for path in sorted(folder.iterdir()):
        if (path / CONFIG).is_file() and not is_checkpoint_of_others(path):
            found.append(Run(path, read_config(path)))
    return found


def origin(run: Run, began: float) -> str:
    """A line that says where a result comes from."""
    seconds = time.monotonic() - began
    return f"{printable(str(run.path))} | seed {run.facts['seed']} | regard {__version__} | {seconds:,.1f} s"


__all__ = ["Run", "load", "origin", "runs_in", "train"]
