"""Rows of jsonl are read strictly; what is wrong is refused at its line, or skipped and counted."""

import json
from pathlib import Path

import pytest

from regard.data import rows
from regard.data.open import open_source
from regard.data.text import TextSource
from regard.errors import RegardError

GOOD = '{"text": "a good row of words"}\n'


def opened(path: Path, content: str, **options: object) -> TextSource:
    path.write_text(content, encoding="utf-8")
    return open_source([str(path)], **options)  # type: ignore[arg-type]


def texts(source: TextSource) -> list[str]:
    return ["".join(document) for document in source.texts("all")]


def test_each_row_is_a_document_and_blank_lines_are_none(tmp_path: Path) -> None:
    content = '{"text": "one\\r\\ntwo", "id": 7}\n\n  \t\r\n{"id": 8, "text": "日 \\u2028 three"}\r\n'
    content += '{"text": " "}\n{"text": "x"}'
    source = opened(tmp_path / "a.jsonl", content)
    assert texts(source) == ["one\ntwo", "日 \u2028 three", "x"]
    assert source.documents == 3
    assert "1 document of white space alone skipped" in map(str, source.notices)
    assert "1 line end CR LF made LF" in map(str, source.notices)


def test_another_key_can_be_named(tmp_path: Path) -> None:
    assert texts(opened(tmp_path / "a.ndjson", '{"body": "b", "text": "t"}', text_key="body")) == ["b"]


WRONG = {
    "T09 broken JSON": ('{"text": "a}', "broken JSON at column 10"),
    "T09 trailing half line": ('{"text": "a"', "broken JSON at column 13"),
    "T09 no text key": (
        '{"body": "a", "id": 3}',
        "no key 'text'; there are: body, id; name the right one with --text-key",
    ),
    "T09 no keys": ("{}", "no key 'text'; there are: none"),
    "T09 value no string": ('{"text": 7}', "the value of 'text' is no string but int"),
    "T09 value null": ('{"text": null}', "the value of 'text' is no string but NoneType"),
    "T09 no object": ('"text"', "the line is no object but str"),
    "T09 an array": ('["text"]', "the line is no object but list"),
    "T10 duplicate keys": ('{"text": "a", "text": "b"}', "the key 'text' stands twice"),
    "T10 duplicate keys within": ('{"text": "a", "x": {"k": 1, "k": 2}}', "the key 'k' stands twice"),
    "T10 NaN": ('{"text": "a", "x": NaN}', "NaN is no JSON"),
    "T10 infinity": ('{"text": "a", "x": -Infinity}', "-Infinity is no JSON"),
    "T10 5,000 digits": ('{"text": "a", "x": ' + "9" * 5000 + "}", "JSON that cannot be read (Exceeds the limit"),
    "T10 deep": ('{"text": "a", "x": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested deeper than 64"),
    "T10 deep, open": ("[" * 100_000, "nested deeper than 64"),
    "T10 surrogate": ('{"text": "a\\ud800"}', "the text holds half a surrogate pair"),
    "control character": ('{"text": "a\tb"}', "broken JSON at column 12"),
}


@pytest.mark.parametrize("case", WRONG)
def test_T09_T10_a_bad_row_is_refused_at_its_line(case: str, tmp_path: Path) -> None:
    row, what = WRONG[case]
    with pytest.raises(RegardError) as refusal:
        opened(tmp_path / "a.jsonl", GOOD * 2 + "\n" + row)
    assert refusal.value.where == f"{tmp_path}/a.jsonl:4"
    assert what in f"{refusal.value.what}; {refusal.value.do}"
    assert len(str(refusal.value)) <= 300


@pytest.mark.parametrize("case", WRONG)
def test_T09_T10_a_bad_row_is_skipped_and_counted_where_allowed(case: str, tmp_path: Path) -> None:
    source = opened(tmp_path / "a.jsonl", GOOD + WRONG[case][0] + "\n" + GOOD, skip_bad=True)
    assert texts(source) == ["a good row of words"] * 2
    assert f"1 bad row skipped ({tmp_path}/a.jsonl:2)" in map(str, source.notices)
    assert source.notices[0].count == 1


def test_T09_a_file_that_is_one_array_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(
        RegardError, match=r"a.jsonl:1: the file is one array; write one object a line, as `jq -c '\.\[\]'`"
    ):
        opened(tmp_path / "a.jsonl", '[{"text": "a"}]')


def test_T09_an_array_over_many_lines_is_refused_at_the_first(tmp_path: Path) -> None:
    with pytest.raises(RegardError, match=r"a.jsonl:1: broken JSON"):
        opened(tmp_path / "a.jsonl", '[\n{"text": "a"},\n{"text": "b"}\n]\n')


def test_T09_a_bad_row_inside_a_folder_is_refused_too(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("words\n")
    (tmp_path / "a.jsonl").write_text(GOOD + "{")
    with pytest.raises(RegardError, match=r"a.jsonl:2: broken JSON"):
        open_source([str(tmp_path)])


def test_T10_deep_is_counted_in_brackets_not_in_strings(tmp_path: Path) -> None:
    text = "[" * 500 + '"{\\'
    assert texts(opened(tmp_path / "a.jsonl", json.dumps({"text": text}))) == [text]
    row = json.dumps({"text": "a", "many": [[]] * 500, "deep": json.loads("[" * 63 + "]" * 63)})
    assert texts(opened(tmp_path / "a.jsonl", row)) == ["a"]


def test_T10_a_line_over_64_MB_is_refused_and_not_kept_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert rows.LONGEST == 64 << 20
    monkeypatch.setattr(rows, "LONGEST", 3 << 20)
    long = json.dumps({"text": "a" * (4 << 20)})
    with pytest.raises(RegardError, match=r"a.jsonl:2: the line is over 3 MB long"):
        opened(tmp_path / "a.jsonl", GOOD + long + "\n" + GOOD)
    source = opened(tmp_path / "a.jsonl", GOOD + long + "\n" + GOOD + long, skip_bad=True)
    assert texts(source) == ["a good row of words"] * 2
    assert source.notices[1].places == (f"{tmp_path}/a.jsonl:2", f"{tmp_path}/a.jsonl:4")


def test_rows_under_another_name_are_text_and_that_is_said(tmp_path: Path) -> None:
    source = opened(tmp_path / "a.txt", GOOD * 3)
    assert texts(source) == [GOOD * 3]
    assert any("1 file of JSON rows taken as plain text" in str(notice) for notice in source.notices)
