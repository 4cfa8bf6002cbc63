"""Archives of pictures, honest and hostile: read in memory, in order, and never written out."""

import bz2
import gzip
import io
import lzma
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regard.data.tar import Damaged, tar_members
from regard.errors import counted

from .drawn import classes, measured, noise, opened, png, refusal, said, tarred, write, zipped

TREE = classes({"cat": 12, "dog": 14})


def check(path: Path) -> Any:
    """The archive gives the pictures of TREE; returns the source."""
    source = opened(path)
    found = source.decode(path.parent / "run", 8, 8)
    assert found.classes == ("cat", "dog")
    assert np.bincount(found.labels).tolist() == [12, 14]
    expected = {noise(number).tobytes() for number in range(26)}
    assert {row.tobytes() for row in found.pictures} == expected
    return source


PACKINGS: dict[str, Callable[[], bytes]] = {
    ".tar": lambda: tarred(TREE),
    ".tar.gz": lambda: tarred(TREE, "w:gz"),
    ".tar.xz": lambda: tarred(TREE, "w:xz"),
    ".tar.bz2": lambda: tarred(TREE, "w:bz2"),
    ".tgz": lambda: tarred(TREE, "w:gz"),
    ".zip": lambda: zipped(TREE),
    ".stored.zip": lambda: zipped(TREE, zipfile.ZIP_STORED),
    "": lambda: tarred(TREE),
    ".two.tar.gz": lambda: (lambda raw: gzip.compress(raw[:5000]) + gzip.compress(raw[5000:]))(tarred(TREE)),
    ".two.tar.xz": lambda: (lambda raw: lzma.compress(raw[:5000]) + lzma.compress(raw[5000:]))(tarred(TREE)),
    ".two.tar.bz2": lambda: (lambda raw: bz2.compress(raw[:5000]) + bz2.compress(raw[5000:]))(tarred(TREE)),
}


@pytest.mark.parametrize("ending", PACKINGS)
def test_an_archive_is_read_whatever_it_is_called(ending: str, tmp_path: Path) -> None:
    source = check(write(tmp_path, {f"animals{ending}": PACKINGS[ending]()}) / f"animals{ending}")
    assert source.name.startswith("animals")
    assert source.notices == ()


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tar_members_are_those_that_were_put_in(form: int) -> None:
    """Names up to 300 characters and outside ASCII, in each of the three formats; compared with what tarfile reads."""
    names = ["a/b.png", "cat/" + "n" * 90 + ".png", "é/" + "ü" * 40 + ".png"]
    names += [] if form == tarfile.USTAR_FORMAT else ["/".join(["long"] * 60) + "/x.png"]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        folder = tarfile.TarInfo("a")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for number, name in enumerate(names):
            member = tarfile.TarInfo(name)
            member.size = 100 * number
            archive.addfile(member, io.BytesIO(bytes([number]) * member.size))
    buffer.seek(0)
    found = [(member.name, member.kind, member.read(member.size)) for member in tar_members(buffer)]
    assert found[0][:2] == ("a/", "folder")
    assert found[1:] == [(name, "file", bytes([number]) * 100 * number) for number, name in enumerate(names)]


def test_a_size_may_be_written_in_binary() -> None:
    raw = bytearray(tarred({"a": b"x" * 700}))
    raw[124:136] = b"\x80" + (700).to_bytes(11, "big")
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw[:512])
    (member,) = tar_members(io.BytesIO(bytes(raw)))
    assert member.size == 700


@given(st.binary(max_size=3000), st.integers(0, 4000))
def test_any_bytes_end_in_members_or_in_damage(noise: bytes, place: int) -> None:
    raw = tarred({"a.png": b"x" * 900, "b/c.png": b"y" * 100})
    changed = raw[:place] + noise + raw[place + len(noise) :]
    for content in (noise, changed):
        try:
            for member in tar_members(io.BytesIO(content)):
                assert len(member.read(member.size)) == member.size
        except Damaged:
            continue


def entry(name: str, **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    content = fields.pop("content", png(99))
    member.size = len(content)
    for key, value in fields.items():
        setattr(member, key, value)
    return member, content


def tar_with(*more: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """TREE, and then these."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for member, content in [*(entry(name, content=content) for name, content in TREE.items()), *more]:
            archive.addfile(member, io.BytesIO(content) if member.isreg() else None)
    return buffer.getvalue()


def zip_with(*more: tuple[str, bytes, dict[str, Any]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content, fields in [*((name, content, {}) for name, content in TREE.items()), *more]:
            info = zipfile.ZipInfo(name)
            for key, value in fields.items():
                setattr(info, key, value)
            archive.writestr(info, content, info.compress_type)
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["../x.png", "cat/../../x.png", "/etc/x.png", "C:/x.png", "..", "cat/.."])
@pytest.mark.filterwarnings("ignore:Duplicate")
def test_P15_names_that_lead_out_are_ignored_and_counted(name: str, tmp_path: Path) -> None:
    write(tmp_path / "in", {"a.tar": tar_with(entry(name)), "b.zip": zip_with((name, png(99), {}))})
    for archive in ("a.tar", "b.zip"):
        source = check(tmp_path / "in" / archive)
        (notice,) = said(source.notices)
        assert notice.startswith("1 archive member with a name that leads out of it ignored (")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]
    assert not os.path.lexists("/etc/x.png")


def test_P15_links_devices_and_sparse_files_are_ignored_and_counted(tmp_path: Path) -> None:
    kinds = {"link": [tarfile.SYMTYPE, tarfile.LNKTYPE], "device": [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE],
             "sparse file": [tarfile.GNUTYPE_SPARSE]}  # fmt: skip
    more = [entry(f"cat/{kind} {number}.png", type=kind_, linkname="/etc/passwd", content=b"")
            for kind, types in kinds.items() for number, kind_ in enumerate(types)]  # fmt: skip
    source = check(write(tmp_path, {"a.tar": tar_with(*more)}) / "a.tar")
    notices = said(source.notices)
    for kind, types in kinds.items():
        start = f"{counted(len(types), 'archive member')} other than plain files ({kind}) ignored"
        assert any(notice.startswith(start) for notice in notices), kind
    link = ("cat/link.png", b"/etc/passwd", {"external_attr": 0o120777 << 16})
    source = check(write(tmp_path, {"b.zip": zip_with(link)}) / "b.zip")
    assert said(source.notices)[0].startswith("1 archive member other than plain files (link) ignored")


@pytest.mark.filterwarnings("ignore:Duplicate")
def test_P15_of_two_members_of_one_name_the_first_counts(tmp_path: Path) -> None:
    tar, zip_ = tar_with(entry("cat/0000.png")), zip_with(("cat/0000.png", png(99), {}))
    for name, content in {"a.tar": tar, "b.zip": zip_}.items():
        source = check(write(tmp_path, {name: content}) / name)
        assert said(source.notices)[0].startswith("1 second archive member of the same name ignored (")


def test_P15_encrypted_members_and_other_packings_are_not_read(tmp_path: Path) -> None:
    packed = check(
        write(tmp_path, {"a.zip": zip_with(("cat/x.png", png(99), {"compress_type": zipfile.ZIP_BZIP2}))}) / "a.zip"
    )
    assert "(file packed in a way that is not read) ignored" in said(packed.notices)[0]
    content = bytearray(zip_with(("cat/x.png", png(99), {})))
    for magic, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.rindex(magic) + place] |= 1
    encrypted = check(write(tmp_path, {"b.zip": bytes(content)}) / "b.zip")
    assert "(encrypted file) ignored" in said(encrypted.notices)[0]


def test_P15_hidden_members_and_other_files_are_ignored_and_counted(tmp_path: Path) -> None:
    more = {"__MACOSX/cat/._0001.png": png(98), "cat/.DS_Store": b"x", "readme.md": b"words", "cat/notes.html": b"<p>"}
    source = check(write(tmp_path, {"a.tar": tarred(TREE | more)}) / "a.tar")
    assert [notice.partition(" (")[0] for notice in said(source.notices)] == [
        "2 hidden archive members ignored", "2 files other than pictures ignored"]  # fmt: skip


def test_P15_an_empty_class_folder_in_an_archive_is_refused(tmp_path: Path) -> None:
    write(tmp_path, {"a.tar": tar_with(entry("fox", type=tarfile.DIRTYPE, content=b""))})
    assert "a.tar/fox: is a class folder without a picture" in refusal(tmp_path / "a.tar")


@pytest.mark.parametrize("ending", [".tar", ".tar.gz", ".tar.xz", ".tar.bz2", ".zip"])
def test_P15_an_archive_cut_short_is_refused(ending: str, tmp_path: Path) -> None:
    content = PACKINGS[ending]()
    for share in (0.5, 0.8, 0.99):
        cut = content[: int(len(content) * share)]
        if ending == ".tar" and cut[-1024:] == bytes(1024):
            continue  # the end's mark is there, only the padding after it is not
        write(tmp_path, {f"a{ending}": cut})
        sentence = refusal(tmp_path / f"a{ending}")
        assert f"a{ending}" in sentence, share


def test_P15_one_damaged_member_of_a_zip_is_skipped(tmp_path: Path) -> None:
    content = bytearray(zip_with())
    content[content.index(TREE["dog/0003.png"]) + 60] ^= 1
    source = opened(write(tmp_path, {"a.zip": bytes(content)}) / "a.zip")
    found = source.decode(tmp_path / "run", 8, 8)
    assert len(found.labels) == 25
    assert "a.zip dog/0003.png is damaged (Bad CRC-32" in str(found.notices[0])


def header(name: str, size: int, kind: bytes = b"0") -> bytes:
    """A tar header of 512 bytes with the right sum, whatever size it claims."""
    raw = bytearray(512)
    raw[:100] = name.encode().ljust(100, b"\0")
    raw[124:136] = b"%011o\0" % size if size < 8**11 else b"\x80" + size.to_bytes(11, "big")
    raw[156:157] = kind
    raw[257:265] = b"ustar\x0000"
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw)
    return bytes(raw)


def asking_for_4_gib(packed: bytes) -> bytes:
    """An xz file whose block header states the largest dictionary that there is, with the right sum."""
    raw = bytearray(packed)
    assert (raw[14], raw[15]) == (0x21, 1)  # LZMA2, and one byte that says the dictionary's size
    raw[16] = 40
    end = 12 + 4 * raw[12]
    raw[end : end + 4] = struct.pack("<I", zlib.crc32(raw[12:end]))
    return bytes(raw)


def hostile() -> dict[str, bytes]:
    picture = png(99)
    padded = picture + bytes(-len(picture) % 512)
    first = header("cat/1.png", len(picture)) + padded
    record = b"30 size=99999999999999999999\n"
    overlapping = bytearray(zip_with())
    return {
        "8 GiB of a long name.tar": first + header("././@LongLink", 8 << 30, b"L"),
        "8 GiB of pax.tar": first + header("x", 8 << 30, b"x"),
        "8 GiB of a picture.tar": first + header("cat/2.png", 8 << 30),
        "binary size.tar": first + header("cat/2.png", 1 << 80),
        "negative size.tar": first + header("cat/2.png", 0)[:124] + b"\xff" * 12 + header("cat/2.png", 0)[136:],
        "pax size.tar": first + header("x", len(record), b"x") + record.ljust(512, b"\0") + header("cat/2.png", 9),
        "pax records.tar": first + header("x", 512, b"x") + b"0 a=b\n".ljust(512, b" "),
        "bomb.tar.gz": gzip.compress(first + header("cat/2.png", 1 << 30) + bytes(1 << 28), 1),
        "bomb of folders.tar.gz": gzip.compress(first + header("x", 0, b"5") * 200_000, 9),
        "bomb.tar.xz": lzma.compress(first + header("cat/2.png", 1 << 26) + bytes(1 << 26)),
        "bomb.zip": zipped({"cat/1.png": picture, **{f"cat/{number}.png": bytes(50 << 20) for number in (2, 3)}}),
        "contents.zip": bytes(overlapping).replace(
            overlapping[-22:], b"PK\5\6" + bytes(4) + b"\xff" * 4 + struct.pack("<II", 1 << 30, 0) + bytes(2)),
        "xz memory.tar.xz": asking_for_4_gib(lzma.compress(first * 99)),
        "zeros.zip": b"PK\3\4" + bytes(3000),
    }  # fmt: skip


def test_P15_bombs_and_lying_headers_are_refused_in_little_memory_and_time(tmp_path: Path) -> None:
    paths = list[Path]()
    for name, content in hostile().items():
        (tmp_path / name).write_bytes(content)
        paths.append(tmp_path / name)
    code = """
from regard.data.picture_open import Asked, Root, open_pictures
from regard.data.decode import Entry
for path in map(Path, sys.argv[1:]):
    start = time.process_time()
    try:
        root = Root(str(path), [Entry(path, path.name, str(path))], ())
        open_pictures("archive", [root], Asked("a", "a", (), (), False, True))
        raise SystemExit(f"{path} was read")
    except RegardError as error:
        assert str(error).startswith((str(path), "a: ")), error
    assert time.process_time() - start < 5, path
    start = time.process_time()
    try:
        open_source([str(path)])
        raise SystemExit(f"{path} was read")
    except RegardError:
        pass
    assert time.process_time() - start < 5, path
report()
"""
    assert measured(code, *paths)["memory"] < 300_000_000
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_P15_many_members_are_read_in_memory_that_does_not_grow_with_their_bytes(tmp_path: Path) -> None:
    big = {f"cat/{number}.bmp": np.random.default_rng(number).bytes(6_000_000) for number in range(40)}
    write(tmp_path, {"a.tar": tarred(TREE | {name.replace("bmp", "bin"): content for name, content in big.items()})})
    code = """
source = open_source([sys.argv[1]])
source.decode(Path(sys.argv[2]), 8, 8)
report(count=source.count)
"""
    result = measured(code, tmp_path / "a.tar", tmp_path / "run")
    assert result["count"] == 26
    assert result["memory"] < 120_000_000, result


def test_an_archive_that_changes_before_it_is_decoded_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, {"a.tar": tarred(TREE)}) / "a.tar"
    source = opened(path)
    path.write_bytes(tarred(TREE | {"cat/0000.png": png(77)}))
    with pytest.raises(Exception, match=r"a\.tar: changed while being read"):
        source.decode(tmp_path / "run", 8, 8)
