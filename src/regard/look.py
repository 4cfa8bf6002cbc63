"""What `run.look` returns: a recording that also draws itself (contract 4: looking/ knows no more than recordings)."""

import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from regard.errors import RegardError, counted
from regard.looking.generated import compared
from regard.looking.kept import LONGEST
from regard.looking.record import Recording, Tokens, record
from regard.looking.survey import HELD_OUT, SIZE, WINDOWS, Surveying, choose
from regard.model.sequence import Sequence as Places
from regard.model.transformer import Transformer

if TYPE_CHECKING:
    import numpy as np

    from regard.decoding.heard import Said
    from regard.decoding.sample import Sampling
    from regard.page.export import Inline
    from regard.page.studio import Studio
    from regard.page.widget import Widget

PICTURES = (".svg", ".png")
PAGES = (".html",)
TOUR = "tour=0"
"""The page's address at the first stop."""


class Look(Recording):
    """A recording with `save` for pictures, too."""

    run: Any = None
    """Which looked, and can look again; None of a recording that was loaded."""

    def save(
        self, path: str | Path, overwrite: bool = False, head: str | tuple[int, int] | None = None, tour: bool = False,
        query: str | None = None,
    ) -> None:  # fmt: skip
        """x.regard keeps the recording; x.html is a page by itself; x.svg and x.png draw every head, or one large.

        head: (2, 0) or "2.0"; of a page, the only one that is in it. tour: the page opens on the tour's first stop.
        query: of a picture, the token whose maps are drawn (draw_pictures.py). Raises RegardError for another ending, a
        head or token that does not exist, a page of more than 50 MB, and a file that is there.
        """
        check_ending(path, head, query)
        if Path(path).suffix.lower() in PAGES:
            from regard.page.export import save_page

            check_page(self.has_page)
            one = None if head is None else self.head_of(head)
            return save_page(self, Path(path), overwrite, one, self.begins(tour, query, one))
        if Path(path).suffix.lower() not in PICTURES:
            return super().save(path, overwrite)
        if self.is_picture:
            from regard.looking.draw_pictures import draw_picture

            chosen = None if head is None else self.head_of(head)
            return draw_picture(self, query=query, head=chosen).save(path, overwrite)
        from regard.looking.draw import draw_head, draw_heads

        drawn = draw_heads(self) if head is None else draw_head(self, *self.head_of(head))
        return drawn.save(path, overwrite)

    def begins(self, tour: bool = False, query: str | None = None, head: tuple[int, int] | None = None) -> str:
        """Where a page of it begins, as its address has it: "" where nothing was asked for. Raises RegardError for a
        token that there is not."""
        check_kind("picture" if self.is_picture else "text", tour, query)
        if tour or query is None:
            return TOUR if tour else ""
        from regard.looking.draw_pictures import query_of
        from regard.page.pictures import BEGINS

        where = "" if head is None else f"&layer={head[0]}&head={head[1]}"
        return f"{BEGINS}&row={query_of(self, query).tokens[0]}{where}"

    def show(self, live: bool = True) -> "Widget | Inline | None":
        """In a notebook the page, inside the notebook: live with `pip install regard[notebook]`, else a frame that
        holds what was recorded. Elsewhere it opens in the browser, until Ctrl-C.

        live: False for the frame, which is there when the notebook is opened again without its kernel, too.
        """
        check_page(self.has_page)
        if not in_notebook():
            from regard.page.server import serve

            serve(studio_of(self.run, self))
            return None
        if live:
            with suppress(ImportError):  # the extra is not installed
                from regard.page.widget import Widget

                return Widget(studio_of(self.run, self))
        from regard.page.export import Inline, page_of

        return Inline(page_of(self))

    @property
    def has_page(self) -> bool:
        """Whether the page shows it: not yet what a text is taken for."""
        return self.is_picture or not self.is_classified

    @classmethod
    def load(cls, path: str | Path, model: Transformer | None = None) -> "Look":
        """As Recording.load."""
        found = super().load(path, model)
        assert isinstance(found, cls)
        return found

    def head_of(self, name: str | tuple[int, int]) -> tuple[int, int]:
        """(layer, head) of "2.0". Raises RegardError if there is none."""
        parts = name.split(".") if isinstance(name, str) else [str(number) for number in name]
        if len(parts) == 2 and all(part.isascii() and part.isdecimal() for part in parts):
            layer, head = map(int, parts)
            if layer < self.layers and head < self.heads:
                return layer, head
        last = f"{self.layers - 1}.{self.heads - 1}"
        raise RegardError("--head", f"there is no head {name!r}", f"give layer.head, from 0.0 to {last}")


def look(run: Any, ids: Sequence[int], sampling: "Sampling | None" = None) -> Look:
    """One forward pass of the run's model over these tokens, recorded; and over what it says after them, if asked."""
    said = [] if sampling is None else continued(run, list(ids), sampling)
    every = [*ids, *(one.token for one in said)]
    named = Tokens.of_text(every, run.tokenizer)
    facts = {"name": run.facts["run"], "seed": run.facts["seed"]}
    kept = record(run.model, Places.text(torch.tensor([every])), named, **facts).kept
    if sampling is not None and said:
        _, likeliest, log_p = zip(*said, strict=True)
        kept = replace(kept, generated=compared(kept.readings, len(ids), likeliest, log_p, how_of(sampling)))
    found = Look(kept, run.model, label=run.tokenizer.label)
    found.run, found.survey = run, run.surveyed
    return found


def continued(run: Any, ids: list[int], sampling: "Sampling") -> "list[Said]":
    """What the run's model says after these tokens, step by step, as `predict` would.

    Raises RegardError where there is no room in the context, and for several samples or stop texts.
    """
    from regard.decoding.heard import heard
    from regard.decoding.sample import LanguageDecoder

    if sampling.samples != 1 or sampling.stop:
        name = "--samples" if sampling.samples != 1 else "--stop"
        raise RegardError(name, "a recording is of one text, as long as --tokens says", "leave it out")
    context = min(run.model.config.context, LONGEST)
    if (room := context - len(ids)) < sampling.tokens:
        what = f"{counted(len(ids), 'token')} of text and {sampling.tokens:,} more are over the context of {context:,}"
        raise RegardError("--tokens", what, f"give at most {room:,}" if room > 0 else "give a shorter text")
    said = list(heard(LanguageDecoder(run.model), ids, sampling, run.tokenizer.document))
    if len(said) < sampling.tokens:
        run.notice("token(s) less than asked for, as the model ended the text", sampling.tokens - len(said))
    return said


def how_of(sampling: "Sampling") -> dict[str, Any]:
    """Number of tokens, temperature and seed, and what else is not as it is by default."""
    given = {name: value for name, value in asdict(sampling).items() if name not in ("samples", "stop")}
    usual = type(sampling)()
    always = ("tokens", "temperature", "seed")
    return {name: value for name, value in given.items() if name in always or value != getattr(usual, name)}


def surveying(
    run: Any, read: "Callable[[], np.ndarray] | None" = None, windows: int = WINDOWS, seed: int = 0,
    source: str = HELD_OUT,
) -> Surveying:  # fmt: skip
    """The beginning of a survey. read: the tokens of other texts, called `source`, instead of those held out.

    Raises RegardError where there are no such tokens, or too few.
    """
    from regard.tasks.text_tokens import open_tokens

    if read is not None:
        tokens = read()
    else:
        opened = open_tokens(run.path) if run.config is not None else None
        if opened is None:
            do = "measure heads on a text file, in Python: run.survey('text.txt')"
            raise RegardError(run.facts["run"], "its held-out text is not there", do)
        tokens = opened[0]["held_out"]
    size = min(run.context, SIZE)
    return Surveying(run.model, choose(tokens, run.tokenizer, windows=windows, size=size, seed=seed,
                                        source=source))  # fmt: skip


def check_kind(takes: str, tour: bool, query: str | None) -> None:
    """What is for texts alone, or for pictures; takes: what is looked at. Raises RegardError."""
    if takes != "text" and tour:
        raise RegardError("--tour", f"it leads through a text, and this is a {takes}", "leave it out")
    if query is not None and takes not in ("picture", "sound"):
        raise RegardError("--query", f"it is for pictures and sounds, and this is a {takes}", "leave it out")


def check_page(there: bool) -> None:
    """Raises RegardError where the page does not show what was looked at."""
    if not there:
        what = "it shows pictures, and what comes next in a text; not yet what a text is taken for, nor a series"
        raise RegardError("the page", what, "print it with --no-page, or save an .svg, .png or .regard")


def check_ending(path: str | Path, head: object = None, query: str | None = None) -> None:
    """Before anything is computed for it. Raises RegardError."""
    suffix = Path(path).suffix.lower()
    if suffix not in (*PICTURES, *PAGES, ".regard"):
        raise RegardError(str(path), "its ending does not say what to save", "end it in .html, .svg, .png or .regard")
    if head is not None and suffix == ".regard":
        raise RegardError("--head", "a recording holds every head", "leave it out, or save an .html, .svg or .png")
    if query is not None and suffix == ".regard":
        raise RegardError("--query", "a recording holds every token", "leave it out, or save an .html, .svg or .png")


def studio_of(run: Any, recording: Recording | None) -> "Studio":
    """What the page asks. run: which reads what is typed, or None; recording: what is seen at first, or None."""
    from regard.page.studio import Studio

    check_page(run is None or run.says or run.takes not in ("text", "series"))
    if run is None:
        return Studio(None, recording, recording.facts.name if recording is not None else "")

    def fresh() -> list[object]:
        """What was cut or converted since it was last asked."""
        found: list[object] = run.notices
        run.notices = []
        return found

    held_out = partial(surveying, run) if run.says else None
    takes = "text" if run.takes == "text" else "picture"  # a sound is one: its spectrogram
    return Studio(run.look, recording, run.facts["run"], notices=fresh, surveying=held_out, takes=takes)


def in_notebook() -> bool:
    """Whether a kernel shows what a cell returns."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")
