"""A run whose folder grows, is pruned or is removed while its page is served: the page says so, and stays up (W17)."""

import shutil
from pathlib import Path
from typing import Any

import pytest

import regard
from regard.look import studio_of

from .asking import Got, Site, serving

SMALL: dict[str, Any] = {"width": 32, "layers": 1, "context": 32, "quiet": True}


@pytest.fixture
def changing(trained: Path, tmp_path: Path) -> Path:
    """A run of which the test may do what it likes."""
    shutil.copytree(trained, tmp_path / "there")
    return tmp_path / "there" / "runs" / "text"


def typed(site: Site, letters: str, number: int) -> Got:
    return site.ask("/api/look", {"text": letters, "client": "a", "number": number})


def shown(site: Site, key: str) -> None:
    """Everything of a recording that was made is there."""
    for question in (
        "facts",
        "proof",
        "measures/self/0",
        "tile/self/0/0/weights/0/0/0",
        "position/0",
        "prediction/0/1",
    ):
        assert site.ask(f"/api/{key}/{question}").status == 200, question
    edits = [{"part": "heads", "kind": "zero", "layer": 0, "heads": [0]}]
    assert site.ask(f"/api/{key}/edit", {"edits": edits, "client": key, "number": 1}).status == 200


def test_W17_a_run_that_is_trained_on_while_it_is_served(changing: Path) -> None:
    """What is in memory stays what it was, whole: no half of it is read anew."""
    run = regard.load(changing)
    with serving(studio_of(run, run.look("So"))) as site:
        before = site.ask("/api/1/prediction/0/1").body
        checkpoints = {one.name for one in (changing / "ckpt").iterdir()}
        regard.train(changing.parents[1] / "text.txt", out=changing, steps=45, **SMALL)
        assert {one.name for one in (changing / "ckpt").iterdir()} != checkpoints
        key = typed(site, "So", 1).json["key"]
        assert site.ask(f"/api/{key}/prediction/0/1").body == before
        shown(site, key)
        assert site.said == []
    assert regard.load(changing).look("So").model_hash != run.look("So").model_hash


@pytest.mark.parametrize("gone", ["ckpt", "tokenizer.json", "data.json", "."])
def test_W17_what_is_removed_after_it_was_read_is_not_missed(changing: Path, gone: str) -> None:
    run = regard.load(changing)
    with serving(studio_of(run, run.look("So"))) as site:
        path = changing / gone
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        shown(site, "1")
        shown(site, typed(site, "is it", 1).json["key"])
        assert site.said == []


@pytest.mark.parametrize("gone", ["ckpt", "tokenizer.json", "."])
def test_W17_what_is_removed_before_it_was_read_is_named_and_the_page_stays_up(changing: Path, gone: str) -> None:
    run = regard.load(changing)
    with serving(studio_of(run, None)) as site:  # nothing was typed yet, so nothing is in memory
        kept = changing.parent / "kept"
        (changing / gone).rename(kept)
        found = typed(site, "So", 1)
        assert found.status in (400, 500)
        assert "fault" not in found.sentence
        assert site.ask("/api/start").json["key"] is None
        assert site.ask("/").status == 200
        kept.rename(changing / gone)
        shown(site, typed(site, "So", 2).json["key"])  # it is back
        assert site.said == []
