"""What the benchmarks share: the machine in words, a table, and a JSON file with commit and machine."""

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


class Names:
    """Tokens without a tokenizer: their numbers."""

    def token_bytes(self, token: int, /) -> bytes:
        return str(token).encode()

    def label(self, token: int, /) -> str:
        return str(token)


def machine() -> dict[str, Any]:
    """Processor, cores, memory and versions: a figure without them says little."""
    import torch

    cpu = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return {
        "cpu": cpu, "cores": os.cpu_count(), "threads": torch.get_num_threads(), "system": platform.system(),
        "load": os.getloadavg()[0], "python": platform.python_version(), "torch": torch.__version__,
    }  # fmt: skip


def commit() -> str:
    """The commit that was measured, with + where the tree had changes."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=Path(__file__).parent, capture_output=True, text=True).stdout.strip()

    return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")


def report(name: str, rows: list[dict[str, Any]], **facts: Any) -> None:
    """Prints the rows as a table and writes results/NAME.json."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    cells = [[_shown(row.get(key, "")) for key in keys] for row in rows]
    widths = [max(len(key), *(len(row[k]) for row in cells)) for k, key in enumerate(keys)]
    print("  ".join(key.rjust(w) if k else key.ljust(w) for k, (key, w) in enumerate(zip(keys, widths, strict=True))))
    for row in cells:
        print(
            "  ".join(
                cell.rjust(w) if k else cell.ljust(w) for k, (cell, w) in enumerate(zip(row, widths, strict=True))
            )
        )
    RESULTS.mkdir(exist_ok=True)
    result = {
        "benchmark": name,
        "commit": commit(),
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine(),
        **facts,
        "rows": rows,
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")


def _shown(value: Any) -> str:
    return (
        f"{value:,.4g}"
        if isinstance(value, float) and abs(value) < 1000
        else f"{value:,.0f}"
        if isinstance(value, float)
        else str(value)
    )


def classified(paths: list[str], minutes: float, seed: int, folder: Path, unit: str) -> dict[str, Any]:
    """What `regard train` reaches on labelled data in these minutes, no other flag; unit: pictures, sounds, texts."""
    command = [sys.executable, "-m", "regard", "train", *paths, "--minutes", str(minutes), "--json"]
    command += ["--out", str(folder), *(["--seed", str(seed)] if seed else [])]
    began = time.monotonic()
    result = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    plan = {choice["name"]: choice["value"] for choice in result["plan"]}
    learnt = json.loads((folder / "config.json").read_text())["counts"]["train"]
    return {
        "accuracy": result["accuracy"], "nats": result["nats"], "linear": result["baselines"]["linear"]["accuracy"],
        "majority": result["baselines"]["majority"]["accuracy"], "seconds": time.monotonic() - began,
        f"{unit}/s": result[f"{unit}_per_second"], "epochs": result["steps"] * plan["batch"] / learnt,
        "model": f"{plan['width']} x {plan['layers']}", "plan": plan,
    }  # fmt: skip


def product_rate(dtype: Any, size: int = 1024, seconds: float = 1.0) -> float:
    """Floating-point operations a second that square matrix products reach here at best."""
    import torch

    a, b = (torch.randn(size, size).to(dtype) for _ in range(2))
    least, until = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < until:
        began = time.perf_counter()
        a @ b
        least = min(least, time.perf_counter() - began)
    return 2.0 * size**3 / least
