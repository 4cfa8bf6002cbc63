"""A sound's picture: seconds and hertz stand where they are, and a short sound is not stretched."""

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest

from regard.data.sound import Sound
from regard.data.sounds import picture_of
from regard.errors import RegardError
from regard.looking.draw_pictures import draw_picture
from regard.looking.drawing import Line, Pixels, Text
from regard.looking.picture import Picture
from regard.looking.spectrogram import Spectrogram
from regard.tokens.patches import Grid
from regard.tokens.sound import TELEPHONE, WIDE, MelSettings

from .patched import Planted, planted
from .test_draw_pictures import words_of


def heard(whole: int, given: int = 24, settings: MelSettings = TELEPHONE) -> Planted:
    """Of a sound of so many frames, cut or filled up to those that are given; slices of two frames."""
    mels = settings.mels
    return planted(mels, given, mels, patch_width=2, channels=1, size=(mels, whole), class_token=False, registers=0,
                   crop=(0, 0, mels, min(whole, given)), sound=settings)  # fmt: skip


@pytest.mark.parametrize("settings", [TELEPHONE, WIDE])
def test_a_tone_and_its_beginning_lie_where_their_marks_are(settings: MelSettings) -> None:
    rate, spectrogram = round(2 * settings.highest), Spectrogram(settings)
    pitches = {name: place for place, name in spectrogram.pitches()}
    assert (
        list(pitches) == ["250 Hz", "500 Hz", "1,000 Hz", "2,000 Hz", "4,000 Hz"][: 4 if settings is TELEPHONE else 5]
    )
    for name, place in pitches.items():
        time = np.arange(rate) / rate
        tone = np.sin(2 * np.pi * float(name.removesuffix(" Hz").replace(",", "")) * time) * (time >= 0.5)
        pixels, _ = picture_of(Sound(tone.astype(np.float32), rate, 1, 16), 100, settings, "")
        loudest = int(pixels[:, 75, 0].argmax())  # the highest band is row 0
        assert loudest <= place + 0.6
        assert loudest + 1 >= place - 0.6
        begins = next(frame for frame, mark in spectrogram.times(100, 11) if mark == "0.5 s")
        assert pixels[loudest, round(begins) - 3, 0] < pixels[loudest, round(begins) + 2, 0] - 50


@pytest.mark.parametrize(("frames", "most", "marks"), [
    (56, 8, ["0 s", "0.1 s", "0.2 s", "0.3 s", "0.4 s", "0.5 s"]), (56, 3, ["0 s", "0.5 s"]),
    (1000, 8, ["0 s", "2 s", "4 s", "6 s", "8 s", "10 s"]), (3, 8, ["0 s", "0.01 s", "0.02 s", "0.03 s"])])  # fmt: skip
def test_times_are_round_and_few(frames: int, most: int, marks: list[str]) -> None:
    found = Spectrogram(TELEPHONE).times(frames, most)
    assert [name for _, name in found] == marks
    assert len(found) <= most
    for place, name in found:
        assert place * TELEPHONE.hop == pytest.approx(float(name.removesuffix(" s")))


def test_a_part_is_its_time_and_its_bands() -> None:
    found, edges = Spectrogram(TELEPHONE), TELEPHONE.edges()
    assert found.part(0, 28, 40, 2) == "0.28 to 0.30 s, all 40 bands"
    assert found.part(30, 0, 10, 3) == f"0.00 to 0.03 s, bands 0 to 9, 0 to {edges[11]:,.0f} Hz"  # the lowest
    assert found.part(0, 0, 10, 3) == f"0.00 to 0.03 s, bands 30 to 39, {edges[30]:,.0f} to 4,000 Hz"


@pytest.mark.parametrize(("whole", "words"), [
    (20, "log-mel spectrogram: 20 frames of 10 ms (0.20 s) x 40 mel bands from 0 to 4,000 Hz, low pitch at the bottom"),
    (20, "low pitch at the bottom after it 0.04 s of silence given as 24 frames x 40 bands"),
    (30, "low pitch at the bottom of it the first 0.24 s given as 24 frames x 40 bands in 12 patches of 2 frames x"),
    (24, "low pitch at the bottom given as 24 frames x 40 bands")])  # fmt: skip
def test_the_sheet_speaks_of_a_spectrogram_and_has_its_axes(whole: int, words: str) -> None:
    drawing = draw_picture(heard(whole).recording, query="0,3")
    said = words_of(drawing)
    assert words in said
    assert "picture" not in said
    assert drawing.title.startswith("What patch 0,3 looks at in a spectrogram of 12 patches")
    large, *others = (item for item in drawing.items if isinstance(item, Pixels))
    assert len(others) == (whole > 24)  # where it lay is drawn only if something was left out
    for name, place in ((name, place) for place, name in Spectrogram(TELEPHONE).pitches()):
        (text,) = (item for item in drawing.items if isinstance(item, Text) and item.text == name)
        at = large.y + place * large.height / 40
        assert text.y == pytest.approx(at + 4)
        assert [1 for item in drawing.items if isinstance(item, Line) and item.y1 == item.y2 == pytest.approx(at)]
    marks = [item for item in drawing.items if isinstance(item, Text) and item.text in ("0 s", "0.1 s")]
    assert [mark.text for mark in marks] == ["0 s", "0.1 s", *["0 s"] * 4]  # and of each head's map
    assert marks[1].x == pytest.approx(large.x + large.width * 10 / 24)


@pytest.mark.parametrize(
    "wrong",
    [
        {"mels": 41},
        {"hop": 0},
        {"hop": "x"},
        {"floor": None},
        {"colour": 1},
        {"highest": float("nan")},
        {"hop": 1e9, "window": 1e9},
    ],
    ids=str,
)
def test_a_forged_sound_is_refused_by_name(wrong: dict[str, Any]) -> None:
    recording = heard(20).recording
    recording.facts.preprocessing["sound"] = asdict(TELEPHONE) | wrong  # type: ignore[index]
    with pytest.raises(RegardError, match="picture: what the recording says of its picture does not fit together"):
        Picture.of(recording)


@pytest.mark.parametrize("wrong", ["x", [], None, 3], ids=str)
def test_a_sound_that_is_no_table_of_settings_is_refused_by_name(wrong: Any) -> None:
    recording = heard(20).recording
    recording.facts.preprocessing["sound"] = wrong  # type: ignore[index]
    with pytest.raises(RegardError, match="picture: what the recording says of its picture does not fit together"):
        Picture.of(recording)


def test_marks_of_the_longest_sounds_are_few() -> None:
    slow = Spectrogram(replace(TELEPHONE, hop=60.0, window=60.0))
    assert 2 <= len(slow.times(10**8)) <= 8


def test_patches_of_some_bands_say_how_many_lie_above_each_other() -> None:
    assert Spectrogram(TELEPHONE).told(8, Grid(40, 8, 10, 2))[-1].endswith("in 4 x 4 patches of 2 frames x 10 bands")
