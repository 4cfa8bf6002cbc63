"""The cache made of pictures: whole or not there, and enough without them; what tells that they have changed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from regard import files
from regard.data.picture_cache import CACHE, open_decoded
from regard.errors import RegardError

from .drawn import classes, opened, png, write


def test_P16_training_needs_no_picture_once_it_is_in_the_cache(tmp_path: Path) -> None:
    root = write(tmp_path / "a", classes({"cat": 9, "dog": 9}))
    source = opened(root)
    before = source.decode(tmp_path / "run", 8, 8)
    kept = source.fingerprint()
    for path in sorted(root.rglob("*.png"))[:4]:
        path.unlink()
    again = open_decoded(tmp_path / "run")
    assert again is not None
    np.testing.assert_array_equal(again.pictures, before.pictures)
    assert opened(root).differs(kept) == "cat has 5 pictures instead of 9"


@pytest.mark.parametrize("change", ["more bytes", "gone", "another"])
def test_a_picture_that_changes_before_it_is_decoded_is_refused(change: str, tmp_path: Path) -> None:
    root = write(tmp_path / "a", classes({"cat": 5, "dog": 5}))
    source, path = opened(root), root / "dog" / "0002.png"
    if change == "gone":
        path.unlink()
    else:
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content + b"\0" if change == "more bytes" else png(99))
    with pytest.raises(RegardError, match=r"dog/0002\.png: changed while being read"):
        source.decode(tmp_path / "run", 8, 8)
    assert open_decoded(tmp_path / "run") is None


@pytest.mark.parametrize("name", ["pictures.u8", "pictures.safetensors", "pictures.json"])
def test_a_cache_is_whole_or_not_there(name: str, tmp_path: Path) -> None:
    source = opened(write(tmp_path / "a", classes({"cat": 5, "dog": 5})))
    source.decode(tmp_path / "run", 8, 8)
    path = tmp_path / "run" / CACHE / name
    content = path.read_bytes()
    for damaged in (content[:-1], content + b"\0", b""):
        path.write_bytes(damaged)
        assert open_decoded(tmp_path / "run") is None or (name == "pictures.json" and damaged == content + b"\0")
    path.unlink()
    assert open_decoded(tmp_path / "run") is None


def test_a_cache_interrupted_at_any_operation_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where an older one stood: it never gets the new one's pixels."""
    source = opened(write(tmp_path / "a", classes({"cat": 5, "dog": 5})))
    source.decode(tmp_path / "run", 4, 4)
    operations = list[str]()
    monkeypatch.setattr(files.durable, "hook", lambda what, path: operations.append(what))
    source.decode(tmp_path / "run", 8, 8)
    for last in range(len(operations)):
        left = iter(range(last))

        def hook(what: str, path: str, left: Any = left) -> None:
            if next(left, None) is None:
                raise KeyboardInterrupt

        monkeypatch.setattr(files.durable, "hook", None)
        source.decode(tmp_path / "run", 4, 4)
        monkeypatch.setattr(files.durable, "hook", hook)
        with pytest.raises(KeyboardInterrupt):
            source.decode(tmp_path / "run", 8, 8)
        found = open_decoded(tmp_path / "run")
        assert found is None or found.height in (4, 8)
        if found is not None:
            assert (len(found.labels), found.pictures.size) == (10, 10 * found.height**2 * 3)
    assert len(operations) > 20


def test_a_disk_without_room_is_said_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = opened(write(tmp_path / "a", classes({"cat": 5, "dog": 5})))
    monkeypatch.setattr(files, "free_bytes", lambda path: 1000)
    with pytest.raises(RegardError, match="its pictures at 8 x 8 need 1,920 bytes, and only 1,000 are free") as caught:
        source.decode(tmp_path / "run", 8, 8)
    assert caught.value.code == 1
    assert not list((tmp_path / "run" / CACHE).iterdir())


def test_R15_a_fingerprint_tells_what_differs_first(tmp_path: Path) -> None:
    root = write(tmp_path / "a", classes({"cat": 5, "dog": 5}))
    kept = json.loads(json.dumps(opened(root).fingerprint()))
    assert opened(root).differs(kept) is None
    (root / "dog" / "0000.png").write_bytes(png(5, 9, 9))
    assert str(opened(root).differs(kept)).startswith("dog has ")
    (root / "dog" / "0000.png").write_bytes(png(5))
    assert opened(root).differs(kept) is None
    (root / "dog" / "0000.png").rename(root / "dog" / "x.png")
    assert opened(root).differs(kept) == "dog has the same size but other contents"
    (root / "dog" / "x.png").rename(root / "cat" / "x.png")
    assert opened(root).differs(kept) == "cat has 6 pictures instead of 5"


def test_a_summary_is_within_80_columns(tmp_path: Path) -> None:
    long = "a very long name of a folder " * 5
    tree = {f"{long}{number}/{name}.png": png(number) for number in range(2) for name in ("x", "y")}
    source = opened(write(tmp_path / long, tree))
    assert all(len(line) <= 80 for line in source.summary().splitlines())


def test_progress_counts_to_the_end(tmp_path: Path) -> None:
    source, told = opened(write(tmp_path / "a", classes({"cat": 70, "dog": 80}))), list[tuple[int, int]]()
    source.decode(tmp_path / "run", 8, 8, lambda done, count: told.append((done, count)))
    assert told == sorted(told)
    assert told[-1] == (150, 150)
