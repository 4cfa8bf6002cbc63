"""The pages that are written by scripts are what the scripts would write now."""

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def script(name: str) -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "scripts" / name))


@pytest.mark.parametrize("name", ["commands.py", "promises.py"])
def test_the_page_is_current(name: str) -> None:
    made = script(name)
    page: Callable[[], str] = made["page"]
    assert made["PAGE"].read_text() == page(), "run `make pages`"


def test_every_number_that_a_test_carries_is_in_the_table() -> None:
    assert script("promises.py")["unknown"]() == []


def test_a_name_tells_what_it_proves() -> None:
    numbers = script("promises.py")["numbers"]
    assert numbers("test_T03_a_stray_byte") == ["T3"]
    assert numbers("test_R5_R12_two_at_once") == ["R5", "R12"]
    assert numbers("test_of_T3x_and_U1000_and_D123") == []
    assert numbers("helper_T03") == []
