"""A folder of scenes: whole or not there, each file what `scene` makes, and nothing overwritten."""

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from regard.data import scenes
from regard.data.scene_shapes import SHAPES
from regard.data.scenes import main, scene

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Calls the command in an empty working folder: exit code, what it said, what it refused with."""
    monkeypatch.chdir(tmp_path)

    def called(*arguments: object) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        return (code, *capsys.readouterr())

    return called


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rows(folder: Path, part: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / part / "metadata.jsonl").read_text(encoding="utf-8").splitlines()]


def test_the_folder_holds_what_scene_makes(call: Call, tmp_path: Path) -> None:
    code, out, err = call("made", "--count", 40, "--seed", 3, "--height", 48, "--width", 80)
    assert (code, err) == (0, "")
    assert out == f"made: 40 scenes (32 train, 4 val, 4 test); {', '.join(f'5 {label}' for label in sorted(SHAPES))}\n"
    folder, index = tmp_path / "made", 0
    for part in ("train", "val", "test"):
        for row in rows(folder, part):
            made = scene(3, index, 48, 80)
            assert row["file_name"] == f"{made.label}/{index:06d}.png"
            assert row["mask"] == f"masks/{part}/{index:06d}.png"
            assert (row["label"], tuple(row["captions"])) == (made.label, made.captions)
            asked = [(q["kind"], q["question"], q["answer"]) for q in row["questions"]]
            assert asked == [(q.kind, q.text, q.answer) for q in made.questions]
            assert (np.asarray(Image.open(folder / part / row["file_name"])) == made.picture).all()
            mask = np.asarray(Image.open(folder / row["mask"]))
            assert mask.shape == (48, 80)
            for k, (listed, o) in enumerate(zip(row["objects"], made.objects, strict=True), start=1):
                assert ((mask == k) == made.masks[k - 1]).all()
                assert (listed["shape"], listed["colour"], listed["texture"]) == (o.shape, o.colour, o.texture)
                assert (tuple(listed["box"]), listed["area"]) == (o.box, o.area)
                assert listed["size"] == pytest.approx(o.figure.size, abs=1e-3)
                assert listed["angle"] == pytest.approx(o.figure.angle, abs=1e-3)
                assert listed["position"] == pytest.approx(o.figure.position, abs=1e-3)
                assert listed["centre"] == pytest.approx(o.centre, abs=1e-3)
                assert listed["visible"] == pytest.approx(o.visible, abs=1e-4)
            assert ((mask == 0) == ~made.masks.any(axis=0)).all()
            index += 1
    assert index == 40
    assert len(files(folder)) == 83  # 40 pictures, 40 masks, 3 files of metadata: and nothing else
    assert {path.name for path in tmp_path.iterdir()} == {"made"}
    assert {path.name for path in folder.iterdir()} == {"train", "val", "test", "masks"}
    assert {path.name for path in (folder / "train").iterdir() if path.is_dir()} == set(SHAPES)


def test_the_same_command_writes_the_same_files_and_more_scenes_the_same_first_ones(call: Call, tmp_path: Path) -> None:
    for name, count, seed in (("one", 10, 1), ("two", 10, 1), ("more", 30, 1), ("other", 10, 2)):
        assert call(name, "--count", count, "--seed", seed)[0] == 0
    one, two, more, other = (files(tmp_path / name) for name in ("one", "two", "more", "other"))
    assert one == two != other
    pictures = {re.sub("^(train|val|test)/", "", name): data for name, data in more.items()}
    for name, data in one.items():
        if not name.startswith("masks") and name.endswith(".png"):
            assert pictures[re.sub("^(train|val|test)/", "", name)] == data


@pytest.mark.parametrize(
    ("count", "parts"), [(1, {"train": 1}), (9, {"train": 9}), (10, {"train": 8, "val": 1, "test": 1})]
)
def test_a_part_without_scenes_is_not_written(count: int, parts: dict[str, int], call: Call, tmp_path: Path) -> None:
    assert call("made", "--count", count)[0] == 0
    found = Counter(name.split("/")[0] for name in files(tmp_path / "made") if name.endswith(".png"))
    assert found.pop("masks") == count
    assert found == parts


def test_an_empty_folder_is_filled_and_another_one_refused_untouched(call: Call, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    assert call("made", "--count", 2)[0] == 0
    before = files(tmp_path / "made")
    code, out, err = call("made", "--count", 2, "--seed", 9)
    assert (code, out) == (2, "")
    assert err == "regard: made: this folder is not empty; choose another name, or empty it\n"
    assert files(tmp_path / "made") == before
    assert {path.name for path in tmp_path.iterdir()} == {"made"}


@pytest.mark.parametrize(
    ("arguments", "start"),
    [
        ("made --count 0", "--count: 0 scenes are none; "),
        ("made --count -3", "--count: -3 scenes are none; "),
        ("made --seed -1", "seed: -1 is negative; "),
        ("made --width 20", "width: 20 pixels are out of the range of a scene; "),
        ("made --count many", "scenes: argument --count: invalid int value: 'many'; see `python -m regard.data.scenes"),
        ("made --colour red", "scenes: unrecognized arguments: --colour red; see `python"),
        ("", "scenes: the following arguments are required: FOLDER; see `python"),
        ("file --count 2", "file: "),
        ("file/made --count 2", "file/made: "),
        ("nowhere/made --count 2", "nowhere/made: "),
    ],
)
def test_what_cannot_be_written_is_refused_in_one_sentence(
    arguments: str, start: str, call: Call, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    code, out, err = call(*arguments.split())
    assert (code, out) == (2, "")
    assert err.removeprefix("regard: ").removeprefix(f"{tmp_path}/").startswith(start)
    assert err.count("\n") == 1
    assert files(tmp_path) == {"file": b"mine"}
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_nothing_is_left_where_it_was_stopped(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stops(seed: int, index: int, height: int, width: int) -> Any:
        if index == 5:
            raise OSError(28, os.strerror(28))
        return scene(seed, index, height, width)

    monkeypatch.setattr(scenes, "scene", stops)
    code, out, err = call("made", "--count", 8)
    assert (code, out) == (1, "")
    assert "the disk is full" in err
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_ends_it_as_a_signal_does_without_a_word(tmp_path: Path) -> None:
    code = (
        "from regard.data import scenes\n"
        "def stops(*given): raise KeyboardInterrupt\n"
        "scenes.scene = stops\n"
        "scenes.main(['made', '--count', '3'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")
    assert list(tmp_path.iterdir()) == []
