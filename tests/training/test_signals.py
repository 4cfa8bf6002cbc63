"""Signals: a wish that is looked at, or one that leaves at once; what was there before comes back."""

import os
import signal

import pytest

from regard.training.signals import Stopped, Wish


def test_R2_after_a_step_it_only_leaves_its_number() -> None:
    with Wish() as wish:
        wish.after_the_step()
        os.kill(os.getpid(), signal.SIGTERM)
        assert wish.signal == signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_R2_before_it_leaves_at_once(number: int) -> None:
    with Wish(), pytest.raises(Stopped, match="before the first step") as caught:
        os.kill(os.getpid(), number)
    assert caught.value.signal == number
    assert isinstance(caught.value, KeyboardInterrupt)


def test_R2_one_that_came_before_leaves_when_it_may() -> None:
    with Wish() as wish:
        wish.after_the_step()
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Stopped, match="waits for its score"):
            wish.at_once("waits for its score")
    with Wish() as wish:
        wish.after_the_step()
        wish.at_once("all is saved")
        with pytest.raises(Stopped, match="all is saved"):
            os.kill(os.getpid(), signal.SIGINT)


def test_R3_the_second_one_stops_now(monkeypatch: pytest.MonkeyPatch) -> None:
    died: list[int] = []
    monkeypatch.setattr("regard.training.signals.die_of", died.append)
    with Wish() as wish:
        wish.after_the_step()
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
    assert died == [signal.SIGINT]
    with Wish(launched=True) as wish:
        wish.after_the_step()
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGINT)
    assert died == [signal.SIGINT]


def test_R4_an_ignored_hangup_stays_ignored_and_handlers_come_back() -> None:
    def own(number: int, frame: object) -> None:
        return

    before = {number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)}
    try:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, own)
        with Wish() as wish:
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            os.kill(os.getpid(), signal.SIGHUP)
            assert wish.signal == 0
        assert signal.getsignal(signal.SIGTERM) is own
        assert signal.getsignal(signal.SIGINT) is before[signal.SIGINT]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
