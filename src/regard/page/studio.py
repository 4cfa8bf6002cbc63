"""What the page looks at: recordings by their keys, and new ones of what is typed.

The model has one worker; tiles and rows come from a small pool and never wait for it (looking.md 5), nor for passes
over whole matrices, which have a pool of one.
"""

import asyncio
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from regard.looking.edit import Edit
from regard.looking.record import Recording
from regard.looking.stopping import Stopped, while_wanted
from regard.looking.survey import Survey, Surveying
from regard.page.answers import Answer, answer, takes_long
from regard.page.effects import effect_of
from regard.page.pictures import BEGINS
from regard.page.worker import ENDED, LIMIT, REPLACED, Declined, Job, Worker, too_long

KEPT = 8
"""Recordings at most."""
MOST_BYTES = 2 << 30
"""Of all recordings together, as long as there is more than one."""
MOST_ASKED = 256
"""Questions that wait for the pools."""
MOST_CLIENTS = 256
"""Clients whose last number is remembered."""
MOST_TEXT = 64 << 10
MOST_PICTURE = 8 << 20
"""Bytes of a picture's file: what a server takes as a body anyway (guard.py)."""
SLICE = 0.25
"""Seconds of a survey at once, and one window: how often the page is told how far it is."""

Look = Callable[[Any], Recording]
"""Of a text (str), or of the bytes of a picture's file, as the run takes."""
Notices = Callable[[], Iterable[object]]
Answering = Callable[[Recording, str], Answer]


class Studio:
    """All methods are called in the server's event loop; those that compute are awaited."""

    def __init__(
        self, look: Look | None, first: Recording | None = None, name: str = "", *, notices: Notices = tuple,
        answering: Answering = answer, limit: float = LIMIT, proves: bool = True,
        surveying: Callable[[], Surveying] | None = None, takes: str = "text",
    ) -> None:  # fmt: skip
        """look: records a text, None where there is no model. first: what is seen at first. name: the run's.

        notices: asked after each look for what had to be cut or converted. proves: whether new recordings are proven.
        surveying: begins to measure the heads on held-out text; None where there is no run. takes: what is looked at,
        "text" or "picture".
        """
        self.name, self._look, self._notices, self._answering = name, look, notices, answering
        self._limit, self._proves, self.worker = limit, proves, Worker(limit)
        self._begin_survey = surveying
        self.takes = "picture" if first is not None and first.is_picture else takes
        self._surveying: Surveying | None = None
        self._surveyed: Survey | None = None
        self._pools: dict[bool, ThreadPoolExecutor] = {
            False: ThreadPoolExecutor(2, "regard tiles"),
            True: ThreadPoolExecutor(1, "regard sweeps"),
        }
        """By whether an answer takes long: what is on the screen never waits behind a pass over a whole matrix."""
        self._asked = self._given = 0
        self._recordings: OrderedDict[str, Recording] = OrderedDict()
        """The one asked for last is the last."""
        self._numbers: OrderedDict[str, int] = OrderedDict()
        """The newest of each client."""
        if first is not None:
            self.add(first)

    # what there is

    def start(self) -> dict[str, Any]:
        """What the page begins with: the first recording, or the newest where that is kept no longer."""
        newest = max(self._recordings, key=int, default=None)
        key = "1" if "1" in self._recordings else newest
        badge = None if key is None else self._recordings[key].badge
        return {"key": key, "name": self.name, "live": True, "model": self._look is not None, "proof": badge,
                "at": BEGINS if self.takes == "picture" else ""}  # fmt: skip

    def add(self, recording: Recording) -> str:
        """Its key. The proof begins when nothing else is to be done."""
        self._given += 1
        key = str(self._given)
        self._recordings[key] = recording
        while len(self._recordings) > KEPT or (len(self._recordings) > 1 and self._bytes() > MOST_BYTES):
            _, old = self._recordings.popitem(last=False)
            self.worker.forget(old)
        if self._proves and recording.proof is None:
            self._prove(recording)
        return key

    def recording(self, key: str) -> Recording:
        """Raises Declined for a key that there is not, or not any more."""
        if key in self._recordings:
            self._recordings.move_to_end(key)
            return self._recordings[key]
        if key in map(str, range(1, self._given + 1)):
            raise Declined(410, f"recording {key} is kept no longer; look at its {self.takes} again")
        raise Declined(404, f"there is no such recording; look at a {self.takes} first")

    def _bytes(self) -> int:
        return sum(size_of(recording) for recording in self._recordings.values())

    # what is computed

    async def look(self, given: str | bytes, client: str, number: int) -> dict[str, Any]:
        """Records a text, or a picture's file. Raises Declined if there is no model or it takes the other of both, and
        for what newer work of the same client replaced."""
        if self._look is None:
            raise Declined(400, f"there is no model here to read a {self.takes}; open the run itself")
        if isinstance(given, str) != (self.takes == "text"):
            raise Declined(400, f"this run looks at a {self.takes}; give one")
        if isinstance(given, str) and len(given.encode(errors="replace")) > MOST_TEXT:
            raise Declined(413, f"the text is over {MOST_TEXT >> 10} KB; give a shorter one")
        if len(given) > MOST_PICTURE:
            raise Declined(413, f"the picture is over {MOST_PICTURE >> 20} MB; give a smaller one")
        recording, notices = await self._compute(partial(_looked, self._look, self._notices, given), client, number)
        return {"key": self.add(recording), "notices": notices}

    async def edit(self, key: str, edits: list[Edit], client: str, number: int, others: bool = True) -> dict[str, Any]:
        """What the model would have said with something in it changed; others: beside the same on random targets."""
        recording = self.recording(key)
        return dict(
            await self._compute(
                lambda: effect_of(recording, recording.edit(edits, others=20 if others else 0)), client, number
            )
        )

    async def prove(self, key: str) -> dict[str, Any]:
        """Begins the proof, unless it runs or waits already."""
        recording = self.recording(key)
        self._prove(recording)
        return {"badge": recording.badge}

    async def survey(self, key: str, client: str, number: int) -> dict[str, int]:
        """Goes on with the measures of held-out text for a moment, in this recording's place; how much of it is done.

        When all is, the recording answers questions about it. Raises RegardError where there is no such text.
        """
        recording = self.recording(key)
        found = recording.survey or self._surveyed
        if found is None:
            if self._begin_survey is None:
                raise Declined(400, "a recording by itself has no held-out text; open it with its run")
            more = partial(self._survey_on, self._begin_survey)
            surveying = await self._compute(more, client, number, patient=True)
            if surveying.done < len(surveying.windows):
                return {"done": surveying.done, "of": len(surveying.windows)}
            found = self._surveyed = surveying.survey()
        recording.survey = found
        return {"done": len(found.windows), "of": len(found.windows)}

    def _survey_on(self, begin: Callable[[], Surveying]) -> Surveying:
        """In the model's thread. What is measured stays, whoever asked for it."""
        ends = time.monotonic() + SLICE
        self._surveying = self._surveying or begin()
        for _ in self._surveying:
            if time.monotonic() >= ends:
                break
        return self._surveying

    async def answer(self, key: str, rest: str) -> Answer:
        """What the recording itself answers, in a pool; it ends early when nobody waits for it any more."""
        recording, gone = self.recording(key), threading.Event()
        if not self._pools:
            raise Declined(*ENDED)
        if self._asked >= MOST_ASKED:
            raise Declined(503, "too much is asked at once; try again in a moment")
        self._asked += 1
        try:
            async with asyncio.timeout(self._limit):
                pool = self._pools[takes_long(recording, rest)]
                return await asyncio.wrap_future(pool.submit(self._answered, gone, recording, rest))
        except TimeoutError:
            raise too_long(self._limit) from None
        except Stopped:  # `gone` is only set below: all of the studio was ended
            raise Declined(*ENDED) from None
        finally:
            gone.set()
            self._asked -= 1

    def _answered(self, gone: threading.Event, recording: Recording, rest: str) -> Answer:
        with while_wanted(lambda: bool(self._pools) and not gone.is_set()):
            return self._answering(recording, rest)

    def stop(self) -> None:
        """Ends all that runs or waits, without waiting for it."""
        self.worker.close()
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            pool.shutdown(wait=False, cancel_futures=True)

    async def close(self) -> None:
        """The same, and gives the model's thread a moment to end."""
        self.stop()
        await asyncio.to_thread(self.worker.join, 1.0)

    def _prove(self, recording: Recording) -> None:
        if not recording.proving:
            recording.proving = True  # waiting for it counts
            try:
                self.worker.do(Job(recording.prove, proves=recording))
            except Declined:
                recording.proving = False
                raise

    async def _compute(self, work: Callable[[], Any], client: str, number: int, patient: bool = False) -> Any:
        """What the worker makes of it. It ends when newer work of the same client comes, or nobody waits."""
        if number <= self._numbers.get(client, -1):
            raise Declined(*REPLACED)
        self._numbers[client] = number
        self._numbers.move_to_end(client)
        if len(self._numbers) > MOST_CLIENTS:
            self._numbers.popitem(last=False)
        self.worker.replace(client)
        job = self.worker.do(Job(work, client, patient=patient))
        try:
            return await asyncio.wrap_future(job.done)
        except asyncio.CancelledError:
            self.worker.drop(job)
            raise


def _looked(look: Look, notices: Notices, given: str | bytes) -> tuple[Recording, list[str]]:
    return look(given), [str(notice) for notice in notices()]


def size_of(recording: Recording) -> int:
    """Bytes of what was recorded."""
    kept = recording.kept
    calls = (x for call in kept.calls.values() for x in (call.query, call.key, call.value, call.out))
    every = (*calls, *kept.streams.values(), *(() if kept.logits is None else (kept.logits,)))
    return sum(x.numel() * x.element_size() for x in every)
