"""regard trains a transformer on what you have, in the minutes you give it, and then shows what every head looks at."""

import os
import sys

if sys.argv[:1] == ["-m"]:  # `python -m regard`: the working folder holds data, never code (bad-inputs C8)
    try:
        _here = os.getcwd()
    except OSError:  # it was removed, so nothing can be imported from it
        _here = ""
    sys.path[:] = [path for path in sys.path if path not in ("", _here)]

# torch's threads wait for each other by spinning (libgomp: 300,000 times). Where another process has one of the cores,
# that made a step 25 times slower (docs/log.md); ten thousand turns cost nothing on a quiet machine.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from regard.errors import RegardError as RegardError
    from regard.looking.record import Recording as Recording
    from regard.model.attention import SoftDictionary as SoftDictionary
    from regard.run import Run as Run
    from regard.run import load as load
    from regard.run import train as train
    from regard.tokens.text import examples as examples

__version__ = "0.1.0"

# Loaded when first asked for, so that `regard --help` and `import regard` need no torch.
_HOME = {
    "train": "regard.run",
    "load": "regard.run",
    "Run": "regard.run",
    "Recording": "regard.looking.record",
    "examples": "regard.tokens.text",
    "SoftDictionary": "regard.model.attention",
    "RegardError": "regard.errors",
}
__all__ = ["Recording", "RegardError", "Run", "SoftDictionary", "__version__", "examples", "load", "train"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'regard' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
