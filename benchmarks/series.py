"""Error of the next patch of a generated series after `regard train` in the minutes given, no other flag.

Beside it those of the last value and of the seasonal naive forecast.

python benchmarks/series.py [--minutes 1] [--seeds 1] [--rows 4000]
The series is that of `python -m regard.data.waves`; errors are in deviations of each column, on its last tenth.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from common import report


def trained(minutes: float, rows: int, seed: int, folder: Path) -> dict[str, Any]:
    table = folder / f"waves-{seed}.csv"
    made = [sys.executable, "-m", "regard.data.waves", str(table), "--rows", str(rows), "--seed", str(seed)]
    subprocess.run(made, stdout=subprocess.DEVNULL, check=True)
    command = [sys.executable, "-m", "regard", "train", str(table), "--minutes", str(minutes), "--json"]
    began = time.monotonic()
    done = subprocess.run([*command, "--out", str(folder / f"run-{seed}")], stdout=subprocess.PIPE, check=True)
    result = json.loads(done.stdout)
    plan, naive = {choice["name"]: choice["value"] for choice in result["plan"]}, result["baselines"]
    return {
        "run": f"regard, {minutes:g} min, series {seed}", "mae": result["mae"], "mse": result["mse"],
        "last value": naive["last_value"]["mae"], "seasonal naive": naive["seasonal_naive"]["mae"],
        "period": naive["seasonal_naive"]["period"], "seconds": time.monotonic() - began, "steps": result["steps"],
        "patches/s": result["patches_per_second"], "model": f"{plan['width']} x {plan['layers']}",
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--rows", type=int, default=4000)
    given = parser.parse_args()
    rows = list[dict[str, Any]]()
    with TemporaryDirectory() as folder:
        for seed in range(1, given.seeds + 1):
            rows.append(trained(given.minutes, given.rows, seed, Path(folder)))
            print(rows[-1], file=sys.stderr, flush=True)
    rows.append({"run": f"mean of {len(rows)}", "mae": statistics.mean(row["mae"] for row in rows)})
    report(f"series-{given.minutes:g}min", rows)


if __name__ == "__main__":
    main()
