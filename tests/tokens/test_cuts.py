"""Pieces join to the text, end only at safe cuts, and do not depend on how the text came in."""

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regard.tokens import cuts
from regard.tokens.cuts import pieces, stretches
from regard.tokens.text import TextTokenizer

TOKENIZER = TextTokenizer.bpe(["some words, and some more words\n\nfor 2 pairs\n" * 3], 300)._tokenizer
spaced = st.text(st.sampled_from("ab1.,'s \n\t\r\u2028\x1c\x85\u3000é"), max_size=60)


@settings(max_examples=1000, deadline=None)
@given(text=spaced)
def test_stretches_tokenized_one_by_one_give_the_ids_of_the_whole(text: str) -> None:
    row = stretches(text)
    assert "".join(row) == text
    assert [token for part in row for token in TOKENIZER.encode(part).ids] == TOKENIZER.encode(text).ids


@settings(max_examples=500, deadline=None)
@given(chunks=st.lists(spaced, max_size=8), size=st.integers(2, 30), line_feeds=st.booleans())
def test_pieces_are_a_function_of_the_joined_text(chunks: list[str], size: int, line_feeds: bool) -> None:
    text = "".join(chunks)
    row = list(pieces(chunks, size, line_feeds=line_feeds))
    assert "".join(row) == text
    assert row == list(pieces([text], size, line_feeds=line_feeds)) == list(pieces(text, size, line_feeds=line_feeds))
    for before, after in itertools.pairwise(row):
        assert len(before) >= size - 1
        assert re.search(r"\S\Z" if after.startswith(" ") else r"\n\Z", before)
        assert re.match(r" " if not before.endswith("\n") else r"\S", after)
        assert line_feeds or after.startswith(" ")


def test_a_text_without_a_safe_cut_is_cut_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuts, "LONGEST", 100)
    text = "^" * 1234 + " x"
    assert [len(piece) for piece in pieces([text], 10)] == [100] * 12 + [34, 2]
    assert list(pieces(text, 10)) == list(pieces([text], 10))
