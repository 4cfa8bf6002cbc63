"""The command line: parses, calls run.py, prints; nothing else. Heavy imports happen inside the verbs."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

import click

from regard import __version__
from regard.errors import RegardError, printable
from regard.training.settings import MINUTES, SETTINGS, STEPS

BEGAN = time.monotonic()


class Verbs(click.Group):
    """Names the nearest verb for one that does not exist."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            near = get_close_matches(args[0], self.commands, 1)
            do = f"did you mean {near[0]}?" if near else "give one of: " + ", ".join(self.commands)
            raise RegardError(args[0], "there is no such command", do)
        return super().resolve_command(ctx, args)


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


def as_json(command: Callable[..., Any]) -> Callable[..., Any]:
    option = click.option(
        "--json", "json_", is_flag=True, help="One JSON object on standard output, and nothing else there."
    )
    return option(command)


def reading(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say how text is read."""
    for option in (
        click.option("--encoding", help="Of the text, where it is not UTF-8: latin-1, cp1252, utf-16-le ..."),
        click.option(
            "--skip-bad", is_flag=True, help="Skip malformed rows of .jsonl, and count them, instead of refusing."
        ),
        click.option("--text-key", default="text", show_default=True, help="The key of the text in .jsonl rows."),
    ):
        command = option(command)
    return command


def settings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """One option a setting, from the one table in training/settings.py."""
    for setting in reversed(SETTINGS):
        metavar = "|".join(setting.choices) if setting.kind == "choice" else "N" if setting.kind == "whole" else "X"
        command = click.option(setting.option, setting.name, metavar=metavar, help=setting.meaning.capitalize() + ".")(
            command
        )
    return command


@app.command(short_help="Train on files or folders, in the minutes given.")
@click.argument("paths", nargs=-1)
@click.option(MINUTES.option, MINUTES.name, metavar="X", help="Time from now to the last score.  [default: 5]")
@click.option(
    STEPS.option, STEPS.name, metavar="N", help="Optimiser steps, instead of minutes: the same bits every time."
)
@click.option("--plan", is_flag=True, help="Print the plan with a reason for each setting; train nothing.")
@click.option("--out", help="The run's folder.  [default: runs/NAME]")
@click.option("--resume", metavar="RUN", help="Go on with this run; all that is not said again is taken from it.")
@click.option("--from", "base", metavar="FOLDER", help="Start from a run or a Hugging Face checkpoint folder.")
@click.option("--fresh", is_flag=True, help="Begin anew beside what is there.")
@click.option("--device", metavar="cpu|cuda|mps", help="Where to compute.  [default: a GPU where there is one]")
@click.option("--tensorboard", is_flag=True, help="Also write the losses for TensorBoard.")
@click.option("--accept-new-data", is_flag=True, help="Go on although the data changed.")
@click.option("--no-lock", is_flag=True, help="For file systems that cannot lock.")
@reading
@as_json
@settings_options
def train(paths: tuple[str, ...], plan: bool, json_: bool, base: str | None, out: str | None, resume: str | None,
          fresh: bool, device: str | None, tensorboard: bool, accept_new_data: bool, no_lock: bool,
          encoding: str | None, skip_bad: bool, text_key: str, **given: Any) -> None:  # fmt: skip
    """Train on PATHS: text files, folders of them, .jsonl with "text", or - for standard input.

    Every setting that is not given is planned from the data, the minutes and the measured speed; --plan says why.
    The same command again goes on with a run that was stopped.

    \b
    regard train shakespeare.txt --minutes 5
    """
    from regard.training.settings import checked

    settings = checked(given)
    if not paths and resume is None:
        raise RegardError("train", "nothing to learn from was given", "name a file, a folder, or - for standard input")
    if resume is not None and (out is not None or fresh):
        raise RegardError("--resume", "it names the run already", "leave out --out and --fresh")
    from regard.session import make_plan, run_session
    from regard.training.report import Terminal
    from regard.training.request import Request

    request = Request(paths=paths, given=settings, out=out, resume=resume, base=base, device=device, encoding=encoding,
                      skip_bad=skip_bad, text_key=text_key, tensorboard=tensorboard, accept_new_data=accept_new_data,
                      fresh=fresh, no_lock=no_lock, began=BEGAN)  # fmt: skip
    terminal = Terminal()
    if plan:
        planned = make_plan(request, terminal, load)
        answer({"plan": planned.to_json()}) if json_ else say(plan_text(planned.to_json()))
        return
    run = load(run_session(request, terminal, load))
    if int(os.environ.get("RANK", "0")) > 0:
        return
    info = run.info()
    figures = {"steps": info["step"], "tokens_per_second": info["tokens_per_second"]}
    result = {**run.facts, "seconds": time.monotonic() - BEGAN, **(info["scores"] or {}), **figures,
              "plan": info["plan"], "folder": str(run.path)}  # fmt: skip
    answer(result) if json_ else say(trained_text(run, info))


@app.command(short_help="Say what comes after a prompt.")
@click.argument("run")
@click.argument("prompts", nargs=-1)
@click.option("--tokens", type=str, metavar="N", help="Tokens to say at most.  [default: 256]")
@click.option("--temperature", metavar="X", help="0 is greedy.  [default: 0.8]")
@click.option("--top-k", metavar="N", help="Only the N likeliest tokens.")
@click.option("--top-p", metavar="X", help="Only the likeliest tokens that make up X of the probability.")
@click.option("--min-p", metavar="X", help="Only tokens at least X times as likely as the likeliest.")
@click.option("--repetition-penalty", metavar="X", help="Above 1: tokens that were said before become less likely.")
@click.option("--stop", multiple=True, metavar="TEXT", help="Stop before this text; may be given several times.")
@click.option("--samples", metavar="N", help="Answers to each prompt.  [default: 1]")
@click.option("--seed", metavar="N", help="Of the random numbers.  [default: 0]")
@as_json
def predict(run: str, prompts: tuple[str, ...], json_: bool, **options: Any) -> None:
    """Say what RUN expects after each of PROMPTS, as it comes; without a prompt, ask for lines.

    \b
    regard predict runs/shakespeare "To be, or not to be"
    """
    loaded = load(run)
    from regard.decoding.sample import Sampling

    sampling = Sampling.of_text(options)
    for prompt in prompts or asked_lines():
        if json_:
            began = time.monotonic()
            texts = [""] * sampling.samples
            for sample, text in loaded.stream(prompt, sampling):
                texts[sample] += text
            output: Any = texts[0] if sampling.samples == 1 else texts
            answer(
                {**loaded.facts, "seconds": time.monotonic() - began, "input": prompt, "output": output, "scores": None}
            )
        else:
            speak(loaded, prompt, sampling)
    notices(loaded)


@app.command(short_help="See which head looks where.")
@click.argument("what")
@click.argument("text", required=False)
@click.option("--save", metavar="FILE", help="x.svg or x.png: a picture of every head; x.regard: the recording.")
@click.option("--head", metavar="L.H", help="Draw this one head of this layer, large; both count from 0.")
@click.option("--prove", is_flag=True, help="Prove a saved recording again.")
@click.option("--run", "run_", metavar="RUN", help="The run that a recording was made of, for all of its checks.")
@click.option("--overwrite", is_flag=True, help="Replace the file that --save names.")
@as_json
def look(what: str, text: str | None, save: str | None, head: str | None, prove: bool, run_: str | None,
         overwrite: bool, json_: bool) -> None:  # fmt: skip
    """Record what every head of RUN looks at in TEXT; or open a saved recording, x.regard.

    \b
    regard look runs/shakespeare "A robot must obey the orders given it by human beings" --save heads.svg
    """
    from regard.looking.command import looked

    report = looked(what, text, load, save=save, head=head, prove=prove, run=run_, overwrite=overwrite)
    answer({**report.facts, "seconds": time.monotonic() - BEGAN}) if json_ else say(report.text)


@app.command("eval", short_help="Score a run on its held-out part or on other files.")
@click.argument("run")
@click.argument("paths", nargs=-1)
@reading
@as_json
def evaluate(run: str, paths: tuple[str, ...], json_: bool, **reading: Any) -> None:
    """Score RUN on its own held-out part, or on PATHS; beside it, the answers that look at nothing.

    \b
    regard eval runs/shakespeare other.txt --json
    """
    loaded = load(run)
    scores = loaded.evaluate(*paths, **reading)
    notices(loaded)
    if json_:
        answer({**loaded.facts, "seconds": time.monotonic() - BEGAN, **scores})
    else:
        say(scores_text(scores) + "\n" + origin(loaded))


@app.command(short_help="What a run is, or every run of a folder.")
@click.argument("path")
@as_json
def info(path: str, json_: bool) -> None:
    """What the run at PATH is, trained on what, its score and its size; or a line for every run in the folder PATH.

    \b
    regard info runs/
    """
    from regard.run import is_checkpoint_of_others, runs_in
    from regard.training.folders import CONFIG

    folder = Path(path)
    if (folder / CONFIG).exists() or is_checkpoint_of_others(folder):
        known = load(path).info()
        answer(known) if json_ else say(info_text(known))
        return
    found = [run.info() for run in runs_in(folder)]
    answer({"runs": found}) if json_ else say(runs_text(found))


@app.command(short_help="Write the model for other programs.")
@click.argument("run")
@click.argument("target")
@click.option("--format", "format_", default="hf", show_default=True, metavar="hf|gguf",
              help="hf: a folder for transformers, vLLM, CTranslate2; gguf: a file for llama.cpp.")  # fmt: skip
@click.option(
    "--dtype", default="float32", show_default=True, metavar="float32|bfloat16|float16", help="Of the weights."
)
@click.option("--overwrite", is_flag=True, help="Replace what TARGET names.")
@as_json
def export(run: str, target: str, format_: str, dtype: str, overwrite: bool, json_: bool) -> None:
    """Write RUN to TARGET for other programs, reload it, and compare.

    \b
    regard export runs/shakespeare folder --format hf
    regard export runs/shakespeare model.gguf --format gguf
    """
    loaded = load(run)
    result = loaded.export(target, format_, dtype=dtype, overwrite=overwrite)
    notices(loaded)
    if json_:
        answer({**loaded.facts, "seconds": time.monotonic() - BEGAN, **result})
    else:
        say(f"wrote {', '.join(result['files'])}\nreloaded: logits differ by {result['check']:.1e} at most")


# what is printed


def load(path: Any) -> Any:
    from regard.run import load as load_run

    return load_run(path)


def answer(result: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(result, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def say(text: str) -> None:
    sys.stdout.write(text.rstrip("\n") + "\n")
    sys.stdout.flush()


def notices(run: Any) -> None:
    for notice in run.notices:
        sys.stderr.write(f"regard: {notice}\n")


def speak(run: Any, prompt: str, sampling: Any) -> None:
    """Streams to a terminal with control characters shown as escapes, to a pipe as they are (T18)."""
    shown: Callable[[str], str] = (
        (lambda t: "\n".join(printable(line) for line in t.split("\n"))) if sys.stdout.isatty() else str
    )
    if sampling.samples == 1:
        for _, text in run.stream(prompt, sampling):
            sys.stdout.write(shown(text))
            sys.stdout.flush()
        sys.stdout.write("\n")
        return
    texts = [""] * sampling.samples
    for sample, text in run.stream(prompt, sampling):
        texts[sample] += text
    say("\n\n".join(shown(text) for text in texts))


def asked_lines() -> Iterator[str]:
    """Lines that a person types, or that come through a pipe."""
    asking = sys.stdin.isatty()
    while True:
        if asking:
            sys.stderr.write("prompt: ")
            sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            return
        yield line.rstrip("\r\n")


def plan_text(choices: list[dict[str, Any]]) -> str:
    """Setting, value and reason, the reasons wrapped to the width of the terminal."""
    from textwrap import wrap

    width = terminal_width()
    lines = []
    for choice in choices:
        value = f"{choice['value']:,}" if isinstance(choice["value"], int) else str(choice["value"])
        reason = wrap(choice["reason"], max(width - 34, 20)) or [""]
        lines.append(f"{choice['name'].replace('_', '-'):<20}{value:>11}  {reason[0]}")
        lines += [" " * 33 + more for more in reason[1:]]
    return "\n".join(lines)


def terminal_width() -> int:
    import shutil

    return min(shutil.get_terminal_size((80, 24)).columns, 120)


def scores_text(scores: dict[str, Any]) -> str:
    """The run's figures, then those of the answers that look at nothing."""
    rows = [("this run", scores), *scores["baselines"].items()]
    head = f"{'held-out part':<16}{'nats/token':>12}{'bits/byte':>12}{'perplexity':>12}"
    lines = [
        f"{name:<16}{s['nats_per_token']:>12.4f}{s['bits_per_byte']:>12.4f}{s['perplexity']:>12.2f}" for name, s in rows
    ]
    sliding = f"{scores['nats_per_token_sliding']:.4f} nats/token sliding by half"
    return "\n".join([head, *lines, f"{scores['tokens']:,} tokens in disjoint windows; {sliding}"])


def trained_text(run: Any, known: dict[str, Any]) -> str:
    from regard.training.folders import is_finished

    end = is_finished(run.path) or {}
    sample = "\n".join("  " + printable(line) for line in end.get("sample", "").strip().split("\n"))
    return "\n".join([
        scores_text(known["scores"]), "", "it says:", sample, "",
        f"{run.path} is finished: {known['step']:,} steps, {known['tokens_per_second']:,.0f} tokens/s",
        origin(run), "",
        f'regard predict {run.path} "your words"', f'regard look {run.path} "your words" --save heads.svg',
        f"more minutes: regard train --resume {run.path} --minutes N",
    ])  # fmt: skip


def origin(run: Any) -> str:
    from regard.run import origin as line

    return line(run, BEGAN)


def info_text(known: dict[str, Any]) -> str:
    lines = []
    for key, value in known.items():
        if key == "plan":
            continue
        shown = json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)
        lines.append(f"{key:<20}{printable(shown)}")
    return "\n".join(lines) + ("\n\n" + plan_text(known["plan"]) if known.get("plan") else "")


def runs_text(found: list[dict[str, Any]]) -> str:
    if not found:
        return "no runs here"
    lines = [f"{'run':<24}{'state':<12}{'step':>9}{'nats/token':>12}{'bits/byte':>11}{'size':>11}"]
    for known in found:
        scores = known["scores"] or {}
        figures = [f"{scores[k]:.4f}" if k in scores else "-" for k in ("nats_per_token", "bits_per_byte")]
        size = f"{sum(known['bytes'].values()) / 1e6:,.1f} MB"
        name = printable(known["run"])[:23]
        lines.append(f"{name:<24}{known['state']:<12}{known['step']:>9,}{figures[0]:>12}{figures[1]:>11}{size:>11}")
    return "\n".join(lines)


# how it ends


def main(argv: list[str] | None = None) -> NoReturn:
    """Exit codes (bad-inputs, rule 2): 0 done; 2 the command or the data; 1 regard or the machine; or a signal's."""
    arguments = sys.argv[1:] if argv is None else argv
    debug = "--debug" in arguments
    arguments = [a for a in arguments if a != "--debug"]
    for stream in (sys.stdout, sys.stderr):  # UTF-8 whatever the locale says (C6)
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    if arguments[:1] != ["train"] and hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` ends it quietly (C5); training goes on
    with refusals(debug):
        app.main(arguments or ["--help"], prog_name="regard", standalone_mode=False)
    sys.exit(0)


@contextmanager
def refusals(debug: bool) -> Iterator[None]:
    """Every failure as one sentence on standard error, and the exit code that belongs to it."""
    try:
        yield
    except RegardError as error:
        fail(str(error), error.code, debug)
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except click.UsageError as error:
        fail(usage_sentence(error), 2, debug)
    except KeyboardInterrupt as stop:
        number = int(getattr(stop, "signal", signal.SIGINT))
        tell(str(stop) or "stopped")
        from regard.training.signals import die_of

        die_of(number)
    except MemoryError:
        fail("memory: there is not enough; lower --batch, --context or --width", 1, debug)
    except Exception as error:
        what = f"this is a fault of regard ({type(error).__name__}: {error})"
        fail(f"{what}; give --debug for the traceback and report it", 1, debug)


def usage_sentence(error: click.UsageError) -> str:
    """click's message as where, what, do."""
    message = error.format_message().rstrip(".").replace("\n", " ")
    command = error.ctx.command_path if error.ctx is not None else "regard"
    where = getattr(error, "option_name", None) or command
    return str(RegardError(str(where), message, f"see `{command} --help`"))


def fail(sentence: str, code: int, debug: bool) -> NoReturn:
    if debug:
        import traceback

        traceback.print_exc()
    tell(sentence)
    sys.exit(code)


def tell(sentence: str) -> None:
    try:
        sys.stderr.write(f"\rregard: {sentence}\n" if sys.stderr.isatty() else f"regard: {sentence}\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        return
