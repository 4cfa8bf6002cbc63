"""The held-out part is a function of the data: a tenth at the end, whole documents, equal ones together."""

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regard.data import held_out
from regard.data.held_out import LARGEST, Split, repeated_lines, split
from regard.data.open import open_source
from regard.data.text import TextSource


def parted(*documents: tuple[int, int]) -> Split:
    """Of (length, digest)."""
    lengths, digests = zip(*documents, strict=True)
    return split(np.array(lengths, dtype=np.int64), np.array(digests, dtype=np.uint64))


def text_of(source: TextSource, part: str) -> list[str]:
    return ["".join(document) for document in source.texts(part)]


def repetition(source: TextSource) -> str:
    return str(source.notices[-1])


@pytest.mark.parametrize("characters", [1, 2, 9, 10, 11, 999, 1_115_394])
def test_T15_one_document_gives_its_tail(characters: int) -> None:
    assert parted((characters, 7)) == Split(cut={0: int(0.9 * characters)})


def test_T15_the_tail_has_a_million_characters_at_most() -> None:
    assert parted((200_000_000, 7)) == Split(cut={0: 199_000_000})


def test_T15_of_several_the_last_ones_are_held_out_whole() -> None:
    tens = [(10, number) for number in range(18)]
    assert parted(*tens, (10, 18), (10, 19)) == Split(whole=frozenset({18, 19}))
    assert parted(*tens, (30, 97), (5, 98)) == Split(whole=frozenset({18, 19}))  # 5 are less than a tenth
    assert parted(*tens, (60, 97), (5, 98)) == Split(whole=frozenset({16, 17, 19}))  # 65 would be over a fifth


def test_T15_equal_documents_go_together() -> None:
    tens = [(10, number) for number in range(19)]
    assert parted(*tens, (10, 3)) == Split(whole=frozenset({3, 19}))
    assert parted(*[(10, 99)] * 15, *tens) == Split(whole=frozenset(range(30, 34)))


def test_T15_where_whole_documents_do_not_fit_the_largest_gives_its_tail() -> None:
    assert parted((500, 1), (500, 2)) == Split(cut={1: 400})
    assert parted((5000, 1), (50, 2)) == Split(cut={0: 5000 - 505})
    assert parted((500, 1), (400, 2), (500, 1)) == Split(cut={0: 430, 2: 430})  # copies are cut at the same place
    assert parted((3_000_000, 1), (3_000_000, 2)) == Split(cut={1: 3_000_000 - 600_000})


@settings(max_examples=500, deadline=None)
@given(numbers=st.lists(st.integers(0, 8), min_size=1, max_size=60), lengths=st.lists(st.integers(1, 500), min_size=9))
def test_T15_the_parts_make_up_the_whole_and_equal_documents_are_on_one_side(
    numbers: list[int], lengths: list[int]
) -> None:
    documents = [(lengths[number], number) for number in numbers]
    result = parted(*documents)
    characters = sum(length for length, _ in documents)
    held = 0
    for number, (length, _) in enumerate(documents):
        spans = [result.span(number, part) for part in ("train", "held_out")]
        sizes = [0 if span is None else (length if span[1] is None else span[1]) - span[0] for span in spans]
        assert sum(sizes) == length
        assert result.span(number, "all") == (0, None)
        held += sizes[1]
    assert 1 <= held <= max(characters // 5, len(documents))
    sides = [
        {documents[number][1] for number in range(len(documents)) if (number in result.whole) == side}
        for side in (True, False)
    ]
    assert not sides[0] & sides[1]


def test_T15_a_source_gives_its_parts(tmp_path: Path) -> None:
    text = "".join(f"line {number} with some words in it\n" for number in range(1000))
    (tmp_path / "a.txt").write_text(text)
    source = open_source([str(tmp_path / "a.txt")])
    start = int(0.9 * len(text))
    assert source.parts() == ("train", "held_out")
    assert (text_of(source, "train"), text_of(source, "held_out")) == ([text[:start]], [text[start:]])
    assert text_of(source, "all") == [text]
    assert (source.train_characters, source.held_out_characters) == (start, len(text) - start)
    assert repetition(source) == "0 of 0 held-out lines of 40 or more characters with a copy in training (0.0%)"
    with pytest.raises(ValueError, match="no part is called 'test'"):
        next(source.texts("test"))


def test_T15_a_file_that_is_doubled_says_so(tmp_path: Path) -> None:
    generator = random.Random(7)
    once = "".join(f"{generator.random():.20f} {generator.random():.20f} a line\n" for _ in range(500))
    (tmp_path / "a.txt").write_text(once)
    assert open_source([str(tmp_path / "a.txt")]).repeated_share == 0
    (tmp_path / "a.txt").write_text(once * 2)
    source = open_source([str(tmp_path / "a.txt")])
    lines = text_of(source, "held_out")[0].splitlines()
    long = [line for line in lines if len(line) >= 40]
    assert source.repeated_share == sum(line in once.splitlines() for line in long) / len(long) > 0.98
    assert repetition(source).endswith("; warning: the held-out score flatters")


def test_T15_the_figure_is_exact_on_a_built_case() -> None:
    def line(number: int) -> str:
        return f"{number:040}"

    held = [["".join(f"{line(number)}\n" for number in [1, 2, 3, 3])], [line(4), "0", "\nshort\n", line(5), "\n\n"]]
    train = [[line(3)[:7], line(3)[7:] + "\n", line(4) + "00\n", "short\n"], [line(5)]]
    assert repeated_lines(held, train) == (3, 6)  # the third, twice, and the fifth; the fourth has one sign more
    assert repeated_lines([["short"]], train) == (0, 0)


def test_T15_a_line_longer_than_the_held_out_part_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_out, "LARGEST", 100)
    assert repeated_lines([["b" * 50]], [["a" * 60, "a" * 60, "a" * 60 + "\n" + "b" * 50]]) == (1, 1)
    assert repeated_lines([["b" * 50]], [["a" * 60, "b" * 50]]) == (0, 1)


def test_T15_a_folder_with_copies_keeps_them_on_one_side(tmp_path: Path) -> None:
    for number in range(40):
        line = f"the text {number % 20:02} is one that is long enough to be counted\n"
        (tmp_path / f"{number:02}.txt").write_text(line * 3)
    source = open_source([str(tmp_path)])
    held = text_of(source, "held_out")
    assert len(held) == 4
    assert not set(held) & set(text_of(source, "train"))
    assert source.repeated_share == 0
    assert source.held_out_characters <= LARGEST
