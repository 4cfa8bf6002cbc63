"""Nothing that a user's file holds is run: the package's own syntax trees hold no call that could (rule 7, M1)."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import regard

ROOT = Path(regard.__file__).parent

MODULES = {
    *{"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "code", "codeop", "runpy"},
    *{"multiprocessing", "torch.multiprocessing", "torch.hub", "torch.package", "torch.distributed.checkpoint"},
}
"""Each of them makes objects or code out of bytes; multiprocessing sends pickles between processes (decision 14)."""

BUILTINS = {"eval", "exec", "compile", "execfile", "__import__"}

METHODS = {
    *{"torch.load", "torch.jit.load", "torch.hub.load", "torch.save", "numpy.fromregex", "os.system", "os.popen"},
    *{"yaml.load", "yaml.unsafe_load", "yaml.full_load", "subprocess.getoutput", "subprocess.getstatusoutput"},
    *{"torch.distributed.send_object_list", "torch.distributed.broadcast_object_list"},
    *{
        "torch.distributed.all_gather_object",
        "torch.distributed.gather_object",
        "torch.distributed.scatter_object_list",
    },
}
"""By their full names; the objects that torch.distributed sends are pickled."""

SWITCHES = {"shell", "allow_pickle", "trust_remote_code", "weights_only"}
"""Keywords that are only ever given where such a call is meant, and may be False at most."""


def dangers(source: str, where: str = "") -> Iterator[str]:
    """What in the source could run what a file holds, as "file:line what"."""
    tree = ast.parse(source)
    names = _names(tree)
    for node in ast.walk(tree):
        said: list[str] = []
        if isinstance(node, ast.Import):
            said = [alias.name for alias in node.names if _is_forbidden(alias.name)]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            full = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            said = [name for name in full if _is_forbidden(name) or name in METHODS]
        elif isinstance(node, ast.Call):
            called = _full_name(node.func, names)
            said = [called] if called in BUILTINS | METHODS or _is_forbidden(called.rpartition(".")[0]) else []
            said += [
                f"{word.arg}=" for word in node.keywords
                if word.arg in SWITCHES and not (isinstance(word.value, ast.Constant) and word.value.value is False)
            ]  # fmt: skip
            said += [
                f"num_workers={ast.unparse(word.value)}" for word in node.keywords
                if word.arg == "num_workers" and not (isinstance(word.value, ast.Constant) and word.value.value == 0)
            ]  # fmt: skip
        elif isinstance(node, ast.Name | ast.Attribute):
            said = [name] if (name := _full_name(node, names)) in METHODS | BUILTINS else []
        yield from (f"{where}:{getattr(node, 'lineno', 0)} {what}" for what in said)


def _is_forbidden(module: str) -> bool:
    return any(module == name or module.startswith(name + ".") for name in MODULES)


def _names(tree: ast.AST) -> dict[str, str]:
    """What each name that an import binds stands for."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _full_name(node: ast.AST, names: dict[str, str]) -> str:
    """np.load -> numpy.load; "" for what is no chain of names."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        return f"{before}.{node.attr}" if (before := _full_name(node.value, names)) else ""
    return ""


def test_M1_the_package_holds_nothing_that_runs_what_a_file_holds() -> None:
    files = sorted(ROOT.rglob("*.py"))
    assert len(files) > 30
    found = [said for file in files for said in dangers(file.read_text("utf-8"), str(file.relative_to(ROOT)))]
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import torch\ntorch.load('x')",
        "import torch as t\nt.load('x')",
        "from torch import load",
        "import torch\nread = torch.load",
        "from torch import multiprocessing",
        "import torch.multiprocessing as mp",
        "import yaml\nyaml.load(x)",
        "eval('1')",
        "run = exec",
        "__import__('os')",
        "compile('1', 'x', 'eval')",
        "import marshal",
        "import shelve",
        "import subprocess\nsubprocess.run('ls', shell=True)",
        "import subprocess\nsubprocess.run('ls', shell=flag)",
        "import os\nos.system('ls')",
        "import numpy as np\nnp.load('x', allow_pickle=True)",
        "import torch\ntorch.utils.data.DataLoader(x, num_workers=2)",
        "import torch.distributed as dist\ndist.broadcast_object_list([x])",
    ],
)
def test_the_look_at_the_syntax_trees_sees(source: str) -> None:
    assert list(dangers(source))


@pytest.mark.parametrize(
    "source",
    [
        "model.eval()",
        "import re\nre.compile('x')",
        "import torch\ntorch.compile(model)",
        "import numpy as np\nnp.load('x', allow_pickle=False)",
        "from regard.run import load\nload('x')",
        "import json\njson.load(file)",
    ],
)
def test_the_look_at_the_syntax_trees_lets_pass(source: str) -> None:
    assert not list(dangers(source))
