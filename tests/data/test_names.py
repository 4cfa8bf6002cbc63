"""What examples are called, kept in two arrays."""

import numpy as np
import pytest

from regard.data.names import names_of, taken_from

NAMES = ["cat/1.png", "", "Übergröße/猫.png", "not utf-8 \udcff", "cat/1.png"]


def test_names_come_back_from_a_files_arrays_and_are_taken_out_of_them() -> None:
    facts = {**names_of(NAMES).facts(), "labels": np.zeros(5)}
    names = taken_from(facts)
    assert [names.of(k) for k in range(5)] == NAMES
    assert list(facts) == ["labels"]
    assert [names.among(np.array([4, 2]))(k) for k in (0, 1)] == [NAMES[4], NAMES[2]]


def test_where_none_were_kept_examples_are_told_by_their_number_among_those_that_are_scored() -> None:
    assert taken_from({}).among(np.arange(1300) + 7)(1234) == "number 1,234"


def test_letters_that_are_not_those_of_the_names_are_no_names() -> None:
    facts = names_of(NAMES).facts()
    with pytest.raises(ValueError, match="do not end"):
        taken_from({**facts, "names": facts["names"][:-1]})
