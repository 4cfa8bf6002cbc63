"""Labelled texts: which files are such, what they hold, what is held out, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from regard.data.class_split import HELD_OUT, TRAIN
from regard.data.labelled_text import LabelledTextSource
from regard.data.open import open_source
from regard.data.text import TextSource
from regard.errors import RegardError

WORDS = {"de": "der die das", "en": "the a an", "fr": "le la les"}


def rows(count: int = 20, start: int = 0) -> list[tuple[str, str]]:
    """(text, label), all texts different."""
    return [(f"{WORDS[label]} {k + start}", label) for k in range(count) for label in WORDS]


def table(path: Path, content: list[tuple[str, Any]]) -> Path:
    """As .csv, .tsv or .jsonl; texts must not need quotation."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps({"text": a, "label": b}) + "\n" for a, b in content))
    else:
        mark = "," if path.suffix == ".csv" else "\t"
        path.write_text("".join(mark.join(map(str, row)) + "\n" for row in [("text", "label"), *content]))
    return path


def folders(root: Path, content: list[tuple[str, str]]) -> Path:
    """A file a text, in its class's folder."""
    for k, (text, label) in enumerate(content):
        (root / label).mkdir(parents=True, exist_ok=True)
        (root / label / f"{k:03}.txt").write_text(text)
    return root


def opened(*paths: Path, **how: Any) -> LabelledTextSource:
    source = open_source([str(path) for path in paths], **how)
    assert isinstance(source, LabelledTextSource)
    return source


def texts(source: LabelledTextSource, part: str = "all") -> list[str]:
    return ["".join(text) for text in source.texts(part)]


def held(source: LabelledTextSource) -> list[tuple[str, str]]:
    return [(text, source.classes[label]) for text, label, part in
            zip(texts(source), source.labels, source.parts, strict=True) if part == HELD_OUT]  # fmt: skip


def refusal(*paths: Path, **how: Any) -> str:
    with pytest.raises(RegardError) as error:
        open_source([str(path) for path in paths], **how)
    return str(error.value)


def said(source: LabelledTextSource, word: str) -> int:
    return next((notice.count for notice in source.notices if word in str(notice)), -1)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl"])
def test_a_table_with_text_and_label_is_labelled_texts(tmp_path: Path, suffix: str) -> None:
    source = opened(table(tmp_path / f"x{suffix}", rows()))
    assert (source.kind, source.name, source.count, source.classes) == ("labelled_text", "x", 60, ("de", "en", "fr"))
    assert texts(source) == [text for text, _ in rows()]
    assert [source.classes[k] for k in source.labels] == [label for _, label in rows()]
    assert texts(source, "train") == [t for t, p in zip(texts(source), source.parts, strict=True) if p == TRAIN]
    assert source.characters == sum(len(text) for text, _ in rows())
    assert source.train_characters == sum(map(len, texts(source, "train")))
    assert max(map(len, source.summary().splitlines())) <= 80
    assert "60 texts in 3 classes" in source.summary()


def test_where_one_part_is_given_a_tenth_of_each_class_is_held_out_whatever_the_order(tmp_path: Path) -> None:
    source = opened(table(tmp_path / "x.csv", rows()))
    assert sorted(label for _, label in held(source)) == ["de"] * 2 + ["en"] * 2 + ["fr"] * 2
    again = opened(table(tmp_path / "y.jsonl", rows()[::-1]))
    assert sorted(held(again)) == sorted(held(source))


def test_what_is_asked_decides_between_labels_and_a_corpus(tmp_path: Path) -> None:
    path = table(tmp_path / "x.jsonl", rows())
    corpus = open_source([str(path)], task="language")
    assert isinstance(corpus, TextSource)
    assert corpus.documents == 60
    alone = tmp_path / "y.jsonl"
    alone.write_text("".join(json.dumps({"text": text}) + "\n" for text, _ in rows()))
    assert isinstance(open_source([str(alone)]), TextSource)
    root = folders(tmp_path / "z", rows())
    unasked = open_source([str(root)])
    assert isinstance(unasked, TextSource)
    assert [(one.count, one.places) for one in unasked.notices if "--task classification" in one.what] == [
        (3, ("de", "en", "fr"))]  # fmt: skip
    assert not any("--task" in one.what for one in open_source([str(root)], task="language").notices)
    assert not any("--task" in one.what for one in open_source([str(root / "de")]).notices)
    source = opened(root, task="classification")
    assert source.classes == ("de", "en", "fr")
    assert sorted(texts(source)) == sorted(text for text, _ in rows())
    assert {text.split()[0]: source.classes[k] for text, k in zip(texts(source), source.labels, strict=True)} == {
        "der": "de", "the": "en", "le": "fr"}  # fmt: skip


def told(*paths: Path, **how: Any) -> list[str]:
    """What is said of classes where no such source is opened."""
    source = open_source([str(path) for path in paths], **how)
    assert isinstance(source, TextSource)
    return [str(one) for one in source.notices if "as classes" in str(one)]


def test_T09_a_table_that_is_no_classes_yet_is_said_with_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    path.write_text("review,sentiment\ngood film,pos\nbad film,neg\n")
    names = f"({path}: review | sentiment)"
    way = "as classes with columns named text (or --text-key) and label"
    assert told(path) == [f"1 table as plain text; {way} {names}"]
    assert told(path, task="language") == told(path, scoring=True) == []
    columns = "no column 'text' and none 'label' among review, sentiment"
    do = "name the columns so in the first line, or that of the text with --text-key"
    assert refusal(path, task="classification") == f"{path}:1: {columns}; {do}"
    assert "no column 'label' among review, sentiment; name the columns so in the first line" in refusal(
        path, task="classification", text_key="review")  # fmt: skip
    path.write_text("one column\nof sentences\n")
    assert told(path) == []
    path.write_text("id,number,note\n1,2,3\n2,3,four\n")  # begins with numbers, of which more is said
    assert told(path) == []
    rows_ = tmp_path / "rows.jsonl"
    rows_.write_text('{"text": "good film", "sentiment": "pos"}\n')
    assert "no key 'label'; there are: text, sentiment; name one so, or skip such" in refusal(
        rows_, task="classification")  # fmt: skip


def test_columns_in_capitals_are_classes(tmp_path: Path) -> None:
    path = table(tmp_path / "x.csv", rows())
    path.write_text(path.read_text().replace("text,label", "Text, Label"))
    assert opened(path).classes == ("de", "en", "fr")
    path = table(tmp_path / "x.jsonl", rows())
    path.write_text(path.read_text().replace('"text"', '"Text"').replace('"label"', '"LABEL"'))
    assert texts(opened(path)) == [text for text, _ in rows()]


def test_a_table_beside_other_files_is_said_to_be_read_as_text(tmp_path: Path) -> None:
    path, root = table(tmp_path / "reviews.csv", rows()), folders(tmp_path / "more", rows(1))
    said_ = told(path, root)
    assert said_ == [
        f"1 table with text and label as plain text beside other files; as classes if given alone ({path})"
    ]
    assert isinstance(open_source([str(path)]), LabelledTextSource)


def test_parts_come_from_the_names_of_tables_and_folders(tmp_path: Path) -> None:
    table(tmp_path / "t" / "train.csv", rows(10))
    table(tmp_path / "t" / "test.csv", rows(2, 90))
    source = opened(tmp_path / "t")
    assert sorted(held(source)) == sorted(rows(2, 90))
    assert source.held_from == "test"
    table(tmp_path / "t" / "my-val.csv", rows(3, 50))
    source = opened(*(tmp_path / "t" / f"{name}.csv" for name in ("test", "my-val", "train")))
    assert (sorted(held(source)), source.left) == (sorted(rows(3, 50)), 6)
    assert "6 left (test)" in source.summary()
    assert source.summary().endswith("\n  those left (test) are scored by `regard eval RUN PATHS` with the same paths")
    folders(tmp_path / "f" / "train", rows(4))
    folders(tmp_path / "f" / "valid", rows(1, 70))
    source = opened(tmp_path / "f", task="classification")
    assert sorted(held(source)) == sorted(rows(1, 70))
    assert refusal(tmp_path / "t" / "test.csv", tmp_path / "t" / "my-val.csv").startswith(
        f"{tmp_path}/t/test.csv and 1 more: holds test/, val/ and no train/")  # fmt: skip


def test_what_is_only_scored_is_the_test_part_or_all(tmp_path: Path) -> None:
    alone = opened(table(tmp_path / "x.csv", [("one", "en")]), scoring=True)
    assert (alone.classes, alone.held_from, texts(alone, "held_out")) == (("en",), "all", ["one"])
    for part, count in (("train", 9), ("test", 2)):
        table(tmp_path / "t" / f"{part}.tsv", rows(count, 10 * count))
    assert opened(tmp_path / "t", scoring=True).count == 6


def test_T15_equal_texts_go_together_and_those_under_two_labels_stay_in_training(tmp_path: Path) -> None:
    repeated = [(f"{label} says it again", label) for label in WORDS for _ in range(8)]
    twice = [("the same", "de"), ("the same", "en")]
    source = opened(table(tmp_path / "x.csv", rows(7) + repeated + twice))
    out = [text for text, _ in held(source)]
    assert out
    assert not set(out) & set(texts(source, "train"))
    assert "the same" not in out
    assert said(source, "stand under two classes") == 2
    assert said(source, "with a copy in training") == 0
    assert not source.copied.any()


def test_T15_S07_what_the_parts_share_is_counted(tmp_path: Path) -> None:
    table(tmp_path / "train.csv", rows(10))
    table(tmp_path / "val.csv", rows(2, 50) + rows(1))
    source = opened(tmp_path)
    assert said(source, "with a copy in training (33.3%); warning") == 3
    assert [texts(source)[k] for k in np.flatnonzero(source.copied)] == [text for text, _ in rows(1)]
    assert (source.parts[source.copied] == HELD_OUT).all()


def test_T09_S03_a_wrong_row_is_refused_at_its_line_or_counted(tmp_path: Path) -> None:
    path = table(tmp_path / "x.tsv", [*rows(4), ("only a text",), *rows(4, 10)])
    assert refusal(path).startswith(f"{path}:14: 1 cell between tabs")
    source = opened(path, skip_bad=True)
    assert (source.count, said(source, "bad row skipped")) == (24, 1)
    for label, word in ((" ", "the label is empty"), ("x" * 201, "the label is no short name")):
        path = table(tmp_path / "y.csv", [*rows(2), ("a text", label)])
        assert refusal(path).startswith(f"{path}:8: {word}")
    path = table(tmp_path / "z.jsonl", [*rows(2), ("a text", 1.5)])
    assert "the value of 'label' is no string but float" in refusal(path)
    path.write_text('{"text": "a", "label": "b"}\n{"text": 3, "label": "b"}\n')
    assert refusal(path).startswith(f"{path}:2: the text is no string but int")


def test_T01_texts_of_white_space_alone_are_counted_and_none(tmp_path: Path) -> None:
    source = opened(table(tmp_path / "x.csv", [*rows(5), (" ", "de"), ("", "en")]))
    assert (source.count, said(source, "white space alone")) == (15, 2)
    root = folders(tmp_path / "y", [*rows(5), ("\n \n", "fr")])
    source = opened(root, task="classification")
    assert (source.count, said(source, "white space alone")) == (15, 1)
    assert sorted(texts(source)) == sorted(text for text, _ in rows(5))


@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.jsonl"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_T03_T04_S08_encodings_are_read_as_everywhere(tmp_path: Path, name: str, encoding: str) -> None:
    content = [(f"été {label} {k}", label) for k in range(8) for label in ("a", "ü")]
    path = table(tmp_path / name, content)
    text = path.read_text()
    if name.endswith(".jsonl"):
        text = text.replace("\\u00e9", "é").replace("\\u00fc", "ü")
    path.write_bytes(text.encode(encoding))
    source = opened(path, encoding="latin-1" if encoding == "latin-1" else None)
    assert texts(source) == [text for text, _ in content]
    assert source.classes == ("a", "ü")
    if encoding == "latin-1":
        assert "is not UTF-8" in refusal(path)


def test_T06_line_ends_in_cells_become_line_feeds(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b'text,label\r\n"one\r\ntwo",a\r\n"three\rfour",b\r\n')
    (tmp_path / "y.jsonl").write_text(
        '{"text": "one\\r\\ntwo", "label": "a"}\n{"text": "three\\rfour", "label": "b"}\n'
    )
    for name in ("x.csv", "y.jsonl"):
        assert texts(opened(tmp_path / name, scoring=True)) == ["one\ntwo", "three\nfour"]


def test_P08_one_class_no_class_and_loose_texts_are_refused(tmp_path: Path) -> None:
    assert "all texts are of one class, 'a'; add texts of another class" in refusal(
        table(tmp_path / "x.csv", [("one", "a"), ("two", "a")]))  # fmt: skip
    assert "of 2 texts in 2 classes none is left to test on" in refusal(
        table(tmp_path / "y.csv", [("one", "a"), ("two", "b")]))  # fmt: skip
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat" / "one.txt").write_text("a text")
    assert "its texts have no labels; labelled texts are a table" in refusal(
        tmp_path / "flat", task="classification")  # fmt: skip
    assert "its texts have no labels" in refusal(tmp_path / "flat" / "one.txt", task="classification")
    root = folders(tmp_path / "mixed", rows(3))
    (root / "loose.txt").write_text("a text")
    assert "holds loose texts (loose.txt) beside the folder de/" in refusal(root, task="classification")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "x.md").write_text("no text")
    assert "holds no labelled texts" in refusal(tmp_path / "empty", task="classification")


def test_P12_a_class_that_training_lacks_is_refused(tmp_path: Path) -> None:
    table(tmp_path / "train.csv", rows(3))
    table(tmp_path / "val.csv", [("uno", "it")])
    assert "holds classes that training has not: it; rename or remove them; known are de, en, fr" in refusal(tmp_path)


def test_files_that_are_something_else_are_counted(tmp_path: Path) -> None:
    for name in ("train", "val"):
        table(tmp_path / "t" / f"{name}.csv", rows(5, len(name)))
    (tmp_path / "t" / "README.md").write_text("about it")
    source = opened(tmp_path / "t")
    assert (source.count, said(source, "file other than tables with text and label ignored")) == (30, 1)
    root = folders(tmp_path / "f", rows(5))
    (root / "de" / "notes.md").write_text("about it")
    (root / "de" / "bad.txt").write_bytes(b"\xff\xfe\x00")
    source = opened(root, task="classification")
    assert (source.count, said(source, "file other than .txt ignored"), said(source, "of another encoding")) == (
        15,
        1,
        1,
    )


def test_another_key_of_the_text_is_another_column(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("review,text,label\n" + "".join(f"r{k},no,{k % 2}\n" for k in range(8)))
    assert texts(opened(tmp_path / "x.csv", text_key="review", scoring=True)) == [f"r{k}" for k in range(8)]
    assert texts(opened(tmp_path / "x.csv", scoring=True)) == ["no"] * 8


def test_whole_numbers_are_classes_in_their_order(tmp_path: Path) -> None:
    source = opened(table(tmp_path / "x.jsonl", [(f"{k}", k % 11) for k in range(44)]))
    assert source.classes == tuple(map(str, range(11)))


def test_T14_a_table_that_changes_is_refused(tmp_path: Path) -> None:
    path = table(tmp_path / "x.csv", rows())
    source = opened(path)
    table(path, rows(19))
    with pytest.raises(RegardError, match="changed while being read"):
        texts(source)


def test_R15_what_differs_is_named(tmp_path: Path) -> None:
    source = opened(table(tmp_path / "x.csv", rows()))
    known = json.loads(json.dumps(source.fingerprint()))
    assert source.differs(known) is None
    assert opened(table(tmp_path / "y.csv", rows())).differs(known) == "y.csv stands where x.csv was"
    assert "bytes instead of" in str(opened(table(tmp_path / "x.csv", rows(19))).differs(known))
    changed = [(text, {"de": "en", "en": "de"}.get(label, label)) for text, label in rows()]
    assert "other contents" in str(opened(table(tmp_path / "x.csv", changed)).differs(known))


def test_a_stream_has_no_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "x").open("wb") as file:
        file.write(b"some text")
    with (tmp_path / "x").open("rb") as file:
        monkeypatch.setattr("sys.stdin", type("Standard", (), {"buffer": file})())
        assert "what comes in a stream has no labels" in refusal(Path("-"), task="classification")
