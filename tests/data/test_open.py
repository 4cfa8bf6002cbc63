"""What is given is found out in one order: standard input, pipes, folders, files; and all that is none is refused."""

import gzip
import json
import os
import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

import pytest

from regard.data import spool as spool_module
from regard.data import walk
from regard.data.open import open_source
from regard.data.text import TextSource
from regard.errors import RegardError

WORDS = "some words that are text\n" * 10


def text_of(source: TextSource) -> str:
    return "".join(piece for document in source.texts("all") for piece in document)


def said(source: TextSource) -> list[str]:
    return [str(notice) for notice in source.notices]


def refusal(*paths: str, **options: Any) -> str:
    with pytest.raises(RegardError) as caught:
        open_source(paths, **options)
    return str(caught.value)


@contextmanager
def piped(content: bytes) -> Iterator[TextIO]:
    """A stream into which the bytes are written, as a shell's pipe does it."""
    reading, writing = os.pipe()

    def write() -> None:
        with suppress(BrokenPipeError), os.fdopen(writing, "wb") as file:  # broken if nobody reads it
            file.write(content)

    thread = threading.Thread(target=write)
    thread.start()
    with os.fdopen(reading) as stream:
        yield stream
    thread.join()


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Standard input is a pipe with WORDS."""
    with piped(WORDS.encode()) as stream:
        monkeypatch.setattr("sys.stdin", stream)
        yield


@pytest.mark.parametrize("content", ["", "\n \t\n", " " * (3 << 20), "\ufeff", "\r\n\u2028\u3000"])
def test_T01_no_text_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(content, encoding="utf-8", newline="")
    assert refusal(str(tmp_path / "a.txt")) == f"{tmp_path}/a.txt: holds no text; give one with text in it"


@pytest.mark.parametrize("content", [b"", b"\n \t\n"])
def test_T01_no_text_on_standard_input_is_refused_and_leaves_nothing(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with piped(content) as stream:
        monkeypatch.setattr("sys.stdin", stream)
        said = "standard input: holds no text; give one with text in it"
        assert refusal("-", spool=tmp_path / "spool") == said
    assert not list(tmp_path.iterdir())


def test_T01_a_folder_without_text_says_what_is_there(tmp_path: Path) -> None:
    nothing = "there is no file in it"
    assert refusal(str(tmp_path)) == f"{tmp_path}: {nothing}; give texts, pictures, sounds or a table"
    (tmp_path / "in" / "side").mkdir(parents=True)
    (tmp_path / ".hidden").write_text(WORDS)
    hidden = f"{nothing}, but 1 hidden file or folder skipped ({tmp_path}/.hidden)"
    for task in (None, "classification", "language"):
        assert refusal(str(tmp_path), task=task).startswith(f"{tmp_path}: {hidden}; give texts")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n\0")
    assert refusal(str(tmp_path)).startswith(f"{tmp_path}: holds no text ({tmp_path}/a.png is a PNG picture); ")


def test_a_file_is_one_document_and_counted(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("aé日😀\nb", encoding="utf-8")
    source = open_source([str(tmp_path / "notes.txt")])
    assert (source.kind, source.name, source.documents, source.lines) == ("text", "notes", 1, 2)
    assert (source.characters, source.bytes) == (6, len("aé日😀\nb".encode()))
    assert source.distinct == dict.fromkeys("aé日😀\nb", 1)
    assert said(source)[0] == "0 files, rows or documents skipped"
    assert text_of(source) == "aé日😀\nb"


def test_T08_names_of_special_tokens_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x<|endoftext|>y [MASK] <pad>" + "a" * ((1 << 20) - 33) + "<|im_start|> <not>")
    source = open_source([str(tmp_path / "a.txt")])
    assert "4 special token names in the text taken as ordinary characters" in said(source)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    for name in ["b.txt", "a/z.txt", "a/b/c.md", "a.txt", "A.txt", ".hidden/x.txt", "a/.hidden.txt", "é.txt"]:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"this is {name}\n")
    (root / "rows.jsonl").write_text('{"text": "row one"}\n{"text": "row two"}\n')
    (root / "picture.gif").write_bytes(b"GIF89a\0\0")
    (tmp_path / "outside.txt").write_text("a secret\n")
    os.symlink(root, root / "a" / "loop")
    os.symlink("itself", root / "itself")
    os.symlink("nowhere", root / "broken")
    os.symlink(tmp_path / "outside.txt", root / "outside.txt")
    os.symlink(root / "b.txt", root / "c.txt")
    os.link(root / "b.txt", root / "d.txt")
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(root / "socket"))
    return root


@pytest.mark.timeout(20)
def test_T11_a_folder_is_walked_once_in_order_and_the_rest_is_counted(tree: Path) -> None:
    source = open_source([str(tree)])
    names = [file["name"] for file in source.fingerprint()["files"]]
    assert names == ["A.txt", "a/b/c.md", "a/z.txt", "a.txt", "b.txt", "rows.jsonl", "é.txt"]
    assert (source.documents, source.name) == (8, "tree")
    assert "secret" not in text_of(source)
    assert set(said(source)) >= {
        f"2 hidden files or folders skipped ({tree}/.hidden, {tree}/a/.hidden.txt)",
        f"2 pipes, sockets or devices skipped ({tree}/pipe, {tree}/socket)",
        f"2 links to nowhere or in a circle skipped ({tree}/broken, {tree}/itself)",
        f"1 link out of the folder skipped ({tree}/outside.txt)",
        f"3 second names of the same file or folder skipped ({tree}/a/loop, {tree}/c.txt, {tree}/d.txt)",
        f"1 file other than text skipped ({tree}/picture.gif is a GIF picture)",
    }


def test_T11_two_orders_of_a_folder_give_one_fingerprint(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = open_source([str(tree)]).fingerprint()
    children = walk._children
    for seed in range(3):
        generator = random.Random(seed)

        def shuffled(folder: Path, by: random.Random = generator) -> list[Path]:
            found = children(folder)
            by.shuffle(found)
            return found

        monkeypatch.setattr(walk, "_children", shuffled)
        assert open_source([str(tree)]).fingerprint() == expected


def forbid(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As root every file is readable, so the system's refusal is played."""
    really = os.open

    def opening(path: Any, *arguments: Any) -> int:
        if name in str(path):
            raise PermissionError(13, "Permission denied")
        return really(path, *arguments)

    monkeypatch.setattr(os, "open", opening)


def test_T11_an_unreadable_and_a_broken_file_are_skipped_and_named(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / "latin.txt").write_bytes(b"caf\xe9\n")
    (tree / "secret.txt").write_text("no\n")
    forbid("secret.txt", monkeypatch)
    source = open_source([str(tree)])
    way = "save as UTF-8, or give --encoding (latin-1, say) if all are such"
    latin = f"1 file of another encoding skipped; {way} ({tree}/latin.txt:1 byte 0xE9 at offset 3 is not UTF-8)"
    assert latin in said(source)
    assert f"1 unreadable file skipped ({tree}/secret.txt cannot be read (Permission denied))" in said(source)
    assert said(source)[-1].endswith("with a copy in training (0.0%)")
    assert source.documents == 8


def test_T11_a_file_that_vanishes_after_it_was_found_is_skipped(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    really = os.open

    def opening(path: Any, *arguments: Any) -> int:
        if Path(path).name == "b.txt":
            Path(path).unlink(missing_ok=True)
        return really(path, *arguments)

    monkeypatch.setattr(os, "open", opening)
    source = open_source([str(tree)])
    assert f"1 unreadable file skipped ({tree}/b.txt cannot be read (No such file or directory))" in said(source)


def test_T11_a_folder_that_cannot_be_listed_is_counted(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    children = walk._children

    def listing(folder: Path) -> list[Path]:
        if folder.name == "a":
            raise PermissionError(13, "Permission denied")
        return children(folder)

    monkeypatch.setattr(walk, "_children", listing)
    source = open_source([str(tree)])
    assert f"1 unreadable file skipped ({tree}/a cannot be read (Permission denied))" in said(source)


def test_T11_over_three_unreadable_files_and_over_one_percent_are_refused(tmp_path: Path) -> None:
    for number in range(400):
        (tmp_path / f"{number:03}.txt").write_bytes(b"caf\xe9\n" if number < 4 else b"cafe\n")
    assert open_source([str(tmp_path)]).documents == 396
    (tmp_path / "399.txt").write_bytes(b"caf\xe9\n")
    sentence = refusal(str(tmp_path))
    first = f"{tmp_path}/000.txt:1 byte 0xE9 at offset 3 is not UTF-8, "
    assert sentence.startswith(f"{tmp_path}: 5 of 400 files are unreadable: {first}")
    assert sentence.endswith("; give the file's encoding, for instance --encoding latin-1 or cp1252")


def test_T03_a_folder_of_another_encoding_alone_is_told_of_the_option(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"caf\xe9\n")
    sentence = f"{tmp_path}: holds no text ({tmp_path}/a.txt:1 byte 0xE9 at offset 3 is not UTF-8)"
    assert refusal(str(tmp_path)) == f"{sentence}; give the file's encoding, for instance --encoding latin-1 or cp1252"
    assert text_of(open_source([str(tmp_path)], encoding="latin-1")) == "caf\u00e9\n"


def test_T03_an_encoding_that_is_given_reads_all_and_files_of_utf8_are_named(tmp_path: Path) -> None:
    """Latin-1 reads any bytes, so that nothing else would tell that these letters come out wrong."""
    for name, content in {"a": "caf\u00e9".encode("latin-1"), "b": "caf\u00e9".encode(), "c": b"cafe"}.items():
        (tmp_path / f"{name}.txt").write_bytes(content)
    source = open_source([str(tmp_path)], encoding="latin-1")
    assert text_of(source) == "caf\u00e9caf\u00c3\u00a9cafe"
    way = "leave --encoding out, and save the others as UTF-8"
    assert f"1 file probably in UTF-8 read as iso8859-1; {way} ({tmp_path}/b.txt)" in said(source)
    for encoding in (None, "utf-8"):
        assert not any("probably" in line for line in said(open_source([str(tmp_path)], encoding=encoding)))
    (tmp_path / "b.txt").write_bytes("caf\u00e9".encode("utf-8-sig"))  # whose mark decides
    assert not any("probably" in line for line in said(open_source([str(tmp_path)], encoding="latin-1")))


@pytest.mark.parametrize("suffix", ["jpg", "png", "wav", "mp3"])
def test_T05_files_named_as_pictures_or_sounds_that_hold_text_are_refused_or_named(suffix: str, tmp_path: Path) -> None:
    """Pages of errors and pointers of Git LFS: as a text nobody wants them."""
    kind = "picture" if suffix in ("jpg", "png") else "sound"
    for label in "ab":
        (tmp_path / label).mkdir()
        for number in range(3):
            (tmp_path / label / f"{number}.{suffix}").write_text("<html>404</html>")
    sentence = refusal(str(tmp_path))
    assert sentence.startswith(f"{tmp_path}: no {kind} can be read: {tmp_path}/a/0.{suffix} is no ")
    alone = open_source([str(tmp_path / "a" / f"0.{suffix}")])
    name = f"{tmp_path}/a/0.{suffix}"
    assert f"1 text file named as pictures or sounds read as text ({name})" in said(alone)
    for number in range(7):
        (tmp_path / f"{number}.md").write_text(WORDS)
    assert any(
        line.startswith("6 text files named as pictures or sounds read") for line in said(open_source([str(tmp_path)]))
    )


def test_P01_pictures_that_git_lfs_has_not_fetched_are_called_so(tmp_path: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 12\n"
    for name in ("a/1.jpg", "b/2.jpg"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(pointer)
    assert f"{tmp_path}/a/1.jpg is a Git LFS pointer in place of the picture, " in refusal(str(tmp_path))


def test_a_large_file_of_a_folder_that_is_no_text_after_all_is_not_half_counted(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(WORDS)
    (tmp_path / "b.txt").write_text("good\n" * 1_000_000)
    (tmp_path / "c.txt").write_bytes(b"bad\n" * 1_000_000 + b"\xff")
    source = open_source([str(tmp_path)])
    assert source.characters == len(WORDS) + 5_000_000
    assert source.distinct["g"] == 1_000_000


def test_names_are_read_in_the_order_given_and_one_file_once(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("bbb\n")
    (tmp_path / "a.txt").write_text("aaa\n")
    source = open_source([str(tmp_path / name) for name in ("b.txt", "a.txt", "b.txt")])
    assert (text_of(source), source.name, source.documents) == ("bbb\naaa\n", "b", 2)


def test_T12_a_pipe_by_its_descriptor_is_read_as_a_stream() -> None:
    packed = gzip.compress(WORDS.encode())
    with piped(gzip.decompress(packed)) as stream:  # what `<(zcat a.gz)` hands over
        source = open_source([f"/dev/fd/{stream.fileno()}"])
        assert source.name == "pipe"
        assert text_of(source) == text_of(source) == WORDS


@pytest.mark.timeout(20)
def test_T12_a_named_pipe_on_the_command_line_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    writer = threading.Thread(target=(tmp_path / "pipe.jsonl").write_text, args=('{"text": "a row"}\n',))
    writer.start()
    source = open_source([str(tmp_path / "pipe.jsonl")], spool=tmp_path / "spool")
    writer.join()
    assert text_of(source) == "a row"
    assert (tmp_path / "spool").read_text() == '{"text": "a row"}\n'


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "/dev/random"])
def test_T12_devices_are_refused(path: str) -> None:
    assert refusal(path) == f"{path}: is a device or a socket, no file; name a file, a folder, a pipe, or -"


@pytest.mark.parametrize("path", ["/proc/self/status", "/proc/self", "/proc/self/environ", "/sys/kernel"])
def test_T12_what_the_system_makes_up_is_refused(path: str) -> None:
    if os.path.exists(path):  # Linux has them
        assert "is made up by the system, no data" in refusal(path)


def test_T12_a_socket_is_refused(tree: Path) -> None:
    assert "is a device or a socket" in refusal(str(tree / "socket"))


@pytest.mark.parametrize("name", ["missing.txt", "no/such/folder", "a\0b", "x" * 300])
def test_C03_a_missing_path_names_the_nearest_folder(name: str, tree: Path) -> None:
    assert f"the nearest folder that is there is {tree}/a" in refusal(f"{tree}/a/{name}")


def test_nothing_given_is_refused() -> None:
    assert refusal() == "data: nothing was given to read; name a file, a folder, or - for standard input"


@pytest.mark.timeout(20)
def test_T13_a_terminal_on_standard_input_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    master, slave = os.openpty()
    with open(slave) as terminal:
        monkeypatch.setattr("sys.stdin", terminal)
        assert refusal("-").startswith("standard input: is a terminal, not data; pipe a text into the command")
    os.close(master)
    monkeypatch.setattr("sys.stdin", None)
    assert refusal("-").startswith("standard input: is closed")


@pytest.mark.usefixtures("stdin")
def test_T13_standard_input_is_kept_and_a_resume_needs_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = open_source(["-"], spool=tmp_path / "spool")
    assert (before.name, text_of(before)) == ("stdin", WORDS)
    monkeypatch.setattr("sys.stdin", None)
    after = open_source(["-"], spool=tmp_path / "spool", resume=True)
    assert text_of(after) == WORDS
    assert after.fingerprint() == before.fingerprint()
    assert [path.name for path in tmp_path.iterdir()] == ["spool"]


@pytest.mark.usefixtures("stdin")
def test_T13_a_resume_without_what_was_kept_is_refused(tmp_path: Path) -> None:
    assert "standard input: was not kept" in refusal("-", spool=tmp_path / "spool", resume=True)


@pytest.mark.usefixtures("stdin")
@pytest.mark.timeout(20)
def test_T13_two_streams_are_kept_apart(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=("other\n",))
    writer.start()
    source = open_source(["-", str(tmp_path / "pipe")], spool=tmp_path / "spool")
    writer.join()
    assert text_of(source) == WORDS + "other\n"
    assert (tmp_path / "spool.1").read_text() == "other\n"
    again = open_source(["-", str(tmp_path / "gone" / "pipe")], spool=tmp_path / "spool", resume=True)
    assert again.fingerprint() == source.fingerprint()


@pytest.mark.usefixtures("stdin")
def test_T13_without_a_place_to_keep_it_a_temporary_file_lives_as_long_as_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    texts = open_source(["-"]).texts("all")
    assert "".join(next(texts)) == WORDS
    assert [path.stat().st_mode & 0o777 for path in tmp_path.iterdir()] == [0o700]
    del texts
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("stdin")
def test_T13_a_disk_without_room_is_said_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = iter([10**12, spool_module.RESERVE])
    monkeypatch.setattr("regard.files.free_bytes", lambda folder: next(free))
    with pytest.raises(RegardError, match=r"standard input: is longer than the first 0 bytes, and only") as caught:
        open_source(["-"], spool=tmp_path / "spool")
    assert caught.value.code == 1
    assert not list(tmp_path.iterdir())


def test_T13_a_redirected_file_too_large_for_the_disk_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_text(WORDS)
    monkeypatch.setattr("regard.files.free_bytes", lambda folder: spool_module.RESERVE + 100)
    with open(tmp_path / "a.txt") as stream:
        monkeypatch.setattr("sys.stdin", stream)
        assert "standard input: has 250 bytes, and only" in refusal("-", spool=tmp_path / "spool")
        assert stream.buffer.read() == WORDS.encode()


def test_R15_a_fingerprint_tells_which_file_differs_first(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.txt").write_text(f"text {name}\n")
    before = json.loads(json.dumps(open_source([str(tmp_path)]).fingerprint()))

    def difference(**options: Any) -> str | None:
        return open_source([str(tmp_path)], **options).differs(before)

    assert difference() is None
    os.utime(tmp_path / "a.txt", (1, 1))
    assert difference() is None
    assert difference(encoding="latin-1") == "encoding is iso8859-1 instead of None"
    (tmp_path / "c.txt").write_text("text c, and more\n")
    assert difference() == "c.txt has 17 bytes instead of 7"
    (tmp_path / "b.txt").write_text("text B\n")
    assert difference() == "b.txt has the same size but other contents"
    (tmp_path / "a.txt").rename(tmp_path / "aa.txt")
    assert difference() == "aa.txt stands where a.txt was"
    (tmp_path / "aa.txt").rename(tmp_path / "a.txt")
    (tmp_path / "b.txt").write_text("text b\n")
    (tmp_path / "c.txt").unlink()
    assert difference() == "c.txt is gone"
    (tmp_path / "c.txt").write_text("text c\n")
    (tmp_path / "d.txt").write_text("text d\n")
    assert difference() == "d.txt is new"
