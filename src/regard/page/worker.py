"""The one thread that runs the model for the page: a job at a time, the newest of each client, proofs when none waits.

A job is asked to stop through `while_wanted`: between two layers of a pass, or two heads of a proof. Proofs and patient
jobs make way for all others, and then begin anew.
"""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from regard.looking.record import Recording
from regard.looking.stopping import Stopped, while_wanted

MOST_WAITING = 8
LIMIT = 30.0
"""Seconds of one computation; a proof has none."""


class Declined(Exception):
    """What the page is told in place of an answer: an HTTP status and one sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


REPLACED = (409, "replaced by newer work")
BUSY = (503, f"{MOST_WAITING} computations wait already; try again in a moment")
ENDED = (503, "regard is ending; start it again")
GONE = (503, "nobody waits for this any more; ask again")
LATER = Declined(503, "this makes way for what somebody waits for; it begins again")


def too_long(limit: float) -> Declined:
    return Declined(503, f"this took over {limit:g} seconds and was stopped; try a shorter text")


@dataclass(eq=False)
class Job:
    """One computation with the model."""

    work: Callable[[], Any]
    client: str = ""
    proves: Recording | None = None
    """Whose proof it is."""
    patient: bool = False
    """Whether it lets all others go first, proofs too: a part of much work, which comes again and again."""
    done: "Future[Any]" = field(default_factory=Future)
    unwanted: Declined | None = None
    """Why nobody waits for it any more."""

    @property
    def makes_way(self) -> bool:
        return self.patient or self.proves is not None

    def end(self, why: Declined) -> None:
        """Whoever waits is told at once; the work itself ends when it next looks."""
        self.unwanted = why
        self.settle(error=why)

    def settle(self, result: Any = None, error: BaseException | None = None) -> None:
        with suppress(InvalidStateError):  # it was ended, or cancelled, before
            if error is not None:
                self.done.set_exception(error)
            else:
                self.done.set_result(result)


class Worker:
    """Its thread begins with the first job. fault: is told what went wrong in a proof, as nobody waits for that."""

    def __init__(self, limit: float = LIMIT, fault: Callable[[BaseException], object] = lambda error: None) -> None:
        self.limit, self.fault = limit, fault
        self._waiting: deque[Job] = deque()
        self._proofs: list[Job] = []
        """The last one is made first: it is of what is looked at now."""
        self._running: Job | None = None
        self._change = threading.Condition()
        self._open = True
        self._thread: threading.Thread | None = None

    def do(self, job: Job) -> Job:
        """Puts it behind those that wait. Raises Declined if there are too many."""
        with self._change:
            if not self._open:
                raise Declined(*ENDED)
            if job.proves is not None:
                self._proofs.append(job)
            elif len(self._waiting) >= MOST_WAITING:
                raise Declined(*BUSY)
            else:
                self._waiting.append(job)
                running = self._running
                if not job.patient and running is not None and running.makes_way and running.unwanted is None:
                    running.unwanted = LATER
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="regard model", daemon=True)
                self._thread.start()
            self._change.notify_all()
        return job

    def replace(self, client: str) -> None:
        """Ends all that this client asked for before."""
        self._end(lambda job: job.client == client and job.proves is None, REPLACED)

    def drop(self, job: Job) -> None:
        """Ends a job whose client is gone."""
        self._end(lambda other: other is job, GONE)

    def forget(self, recording: Recording) -> None:
        """Ends the proof of a recording that is kept no longer."""
        self._end(lambda job: job.proves is recording, GONE)

    def close(self) -> None:
        """Ends everything; the thread ends when the running job next looks."""
        with self._change:
            self._open = False
            self._change.notify_all()
        self._end(lambda job: True, ENDED)

    def join(self, seconds: float) -> None:
        if self._thread is not None:
            self._thread.join(seconds)

    def _end(self, ends: Callable[[Job], bool], why: tuple[int, str]) -> None:
        with self._change:
            ended = [job for job in (*self._waiting, *self._proofs) if ends(job)]
            self._waiting = deque(job for job in self._waiting if job not in ended)
            self._proofs = [job for job in self._proofs if job not in ended]
            for job in ended:
                if job.proves is not None:
                    job.proves.proving = False
            if self._running is not None and ends(self._running):
                ended.append(self._running)
            for job in ended:
                job.end(Declined(*why))

    def _run(self) -> None:
        while (job := self._next()) is not None:
            self._do(job)

    def _next(self) -> Job | None:
        """The next job, as soon as there is one; None when all has ended."""
        with self._change:
            self._running = None
            self._change.wait_for(lambda: not self._open or self._waiting or self._proofs)
            if self._open:
                self._running = self._first()
            return self._running

    def _first(self) -> Job:
        urgent = [job for job in self._waiting if not job.patient]
        if not urgent and self._proofs:
            return self._proofs.pop()
        job = (urgent or self._waiting)[0]
        self._waiting.remove(job)
        return job

    def _do(self, job: Job) -> None:
        clock = threading.Timer(self.limit, lambda: job.end(too_long(self.limit)))
        clock.daemon = True
        if job.proves is None:
            clock.start()
        try:
            with while_wanted(lambda: job.unwanted is None):
                job.settle(job.work())
        except Stopped:
            self._put_off(job)
        except BaseException as error:
            job.settle(error=error)
            if job.proves is not None:
                self.fault(error)
        finally:
            clock.cancel()

    def _put_off(self, job: Job) -> None:
        """What made way waits again; anything else that stopped has been told so."""
        with self._change:
            if job.unwanted is not LATER or not self._open:
                return
            job.unwanted = None
            if job.proves is None:
                self._waiting.append(job)
            else:
                job.proves.proving = True  # waiting for it counts as running
                self._proofs.append(job)
