"""What is learnt from pictures without labels: scenes, the class token's attention against the masks, and neighbours.

python benchmarks/distillation.py [--minutes 10] [--steps N] [--count 8000] [--scored 400] [--seeds 1]
The same network, of the size that the plan of `--task distillation` chose, learns without labels, learns with them
(`--pooling class`), and learns nothing. On scenes that none has seen: Jaccard's index of the best head's segment (60 %
of the last layer's attention of the class token) with all objects together, with each object, and with the object that
is outlined best; and the part of the labels, one of eight, that the 20 nearest training pictures tell. Limits: Jaccard
with all objects 1.5 times the untrained network's and above that of the one with labels; neighbours 10 points above the
untrained network's and the pixels'.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from common import report

import regard
from regard.data.picture_cache import open_decoded
from regard.data.scene_things import Scene
from regard.data.scenes import scene
from regard.looking.segments import agreement, class_attention, mean_agreement, segments
from regard.model.transformer import Transformer, initialise
from regard.picture_run import PictureRun
from regard.tasks.distillation import pixels
from regard.tasks.neighbours import nearest_class
from regard.tasks.pictures import Chopper, PictureExamples

SEED = 1
"""Of the scenes."""
SIZES = ("width", "layers", "heads", "key_value_heads", "head_width", "feed_forward", "patch", "registers")
TOGETHER = 200


def trained(folder: Path, name: str, time_given: list[str], seed: int, *options: str) -> tuple[PictureRun, float]:
    """The run of one command, and the seconds that it took."""
    out = folder.parent / f"{name}-{seed}"
    command = [sys.executable, "-m", "regard", "train", str(folder), "--out", str(out), *time_given, *options]
    began = time.monotonic()
    subprocess.run([*command, "--seed", str(seed), "--json"], check=True, stdout=subprocess.DEVNULL)
    run = regard.load(out)
    assert isinstance(run, PictureRun)
    return run, time.monotonic() - began


def scored(model: Transformer, chopper: Chopper, known: PictureExamples, unseen: list[Scene]) -> dict[str, float]:
    """Attention against masks, and what neighbours tell, of one network."""
    found, features = list[dict[str, float]](), list[torch.Tensor]()
    for start in range(0, len(unseen), TOGETHER):
        some = unseen[start : start + TOGETHER]
        tokens = chopper(np.stack([one.picture for one in some]))
        heads = segments(class_attention(model, tokens), chopper.grid)
        found += [agreement(outlined, one.masks) for outlined, one in zip(heads, some, strict=True)]
        features.append(seen(model, chopper, tokens))
    bank = [seen(model, chopper, known.plain(at, at + TOGETHER, torch.device("cpu"))[0])
            for at in range(0, len(known), TOGETHER)]  # fmt: skip
    truth = np.array([known_class(one) for one in unseen])
    said = nearest_class(torch.cat(bank), known.truth, torch.cat(features), len(CLASSES))
    return {**{f"jaccard {name}": value for name, value in mean_agreement(found).items()},
            "knn": float((said == truth).mean())}  # fmt: skip


CLASSES = ["circle", "cross", "heart", "moon", "ring", "square", "star", "triangle"]


def known_class(one: Scene) -> int:
    return CLASSES.index(one.label)


@torch.inference_mode()
def seen(model: Transformer, chopper: Chopper, tokens: Any) -> torch.Tensor:
    """(count, width): the features of whole pictures."""
    return chopper.pool(model.output.norm(model.stream(tokens)), tokens)


def of_seed(folder: Path, unseen: list[Scene], time_given: list[str], seed: int) -> list[dict[str, Any]]:
    distilled, took = trained(folder, "distilled", time_given, seed, "--task", "distillation")
    assert distilled.config is not None
    plan = distilled.config["settings"]
    sizes = [word for name in SIZES for word in (f"--{name.replace('_', '-')}", str(plan[name]))]
    labelled, also_took = trained(folder, "labelled", time_given, seed, "--pooling", "class", *sizes)
    untrained = Transformer(distilled.model.config).eval()
    initialise(untrained, seed)
    decoded, chopper = open_decoded(distilled.path), distilled.chopper
    assert decoded is not None
    assert list(decoded.classes) == CLASSES
    known = PictureExamples(decoded.pictures, decoded.labels.astype(np.int64), decoded.rows("train"), chopper)
    rows = []
    for name, model, seconds, run in (("without labels", distilled.model, took, distilled),
                                      ("with labels", labelled.model, also_took, labelled),
                                      ("untrained", untrained, 0.0, None)):  # fmt: skip
        steps = 0 if run is None else run.info()["step"]
        size = f"{plan['width']} x {plan['layers']}, {plan['heads']} heads"
        rows.append({"network": f"{name}, seed {seed}", **scored(model, chopper, known, unseen), "steps": steps,
                     "seconds": seconds, "size": size})  # fmt: skip
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    pictures = np.stack([one.picture for one in unseen])
    asked = PictureExamples(pictures, np.array([known_class(one) for one in unseen]), np.arange(len(unseen)), chopper)
    said = nearest_class(pixels(known), known.truth, pixels(asked), len(CLASSES))
    rows.append({"network": "pixels", "knn": float((said == asked.truth).mean())})
    return rows


def verdict(rows: list[dict[str, Any]]) -> dict[str, bool]:
    """Whether the limits are kept, for each seed's rows."""
    kept = {"jaccard 1.5 x untrained": True, "jaccard above with labels": True, "knn 10 points above both": True}
    for at in range(0, len(rows), 4):
        without, labelled, untrained, raw = rows[at : at + 4]
        kept["jaccard 1.5 x untrained"] &= without["jaccard union"] >= 1.5 * untrained["jaccard union"]
        kept["jaccard above with labels"] &= without["jaccard union"] > labelled["jaccard union"]
        kept["knn 10 points above both"] &= without["knn"] >= 0.1 + max(untrained["knn"], raw["knn"])
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--count", type=int, default=8000)
    parser.add_argument("--scored", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=1)
    given = parser.parse_args()
    time_given = ["--steps", str(given.steps)] if given.steps else ["--minutes", str(given.minutes)]
    unseen = [scene(SEED, index) for index in range(given.count - min(given.scored, given.count // 10), given.count)]
    rows = list[dict[str, Any]]()
    with TemporaryDirectory() as folder:
        shapes = Path(folder) / "shapes"
        subprocess.run([sys.executable, "-m", "regard.data.scenes", str(shapes), "--count", str(given.count), "--seed",
                        str(SEED)], check=True, stdout=subprocess.DEVNULL)  # fmt: skip
        for seed in range(given.seeds):
            rows += of_seed(shapes, unseen, time_given, seed)
    kept = verdict(rows)
    report("distillation", rows, scenes=given.count, scored=len(unseen), given=" ".join(time_given), limits=kept)
    print("\n".join(f"{name}: {'kept' if holds else 'NOT kept'}" for name, holds in kept.items()))


if __name__ == "__main__":
    main()
