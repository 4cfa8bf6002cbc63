"""A series on the disk, in a run's cache/: all of its rows in one file, so that it goes on without the table."""

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from regard import files
from regard.data.series import SeriesSource
from regard.errors import RegardError
from regard.tasks.series_patches import Numbers, Scale

CACHE, ROWS = "cache", "series.safetensors"


@dataclass(frozen=True)
class Series:
    values: Numbers = field(repr=False)
    """(rows, columns), in the data's own units."""
    train: int
    """Rows that are learnt from; the others are held out."""
    columns: tuple[str, ...]

    @cached_property
    def scale(self) -> Scale:
        """Of what is learnt from."""
        return Scale.of(self.values[: self.train])

    @cached_property
    def rows(self) -> Numbers:
        """(rows, columns), counted so."""
        return self.scale.shrunk(self.values)


def write_rows(source: SeriesSource, folder: Path) -> Series:
    """Writes the rows into `folder`/cache."""
    cache = files.make_folder(folder / CACHE)
    said = {"train": str(source.train), "columns": json.dumps(source.columns)}
    files.write(cache / ROWS, files.safetensors_bytes({"values": source.values}, said), overwrite=True)
    return Series(source.values, source.train, source.columns)


def open_rows(folder: Path) -> Series | None:
    """The series of a run's folder, or None where it is not there as a whole."""
    try:
        tensors, said = files.read_safetensors(folder / CACHE / ROWS)
        values, columns = tensors["values"].array, tuple(json.loads(said["columns"]))
        if values.dtype != np.float64 or values.ndim != 2 or values.shape[1] != len(columns):
            return None
        return Series(values, int(said["train"]), columns)
    except (OSError, ValueError, KeyError, TypeError, RegardError):
        return None
