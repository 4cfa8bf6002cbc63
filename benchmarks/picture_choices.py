"""What the plan of pictures leaves open, measured: how the answer is read, and how places in two dimensions are told.

python benchmarks/picture_choices.py [--steps 1500] [--seeds 0] [--only NAME ...] [--data FOLDER]
Each choice gets the same steps and size (what the plan has for about three minutes of two cores) on the training part
of the JPEG copy of CIFAR-10, all else as the plan has it; how fast they are stands beside. The score is of what `regard
train` holds out of that part by itself, as nothing is chosen by a test part.
mean, class: the answer is read from the mean of all patches, or from a class token.
rotated 100, rotated 10,000: queries and keys are turned by row and column; the plan's base, and that of texts.
learned, sines: a vector is added for each patch in the order of reading, which a table learns, or sines and cosines
    make. nowhere: all patches are at one place. These five train by --attention unfused, as the plan's faster way has
    places by rotation alone; so rotated 100 is the mean once more, and how far they differ is chance.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from common import report

from regard.model.config import PositionConfig
from regard.tasks import picture_plan
from regard.tasks.pictures import Chopper

ADDED = {"learned": PositionConfig(kind="learned"), "sines": PositionConfig(kind="sinusoidal")}
SIZE = ["--width", "96", "--layers", "4", "--batch", "64"]
UNFUSED = ("rotated 100", "rotated 10,000", *ADDED, "nowhere")
OPTIONS = {"mean": [], "class": ["--pooling", "class"], **{name: ["--attention", "unfused"] for name in UNFUSED}}


class Nowhere(Chopper):
    @cached_property
    def _places(self) -> torch.Tensor:
        return torch.zeros(1, self.n, 2, dtype=torch.long)


def choose(name: str) -> None:
    """In this process, pictures are learnt with that choice."""
    instead: dict[str, dict[str, Any]] = {
        "rotated 10,000": {"THETA": 10_000.0},
        "nowhere": {"Chopper": Nowhere},
        **{kind: {"PositionConfig": lambda theta, one=one: one, "Chopper": partial(Chopper, axes=1)}
           for kind, one in ADDED.items()},
    }  # fmt: skip
    for known, new in instead.get(name, {}).items():
        setattr(picture_plan, known, new)


def scored(paths: list[str], name: str, steps: int, seed: int, folder: Path) -> dict[str, Any]:
    """Of one training in a process of its own."""
    command = [sys.executable, __file__, "--learn", name, *paths, "--steps", str(steps), *SIZE, "--json", "--seed"]
    command += [str(seed), "--out", str(folder), *OPTIONS[name]]
    began = time.monotonic()
    found = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    plan = {choice["name"]: choice["value"] for choice in found["plan"]}
    return {"choice": f"{name}, seed {seed}", "accuracy": found["accuracy"], "nats": found["nats"],
            "pictures/s": found["pictures_per_second"], "seconds": time.monotonic() - began,
            "model": f"{plan['width']} x {plan['layers']}"}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=OPTIONS, default=list(OPTIONS))
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("REGARD_DATA"), help="folder of real data")
    given = parser.parse_args()
    path = Path(given.data or ".") / "cifar10-jpeg-train.tar.gz"
    if not path.is_file():
        sys.exit("not run: cifar10-jpeg-train.tar.gz is not in --data FOLDER (or REGARD_DATA)")
    rows = []
    for seed in given.seeds:
        for name in given.only:
            with TemporaryDirectory() as folder:
                rows.append(scored([str(path)], name, given.steps, seed, Path(folder) / "run"))
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    report("picture-choices", rows)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--learn"]:
        from regard.cli import main as regard

        choose(sys.argv[2])
        sys.argv = ["regard", "train", *sys.argv[3:]]
        regard()
    else:
        main()
