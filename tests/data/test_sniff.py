"""What is no text is named by its first bytes, with the way out; in a folder it is skipped and counted."""

import bz2
import gzip
import io
import lzma
import pickle
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from regard.data.open import open_source
from regard.errors import RegardError

WORDS = b"some words that are text\n" * 10


def zipped(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, WORDS)
    return buffer.getvalue()


def tarred() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.txt"), io.BytesIO())
    return buffer.getvalue()


def picture(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (9, 9), "red").save(buffer, kind)
    return buffer.getvalue()


def array() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.arange(9))
    return buffer.getvalue()


KINDS = {
    "a.gz": (gzip.compress(WORDS), "is gzip data; unpack it: `zcat {path} | regard train -`"),
    "a.bz2": (bz2.compress(WORDS), "is bzip2 data; unpack it: `bzcat {path} | regard train -`"),
    "a.xz": (lzma.compress(WORDS), "is xz data; unpack it: `xzcat {path} | regard train -`"),
    "a.zst": (b"\x28\xb5\x2f\xfd\x04\x00", "is zstd data"),
    "a.zip": (zipped("a.txt"), "is a zip archive; unpack it: `unzip -p {path} | regard train -`"),
    "a.docx": (zipped("[Content_Types].xml", "word/document.xml"), "is a Word document (docx); save it as plain text"),
    "a.xlsx": (zipped("[Content_Types].xml", "xl/workbook.xml"), "is an Excel table (xlsx)"),
    "a.tar": (tarred(), "is a tar archive; unpack it and give the folder"),
    "a.pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n", "is a PDF document; convert it: `pdftotext {path} - |"),
    "plain.pdf": (b"%PDF-1.4\n1 0 obj\n<< >>\nendobj\n", "is a PDF document"),
    "a.rtf": (b"{\\rtf1\\ansi Some words.}", "is an RTF document; save it as plain text"),
    "a.doc": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99), "is an old Office document"),
    "a.parquet": (b"PAR1\x15\x04\x15\x00\x00", "is a parquet table; export its text column as jsonl"),
    "a.arrow": (b"ARROW1\0\0", "is an Arrow table"),
    "a.sqlite": (b"SQLite format 3\0", "is an SQLite database"),
    "a.png": (picture("PNG"), "is a PNG picture"),
    "a.jpg": (picture("JPEG"), "is a JPEG picture"),
    "a.gif": (picture("GIF"), "is a GIF picture"),
    "a.webp": (picture("WEBP"), "is a WebP picture"),
    "a.tiff": (picture("TIFF"), "is a TIFF picture"),
    "a.wav": (b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0", "is a WAV sound"),
    "a.mp3": (b"ID3\x04\0\0\0\0\0\0", "is an MP3 sound"),
    "a.mp4": (b"\0\0\0\x18ftypmp42", "is an MP4 file"),
    "program": (b"\x7fELF\x02\x01\x01\0", "is a program"),
    "a.pkl": (pickle.dumps([1]), "is a Python pickle; never opened, as it could run code"),
    "a.npy": (array(), "is a NumPy array"),
    "a.gguf": (b"GGUF\x03\0\0\0", "is GGUF weights"),
    "zeros": (bytes(1000), "is binary: a NUL byte at offset 0"),
    "one zero": (WORDS + b"\0" + WORDS, "is binary: a NUL byte at offset 250"),
    "a late zero": (WORDS * 3000 + b"\0" + WORDS, "is binary: it holds a NUL character"),
}


@pytest.mark.parametrize("name", KINDS)
def test_T05_what_is_no_text_is_named_with_the_way_out(name: str, tmp_path: Path) -> None:
    content, said = KINDS[name]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(RegardError) as refusal:
        open_source([str(path)])
    quoted = f"'{path}'" if " " in name else str(path)
    assert str(path) in refusal.value.where
    assert said.format(path=quoted) in f"{refusal.value.what}; {refusal.value.do}"


@pytest.mark.parametrize("name", KINDS)
def test_T05_among_text_files_it_is_skipped_and_counted(name: str, tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_bytes(WORDS)
    (tmp_path / name).write_bytes(KINDS[name][0])
    source = open_source([str(tmp_path)])
    assert source.documents == 1
    assert source.characters == len(WORDS)
    said = [str(notice) for notice in source.notices]
    assert said[0].startswith("1 file, row or document skipped")
    assert said[1].startswith(f"1 file other than text skipped ({tmp_path}/{name}")


@pytest.mark.parametrize(
    "start", ["PK and more", "GIF89a is a format", "PAR1", "GGUF holds weights", "ID3 tags", "BZh91AY"]
)
def test_T05_plain_text_may_begin_like_another_format(start: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(start + "\nand goes on in words\n")
    assert open_source([str(tmp_path / "a.txt")]).documents == 1


def test_T05_the_way_out_fits_a_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.gz").write_bytes(KINDS["a.gz"][0])
    with open(tmp_path / "a.gz") as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        with pytest.raises(RegardError, match=r"standard input: is gzip data; unpack it: `zcat +\| regard train -`"):
            open_source(["-"])
