"""The log: every line but perhaps the last parses, whatever happened, and a resume supersedes without erasing."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from regard.errors import RegardError
from regard.files import Log, durable, last_attempt


def lines(count: int) -> list[dict[str, Any]]:
    return [{"kind": "step", "step": step, "loss": 1 / (step + 1), "seconds": None} for step in range(count)]


def test_R14_cut_at_every_byte_of_the_last_300(tmp_path: Path) -> None:
    path, wanted = tmp_path / "log.jsonl", lines(20)
    with Log(path) as log:
        for line in wanted:
            log.append(line)
    whole = path.read_bytes()
    for cut in range(len(whole) - 300, len(whole) + 1):
        path.write_bytes(whole[:cut])
        ended = whole[:cut].count(b"\n")
        complete = ended + (whole[cut : cut + 1] == b"\n")  # only the line feed is missing
        found, torn = Log.read(path)
        assert found == wanted[:complete]
        half = complete == ended and not whole[:cut].endswith(b"\n")
        assert (torn is not None) == half
        with Log(path) as log:
            assert (log.torn is not None) == half
            log.append({"kind": "notice"})
        assert Log.read(path) == ([*wanted[:complete], {"kind": "notice"}], None)


def test_R14_the_dropped_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"a": 1}\n{"b"')
    assert str(Log(path).torn) == "1 torn last line of the log dropped (log.jsonl:2)"


def test_R14_a_spoiled_line_in_the_middle_is_passed_over_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    raw = b'{"a": 1}\n\x00\x00\x00\n[1]\n' + b"[" * 100_000 + b'\n{"b": 2}\n'
    path.write_bytes(raw)
    with Log(path) as log:
        assert log.torn is None
    found, torn = Log.read(path)
    assert found == [{"a": 1}, {"b": 2}]
    assert torn is not None
    assert (torn.count, torn.places) == (3, ("log.jsonl:2", "log.jsonl:3", "log.jsonl:4"))
    assert path.read_bytes() == raw


def test_R14_readers_take_the_last_attempt_of_each_step(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with Log(path) as log:
        for line in lines(6):
            log.append(line)
        log.append({"kind": "notice", "what": "x"})
        log.resume_from(3)
        log.append({"kind": "step", "step": 4, "loss": 9.0})
    found = last_attempt(Log.read(path)[0])
    assert [line.get("step") for line in found] == [0, 1, 2, 3, None, 3, 4]
    assert found[-1]["loss"] == 9.0


def test_numbers_that_json_lacks_become_null(tmp_path: Path) -> None:
    with Log(tmp_path / "log.jsonl") as log:
        log.append({"loss": float("nan"), "all": [float("inf"), (1.5,)], "word": "\ud800\n\u2028"})
    assert Log.read(tmp_path / "log.jsonl")[0] == [{"loss": None, "all": [None, [1.5]], "word": "\ud800\n\u2028"}]


def test_R07_lines_wait_while_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, whole = tmp_path / "log.jsonl", os.write
    taken = iter([5, 0, 0])

    def full(descriptor: int, data: memoryview) -> int:
        size = next(taken)
        if size == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return whole(descriptor, data[:size])

    with Log(path) as log:
        log.append({"step": 1})
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", full)
            log.append({"step": 2})  # five bytes, then nothing
            assert Log.read(path)[0] == [{"step": 1}]
            with pytest.raises(OSError, match="No space"):
                log.sync()
        log.append({"step": 3})
        log.sync()
    assert Log.read(path) == ([{"step": 1}, {"step": 2}, {"step": 3}], None)


def test_lines_that_never_came_out_are_told_at_the_end(tmp_path: Path) -> None:
    log = Log(tmp_path / "log.jsonl")

    def full(operation: str, path: str) -> None:
        if operation == "write":
            raise OSError(errno.ENOSPC, "full")

    durable.hook = full
    log.append({"step": 1})
    with pytest.raises(RegardError, match="disk is full"):
        log.close()


def test_no_log_is_an_empty_one_and_a_link_is_not_followed(tmp_path: Path) -> None:
    assert Log.read(tmp_path / "none.jsonl") == ([], None)
    (tmp_path / "mine.txt").write_text("torn")
    (tmp_path / "log.jsonl").symlink_to(tmp_path / "mine.txt")
    with pytest.raises(RegardError, match="link"):
        Log(tmp_path / "log.jsonl")
    assert (tmp_path / "mine.txt").read_text() == "torn"
