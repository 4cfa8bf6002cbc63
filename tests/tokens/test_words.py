"""The lecture's pairs: every beginning with its next word."""

from regard.tokens.text import examples, words

SENTENCE = "To date, the cleverest thinker of all time was Issac."


def test_every_beginning_comes_with_its_next_word() -> None:
    pairs = examples(SENTENCE)
    assert pairs[0] == (["To"], "date,")
    assert pairs[1] == (["To", "date,"], "the")
    assert pairs[-1] == (["To", "date,", "the", "cleverest", "thinker", "of", "all", "time", "was"], "Issac.")
    assert len(pairs) == len(words(SENTENCE)) - 1


def test_a_text_of_one_word_or_none_has_no_pairs() -> None:
    assert examples("") == examples("word") == []
