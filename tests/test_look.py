"""A run's heads over held-out text: which text that is, what is refused, and where the numbers are found."""

import json
from pathlib import Path

import numpy as np
import pytest

import regard
from regard.look import studio_of, surveying
from regard.looking.survey import SIZE
from regard.tasks.text_tokens import open_tokens

from .conftest import TEXT


@pytest.fixture
def loaded(run: Path) -> regard.Run:
    return regard.load(run)


def test_a_run_surveys_its_own_held_out_tokens(loaded: regard.Run) -> None:
    found = loaded.survey(windows=5, seed=3)
    opened = open_tokens(loaded.path)
    assert opened is not None
    held_out = opened[0]["held_out"]
    assert found.windows.tokens == len(held_out)
    assert (len(found.windows), found.windows.size, found.windows.seed) == (5, loaded.context, 3)
    assert loaded.context < SIZE
    for named, start in zip(found.windows.named, found.windows.starts, strict=True):
        assert list(named.ids) == held_out[start : start + loaded.context].tolist()
    np.testing.assert_array_equal(loaded.survey(windows=5, seed=3).values["induction"], found.values["induction"])
    one = loaded.look(found.windows.text(2)).measures()  # of characters, so the text is the window
    np.testing.assert_allclose(found.values["previous"][2, 0], [head.previous for head in one], rtol=1e-5)


def test_what_is_looked_at_afterwards_has_it_and_so_has_its_page(loaded: regard.Run, tmp_path: Path) -> None:
    before = loaded.look("So wise")
    found = loaded.survey(windows=3)
    after = loaded.look("So wise")
    assert before.survey is None
    assert after.survey is found
    for recording, name in ((before, "before"), (after, "after")):
        recording.save(tmp_path / f"{name}.html")
    assert "survey" not in answers(tmp_path / "before.html")
    there = answers(tmp_path / "after.html")
    assert there["survey"]["mean"][0][0]["first"] == found.mean("first")[0, 0]
    assert "windows/induction/0/0" in there


def answers(page: Path) -> dict[str, dict[str, dict[str, object]]]:
    """What a saved page can be asked."""
    begin = page.read_text().partition('<script type="application/json" id="answers"')[2].partition(">")[2]
    return {path.partition("/")[2]: found for path, found in json.loads(begin.partition("</script>")[0]).items()}


def test_other_files_are_surveyed_instead(loaded: regard.Run, tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text(TEXT[::-1] * 3)
    found = loaded.survey(tmp_path / "other.txt", windows=4)
    assert found.windows.source == "other.txt"
    assert found.windows.tokens == len(TEXT * 3) + 1  # and the document mark
    assert found.windows.text(3) in TEXT[::-1] * 3
    with pytest.raises(regard.RegardError, match="is not there"):
        loaded.survey(tmp_path / "none.txt")


def test_a_checkpoint_of_others_has_no_held_out_text_but_takes_a_file(loaded: regard.Run, tmp_path: Path) -> None:
    loaded.export(tmp_path / "folder")
    other = regard.load(tmp_path / "folder")
    with pytest.raises(regard.RegardError, match=r"held-out text is not there; .*run\.survey\('text\.txt'\)"):
        other.survey()
    (tmp_path / "other.txt").write_text(TEXT * 3)
    found = other.survey(tmp_path / "other.txt", windows=4)
    expected = loaded.survey(tmp_path / "other.txt", windows=4)
    np.testing.assert_allclose(found.values["entropy"], expected.values["entropy"], atol=1e-4)


def test_an_empty_text_is_refused(loaded: regard.Run, tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("")
    with pytest.raises(regard.RegardError) as info:
        loaded.survey(tmp_path / "short.txt")
    assert "\n" not in str(info.value)


def test_the_pages_studio_begins_one_of_the_run(loaded: regard.Run) -> None:
    begin = studio_of(loaded, None)._begin_survey
    assert begin is not None
    assert begin().windows == surveying(loaded).windows
    assert len(begin().windows) == 64 or len(begin().windows) == begin().windows.tokens // loaded.context
    assert studio_of(None, loaded.look("So wise"))._begin_survey is None
