"""Spectrograms: against a plain loop, and against tones whose pitch, loudness and moment are known."""

import cmath
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regard.errors import RegardError
from regard.tokens import sound
from regard.tokens.sound import TELEPHONE, WIDE, MelSettings, fit, hertz_of, log_mel, mel_of, settings_for

SMALL = MelSettings(mels=7, lowest=100, highest=1000, window=0.016, hop=0.006)
SILENCE = np.float32(math.log(1e-10))


def tone(hertz: float, rate: int, seconds: float = 0.2, amplitude: float = 0.5) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, samples).astype(np.float32)


def hertz(mel: float) -> float:
    """Slaney's scale, written as he tells it: steps of 66.67 Hz to 1000 Hz, then each step times 1.0711703."""
    return mel * 66.66666667 if mel <= 15 else 1000 * 1.0711703**(mel - 15)  # fmt: skip


def mel(frequency: float) -> float:
    return frequency / 66.66666667 if frequency <= 1000 else 15 + math.log(frequency / 1000) / math.log(1.0711703)


def by_loop(waveform: np.ndarray, rate: int, settings: MelSettings) -> list[list[float]]:
    """The spectrogram, one number after the other, by the sums that define it."""
    length, size, hop = round(settings.window * rate), 1, settings.hop * rate
    while size < 2 * length:
        size *= 2
    low, high = mel(settings.lowest), mel(settings.highest)
    edges = [hertz(low + (high - low) * i / (settings.mels + 1)) for i in range(settings.mels + 2)]
    hann = [math.sin(math.pi * (t + 0.5) / length) ** 2 for t in range(length)]
    rows = list[list[float]]()
    while len(rows) * hop < len(waveform):
        start = round(len(rows) * hop) - round((length - hop) / 2)
        frame = [float(waveform[start + t]) * hann[t] if 0 <= start + t < len(waveform) else 0.0 for t in range(length)]
        power = [
            abs(sum(x * cmath.exp(-2j * math.pi * k * t / size) for t, x in enumerate(frame)) * 2 / sum(hann)) ** 2
            for k in range(size // 2 + 1)
        ]
        row = list[float]()
        for left, centre, right in zip(edges, edges[1:], edges[2:], strict=False):
            total = weight = 0.0
            for k, p in enumerate(power):
                f = k * rate / size
                w = (f - left) / (centre - left) if f <= centre else (right - f) / (right - centre)
                total, weight = total + max(w, 0) * p, weight + max(w, 0)
            row.append(math.log(max(total / weight, settings.floor)))
        rows.append(row)
    return rows


@pytest.mark.parametrize(("rate", "samples"), [(2000, 3), (2000, 32), (2000, 33), (2000, 101), (2300, 99)])
def test_the_spectrogram_is_what_a_plain_loop_gives(rate: int, samples: int) -> None:
    expected = by_loop(noise(samples), rate, SMALL)
    found = log_mel(noise(samples), rate, SMALL)
    assert found.dtype == np.float32
    assert found.shape == np.shape(expected) == (SMALL.frames(samples, rate), 7)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5)


def test_a_tone_of_1000_hertz_lights_the_band_that_has_it() -> None:
    for rate, settings in ((8000, TELEPHONE), (16000, WIDE)):
        loudest = log_mel(tone(1000, rate), rate)[:-2].argmax(axis=1)
        assert len(set(loudest)) == 1
        left, centre, right = settings.edges()[loudest[0] : loudest[0] + 3]
        assert left < 1000 < right
        assert abs(centre - 1000) < 40


@given(st.floats(100, 3800), st.sampled_from([8000, 11025, 16000, 22050, 44100, 48000]))
def test_any_tone_lights_a_band_that_has_it(frequency: float, rate: int) -> None:
    loudest = log_mel(tone(frequency, rate), rate)[:-2].argmax(axis=1)
    edges = settings_for(rate).edges()
    assert (edges[loudest] < frequency).all()
    assert (frequency < edges[loudest + 2]).all()


@given(st.floats(100, 7500), st.sampled_from([22050, 32000, 44100, 48000]))
def test_the_rate_hardly_changes_what_is_seen(frequency: float, rate: int) -> None:
    known, other = (log_mel(tone(frequency, r, 0.5), r) for r in (16000, rate))
    assert known.shape == other.shape
    loud = known[5:-5] > -12
    assert loud.any()
    assert np.abs(known[5:-5] - other[5:-5])[loud].max() < 0.7  # of the 23 between silence and a full-scale sine


def test_twice_as_loud_is_log_4_more() -> None:
    once, twice = (log_mel(tone(440, 8000, amplitude=a), 8000) for a in (0.3, 0.6))
    heard = once > SILENCE + 1
    assert heard.any()
    np.testing.assert_allclose((twice - once)[heard], math.log(4), atol=1e-3)


def test_a_full_scale_sine_on_a_band_s_centre_is_near_0_and_nothing_is_far_above() -> None:
    peak = log_mel(tone(1000, 16000, amplitude=1), 16000).max()
    assert -1.5 < peak <= 0.1


def test_later_sound_is_in_later_frames() -> None:
    waveform = np.concatenate([np.zeros(160, np.float32), noise(3000)])
    early, late = log_mel(noise(3000), 16000), log_mel(waveform, 16000)
    np.testing.assert_array_equal(late[1:], early)


def test_noise_is_as_loud_in_every_band() -> None:
    mean = np.log(np.exp(log_mel(noise(160_000), 16000).astype(float)).mean(axis=0))
    assert np.ptp(mean) < 0.3


@given(st.integers(1, 700), st.data())
def test_no_sample_is_lost(samples: int, data: st.DataObject) -> None:
    click = np.zeros(samples, np.float32)
    click[data.draw(st.integers(0, samples - 1))] = 1
    assert (log_mel(click, 8000) > SILENCE).any()
    assert len(log_mel(click, 8000)) == TELEPHONE.frames(samples, 8000)


def test_silence_is_the_floor() -> None:
    assert (log_mel(np.zeros(500, np.float32), 8000) == SILENCE).all()


def test_blocks_leave_no_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = log_mel(noise(3000), 8000)
    monkeypatch.setattr(sound, "BLOCK", 2600)
    np.testing.assert_allclose(log_mel(noise(3000), 8000), whole, atol=1e-5)


@given(st.floats(0, 24000))
def test_mel_is_slaney_s_and_can_be_turned_round(frequency: float) -> None:
    assert float(mel_of(frequency)) == pytest.approx(mel(frequency), rel=1e-6)
    assert float(hertz_of(mel_of(frequency))) == pytest.approx(frequency)


def test_a_spectrogram_is_cut_or_filled_up_and_that_is_said() -> None:
    spectrogram = log_mel(noise(880), 8000)  # 11 frames
    same, shorter, longer = (fit(spectrogram, length, TELEPHONE) for length in (11, 4, 20))
    assert (same.cut, same.added, shorter.cut, shorter.added, longer.cut, longer.added) == (0, 0, 7, 0, 0, 9)
    np.testing.assert_array_equal(same.spectrogram, spectrogram)
    np.testing.assert_array_equal(shorter.spectrogram, spectrogram[:4])
    np.testing.assert_array_equal(longer.spectrogram[:11], spectrogram)
    assert (longer.spectrogram[11:] == SILENCE).all()


@pytest.mark.parametrize(
    ("waveform", "rate", "settings", "words"),
    [
        (np.zeros(0, np.float32), 8000, None, "no samples"),
        (np.zeros((9, 2), np.float32), 8000, None, "2 axes"),
        (np.zeros(9, np.int16), 8000, None, "int16"),
        (np.array([0, np.nan]), 8000, None, "NaN"),
        (np.array([0, np.inf]), 8000, None, "infinity"),
        (np.zeros(9), 4_000_000_000, None, "4,000,000,000 samples a second are more than 192,000"),
        (np.zeros(9), 4000, None, "4,000 samples a second"),
        (np.zeros(9), 8000, WIDE, "8,000 samples a second hold nothing up to 8,000 Hz"),
        (np.zeros(9), 8000, MelSettings(mels=400, highest=4000), "narrower than 15.6 Hz; give fewer mels"),
    ],
)
def test_what_is_no_sound_is_refused(waveform: np.ndarray, rate: int, settings: MelSettings | None, words: str) -> None:
    with pytest.raises(RegardError) as refused:
        log_mel(waveform, rate, settings)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    "wrong",
    [{"mels": 0}, {"lowest": 9e3}, {"lowest": -1}, {"hop": 0.03}, {"hop": 0}, {"floor": 0}, {"window": math.nan}],
)
def test_settings_out_of_their_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(RegardError, match="is out of its range"):
        MelSettings(**wrong)


def test_a_length_of_nothing_is_refused() -> None:
    with pytest.raises(RegardError, match="0 frames"):
        fit(np.zeros((3, 40), np.float32), 0, TELEPHONE)
