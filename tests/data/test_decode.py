"""Bytes become text strictly: encodings, byte order marks, line ends, and files that change under the reader's hand."""

import codecs
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regard.data import decode
from regard.data.decode import CHUNK, LineEnds, with_line_feeds
from regard.data.open import open_source
from regard.data.sniff import _ENCODINGS
from regard.data.text import TextSource
from regard.errors import RegardError
from regard.tokens.text import TextTokenizer

TEXT = "Zeile für Zeile, naïve Größen – und € dazu.\n" * 20


def opened(path: Path, **options: str) -> TextSource:
    return open_source([str(path)], encoding=options.get("encoding"))


def text_of(source: TextSource) -> str:
    return "".join(piece for document in source.texts("all") for piece in document)


def refusal(path: Path, content: bytes, **options: str) -> str:
    path.write_bytes(content)
    with pytest.raises(RegardError) as caught:
        opened(path, **options)
    assert caught.value.code == 2
    return str(caught.value)


def test_T03_a_latin1_letter_is_refused_at_its_line_and_offset(tmp_path: Path) -> None:
    content = b"one\ntwo\nthree\nfour\nfive\nsix\ncaf\xe9 here\n"
    said = refusal(tmp_path / "words.txt", content)
    assert f"words.txt:7: byte 0xE9 at offset {content.index(0xE9)} is not UTF-8; " in said
    assert "--encoding latin-1 or cp1252" in said
    assert text_of(opened(tmp_path / "words.txt", encoding="latin-1")).endswith("café here\n")


def test_T03_half_a_sequence_at_the_end_of_the_file(tmp_path: Path) -> None:
    said = refusal(tmp_path / "words.txt", b"one\ntwo " + "日".encode()[:2])
    assert "words.txt:2: ends within a character of UTF-8, at offset 8" in said


def test_T03_a_sequence_across_a_read_boundary_is_whole_and_a_broken_one_is_placed(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_bytes(b"a" * (CHUNK - 1) + "é".encode() + b"\n")
    assert opened(path).characters == CHUNK + 1
    said = refusal(path, b"\n" * (CHUNK - 1) + b"\xe9" + b"a\n")
    assert f"words.txt:{CHUNK}: byte 0xE9 at offset {CHUNK - 1:,} is not UTF-8" in said


def test_T03_the_line_is_right_in_wide_encodings_too(tmp_path: Path) -> None:
    said = refusal(tmp_path / "words.txt", "a\nb\n".encode("utf-16-le") + b"\x00\xd8a\0", encoding="utf-16-le")
    assert "words.txt:3: byte 0x00 at offset 8 is not UTF-16-LE" in said


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_T04_a_byte_order_mark_decides_and_is_removed_and_said(encoding: str, tmp_path: Path) -> None:
    mark = "\ufeff".encode(encoding)
    (tmp_path / "text.txt").write_bytes(mark + TEXT.encode(encoding))
    source = opened(tmp_path / "text.txt", encoding="latin-1")  # the mark is stronger
    assert text_of(source) == TEXT
    assert f"1 byte order mark obeyed and removed ({tmp_path}/text.txt: {encoding})" in map(str, source.notices)


def test_T04_one_text_in_five_encodings_gives_the_same_ids(tmp_path: Path) -> None:
    ids = []
    for encoding in ["utf-8", "utf-8-sig", "utf-16-le", "utf-16-be", "cp1252"]:
        (tmp_path / "text.txt").write_bytes(TEXT.encode(encoding))
        source = opened(tmp_path / "text.txt", encoding=encoding)
        tokenizer = TextTokenizer.characters([text_of(source)])
        ids.append([tokenizer.encode(piece) for document in source.texts("all") for piece in document])
    assert all(row == ids[0] for row in ids)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("text", ["plain words\n" * 5, "日本語\n 文章\n" * 5, "Größe\r\n" * 5, "Привет мир\n"])
def test_T04_wide_text_without_a_mark_is_refused_with_the_option(encoding: str, text: str, tmp_path: Path) -> None:
    said = refusal(tmp_path / "text.txt", text.encode(encoding))
    assert f"looks like {encoding}; give --encoding {encoding}" in said


def test_T04_an_encoding_that_leaves_the_order_open_is_refused(tmp_path: Path) -> None:
    assert "give utf-16-le or -be" in refusal(tmp_path / "text.txt", TEXT.encode("utf-16-le"), encoding="utf-16")


@pytest.mark.parametrize("name", ["utf-9", "rot13", "zlib", "unicode_escape", "idna", "utf-7", "a\0b", ""])
def test_an_encoding_that_is_none_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(TEXT)
    with pytest.raises(RegardError, match=r"--encoding: .* is not known; give utf-8"):
        opened(tmp_path / "text.txt", encoding=name)


def test_every_encoding_that_is_taken_is_known_by_that_name() -> None:
    assert {codecs.lookup(name).name for name in _ENCODINGS} == _ENCODINGS


def test_T06_line_ends_become_line_feeds_and_are_counted(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_bytes("a\r\nb\rc\n\r\n\r\rd\u2028e\x85f\x0cg\x0bh".encode())
    source = opened(tmp_path / "text.txt")
    assert text_of(source) == "a\nb\nc\n\n\n\nd\u2028e\x85f\x0cg\x0bh"
    said = [str(notice) for notice in source.notices]
    assert "2 line ends CR LF made LF" in said
    assert "3 line ends CR made LF" in said
    assert source.lines == 7


def test_T06_the_same_is_done_to_a_prompt() -> None:
    assert with_line_feeds("a\r\nb\rc\n\u2028") == "a\nb\nc\n\u2028"


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text(st.sampled_from("ab\r\n"), max_size=5)))
def test_T06_however_the_text_is_cut_the_line_ends_are_the_same(chunks: list[str]) -> None:
    text = "".join(chunks)
    ends = LineEnds()
    assert "".join(ends.made_one(chunks)) == text.replace("\r\n", "\n").replace("\r", "\n")
    assert ends.pairs == text.count("\r\n")
    assert ends.returns == text.count("\r") - ends.pairs


@settings(max_examples=200, deadline=None)
@given(text=st.text(st.sampled_from("aé日😀\r\n "), min_size=1, max_size=60), size=st.integers(1, 9))
def test_text_is_the_same_whatever_is_read_at_once(
    text: str, size: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("chunks") / "text.txt"
    path.write_bytes(("x" + text).encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decode, "CHUNK", size)
        source = opened(path)
        assert text_of(source) == with_line_feeds("x" + text)
        assert source.characters == len(with_line_feeds("x" + text))


def shrink(path: Path) -> None:
    with open(path, "r+b") as file:
        file.truncate(CHUNK + 5)


def grow(path: Path) -> None:
    with open(path, "ab") as file:
        file.write(b"more")


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.rename(path)


def rewrite(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("change", [shrink, grow, replace, rewrite, os.remove])
@pytest.mark.parametrize("when", ["while it is counted", "between two readings", "while it is read again"])
def test_T14_a_file_that_changes_while_it_is_read_is_refused(
    change: Callable[[Path], None], when: str, tmp_path: Path
) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(b"some words\n" * (3 * CHUNK // 11))
    os.utime(path, ns=(1, 1))
    if when == "while it is counted":
        chunks = decode.TextFile(decode.Entry(path, "text.txt", "text.txt")).chunks()
        next(chunks)
        change(path)
        with pytest.raises(RegardError, match=r"text.txt: changed while being read"):
            list(chunks)
        return
    source = opened(path)
    if when == "between two readings":
        change(path)
        pattern = "changed while being read" if change is not os.remove else "cannot be read"
        with pytest.raises(RegardError, match=pattern):
            text_of(source)
        return
    document = next(source.texts("all"))
    next(document)
    change(path)
    with pytest.raises(RegardError, match="changed while being read"):
        list(document)
