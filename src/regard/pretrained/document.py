"""JSON objects that others wrote: read if small and well formed, looked into by paths of names."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from regard.errors import RegardError, printable
from regard.files import refusing

LARGEST = 100_000_000
"""Bytes; the largest tokenizer.json in use has about 35 MB."""


def read_json(path: Path, largest: int = LARGEST) -> dict[str, Any]:
    """Raises RegardError naming the file if it is missing, no file, too large, no JSON, or no object."""
    if path.exists() and not path.is_file():  # a pipe would wait for ever
        raise RegardError(str(path), "this is not a regular file", "give the file that the model came with")
    with refusing(path), open(path, "rb") as file:
        raw = file.read(largest + 1)
    if len(raw) > largest:
        raise RegardError(str(path), f"it has more than {largest:,} bytes", "give the file that the model came with")
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise RegardError(str(path), f"it is not valid JSON ({error})", "download it again") from None
    if not isinstance(found, dict):
        raise RegardError(str(path), "it holds no JSON object", "give the file that the model came with")
    return found


def get(nested: Mapping[str, Any], path: str) -> Any:
    """The value at the end of a path such as "rope_parameters.rope_theta", or None."""
    found: Any = nested
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def is_there(nested: Mapping[str, Any], path: str) -> bool:
    """Whether a path ends in a value, null included."""
    outer, _, last = path.rpartition(".")
    inside = get(nested, outer) if outer else nested
    return isinstance(inside, Mapping) and last in inside


def put(nested: dict[str, Any], path: str, value: Any) -> None:
    """The inverse of `get`; makes the objects on the way."""
    *outer, last = path.split(".")
    for name in outer:
        nested = nested.setdefault(name, {})
    nested[last] = value


def shown(value: Any) -> str:
    """A strange value in a refusal, short and printable."""
    text = printable(value if isinstance(value, str) else repr(value))
    return text if len(text) <= 40 else text[:39] + "…"
