"""A training from the command to the last score: which folder, the plan, then the loop with its checkpoints.

Rank 0 reads the data, decides, writes and prints; the other ranks are told what they need and compute with it.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from regard import files
from regard.data.open import open_source
from regard.data.text import TextSource
from regard.errors import Notice, RegardError, printable
from regard.tasks import TASKS
from regard.tasks.text_plan import Budget
from regard.training.folders import CONFIG, DATA, FORMAT, find_folder, read_config
from regard.training.measure import Probe
from regard.training.plan import Plan
from regard.training.ranks import Ranks, join
from regard.training.report import Terminal
from regard.training.request import Request
from regard.training.run_loop import Training
from regard.training.signals import Wish


def choose_device(name: str | None) -> torch.device:
    """A GPU where there is one, else the CPU; a device that was asked for and is absent is refused (C7)."""
    there = ["cpu"] + ["cuda"] * torch.cuda.is_available() + ["mps"] * torch.backends.mps.is_available()
    if name is None:
        return torch.device(there[-1])
    if name not in there:
        raise RegardError("--device", f"{name} is not there", f"this machine has: {', '.join(there)}")
    return torch.device(name)


Load = Callable[[str], Any]
"""How a run, or another program's checkpoint, is opened: something with a model and a tokenizer (--from)."""


def run_session(request: Request, terminal: Terminal, load: Load) -> Path:
    """Trains, or goes on training, until the end; returns the run's folder.

    Raises Stopped after a signal, with what is done saved; RegardError for what cannot be trained.
    """
    with ExitStack() as stack:
        wish = stack.enter_context(Wish())
        ranks = join(choose_device(request.device))
        stack.callback(ranks.leave)
        leader = Leader(request, terminal, ranks, stack, load) if ranks.first else None
        place = ranks.told(leader.find() if leader else None)
        folder = Path(place["folder"])
        if place["finished"]:
            return folder
        probe = Probe(_opener(folder, place["kind"], ranks), ranks)
        if leader is not None and not place["resumed"]:
            leader.write_once(leader.plan(folder, probe), folder)
            probe.over()
        elif not place["resumed"]:
            terminal.quiet = True
            probe.follow()
        ranks.wait()
        config = read_config(folder)
        task = task_of(config["kind"]).open(folder, config["settings"], ranks, config["model"])
        asked = leader.request if leader is not None else request
        training = stack.enter_context(Training(folder, config, task, asked, ranks, terminal, wish))
        base = load(config["from"]) if config["from"] else None
        training.begin(leader.notices if leader else [], base.model if base is not None else None)
        training.until_the_end()
        return folder


def make_plan(request: Request, terminal: Terminal, load: Load) -> Plan:
    """The plan alone: reads and times, trains nothing and leaves nothing behind."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="regard-plan-")))
        ranks = Ranks(device=choose_device(request.device))
        leader = Leader(request, terminal, ranks, stack, load)
        leader.source = leader.open(request, folder)
        plan, _, _ = leader.plan(folder, Probe(_opener(folder, leader.source.kind, ranks), ranks))
        return plan


def task_of(kind: str) -> Any:
    """The task's class, from the visible table in tasks/__init__.py."""
    return import_module(TASKS[kind]).TASK


def _leave_nothing(folder: Path, was_there: bool, parent_was_there: bool) -> None:
    """A refusal before config.json leaves nothing behind (bad-inputs, rule 1)."""
    if not was_there and folder.is_dir() and not (folder / CONFIG).exists():
        shutil.rmtree(folder, ignore_errors=True)
        if not parent_was_there and not any(folder.parent.iterdir()):
            folder.parent.rmdir()


def summary(source: TextSource) -> str:
    """What was found, in numbers."""
    documents = "1 document" if source.documents == 1 else f"{source.documents:,} documents"
    characters = f"{source.characters:,} characters ({len(source.distinct):,} different)"
    parts = f"{source.train_characters:,} characters to learn from, {source.held_out_characters:,} held out"
    return f"read {printable(source.name)}: {documents}, {characters}\n  {parts}"


def _opener(folder: Path, kind: str, ranks: Ranks) -> Any:
    def opened(settings: Mapping[str, Any], model: Mapping[str, Any] | None) -> Any:
        return task_of(kind).open(folder, settings, ranks, model)

    return opened


Planned = tuple[Plan, dict[str, Any], float]
"""The settings, the model's configuration, the seconds kept for the end."""


class Leader:
    """Rank 0 before the first step: opens the data, finds and locks the folder, plans, writes what is written once."""

    def __init__(self, request: Request, terminal: Terminal, ranks: Ranks, stack: ExitStack, load: Load) -> None:
        self.request, self.terminal, self.ranks, self.stack, self.load = request, terminal, ranks, stack, load
        self.notices: list[Notice] = []
        self.source: TextSource | None = None

    def open(self, request: Request, folder: Path | None) -> TextSource:
        """The data; standard input is spooled into the folder's cache."""
        spool = None
        if request.paths == ("-",) and folder is not None:
            files.make_folder(folder / "cache")
            spool = folder / "cache" / "stdin.txt"
        self.source = open_source(request.paths, encoding=request.encoding, skip_bad=request.skip_bad,
                                  text_key=request.text_key, spool=spool)  # fmt: skip
        return self.source

    def find(self) -> dict[str, Any]:
        """The folder, locked, and whether its training is new, to go on, or finished."""
        found = find_folder(self.request, self.open)
        self.request, folder = found.request, found.folder
        self.notices += found.notices
        if not found.finished:
            files.probe(folder)
            self.stack.callback(_leave_nothing, folder, folder.exists(), folder.parent.exists())
            files.make_folder(folder)
            self.stack.enter_context(files.Lock(folder, no_lock=self.request.no_lock))
        kind = read_config(folder)["kind"] if found.resumed else ""
        if not found.resumed:
            kind = (self.source or self.open(self.request, folder)).kind
        return {"folder": str(folder), "kind": kind, "resumed": found.resumed, "finished": found.finished}

    def plan(self, folder: Path, probe: Probe) -> Planned:
        """Tokenises into the folder and chooses every setting."""
        request, source = self.request, self.source
        assert source is not None
        self.terminal.line(summary(source))
        base = self.load(request.base) if request.base else None
        plan = Plan(request.settings)
        plan.choose("seed", 0, "any number; another one gives other first weights and another order")
        prepared = task_of(source.kind).prepare(source, plan, folder, base)
        seconds = None if request.minutes is None else 60 * request.minutes
        budget = Budget(request.steps, seconds, request.began, self.ranks.count, self.ranks.device.type)
        model, reserve = prepared.choose(plan, budget, probe)
        self.notices += [*source.notices, *prepared.notices]
        return plan, model, reserve

    def write_once(self, planned: Planned, folder: Path) -> None:
        """data.json and, as the last, config.json: a folder that has it is a run."""
        plan, model, reserve = planned
        request, source = self.request, self.source
        assert source is not None
        config = {
            "format": FORMAT, "task": task_of(source.kind).name, "kind": source.kind, "name": source.name,
            "model": model, "settings": plan.settings, "plan": plan.to_json(), "given": request.given,
            "minutes": request.minutes, "steps": request.steps, "reserve": reserve, "from": request.base,
            "paths": [p if p == "-" else str(Path(p).absolute()) for p in request.paths], "reading": request.reading,
            "versions": {"regard": version("regard"), "torch": torch.__version__},
        }  # fmt: skip
        files.write(folder / DATA, json.dumps(source.fingerprint(), indent=1).encode(), overwrite=True)
        files.write(folder / CONFIG, json.dumps(config, indent=1).encode(), overwrite=True)
