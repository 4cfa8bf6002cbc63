"""Work that threads do on one thing after the other, handed back in order, with bounded memory."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

ROOM = 128 << 20
"""Bytes that waiting things may take; a larger one is worked on alone."""

TOGETHER = 64
"""Things that are handed to a thread at once."""


def in_order(items: Iterable[tuple[T, int]], work: Callable[[T], R]) -> Iterator[tuple[T, R]]:
    """(item, work(item)) in the order of the items, each given with the bytes that it takes until then.

    What `work` raises is raised here; the items are asked for one by one, in the caller's thread.
    """
    waiting, taken = deque[tuple[int, list[T], Future[list[R]]]](), 0
    pool = ThreadPoolExecutor(min(os.cpu_count() or 1, 16))
    try:
        for batch, cost in _batches(items):
            while waiting and taken + cost > ROOM:
                taken -= waiting[0][0]
                yield from _done(waiting.popleft())
            waiting.append((cost, batch, pool.submit(_all, work, batch)))
            taken += cost
        while waiting:
            yield from _done(waiting.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def _all(work: Callable[[T], R], batch: list[T]) -> list[R]:
    return [work(item) for item in batch]


def _done(waiting: tuple[int, list[T], Future[list[R]]]) -> Iterator[tuple[T, R]]:
    yield from zip(waiting[1], waiting[2].result(), strict=True)


def _batches(items: Iterable[tuple[T, int]]) -> Iterator[tuple[list[T], int]]:
    batch, cost = list[T](), 0
    for item, its in items:
        if batch and (len(batch) == TOGETHER or cost + its > ROOM // 8):
            yield batch, cost
            batch, cost = [], 0
        batch.append(item)
        cost += its
    if batch:
        yield batch, cost
