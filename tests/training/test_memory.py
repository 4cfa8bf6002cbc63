"""Freed memory is kept: in a process of its own, as it cannot be undone."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import torch
from regard.training.memory import keep_freed
if "keep" in sys.argv:
    keep_freed()
torch.set_num_threads(1)
def step():
    several = [torch.ones(4 << 20) for _ in range(4)]  # 16 MiB each
    del several
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
step(), step()
before = faults()
for _ in range(100):
    step()
print(faults() - before)
"""


def faults(*words: str) -> int:
    done = subprocess.run([sys.executable, "-c", FAULTS, *words], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told")
def test_the_same_pages_are_not_asked_for_again() -> None:
    assert faults("keep") < 20_000  # pages in 100 steps of 16,384; as it comes, anything to 1.6 million


def test_who_has_told_it_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "131072")
    assert faults("keep") > 1_000_000
