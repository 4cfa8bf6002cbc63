"""Memory that one step frees is kept for the next: the system is not asked for the same pages again and again.

glibc gives freed memory back as soon as 128 KiB lie at its end, and each page comes back zeroed, by a fault. A step
frees and takes all its activations, so up to a tenth of a small model's step was spent there (docs/log.md).
"""

import ctypes
import os
import platform

TRIM, MAPPED = -1, -3
"""mallopt's names for what is given back, and for what is taken from the system piece by piece."""


def keep_freed() -> None:
    """Where the C library is glibc, unless the user has told it what to do (MALLOC_TRIM_THRESHOLD_)."""
    if platform.libc_ver()[0] != "glibc" or "MALLOC_TRIM_THRESHOLD_" in os.environ:
        return
    library = ctypes.CDLL(None)
    library.mallopt(MAPPED, 1 << 25)  # the most that it takes
    library.mallopt(TRIM, 1 << 30)
