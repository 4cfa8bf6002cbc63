"""The next patch of a series: how rows become tokens, what is learnt from them, and how far a forecast is off."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from regard.data import waves
from regard.data.open import open_source
from regard.errors import RegardError
from regard.session import task_of
from regard.tasks.series import Forecasting
from regard.tasks.series_patches import FLOOR, Patches, Scale, Windows, patches
from regard.tasks.series_plan import choose_cut, held_back
from regard.tasks.series_rows import Series, open_rows, write_rows
from regard.tasks.series_scores import Errors, Forecasts, best_period, seasonal
from regard.training.average import evaluating
from regard.training.plan import Plan
from regard.training.ranks import Ranks

CPU = torch.device("cpu")
SETTINGS: dict[str, Any] = {
    "seed": 0, "patch": 3, "context": 5, "monitor": 0.0, "width": 16, "layers": 1, "heads": 2, "key_value_heads": 2,
    "head_width": 8, "feed_forward": 32, "dropout": 0.0, "attention": "unfused", "average": 0.9,
}  # fmt: skip


def walk(rows: int, columns: int = 2, seed: int = 0) -> np.ndarray:
    """(rows, columns) a random walk, the columns of very different sizes and places."""
    steps = np.random.default_rng(seed).normal(size=(rows, columns))
    return np.cumsum(steps, axis=0) * 10.0 ** np.arange(columns) + 1000.0 * np.arange(columns)


def series(rows: int = 200, train: int = 150) -> Series:
    return Series(walk(rows), train, ("a", "b"))


def task(**settings: Any) -> Forecasting:
    return Forecasting(series(), {**SETTINGS, **settings}, Ranks())


def test_a_scale_is_mean_and_deviation_and_its_inverse_gives_the_numbers_back() -> None:
    values = walk(50, 3)
    values[:, 1] = 7.25
    scale = Scale.of(values)
    for column in (0, 2):
        mean = sum(values[:, column]) / 50
        assert scale.mean[column] == pytest.approx(mean, rel=1e-12)
        square = sum((x - mean) ** 2 for x in values[:, column]) / 50
        assert scale.deviation[column] == pytest.approx(square**0.5, rel=1e-12)
    assert scale.deviation[1] == 1.0  # nothing moves
    np.testing.assert_allclose(scale.grown(scale.shrunk(values)), values, rtol=1e-12)
    again = Scale.from_json(scale.to_json())
    np.testing.assert_array_equal([again.mean, again.deviation], [scale.mean, scale.deviation])


def slow(rows: np.ndarray, patch: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbers, last rows and deviations of one window's patches, (n, patch, columns), one number after another."""
    n, columns = len(rows) // patch, rows.shape[1]
    numbers, last, deviation = np.zeros((n, patch, columns)), np.zeros((n, columns)), np.zeros((n, columns))
    for k in range(n):
        for c in range(columns):
            known = [rows[r, c] for r in range((k + 1) * patch)]
            mean = sum(known) / len(known)
            deviation[k, c] = max((sum((x - mean) ** 2 for x in known) / len(known)) ** 0.5, FLOOR)
            last[k, c] = known[-1]
            for r in range(patch):
                numbers[k, r, c] = (rows[k * patch + r, c] - mean) / deviation[k, c]
    return numbers, last, deviation


def test_patches_are_cut_and_counted_as_a_slow_loop_does() -> None:
    rows = Scale.of(walk(60, 3)).shrunk(walk(60, 3))
    windows = np.stack([rows[:28], rows[9:37], np.full((28, 3), 0.5)])
    found = Patches.of(windows, 4)
    assert found.numbers.shape == (3, 7, 4, 3)
    for k, window in enumerate(windows):
        numbers, last, deviation = slow(window, 4)
        np.testing.assert_allclose(found.numbers[k], numbers, atol=1e-9)
        np.testing.assert_allclose(found.last[k, :, 0], last, atol=1e-12)
        np.testing.assert_allclose(found.deviation[k, :, 0], deviation, atol=1e-9)
    tokens = found.tokens(CPU)
    assert tokens.tokens.shape == (3, 7, 12)
    assert tokens.mask.kind == "causal"
    np.testing.assert_allclose(tokens.tokens[1, 2], found.numbers[1, 2].ravel(), rtol=1e-6)


def test_no_number_of_a_token_knows_a_later_row() -> None:
    rows = Scale.of(walk(60)).shrunk(walk(60))[None, :24]
    later = rows.copy()
    later[:, 16:] += 3.0
    before, after = Patches.of(rows, 4), Patches.of(later, 4)
    np.testing.assert_array_equal(before.numbers[:, :4], after.numbers[:, :4])
    np.testing.assert_array_equal(before.deviation[:, :4], after.deviation[:, :4])
    assert not np.allclose(before.numbers[:, 4:], after.numbers[:, 4:])


def test_what_the_model_says_becomes_the_rows_that_it_was_aimed_at() -> None:
    rows = Scale.of(walk(60)).shrunk(walk(60))
    seen, following = Windows(rows, 4, 5).take(np.array([0, 7, 36]))
    for k, start in enumerate((0, 7, 36)):
        np.testing.assert_array_equal(following[k].reshape(-1, 2), rows[start + 4 : start + 24])
    said = seen.targets(following, CPU)
    assert said.shape == (3, 5, 8)
    np.testing.assert_allclose(seen.rows(said), following, atol=1e-5)
    np.testing.assert_allclose(seen.rows(said[:, -1:]), following[:, -1:], atol=1e-5)
    at_rest = seen.rows(torch.zeros(3, 1, 8))
    np.testing.assert_allclose(at_rest[1, 0], np.repeat(rows[7 + 19][None], 4, axis=0), atol=1e-12)  # as it was


def test_every_place_of_a_window_is_an_example_and_none_reaches_too_far() -> None:
    rows = np.arange(40.0)[:, None]
    windows = Windows(rows, 3, 5)
    assert len(windows) == 40 - 18 + 1
    _, following = windows.take(np.array([len(windows) - 1]))
    assert following[0, -1, -1, 0] == 39.0
    assert patches(rows[None, :6], 3).tolist() == [[[[0.0], [1.0], [2.0]], [[3.0], [4.0], [5.0]]]]


def test_the_loss_is_hubers_of_every_patch_from_those_before_it() -> None:
    asked = task()
    model = asked.build(SETTINGS)
    asked.first_weights(model)
    torch.nn.init.normal_(model.output.matrix, std=0.5)  # so that errors lie on both sides of 1
    ids = np.array([[0, 3], [1, 90]])
    batch = asked.batch(ids, np.random.default_rng(0))
    total, count = asked.loss(model, batch, model)
    assert int(count) == 2 * 5
    expected, small, large = 0.0, 0, 0
    for _, start in ids:
        rows = asked.series.rows[start : start + 18]
        for position in range(5):
            numbers, last, deviation = slow(rows[: 3 * (position + 1)], 3)
            sequence = Patches(numbers[None], last[None, :, None], deviation[None, :, None]).tokens(CPU)
            said = model(sequence)[0, -1].detach().numpy().reshape(3, 2)
            for r in range(3):
                for c in range(2):
                    aim = (rows[3 * (position + 1) + r, c] - last[-1, c]) / deviation[-1, c]
                    off = abs(float(said[r, c]) - aim)
                    small, large = small + (off <= 1), large + (off > 1)
                    expected += (0.5 * off**2 if off <= 1 else off - 0.5) / 6
    assert min(small, large) > 5
    assert float(total.detach()) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("patch", "period"), [(4, 1), (4, 2), (4, 3), (4, 4), (4, 7), (1, 1), (5, 24)])
def test_the_seasonal_forecast_copies_the_latest_known_row_of_the_same_phase(patch: int, period: int) -> None:
    rows = walk(80)
    starts = np.array([30, 41, 76 - patch])
    found = seasonal(rows, starts, patch, period)
    for k, start in enumerate(starts):
        for r in range(patch):
            at = start + r
            while at >= start:
                at -= period
            np.testing.assert_array_equal(found[k, r], rows[at])


def test_errors_are_those_of_a_loop_and_in_each_columns_own_units() -> None:
    scale, said, truth = Scale.of(walk(90)), walk(12, seed=1).reshape(3, 4, 2), walk(12, seed=2).reshape(3, 4, 2)
    found = Errors.of(said, truth).summed(Ranks()).scores(("a", "b"), scale)
    mae, mse = [], []
    for c, name in enumerate("ab"):
        off = [said[k, r, c] - truth[k, r, c] for k in range(3) for r in range(4)]
        mae.append(sum(map(abs, off)) / 12)
        mse.append(sum(x * x for x in off) / 12)
        assert found["per_column"][name]["mae"] == pytest.approx(mae[-1] * scale.deviation[c])
        assert found["per_column"][name]["mse"] == pytest.approx(mse[-1] * scale.deviation[c] ** 2)
    assert (found["mae"], found["mse"]) == (pytest.approx(np.mean(mae)), pytest.approx(np.mean(mse)))


def test_the_period_is_the_one_whose_copy_is_off_least() -> None:
    hours = np.arange(600)
    rows = np.stack([np.sin(2 * np.pi * hours / 24), np.cos(2 * np.pi * hours / 12)], axis=1)
    noisy = rows + np.random.default_rng(0).normal(scale=0.1, size=rows.shape)
    assert best_period(rows, 8) == 24
    assert best_period(noisy, 8) % 24 == 0
    rows[:, 1] = 0
    assert best_period(np.roll(rows, 5, axis=0), 40) == 24  # shorter than a patch


def test_scores_are_of_the_whole_held_out_patches_each_from_its_own_context() -> None:
    asked = task()
    model = asked.build(SETTINGS)
    asked.first_weights(model)
    starts = asked.held_out
    assert starts.tolist() == list(range(150, 198, 3))
    rows, scale = asked.series.rows, asked.series.scale
    off = []
    with evaluating(model):
        for start in starts:
            given = Patches.of(rows[None, start - 15 : start], 3)
            said = given.rows(model(given.tokens(CPU))[:, -1:])[0, 0]
            off.append(said - rows[start : start + 3])
    scores = asked.evaluate(model)
    assert scores["mae"] == pytest.approx(np.abs(off).mean(), rel=1e-5)
    assert scores["mse"] == pytest.approx((np.array(off) ** 2).mean(), rel=1e-5)
    assert scores["per_column"]["b"]["mae"] == pytest.approx(np.abs(off)[..., 1].mean() * scale.deviation[1], rel=1e-5)
    assert (scores["patches"], scores["patch"]) == (16, 3)
    last = np.abs(rows[starts - 1][:, None] - np.stack([rows[s : s + 3] for s in starts])).mean()
    assert scores["baselines"]["last_value"]["mae"] == pytest.approx(last)
    period = scores["baselines"]["seasonal_naive"]["period"]
    assert period == asked.forecasts.period == best_period(rows[:150], 3)
    shares = [asked.forecasts.errors(model, rows, starts[rank::3], Ranks()) for rank in range(3)]
    assert sum(one.absolute.sum() for one in shares) / 96 == pytest.approx(scores["mae"], rel=1e-5)


def test_what_chooses_the_best_checkpoint_is_neither_learnt_nor_held_out() -> None:
    asked = task(monitor=0.1)
    assert asked.learnt == 135
    assert len(asked.examples) == 135 - 18 + 1
    model = asked.build(SETTINGS)
    asked.first_weights(model)
    starts = asked.forecasts.starts(135, 150)
    assert starts.tolist() == list(range(135, 148, 3))
    expected = asked.forecasts.errors(model, asked.series.rows, starts, Ranks()).mae
    assert asked.monitor(model) == pytest.approx(expected)
    assert task().monitor(model) is None
    assert held_back(100, 30, 0.1) == 30


def test_the_rows_are_kept_to_the_bit_and_damage_is_seen(tmp_path: Path) -> None:
    (tmp_path / "w.csv").write_text(waves.table_of(waves.waves(200, 1)))
    source = open_source([str(tmp_path / "w.csv")])
    assert open_rows(tmp_path) is None
    write_rows(source, tmp_path)  # type: ignore[arg-type]
    found = open_rows(tmp_path)
    assert found is not None
    np.testing.assert_array_equal(found.values, waves.waves(200, 1))
    assert (found.train, found.columns) == (180, waves.COLUMNS)
    np.testing.assert_allclose(found.scale.mean, waves.waves(200, 1)[:180].mean(axis=0))
    file = tmp_path / "cache" / "series.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    assert open_rows(tmp_path) is None
    with pytest.raises(RegardError, match="the run's rows are incomplete; give the training command again"):
        task_of("series").open(tmp_path, SETTINGS, Ranks(), None)


def test_the_cut_fits_the_rows_and_what_does_not_is_refused() -> None:
    plan = Plan({})
    period = choose_cut(plan, Series(waves.waves(4000, 1), 3600, waves.COLUMNS))
    assert (plan["patch"], period % 24) == (8, 0)
    assert plan["context"] * 8 >= 2 * period
    short = Plan({})
    choose_cut(short, series(100, 90))
    assert (short["context"] + 1) * short["patch"] <= 81
    wide = Plan({})
    choose_cut(wide, Series(walk(1000, 1)[:, [0] * 600], 900, tuple(map(str, range(600)))))
    assert wide["patch"] == 1
    with pytest.raises(RegardError, match=r"^--patch: 60 rows are more than .*; give 50 or less"):
        choose_cut(Plan({"patch": 60}), series())
    with pytest.raises(RegardError, match=r"^--context: 50 patches of 3 rows and one more are not there: 150 rows"):
        choose_cut(Plan({"patch": 3, "context": 50}), series())


def test_forecasts_need_all_that_is_looked_at_before_them() -> None:
    asked = Forecasts(4, 5, ("a",), Scale.of(walk(50, 1)), 24)
    assert asked.before == 24
    assert asked.starts(0, 40).tolist() == [24, 28, 32, 36]
    assert asked.starts(30, 40).tolist() == [30, 34]
    assert len(asked.starts(0, 27)) == 0
