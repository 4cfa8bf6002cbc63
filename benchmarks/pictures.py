"""Accuracy of `regard train` on labelled pictures in the minutes given, no other flag, beside a ViT of transformers.

python benchmarks/pictures.py [--only fashion digits cifar] [--minutes N] [--seeds 0] [--peer]
    [--data FOLDER] [--fashion FOLDER] [--digits FOLDER]
fashion: Fashion-MNIST, 10 minutes; FOLDER holds its four IDX files (Debian: dataset-fashion-mnist).
digits: scikit-learn's 8 x 8 digits, 1 minute, five folds; FOLDER has scikit-learn (pip install --target FOLDER
    scikit-learn), as regard does not need it.
cifar: the JPEG copy of CIFAR-10 in the data's folder (not the original pixels), 10 minutes.
--seeds 0 1 2: which, of the weights, the order of pictures and their variation.
--peer trains a ViTForImageClassification of transformers in the same minutes: of regard's width, layers, heads and
    patch, else as the class comes (layer norm, GELU, learned positions, class token), AdamW at 1e-3 falling to 0.
What is not there is said and not run.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from common import classified, report

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
MINUTES = {"fashion": 10.0, "digits": 1.0, "cifar": 10.0}
FOLDS = 5


def fashion(given: argparse.Namespace, _: Path) -> list[list[str]]:
    names = [f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]
    return (
        [[str(given.fashion / name) for name in names]]
        if all((given.fashion / name).is_file() for name in names)
        else []
    )


def digits(given: argparse.Namespace, folder: Path) -> list[list[str]]:
    """A .npz a fold: every fifth picture, from another one on, is its test part."""
    if given.digits is not None:
        sys.path.append(str(given.digits))
    try:
        from sklearn.datasets import load_digits  # type: ignore[import-not-found]
    except ImportError:
        return []
    found = load_digits()
    pictures, labels = np.round(found.images * 255 / 16).astype(np.uint8), found.target.astype(np.int64)
    folds = []
    for fold in range(FOLDS):
        test = np.arange(len(labels)) % FOLDS == fold
        path = folder / f"digits-{fold}.npz"
        np.savez(path, x_train=pictures[~test], y_train=labels[~test], x_test=pictures[test], y_test=labels[test])
        folds.append([str(path)])
    return folds


def cifar(given: argparse.Namespace, _: Path) -> list[list[str]]:
    paths = [given.data / f"cifar10-jpeg-{part}.tar.gz" for part in ("train", "test")] if given.data else []
    return [[str(path) for path in paths]] if paths and all(path.is_file() for path in paths) else []


SETS = {"fashion": fashion, "digits": digits, "cifar": cifar}


def peer(run: Path, minutes: float, plan: dict[str, Any]) -> dict[str, Any]:
    """On the pictures that regard has decoded; the clock runs from here to the last step, scoring is not counted."""
    from transformers import ViTConfig, ViTForImageClassification

    from regard.data.picture_cache import open_decoded

    decoded = open_decoded(run)
    assert decoded is not None
    rows, held = decoded.rows("train"), decoded.rows("held_out")
    torch.manual_seed(0)
    config = ViTConfig(
        hidden_size=plan["width"], num_hidden_layers=plan["layers"], num_attention_heads=plan["heads"],
        intermediate_size=4 * plan["width"], image_size=(decoded.height, decoded.width), patch_size=plan["patch"],
        num_channels=decoded.channels, num_labels=len(decoded.classes),
    )  # fmt: skip
    model = ViTForImageClassification(config)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    began, steps, seconds = time.monotonic(), 0, 60 * minutes
    for batch in _batches(rows, int(plan["batch"])):
        if (used := time.monotonic() - began) >= seconds:
            break
        optimiser.param_groups[0]["lr"] = 1e-3 * (1 - used / seconds)
        labels = torch.from_numpy(decoded.labels[batch].astype(np.int64))
        loss = torch.nn.functional.cross_entropy(model(pixel_values=_pixels(decoded, batch)).logits, labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        steps += 1
    took = time.monotonic() - began
    model.eval()
    with torch.inference_mode():
        said = [
            model(pixel_values=_pixels(decoded, held[k : k + 256])).logits.argmax(1) for k in range(0, len(held), 256)
        ]
    right = (torch.cat(said).numpy() == decoded.labels[held]).mean()
    seen = steps * int(plan["batch"])
    return {"accuracy": float(right), "seconds": took, "pictures/s": seen / took, "epochs": seen / len(rows),
            "model": f"{plan['width']} x {plan['layers']}"}  # fmt: skip


def _batches(rows: np.ndarray, size: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(0)
    while True:
        order = rng.permutation(rows)
        yield from (order[k : k + size] for k in range(0, len(order) - size + 1, size))


def _pixels(decoded: Any, rows: np.ndarray) -> torch.Tensor:
    """(batch, channels, height, width), -1 to 1 as its image processor makes them."""
    return torch.from_numpy(decoded.pictures[rows]).permute(0, 3, 1, 2).float() / 127.5 - 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = os.environ.get("REGARD_DATA")
    parser.add_argument("--only", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--peer", action="store_true")
    parser.add_argument("--data", type=Path, default=Path(data) if data else None)
    parser.add_argument("--fashion", type=Path, default=DEBIAN)
    parser.add_argument("--digits", type=Path)
    given = parser.parse_args()
    for name in given.only:
        minutes, rows = given.minutes or MINUTES[name], list[dict[str, Any]]()
        with TemporaryDirectory() as folder:
            parts = SETS[name](given, Path(folder))
            if not parts:
                print(f"{name}: its data are not there, so it was not run", file=sys.stderr)
                continue
            for seed in given.seeds:
                for number, paths in enumerate(parts):
                    place = Path(folder) / f"{seed}-{number}"
                    row = classified(paths, minutes, seed, place / "run", "pictures")
                    plan = row.pop("plan")
                    fold = f", fold {number}" if len(parts) > 1 else ""
                    rows.append({"run": f"regard, {minutes:g} min, seed {seed}{fold}", **row})
                    print(rows[-1], file=sys.stderr, flush=True)
                    if given.peer and seed == given.seeds[0]:
                        rows.append({"run": f"ViT of transformers{fold}", **peer(place / "run", minutes, plan)})
                        print(rows[-1], file=sys.stderr, flush=True)
            ours = [row["accuracy"] for row in rows if row["run"].startswith("regard")]
            rows.append({"run": f"mean of {len(ours)}", "accuracy": statistics.mean(ours)})
            which = "" if given.seeds == [0] else f"-seeds-{'-'.join(map(str, given.seeds))}"
            report(f"pictures-{name}-{minutes:g}min{which}", rows)


if __name__ == "__main__":
    main()
