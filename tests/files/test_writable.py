"""Where a run cannot be written is found out before any work, and nothing is left there."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from regard.errors import RegardError
from regard.files import check_name, durable, probe


def test_R10_a_good_place_is_tried_and_left_as_it_was(tmp_path: Path) -> None:
    seen: list[str] = []
    durable.hook = lambda operation, path: seen.append(operation)
    probe(tmp_path)
    probe(tmp_path / "runs" / "shakespeare")
    assert os.listdir(tmp_path) == []
    done = [operation.removesuffix(" done") for operation in seen if operation.endswith(" done")]
    assert done == ["open", "write", "fsync", "rename", "fsync folder", "remove"] * 2


@pytest.mark.parametrize(
    "name", ["con", "CON", "aux.txt", "Nul.tar.gz", "com1", "LPT9.log", "com²", "run.", "run ", "x" * 256, "é" * 128]
)
def test_R10_names_that_some_system_cannot_have(tmp_path: Path, name: str) -> None:
    with pytest.raises(RegardError):
        check_name(name)
    for folder in (tmp_path / name, tmp_path / name / "below"):
        with pytest.raises(RegardError):
            probe(folder)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "a\0b", "a\nb", "\x1b[2J"])
def test_R10_what_is_no_name(name: str) -> None:
    with pytest.raises(RegardError) as caught:
        check_name(name)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "name", ["shakespeare", "console", "com", "aux-2", "Ünïcode", "文", ".hidden", "a b", "x" * 255]
)
def test_R10_names_that_every_system_can_have(name: str) -> None:
    check_name(name)


def test_R10_a_path_that_is_a_file_or_leads_through_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(RegardError, match="a file, not a folder"):
            probe(folder)
    assert (tmp_path / "file").read_text() == "mine"


def test_R10_not_writable(forked: Callable[[Callable[[], None]], int]) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        os.chmod(folder, 0o555)

        def as_another() -> None:
            if os.getuid() == 0:
                os.setuid(65534)
            with pytest.raises(RegardError, match="may not write") as caught:
                probe(folder / "run")
            assert caught.value.code == 2

        assert forked(as_another) == 0
        assert os.listdir(folder) == []
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("failing", ["write", "fsync", "rename", "fsync folder", "remove"])
def test_R10_a_disk_that_refuses(tmp_path: Path, failing: str) -> None:
    def fail(operation: str, path: str) -> None:
        if operation == failing:
            durable.hook = None
            raise OSError(28, "No space left on device")

    durable.hook = fail
    with pytest.raises(RegardError, match="disk is full") as caught:
        probe(tmp_path)
    assert caught.value.code == 1
    assert os.listdir(tmp_path) == []
