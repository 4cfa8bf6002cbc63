"""What a proof found: its checks with their numbers, and the one line of it that stays in view."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

STORED = " (as stored in the file)"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One of the seven checks: its largest number and where that was."""

    name: str
    """A to G."""
    what: str
    """What was compared, in words."""
    passed: bool | None
    """None: it was not done, and `note` says why."""
    number: float | None = None
    limit: float | None = None
    """What the number may be at most (for G: must be at least)."""
    site: str | None = None
    layer: int | None = None
    head: int | None = None
    note: str = ""

    @property
    def place(self) -> str:
        """ "layer 2 head 1", as much of it as is known."""
        parts = [] if self.site in (None, "self") else [str(self.site)]
        parts += [f"{name} {at}" for name, at in (("layer", self.layer), ("head", self.head)) if at is not None]
        return " ".join(parts)


@dataclass(frozen=True, kw_only=True)
class Proof:
    """All checks of one recording, made once."""

    checks: tuple[Check, ...]
    dtype: str
    """In which the recorded calls computed."""
    bound: float | None
    """Every row of weights is within this of the kernel's own, in Euclidean norm (check C); None if C was not done."""
    unseen: tuple[str, ...]
    """Errors that check G could not have seen in this recording, and where."""
    seed: int
    kernel: str
    seconds: float
    made: str
    """When, in UTC."""
    threads: int

    @property
    def passed(self) -> bool:
        """Whether every check was done and none failed."""
        return all(check.passed for check in self.checks)

    @property
    def badge(self) -> str:
        """One line: proven, and within what; or which check failed first, where, and by what number."""
        failed = next((check for check in self.checks if check.passed is False), None)
        if failed is not None:
            place = f", {failed.place}" if failed.place else ""
            number = f", {short(failed.number)}" if failed.number is not None else ""
            return f"Not proven: check {failed.name}{place}{number}"
        missing = [check.name for check in self.checks if check.passed is None]
        if missing or self.bound is None:
            done = ", ".join(check.name for check in self.checks if check.passed)
            return f"Not proven: {', '.join(missing)} not done ({done} passed)"
        unseen = f"; could not see here: {', '.join(self.unseen)}" if self.unseen else ""
        return f"Proven ({self.dtype}): every weight within {short(self.bound, up=True)} of the kernel's own{unseen}"

    def check(self, name: str) -> Check:
        return next(check for check in self.checks if check.name == name)

    def repeated(self, by: "Proof") -> "Proof":
        """This proof with those checks replaced that another has made again; the others say that they are stored."""
        anew = {check.name: check for check in by.checks if check.passed is not None}
        kept = {check.name: replace(check, note=check.note.removesuffix(STORED) + STORED) for check in self.checks}
        return replace(self, checks=tuple((kept | anew)[check.name] for check in self.checks))

    def table(self) -> str:
        """Every check on a line, for a terminal."""
        lines = []
        for check in self.checks:
            state = {True: "passed", False: "FAILED", None: "not done"}[check.passed]
            number = "" if check.number is None else short(check.number)
            limit = "" if check.limit is None else f"limit {short(check.limit)}"
            end = " | ".join(part for part in (check.place, check.note) if part)
            lines.append(f"{check.name}  {state:8}  {number:>8}  {limit:<12}  {check.what}  {end}".rstrip())
        lines.append(f"seed {self.seed}, {self.kernel}, {self.threads} threads, {self.seconds:.1f} s, {self.made}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Proof":
        """The inverse of to_json. Raises TypeError, KeyError or ValueError for anything else."""
        given = dict(values)
        checks = tuple(Check(**check) for check in given.pop("checks"))
        proof = cls(checks=checks, unseen=tuple(map(str, given.pop("unseen"))), **given)
        numbers = [proof.seconds, proof.seed, *(c.number for c in checks), *(c.limit for c in checks), proof.bound]
        texts = [proof.dtype, proof.kernel, proof.made, *(c.name + c.what + c.note for c in checks)]
        if not all(x is None or isinstance(x, int | float) for x in numbers) or not all(
            isinstance(x, str) for x in texts
        ):
            raise ValueError("a proof holds numbers and texts")
        return proof


def short(number: float | None, up: bool = False) -> str:
    """One digit and a power of ten: 3e-2; `up`: never less than the number itself."""
    if number is None or not math.isfinite(number):
        return "NaN" if number is None or math.isnan(number) else "infinity"
    if number == 0:
        return "0"
    power = math.floor(math.log10(abs(number)))
    digit = abs(number) / 10.0**power
    whole = math.ceil(digit - 1e-9) if up else round(digit)
    if whole == 10:
        whole, power = 1, power + 1
    return f"{'-' if number < 0 else ''}{whole}e{power}"
