"""Data that are read, and of which nothing can be learnt, are refused in a sentence."""

import pytest

from regard.errors import RegardError
from regard.session import task_of
from regard.tasks import TASKS


def test_a_kind_without_a_task_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(TASKS, "pictures")
    with pytest.raises(RegardError, match=r"^pictures: these are read, but nothing can be learnt of them yet; give"):
        task_of("pictures")
