"""A folder of scenes in layouts that many programs read: class folders, one line of JSON a picture, masks beside.

    FOLDER/train/star/000004.png    the picture of scene 4, whose label is star; val/ and test/ alike
    FOLDER/train/metadata.jsonl     one line a picture: file_name (star/000004.png), label, mask, captions, questions,
                                    objects
    FOLDER/masks/train/000004.png   its masks: a pixel holds 0, or k where the k-th of its objects is seen

The last tenth of the scenes is test, the tenth before it val, the others train; a part without scenes is not written.
Numbers of a line are those of the fields of `Object` and its `Figure`, in pixels; rows come before columns.
"""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from regard.data.scene_things import Object, Scene
from regard.errors import RegardError
from regard.files import write_folder

PALETTE = (0, 0, 0, 230, 159, 0, 86, 180, 233, 0, 158, 115, 240, 228, 66, 0, 114, 178, 213, 94, 0)
"""How viewers show a mask: black, then the colours of Okabe and Ito 2008 for up to six objects."""


def write(folder: str | Path, count: int, scene: Callable[[int], Scene]) -> str:
    """Writes scenes 0 to count - 1, all or none; says what was written.

    Raises RegardError if there are to be none, if the folder is there and not empty, or if the disk refuses.
    """
    folder = Path(folder)
    if count < 1:
        raise RegardError("--count", f"{count} scenes are none", "give 1 or more")
    if folder.is_dir() and any(folder.iterdir()):
        raise RegardError(str(folder), "this folder is not empty", "choose another name, or empty it")
    labels = Counter[str]()
    parts = _parts(count)

    def fill(staging: Path) -> None:
        for part, indices in parts.items():
            labels.update(_write_part(staging, part, indices, scene))

    write_folder(folder, fill, overwrite=folder.is_dir())
    said = ", ".join(f"{len(indices):,} {part}" for part, indices in parts.items())
    return f"{folder}: {count:,} scenes ({said}); {', '.join(f'{n:,} {label}' for label, n in sorted(labels.items()))}"


def _parts(count: int) -> dict[str, range]:
    tenth = count // 10
    parts = {
        "train": range(count - 2 * tenth),
        "val": range(count - 2 * tenth, count - tenth),
        "test": range(count - tenth, count),
    }
    return {part: indices for part, indices in parts.items() if indices}


def _write_part(staging: Path, part: str, indices: range, scene: Callable[[int], Scene]) -> list[str]:
    """Writes the pictures, masks and lines of a part; returns the labels."""
    labels, lines = list[str](), list[str]()
    (staging / "masks" / part).mkdir(parents=True)
    for index in indices:
        made = scene(index)
        name, mask = f"{made.label}/{index:06d}.png", f"masks/{part}/{index:06d}.png"
        (staging / part / made.label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(made.picture).save(staging / part / name)
        _as_picture(made).save(staging / mask)
        lines.append(json.dumps(_row(made, name, mask), ensure_ascii=False) + "\n")
        labels.append(made.label)
    (staging / part / "metadata.jsonl").write_text("".join(lines), encoding="utf-8")
    return labels


def _as_picture(scene: Scene) -> Image.Image:
    """0 for the background, k for the k-th object."""
    numbers = np.arange(1, len(scene.masks) + 1, dtype=np.uint8)
    picture = Image.fromarray((scene.masks * numbers[:, None, None]).sum(axis=0, dtype=np.uint8))
    picture.putpalette(PALETTE)
    return picture


def _row(scene: Scene, name: str, mask: str) -> dict[str, Any]:
    return {
        "file_name": name,
        "label": scene.label,
        "mask": mask,
        "captions": scene.captions,
        "questions": [{"kind": q.kind, "question": q.text, "answer": q.answer} for q in scene.questions],
        "objects": [_object(o) for o in scene.objects],
    }


def _object(o: Object) -> dict[str, Any]:
    return {
        "shape": o.shape,
        "colour": o.colour,
        "texture": o.texture,
        "size": round(o.figure.size, 3),
        "angle": round(o.figure.angle, 3),
        "position": [round(n, 3) for n in o.figure.position],
        "centre": [round(n, 3) for n in o.centre],
        "box": o.box,
        "area": o.area,
        "visible": round(o.visible, 4),
    }
