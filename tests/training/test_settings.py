"""Settings: each has a range, a type and a sentence; what is given wrongly is refused by its option's name."""

import ast
import inspect

import pytest

from regard.errors import RegardError
from regard.training import settings
from regard.training.settings import BY_NAME, MINUTES, SETTINGS, STEPS, Setting, checked

ALL = (*SETTINGS, MINUTES, STEPS)


@pytest.mark.parametrize("setting", ALL, ids=lambda setting: setting.name)
def test_a_setting_takes_its_range_and_nothing_else(setting: Setting) -> None:
    assert setting.option == "--" + setting.name.replace("_", "-")
    assert setting.meaning
    if setting.kind == "choice":
        for choice in setting.choices:
            assert setting.check(choice) == choice
        wrong: list[object] = ["", "other", 1, None]
    else:
        low, high = setting.check(f"{setting.low:.10g}"), setting.check(setting.high)
        assert (low, high) == (setting.low, setting.high)
        assert {type(low), type(high)} == {int if setting.kind == "whole" else float}
        above = setting.high * 1.01 + 1
        wrong = ["", "x", "nan", "inf", "-inf", "5m", "1_0", "１", "0x10", True, None, setting.low - 1, above, "--"]
        wrong += [setting.low + 0.5] * (setting.kind == "whole")
    for value in wrong:
        with pytest.raises(RegardError) as caught:
            setting.check(value)
        assert caught.value.where == setting.option
        assert setting.allowed in caught.value.do


def test_what_is_checked_has_its_type_and_no_none() -> None:
    assert checked({"width": "64", "dropout": "0.5", "tokens": None, "minutes": 5}) == {
        "width": 64, "dropout": 0.5, "minutes": 5.0,
    }  # fmt: skip


def test_unknown_names_and_contradictions_are_refused() -> None:
    with pytest.raises(RegardError, match="did you mean width"):
        checked({"wdith": 3})
    with pytest.raises(RegardError, match="contradict"):
        checked({"minutes": 1, "steps": 1})


def test_names_are_one_for_one() -> None:
    assert len(BY_NAME) == len(SETTINGS)


def test_help_needs_the_standard_library_only() -> None:
    imports = [node for node in ast.walk(ast.parse(inspect.getsource(settings)))
               if isinstance(node, ast.Import | ast.ImportFrom)]  # fmt: skip
    modules = {alias.name for node in imports if isinstance(node, ast.Import) for alias in node.names}
    modules |= {str(node.module) for node in imports if isinstance(node, ast.ImportFrom)}
    assert modules == {"math", "collections.abc", "dataclasses", "difflib", "typing", "regard.errors"}
