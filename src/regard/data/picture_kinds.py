"""What first bytes say of a picture: one that is read, one of a format that is not, or none at all."""

import re
from pathlib import PurePath

from regard.data.sniff import is_plain

HEAD = 512
"""Bytes that decide."""

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "PPM", "TIFF")
"""Those that are read, as Pillow calls them."""

READ = "PNG, JPEG, BMP, GIF, WebP, PPM, PGM or TIFF"

SUFFIXES = {
    ".png": "PNG", ".apng": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".jfif": "JPEG", ".mpo": "JPEG",
    ".bmp": "BMP", ".dib": "BMP", ".gif": "GIF", ".webp": "WEBP", ".ppm": "PPM", ".pgm": "PPM", ".pbm": "PPM",
    ".pnm": "PPM", ".tif": "TIFF", ".tiff": "TIFF",
}  # fmt: skip
"""Names that say so: a file with one that is no picture is a bad picture, not some other file."""

_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"GIF87a", "GIF"),
    (0, b"GIF89a", "GIF"),
    (8, b"WEBPVP8", "WEBP"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"II+\0", "TIFF"),
    (0, b"MM\0+", "TIFF"),
)
_OTHERS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"8BPS", "PSD"),
    (0, b"\xc5\xd0\xd3\xc6", "EPS"),
    (4, b"ftypavif", "AVIF"),
    (4, b"ftypavis", "AVIF"),
    (4, b"ftyphei", "HEIC"),
    (4, b"ftyphev", "HEIC"),
    (4, b"ftypmif1", "HEIC"),
    (4, b"ftypmsf1", "HEIC"),
    (0, b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"\0\0\0\x0cJXL ", "JPEG XL"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\0\0\1\0", "ICO"),
    (0, b"gimp xcf", "XCF"),
    (0, b"v/1\1", "OpenEXR"),
    (0, b"DDS ", "DDS"),
    (0, b"icns", "ICNS"),
    (128, b"DICM", "DICOM"),
    (0, b"\xd7\xcd\xc6\x9a", "WMF"),
)
# These are written in plain characters.
_PLAIN = (
    (re.compile(rb"%!PS"), "EPS"),
    (re.compile(rb"%PDF-"), "PDF"),
    (re.compile(rb"SIMPLE  ="), "FITS"),
    (re.compile(rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*(<!DOCTYPE\s+svg[^>]*>\s*)?<svg\b", re.DOTALL), "SVG"),
)
_NETPBM = re.compile(rb"P[1-6](\s+|\s*#[^\n]*\n)+\d+(\s+|\s*#[^\n]*\n)+\d+\s")
_HEADERS_OF_BMP = (12, 16, 40, 52, 56, 64, 108, 124)


def format_of(head: bytes, name: str = "") -> str | None:
    """The format among FORMATS in which the file begins. A text that begins with the word GIF89a is none."""
    if _NETPBM.match(head) and (PurePath(name).suffix.lower() in SUFFIXES or not is_plain(head)):
        return "PPM"
    found = next((kind for offset, magic, kind in _MAGIC if head.startswith(magic, offset)), None)
    if head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in _HEADERS_OF_BMP:
        found = "BMP"
    return None if found and is_plain(head) else found


def other_format_of(head: bytes) -> str | None:
    """The format of a picture that is not read: through Ghostscript, or by a library that regard does not need."""
    for pattern, kind in _PLAIN:
        if pattern.match(head):
            return kind
    found = next((kind for offset, magic, kind in _OTHERS if head.startswith(magic, offset)), None)
    return None if found and is_plain(head) else found


def is_named_so(name: str) -> bool:
    return PurePath(name).suffix.lower() in SUFFIXES


def is_hidden(name: str) -> bool:
    """Whether a part of an archive's name is what systems leave behind: .DS_Store, ._x, __MACOSX."""
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))
