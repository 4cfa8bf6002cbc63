"""Threads work in any order; what comes back is in the order that went in, and nothing waits without bound."""

import random
import threading
import time

import pytest

from regard.data import ordered
from regard.data.ordered import in_order


def test_results_come_in_the_order_of_the_items() -> None:
    generator = random.Random(0)

    def work(number: int) -> int:
        sum(range(generator.randrange(5000)))
        return number * number

    items = [(number, generator.randrange(1 << 22)) for number in range(2000)]
    assert list(in_order(iter(items), work)) == [(number, number * number) for number, _ in items]


def test_no_more_is_asked_for_than_there_is_room() -> None:
    waiting = most = 0

    def items() -> object:
        nonlocal waiting, most
        for number in range(400):
            waiting += 1 << 20
            most = max(most, waiting)
            yield number, 1 << 20

    for _ in in_order(items(), lambda number: number):  # type: ignore[arg-type, var-annotated]
        waiting -= 1 << 20
    assert most <= ordered.ROOM + ordered.ROOM // 8 + (2 << 20)


def test_a_thing_larger_than_the_room_is_worked_on_alone() -> None:
    working = most = 0
    lock = threading.Lock()

    def work(size: int) -> None:
        nonlocal working, most
        with lock:
            working += 1
            most = max(most, working if size > ordered.ROOM else 0)
        time.sleep(0.01)
        with lock:
            working -= 1

    list(in_order([(2 * ordered.ROOM, 2 * ordered.ROOM)] * 5, work))
    assert most == 1


def test_what_work_raises_is_raised_and_the_rest_is_not_begun() -> None:
    done = list[int]()

    def work(number: int) -> int:
        done.append(number)
        if number == 100:
            raise KeyError(number)
        return number

    with pytest.raises(KeyError):
        list(in_order(((number, ordered.ROOM // 64) for number in range(100_000)), work))
    assert len(done) < 1000
