"""A folder as regard exports it, made once and copied for each test; and a watch on what reading it does."""

import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from regard.files import durable
from regard.pretrained.export import export_hf

from .made import GPT2, LLAMA, QWEN3, characters, ours

FORBIDDEN = {
    "pickle.find_class",
    "exec",
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "socket.connect",
}
_seen: list[str] | None = None


@pytest.fixture(autouse=True)
def _a_quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """That files reach the disk is tested elsewhere."""
    monkeypatch.setattr(durable, "_to_disk", lambda descriptor: None)


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder a family; characters' tokenizer, a row of the embedding an id."""
    top = tmp_path_factory.mktemp("exported")
    tokenizer = characters()
    for name, config in (("qwen3", QWEN3), ("llama", LLAMA), ("gpt2", GPT2)):
        export_hf(ours(replace(config, vocabulary=tokenizer.vocabulary)), tokenizer, top / name)
    return top


@pytest.fixture
def folder(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported / "qwen3", tmp_path / "model"))


@pytest.fixture
def gpt2(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported / "gpt2", tmp_path / "gpt2"))


@pytest.fixture
def watched() -> Iterator[list[str]]:
    """What happened of the forbidden, by Python's own audit events."""
    global _seen
    _seen = []
    yield _seen
    _seen = None


def _watch(event: str, _: tuple[object, ...]) -> None:
    if _seen is not None and event in FORBIDDEN:
        _seen.append(event)


sys.addaudithook(_watch)
