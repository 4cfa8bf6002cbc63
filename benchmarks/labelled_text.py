"""Accuracy of `regard train` on a table of labelled sentences in the minutes given, no other flag.

python benchmarks/labelled_text.py [--minutes 1] [--seeds 1] [--data FOLDER]
FOLDER holds multi30k/, sentences in English, German and French; the label of a sentence is its language. Learnt from
the training part (87,000 sentences), tested on test_2016_flickr (3,000). What is not there is said and not run.
"""

import argparse
import gzip
import os
import statistics
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from common import classified, report

PARTS = {"train": "train", "test": "test_2016_flickr"}
LANGUAGES = ("en", "de", "fr")


def tables(data: Path, folder: Path) -> list[Path]:
    """train.tsv and test.tsv, a sentence and its language a row; the few tabs within sentences become spaces."""
    made = []
    for part, name in PARTS.items():
        made.append(folder / f"{part}.tsv")
        with made[-1].open("w", encoding="utf-8", newline="\n") as table:
            table.write("text\tlabel\n")
            for language in LANGUAGES:
                text = gzip.decompress((data / "multi30k" / f"{name}.{language}.gz").read_bytes()).decode()
                for line in text.rstrip("\n").split("\n"):
                    table.write(line.replace("\t", " ") + f"\t{language}\n")
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = os.environ.get("REGARD_DATA")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--data", type=Path, default=Path(data) if data else None)
    given = parser.parse_args()
    if given.data is None or not (given.data / "multi30k").is_dir():
        sys.exit("multi30k/ is not there, so nothing was run; name the folder that holds it with --data")
    rows = list[dict[str, Any]]()
    with TemporaryDirectory() as folder:
        paths = tables(given.data, Path(folder))
        for seed in range(given.seeds):
            row = classified(list(map(str, paths)), given.minutes, seed, Path(folder) / f"run-{seed}", "texts")
            rows.append({"run": f"regard, {given.minutes:g} min, seed {seed}", **row})
            del rows[-1]["plan"]
            print(rows[-1], file=sys.stderr, flush=True)
    rows.append({"run": f"mean of {len(rows)}", "accuracy": statistics.mean(row["accuracy"] for row in rows)})
    report(f"labelled-text-{given.minutes:g}min", rows)


if __name__ == "__main__":
    main()
