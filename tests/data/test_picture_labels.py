"""Labels in tables and in files beside pictures: whose label is whose, and each wrong row refused at its line."""

import json
from pathlib import Path

import pytest

from .drawn import noise, opened, png, refusal, said, tarred, write, zipped

COUNT = 24


def label(number: int) -> str:
    return ("cat", "dog", "fox")[number % 3]


def pictures(prefix: str = "") -> dict[str, bytes]:
    return {f"{prefix}{number:03}.png": png(number) for number in range(COUNT)}


def table(kind: str, rows: list[tuple[str, object]]) -> bytes:
    if kind == "csv":
        return ("file_name,label\n" + "".join(f"{name},{label}\n" for name, label in rows)).encode()
    return "".join(json.dumps({"file_name": name, "label": label}) + "\n" for name, label in rows).encode()


def check(*paths: Path, count: int = COUNT) -> list[str]:
    """Each picture has the label of its number; returns the source's notices."""
    source = opened(*paths)
    found = source.decode(paths[0].parent / "run", 8, 8)
    number = {noise(one).tobytes(): one for one in range(COUNT)}
    assert len(found.labels) == count
    for row, pixels in enumerate(found.pictures):
        assert found.classes[found.labels[row]] == label(number[pixels.tobytes()])
    return said(source.notices)


ROWS: list[tuple[str, object]] = [(f"{number:03}.png", label(number)) for number in reversed(range(COUNT))]


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_table_names_the_class_of_each_picture(kind: str, tmp_path: Path) -> None:
    tree = pictures() | {f"metadata.{kind}": table(kind, ROWS)}
    assert check(write(tmp_path / "a", tree)) == []
    for name, content in {"a.tar": tarred(tree), "a.zip": zipped(tree)}.items():
        assert check(write(tmp_path, {name: content}) / name) == []


def test_a_table_in_each_part_names_its_own(tmp_path: Path) -> None:
    tree = dict[str, bytes]()
    for part, numbers in {"train": range(18), "validation": range(18, COUNT)}.items():
        tree |= {f"{part}/{number}.png": png(number) for number in numbers}
        tree[f"{part}/metadata.csv"] = table("csv", [(f"{number}.png", label(number)) for number in numbers])
    check(write(tmp_path / "a", tree))
    assert opened(tmp_path / "a").held_from == "val"


def test_a_table_stands_before_folders_and_may_name_pictures_in_them(tmp_path: Path) -> None:
    tree = pictures("shot/") | {"metadata.jsonl": table("jsonl", [(f"shot/{name}", one) for name, one in ROWS])}
    tree["notes.txt"] = b"words"
    assert check(write(tmp_path / "a", tree))[0].startswith("1 file other than pictures ignored (")


def test_labels_may_be_whole_numbers_and_a_byte_order_mark_is_none_of_them(tmp_path: Path) -> None:
    rows: list[tuple[str, object]] = [(f"{number:03}.png", number % 12) for number in range(COUNT)]
    for kind in ("csv", "jsonl"):
        tree = pictures() | {f"metadata.{kind}": "\ufeff".encode() + table(kind, rows)}
        assert opened(write(tmp_path / kind, tree)).classes == tuple(str(number) for number in range(12))


def test_pictures_without_a_row_are_left_out_and_counted(tmp_path: Path) -> None:
    (notice,) = check(write(tmp_path / "a", pictures() | {"metadata.csv": table("csv", ROWS[4:])}), count=COUNT - 4)
    assert notice == "4 pictures without a row left out (020.png, 021.png, 022.png, 023.png)"


def test_a_table_without_rows_is_refused(tmp_path: Path) -> None:
    root = write(tmp_path / "a", pictures() | {"metadata.csv": b"file_name,label\n"})
    for options in ({}, {"scoring": True}):
        assert "no table of labels names one of its pictures" in refusal(root, **options)


BAD = {
    "no such picture": ('{"file_name": "999.png", "label": "cat"}', "there is no picture '999.png'"),
    "another case": ('{"file_name": "000.PNG", "label": "cat"}', "there is no picture '000.PNG', but '000.png'"),
    "out of the folder": ('{"file_name": "../000.png", "label": "cat"}', "is no name below the table's folder"),
    "absolute": ('{"file_name": "/etc/passwd", "label": "cat"}', "is no name below the table's folder"),
    "address": ('{"file_name": "http://x/000.png", "label": "cat"}', "is no name below the table's folder"),
    "twice": ('{"file_name": "023.png", "label": "cat"}', "has a row already"),
    "no label": ('{"file_name": "000.png", "text": "a cat"}', "no label; there are: file_name, text"),
    "empty": ('{"file_name": "000.png", "label": " "}', "the label is empty"),
    "null": ('{"file_name": "000.png", "label": null}', "no label"),
    "list": ('{"file_name": "000.png", "label": [1]}', "the label is no name and no whole number but list"),
    "float": ('{"file_name": "000.png", "label": 1.5}', "the label is no name and no whole number but float"),
    "bool": ('{"file_name": "000.png", "label": true}', "the label is no name and no whole number but bool"),
    "broken": ('{"file_name": "000.png", "lab', "broken JSON at column"),
    "array": ("[1, 2]", "the line is no object but list"),
    "double keys": ('{"file_name": "000.png", "label": "a", "label": "b"}', "the key 'label' stands twice"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_wrong_row_is_refused_at_its_line_or_skipped_if_allowed(kind: str, tmp_path: Path) -> None:
    row, part = BAD[kind]
    content = table("jsonl", ROWS[:-1]).decode().splitlines()
    content.insert(5, row)
    root = write(tmp_path / "a", pictures() | {"metadata.jsonl": "\n".join(content).encode()})
    sentence = refusal(root)
    assert sentence.startswith(f"{root}/metadata.jsonl:6: ")
    assert part in sentence
    notices = said(opened(root, skip_bad=True).notices)
    assert notices[0] == f"1 bad row skipped ({root}/metadata.jsonl:6)"


@pytest.mark.parametrize(
    ("row", "part"),
    [
        ("000.png", "1 column instead of 2"),
        ("000.png,cat,dog", "3 columns instead of 2"),
        ('"000.png,cat\n001.png,dog', "a quotation mark opens here"),
        ('000.png,"cat"x', "broken CSV"),
    ],
)
def test_a_wrong_row_of_csv_is_refused_at_its_line(row: str, part: str, tmp_path: Path) -> None:
    lines = table("csv", ROWS[:-1]).decode().splitlines()
    if row.startswith('"'):
        row += '"'
    lines.insert(5, row)
    root = write(tmp_path / "a", pictures() | {"metadata.csv": "\n".join(lines).encode()})
    sentence = refusal(root)
    assert sentence.startswith(f"{root}/metadata.csv:6: ")
    assert part in sentence


def test_a_table_that_is_not_utf8_is_refused_at_its_line(tmp_path: Path) -> None:
    content = table("csv", ROWS).replace(b"cat", b"ch\xe2t", 1)
    line = content[: content.index(b"\xe2")].count(b"\n") + 1
    root = write(tmp_path / "a", pictures() | {"metadata.csv": content})
    assert refusal(root) == f"{root}/metadata.csv:{line}: is not UTF-8; save it as UTF-8"


@pytest.mark.parametrize("suffix", ["cls", "txt"])
def test_a_file_beside_a_picture_names_its_class(suffix: str, tmp_path: Path) -> None:
    tree = pictures()
    for number in range(COUNT):
        tree[f"{number:03}.{suffix}"] = label(number).encode() + b"\n"
    assert check(write(tmp_path / "a", tree)) == []
    assert check(write(tmp_path, {"shard.tar": tarred(dict(sorted(tree.items())))}) / "shard.tar") == []


def test_files_beside_pictures_must_be_all_there(tmp_path: Path) -> None:
    tree = pictures() | {f"{number:03}.cls": label(number).encode() for number in range(COUNT - 2)}
    assert "2 of 24 pictures have no .cls file beside them: 022.png, 023.png" in refusal(write(tmp_path / "a", tree))
    tree = pictures() | {f"{number:03}.cls": b"" for number in range(COUNT)}
    sentence = refusal(write(tmp_path / "b", tree))
    assert sentence.startswith(f"{tmp_path}/b/000.cls: holds no class's name")


def test_captions_beside_pictures_are_no_classes(tmp_path: Path) -> None:
    tree = {f"{number:03}.png": png(number) for number in range(70)}
    tree |= {f"{number:03}.txt": f"a picture of thing {number}".encode() for number in range(70)}
    source = opened(write(tmp_path / "a", tree))
    assert source.classes == ()
    assert "70 texts beside pictures not taken as classes, as most are different" in said(source.notices)
