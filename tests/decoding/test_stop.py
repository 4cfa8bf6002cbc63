"""However the text is cut into pieces, what is shown ends before the stop string that is complete first."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from regard.decoding.stop import UntilStop

LETTERS = st.text("ab", max_size=12)


def whole(text: str, stops: tuple[str, ...]) -> str:
    """By hand: the first end of a stop string, then the longest one that ends there."""
    for end in range(1, len(text) + 1):
        starts = [end - len(stop) for stop in stops if text[:end].endswith(stop)]
        if starts:
            return text[: min(starts)]
    return text


@given(st.lists(LETTERS, max_size=6), st.lists(st.text("ab", min_size=1, max_size=5), max_size=3).map(tuple))
@example(["aab"], ("aab", "ab"))
@example(["a", "b", "c"], ("abd", "b"))
@settings(deadline=None, max_examples=300)
def test_any_pieces_show_the_text_before_the_first_stop(pieces: list[str], stops: tuple[str, ...]) -> None:
    until, shown = UntilStop(stops), ""
    for piece in pieces:
        shown += until.push(piece)
        expected = whole("".join(pieces), stops)
        assert expected.startswith(shown)  # nothing shown is ever taken back
        if until.over:
            break
    assert shown + until.finish() == expected if pieces else shown == ""
    assert until.over == any(stop in "".join(pieces) for stop in stops)


@pytest.mark.parametrize("cut", range(1, 8))
def test_a_stop_string_split_over_pieces(cut: int) -> None:
    text, until = "one\n\ntwo", UntilStop(("\n\n",))
    assert until.push(text[:cut]) + until.push(text[cut:]) + until.finish() == "one"


def test_what_may_begin_a_stop_string_waits_and_nothing_else() -> None:
    until = UntilStop(("END", "DO"))
    assert [until.push(piece) for piece in ("x", "E", "N", "x", "END"[:2], "DO")] == ["x", "", "", "ENx", "", ""]
    assert until.over


def test_what_waited_in_vain_comes_at_the_end() -> None:
    until = UntilStop(("END",))
    assert until.push("the EN") == "the "
    assert until.finish() == "EN"
    assert until.finish() == ""
