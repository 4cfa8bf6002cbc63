"""Pictures, folders and archives that tests make themselves."""

import io
import json
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from regard.data.open import open_source
from regard.data.pictures import PictureSource
from regard.errors import RegardError

Pixels = npt.NDArray[np.uint8]

MEASURE = """
import json, sys, time
from pathlib import Path
import numpy, PIL.Image
from regard.data.open import open_source
from regard.errors import RegardError

for module in ("Png", "Jpeg", "Gif", "Bmp", "WebP", "Tiff", "Ppm"):
    __import__(f"PIL.{module}ImagePlugin")

def peak():
    return 1024 * int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])

began, before = time.process_time(), peak()

def report(**said):
    print(json.dumps({**said, "memory": peak() - before, "seconds": time.process_time() - began}))
"""


def noise(seed: int, height: int = 8, width: int = 8, channels: int = 3) -> Pixels:
    """(height, width, channels) of random pixels: no two seeds give pictures that are alike."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def scene(seed: int, side: int = 48) -> Pixels:
    """(side, side, 3) smooth as photographs are: a few soft spots."""
    rng = np.random.default_rng(seed)
    at = np.linspace(-1, 1, side)
    found = np.zeros((side, side, 3))
    for x, y, size in rng.uniform((-1, -1, 0.1), (1, 1, 0.6), (6, 3)):
        spot = np.exp(-((at[:, None] - y) ** 2 + (at[None, :] - x) ** 2) / size**2)
        found += spot[:, :, None] * rng.uniform(-160, 160, 3)
    return (found + 128).clip(0, 255).astype(np.uint8)


def image(pixels: Pixels) -> Image.Image:
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)


def saved(picture: Pixels | Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """A picture's file."""
    buffer = io.BytesIO()
    (picture if isinstance(picture, Image.Image) else image(picture)).save(buffer, kind, **options)
    return buffer.getvalue()


def png(seed: int, height: int = 8, width: int = 8, channels: int = 3) -> bytes:
    return saved(noise(seed, height, width, channels))


def write(root: Path, tree: Mapping[str, bytes]) -> Path:
    """The folder with these files; a name that ends in / is an empty folder."""
    for name, content in tree.items():
        path = root / name
        if name.endswith("/"):
            path.mkdir(parents=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return root


def classes(counts: Mapping[str, int], seed: int = 0) -> dict[str, bytes]:
    """CLASS/NUMBER.png, all different."""
    tree = dict[str, bytes]()
    for name, count in counts.items():
        for number in range(count):
            tree[f"{name}/{number:04}.png"] = png(seed + len(tree))
    return tree


def tarred(tree: Mapping[str, bytes], mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in tree.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def zipped(tree: Mapping[str, bytes], packing: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", packing) as archive:
        for name, content in tree.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def opened(*paths: Path | str, **options: Any) -> PictureSource:
    source = open_source([str(path) for path in paths], **options)
    assert isinstance(source, PictureSource)
    return source


def refusal(*paths: Path | str, **options: Any) -> str:
    """The sentence with which the paths are refused, when they are opened or when they are decoded."""
    with pytest.raises(RegardError) as caught:
        opened(*paths, **options).decode(Path(paths[0]).parent / "refused", 8, 8)
    return str(caught.value)


def said(notices: Any) -> list[str]:
    return [str(notice) for notice in notices]


def measured(code: str, *arguments: object) -> Any:
    """What the code reports from a process of its own, with the bytes of memory that it took at most."""
    command = [sys.executable, "-c", MEASURE + code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
