"""What the first bytes of a file say: packed, a picture, a program, or text and in which encoding."""

import codecs
import re
import shlex
import unicodedata
from dataclasses import dataclass

from regard.errors import RegardError

STANDARD_INPUT = "standard input"
"""What refusals call it."""

HEAD = 1 << 16
"""Bytes that are looked at."""


class NotText(RegardError):
    """The file holds something else than text: refused when named, skipped and counted in a folder."""


class Unreadable(RegardError):
    """The file cannot be opened, read or decoded: refused when named, skipped and counted in a folder (rule 6)."""


class OtherEncoding(Unreadable):
    """The file is text, and not in the encoding in which it is read."""


@dataclass(frozen=True)
class Encoding:
    """How the bytes of a file are read."""

    name: str
    mark: int = 0
    """Bytes of the byte order mark at the beginning, which is no text; 0 without."""
    doubted: bool = False
    """Whether the bytes are UTF-8 beyond ASCII, which text in another encoding hardly ever is by chance."""


_PACKED = "unpack it: `{tool} {file} | regard train -`"
_CONVERT = "save it as plain text (UTF-8)"
_LEAVE_OUT = "leave it out, or give a text file"
_PICTURES = "leave it out, or give a folder or an archive of pictures"
_SOUNDS = "leave it out, or give a folder or an archive of sounds"

# offset, bytes there, what it is, the way out
_MAGIC: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"\x1f\x8b", "gzip data", _PACKED.replace("{tool}", "zcat")),
    (4, b"1AY&SY", "bzip2 data", _PACKED.replace("{tool}", "bzcat")),
    (0, b"\xfd7zXZ\0", "xz data", _PACKED.replace("{tool}", "xzcat")),
    (0, b"\x28\xb5\x2f\xfd", "zstd data", _PACKED.replace("{tool}", "zstdcat")),
    (0, b"\x04\x22\x4d\x18", "lz4 data", _PACKED.replace("{tool}", "lz4cat")),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", _PACKED.replace("{tool}", "7z x -so")),
    (0, b"Rar!\x1a\x07", "a rar archive", "unpack it and give the folder"),
    (257, b"ustar", "a tar archive", "unpack it and give the folder"),
    (0, b"PK\x05\x06", "an empty zip archive", _LEAVE_OUT),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document", _CONVERT),
    (0, b"PAR1", "a parquet table", "export its text column as jsonl"),
    (0, b"ARROW1", "an Arrow table", "export its text column as jsonl"),
    (0, b"Obj\x01", "an Avro table", "export its text column as jsonl"),
    (0, b"SQLite format 3\0", "an SQLite database", "export its text column as jsonl"),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file", _LEAVE_OUT),
    (0, b"\x93NUMPY", "a NumPy array", _LEAVE_OUT),
    (0, b"GGUF", "GGUF weights", "give them as --from, not as data"),
    (0, b"\x89PNG\r\n\x1a\n", "a PNG picture", _PICTURES),
    (0, b"\xff\xd8\xff", "a JPEG picture", _PICTURES),
    (0, b"GIF87a", "a GIF picture", _PICTURES),
    (0, b"GIF89a", "a GIF picture", _PICTURES),
    (8, b"WEBPVP8", "a WebP picture", _PICTURES),
    (0, b"II*\0", "a TIFF picture", _PICTURES),
    (0, b"MM\0*", "a TIFF picture", _PICTURES),
    (8, b"WAVEfmt ", "a WAV sound", _SOUNDS),
    (0, b"fLaC\0", "a FLAC sound", _LEAVE_OUT),
    (0, b"OggS\0", "an Ogg sound", _LEAVE_OUT),
    (0, b"ID3\x02", "an MP3 sound", _LEAVE_OUT),
    (0, b"ID3\x03", "an MP3 sound", _LEAVE_OUT),
    (0, b"ID3\x04", "an MP3 sound", _LEAVE_OUT),
    (4, b"ftyp", "an MP4 file", _LEAVE_OUT),
    (0, b"\x7fELF", "a program", _LEAVE_OUT),
    (0, b"\x80\x02", "a Python pickle", "never opened, as it could run code: export it as jsonl"),
    (0, b"\x80\x03", "a Python pickle", "never opened, as it could run code: export it as jsonl"),
    (0, b"\x80\x04", "a Python pickle", "never opened, as it could run code: export it as jsonl"),
    (0, b"\x80\x05", "a Python pickle", "never opened, as it could run code: export it as jsonl"),
)
# These two are written in plain characters; the others count only where the file is not plain text anyway, which may
# well begin with "GIF89a" or "GGUF".
_PLAIN_MAGIC: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"%PDF-1.", "a PDF document", "convert it: `pdftotext {file} - | regard train -`"),
    (0, b"%PDF-2.", "a PDF document", "convert it: `pdftotext {file} - | regard train -`"),
    (0, b"{\\rtf1", "an RTF document", _CONVERT),
)
_ZIPPED = (
    (b"word/", "a Word document (docx)"),
    (b"xl/", "an Excel table (xlsx)"),
    (b"ppt/", "slides (pptx)"),
    (b"application/epub+zip", "an EPUB book"),
    (b"opendocument", "an OpenDocument file"),
)

_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")

_MARKS = (  # UTF-32's first: UTF-16's is its beginning
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_WIDE = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
_ENCODINGS = frozenset(  # as Python calls them
    re.findall(
        r"\S+",
        """ascii utf-8 utf-16 utf-16-le utf-16-be utf-32 utf-32-le utf-32-be iso8859-1 iso8859-2 iso8859-3 iso8859-4
        iso8859-5 iso8859-6 iso8859-7 iso8859-8 iso8859-9 iso8859-10 iso8859-11 iso8859-13 iso8859-14 iso8859-15
        iso8859-16 cp1250 cp1251 cp1252 cp1253 cp1254 cp1255 cp1256 cp1257 cp1258 cp437 cp850 cp852 cp866 mac-roman
        koi8-r koi8-u tis-620 gb2312 gbk gb18030 big5 cp950 shift_jis cp932 euc_jp euc_kr cp949""",
    )
)


def check_encoding(name: str | None) -> str | None:
    """The encoding as Python calls it. Raises RegardError for one that is unknown or no encoding of text."""
    if name is None:
        return None
    try:
        known = codecs.lookup(name).name.replace("utf-8-sig", "utf-8")
    except (LookupError, ValueError):
        known = ""
    if known not in _ENCODINGS:
        raise RegardError("--encoding", f"{name!r} is not known", "give utf-8, utf-16-le, latin-1, cp1252, cp932 ...")
    return known


def encoding_of(head: bytes, name: str, given: str | None) -> Encoding:
    """How to read the file that begins so: a byte order mark decides, then the option, else it is UTF-8.

    Raises NotText if its magic bytes or NUL bytes say that it is something else, with the way out. No encoding is
    guessed: of text that only looks like UTF-16, Unreadable says which option would read it.
    """
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return Encoding(encoding, len(mark))
    _check_magic(head, name)
    if given in ("utf-16", "utf-32"):
        raise RegardError(name, f"has no byte order mark, so {given} leaves its order open", f"give {given}-le or -be")
    if given in _WIDE:
        return Encoding(given)
    if b"\0" in head:
        stray = head.count(0) * 5 < len(head) and is_plain(head.replace(b"\0", b""))  # plain text but for a few NULs
        wide = None if stray else _looks_like(head)
        if wide:
            raise OtherEncoding(name, f"holds NUL bytes and looks like {wide}", f"give --encoding {wide}")
        raise NotText(name, f"is binary: a NUL byte at offset {head.index(0)}", _LEAVE_OUT)
    return Encoding(given or "utf-8", doubted=given not in (None, "utf-8") and _is_beyond_ascii(head))


def _check_magic(head: bytes, name: str) -> None:
    if head.startswith(b"PK\x03\x04"):
        kind = next((kind for sign, kind in _ZIPPED if sign in head), None)
        do = _CONVERT if kind else _PACKED.replace("{tool}", "unzip -p")
        raise NotText(name, f"is {kind or 'a zip archive'}", do.replace("{file}", _quoted(name)))
    for offset, magic, kind, do in _PLAIN_MAGIC if is_plain(head) else _MAGIC + _PLAIN_MAGIC:
        if head.startswith(magic, offset):
            raise NotText(name, f"is {kind}", do.replace("{file}", _quoted(name)))


def is_plain(head: bytes) -> bool:
    """Whether the bytes are UTF-8 (perhaps cut at the end) without control characters."""
    try:
        codecs.getincrementaldecoder("utf-8")("strict").decode(head)
    except UnicodeDecodeError:
        return False
    return not _CONTROL.search(head)


def _is_beyond_ascii(head: bytes) -> bool:
    """Whether the bytes are UTF-8 (perhaps cut at the end, where the file goes on) with a character beyond ASCII."""
    try:
        return not codecs.getincrementaldecoder("utf-8")("strict").decode(head, len(head) < HEAD).isascii()
    except UnicodeDecodeError:
        return False


def _quoted(name: str) -> str:
    return "" if name == STANDARD_INPUT else shlex.quote(name)


def _looks_like(head: bytes) -> str | None:
    """The wide encoding in which the bytes are text: no control characters, and the most characters of ASCII."""
    best: tuple[int, str] | None = None
    for encoding in _WIDE:
        try:
            text = codecs.getincrementaldecoder(encoding)().decode(head)
        except UnicodeDecodeError:
            continue
        if any(unicodedata.category(c) in ("Cc", "Cn") and c not in "\t\n\r\f" for c in text):
            continue
        familiar = sum(c.isascii() for c in text)
        if familiar and (best is None or familiar > best[0]):
            best = familiar, encoding
    return best and best[1]
