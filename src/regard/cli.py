"""The command line: parses, calls run.py, prints; nothing else. Heavy imports happen inside the verbs."""

import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

import click

from regard import __version__, words
from regard.answering import asked, name_as_typed, responder, said_of, unanswered
from regard.columns import on_terminal
from regard.ending import refusals
from regard.errors import RegardError, printable
from regard.opening import SENTENCE, check_tour, open_page, port_of
from regard.options import (
    Verb,
    Verbs,
    argument,
    as_json,
    choosing,
    option,
    overwriting,
    reading,
    setting_option,
    settings_options,
)
from regard.streams import answer, asked_lines, prepare, say, tell, utf8
from regard.training.settings import MINUTES, STEPS

BEGAN = time.monotonic()


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="regard", message="regard %(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of a failure.")
def app(debug: bool) -> None:
    """Train a transformer from scratch on your own data in the minutes you have, then look inside.

    \b
    regard train shakespeare.txt --minutes 5
    regard predict runs/shakespeare "To be, or not to be"
    regard look runs/shakespeare "A robot must obey" --save heads.svg
    """


@app.command(cls=Verb, short_help="Train on files or folders, in the minutes given.")
@argument("paths", nargs=-1)
@setting_option(MINUTES, "  [default: 5]")
@setting_option(STEPS)
@option("--plan", is_flag=True, help="Print the plan with a reason for each setting; train nothing.")
@option("--out", metavar="FOLDER", help="The run's folder.  [default: runs/NAME]")
@option("--resume", metavar="RUN", help="Go on with this run; all that is not said again is taken from it.")
@option("--from", "base", metavar="FOLDER", help="Start from a run or a Hugging Face checkpoint folder.")
@option("--fresh", is_flag=True, help="Begin anew beside what is there.")
@option("--device", metavar="cpu|cuda|mps", help="Where to compute.  [default: a GPU where there is one]")
@option("--tensorboard", is_flag=True, help="Also write the losses for TensorBoard.")
@option("--accept-new-data", is_flag=True, help="Go on although the data changed.")
@option("--no-lock", is_flag=True, help="For file systems that cannot lock.")
@reading
@as_json
@settings_options
def train(paths: tuple[str, ...], plan: bool, json_: bool, base: str | None, out: str | None, resume: str | None,
          fresh: bool, device: str | None, tensorboard: bool, accept_new_data: bool, no_lock: bool,
          encoding: str | None, skip_bad: bool, text_key: str, **given: Any) -> None:  # fmt: skip
    """Train on PATHS: text files, folders of them, .jsonl with "text", - for standard input, or shakespeare, which
    comes with regard; pictures in a folder for each class, also in an archive, as IDX files or as arrays; a table with
    the columns text and label; or a table of numbers, whose rows are forecast.

    Every setting that is not given is planned from the data, the minutes and the measured speed; --plan says why.
    The same command again goes on with a run that was stopped.

    \b
    regard train shakespeare.txt --minutes 5
    regard train photos/
    """
    from regard.run import load, request

    if plan and resume is not None:
        raise RegardError("--plan and --resume", "a run that has begun keeps its plan", "see it by `regard info RUN`")
    wanted = request(paths, given, out=out, resume=resume, base=base, device=device, encoding=encoding,
                     skip_bad=skip_bad, text_key=text_key, tensorboard=tensorboard,
                     accept_new_data=accept_new_data, fresh=fresh, no_lock=no_lock, began=BEGAN)  # fmt: skip
    from regard.overview import speed_of
    from regard.session import make_plan, run_session
    from regard.training.folders import is_finished
    from regard.training.report import Terminal

    terminal = Terminal()
    if plan:
        planned, source = make_plan(wanted, terminal, load)
        facts = {"run": None, "task": planned["task"], "data": {"name": source.name, "digest": None},
                 "seed": planned["seed"], "version": __version__}  # fmt: skip
        reply(facts, {"plan": planned.to_json()}) if json_ else say(words.plan_text(planned.to_json()))
        return
    run = load(run_session(wanted, terminal, load))
    if int(os.environ.get("RANK", "0")) > 0:
        return
    known, end = run.info(), is_finished(run.path) or {}
    figures = {"steps": known["step"], **speed_of(end)}
    if json_:
        reply(run.facts, {**known["scores"], **figures, "plan": known["plan"], "folder": str(run.path)})
    else:
        say(words.trained_text(run, known, end.get("sample", "")) + "\n\n" + origin(run))


@app.command(cls=Verb, short_help="Say what comes after a prompt.")
@argument("run")
@click.argument("prompts", nargs=-1)
@option("--tokens", metavar="N", help="Tokens to say at most.  [default: 256]")
@choosing
@click.option("--stop", multiple=True, metavar="TEXT", help="Stop before this text; may be given several times.")
@option("--samples", metavar="N", help="Answers to each prompt.  [default: 1]")
@as_json
def predict(run: str, prompts: tuple[str, ...], json_: bool, stop: tuple[str, ...], **options: Any) -> None:
    """Say what RUN expects after each of PROMPTS, as it comes; without a prompt, ask for lines. Of a run on pictures
    PROMPTS are their files, and the answer is the classes with their probabilities; of a run on a series they are
    tables, and the rows that come next are told: a patch, or --tokens patches.

    \b
    regard predict runs/shakespeare "To be, or not to be"
    regard predict runs/photos cat.jpg
    """
    with opened(run) as loaded:
        respond = responder(loaded, {**options, "stop": tuple(utf8(text, "--stop") for text in stop)}, json_)
        loaded.check()  # what is wrong with the run is said before a prompt is asked for
        alone = len(prompts) == 1 and not json_
        done = failed = 0
        for raw in prompts or asked_lines():
            done += 1
            try:
                respond(asked(loaded, raw, f"prompt {done:,}"), alone)
            except RegardError as error:
                if alone or error.code == 1:
                    raise
                failed += 1
                unanswered(loaded, raw, error, json_)
        notices(loaded)
        if failed:
            raise RegardError("predict", f"{failed:,} of {done:,} prompts failed", "correct those that were named")


@app.command(cls=Verb, short_help="See which head looks where.")
@argument("what", metavar="RUN")
@click.argument("text", required=False)
@option("--save", metavar="FILE", help="x.html: a page by itself; x.svg, x.png: a picture of every head; "
        "x.regard: the recording.")  # fmt: skip
@option("--head", metavar="L.H", help="Only this head of this layer, large; both count from 0.")
@option("--query", metavar="TOKEN", help="Of a picture: whose maps are drawn: row,column of a patch, class, or "
        "'register 0'.  [default: class where the model has it, else the mean over all patches]")  # fmt: skip
@option("--tokens", metavar="N", help="Also look at N tokens that RUN says after TEXT: those that predict "
        "says with the same options.")  # fmt: skip
@choosing
@option("--tour", is_flag=True, help="Open the page on the tour, the lecture in twelve stops; without TEXT on "
        "a sentence that comes with regard. With --save x.html the saved page opens there.")  # fmt: skip
@option("--page/--no-page", "page", default=None, help="Open the page, or only print.  [default: open it where a "
        "terminal is, unless something is saved, proven or in JSON]")  # fmt: skip
@option("--port", metavar="N", help="Of the page.  [default: a free one]")
@option("--host", metavar="ADDRESS", help="Of the page: whoever reaches it needs the token.  [default: 127.0.0.1]")
@option("--browser/--no-browser", default=True, help="Whether the page opens in the browser by itself.")
@option("--prove", is_flag=True, help="Show every check of the proof; of a saved recording, make it again.")
@option("--run", "run_", metavar="RUN", help="The run that a saved recording was made of, for all of its checks.")
@overwriting
@as_json
def look(
    what: str, text: str | None, save: str | None, head: str | None, query: str | None, tour: bool, page: bool | None,
    port: str | None, host: str | None, browser: bool, prove: bool, run_: str | None, overwrite: bool, json_: bool,
    **typed: str | None,
) -> None:  # fmt: skip
    """Record what every head of RUN looks at in TEXT, prove it, name the strongest heads, and open the page that shows
    them all; without TEXT the page waits for one. Of a run on pictures, TEXT is a picture's file. Or open a saved
    recording, x.regard.

    \b
    regard look runs/shakespeare "A robot must obey"
    regard look runs/shakespeare --tour
    regard look runs/shakespeare "A robot must obey" --tokens 20
    regard look runs/shakespeare "A robot must obey" --save heads.svg
    regard look runs/shakespeare "A robot must obey" --save robot.regard
    regard look runs/photos cat.jpg --query 3,4 --save maps.svg
    regard look robot.regard --prove --run runs/shakespeare
    """
    saved = what.endswith(".regard") and not os.path.isdir(what)
    prints = bool(save or prove or head or json_)
    if tour:
        check_tour(save, head, page)
        text = SENTENCE if text is None and not saved else text
    by_itself = page is None  # where nobody asked for the page, it is left out if it does not show this
    page = (tour and save is None) or (on_terminal(sys.stdout) and not prints) if page is None else page
    check_look(saved, text, run_, save, overwrite, page and not prints)
    saying = {name: value for name, value in typed.items() if value is not None}
    if saying and (saved or text is None):
        raise RegardError(name_as_typed(saying), "there is no TEXT from which to go on", "give TEXT, or leave it out")
    number = port_of(port)
    if not page and (port is not None or host is not None):
        raise RegardError(
            "--port" if port is not None else "--host", "no page is opened", "add --page, or leave it out"
        )
    from regard.look import Look, check_ending, check_kind

    if save is not None:
        check_ending(save, head, query)
    elif query is not None and (not page or (text is None and not saved)):
        raise RegardError("--query", "nothing is drawn", "add --save x.svg or --page, or leave it out")
    with opened(run_ if saved else what) as run:
        if not saved:
            check_kind(run.takes, tour, query)
        if text is None and not saved:
            run.check()
            open_page(run, None, number, host, browser)
            return
        recording = (
            Look.load(what, run and run.model)
            if saved
            else run.look(asked(run, text or "", "TEXT"), **said_of(run, saying))
        )
        begins = recording.begins(tour, query)
        if saved and run is not None and run.says:
            recording.label = run.tokenizer.label
        chosen = None if head is None else recording.head_of(head)
        if prove or not saved:
            recording.prove()
        if save is not None:
            recording.save(save, overwrite, chosen, tour, query)
        notices(run)
        if json_:
            task = "classification" if recording.is_picture or recording.is_classified else "language"
            task = recording.facts.preprocessing.get("task", task)
            kept = {"run": recording.facts.name, "task": task, "data": None, "seed": recording.facts.seed,
                    "version": recording.facts.version}  # fmt: skip
            reply(run.facts if not saved else kept, looked(recording, chosen, save))
        else:
            say(words.look_text(recording, chosen, save, prove))
        if page and not (by_itself and not recording.has_page):
            open_page(run, recording, number, host, browser, begins)
    if recording.proof is not None and any(check.passed is False for check in recording.proof.checks):
        raise RegardError("proof", recording.badge, "do not trust these numbers, and please report this", 1)


def check_look(saved: bool, text: str | None, run: str | None, save: str | None, overwrite: bool, page: bool) -> None:
    """What contradicts itself is refused before anything is loaded."""
    if saved and text is not None:
        raise RegardError("TEXT", "a saved recording has its own text", "leave it out")
    if not saved and text is None and not page:
        raise RegardError("look", "TEXT is missing", "give the text to look at, in quotes, or a picture")
    if not saved and run is not None:
        raise RegardError("--run", "the run is named already", "leave it out; it goes with a saved recording, x.regard")
    if overwrite and save is None:
        raise RegardError("--overwrite", "nothing is to be saved", "leave it out, or add --save FILE")


@app.command("eval", cls=Verb, short_help="Score a run on its held-out part or on other files.")
@argument("run")
@argument("paths", nargs=-1)
@option("--save", metavar="FILE", help="Of a run on pictures, sounds or labelled texts, as x.html, x.svg or x.png: "
        "which class was taken for which, the most wrong and most right examples, and what each layer makes of them; "
        "of pictures without labels the layers.")  # fmt: skip
@overwriting
@reading
@as_json
def evaluate(run: str, paths: tuple[str, ...], save: str | None, overwrite: bool, json_: bool, **how: Any) -> None:
    """Score RUN on its own held-out part, or on PATHS; beside it, the answers that look at nothing.

    \b
    regard eval runs/shakespeare
    regard eval runs/shakespeare other.txt --json
    regard eval runs/photos --save photos.html
    """
    if overwrite and save is None:
        raise RegardError("--overwrite", "nothing is to be saved", "leave it out, or add --save FILE")
    for name, value in how.items():
        if not paths and value not in (None, False, "text"):
            do = "name files, or leave it out"
            raise RegardError(f"--{name.replace('_', '-')}", "it says how files are read, and none is given", do)
    from regard.files import check_new
    from regard.trained import called

    if save is not None:
        from regard.sheets import check_ending

        check_ending(save)
        check_new(save, overwrite)
    with opened(run) as loaded:
        if save is None:
            scores = loaded.evaluate(*paths, **how)
        else:
            report = loaded.report(*paths, **how)
            report.save(save, overwrite)
            scores = {**report.scores, "files": [save]}
        notices(loaded)
        if json_:
            reply(loaded.facts, scores)
        else:
            wrote = f"wrote {printable(save)}\n" if save is not None else ""
            say(words.scores_text(scores, called(paths)) + "\n" + wrote + origin(loaded))


@app.command(cls=Verb, short_help="What a run is, or every run of a folder.")
@argument("path", default="runs")
@as_json
def info(path: str, json_: bool) -> None:
    """What the run at PATH is, trained on what, its score and its size; or a line for every run in the folder PATH,
    which is runs unless given.

    \b
    regard info runs/
    """
    from regard.run import is_one, runs_in

    if is_one(path):
        with opened(path) as loaded:
            known = loaded.info()
            reply({}, known) if json_ else say(words.info_text(known))
    else:
        found = runs_in(Path(path))
        answer({"runs": found}) if json_ else say(words.runs_text(found))


@app.command(cls=Verb, short_help="Write the model for other programs.")
@argument("run")
@argument("target")
@option("--format", "format_", type=click.Choice(["hf", "gguf"]), metavar="hf|gguf",
        help="hf: a folder for transformers, vLLM, CTranslate2; gguf: a file for llama.cpp.  "
        "[default: gguf where TARGET ends in .gguf, else hf]")  # fmt: skip
@option("--dtype", type=click.Choice(["float32", "bfloat16", "float16"]), metavar="TYPE", default="float32",
        show_default=True, help="Of the weights: float32, bfloat16 or float16.")  # fmt: skip
@overwriting
@as_json
def export(run: str, target: str, format_: str | None, dtype: str, overwrite: bool, json_: bool) -> None:
    """Write RUN to TARGET for other programs, read it back, and compare.

    \b
    regard export runs/shakespeare folder --format hf
    regard export runs/shakespeare model.gguf --format gguf
    """
    with opened(run) as loaded:
        format_ = format_ or ("gguf" if target.endswith(".gguf") else "hf")
        result = loaded.export(target, format_, dtype=dtype, overwrite=overwrite)
        notices(loaded)
        reply(loaded.facts, result) if json_ else say(words.exported_text(result))


# what the verbs share


@contextmanager
def opened(path: str | None) -> Iterator[Any]:
    """The run at the path, or None where none is needed; a fault of ours inside leaves its report there (C4)."""
    if path is None:
        yield None
        return
    from regard.run import load
    from regard.training.crash import reported_in

    with reported_in(Path(path)):
        yield load(path)


def reply(facts: Mapping[str, Any], result: Mapping[str, Any]) -> None:
    """The JSON object of a verb: whence it is, how long it took, and what the verb found."""
    answer({**facts, "seconds": time.monotonic() - BEGAN, **result})


def notices(run: Any) -> None:
    """What had to be cut, left out or converted, on standard error."""
    for notice in (one for one in (run.notices if run is not None else ()) if one.count):
        tell(str(notice))


def origin(run: Any) -> str:
    from regard.run import origin as line

    return line(run, BEGAN)


def looked(recording: Any, head: tuple[int, int] | None, save: str | None) -> dict[str, Any]:
    """What `look` found, for --json; of a head that is not drawn, its weights."""
    proof = recording.proof
    weights = {} if head is None or save is not None else {"weights": recording.weights(*head).tolist()}
    said = recording.generated
    generated = None if said is None else {**asdict(said), "agrees": said.agrees}
    return {"tokens": list(recording.tokens.labels), "generated": generated, "badge": recording.badge,
            "proof": proof.to_json() if proof is not None else None,
            "heads": [asdict(one) for one in recording.measures()],
            "files": [save] if save is not None else [], **weights}  # fmt: skip


def main(argv: list[str] | None = None) -> NoReturn:
    """0: done; other exit codes: regard/ending.py."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments[: arguments.index("--")] if "--" in arguments else "--debug" in arguments
    if debug:
        arguments.remove("--debug")  # wherever it stands, it is an option of all verbs
    verb = arguments[0] if arguments[:1] and arguments[0] in app.commands else "regard"
    prepare(dies_of_closed_pipe=verb != "train")
    with refusals(verb, debug), app.make_context("regard", arguments or ["--help"]) as context:
        app.invoke(context)
    sys.exit(0)
