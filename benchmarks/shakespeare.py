"""tinyshakespeare, first 90 % / last 10 %, the whole validation part, no flag but the time: nats a character.

python benchmarks/shakespeare.py [--minutes 3] [--seeds 3] [--data FOLDER] [--nanogpt CHECKOUT]
The text is ASCII, so nats a character are bits_per_byte x ln 2. Windows are disjoint and of the model's own context.
--nanogpt runs the CPU recipe of its README beside it, on the same machine.
"""

import argparse
import json
import math
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from common import report

BUNDLED = Path(__file__).parents[1] / "src/regard/data/bundled"
RECIPE = [
    "--device=cpu",
    "--compile=False",
    "--eval_iters=20",
    "--log_interval=100",
    "--block_size=64",
    "--batch_size=12",
    "--n_layer=4",
    "--n_head=4",
    "--n_embd=128",
    "--max_iters=2000",
    "--lr_decay_iters=2000",
    "--dropout=0.0",
]
"""nanoGPT's README, "I only have a macbook"."""


def trained(text: Path, minutes: float, seed: int) -> dict[str, Any]:
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "regard", "train", str(text), "--minutes", str(minutes), "--json"]
        command += ["--out", f"{folder}/run"] + (["--seed", str(seed)] if seed else [])
        began = time.monotonic()
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        took = time.monotonic() - began
    result = json.loads(done.stdout)
    plan = {choice["name"]: choice["value"] for choice in result["plan"]}
    return {
        "run": f"regard, {minutes:g} min, seed {seed}", "nats/char": result["bits_per_byte"] * math.log(2),
        "sliding": result["nats_per_token_sliding"] / result["nats_per_token"] * result["bits_per_byte"] * math.log(2),
        "seconds": took, "tokens/s": result["tokens_per_second"], "steps": result["steps"],
        "model": f"{plan['width']} x {plan['layers']}, {plan.get('vocabulary', 'characters')}",
    }  # fmt: skip


def nanogpt(checkout: Path, text: Path) -> dict[str, Any]:
    with TemporaryDirectory() as folder:
        data = checkout / "data/shakespeare_char"
        (data / "input.txt").write_bytes(text.read_bytes())
        subprocess.run([sys.executable, "prepare.py"], cwd=data, check=True, capture_output=True)
        began = time.monotonic()
        command = [sys.executable, "train.py", "config/train_shakespeare_char.py", *RECIPE, f"--out_dir={folder}/out"]
        done = subprocess.run(command, cwd=checkout, check=True, capture_output=True, text=True, env={**os.environ})
        took = time.monotonic() - began
    losses = re.findall(r"step \d+: train loss [\d.]+, val loss ([\d.]+)", done.stdout)
    return {"run": "nanoGPT, CPU recipe (20 batches)", "nats/char": float(losses[-1]), "seconds": took,
            "tokens/s": 2000 * 12 * 64 / took, "steps": 2000, "model": "128 x 4, characters"}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("REGARD_DATA", BUNDLED)))
    parser.add_argument("--nanogpt", type=Path)
    given = parser.parse_args()
    text = given.data / "shakespeare.txt"
    rows = [nanogpt(given.nanogpt.absolute(), text)] if given.nanogpt else []
    for seed in range(given.seeds):
        rows.append(trained(text, given.minutes, seed))
        print(rows[-1], file=sys.stderr, flush=True)
    ours = [row["nats/char"] for row in rows if row["run"].startswith("regard")]
    rows.append({"run": f"mean of {given.seeds} seeds", "nats/char": statistics.mean(ours)})
    report(f"shakespeare-{given.minutes:g}min", rows)


if __name__ == "__main__":
    main()
