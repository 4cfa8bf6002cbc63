"""A run on text, or another program's language model: what it can be asked."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regard.data import shipped
from regard.errors import RegardError, printable
from regard.trained import Run

if TYPE_CHECKING:
    import numpy as np

    from regard.decoding.sample import Nats, Sampling
    from regard.look import Look
    from regard.looking.survey import Survey
    from regard.tokens.text import TextTokenizer


class TextRun(Run):
    says = True

    surveyed: "Survey | None" = None
    """The last survey: what is looked at from then on has it, too."""

    @cached_property
    def tokenizer(self) -> "TextTokenizer":
        from regard.tokens.text import TextTokenizer

        if self.config is not None:
            return TextTokenizer.load(self.path / "tokenizer.json", document=self.config.get("document"))
        if self.pretrained.tokenizer is None:
            raise RegardError(
                str(self.path), "it has no tokenizer.json", "add the checkpoint's tokenizer.json to the folder"
            )
        return TextTokenizer.load(self.pretrained.tokenizer, document=self.pretrained.document)

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
            self.notice("line end(s) of the prompt made LF", text.count("\r"))
        ids = self.tokenizer.encode(unified)
        longest = self.model.config.context
        if len(ids) > longest:
            what = f"token(s) at the start of the prompt left out, as the context is {longest:,}"
            self.notice(what, len(ids) - longest)
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

    def look(self, text: str, tokens: int = 0, **sampling: Any) -> "Look":
        """One forward pass over the text, recorded: queries, keys, values, outputs and streams of every layer.

        tokens: so many more, which the model says after the text, are looked at, too; fewer if it ends the text.
        sampling: how they are chosen, as in `predict`. The recording tells whether one pass over all of them agrees
        with how they were said, one by one (recording.generated). Raises RegardError where the context has no room.
        """
        from regard.look import look

        wanted = _sampling({"tokens": tokens, **sampling}) if tokens or sampling else None
        return look(self, self._encode(text), wanted)

    def survey(self, *paths: str | Path, windows: int = 64, seed: int = 0, encoding: str | None = None,
               skip_bad: bool = False, text_key: str = "text") -> "Survey":  # fmt: skip
        """What every head does in many windows of the run's own held-out part, or of other files (looking/survey.py).

        A window is as long as the context, and 256 tokens at most. Raises RegardError where there is no such text.
        """
        from regard.look import surveying
        from regard.looking.survey import HELD_OUT

        read = (lambda: self._tokens_of(paths, encoding, skip_bad, text_key)) if paths else None
        source = printable(", ".join(Path(path).name for path in paths)) or HELD_OUT
        self.surveyed = surveying(self, read, windows, seed, source).survey()
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
        from regard.data.text import TextSource
        from regard.tasks.text_tokens import token_arrays

        named = [shipped.found(str(path)) for path in paths]
        source = open_source(named, encoding=encoding, skip_bad=skip_bad, text_key=text_key, task="language")
        self.notices += [notice for notice in source.notices if not is_of_the_split(notice)]
        dtype = self.tokenizer.dtype
        if not isinstance(source, TextSource):
            raise RegardError(source.shown, "these are pictures, and the run is of text", "name text files")
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
