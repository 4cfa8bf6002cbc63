"""A training from the command to the last score: which folder, the plan, then the loop with its checkpoints.

Rank 0 reads the data, decides, writes and prints; the other ranks are told what they need and compute with it.
"""

import json
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack, nullcontext, suppress
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from regard import files
from regard.data import shipped
from regard.data.open import Source, open_source
from regard.errors import Notice, RegardError, printable
from regard.tasks import TASKS
from regard.training.by_time import Budget
from regard.training.crash import reported_in
from regard.training.folders import CACHE, CONFIG, DATA, FORMAT, LOCK, RUNS, Found, find_folder, find_same, read_config
from regard.training.measure import Probe
from regard.training.memory import keep_freed
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
        stack.callback(terminal.rest)
        wish = stack.enter_context(Wish(launched="TORCHELASTIC_RUN_ID" in os.environ))
        ranks = join(choose_device(request.device))
        stack.callback(ranks.leave)
        keep_freed()
        terminal.quiet = terminal.quiet or not ranks.first
        leader = Leader(request, terminal, ranks, stack, load)
        place = ranks.agreed(leader.find)
        folder = Path(place["folder"])
        if place["finished"]:
            terminal.line(f"{printable(str(folder))} is finished already: nothing is trained")
            return folder
        with reported_in(folder) if ranks.first else nullcontext():
            _prepare(leader, folder, place, ranks)
            config = read_config(folder)
            task = task_of(config["kind"], config["task"]).open(folder, config["settings"], ranks, config["model"])
            training = stack.enter_context(Training(folder, config, task, leader.request, ranks, terminal, wish))
            training.begin(leader.notices, (lambda: load(config["from"]).model) if config["from"] else None)
            training.until_the_end()
        return folder


def _prepare(leader: "Leader", folder: Path, place: dict[str, Any], ranks: Ranks) -> None:
    """All ranks: what has to be in the folder before the training; rank 0 writes it, the others time with it."""
    probe = Probe(_opener(folder, task_of(place["kind"], place["task"]), ranks), ranks)
    if not ranks.first:
        probe.follow()
        return
    with ranks.telling():
        if place["resumed"]:
            leader.mend(folder)
        else:
            plan, beside = leader.plan(folder, probe)
            leader.write_once(plan, beside, folder)
            leader.terminal.line(outline(plan, folder))
    probe.over()


def make_plan(request: Request, terminal: Terminal, load: Load) -> tuple[Plan, Source]:
    """The plan, and the data it is for: reads and times, trains nothing and leaves nothing behind."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="regard-plan-")))
        ranks = Ranks(device=choose_device(request.device))
        keep_freed()
        leader = Leader(request, terminal, ranks, stack, load)
        leader.source = leader.open(request, folder)
        task = task_of(leader.source.kind, request.task)
        plan, _ = leader.plan(folder, Probe(_opener(folder, task, ranks), ranks))
        for notice in leader.notices:
            terminal.line(f"  {notice}")
        return plan, leader.source


def task_of(kind: str, name: str | None = None) -> Any:
    """The task's class, from the visible table in tasks/__init__.py: what data of this kind are usually asked, unless
    another is named. Raises RegardError for one that cannot be asked of them.
    """
    data = kind.replace("_", " ")
    if kind not in TASKS:
        there = ", ".join(one.replace("_", " ") for one in TASKS)
        raise RegardError(data, "these are read, but nothing can be learnt of them yet", f"give one of: {there}")
    known = TASKS[kind]
    name = next(iter(known)) if name is None else name
    if name not in known:
        do = f"give {' or '.join(known)}, or leave it out"
        raise RegardError("--task", f"{name} cannot be asked of {data}", do)
    return import_module(known[name]).TASK


def _leave_nothing(folder: Path, before: set[str], made: list[Path]) -> None:
    """A refusal before config.json leaves nothing behind (bad-inputs, rule 1). made: folders, the innermost first."""
    if (folder / CONFIG).exists():
        return
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.name not in before:
            files.durable.discard(path)
    for path in made:
        with suppress(OSError):  # somebody else's files are in it
            path.rmdir()


def outline(plan: Plan, folder: Path) -> str:
    """What is going to be trained, and where; `regard info` has the whole plan."""
    layers, heads = (f"{plan[name]:,} {name if plan[name] > 1 else name[:-1]}" for name in ("layers", "heads"))
    windows = f"{plan['batch']:,} x {plan['context']:,} tokens at a time"
    return f"  {layers}, width {plan['width']:,}, {heads}; {windows}; into {printable(str(folder))}"


def _opener(folder: Path, task: Any, ranks: Ranks) -> Any:
    def opened(settings: Mapping[str, Any], model: Mapping[str, Any] | None) -> Any:
        return task.open(folder, settings, ranks, model)

    return opened


class Leader:
    """Rank 0 before the first step: opens the data, finds and locks the folder, plans, writes what is written once."""

    def __init__(self, request: Request, terminal: Terminal, ranks: Ranks, stack: ExitStack, load: Load) -> None:
        self.request, self.terminal, self.ranks, self.stack, self.load = request, terminal, ranks, stack, load
        self.notices: list[Notice] = []
        self.source: Source | None = None

    def open(self, request: Request, folder: Path | None) -> Source:
        """The data; of streams what the folder's cache keeps of them, which is written there the first time."""
        again = request.resume is not None
        if folder is not None and request.streams and not again:
            files.make_folder(folder / CACHE)
        spool = None if folder is None else folder / CACHE / "stream"
        self.source = open_source(request.paths, encoding=request.encoding, skip_bad=request.skip_bad,
                                  text_key=request.text_key, spool=spool, resume=again, task=request.task)  # fmt: skip
        return self.source

    def find(self) -> dict[str, Any]:
        """The folder, locked, and whether its training is new, to go on, or finished."""
        request = self.request
        files.probe(request.resume or request.out or RUNS)
        found = find_folder(request, self.open)
        held = self.stack.enter_context(ExitStack())
        self._hold(found, held)
        if not found.resumed:
            source = self.source or self.open(request, found.folder)
            if request.streams and request.out is None:
                same = find_same(request, found.folder.with_name(source.name), source)
                if same is not None:
                    held.close()
                    self._hold(same, held)
                    found = same
        self.request = found.request
        self.notices += found.notices
        return {"folder": str(found.folder), **self._asked(found), "resumed": found.resumed,
                "finished": found.finished}  # fmt: skip

    def _asked(self, found: Found) -> dict[str, str]:
        """What kind the data are of, and which task is asked of them."""
        if found.resumed:
            config = read_config(found.folder)
            return {"kind": config["kind"], "task": config["task"]}
        assert self.source is not None
        return {"kind": self.source.kind, "task": task_of(self.source.kind, found.request.task).name}

    def _hold(self, found: Found, stack: ExitStack) -> None:
        """Makes the folder and takes its lock; both are undone if the training never begins."""
        folder = found.folder
        if found.finished:
            return
        made = [p for p in (folder, *folder.parents) if not p.exists()]
        before = set(os.listdir(folder)) if folder.is_dir() else set()
        files.make_folder(folder)
        try:
            stack.enter_context(files.Lock(folder, no_lock=self.request.no_lock))
        except RegardError:
            if made and (folder / LOCK).stat().st_size == 0:  # ours: a holder writes its name into it
                _leave_nothing(folder, before, made)
            raise
        stack.callback(_leave_nothing, folder, before, made)
        if (folder / CONFIG).exists() != found.resumed:  # somebody had the lock since we looked
            raise RegardError(str(folder), "another process began this run a moment ago", "give the command again")

    def mend(self, folder: Path) -> None:
        """Makes the run's tokens again where they are incomplete, from its data if they are what they were."""
        if self.source is not None and self.source.differs(json.loads((folder / DATA).read_bytes())) is None:
            config = read_config(folder)
            task_of(config["kind"], config["task"]).restore_cache(self.source, folder, config)

    def plan(self, folder: Path, probe: Probe) -> tuple[Plan, dict[str, Any]]:
        """Tokenises into the folder and chooses every setting; returns them, and what config.json keeps beside."""
        request, source = self.request, self.source
        assert source is not None
        self.terminal.line(source.summary())
        base = self.load(request.base) if request.base else None
        task, plan = task_of(source.kind, request.task), Plan(request.settings)
        plan.choose("task", task.name, f"what is asked of {source.kind.replace('_', ' ')} where no task is given")
        plan.choose("seed", 0, "any number; another one gives other first weights and another order")
        seconds = None if request.minutes is None else 60 * request.minutes
        budget = Budget(request.steps, seconds, request.began, self.ranks.count, self.ranks.device.type)
        prepared = task.prepare(source, plan, folder, base, budget)
        model, reserve = prepared.choose(plan, budget, probe)
        plan.check_all_used(source.kind, task.name)
        self.notices += [*shipped.taken(request.paths), *source.notices, *prepared.notices]
        return plan, {"model": model, "reserve": reserve, **prepared.kept}

    def write_once(self, plan: Plan, beside: dict[str, Any], folder: Path) -> None:
        """data.json and, as the last, config.json: a folder that has it is a run."""
        request, source = self.request, self.source
        assert source is not None
        config = {
            "format": FORMAT, "task": plan["task"], "kind": source.kind, "name": source.name,
            "settings": plan.settings, "plan": plan.to_json(), "given": request.given,
            "minutes": request.minutes, "steps": request.steps, **beside, "from": request.origin,
            "paths": [p if p == "-" else str(Path(p).absolute()) for p in request.paths], "reading": request.reading,
            "versions": {"regard": version("regard"), "torch": torch.__version__},
        }  # fmt: skip
        files.write(folder / DATA, json.dumps(source.fingerprint(), indent=1).encode(), overwrite=True)
        files.write(folder / CONFIG, json.dumps(config, indent=1).encode(), overwrite=True)
