"""Folders of pictures: which part and which class, what is passed over or refused, and the cache made of them."""

import os
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from regard.data import class_split
from regard.data.open import open_source
from regard.data.picture_cache import open_decoded
from regard.data.pictures import HELD_OUT, TRAIN, UNPARTED, PictureSource
from regard.data.text import TextSource

from .drawn import classes, noise, opened, png, refusal, said, saved, scene, tarred, write


def rows(found: Any, part: str) -> list[tuple[str, bytes]]:
    """(class, pixels) of each picture of a part."""
    names = [*found.classes, "none"]
    return [(names[found.labels[row]], found.pictures[row].tobytes()) for row in found.rows(part)]


def test_class_folders_are_classes_in_order_and_a_tenth_is_held_out(tmp_path: Path) -> None:
    root = write(tmp_path / "animals", classes({"dog": 20, "cat": 30, "10": 10, "9": 10}))
    source = opened(root)
    assert (source.kind, source.name, source.count) == ("pictures", "animals", 70)
    assert source.classes == ("9", "10", "cat", "dog")  # numbers by their value
    assert np.bincount(source.labels).tolist() == [10, 10, 30, 20]
    assert (source.sizes, source.channels) == ({(8, 8): 70}, 3)
    assert (source.parts == UNPARTED).all()
    found = source.decode(tmp_path / "run", 8, 8)
    held = np.bincount(found.labels[found.rows("held_out")])
    assert held.tolist() == [1, 1, 3, 2]
    tree = classes({"dog": 20, "cat": 30, "10": 10, "9": 10})
    expected = {(name.split("/")[0], noise(number).tobytes()) for number, name in enumerate(tree)}
    assert set(rows(found, "all")) == expected
    assert set(rows(found, "train")) | set(rows(found, "held_out")) == expected


def test_pictures_nested_below_a_class_belong_to_it(tmp_path: Path) -> None:
    tree = classes({"cat/indoors": 3, "cat/out/at night": 2, "dog": 4})
    assert opened(write(tmp_path / "a", tree)).classes == ("cat", "dog")


@pytest.mark.parametrize("held", ["val", "valid", "validation", "test"])
def test_the_folder_that_is_held_out_is_the_one_that_says_so(held: str, tmp_path: Path) -> None:
    tree = {f"train/{name}": png for name, png in classes({"cat": 5, "dog": 6}).items()}
    tree |= {f"{held}/{name}": png for name, png in classes({"dog": 3, "cat": 2}, seed=50).items()}
    source = opened(write(tmp_path / "a", tree))
    assert source.held_from == ("test" if held == "test" else "val")
    found = source.decode(tmp_path / "run", 8, 8)
    expected = {(name.split("/")[1], noise(50 + number).tobytes()) for number, name in
                enumerate(name for name in tree if name.startswith(held))}  # fmt: skip
    assert set(rows(found, "held_out")) == expected
    assert len(found.rows("train")) == 11


def three_parts(tmp_path: Path) -> Path:
    tree = dict[str, bytes]()
    for number, (part, count) in enumerate({"train": 6, "val": 4, "test": 5}.items()):
        tree |= {f"{part}/{name}": png for name, png in classes({"cat": count, "dog": 2}, seed=100 * number).items()}
    return write(tmp_path / "a", tree)


def test_with_val_and_test_the_test_is_left_for_scoring(tmp_path: Path) -> None:
    root = three_parts(tmp_path)
    source = opened(root)
    assert (source.count, source.left, source.held_from) == (14, 7, "val")
    assert "8 to learn from, 6 held out (val), 7 left (test)" in source.summary()
    assert source.summary().endswith("\n  those left (test) are scored by `regard eval RUN PATHS` with the same paths")
    scored = opened(root, scoring=True)
    assert (scored.count, scored.held_from) == (7, "all")
    found = scored.decode(tmp_path / "run", 8, 8)
    assert (found.parts == HELD_OUT).all()
    assert {pixels for _, pixels in rows(found, "all")} == {noise(200 + number).tobytes() for number in range(7)}


def test_a_part_alone_is_trained_on_if_it_is_train(tmp_path: Path) -> None:
    root = three_parts(tmp_path)
    assert opened(root / "train").held_from == "a tenth"
    with_train = write(tmp_path / "b", {f"train/{name}": png for name, png in classes({"cat": 20, "dog": 20}).items()})
    assert opened(with_train).held_from == "a tenth"
    only_test = write(tmp_path / "c", {f"test/{name}": png for name, png in classes({"cat": 20, "dog": 20}).items()})
    assert refusal(only_test) == f"{only_test}: holds test/ and no train/; give the folder that holds train/, too"
    assert opened(only_test, scoring=True).count == 40


def test_two_paths_are_train_and_test_by_what_they_hold_or_are_called(tmp_path: Path) -> None:
    root = three_parts(tmp_path)
    source = opened(root / "train", root / "test")
    assert ((source.parts == TRAIN).sum(), (source.parts == HELD_OUT).sum(), source.held_from) == (8, 7, "test")
    inside = {part: tarred({f"{part}/{name}": png for name, png in classes({"a": 5, "b": 5}, seed).items()}, "w:gz")
              for seed, part in enumerate(("train", "test"))}  # fmt: skip
    archives = write(tmp_path, {f"set-{part}.tar.gz": content for part, content in inside.items()})
    source = opened(archives / "set-train.tar.gz", archives / "set-test.tar.gz")
    assert (source.name, source.held_from, source.count) == ("set-train", "test", 20)
    named = write(tmp_path, {f"flowers_{part}.tar": tarred(classes({"a": 5, "b": 5}, seed=seed))
                             for seed, part in enumerate(("train", "val"))})  # fmt: skip
    assert opened(named / "flowers_train.tar", named / "flowers_val.tar").held_from == "val"


def test_a_folder_around_everything_is_passed_through(tmp_path: Path) -> None:
    tree = {f"flowers/raw/{name}": png for name, png in classes({"rose": 3, "tulip": 4}).items()}
    assert opened(write(tmp_path / "a", tree)).classes == ("rose", "tulip")
    tree = {
        f"flowers/{part}/{name}": png for part in ("train", "val") for name, png in classes({"a": 3, "b": 4}).items()
    }
    assert opened(write(tmp_path / "b", tree)).held_from == "val"


def test_P01_few_bad_pictures_are_skipped_and_named(tmp_path: Path) -> None:
    tree = classes({"cat": 600, "dog": 400})
    tree |= {
        "cat/empty.jpg": b"",
        "dog/cut.png": png(1)[:60],
        "dog/words.gif": b"GIF89a, says the file",
        "cat/x.bmp": bytes(90),
    }
    late = bytearray(saved(noise(1), "WEBP", lossless=True))
    late[40:60] = bytes(20)  # its header is whole: only decoding tells
    tree["cat/late.webp"] = bytes(late)
    source = opened(write(tmp_path / "a", tree))
    found = source.decode(tmp_path / "run", 8, 8)
    assert len(found.labels) == 1000
    skipped = str(found.notices[0])
    assert skipped.startswith("5 pictures skipped as unreadable (")
    for name, why in {"cat/empty.jpg": "is empty", "dog/cut.png": "is a damaged PNG", "dog/words.gif": "is no picture",
                      "cat/late.webp": "is a damaged WEBP"}.items():  # fmt: skip
        assert any(name in place and why in place for place in found.notices[0].places), name


def test_P01_nothing_skipped_is_said_too(tmp_path: Path) -> None:
    found = opened(write(tmp_path / "a", classes({"cat": 9, "dog": 9}))).decode(tmp_path / "run", 8, 8)
    assert str(found.notices[0]) == "0 pictures skipped as unreadable"


@pytest.mark.parametrize("when", ["by the header", "by decoding"])
def test_P01_too_many_bad_pictures_are_refused(when: str, tmp_path: Path) -> None:
    tree = classes({"cat": 50, "dog": 50})
    for number in range(5):
        content = bytearray(saved(noise(number), "WEBP", lossless=True))
        content[40:60] = bytes(20)
        tree[f"cat/bad {number}.webp"] = bytes(content) if when == "by decoding" else b"\0" * 50
    root = write(tmp_path / "a", tree)
    sentence = refusal(root)
    assert sentence.startswith(f"{root}: ")
    assert "of 105 pictures cannot be read" in sentence
    assert "cat/bad 0.webp" in sentence
    assert open_decoded(tmp_path / "refused") is None


def test_P03_pictures_of_other_formats_count_as_unreadable(tmp_path: Path) -> None:
    tree = classes({"cat": 300, "dog": 300})
    tree |= {"cat/a.png": b"%!PS-Adobe-3.0 EPSF-3.0\n", "cat/b.heic": b"\0\0\0\x18ftypheic" + bytes(20),
             "cat/c.jpg": saved(noise(9), "PNG")}  # fmt: skip
    found = opened(write(tmp_path / "a", tree)).decode(tmp_path / "run", 8, 8)
    assert "a.png is EPS, which is not read" in str(found.notices[0])
    assert "b.heic is HEIC, which is not read" in str(found.notices[0])
    assert "1 picture named as of another format (cat/c.jpg)" in said(found.notices)
    heic = write(tmp_path / "b", {f"{number}.heic": b"\0\0\0\x18ftypheic" + bytes(20) for number in range(9)})
    assert "no picture can be read" in refusal(heic)


def test_P04_P05_each_kind_is_counted_and_named(tmp_path: Path) -> None:
    tree = classes({"cat": 9, "dog": 9})
    tree |= {"cat/wide.png": png(1, 8, 40), "cat/black.png": saved(np.zeros((8, 8, 3), np.uint8)),
             "dog/grey.png": png(3, channels=1), "dog/grey 2.png": png(4, channels=1)}  # fmt: skip
    found = opened(write(tmp_path / "a", tree)).decode(tmp_path / "run", 8, 8)
    assert {
        "2 grey pictures among coloured ones, given three equal channels (dog/grey 2.png, dog/grey.png)",
        "1 picture cut at the longer side to less than half (cat/wide.png)",
        "1 picture of one colour alone (cat/black.png)",
        "1 picture of another size, scaled (cat/wide.png)",
    } <= set(said(found.notices))


def test_P05_grey_pictures_alone_stay_grey(tmp_path: Path) -> None:
    tree = {name: png(number, channels=1) for number, name in enumerate(classes({"cat": 9, "dog": 9}))}
    source = opened(write(tmp_path / "a", tree))
    assert source.channels == 1
    assert source.decode(tmp_path / "run", 8, 8).pictures.shape == (18, 8, 8, 1)


def test_P06_other_files_are_counted_and_never_a_class(tmp_path: Path) -> None:
    plain = classes({"cat": 9, "dog": 9})
    tree = plain | {
        ".DS_Store": b"\0\0\0\1Bud1", "cat/.DS_Store": b"\0\0\0\1Bud1",
        "cat/Thumbs.db": b"\xd0\xcf\x11\xe0" + bytes(90), "cat/._0001.png": b"\0\5\x16\7",
        ".ipynb_checkpoints/0001.png": png(99), "dog/notes.txt": b"a dog",
        "README.md": b"animals",
    }  # fmt: skip
    source = opened(write(tmp_path / "a", tree))
    assert source.classes == ("cat", "dog")
    assert source.count == 18
    notices = said(source.notices)
    assert any(notice.startswith("4 hidden files or folders skipped") for notice in notices)
    assert any(notice.startswith("3 files other than pictures ignored") for notice in notices)
    assert opened(write(tmp_path / "b", plain)).labels.tolist() == source.labels.tolist()


def test_P06_pictures_among_texts_are_texts_and_texts_among_pictures_pictures(tmp_path: Path) -> None:
    texts = {f"{number}.txt": b"some words\n" * 20 for number in range(5)}
    mixed = write(tmp_path / "a", {**texts, "x.png": png(1), "y.png": png(2)})
    assert isinstance(open_source([str(mixed)]), TextSource)
    mixed = write(tmp_path / "b", {**texts, **{f"p{number}.png": png(number) for number in range(64)}})
    assert isinstance(open_source([str(mixed)]), PictureSource)


def test_P07_loose_pictures_beside_class_folders_are_refused(tmp_path: Path) -> None:
    root = write(tmp_path / "a", classes({"cat": 3, "dog": 3}) | {"stray.png": png(99)})
    sentence = refusal(root)
    assert "holds loose pictures (stray.png) beside the folder cat/" in sentence
    parts = {f"train/{name}": png for name, png in classes({"cat": 3, "dog": 3}).items()}
    sentence = refusal(write(tmp_path / "b", parts | {"extra/cat/1.png": png(98)}))
    assert "holds pictures beside the folder train/: extra/cat/1.png" in sentence
    sentence = refusal(write(tmp_path / "c", parts | {"train/stray.png": png(98)}))
    assert "holds loose pictures (train/stray.png) beside the folder train/cat/" in sentence


def test_P08_one_class_and_an_empty_one_are_refused(tmp_path: Path) -> None:
    one = refusal(write(tmp_path / "a", classes({"cat": 9})))
    assert "all pictures are of one class, 'cat'" in one
    assert one.endswith("; add pictures of another class, or give the folder they lie in to learn without labels")
    assert opened(write(tmp_path / "e", classes({"cat": 80})) / "cat").classes == ()
    empty = refusal(write(tmp_path / "b", classes({"cat": 9, "dog": 9}) | {"fox/": b""}))
    assert empty.startswith(f"{tmp_path}/b/fox: is a class folder without a picture")
    words = refusal(write(tmp_path / "c", classes({"cat": 9, "dog": 9}) | {"fox/a.txt": b"no picture"}))
    assert "fox: is a class folder without a picture" in words
    parted = {f"{part}/{name}": png for part in ("train", "val") for name, png in classes({"cat": 3, "dog": 3}).items()}
    assert "d/val/fox: is a class folder" in refusal(write(tmp_path / "d", parted | {"val/fox/": b""}))


def test_P08_a_class_whose_pictures_are_all_bad_is_named(tmp_path: Path) -> None:
    bad = bytearray(saved(noise(1), "WEBP", lossless=True))
    bad[40:60] = bytes(20)
    root = write(tmp_path / "a", classes({"cat": 9, "dog": 9}) | {"fox/a.webp": bytes(bad)})
    assert "no picture of fox can be read" in refusal(root)


def test_P08_no_class_at_all_is_unlabelled(tmp_path: Path) -> None:
    source = opened(write(tmp_path / "a", {f"{number}.png": png(number) for number in range(100)}))
    assert source.classes == ()
    assert (source.labels == -1).all()
    found = source.decode(tmp_path / "run", 8, 8)
    assert len(found.rows("held_out")) == 10
    assert "100 pictures without labels" in source.summary()


def test_P09_a_single_picture_of_a_class_trains_and_is_said_not_to_be_measured(tmp_path: Path) -> None:
    source = opened(write(tmp_path / "a", classes({"one": 1, "two": 2, "many": 500})))
    found = source.decode(tmp_path / "run", 8, 8)
    held = np.bincount(found.labels[found.rows("held_out")], minlength=3)
    assert dict(zip(found.classes, held.tolist(), strict=True)) == {"many": 50, "one": 0, "two": 1}
    assert "1 class without a held-out picture, not measured (one)" in said(found.notices)
    assert "from 1 (one) to 500 (many) pictures a class" in source.summary()


def test_P09_at_most_ten_thousand_are_held_out_evenly() -> None:
    labels = np.repeat(np.arange(3, dtype=np.int32), [200_000, 50_000, 10])
    held = class_split.held_out(labels, np.random.default_rng(0).permutation(len(labels)))
    counts = np.bincount(labels[held])
    assert counts.sum() <= 10_000
    np.testing.assert_allclose(counts, [7999, 2000, 1], atol=1)


def test_P10_upper_and_lower_case_are_two_classes_with_a_warning(tmp_path: Path) -> None:
    source = opened(write(tmp_path / "a", classes({"Cat": 3, "cat": 3, "dog": 3})))
    assert source.classes == ("Cat", "cat", "dog")
    (notice,) = [notice for notice in said(source.notices) if "upper and lower case" in notice]
    assert "warning" in notice
    assert "Cat and cat" in notice


def test_P10_two_forms_of_one_name_are_refused(tmp_path: Path) -> None:
    names = [unicodedata.normalize(form, "café") for form in ("NFC", "NFD")]
    sentence = refusal(write(tmp_path / "a", classes({names[0]: 3, names[1]: 3})))
    assert r"'caf\xe9'" in sentence
    assert r"'cafe\u0301'" in sentence
    assert "two forms of Unicode" in sentence


def copies(tmp_path: Path) -> Path:
    """200 different scenes in two classes; of each of 20, a copy, or one saved again as JPEG, or one mirrored."""
    tree = dict[str, bytes]()
    for number in range(200):
        name = "ab"[number % 2]
        tree[f"{name}/{number:03}.png"] = saved(scene(number))
        if number < 20:
            tree[f"{name}/{number:03} copy.png"] = saved(scene(number), compress_level=1)
        elif number < 40:
            tree[f"{name}/{number:03} again.jpg"] = saved(scene(number), "JPEG", quality=75)
        elif number < 60:
            tree[f"{name}/{number:03} mirrored.jpg"] = saved(scene(number)[:, ::-1], "JPEG", quality=90)
    return write(tmp_path / "a", tree)


def test_P11_copies_stay_on_one_side(tmp_path: Path) -> None:
    source = opened(copies(tmp_path))
    found = source.decode(tmp_path / "run", 48, 48)
    names = sorted((tmp_path / "a").rglob("*.*"), key=lambda path: os.fsencode(path.relative_to(tmp_path)))
    parts = dict[str, set[int]]()
    for path, part in zip(names, found.parts.tolist(), strict=True):
        parts.setdefault(path.name[:3], set()).add(part)
    assert all(len(part) == 1 for part in parts.values())
    assert 0.08 <= len(found.rows("held_out")) / 260 <= 0.12
    assert not found.copied.any()
    assert "0 of 26 held-out pictures with a copy in training (0.0%)" in said(found.notices)


def test_P11_what_a_test_folder_shares_with_training_is_counted(tmp_path: Path) -> None:
    tree = {f"train/{'ab'[number % 2]}/{number}.png": saved(scene(number)) for number in range(60)}
    for number in range(20):
        picture = scene(number) if number < 9 else scene(1000 + number)
        content = (
            saved(picture) if number < 3 else saved(picture[:, ::-1] if number > 5 else picture, "JPEG", quality=80)
        )
        tree[f"test/{'ab'[number % 2]}/{number}.png"] = content
    found = opened(write(tmp_path / "a", tree)).decode(tmp_path / "run", 48, 48)
    assert found.copied[found.rows("held_out")].sum() == 9
    assert not found.copied[found.rows("train")].any()
    notices = said(found.notices)
    exact, near = (notice for notice in notices if "; warning: the held-out score flatters" in notice)
    assert exact.startswith("3 of 20 held-out pictures with a copy in training (15.0%); ")
    assert near.startswith("6 of 20 held-out pictures nearly the same as one in training, or mirrored (30.0%); ")
    other = opened(tmp_path / "a" / "test", scoring=True).decode(tmp_path / "other", 48, 48)
    assert found.copied_in(other).sum() == 9


def test_P11_one_picture_under_two_labels_is_counted_and_trains(tmp_path: Path) -> None:
    tree = classes({"cat": 40, "dog": 40})
    tree |= {"dog/a cat.png": tree["cat/0003.png"], "dog/another.png": tree["cat/0005.png"]}
    found = opened(write(tmp_path / "a", tree)).decode(tmp_path / "run", 8, 8)
    (notice,) = [notice for notice in found.notices if "two classes" in notice.what]
    assert (notice.count, set(notice.places)) == (
        4, {"cat/0003.png", "cat/0005.png", "dog/a cat.png", "dog/another.png"})  # fmt: skip
    for number in (3, 5):
        same = [part for row, part in enumerate(found.parts) if (found.pictures[row] == noise(number)).all()]
        assert same == [TRAIN, TRAIN]


def test_P11_the_split_knows_nothing_of_names_or_order(tmp_path: Path) -> None:
    tree = classes({"cat": 50, "dog": 70})
    renamed = {f"{name.split('/')[0]}/{number:x}{99 - number % 7}.png": content
               for number, (name, content) in enumerate(reversed(tree.items()))}  # fmt: skip
    held = [set(rows(opened(write(tmp_path / name, one)).decode(tmp_path / f"run {name}", 8, 8), "held_out"))
            for name, one in (("a", tree), ("b", renamed))]  # fmt: skip
    assert held[0] == held[1]
    assert len(held[0]) == 12


def test_P12_classes_match_by_name(tmp_path: Path) -> None:
    tree = {f"train/{name}": png for name, png in classes({"ant": 5, "bee": 5, "cat": 5}).items()}
    held = write(
        tmp_path / "a", tree | {f"test/{name}": png for name, png in classes({"cat": 2, "bee": 3}, 90).items()}
    )
    found = opened(held).decode(tmp_path / "run", 8, 8)
    assert {(found.classes[label]) for label in found.labels[found.rows("held_out")]} == {"bee", "cat"}
    assert "1 class without a held-out picture, not measured (ant)" in said(found.notices)
    unknown = write(
        tmp_path / "b", tree | {f"test/{name}": png for name, png in classes({"Cat": 2, "elk": 3}, 90).items()}
    )
    assert "holds classes that training has not: Cat, elk; rename or remove them; known are ant, bee, cat" in refusal(
        unknown
    )


def test_P17_too_few_or_equal_pictures_without_labels_are_refused(tmp_path: Path) -> None:
    few = {f"{number}.png": png(number) for number in range(63)}
    assert "has 63 pictures without labels, fewer than 64; give more" in refusal(write(tmp_path / "a", few))
    assert opened(write(tmp_path / "a", {"63.png": png(63)})).count == 64
    equal = {f"{number}.png": png(1) for number in range(80)}
    assert "all its pictures are the same" in refusal(write(tmp_path / "b", equal))
