"""Masks beside the pictures of parts are passed over and counted; a class of that name is a class."""

from pathlib import Path

import numpy as np
from PIL import Image

from regard.data.open import open_source
from regard.data.pictures import PictureSource


def drawn(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (9, 9, 3), np.uint8)).save(path)


def opened(root: Path) -> PictureSource:
    source = open_source([str(root)])
    assert isinstance(source, PictureSource)
    return source


def test_masks_beside_parts_are_no_class_and_no_part(tmp_path: Path) -> None:
    for k, part in enumerate(["train", "val", "train", "val"]):
        for kind in ("cat", "dog"):
            drawn(tmp_path / part / kind / f"{k}.png", 10 * k + len(kind) + ord(kind[0]))
        drawn(tmp_path / "masks" / part / f"{k}.png", 90 + k)
    source = opened(tmp_path)
    assert (source.classes, source.count) == (("cat", "dog"), 8)
    assert [(one.what, one.count) for one in source.notices] == [("mask(s) passed over", 4)]
    decoded = source.decode(tmp_path / "run", 9, 9)
    expected = np.asarray(Image.open(tmp_path / "train" / "cat" / "0.png"))
    assert np.array_equal(decoded.pictures[0], expected)


def test_where_there_are_no_parts_masks_is_a_class(tmp_path: Path) -> None:
    for k in range(4):
        drawn(tmp_path / "masks" / f"{k}.png", k)
        drawn(tmp_path / "faces" / f"{k}.png", 50 + k)
    assert opened(tmp_path).classes == ("faces", "masks")
