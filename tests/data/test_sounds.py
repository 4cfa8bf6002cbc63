"""Sounds: which files are such, their spectrograms against those of tokens/sound.py, what is skipped and refused."""

import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from regard.data.class_split import HELD_OUT
from regard.data.open import open_source
from regard.data.picture_cache import open_decoded
from regard.data.sniff import Unreadable
from regard.data.sound import decode_sound
from regard.data.sounds import CHANNELS, CUT, FILLED, SILENT, STEPS, SoundSource, picture_of
from regard.data.text import TextSource
from regard.errors import RegardError
from regard.tokens.sound import TELEPHONE, WIDE, fit, log_mel

from .test_sound import wav as packed

RATE = 8000


def tone(hertz: float, seconds: float = 0.3, seed: int = 0, rate: int = RATE, channels: int = 1) -> bytes:
    """A file with a tone of one pitch in a little noise."""
    time = np.arange(int(seconds * rate)) / rate
    samples = 0.4 * np.sin(2 * np.pi * hertz * time) + np.random.default_rng(seed).normal(0, 0.01, len(time))
    return with_rate(packed(np.repeat(samples[:, None], channels, axis=1)), rate, channels)


def with_rate(content: bytes, rate: int, channels: int = 1) -> bytes:
    """The same file, its header saying another rate."""
    return content[:24] + rate.to_bytes(4, "little") + (rate * 2 * channels).to_bytes(4, "little") + content[32:]


PITCH = {"high": 2000.0, "low": 300.0}


def write(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def sounds(count: int = 5, prefix: str = "", seed: int = 0) -> dict[str, bytes]:
    """`count` files of each class by name, all different."""
    return {f"{prefix}{name}/{k}.wav": tone(hertz, 0.2 + 0.02 * k, seed + 100 * n + k)
            for n, (name, hertz) in enumerate(PITCH.items()) for k in range(count)}  # fmt: skip


def opened(*paths: Path, **how: Any) -> SoundSource:
    source = open_source([str(path) for path in paths], **how)
    assert isinstance(source, SoundSource)
    return source


def refusal(*paths: Path, **how: Any) -> str:
    with pytest.raises(RegardError) as error:
        open_source([str(path) for path in paths], **how)
    return str(error.value)


def said(notices: tuple[Any, ...], word: str) -> int:
    return next((notice.count for notice in notices if word in str(notice)), -1)


def test_class_folders_of_wav_files_are_labelled_sounds(tmp_path: Path) -> None:
    source = opened(write(tmp_path / "tones", sounds()))
    assert (source.kind, source.name, source.count, source.classes) == ("sounds", "tones", 10, ("high", "low"))
    assert source.labels.tolist() == [0] * 5 + [1] * 5
    assert np.allclose(source.seconds, [0.2, 0.22, 0.24, 0.26, 0.28] * 2, atol=1e-3)
    assert source.settings == TELEPHONE
    assert max(map(len, source.summary().splitlines())) <= 80
    assert "10 sounds in 2 classes" in source.summary()
    assert "0.20 to 0.28 s, 8,000 samples a second" in source.summary()


def test_a_spectrogram_is_kept_in_bytes_high_pitches_above(tmp_path: Path) -> None:
    content = tone(2000)
    pixels, kinds = picture_of(decode_sound(content), 25, TELEPHONE, "x")
    assert (pixels.shape, pixels.dtype, kinds) == ((40, 25, 1), np.uint8, CUT)
    spectrogram = log_mel(decode_sound(content).samples, RATE, TELEPHONE)
    decibels = fit(spectrogram, 25, TELEPHONE).spectrogram * 10 / np.log(10)
    back = pixels[::-1, :, 0].T / STEPS - 100
    assert np.abs(back - decibels).max() <= 0.5 / STEPS + 1e-3
    loudest = 39 - int(pixels[:, 12, 0].argmax())  # bands count from below
    assert TELEPHONE.edges()[loudest] < 2000 < TELEPHONE.edges()[loudest + 2]
    assert np.ptp(pixels.astype(float)) > 50


def test_what_was_done_to_a_sound_is_told() -> None:
    sound = decode_sound(tone(500, 0.3, channels=2))
    assert picture_of(sound, 30, TELEPHONE, "x")[1] == CHANNELS
    assert picture_of(sound, 29, TELEPHONE, "x")[1] == CHANNELS | CUT
    pixels, kinds = picture_of(sound, 40, TELEPHONE, "x")
    assert kinds == CHANNELS | FILLED
    assert not pixels[:, 32:].any()
    assert picture_of(decode_sound(packed(np.zeros((900, 1)))), 5, TELEPHONE, "x")[1] == SILENT | CUT


def test_of_a_long_sound_only_the_beginning_is_transformed(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = decode_sound(tone(500, 3.0))
    expected = picture_of(sound, 20, TELEPHONE, "x")[0]
    seen = list[int]()
    monkeypatch.setattr("regard.data.sounds.log_mel", lambda x, *more: seen.append(len(x)) or log_mel(x, *more))
    assert np.array_equal(picture_of(sound, 20, TELEPHONE, "x")[0], expected)
    assert seen[0] < 0.3 * RATE
    whole = fit(log_mel(sound.samples, RATE, TELEPHONE), 20, TELEPHONE).spectrogram
    assert np.abs(expected[::-1, :, 0].T / STEPS - 100 - whole * 10 / np.log(10)).max() <= 0.5 / STEPS + 1e-3


def test_the_cache_holds_every_sounds_spectrogram_label_and_part(tmp_path: Path) -> None:
    write(tmp_path / "a", sounds(5, "train/") | sounds(2, "test/", 50))
    source = opened(tmp_path / "a")
    assert (source.held_from, source.count) == ("test", 14)
    found = source.decode(tmp_path / "run", 25, source.settings)
    assert found.pictures.shape == (14, 40, 25, 1)
    assert found.rows("held_out").tolist() == np.flatnonzero(source.parts == HELD_OUT).tolist()
    names = sorted(path for path in (tmp_path / "a").rglob("*.wav"))
    for k, path in enumerate(names):
        assert np.array_equal(found.pictures[k], picture_of(decode_sound(path), 25, TELEPHONE, "x")[0])
        assert found.classes[found.labels[k]] == path.parent.name
    again = open_decoded(tmp_path / "run", "sounds")
    assert again is not None
    assert np.array_equal(again.pictures, found.pictures)
    assert open_decoded(tmp_path / "run") is None  # there are no pictures
    assert said(found.notices, "the end cut off") == sum(s > 0.25 for s in source.seconds)
    assert said(found.notices, "silence added") == sum(s < 0.25 for s in source.seconds)


def test_where_no_folder_says_it_a_tenth_is_held_out_and_copies_stay_together(tmp_path: Path) -> None:
    files = sounds(20)
    copies = {f"low/copy-{k}.wav": files["low/3.wav"] for k in range(6)}
    source = opened(write(tmp_path / "a", files | copies))
    assert "about a tenth will be held out" in source.summary()
    found = source.decode(tmp_path / "run", 30, source.settings)
    held = found.rows("held_out")
    assert 3 <= len(held) <= 5
    learnt = {found.pictures[k].tobytes() for k in found.rows("train")}
    assert not any(found.pictures[k].tobytes() in learnt for k in held)


def test_P11_sounds_of_both_parts_and_of_two_classes_are_counted(tmp_path: Path) -> None:
    train = sounds(6, "train/")
    extra = {"train/high/odd.wav": train["train/low/2.wav"], "val/low/same.wav": train["train/low/0.wav"]}
    found = opened(write(tmp_path / "a", train | sounds(2, "val/", 70) | extra)).decode(tmp_path / "run", 30, TELEPHONE)
    assert said(found.notices, "held-out sounds with a copy in training (20.0%); warning") == 1
    assert said(found.notices, "sounds that stand under two classes") == 2
    assert found.copied.sum() == 1


def test_P01_bad_sounds_in_a_folder_are_skipped_counted_and_named(tmp_path: Path) -> None:
    bad = {"low/empty.wav": b"", "low/short.wav": tone(300)[:-7], "high/x.flac": b"fLaC\0\0\0\x22" + bytes(60)}
    source = opened(write(tmp_path / "a", sounds(5) | bad))
    assert source.count == 10
    found = source.decode(tmp_path / "run", 20, source.settings)
    notice = next(n for n in found.notices if "sounds skipped as unreadable" in str(n))
    assert notice.count == 3
    assert all(any(word in place for place in notice.places) for word in ("is empty", "cut short", "FLAC"))
    write(tmp_path / "a", {"low/more.wav": b"RIFF"})
    assert "4 of 14 sounds cannot be read" in refusal(tmp_path / "a")


def test_sounds_of_too_low_a_rate_are_bad_and_the_lowest_decides_about_the_bands(tmp_path: Path) -> None:
    low = {"low/slow.wav": with_rate(tone(300), 4000)}
    source = opened(write(tmp_path / "a", sounds(4) | low))
    assert "has 4,000 samples a second, and 8,000 to 192,000 are read" in source.bad[0]
    fast = {f"{name}/{k}.wav": tone(hertz, 0.3, k, 44_100) for name, hertz in PITCH.items() for k in range(3)}
    wide = opened(write(tmp_path / "b", fast))
    assert wide.settings == WIDE
    assert wide.decode(tmp_path / "run", 30, WIDE).pictures.shape == (6, 64, 30, 1)
    assert opened(write(tmp_path / "b", {"low/slow.wav": tone(300)})).settings == TELEPHONE
    with pytest.raises(Unreadable, match="has 8,000 samples a second, and what was learnt from 16,000 or more"):
        picture_of(decode_sound(tone(300)), 10, WIDE, "x")


def test_P06_P07_P08_folders_that_are_odd(tmp_path: Path) -> None:
    source = opened(write(tmp_path / "a", sounds(4) | {"low/notes.md": b"about them", ".DS_Store": b"x"}))
    assert said(source.notices, "file other than sounds ignored") == 1
    assert "holds loose sounds (x.wav) beside the folder high/" in refusal(
        write(tmp_path / "b", sounds(3) | {"x.wav": tone(300)}))  # fmt: skip
    flat = {f"{k}.wav": tone(300, seed=k) for k in range(4)}
    assert "its sounds have no labels; put the sounds of each class into a folder" in refusal(
        write(tmp_path / "c", flat))  # fmt: skip
    assert "all sounds are of one class, 'one'" in refusal(
        write(tmp_path / "d", {f"one/{k}.wav": tone(300, seed=k) for k in range(4)}))  # fmt: skip
    (tmp_path / "a" / "none").mkdir()
    assert "a/none: is a class folder without a sound" in refusal(tmp_path / "a")


def test_labels_may_stand_in_a_table_beside_the_sounds(tmp_path: Path) -> None:
    flat = {f"{k}.wav": tone(300 + 40 * k, seed=k) for k in range(8)}
    rows = "file_name,label\n" + "".join(f"{k}.wav,{'ab'[k % 2]}\n" for k in range(8))
    source = opened(write(tmp_path / "a", flat | {"metadata.csv": rows.encode()}))
    assert [source.classes[k] for k in source.labels] == ["a", "b"] * 4
    wrong = rows.replace("7.wav", "9.wav").encode()
    assert "there is no sound '9.wav'; add the sound or correct the row" in refusal(
        write(tmp_path / "a", {"metadata.csv": wrong}))  # fmt: skip


@pytest.mark.parametrize("suffix", ["tar", "tar.xz", "zip"])
def test_P15_archives_of_sounds_are_read_and_never_unpacked(tmp_path: Path, suffix: str) -> None:
    files = sounds(4)
    path = tmp_path / f"tones.{suffix}"
    if suffix == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    else:
        with tarfile.open(path, "w:xz" if suffix.endswith("xz") else "w") as archive:
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    source = opened(path)
    assert (source.count, source.classes, source.name) == (8, ("high", "low"), "tones")
    found = source.decode(tmp_path / "run", 20, source.settings)
    assert sorted(map(str.encode, map(str, found.labels))) == [b"0"] * 4 + [b"1"] * 4
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["run"]


def test_one_sound_alone_and_a_few_among_texts_are_no_sounds(tmp_path: Path) -> None:
    write(tmp_path, {"x.wav": tone(300)})
    assert "is a WAV sound; leave it out, or give a folder or an archive of sounds" in refusal(tmp_path / "x.wav")
    texts = {f"{k}.txt": b"words and more words " * 20 for k in range(5)}
    source = open_source([str(write(tmp_path / "t", texts | {"x.wav": tone(300)}))])
    assert isinstance(source, TextSource)


def test_R15_what_differs_is_named(tmp_path: Path) -> None:
    known = opened(write(tmp_path / "a", sounds(3))).fingerprint()
    assert opened(tmp_path / "a").differs(known) is None
    write(tmp_path / "a", {"low/0.wav": tone(301, 0.2, 100)})
    assert "other contents" in str(opened(tmp_path / "a").differs(known))
    write(tmp_path / "a", {"low/9.wav": tone(301)})
    assert "low has 4 sounds instead of 3" in str(opened(tmp_path / "a").differs(known))
