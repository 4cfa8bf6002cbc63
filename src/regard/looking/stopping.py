"""Passes through a model, and proofs, that nobody waits for any more: they stop between two layers or two heads."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_wanted: ContextVar[Callable[[], bool] | None] = ContextVar("wanted", default=None)


class Stopped(Exception):
    """It is not wanted any more."""


@contextmanager
def while_wanted(wanted: Callable[[], bool]) -> Iterator[None]:
    """What is computed inside, in this thread, ends by Stopped soon after `wanted` is no longer true."""
    before = _wanted.set(wanted)
    try:
        yield
    finally:
        _wanted.reset(before)


def stop_if_unwanted() -> None:
    """Called at each layer of a pass, and at each head of a proof."""
    wanted = _wanted.get()
    if wanted is not None and not wanted():
        raise Stopped
