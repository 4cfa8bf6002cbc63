"""Accuracy of `regard train` on spoken digits in the minutes given, no other flag.

python benchmarks/sounds.py [--minutes 5] [--seeds 1] [--data FOLDER]
FOLDER holds spoken-digits.tar.xz: 3,000 recordings of six speakers, DIGIT_SPEAKER_NUMBER.wav; by the data's own split
the numbers 0 to 4 of each digit and speaker are tested on (300), the others learnt from. What is not there is said.
"""

import argparse
import os
import statistics
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from common import classified, report

TESTED = range(5)


def folders(archive: Path, folder: Path) -> Path:
    """train/DIGIT/ and test/DIGIT/."""
    with tarfile.open(archive) as files:
        for member in files:
            content = files.extractfile(member) if member.isfile() else None
            if content is None or not member.name.endswith(".wav"):
                continue
            name = Path(member.name).name
            digit, _, number = Path(name).stem.split("_")
            place = folder / ("test" if int(number) in TESTED else "train") / digit
            place.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(content.read())
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = os.environ.get("REGARD_DATA")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--data", type=Path, default=Path(data) if data else None)
    given = parser.parse_args()
    if given.data is None or not (archive := given.data / "spoken-digits.tar.xz").is_file():
        sys.exit("spoken-digits.tar.xz is not there, so nothing was run; name the folder that holds it with --data")
    rows = list[dict[str, Any]]()
    with TemporaryDirectory() as folder:
        digits = folders(archive, Path(folder) / "digits")
        for seed in range(given.seeds):
            row = classified([str(digits)], given.minutes, seed, Path(folder) / f"run-{seed}", "sounds")
            del row["plan"]
            rows.append({"run": f"regard, {given.minutes:g} min, seed {seed}", **row})
            print(rows[-1], file=sys.stderr, flush=True)
    rows.append({"run": f"mean of {len(rows)}", "accuracy": statistics.mean(row["accuracy"] for row in rows)})
    report(f"sounds-{given.minutes:g}min", rows)


if __name__ == "__main__":
    main()
