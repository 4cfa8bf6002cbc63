"""Series to try things out with: two seasons, a drift, noise with a memory, and spells in which everything swings more.

A row depends on the seed and its own number alone, so that more rows only go on. The noise is autoregressive of order
1, the spells are a Markov chain of two states.
"""

import argparse
import csv
import io
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from regard import files
from regard.columns import broken
from regard.errors import RegardError

COLUMNS = ("load", "heat")
DAY, WEEK = 24, 168
"""Rows, an hour each, after which the seasons begin again."""
MEMORY = 0.8
"""How much of the noise of an hour is left in the next."""
FAR = 2.807
"""Deviations beyond which lies one of 200 normal draws: at such an hour a spell begins, or ends."""
LIVELY = 1.7
"""So many times as far everything swings in a spell."""
MOST = 10_000_000
BEGIN = datetime(2024, 1, 1)


def waves(rows: int, seed: int) -> npt.NDArray[np.float64]:
    """(rows, 2): load and heat, hour by hour, in thousandths."""
    hours = np.arange(rows)
    draws = np.random.default_rng(seed).normal(size=(rows, 3))
    swing = np.where(_spells(draws[:, 2]), LIVELY, 1.0)
    day, week = (2 * np.pi * hours / period for period in (DAY, WEEK))
    noise = _remembered(draws[:, :2])
    load = 100 + 0.002 * hours + swing * (10 * np.sin(day) + 4 * np.sin(2 * day + 1)) + 6 * np.sin(week)
    load += 3 * noise[:, 0]
    heat = 15 + swing * 5 * np.sin(day - 1) + 2 * np.sin(week + 2) + noise @ [0.5, 1.0]
    found: npt.NDArray[np.float64] = np.stack([load, heat], axis=1).round(3)
    return found


def _spells(draws: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """(rows,) whether each hour lies in a spell."""
    turned: npt.NDArray[np.bool_] = np.cumsum(np.abs(draws) > FAR) % 2 == 1
    return turned


def _remembered(draws: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """x_t = MEMORY x_(t-1) + draw_t, scaled to deviation 1; (rows, columns)."""
    found, state = np.empty_like(draws), np.zeros(draws.shape[1])
    for row, draw in enumerate(draws):
        state = MEMORY * state + np.sqrt(1 - MEMORY**2) * draw
        found[row] = state
    return found


def table_of(values: npt.NDArray[np.float64]) -> str:
    """As CSV, with the hour of each row."""
    written = io.StringIO()
    table = csv.writer(written, lineterminator="\n")
    table.writerow(["time", *COLUMNS])
    for hour, row in enumerate(values.tolist()):
        table.writerow([(BEGIN + timedelta(hours=hour)).isoformat(" ", "minutes"), *(f"{x:.3f}" for x in row)])
    return written.getvalue()


class _Parser(argparse.ArgumentParser):
    """One that refuses as regard does."""

    def error(self, message: str) -> NoReturn:
        raise RegardError("waves", message, "see `python -m regard.data.waves --help`")


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes a table and says what is in it; the exit code."""
    parser = _Parser("python -m regard.data.waves", description="Writes a series of numbers, hour by hour.")
    parser.add_argument("file", metavar="FILE", help="where it goes; it must not be there")
    parser.add_argument("--rows", type=int, default=4000, help="how many hours (default: 4000)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same series (default: 1)")
    try:
        given = parser.parse_args(arguments)
        if not 1 <= given.rows <= MOST or given.seed < 0:
            what = f"{given.rows} and {given.seed} do not fit"
            raise RegardError("--rows and --seed", what, f"give 1 to {MOST:,} rows, and a seed from 0 on")
        files.write(Path(given.file), table_of(waves(given.rows, given.seed)).encode())
    except RegardError as refusal:
        print(broken(f"regard: {refusal}", sys.stderr), file=sys.stderr)
        return refusal.code
    said = f"{given.file}: {given.rows:,} hours of {' and '.join(COLUMNS)}, seasons of {DAY} and {WEEK} hours"
    print(broken(said, sys.stdout))
    return 0


if __name__ == "__main__":
    sys.exit(main())
