"""A thousand picture files with wrong bytes, each refused by one sentence or read at the size that was asked for."""

import io
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from regard.data import picture_cache, picture_open
from regard.data.picture_decode import decode_one, examine
from regard.errors import LONGEST, RegardError

from .drawn import classes, measured, opened, saved, scene, write

KINDS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
COUNT = 1001


def whole() -> dict[str, list[bytes]]:
    """Small pictures of each format, in several of its ways to store them."""
    pixels = scene(5, 20)
    grey, palette = Image.fromarray(pixels).convert("L"), Image.fromarray(pixels).quantize(16)
    clear = Image.fromarray(np.dstack([pixels, pixels[:, :, 0]]), "RGBA")
    exif = Image.Exif()
    exif[0x0112] = 6
    return {
        "PNG": [saved(pixels), saved(palette), saved(clear), saved(grey, exif=exif), saved(grey.convert("1"))],
        "JPEG": [saved(pixels, "JPEG", exif=exif), saved(grey, "JPEG"), saved(pixels, "JPEG", progressive=True),
                 saved(Image.fromarray(pixels).convert("CMYK"), "JPEG")],
        "GIF": [saved(palette, "GIF"), saved(palette, "GIF", save_all=True, append_images=[palette.rotate(90)])],
        "BMP": [saved(pixels, "BMP"), saved(palette, "BMP"), saved(grey, "BMP")],
        "WEBP": [saved(pixels, "WEBP"), saved(clear, "WEBP", lossless=True, exif=exif)],
        "TIFF": [saved(pixels, "TIFF"), saved(grey, "TIFF", compression="tiff_lzw"), saved(pixels, "TIFF", exif=exif),
                 saved(pixels, "TIFF", compression="jpeg"), saved(grey.convert("1"), "TIFF", compression="group4"),
                 saved(pixels, "TIFF", compression="tiff_adobe_deflate")],
        "PPM": [saved(pixels, "PPM"), saved(grey, "PPM"), b"P3 2 2 255\n1 2 3 4 5 6 7 8 9 10 11 12\n"],
    }  # fmt: skip


def changed(content: bytes, rng: random.Random) -> bytes:
    """With flipped bits, cut, with numbers of the header made absurd, or with a piece doubled or gone."""
    raw, way = bytearray(content), rng.randrange(6)
    if way == 0:
        return content[: rng.randrange(len(content))]
    if way in (1, 2):
        for _ in range(rng.choice((1, 1, 2, 8))):
            raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
    elif way == 3:
        for _ in range(rng.choice((1, 2, 4))):
            place = rng.randrange(min(64, len(raw) - 4))
            raw[place : place + 4] = rng.choice(
                (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\0\0\xff\xff")
            )
    else:
        place, length = rng.randrange(len(raw)), rng.randrange(1, 64)
        piece = raw[place : place + length]
        raw[place : place + length] = piece * 2 if way == 4 else b""
    return bytes(raw)


def hostile(seed: int = 0) -> Iterator[tuple[str, bytes]]:
    rng, files = random.Random(seed), whole()
    for number in range(COUNT):
        kind = KINDS[number % len(KINDS)]
        yield f"{number}.{kind.lower()}", changed(rng.choice(files[kind]), rng)


def test_P01_P02_P03_a_thousand_changed_pictures_are_read_or_refused() -> None:
    read, refused = 0, list[tuple[str, str]]()
    for name, content in hostile():
        try:
            header = examine(content, name)
            seen = decode_one(content, 12, 16, 3)
        except RegardError as error:
            refused.append((name, str(error)))
        else:
            read += 1
            assert (seen.pixels.shape, seen.pixels.dtype) == ((12, 16, 3), np.uint8)
            assert seen.size == (header.height, header.width)
            assert 0 < seen.crop.height <= seen.size[0]
            assert 0 < seen.crop.width <= seen.size[1]
    assert 0.1 * COUNT < read < 0.9 * COUNT  # or nothing was tried
    for name, sentence in refused:
        assert len(sentence) <= LONGEST
        assert sentence.startswith((f"{name}: ", "the picture: "))
        assert " object at 0x" not in sentence


def test_P01_every_changed_picture_is_in_the_cache_or_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree, good = classes({"cat": 20, "dog": 20}), 40
    bad = {f"dog/{name}": content for name, content in list(hostile(seed=1))[:300]}
    named = list[str]()

    def none_is_too_many(those: Any, seen: int, shown: str, things: str) -> None:
        named[:] = those

    for module in (picture_cache, picture_open):
        monkeypatch.setattr(module, "too_many", none_is_too_many)
    found = opened(write(tmp_path / "a", tree | bad)).decode(tmp_path / "run", 8, 8)
    assert len(found.labels) + len(named) == good + len(bad)
    assert found.notices[0].count == len(named)
    for one in named:
        assert any(f"/{name} " in one for name in bad), one


def test_P02_changed_pictures_take_bounded_memory(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", dict(hostile(seed=2)))
    code = """
from regard.data.picture_decode import decode_one
read = 0
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        decode_one(path, 32, 32, 3)
        read += 1
    except RegardError:
        pass
report(read=read)
"""
    result = measured(code, folder)
    assert result["read"] > 100
    assert result["memory"] < 300_000_000
    assert result["seconds"] < 30


def test_a_wrong_picture_says_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(saved(scene(1), "JPEG")[:100])
    with pytest.raises(RegardError, match=r"a\.jpg: is a damaged JPEG picture \("):
        decode_one(tmp_path / "a.jpg", 8, 8, 3)
    assert Image.open(io.BytesIO(saved(scene(1), "JPEG"))).size == (48, 48)
