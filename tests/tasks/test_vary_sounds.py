"""Sounds as they are varied while learning: later or earlier, louder, with a stripe of silence; nothing else."""

import numpy as np
import pytest

from regard.tasks.vary_sounds import SoundVariation, stripes

COUNT, BANDS, FRAMES = 6, 8, 20
ROWS = np.array([3, 0, 5, 5])


@pytest.fixture
def heard() -> np.ndarray:
    """Spectrograms in which every value but silence says where it is of."""
    values = 1 + np.arange(COUNT * BANDS * FRAMES) % 200
    return values.reshape(COUNT, BANDS, FRAMES, 1).astype(np.uint8)


def varied(variation: SoundVariation, heard: np.ndarray, seed: int = 0) -> np.ndarray:
    return variation(heard, ROWS, np.zeros(len(ROWS), np.int64), np.random.default_rng(seed))


def test_without_anything_they_stay_as_they_are(heard: np.ndarray) -> None:
    np.testing.assert_array_equal(varied(SoundVariation(), heard), heard[ROWS])


def test_a_sound_comes_later_or_earlier_and_silence_takes_its_place(heard: np.ndarray) -> None:
    seen = set()
    for seed in range(40):
        for one, whole in zip(varied(SoundVariation(shift=3), heard, seed), heard[ROWS], strict=True):
            fits = []
            for late in range(-3, 4):
                moved = np.zeros_like(whole)
                moved[:, max(late, 0) : FRAMES + min(late, 0)] = whole[:, max(-late, 0) : FRAMES - max(late, 0)]
                fits += [late] if np.array_equal(moved, one) else []
            assert len(fits) == 1
            seen |= set(fits)
    assert seen == set(range(-3, 4))


def test_a_short_sound_is_never_pushed_out(heard: np.ndarray) -> None:
    heard[:, :, 8:] = 0  # eight frames of sound, then silence
    late = set()
    for seed in range(60):
        for one, whole in zip(varied(SoundVariation(shift=15), heard, seed), heard[ROWS], strict=True):
            there = np.flatnonzero(one.any(axis=(0, 2)))
            assert len(there) >= 6
            at = there[0] - int(one[0, there[0], 0] - whole[0, 0, 0])  # values say which frame it was
            np.testing.assert_array_equal(one[:, there], whole[:, there - at])
            late.add(int(at))
    assert (min(late), max(late)) == (-2, 14)


def test_all_that_is_heard_is_made_louder_by_the_same_and_silence_stays(heard: np.ndarray) -> None:
    heard[:, :, 5] = 0
    steps = set()
    for seed in range(30):
        changed = varied(SoundVariation(louder=4), heard, seed).astype(int) - heard[ROWS]
        assert not changed[:, :, 5].any()
        for one, whole in zip(changed, heard[ROWS], strict=True):
            inside = (whole > 4) & (whole < 251)
            assert len(set(one[inside])) == 1
            steps |= set(one[inside].tolist())
    assert steps == set(range(-4, 5))


def test_a_stripe_of_bands_and_one_of_frames_are_silenced(heard: np.ndarray) -> None:
    widest = [0, 0]
    for seed in range(60):
        silenced = varied(SoundVariation(masked=0.25), heard, seed)[..., 0]
        for one, whole in zip(silenced, heard[ROWS][..., 0], strict=True):
            bands, frames = np.flatnonzero(~one.any(axis=1)), np.flatnonzero(~one.any(axis=0))
            for gone, most, k in ((bands, BANDS // 4, 0), (frames, FRAMES // 4, 1)):
                assert len(gone) <= most
                assert not len(gone) or np.ptp(gone) == len(gone) - 1
                widest[k] = max(widest[k], len(gone))
            kept = np.ix_(np.setdiff1d(range(BANDS), bands), np.setdiff1d(range(FRAMES), frames))
            np.testing.assert_array_equal(one[kept], whole[kept])
    assert widest == [BANDS // 4, FRAMES // 4]


def test_stripes_may_lie_anywhere() -> None:
    found = stripes(4000, 10, 0.2, np.random.default_rng(0))
    assert set(found.sum(axis=1).tolist()) == {0, 1, 2}
    assert (found.sum(axis=0) > 0).all()
