"""Keep freed memory for the next step, so that the kernel need not hand out and zero the same pages again.

A step frees and asks again for tens of megabytes (activations, the token table's gradient). glibc gives blocks that large
back to the kernel at once, and every step pays for fresh pages: a fifth of a small batch's time on a CPU (docs/log.md).
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# <malloc.h>: parameters of mallopt, and their values at start
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_START = {_TRIM_THRESHOLD: 128 * 1024, _MMAP_MAX: 65536}


@contextmanager
def keep_freed_memory() -> Iterator[bool]:
    """Inside, freed memory stays with the process; afterwards it goes back. Gives False where there is no glibc."""
    glibc = _glibc()
    if glibc is None:
        yield False
        return
    glibc.mallopt(_MMAP_MAX, 0)
    glibc.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield True
    finally:
        for parameter, value in _START.items():
            glibc.mallopt(parameter, value)
        glibc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "gnu_get_libc_version") and hasattr(library, "mallopt") else None
