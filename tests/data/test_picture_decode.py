"""One picture to numbers: every format and kind against pixels known beforehand, and what is refused."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile

from regard.data import picture_decode
from regard.data.picture_decode import KINDS, decode_one, examine
from regard.errors import RegardError

from .drawn import Pixels, image, measured, noise, png, saved, scene


def decoded(content: bytes, height: int = 8, width: int = 8, channels: int = 3) -> Pixels:
    return decode_one(content, height, width, channels).pixels


def kinds(content: bytes, height: int = 8, width: int = 8, channels: int = 3) -> set[str]:
    """First words of what was done."""
    bits = decode_one(content, height, width, channels).kinds
    return {kind for bit, kind in enumerate(KINDS) if bits >> bit & 1}


def refused(content: bytes) -> str:
    with pytest.raises(RegardError) as caught:
        decode_one(content, 8, 8, 3)
    return str(caught.value)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(height: int, width: int, depth: int = 1) -> bytes:
    """A small PNG of zeros that promises so many pixels, and keeps the promise."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0))
    packer, row = zlib.compressobj(9), bytes(1 + -(-width * depth // 8))
    data = b"".join(packer.compress(row) for _ in range(min(height, 4000))) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", data) + chunk(b"IEND", b"")


LOSSLESS: dict[str, dict[str, Any]] = {"PNG": {}, "BMP": {}, "PPM": {}, "TIFF": {}, "WEBP": {"lossless": True}}


@pytest.mark.parametrize("kind", LOSSLESS)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_of_the_wanted_size_keeps_every_pixel(kind: str, channels: int) -> None:
    pixels = noise(7, 5, 11, channels)
    content = saved(pixels, kind, **LOSSLESS[kind])
    seen = decode_one(content, 5, 11, channels)
    np.testing.assert_array_equal(seen.pixels, pixels)
    coloured = kind == "WEBP" and channels == 1  # WebP knows no grey
    assert (seen.size, seen.kinds) == ((5, 11), picture_decode.GREYED if coloured else 0)
    assert (seen.crop.top, seen.crop.left, seen.crop.height, seen.crop.width) == (0, 0, 5, 11)


def test_a_file_is_decoded_as_its_bytes_are(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(1))
    np.testing.assert_array_equal(decode_one(path, 8, 8, 3).pixels, noise(1))
    with pytest.raises(RegardError, match="is not there; check the name: the run takes a picture's file"):
        decode_one(tmp_path / "b.png", 8, 8, 3)
    for words in ("what a cat is", "a.png/b", "a\0b", "many words " * 99):
        with pytest.raises(RegardError, match="check the name: the run takes a picture's file") as caught:
            decode_one(tmp_path / words, 8, 8, 3)
        assert len(str(caught.value)) <= 300


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "WEBP", "PPM", "TIFF"])
def test_P01_a_picture_cut_short_is_never_filled_up(kind: str) -> None:
    """Wherever the file ends, it is refused, or it is whole: no format gets away with half of its pixels."""
    content = saved(scene(3, 24), kind)
    whole = decoded(content, 24, 24)
    for end in range(len(content)):
        try:
            np.testing.assert_array_equal(decoded(content[:end], 24, 24), whole)
        except RegardError:
            continue
        assert end > 0.8 * len(content)  # what may be missing is what says nothing of pixels


def test_P01_empty_and_undecodable_files_are_named() -> None:
    assert "is empty" in refused(b"")
    assert "is no picture" in refused(b"some words")
    assert "is a damaged PNG picture" in refused(png(1)[:40])
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


@pytest.mark.parametrize("level", [0, 9])
def test_P01_a_changed_byte_in_a_png_is_noticed(level: int) -> None:
    """Pillow alone gives black, without a word, where a bit of the first one is wrong."""
    content = saved(noise(1, 16, 16), compress_level=level)
    for place in range(8, len(content)):
        changed = bytearray(content)
        changed[place] ^= 4
        assert "is a damaged PNG picture" in refused(bytes(changed)), place


def test_P02_a_decompression_bomb_is_refused_by_its_header() -> None:
    content = bomb(60_000, 60_000)
    assert len(content) < 5000 * 8
    assert "has more than 89,478,485 pixels" in refused(content)
    assert "has more than 89,478,485 pixels" in refused(bomb(10_000, 10_000))  # where Pillow alone only warns
    assert Image.MAX_IMAGE_PIXELS == picture_decode.MOST_PIXELS


def test_P02_a_bomb_takes_no_memory(tmp_path: Path) -> None:
    code = """
from regard.data.picture_decode import decode_one
for path in sys.argv[1:]:
    try:
        decode_one(path, 32, 32, 3)
    except RegardError as error:
        assert "pixels" in str(error) or "damaged" in str(error), error
report()
"""
    webp = bytearray(saved(noise(1), "WEBP", lossless=True))
    webp[21:25] = (0x3FFF | 0x3FFF << 14).to_bytes(4, "little")  # width and height less one, 14 bits each
    contents = [
        bomb(60_000, 60_000),
        bytes(webp),
        saved(noise(1), "GIF").replace(b"\x08\0\x08\0", b"\xff\xff\xff\xff"),
        b"P6\n100000 100000\n255\n\xff",
        b"BM" + bytes(12) + struct.pack("<IiiHHI", 40, 50_000, 50_000, 1, 24, 0),
    ]
    paths = [tmp_path / str(number) for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    assert measured(code, *paths)["memory"] < 300_000_000


def test_P02_the_largest_picture_that_is_read_is_in_memory_once(tmp_path: Path) -> None:
    """Pillow takes four bytes a coloured pixel; averaging, turning and transparency take strips of it."""
    Image.new("RGBA", (7000, 7000), (200, 100, 50, 128)).save(tmp_path / "a.png")
    code = """
from regard.data.picture_decode import decode_one
seen = decode_one(sys.argv[1], 32, 32, 3)
report(pixel=seen.pixels[9, 9].tolist())
"""
    result = measured(code, tmp_path / "a.png")
    assert result["memory"] < 1.4 * 4 * 7000 * 7000
    np.testing.assert_allclose(result["pixel"], [227, 177, 152], atol=2)


OTHERS = {
    "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/tmp/x) (w) file\n",
    "PSD": b"8BPS\0\1" + bytes(20), "PDF": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "HEIC": b"\0\0\0\x18ftypheic" + bytes(20),
    "AVIF": b"\0\0\0\x18ftypavif" + bytes(20), "FITS": b"SIMPLE  =                    T",
    "ICO": b"\0\0\1\0\1\0" + bytes(20),
    "SVG": b"<?xml version='1.0'?>\n<!-- a -->\n<svg xmlns='http://www.w3.org/2000/svg'/>", "DDS": b"DDS |" + bytes(20),
    "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(9), "JPEG XL": b"\xff\x0a" + bytes(9),
}  # fmt: skip


@pytest.mark.parametrize("kind", OTHERS)
def test_P03_other_formats_are_refused_by_content(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subprocess.Popen", None)  # Ghostscript would be started by it
    monkeypatch.setattr("os.system", None)
    (tmp_path / "a.png").write_bytes(OTHERS[kind])
    with pytest.raises(RegardError, match=f"a.png: is {kind}, which is not read; give PNG, JPEG"):
        decode_one(tmp_path / "a.png", 8, 8, 3)


def test_P03_the_name_decides_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(saved(scene(1), "JPEG"))
    seen = decode_one(tmp_path / "a.png", 48, 48, 3)
    assert seen.kinds == picture_decode.MISNAMED
    np.testing.assert_array_equal(seen.pixels, decoded(saved(scene(1), "JPEG"), 48, 48))


def test_P04_of_an_animation_the_first_frame_is_read() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    for kind in ("GIF", "WEBP", "TIFF", "PNG"):
        options = {"lossless": True} if kind == "WEBP" else {}
        content = saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        assert (decoded(content) == [255, 0, 0]).all(), kind
        assert KINDS[0] in kinds(content), kind


def test_P04_transparency_is_put_over_white() -> None:
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[:4] = [200, 0, 100, 255]
    pixels[4:6] = [200, 0, 100, 51]  # a fifth: the rest is white
    found = decoded(saved(Image.fromarray(pixels, "RGBA")))
    assert (found[:4] == [200, 0, 100]).all()
    np.testing.assert_allclose(found[4:6], np.full((2, 8, 3), [244, 204, 224]), atol=1)
    assert (found[6:] == 255).all()
    grey = Image.merge("LA", [Image.new("L", (8, 8), 100), Image.new("L", (8, 8), 51)])
    np.testing.assert_allclose(decoded(saved(grey), channels=1), 224, atol=1)
    key = saved(Image.fromarray(np.full((8, 8, 3), [9, 8, 7], np.uint8)), transparency=(9, 8, 7))
    assert (decoded(key) == 255).all()
    for content in (saved(Image.fromarray(pixels, "RGBA")), saved(grey), key):
        assert "picture(s) with transparency put over white" in kinds(content)


def test_P04_a_transparent_picture_is_put_over_white_before_it_is_scaled() -> None:
    """Colours that nobody sees do not shine through at the edges."""
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[:, ::2] = [255, 255, 255, 255]
    pixels[:, 1::2] = [0, 255, 0, 0]
    assert (decoded(saved(Image.fromarray(pixels, "RGBA"))) > 250).all()


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_P04_of_16_bits_the_upper_8_are_kept(kind: str) -> None:
    wide = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1040
    content = saved(Image.fromarray(wide), kind)
    np.testing.assert_array_equal(decoded(content, channels=1)[:, :, 0], wide >> 8)
    assert kinds(content, channels=1) == {"picture(s) of 16 bits a number, the upper 8 kept"}


def test_P04_cmyk_palettes_and_bilevel_become_colours() -> None:
    cmyk = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    assert (decoded(saved(cmyk, "TIFF")) == [255, 0, 0]).all()
    assert KINDS[1] in kinds(saved(cmyk, "TIFF"))
    palette = Image.new("P", (8, 8), 3)
    palette.putpalette([*range(9), 20, 40, 60, *([0] * 60)])
    assert (decoded(saved(palette)) == [20, 40, 60]).all()
    assert KINDS[2] in kinds(saved(palette))
    bits = Image.fromarray(np.eye(8, dtype=bool))
    for kind in ("PNG", "TIFF", "BMP", "PPM"):
        np.testing.assert_array_equal(decoded(saved(bits, kind), channels=1)[:, :, 0], 255 * np.eye(8))
        assert KINDS[5] in kinds(saved(bits, kind), channels=1)


def test_P04_numbers_whose_white_is_unknown_are_refused() -> None:
    for mode in ("F", "I"):
        assert "whose white is not known" in refused(saved(Image.new(mode, (8, 8), 100), "TIFF"))


TURNS = {
    1: lambda x: x, 2: lambda x: x[:, ::-1], 3: lambda x: x[::-1, ::-1], 4: lambda x: x[::-1],
    5: lambda x: x.transpose(1, 0, 2), 6: lambda x: np.rot90(x, -1), 7: lambda x: np.rot90(x, 2).transpose(1, 0, 2),
    8: lambda x: np.rot90(x),
}  # fmt: skip
"""EXIF orientation: how the stored rows and columns become the upright picture."""


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG"])
@pytest.mark.parametrize("orientation", TURNS)
def test_P04_pictures_are_turned_as_exif_says(kind: str, orientation: int) -> None:
    pixels = np.repeat(np.repeat(noise(5, 2, 3), 16, 0), 16, 1)  # (32, 48, 3): six flat squares
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
    content = saved(pixels, kind, exif=exif, **options)
    upright = TURNS[orientation](pixels)
    seen = decode_one(content, *upright.shape)
    assert seen.size == upright.shape[:2]
    np.testing.assert_allclose(seen.pixels.astype(int), upright, atol=4 if kind == "JPEG" else 0)
    assert bool(seen.kinds & picture_decode.TURNED) == (orientation > 1)
    header = examine(content, "a")
    assert (header.height, header.width, header.channels) == upright.shape


def test_P04_metadata_that_cannot_be_read_do_no_harm() -> None:
    content = saved(noise(1), exif=b"Exif\0\0" + b"II*\0" + b"\xff" * 40)
    np.testing.assert_array_equal(decoded(content), noise(1))


def averaged(pixels: Pixels, times: int) -> np.ndarray:
    height, width, channels = pixels.shape
    return pixels.reshape(height // times, times, width // times, times, channels).mean(axis=(1, 3))


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("times", [2, 8, 32])
def test_P05_what_is_made_smaller_is_averaged(kind: str, times: int) -> None:
    """No pixel is left out: a smooth picture becomes its means, however many times smaller."""
    pixels = scene(2, 16 * times)
    options = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
    found = decoded(saved(pixels, kind, **options), 16, 16)
    np.testing.assert_allclose(found[1:-1, 1:-1], averaged(pixels, times)[1:-1, 1:-1], atol=6)


def test_P05_fine_stripes_become_grey_and_not_stripes() -> None:
    pixels = np.zeros((256, 256, 1), np.uint8)
    pixels[:, ::2] = 255
    for side in (256, 100):
        content = saved(pixels[:side])
        found = decode_one(content, 16, 16, 1).pixels[:, 2:-2]
        assert abs(found.astype(int) - 127).max() < 25, side


@pytest.mark.parametrize(
    ("height", "width"), [(40, 100), (100, 40), (300, 31), (8, 8), (1, 20_000), (20_000, 1), (1, 1)]
)
def test_P05_the_shorter_side_fits_and_the_middle_of_the_longer_is_kept(height: int, width: int) -> None:
    """Each column's colour says where it is, so that what is kept can be read off."""
    ramp = np.linspace(0, 255, max(height, width))
    lines = np.broadcast_to(ramp[None, :] if width >= height else ramp[:, None], (height, width))
    seen = decode_one(saved(lines.astype(np.uint8)[:, :, None]), 16, 16, 1)
    side = min(height, width)
    assert seen.size == (height, width)
    assert (seen.crop.height, seen.crop.width) == (side, side)
    assert (seen.crop.top, seen.crop.left) == ((height - side) / 2, (width - side) / 2)
    start = (max(height, width) - side) / 2
    centres = start + (np.arange(16) + 0.5) * side / 16
    expected = np.interp(centres - 0.5, np.arange(max(height, width)), ramp)
    found = seen.pixels[8, :, 0] if width >= height else seen.pixels[:, 8, 0]
    np.testing.assert_allclose(found, expected, atol=4)


@pytest.mark.parametrize(("height", "width", "kept"), [(100, 100, (12.5, 0, 75, 100)), (30, 80, (0, 20, 30, 40))])
def test_P05_the_part_that_is_kept_has_the_wanted_proportions(
    height: int, width: int, kept: tuple[float, float, float, float]
) -> None:
    crop = decode_one(png(1, height, width), 24, 32, 3).crop
    assert (crop.top, crop.left, crop.height, crop.width) == kept


def test_P05_what_was_done_is_counted() -> None:
    assert kinds(png(1, 8, 20)) == {KINDS[10], KINDS[12]}  # less than half is kept; scaled
    assert kinds(png(1, 8, 12)) == {KINDS[12]}
    assert kinds(png(1, channels=1)) == {KINDS[8]}  # grey among coloured ones
    np.testing.assert_array_equal(decoded(png(1, channels=1)), np.repeat(noise(1, channels=1), 3, axis=2))
    assert kinds(png(1), channels=1) == {KINDS[9]}  # coloured among grey ones
    black = np.zeros((8, 8, 3), np.uint8)
    assert kinds(saved(black)) == {KINDS[11]}
    assert kinds(saved(noise(1, 1, 1))) == {KINDS[11], KINDS[12]}
    assert image(black).size == (8, 8)
