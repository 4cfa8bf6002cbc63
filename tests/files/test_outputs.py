"""Outputs: whole or not there, the old one untouched until then, and nothing replaced that was not meant."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from regard.errors import RegardError
from regard.files import durable, make_folder, write, write_folder

to_disk = durable._to_disk  # as it is before the tests' quick disk


def test_C10_an_existing_file_needs_the_option(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    written = write(path, b"one")
    assert (written.size, written.sha256) == (3, hashlib.sha256(b"one").hexdigest())
    with pytest.raises(RegardError, match="--overwrite"):
        write(path, b"two")
    assert path.read_bytes() == b"one"
    write(path, b"two", overwrite=True)
    assert path.read_bytes() == b"two"
    assert os.listdir(tmp_path) == ["out.txt"]


def test_C10_killed_at_every_operation(tmp_path: Path, forked: Callable[[Callable[[], None]], int]) -> None:
    path = tmp_path / "out.txt"

    def four_times(file: BinaryIO) -> None:
        for _ in range(4):
            file.write(b"new")

    def killed_at(k: int) -> Callable[[], None]:
        def run() -> None:
            seen = iter(range(1, k + 1))
            durable.hook = lambda operation, where: os._exit(9) if next(seen) == k else None
            write(path, four_times, overwrite=True)

        return run

    contents = []
    for k in range(1, 200):
        path.write_bytes(b"old")
        if forked(killed_at(k)) == 0:
            break
        contents.append(path.read_bytes())
    assert len(contents) == 16  # open, four writes, fsync, rename, fsync folder: before and after each
    assert contents == sorted(contents, reverse=True)  # the old one, then from one instant on the new one
    assert set(contents) == {b"old", b"new" * 4}


def test_C10_a_failure_leaves_the_old_file_and_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    path.write_bytes(b"old")

    def broken(file: BinaryIO) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(path, broken, overwrite=True)
    for failing in ("open", "write", "fsync", "rename"):

        def fail(operation: str, where: str, failing: str = failing) -> None:
            if operation == failing:
                raise OSError(5, "Input/output error")

        durable.hook = fail
        with pytest.raises(RegardError, match="disk reports an error"):
            write(path, b"new", overwrite=True)
        assert path.read_bytes() == b"old"
        assert os.listdir(tmp_path) == ["out.txt"]


def test_C10_only_regular_files_are_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("/dev/null")
    for name in ("pipe", "folder", "link", "missing/out.txt"):
        with pytest.raises(RegardError):
            write(tmp_path / name, b"x", overwrite=True)
    with pytest.raises(RegardError, match="not a regular file"):
        write("/dev/null", b"x", overwrite=True)


def test_C10_a_link_is_replaced_never_written_through(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    write(tmp_path / "link", b"x", overwrite=True)
    assert (tmp_path / "mine").read_text() == "mine"
    assert not (tmp_path / "link").is_symlink()


def export(content: bytes) -> Callable[[Path], None]:
    def writer(folder: Path) -> None:
        (folder / "config.json").write_bytes(content)
        (folder / "sub").mkdir()
        (folder / "sub" / "weights").write_bytes(content)

    return writer


def holds(target: Path) -> set[bytes]:
    assert sorted(os.listdir(target)) == ["config.json", "sub"]
    return {(target / "config.json").read_bytes(), (target / "sub" / "weights").read_bytes()}


def test_M17_a_folder_appears_whole(tmp_path: Path) -> None:
    target, seen = tmp_path / "export", []

    def watch(operation: str, path: str) -> None:
        if operation.endswith(" done"):
            seen.append((operation.removesuffix(" done"), Path(path.split(" -> ")[0]).name))
        if "rename" not in dict(seen):
            assert not target.exists()

    durable.hook = watch
    write_folder(target, export(b"one"))
    durable.hook = None
    assert holds(target) == {b"one"}
    at = next(n for n, (operation, _) in enumerate(seen) if operation == "rename")
    assert {("fsync", "config.json"), ("fsync", "weights"), ("fsync folder", "sub")} < set(seen[:at])
    assert seen[at + 1] == ("fsync folder", tmp_path.name)
    with pytest.raises(RegardError, match="--overwrite"):
        write_folder(target, export(b"two"))
    write_folder(target, export(b"two"), overwrite=True)
    assert holds(target) == {b"two"}
    assert os.listdir(tmp_path) == ["export"]


def test_M17_a_folder_with_other_files_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "home")
    (tmp_path / "file").write_text("mine")
    for name, said in (("home", "it holds thesis.txt"), ("link", "not a folder"), ("file", "not a folder")):
        with pytest.raises(RegardError, match=said):
            write_folder(tmp_path / name, export(b"x"), overwrite=True)
    assert os.listdir(tmp_path / "home") == ["thesis.txt"]
    assert sorted(os.listdir(tmp_path)) == ["file", "home", "link"]


def test_M17_killed_at_every_operation(tmp_path: Path, forked: Callable[[Callable[[], None]], int]) -> None:
    for k in range(1, 200):
        place = tmp_path / str(k)
        place.mkdir()
        write_folder(place / "export", export(b"old"))

        def killed(place: Path = place, k: int = k) -> None:
            seen = iter(range(1, k + 1))
            durable.hook = lambda operation, where: os._exit(9) if next(seen) == k else None
            write_folder(place / "export", export(b"new"), overwrite=True)

        ended = forked(killed)
        aside = [path for path in place.iterdir() if path.name.startswith(".old-export-")]
        whole = place / "export" if (place / "export").exists() else aside[0]
        assert len(holds(whole)) == 1
        if ended == 0:
            break
    assert k > 20


def test_M17_a_failed_rename_puts_the_old_folder_back(tmp_path: Path) -> None:
    write_folder(tmp_path / "export", export(b"old"))

    def fail(operation: str, path: str) -> None:
        if operation == "rename" and ".tmp-" in path:
            raise OSError(28, "full")

    durable.hook = fail
    with pytest.raises(RegardError, match="full"):
        write_folder(tmp_path / "export", export(b"new"), overwrite=True)
    assert holds(tmp_path / "export") == {b"old"}
    assert os.listdir(tmp_path) == ["export"]


def test_short_writes_are_looped_and_the_digest_is_of_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: whole(descriptor, data[:7]))
    data = bytes(range(256)) * 3
    written = write(tmp_path / "x", data)
    assert (tmp_path / "x").read_bytes() == data
    assert (written.size, written.sha256) == (len(data), hashlib.sha256(data).hexdigest())


def test_an_fsync_reaches_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable, "_to_disk", to_disk)
    synced: list[os.stat_result] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor)))
    durable.create(tmp_path / "x", b"1234")
    durable.sync_folder(tmp_path)
    assert [(it.st_ino, it.st_size) for it in synced[:1]] == [((tmp_path / "x").stat().st_ino, 4)]
    assert [it.st_ino for it in synced[1:]] == [tmp_path.stat().st_ino]


def test_nothing_is_written_past_the_digest(tmp_path: Path) -> None:
    def past(file: BinaryIO) -> None:
        file.fileno()

    with pytest.raises(RegardError):  # io.UnsupportedOperation is an OSError
        write(tmp_path / "x", past)


def test_create_takes_only_a_free_name(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "file").write_text("mine")
    for name in ("link", "file"):
        with pytest.raises(FileExistsError):
            durable.create(tmp_path / name, b"x")
    assert not (tmp_path / "elsewhere").exists()


def test_each_new_folders_name_is_brought_to_the_disk(tmp_path: Path) -> None:
    seen = []
    durable.hook = lambda operation, path: seen.append((operation, path))
    assert make_folder(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    done = [entry for entry in seen if entry[0] in ("mkdir", "fsync folder")]
    assert done == [
        ("mkdir", str(tmp_path / "a")),
        ("fsync folder", str(tmp_path)),
        ("mkdir", str(tmp_path / "a" / "b")),
        ("fsync folder", str(tmp_path / "a")),
    ]
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        make_folder(tmp_path / "file" / "x")


def test_a_refusal_comes_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("old")

    def never(_: object) -> None:
        raise AssertionError("this was to be refused first")

    for refused in (write, write_folder):
        with pytest.raises(RegardError, match="--overwrite"):
            refused(tmp_path / "x", never)
