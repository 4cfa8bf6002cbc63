"""How `predict` answers one prompt: text as it comes, or the classes of what was given; or a JSON object."""

import os
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from regard import words
from regard.errors import RegardError
from regard.streams import answer, say, shown, tell, utf8, write

Respond = Callable[[str, bool], None]
"""(prompt, whether it is the only one) -> nothing: what is said goes to standard output."""
NAMED = 'file name(s) taken for the text itself; "$(cat FILE)" gives what is in it'
"""Said of a prompt; what the shell puts in for it is what `cat FILE` prints."""


def asked(run: Any, raw: bytes | str, where: str) -> str:
    """What was typed; that it is a file's name is said where a text is asked for, as what is in the file may be meant.

    Raises RegardError for what is no UTF-8.
    """
    text = utf8(raw, where)
    if run.takes == "text" and os.path.isfile(text):
        run.notice(NAMED, 1, text)
    return text


def responder(run: Any, options: Mapping[str, Any], json_: bool) -> Respond:
    """options: of sampling, as typed. Raises RegardError for those that do not fit the run."""
    if run.takes == "series":
        return partial(go_on, run, patches_of(options), json_)
    sampling = sampling_of(run, options)
    return partial(name_classes, run, json_) if sampling is None else partial(say_after, run, sampling, json_)


def sampling_of(run: Any, options: Mapping[str, Any]) -> Any:
    """How tokens are chosen, from what was typed; None for a run that says none. Raises RegardError as above."""
    if not run.says:
        if given := {name: value for name, value in options.items() if value not in (None, ())}:
            raise RegardError(name_as_typed(given), "it is for a run that goes on with texts", "leave it out")
        return None
    from regard.decoding.sample import Sampling

    return Sampling.of_text(options)


def name_as_typed(options: Mapping[str, Any]) -> str:
    """The first of them, such as --top-k."""
    return f"--{next(iter(options)).replace('_', '-')}"


def said_of(run: Any, options: Mapping[str, str]) -> dict[str, Any]:
    """Options of sampling, as typed, as `run.look` takes them; none where none was. Raises RegardError as above."""
    sampling = sampling_of(run, options) if options else None
    if options and "tokens" not in options:
        what = "it says how tokens are chosen, and none are to be said"
        raise RegardError(name_as_typed(options), what, "add --tokens N")
    return {name: getattr(sampling, name) for name in options}


def name_classes(run: Any, json_: bool, given: str, alone: bool) -> None:
    """The classes of a text, or of the file of a picture or sound, the likeliest first."""
    began = time.monotonic()
    found = run.predict(given)
    if json_:
        seconds = time.monotonic() - began
        answer({**run.facts, "seconds": seconds, "input": given, "output": found[0][0], "scores": dict(found)})
    else:
        say(words.classes_text(None if alone else given, found))


def patches_of(options: Mapping[str, Any]) -> int:
    """Patches of a series to tell: its tokens. Raises RegardError for other options, and for no such number."""
    from regard.series_run import FARTHEST
    from regard.training.settings import Setting

    given = {name: value for name, value in options.items() if value not in (None, ())}
    tokens = given.pop("tokens", 1)
    if given:
        raise RegardError(name_as_typed(given), "it is for a run that goes on with texts", "leave it out")
    return int(Setting("tokens", "whole", "", 1, FARTHEST).check(tokens))


def go_on(run: Any, patches: int, json_: bool, given: str, alone: bool) -> None:
    """The rows that come after a table's, in its units: a table again, with the file's name where there are several."""
    began = time.monotonic()
    rows, decimals = run.told(given, patches)
    if json_:
        output = {"columns": run.columns, "rows": rows.tolist()}
        answer({**run.facts, "seconds": time.monotonic() - began, "input": given, "output": output, "scores": None})
    else:
        write(shown(words.csv_text(run.columns, rows.tolist(), decimals, None if alone else given)))


def say_after(run: Any, sampling: Any, json_: bool, prompt: str, alone: bool) -> None:
    """What the run says, as it comes; several samples one after another, an empty line between."""
    began = time.monotonic()
    if json_:
        nats: dict[int, list[float]] = {}
        said = run.samples(prompt, sampling, nats)
        scores = [said_scores(nats.get(sample, [])) for sample in range(sampling.samples)]
        output, score = (said[0], scores[0]) if sampling.samples == 1 else (said, scores)
        seconds = time.monotonic() - began
        answer({**run.facts, "seconds": seconds, "input": prompt, "output": output, "scores": score})
    elif sampling.samples > 1:
        write("\n\n".join(map(shown, run.samples(prompt, sampling))) + "\n")
    else:
        for _, text in run.stream(prompt, sampling):
            write(shown(text))
        write("\n")


def said_scores(nats: list[float]) -> dict[str, float | None]:
    """How likely the model itself found what was said, whatever the filters left to choose from."""
    return {"nats_per_token": sum(nats) / len(nats) if nats else None, "tokens": len(nats)}


def unanswered(run: Any, raw: bytes | str, error: RegardError, json_: bool) -> None:
    """A row for the prompt that failed, so that there are as many rows as prompts (C9)."""
    if not json_:
        tell(str(error))
        return
    given = raw if isinstance(raw, str) else raw.decode(errors="backslashreplace")
    answer({**run.facts, "seconds": 0.0, "input": given, "output": None, "scores": None, "error": str(error)})
