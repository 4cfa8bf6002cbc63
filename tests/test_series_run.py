"""A run on a series: trained, better than the dumb forecasts, asked for the next rows, scored on other tables."""

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import regard
from regard.data import waves
from regard.errors import RegardError
from regard.model.sequence import Sequence
from regard.series_run import SeriesRun, decimals_of
from regard.words import csv_text

from .conftest import Call

SMALL = ("--steps=150", "--width=32", "--layers=2")
ROWS = 2000


@pytest.fixture(scope="module")
def hours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with waves.csv (2,000 hours), more.csv (600 more) and runs/waves, finished; nobody changes it."""
    folder = tmp_path_factory.mktemp("hours")
    values = waves.waves(ROWS + 600, 1)
    (folder / "waves.csv").write_text(waves.table_of(values[:ROWS]))
    (folder / "more.csv").write_text(waves.table_of(values[ROWS:]))
    regard.train(folder / "waves.csv", steps=150, width=32, layers=2, out=folder / "runs" / "waves", quiet=True)
    return folder


@pytest.fixture
def run(hours: Path) -> SeriesRun:
    found = regard.load(hours / "runs" / "waves")
    assert isinstance(found, SeriesRun)
    return found


def test_training_says_what_it_found_and_how_well_it_went(call: Call, hours: Path) -> None:
    shutil.copy(hours / "waves.csv", "waves.csv")
    done = call("train", "waves.csv", "--steps=10", "--width=32", "--layers=1")
    assert done.code == 0
    assert "2,000 rows of 2 columns of numbers" in done.err
    assert "1,800 rows to learn from, the last 200 held out" in done.err
    assert "column left out, as it tells the time of a row (time)" in done.err
    assert "patches/s" in done.err
    assert "seasonal naive" in done.out
    assert "it says:\n  load " in done.out
    assert "regard predict runs/waves more.csv" in done.out
    assert "regard look runs/waves more.csv --save heads.svg" in done.out
    assert max(map(len, done.out.splitlines())) <= 80


def test_few_steps_are_better_than_the_last_value_and_the_last_season(call: Call, hours: Path) -> None:
    answer = call("eval", hours / "runs" / "waves", "--json").answer
    assert answer["task"] == "forecasting"
    assert (answer["patches"], answer["patch"]) == (25, 8)
    for baseline in answer["baselines"].values():
        assert answer["mae"] < baseline["mae"]
        assert answer["mse"] < baseline["mse"]
        for name in waves.COLUMNS:
            assert answer["per_column"][name]["mae"] < baseline["per_column"][name]["mae"]
    assert answer["baselines"]["seasonal_naive"]["period"] % 24 == 0


def test_the_next_rows_are_the_models_own_in_the_units_of_the_data(run: SeriesRun, hours: Path) -> None:
    """Its numbers, made by hand from the weights: the rows of the context, one after another, and what comes out."""
    assert run.config is not None
    settings = run.config["settings"]
    patch, context = settings["patch"], settings["context"]
    values = waves.waves(ROWS + 600, 1)
    mean, deviation = values[:1800].mean(axis=0), values[:1800].std(axis=0)
    rows = ((values[ROWS:] - mean) / deviation)[-context * patch :]
    tokens = []
    for k in range(context):
        known = rows[: (k + 1) * patch]
        tokens.append(((rows[k * patch : (k + 1) * patch] - known.mean(axis=0)) / known.std(axis=0)).ravel())
    given = Sequence.text(torch.tensor(np.array(tokens), dtype=torch.float32)[None])
    said = run.model(given)[0, -1].detach().numpy().reshape(patch, 2)
    expected = (said * rows.std(axis=0) + rows[-1]) * deviation + mean
    found = run.predict(hours / "more.csv")
    assert found.shape == (patch, 2)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    np.testing.assert_array_equal(found, run.predict(hours / "more.csv"))


def test_patches_after_the_first_are_told_from_those_told_before(run: SeriesRun, hours: Path, tmp_path: Path) -> None:
    twice = run.predict(hours / "more.csv", patches=2)
    first = run.predict(hours / "more.csv")
    np.testing.assert_array_equal(twice[:8], first)
    told = np.concatenate([waves.waves(ROWS + 600, 1)[ROWS:], first])
    lines = ["load,heat", *(f"{a!r},{b!r}" for a, b in told.tolist())]
    (tmp_path / "told.csv").write_text("\n".join(lines) + "\n")
    np.testing.assert_allclose(twice[8:], run.predict(tmp_path / "told.csv"), rtol=1e-6)


def test_predict_prints_a_table_again(call: Call, run: SeriesRun, hours: Path) -> None:
    done = call("predict", run.path, hours / "more.csv", "--tokens=2")
    header, *rows = csv.reader(io.StringIO(done.out))
    assert header == ["load", "heat"]
    np.testing.assert_allclose(np.array(rows, float), run.predict(hours / "more.csv", 2), rtol=1e-5)
    assert {len(number.partition(".")[2]) for number in np.array(rows).ravel()} == {4}  # the table has three
    answer = call("predict", run.path, hours / "more.csv", "--json").answer
    assert answer["output"]["columns"] == ["load", "heat"]
    np.testing.assert_array_equal(answer["output"]["rows"], run.predict(hours / "more.csv"))
    both = call("predict", run.path, hours / "more.csv", hours / "waves.csv").out
    assert [line.split(",")[0] for line in both.splitlines() if not line.startswith("table,")] == (
        [str(hours / "more.csv")] * 8 + [str(hours / "waves.csv")] * 8
    )


@pytest.mark.parametrize(("number", "decimals", "printed"), [
    (109.7579977, 3, "109.7580"), (23.61058473, 0, "23.6"), (-0.00001, 3, "0.0000"), (0.0, 1, "0.00"),
    (101323.9107, 2, "101323.911"), (19999949.3, 0, "19999949.3"), (999999.96, 0, "1000000.0"),
    (0.12345678912345, None, "0.1234567891"), (101323.91071234, None, "101323.9107"), (float("nan"), 2, "nan"),
    (float("inf"), 2, "inf"), (float("inf"), None, "inf")])  # fmt: skip
def test_a_forecast_has_one_decimal_more_than_its_data(number: float, decimals: int | None, printed: str) -> None:
    assert csv_text(["a"], [[number]], [decimals], None) == f"a\n{printed}\n"


@pytest.mark.parametrize(("numbers", "decimals"), [
    ([1.0, 20.0], 0), ([1.0, 0.5], 1), ([109.252, 19.7], 3), ([1e-5], 5), ([1e9], 0), ([1e-9], 9),
    ([0.1 + 0.2], None), ([1.0, 1e-10], None)])  # fmt: skip
def test_decimals_are_those_that_the_numbers_were_written_with(numbers: list[float], decimals: int | None) -> None:
    assert decimals_of(numbers) == decimals


def test_columns_go_by_their_names_and_others_are_not_looked_at(run: SeriesRun, hours: Path, tmp_path: Path) -> None:
    lines = ["heat,rain,load"]
    lines += [f"{heat},0,{load}" for load, heat in waves.waves(ROWS + 600, 1)[ROWS:].tolist()]
    (tmp_path / "other.csv").write_text("\n".join(lines) + "\n")
    np.testing.assert_array_equal(run.predict(tmp_path / "other.csv"), run.predict(hours / "more.csv"))
    assert any("rain" in notice.places for notice in run.notices)


def test_a_rising_first_column_that_was_learnt_from_is_looked_at(tmp_path: Path) -> None:
    numbers = [(k % 7, k % 5) for k in range(200)]
    (tmp_path / "x.csv").write_text("\n".join(["a,b", *(f"{a},{b}" for a, b in numbers)]) + "\n")
    run = regard.train(tmp_path / "x.csv", steps=2, width=16, layers=1, out=tmp_path / "run", quiet=True)
    assert isinstance(run, SeriesRun)
    (tmp_path / "rises.csv").write_text("a,b\n1,5\n2,4\n3,7\n4,2\n")
    assert np.isfinite(run.predict(tmp_path / "rises.csv")).all()


def test_eval_on_another_table_scores_what_has_enough_before_it(call: Call, run: SeriesRun, hours: Path) -> None:
    answer = call("eval", run.path, hours / "more.csv", "--json").answer
    before = run.forecasts.before
    assert answer["patches"] == (600 - before) // 8
    values, off = waves.waves(ROWS + 600, 1)[ROWS:], []
    scale = run.forecasts.scale
    for start in range(before, 593, 8):
        truth, last = values[start : start + 8], values[start - 1]
        off.append(np.abs(truth - last) / scale.deviation)
    assert answer["baselines"]["last_value"]["mae"] == pytest.approx(np.mean(off))
    assert answer["mae"] < answer["baselines"]["last_value"]["mae"]
    assert "patches of 8 rows" in call("eval", run.path, hours / "more.csv").out


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("load\n1\n2\n", "it has no column heat, which was learnt from; give a table with all of: load, heat"),
        ("load,heat\n1,2\n3,4\n", "2 rows make no patch of 8; give 8 or more"),
        ("load,heat\n1,2\n3,x\n", "x.csv:3: column 'heat' has 'x', which is no number; correct the line"),
        ("load,heat\n1,2\n3,\n", "x.csv:3: column 'heat' has no number (''); fill it in"),
        ("", "names no columns"),
    ],
)
def test_what_cannot_be_gone_on_with_is_refused(call: Call, run: SeriesRun, text: str, says: str) -> None:
    Path("x.csv").write_text(text)
    done = call("predict", run.path, "x.csv")
    assert done.code == 2
    assert says in done.sentence
    assert "--skip-bad" not in done.sentence


def test_what_is_not_asked_of_a_series_is_refused(call: Call, run: SeriesRun, hours: Path) -> None:
    path = run.path
    assert "cannot be exported yet" in call("export", path, "folder").sentence
    assert (
        "--temperature: it is for a run that goes on with texts"
        in call("predict", path, hours / "more.csv", "--temperature=1").sentence
    )
    assert "--tokens: 'many' does not fit" in call("predict", path, hours / "more.csv", "--tokens=many").sentence
    short = Path("short.csv")
    short.write_text("load,heat\n" + "1,2\n3,1\n" * 50)
    needed = run.forecasts.before + 8
    assert f"give {needed} or more" in call("eval", path, short).sentence
    assert "--tokens: it is for text" in call("train", hours / "waves.csv", "--tokens=bpe").sentence
    assert "--from: a series cannot go on" in call("train", hours / "waves.csv", "--from", path).sentence


def test_looking_shows_which_patch_looks_at_which(call: Call, run: SeriesRun, hours: Path) -> None:
    found = run.look(hours / "more.csv")
    context = run.forecasts.context
    first = 600 - 8 * context
    assert found.tokens.labels[:2] == (f"rows {first}-{first + 7}", f"rows {first + 8}-{first + 15}")
    assert (found.n, found.is_classified, found.has_page) == (context, True, False)
    weights = found.weights(layer=1, head=0)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, rtol=1e-5)
    assert not np.triu(weights, 1).any()  # none looks ahead
    assert all(check.passed is not False for check in found.prove().checks)
    done = call("look", run.path, hours / "more.csv", "--save=heads.svg", "--json")
    assert (done.code, done.answer["task"], done.answer["tokens"][-1]) == (0, "forecasting", "rows 592-599")
    assert Path("heads.svg").read_text().count("rows 592-599") >= 1
    assert call("look", run.path, hours / "more.csv", "--save=one.regard").code == 0
    assert call("look", "one.regard", "--json").answer["task"] == "forecasting"
    assert "the page: it shows" in call("look", run.path, hours / "more.csv", "--page").err
    assert "the page: it shows" in call("look", run.path, "--page").sentence


def test_info_tells_of_a_series(call: Call, hours: Path) -> None:
    known = call("info", hours / "runs" / "waves", "--json").answer
    assert known["trained_on"]["rows"] == 2000
    assert "2,000 rows, 200 held out" in call("info", hours / "runs" / "waves").out
    assert "16 numbers" in call("info", hours / "runs" / "waves").out
    every = call("info", hours / "runs").out
    assert "forecasting" in every
    assert f"{known['scores']['mae']:.4f}" in every


def test_it_goes_on_without_its_table(call: Call, hours: Path) -> None:
    shutil.copy(hours / "waves.csv", "waves.csv")
    assert call("train", "waves.csv", "--steps=6", "--width=16", "--layers=1", "--out=run").code == 0
    Path("waves.csv").unlink()
    assert call("train", "--resume", "run", "--steps=12").code == 0
    log = [json.loads(line) for line in (Path("run") / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log if line["kind"] == "step"] == list(range(1, 13))
    assert call("eval", "run", "--json").answer["patches"] == 25


def test_a_lost_cache_is_made_again_from_the_table(call: Call, hours: Path) -> None:
    shutil.copy(hours / "waves.csv", "waves.csv")
    how = ("--steps=4", "--width=16", "--layers=1", "--out=run")
    assert call("train", "waves.csv", *how).code == 0
    before = call("eval", "run", "--json").answer["mae"]
    (Path("run") / "cache" / "series.safetensors").unlink()
    assert "its rows are not in its cache" in call("eval", "run").sentence
    assert call("train", "waves.csv", "--resume=run", "--steps=5").code == 0
    assert call("eval", "run", "--json").answer["mae"] != before


def test_the_library_refuses_with_the_same_sentence(run: SeriesRun, tmp_path: Path) -> None:
    with pytest.raises(RegardError, match="patches: 0 are not told; give 1 to 10,000"):
        run.predict(tmp_path / "x.csv", patches=0)
