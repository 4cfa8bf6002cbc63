"""Tables to rows: the same cells however they are written; what is wrong is told at its line."""

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regard.data.rows import Wrong
from regard.data.table import has_columns, is_table, rows_of
from regard.errors import RegardError

WANTED = ("text", "label")
CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), max_size=20)


def read(text: str, name: str, size: int = 7) -> list[tuple[int, object]]:
    """Handed in in small pieces."""
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    return [(number, str(row.what) if isinstance(row, Wrong) else row) for number, row in rows_of(pieces, name, WANTED)]


def as_csv(rows: list[tuple[str, ...]], mark: str = ",") -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=mark, lineterminator="\n").writerows([("n", "text", "label"), *rows])
    return out.getvalue()


@given(cells=st.lists(st.tuples(CELLS, CELLS), max_size=5), mark=st.sampled_from([",", ";"]))
def test_what_pythons_csv_writes_is_read(cells: list[tuple[str, str]], mark: str) -> None:
    text = as_csv([(str(k), *pair) for k, pair in enumerate(cells)], mark)
    assert [row for _, row in read(text, "x.csv")] == cells


@given(cells=st.lists(st.tuples(CELLS, CELLS), max_size=5))
def test_what_json_writes_is_read(cells: list[tuple[str, str]]) -> None:
    text = "".join(json.dumps({"label": b, "more": [1], "text": a}) + "\n" for a, b in cells)
    assert [row for _, row in read(text, "x.jsonl")] == cells


def test_columns_go_by_their_names_and_blank_lines_are_none() -> None:
    assert read("label\ttext\n\na\tone\n \nb\ttwo", "X.TSV") == [(3, ("one", "a")), (5, ("two", "b"))]
    assert read(" text ;label\none, two;a\n", "x.csv") == [(2, ("one, two", "a"))]
    assert read('{"text": "t", "label": 3}\n', "x.ndjson") == [(1, ("t", 3))]
    assert read("", "x.csv") == read("\n\n", "x.tsv") == []


def test_S02_only_a_line_feed_ends_a_line() -> None:
    odd = "a\u2028b\x85c\x0bd\x0ce\x1cf"
    assert read(f"text\tlabel\n{odd}\tx\n", "x.tsv") == [(2, (odd, "x"))]
    assert read(f"text,label\n{odd},x\n", "x.csv") == [(2, (odd, "x"))]


@pytest.mark.parametrize(("name", "mark", "word"), [("x.csv", ",", "commas"), ("x.tsv", "\t", "tabs")])
def test_S03_rows_with_too_few_or_too_many_cells_are_wrong_at_their_line(name: str, mark: str, word: str) -> None:
    text = "\n".join(mark.join(row) for row in [("text", "label"), ("a", "b"), ("a",), ("a", "b", "c"), ("d", "e")])
    assert read(text, name) == [
        (2, ("a", "b")),
        (3, f"1 cell between {word}, and the table has 2 columns"),
        (4, f"3 cells between {word}, and the table has 2 columns"),
        (5, ("d", "e")),
    ]


def test_S04_a_quotation_mark_that_is_never_closed_takes_no_row_with_it() -> None:
    many = [f"text {k},x" for k in range(30)]
    found = read("\n".join(["text,label", '"open,x', *many]), "x.csv")
    assert found[0] == (2, "a quotation mark opens here and none closes it")
    assert [row for _, row in found[1:]] == [(f"text {k}", "x") for k in range(30)]
    assert found[-1][0] == 32
    short = read('text,label\n"open,x\nb,y\n', "x.csv")
    assert [number for number, _ in short] == [2, 3]
    assert read("text,label\n" + '"' + "long" * 300_000 + "\n" + "b,y\n", "x.csv", 1 << 16)[1:] == [(3, ("b", "y"))]


def test_S04_many_open_quotation_marks_cost_no_depth() -> None:
    block = ['"open,x', *[f"{k},y" for k in range(25)]]
    found = read("\n".join(["text,label", *block * 3000]), "x.csv", 1 << 16)
    assert sum(isinstance(row, str) for _, row in found) == 3000
    assert len(found) == 3000 * 26


def test_S04_a_text_of_several_lines_is_one_cell_and_tsv_knows_no_quotation() -> None:
    assert read('text,label\n"a\n\n""b"", c",x\nd,y\n', "x.csv") == [(2, ('a\n\n"b", c', "x")), (5, ("d", "y"))]
    assert read('text\tlabel\n"a\tx\nb"\ty\n', "x.tsv") == [(2, ('"a', "x")), (3, ('b"', "y"))]
    stray = read('text,label\n5" wide,x\n6" wide,y\n', "x.csv")
    assert [number for number, _ in stray] == [2]
    assert "quotation mark" in str(stray[0][1])


def test_S08_cells_of_a_megabyte_are_read_and_pythons_limit_stays_as_it_was() -> None:
    before, long = csv.field_size_limit(), "x" * 1_000_000
    assert read(f'text,label\n"{long}",a\n', "x.csv", 1 << 16) == [(2, (long, "a"))]
    assert csv.field_size_limit() == before


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("[1]", "no object but list"),
        ('{"text": "a"}', "no key 'label'; there are: text"),
        ('{"text": null, "label": "a"}', "the value of 'text' is no string but NoneType"),
        ('{"text": "a", "label": 1.5}', "the value of 'label' is no string but float"),
        ('{"text": "a", "label": true}', "no string but bool"),
        ('{"text": "\\ud800", "label": "a"}', "half a surrogate pair"),
        ('{"text": "a", "label": "a"', "broken JSON"),
    ],
)
def test_T09_T10_rows_of_json_that_are_wrong(line: str, said: str) -> None:
    (good, wrong) = read('{"text": "a", "label": "b"}\n' + line, "x.jsonl")
    assert good == (1, ("a", "b"))
    assert wrong[0] == 2
    assert said in str(wrong[1])


def test_S05_a_table_without_the_columns_is_refused_with_its_first_line() -> None:
    another = "name the columns so in the first line, or that of the text with --text-key"
    for text, name, words in [
        ("text,class\na,b", "x.csv", "no column 'label' among text, class; name the columns so in the first line"),
        ("text,label", "x.tsv", f"no column 'text' and none 'label' among text,label; {another}"),
        ("review;label\n", "x.csv", f"no column 'text' among review, label; {another}"),
        ('"a\n', "x.csv", f"no column 'text' and none 'label' among none; {another}"),
        ("text,text,label\n", "x.csv", "the column 'text' stands twice; give each column a name of its own"),
        ("Text,TEXT,label\n", "x.csv", f"no column 'text' among Text, TEXT, label; {another}"),
    ]:
        assert not has_columns(name, text, WANTED)
        with pytest.raises(RegardError) as caught:
            read(text, name)
        assert str(caught.value) == f"{name}:1: {words}"


def test_S05_names_of_columns_and_keys_may_be_in_capitals() -> None:
    for text, name in [("Text, LABEL\na,b", "x.csv"), ("lABEL\tText\nb\ta", "x.tsv"), ('"Label";"text"\nb;a', "x.csv")]:
        assert has_columns(name, text, WANTED)
        assert read(text, name) == [(2, ("a", "b"))]
    assert has_columns("x.jsonl", '{"Text": "a", "Label": "b"}\n', WANTED)
    assert read('{"Text": "a", "Label ": "b"}\n{"text": "c", "Label": 3}', "x.jsonl") == [
        (1, ("a", "b")),
        (2, ("c", 3)),
    ]


def test_S05_an_exact_name_wins_over_others_that_differ_in_capitals() -> None:
    assert read("Text,text,TEXT,Label\n1,2,3,4\n", "x.csv") == [(2, ("2", "4"))]
    assert read('{"Text": "1", "text": "2", "label": "3", "LABEL": "4"}', "x.jsonl") == [(1, ("2", "3"))]
    ((_, wrong),) = read('{"Text": "1", "TEXT": "2", "label": "3"}', "x.jsonl")
    assert wrong == "no key 'text'; there are: Text, TEXT, label"


def test_whether_a_file_has_the_columns_is_seen_from_its_beginning() -> None:
    assert has_columns("x.csv", "\nlabel,text\n", WANTED)
    assert has_columns("x.csv", '"label";"text"\n', WANTED)
    assert has_columns("x.jsonl", '{"text": "a", "label": "b"}\n{', WANTED)
    assert not has_columns("x.jsonl", '{"text": "a"}\n', WANTED)
    assert not has_columns("x.jsonl", '{"text": "a', WANTED)
    assert not has_columns("x.csv", "", WANTED)
    assert is_table("a/B.CSV")
    assert not is_table("a.txt")
