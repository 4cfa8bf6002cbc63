"""A picture's file to numbers: one rule for every format, and whatever is wrong with it said as one sentence.

The rule: the first frame; turned as its EXIF data say; transparency over white; 16 bits to 8 by their upper byte; then
scaled so that the shorter side fits and the middle of the longer one is kept, averaging what is made smaller. Shapes:
height; width; channels, which is 1 (grey) or 3 (red, green, blue).
"""

import io
import os
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from regard.data.content import LARGEST, steady, taken
from regard.data.picture_kinds import HEAD, READ, SUFFIXES, format_of, other_format_of
from regard.data.sniff import Unreadable, is_plain

T = TypeVar("T")

MOST_PIXELS = 89_478_485
"""Pillow's own limit, above which a picture may be a decompression bomb; never lifted (P2)."""

STRIP = 1 << 20
"""Pixels of a large picture that are averaged at once."""

# Of a bomb Pillow only warns, up to twice its limit; of metadata that it cannot read it warns, and they are not needed.
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

KINDS = (
    "picture(s) of several frames or pages, the first one read",
    "CMYK picture(s) made red, green and blue",
    "palette(s) made colours",
    "picture(s) with transparency put over white",
    "picture(s) of 16 bits a number, the upper 8 kept",
    "picture(s) of 1 bit a number, made 0 and 255",
    "picture(s) turned or mirrored as EXIF data say",
    "picture(s) named as of another format",
    "grey picture(s) among coloured ones, given three equal channels",
    "coloured picture(s) made grey",
    "picture(s) cut at the longer side to less than half",
    "picture(s) of one colour alone",
    "picture(s) of another size, scaled",
)
"""What was done to a picture, or is worth counting; a picture has a bit for each."""
FRAMES, CMYK, PALETTE, ALPHA, WIDE, BILEVEL, TURNED, MISNAMED, GREY, GREYED, CUT, CONSTANT, SCALED = (
    1 << bit for bit in range(len(KINDS))
)

_GREY = {"1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N"}
_READ = _GREY | {"P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr"}
_TURN = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip


@dataclass(frozen=True)
class Header:
    """What a picture says of itself before it is decoded; height and width of the upright picture."""

    height: int
    width: int
    channels: int


@dataclass(frozen=True)
class Crop:
    """The part of the upright picture that was kept, in its pixels."""

    top: float
    left: float
    height: float
    width: float


@dataclass(frozen=True)
class Seen:
    """A picture as the model sees it, and where that lies in the original."""

    pixels: npt.NDArray[np.uint8]
    """(height, width, channels)"""
    crop: Crop
    size: tuple[int, int]
    """Height and width of the whole picture, upright."""
    kinds: int
    """Bits of KINDS."""


def examine(content: bytes, name: str) -> Header:
    """What the header says; no pixel is decoded. Raises Unreadable, naming the picture and what is wrong with it."""

    def look(image: Image.Image) -> Header:
        width, height = _upright(image)
        return Header(height, width, 1 if image.mode in _GREY else 3)

    return _opened(content, name, look)


def see(content: bytes, name: str, height: int, width: int, channels: int) -> Seen:
    """The picture at this size by the rule above. Raises Unreadable, naming the picture and what is wrong with it."""
    return _opened(content, name, lambda image: _seen(image, name, height, width, channels))


def decode_one(given: str | Path | bytes, height: int, width: int, channels: int) -> Seen:
    """One picture from a file or its bytes, by the rule that training used. Raises RegardError."""
    if isinstance(given, bytes):
        return see(given, "the picture", height, width, channels)
    with steady(Path(given), str(given), do="check the name: the run takes a picture's file") as (file, _):
        content = taken(file, LARGEST + 1)
    return see(content, str(given), height, width, channels)


def from_array(pixels: npt.NDArray[np.uint8], height: int, width: int, channels: int) -> Seen:
    """The same for pixels (h, w, 1 or 3) that need no decoding."""
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    return _seen(image, "", height, width, channels)


def _opened(content: bytes, name: str, use: Callable[[Image.Image], T]) -> T:
    """Whatever Pillow raises over hostile bytes becomes Unreadable; it raises nearly everything that there is."""
    head = content[:HEAD]
    kind = format_of(head, name)
    if kind is None:
        raise not_read(head, name)
    if len(content) > LARGEST:
        raise _unreadable(name, f"has more than {LARGEST >> 20} MB")
    try:
        if kind == "PNG":
            _check_png(content)
        with Image.open(io.BytesIO(content), formats=[kind]) as image:
            if image.width * image.height > MOST_PIXELS:
                raise Image.DecompressionBombError
            return use(image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _unreadable(name, f"has more than {MOST_PIXELS:,} pixels") from error
    except Unreadable:
        raise
    except UnidentifiedImageError as error:  # whose own words name an address in memory
        raise _unreadable(name, f"is a damaged {kind} picture (its header)") from error
    except Exception as error:
        why = str(error).partition("\n")[0][:60] or type(error).__name__
        raise _unreadable(name, f"is a damaged {kind} picture ({why})") from error


def not_read(head: bytes, name: str) -> Unreadable:
    """Why the bytes are no picture that is read."""
    if not head:
        return _unreadable(name, "is empty")
    if head.startswith(b"version https://git-lfs.github.com/spec/"):
        return Unreadable(name, "is a Git LFS pointer in place of the picture", "fetch it by `git lfs pull`")
    other = other_format_of(head)
    if other is None and is_plain(head):
        return _unreadable(name, "is no picture but text")
    return _unreadable(name, f"is {other}, which is not read" if other else "is no picture")


def _unreadable(name: str, what: str) -> Unreadable:
    return Unreadable(name, what, f"give {READ}")


def _check_png(content: bytes) -> None:
    """Pillow leaves the sums of pixel data unchecked; a wrong bit in their first byte makes it give black, unsaid."""
    place = 8
    while place + 12 <= len(content):
        end = place + 8 + int.from_bytes(content[place : place + 4], "big")
        if zlib.crc32(memoryview(content)[place + 4 : end]) != int.from_bytes(content[end : end + 4], "big"):
            raise ValueError("a check sum is wrong")
        if content[place + 4 : place + 8] == b"IEND":
            return
        place = end + 4
    raise ValueError("cut short")


def _seen(image: Image.Image, name: str, height: int, width: int, channels: int) -> Seen:
    kinds, orientation, whole = _kinds_of(image, name), _orientation(image), _upright(image)
    side = 2 * max(height, width)
    if image.format == "JPEG":  # its decoder itself can average to a half, quarter or eighth
        image.draft(image.mode, (side, side))
    image.load()
    small, square = _smaller(image, side)
    square *= round(max(whole) / max(image.size))  # what the decoder has averaged
    if orientation > 1 and image.format != "TIFF":  # Pillow turns a TIFF while loading it
        small = small.transpose(_TURN[orientation])
    crop = _middle(whole[1], whole[0], height, width)
    array = _channels(_scaled(small, crop, square, height, width), channels)
    kinds |= TURNED if orientation > 1 else 0
    kinds |= SCALED if whole != (width, height) else 0
    kinds |= CUT if 2 * crop.height * crop.width < whole[0] * whole[1] else 0
    kinds |= GREY if channels == 3 and small.mode in ("L", "LA") else 0
    kinds |= GREYED if channels == 1 and small.mode in ("RGB", "RGBA") else 0
    kinds |= CONSTANT if (array == array[0, 0]).all() else 0
    return Seen(array, crop, (whole[1], whole[0]), kinds)


def _scaled(small: Image.Image, crop: Crop, square: int, height: int, width: int) -> Image.Image:
    """The crop, in pixels of the original, of a picture whose pixel is the mean of a square of them."""
    box = (crop.left, crop.top, crop.left + crop.width, crop.top + crop.height)
    if small.size == (width, height) and box == (0, 0, width, height):
        return small
    left, top, right, bottom = (edge / square for edge in box)
    box = (left, top, min(right, small.width), min(bottom, small.height))
    return small.resize((width, height), Image.Resampling.BICUBIC, box)


def _upright(image: Image.Image) -> tuple[int, int]:
    """Width and height after turning."""
    turned = image.format != "TIFF" and _orientation(image) >= 5  # Pillow gives the size of a TIFF so
    return (image.height, image.width) if turned else image.size


def _orientation(image: Image.Image) -> int:
    """1 to 8 as EXIF counts them; 1 is upright, and from 5 on the sides are exchanged."""
    try:
        found = image.getexif().get(0x0112, 1)
    except Exception:  # as hostile as the picture, but not needed to read it
        return 1
    return found if found in _TURN else 1


def _kinds_of(image: Image.Image, name: str) -> int:
    mode = image.mode
    kinds = FRAMES if getattr(image, "is_animated", False) else 0
    kinds |= CMYK if mode == "CMYK" else 0
    kinds |= PALETTE if mode in ("P", "PA") else 0
    kinds |= BILEVEL if mode == "1" else 0
    kinds |= ALPHA if image.has_transparency_data and mode[0] != "I" else 0
    kinds |= WIDE if mode.startswith("I") or any(";16" in str(tile) for tile in getattr(image, "tile", ())) else 0
    said = SUFFIXES.get(os.path.splitext(name)[1].lower())
    return kinds | (MISNAMED if said and said != (image.format if image.format != "MPO" else "JPEG") else 0)


def _middle(height: int, width: int, to_height: int, to_width: int) -> Crop:
    """The largest part of the wanted proportions, in the middle."""
    if height * to_width > width * to_height:
        kept = width * to_height / to_width
        return Crop((height - kept) / 2, 0, kept, width)
    kept = height * to_width / to_height
    return Crop(0, (width - kept) / 2, height, kept)


def _smaller(image: Image.Image, side: int) -> tuple[Image.Image, int]:
    """As L, LA, RGB or RGBA with 8 bits a number, averaged over squares while no side falls below `side`; their side.

    A strip after the other, so that a picture of the largest size is in memory once and not three times.
    """
    if image.mode not in _READ or (image.mode == "I" and image.format != "PPM"):
        raise ValueError(f"its numbers are of kind {image.mode}, whose white is not known")
    square = max(min(image.size) // side, 1)
    if square == 1:
        return _plain(image), 1
    rows = max(1, STRIP // (image.width * square))  # of squares
    strips = [(0, top, image.width, min(top + rows * square, image.height))
              for top in range(0, image.height, rows * square)]  # fmt: skip
    pieces = [_plain(image.crop(strip)).reduce(square) for strip in strips]
    made = Image.new(pieces[0].mode, (pieces[0].width, sum(piece.height for piece in pieces)))
    for number, piece in enumerate(pieces):
        made.paste(piece, (0, number * rows))
    return made, square


def _plain(image: Image.Image) -> Image.Image:
    mode = image.mode
    if mode.startswith("I"):
        return Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8))
    clear = image.has_transparency_data
    wanted = ("LA" if clear else "L") if mode in _GREY else ("RGBA" if clear else "RGB")
    return image if mode == wanted else image.convert(wanted)


def _channels(image: Image.Image, channels: int) -> npt.NDArray[np.uint8]:
    """(height, width, channels), transparency over white."""
    if image.mode in ("LA", "RGBA"):
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    image = image.convert("L" if channels == 1 else "RGB")
    array = np.array(image, dtype=np.uint8)
    return array[:, :, None] if channels == 1 else array
