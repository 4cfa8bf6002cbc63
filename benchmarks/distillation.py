"""What is learnt from pictures without labels: where the class token looks, what neighbours tell, and no collapse.

python benchmarks/distillation.py [--only scenes cifar collapse] [--minutes N] [--steps N] [--seeds N]
    [--count 8000] [--scored 400] [--data FOLDER]
scenes: 10 minutes, one seed. The same network, of the size that the plan of `--task distillation` chose, learns without
labels, learns with them (`--pooling class`), and learns nothing. On scenes that none has seen: Jaccard's index of the
best head's segment (60 % of the last layer's attention of the class token) with all objects together, with each object,
and with the object that is outlined best; and the part of the labels, one of eight, that the 20 nearest training
pictures tell (knn); likewise of the largest object's colour and texture, and of how many objects there are. Limits:
Jaccard with all objects 1.5 times the untrained network's and above that of the one with labels; neighbours 10 points
above the untrained network's and the pixels'.
cifar: the JPEG copy of CIFAR-10 in the data's folder, 30 minutes: neighbours of the test pictures among 20,000 of the
training ones; 10 points above the untrained network's and the pixels'.
collapse: 3,000 scenes, 2 minutes, 10 seeds: each training ends well, its pictures half a nat or more apart.
"""

import argparse
import json
import os
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
from regard.data.scene_paint import COLOURS, TEXTURES
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
APART = 0.5
"""Nats between the teacher's answers to pictures, of the 2 or more of a sound one."""
FIGURES = ("entropy", "between", "prototypes_used")
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


def scored(
    model: Transformer, chopper: Chopper, known: PictureExamples, facts: dict[str, np.ndarray], unseen: list[Scene]
) -> dict[str, float]:
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
    return {**{f"jaccard {name}": value for name, value in mean_agreement(found).items()},
            **told_by_neighbours(torch.cat(bank), facts, torch.cat(features), unseen)}  # fmt: skip


CLASSES = ["circle", "cross", "heart", "moon", "ring", "square", "star", "triangle"]
ASKED = {"knn": CLASSES, "knn colour": list(COLOURS), "knn texture": list(TEXTURES), "knn count": list("123456")}
"""What neighbours are asked for: the label, which is the largest object's shape; its colour; its texture; how many."""


def told_by_neighbours(
    bank: torch.Tensor, facts: dict[str, np.ndarray], features: torch.Tensor, unseen: list[Scene]
) -> dict[str, float]:
    """facts: of the bank's pictures, by the names of ASKED."""
    truth = numbered([named(one) for one in unseen])
    return {name: float((nearest_class(bank, facts[name], features, len(kinds)) == truth[name]).mean())
            for name, kinds in ASKED.items()}  # fmt: skip


def named(one: Scene) -> tuple[str, ...]:
    """In the order of ASKED."""
    largest = max(one.objects, key=lambda each: each.area)
    return one.label, largest.colour, largest.texture, str(len(one.objects))


def numbered(found: list[tuple[str, ...]]) -> dict[str, np.ndarray]:
    return {name: np.array([kinds.index(one[k]) for one in found]) for k, (name, kinds) in enumerate(ASKED.items())}


def facts_of(folder: Path, names: list[str]) -> dict[str, np.ndarray]:
    """Of the training pictures of these names, as the folder's own lines have it."""
    known = dict[str, tuple[str, ...]]()
    for line in (folder / "train" / "metadata.jsonl").read_text().splitlines():
        row = json.loads(line)
        largest = max(row["objects"], key=lambda each: each["area"])
        found = row["label"], largest["colour"], largest["texture"], str(len(row["objects"]))
        known[f"train/{row['file_name']}"] = found
    return numbered([known[name] for name in names])


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
    facts = facts_of(folder, [decoded.names.of(row) for row in known.rows])
    rows = []
    for name, model, seconds, run in (("without labels", distilled.model, took, distilled),
                                      ("with labels", labelled.model, also_took, labelled),
                                      ("untrained", untrained, 0.0, None)):  # fmt: skip
        steps = 0 if run is None else run.info()["step"]
        size = f"{plan['width']} x {plan['layers']}, {plan['heads']} heads"
        rows.append({"network": f"{name}, seed {seed}", **scored(model, chopper, known, facts, unseen), "steps": steps,
                     "seconds": seconds, "size": size})  # fmt: skip
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    pictures = np.stack([one.picture for one in unseen])
    asked = PictureExamples(pictures, np.zeros(len(unseen), np.int64), np.arange(len(unseen)), chopper)
    rows.append({"network": "pixels", **told_by_neighbours(pixels(known), facts, pixels(asked), unseen)})
    return rows


def scenes(given: argparse.Namespace, folder: Path) -> tuple[list[dict[str, Any]], dict[str, bool]]:
    unseen = [scene(SEED, index) for index in range(given.count - min(given.scored, given.count // 10), given.count)]
    shapes, rows = folder / "shapes", list[dict[str, Any]]()
    written(shapes, given.count)
    for seed in range(given.seeds or 1):
        rows += of_seed(shapes, unseen, time_given(given, 10), seed)
    return rows, verdict(rows)


def written(folder: Path, count: int) -> None:
    command = [sys.executable, "-m", "regard.data.scenes", str(folder), "--count", str(count), "--seed", str(SEED)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def time_given(given: argparse.Namespace, minutes: float) -> list[str]:
    return ["--steps", str(given.steps)] if given.steps else ["--minutes", str(given.minutes or minutes)]


def cifar(given: argparse.Namespace, folder: Path) -> tuple[list[dict[str, Any]], dict[str, bool]]:
    paths = [given.data / f"cifar10-jpeg-{part}.tar.gz" for part in ("train", "test")] if given.data else []
    if not paths or not all(path.is_file() for path in paths):
        print("cifar: not run, its two files are not in --data FOLDER (or REGARD_DATA)")
        return [], {}
    rows = []
    for seed in range(given.seeds or 1):
        code, found, seconds = learnt(paths, folder / f"cifar-{seed}", time_given(given, 30), seed)
        assert code == 0
        base = found["baselines"]
        rows += [{"network": f"without labels, seed {seed}", "knn": found["knn"], "linear": found["linear"],
                  "steps": found["steps"], "seconds": seconds, "size": size_of(found)},
                 {"network": "untrained", **base["untrained"]}, {"network": "pixels", **base["pixels"]}]  # fmt: skip
    over = [rows[at]["knn"] >= 0.1 + max(rows[at + k]["knn"] for k in (1, 2)) for at in range(0, len(rows), 3)]
    return rows, {"cifar: knn 10 points above both": all(over)}


def collapse(given: argparse.Namespace, folder: Path) -> tuple[list[dict[str, Any]], dict[str, bool]]:
    shapes, rows = folder / "few", []
    written(shapes, 3000)
    for seed in range(given.seeds or 10):
        code, found, seconds = learnt([shapes], folder / f"few-{seed}", time_given(given, 2), seed)
        teacher = {name: found["teacher"][name] for name in FIGURES} if code == 0 else {}
        rows.append({"network": f"3,000 scenes, seed {seed}", "exit code": code, **teacher, "steps": found.get("steps"),
                     "seconds": seconds})  # fmt: skip
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    return rows, {"no collapse": all(row["exit code"] == 0 and row["between"] > APART for row in rows)}


def learnt(paths: list[Path], out: Path, given: list[str], seed: int) -> tuple[int, dict[str, Any], float]:
    """Exit code, scores and seconds of one training without labels."""
    command = [sys.executable, "-m", "regard", "train", *map(str, paths), "--task", "distillation", "--out", str(out)]
    began = time.monotonic()
    done = subprocess.run([*command, *given, "--seed", str(seed), "--json"], stdout=subprocess.PIPE)
    return done.returncode, json.loads(done.stdout) if done.returncode == 0 else {}, time.monotonic() - began


def size_of(found: dict[str, Any]) -> str:
    plan = {choice["name"]: choice["value"] for choice in found["plan"]}
    return f"{plan['width']} x {plan['layers']}, {plan['heads']} heads"


def verdict(rows: list[dict[str, Any]]) -> dict[str, bool]:
    """Whether the limits are kept, for each seed's rows."""
    kept = {"jaccard 1.5 x untrained": True, "jaccard above with labels": True, "knn 10 points above both": True}
    for at in range(0, len(rows), 4):
        without, labelled, untrained, raw = rows[at : at + 4]
        kept["jaccard 1.5 x untrained"] &= without["jaccard union"] >= 1.5 * untrained["jaccard union"]
        kept["jaccard above with labels"] &= without["jaccard union"] > labelled["jaccard union"]
        kept["knn 10 points above both"] &= without["knn"] >= 0.1 + max(untrained["knn"], raw["knn"])
    return kept


SETS = {"scenes": scenes, "cifar": cifar, "collapse": collapse}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--minutes", type=float, help="instead of each set's own")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seeds", type=int, help="instead of each set's own")
    parser.add_argument("--count", type=int, default=8000)
    parser.add_argument("--scored", type=int, default=400)
    parser.add_argument("--data", type=Path, default=os.environ.get("REGARD_DATA"), help="folder of real data")
    given = parser.parse_args()
    given.data = Path(given.data) if given.data else None
    for name in given.only:
        with TemporaryDirectory() as folder:
            rows, kept = SETS[name](given, Path(folder))
        if rows:
            report(f"distillation-{name}", rows, limits=kept)
        print("\n".join(f"{limit}: {'kept' if holds else 'NOT kept'}" for limit, holds in kept.items()))


if __name__ == "__main__":
    main()
