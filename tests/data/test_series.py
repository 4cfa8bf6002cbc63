"""A table of numbers: what is one, what each row holds, and what is refused at which line and column."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from regard.data import waves
from regard.data.open import open_source
from regard.data.series import SeriesSource
from regard.data.text import TextSource
from regard.errors import RegardError


def write(path: Path, lines: list[str], mark: str = ",") -> Path:
    path.write_text("".join(line.replace(",", mark) + "\n" for line in lines))
    return path


def table(path: Path, rows: int = 120, mark: str = ",", **instead: str) -> Path:
    """day, a, b: dates and two columns; line12="..." is what stands in line 12 instead."""
    lines = ["day,a,b", *(f"2024-{1 + k // 28:02}-{1 + k % 28:02},{(k * 7) % 11}.5,{-k}e-1" for k in range(rows))]
    for name, text in instead.items():
        lines[int(name.removeprefix("line")) - 1] = text
    return write(path, lines, mark)


def opened(path: Path, **how: Any) -> SeriesSource:
    source = open_source([str(path)], **how)
    assert isinstance(source, SeriesSource)
    return source


def refusal(path: Path, **how: Any) -> str:
    with pytest.raises(RegardError) as error:
        open_source([str(path)], **how)
    assert len(str(error.value)) <= 300
    return str(error.value)


def expected(rows: int = 120) -> np.ndarray:
    return np.array([[(k * 7) % 11 + 0.5, -k / 10] for k in range(rows)])


@pytest.mark.parametrize(("name", "mark"), [("a.csv", ","), ("a.csv", ";"), ("a.tsv", "\t")])
def test_a_table_of_numbers_is_a_series_and_its_dates_are_left_out(tmp_path: Path, name: str, mark: str) -> None:
    source = opened(table(tmp_path / name, mark=mark))
    assert (source.kind, source.name, source.columns) == ("series", "a", ("a", "b"))
    np.testing.assert_allclose(source.values, expected(), rtol=1e-15)
    assert (source.rows, source.train) == (120, 108)
    assert ("column left out, as it tells the time of a row", ("day",)) in [(n.what, n.places) for n in source.notices]
    assert "120 rows of 2 columns" in source.summary()
    assert "108 rows to learn from, the last 12 held out" in source.summary()


def test_line_ends_quotes_and_a_mark_of_byte_order_change_nothing(tmp_path: Path) -> None:
    plain = opened(table(tmp_path / "a.csv"))
    text = (tmp_path / "a.csv").read_text().replace(",0.5,", '," 0.5",').replace("\n", "\r\n")
    (tmp_path / "b.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert np.array_equal(opened(tmp_path / "b.csv").values, plain.values)
    (tmp_path / "c.csv").write_text((tmp_path / "a.csv").read_text(), encoding="utf-16")
    assert np.array_equal(opened(tmp_path / "c.csv").values, plain.values)


@pytest.mark.parametrize(
    "moment",
    ["2024-01-05 12:30", "2024-01-05T12:30:15.25Z", "5/1/2024", "05.01.24", "12:30", "12:30:10 PM", "2024-Q1",
     "5 Jan 2024", "2024-01", "2024-01-05 00:00:00+02:00"],
)  # fmt: skip
def test_dates_and_times_are_known_as_such(tmp_path: Path, moment: str) -> None:
    lines = ["when,x", *(f"{moment},{k % 7}" for k in range(100))]
    assert opened(write(tmp_path / "a.csv", lines)).columns == ("x",)


def test_a_first_column_that_counts_is_no_series_and_a_second_one_is(tmp_path: Path) -> None:
    both = [f"{k * 3},{k * 2 + 1}" for k in range(100)]
    source = opened(write(tmp_path / "a.csv", [",x", *both]))
    assert source.columns == ("x",)
    np.testing.assert_array_equal(source.values[:, 0], np.arange(100) * 2 + 1)
    alone = opened(write(tmp_path / "b.csv", ["x", *(str(k) for k in range(100))]))
    assert alone.columns == ("x",)


def test_a_number_is_no_date(tmp_path: Path) -> None:
    rows = [f"{12 + k % 5}.{10 + k % 7},{100 + k}.497" for k in range(100)]
    source = opened(write(tmp_path / "a.csv", ["x,y", *rows]))
    assert source.columns == ("x", "y")


def test_what_is_not_numbers_all_through_stays_a_text(tmp_path: Path) -> None:
    for k, line in enumerate(("2024-01-12,1,two", "2024-01-12,1", "2024-01-12,1,2,3", "never,1,2", '2024-01-12,"1,2')):
        path = table(tmp_path / f"{k}.csv", line12=line)
        source = open_source([str(path)])
        assert isinstance(source, TextSource)
        assert source.characters == len(path.read_text())
        said = [notice for notice in source.notices if "plain text, as not all of it is numbers" in notice.what]
        assert f"{path}:12 " in said[0].places[0]
    for text in ("text\nof words\n", "a,b\n", "\n", "a,b\nc,d\n1,2\n"):
        (tmp_path / "poem.csv").write_text(text * 30 + "x")
        source = open_source([str(tmp_path / "poem.csv")])
        assert isinstance(source, TextSource)
        assert not any("numbers" in notice.what for notice in source.notices)


def test_a_gap_does_not_make_a_series_of_what_is_a_text_further_on(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", line5="2024-01-04,,2", line100="2024-04-15,hello,2")
    assert isinstance(open_source([str(path)]), TextSource)


def test_it_is_a_text_where_language_is_asked_or_the_name_says_so(tmp_path: Path) -> None:
    assert isinstance(open_source([str(table(tmp_path / "a.csv"))], task="language"), TextSource)
    assert isinstance(open_source([str(table(tmp_path / "a.txt"))]), TextSource)
    (tmp_path / "several").mkdir()
    for name in ("a.csv", "b.csv"):
        table(tmp_path / "several" / name)
    assert isinstance(open_source([str(tmp_path / "several")]), TextSource)


def test_T03_S03_a_wrong_row_is_refused_at_its_line_where_a_series_is_asked(tmp_path: Path) -> None:
    asked = {"task": "forecasting"}
    assert refusal(table(tmp_path / "a.csv", line12="2024-01-12,1,two"), **asked).startswith(
        f"{tmp_path}/a.csv:12: column 'b' has 'two', which is no number; "
    )
    assert ":7: 2 cells between commas, and the table has 3 columns; " in refusal(
        table(tmp_path / "b.csv", line7="2024-01-06,1"), **asked
    )
    assert ":7: column 'day' has 'soon', which is no date or time; " in refusal(
        table(tmp_path / "c.csv", line7="soon,1,2"), **asked
    )
    assert "c.txt: this is no series of numbers; " in refusal(table(tmp_path / "c.txt"), **asked)
    assert "is not utf-8" in refusal_of_bytes(tmp_path / "d.csv", "day,é\n".encode("latin-1"), **asked).lower()
    skipped = opened(table(tmp_path / "e.csv", line12="2024-01-12,1,two"), skip_bad=True, **asked)
    np.testing.assert_allclose(skipped.values, np.delete(expected(), 10, axis=0), rtol=1e-15)
    assert next(n for n in skipped.notices if n.what == "row(s) skipped").places == (f"{tmp_path}/e.csv:12",)


def refusal_of_bytes(path: Path, content: bytes, **how: Any) -> str:
    path.write_bytes(content)
    return refusal(path, **how)


@pytest.mark.parametrize("cell", ["", "NA", "nan", "null", "-", "inf", "-Infinity", "1e999", "1e101"])
def test_a_missing_number_is_refused_with_line_and_column(tmp_path: Path, cell: str) -> None:
    path = table(tmp_path / "a.csv", line31=f"2024-02-02,{cell},1", line50="2024-02-21,,1")
    assert refusal(path).startswith(f"{path}:31: column 'a' has ")
    assert "--skip-bad" in refusal(path)
    skipped = opened(path, skip_bad=True)
    assert skipped.rows == 118
    assert [n.count for n in skipped.notices if n.what == "row(s) skipped"] == [2]


def test_an_empty_line_within_is_a_missing_row_and_at_the_end_it_is_none(tmp_path: Path) -> None:
    assert ":20: the line is empty; " in refusal(table(tmp_path / "a.csv", line20=""))
    path = table(tmp_path / "b.csv")
    path.write_text("\n" + path.read_text() + "\n\n")
    assert opened(path).rows == 120


@pytest.mark.parametrize("cell", ["1_000", "٣", "0x10", "1.2.3", "twelve"])
def test_only_what_everyone_reads_as_a_number_is_one(tmp_path: Path, cell: str) -> None:
    assert isinstance(open_source([str(table(tmp_path / "a.csv", line9=f"2024-01-09,{cell},1"))]), TextSource)


def test_names_have_to_be_there_once(tmp_path: Path) -> None:
    asked = {"task": "forecasting"}
    numbers = [f"{k % 3},{k % 5}" for k in range(120)]
    assert ":1: the first line holds numbers and no names; " in refusal(write(tmp_path / "a.csv", numbers), **asked)
    headless = open_source([str(tmp_path / "a.csv")])
    assert isinstance(headless, TextSource)
    assert any("the first line holds numbers" in place for notice in headless.notices for place in notice.places)
    assert "stands twice" in refusal(write(tmp_path / "b.csv", ["x,x", *numbers]), **asked)
    assert "a column has none" in refusal(write(tmp_path / "c.csv", ["x,", *numbers]), **asked)
    assert "no row of numbers" in refusal(write(tmp_path / "d.csv", ["x,y"]), **asked)


def test_too_few_rows_are_refused_with_how_many_there_should_be(tmp_path: Path) -> None:
    assert refusal(table(tmp_path / "a.csv", rows=99)).startswith(
        f"{tmp_path}/a.csv: 99 rows of numbers leave nothing to learn from; give 100 or more"
    )
    assert opened(table(tmp_path / "b.csv", rows=100)).rows == 100
    assert opened(table(tmp_path / "c.csv", rows=3), scoring=True, task="forecasting").rows == 3


def test_rows_that_go_back_in_time_are_refused(tmp_path: Path) -> None:
    lines = (table(tmp_path / "a.csv")).read_text().splitlines()
    backwards = write(tmp_path / "b.csv", [lines[0], *reversed(lines[1:])])
    assert "its rows go back in time, from '2024-05-08' to '2024-01-01'; sort them" in refusal(backwards)


def test_a_stream_is_a_text_and_refused_where_a_series_is_asked(tmp_path: Path) -> None:
    import os
    import threading

    os.mkfifo(tmp_path / "a.csv")
    text = table(tmp_path / "b.csv").read_text()
    writer = threading.Thread(target=lambda: (tmp_path / "a.csv").write_text(text))
    writer.start()
    assert "what comes in a stream is read as text" in refusal(tmp_path / "a.csv", task="forecasting")
    writer.join()


def test_R15_the_fingerprint_tells_another_table(tmp_path: Path) -> None:
    source = opened(table(tmp_path / "a.csv"))
    known = source.fingerprint()
    assert opened(table(tmp_path / "a.csv")).differs(known) is None
    changed = opened(table(tmp_path / "a.csv", line20="2024-01-19,3.5,-18e-1"))
    assert "a.csv has" in str(changed.differs(known))


def test_waves_are_a_function_of_seed_and_row_and_swing_by_day_and_week(tmp_path: Path) -> None:
    short, long = waves.waves(300, 1), waves.waves(3000, 1)
    np.testing.assert_array_equal(short, long[:300])
    assert not np.array_equal(short, waves.waves(300, 2))
    spectrum = np.abs(np.fft.rfft(long[: 168 * 17, 0] - long[: 168 * 17, 0].mean()))
    assert set(np.argsort(spectrum)[-3:]) >= {17, 17 * 7}  # a week and a day
    assert waves.main([str(tmp_path / "w.csv"), "--rows", "300", "--seed", "1"]) == 0
    source = opened(tmp_path / "w.csv")
    assert source.columns == waves.COLUMNS
    np.testing.assert_array_equal(source.values, short)


def test_waves_refuse_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "w.csv").write_text("mine")
    assert waves.main([str(tmp_path / "w.csv")]) == 2
    assert (tmp_path / "w.csv").read_text() == "mine"
    assert waves.main([str(tmp_path / "v.csv"), "--rows", "0"]) == 2
    assert waves.main([str(tmp_path / "v.csv"), "--rows", "many"]) == 2
    assert all(line.startswith("regard: ") and "; " in line for line in capsys.readouterr().err.splitlines())
