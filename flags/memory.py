"""Memory of a process that handles films."""

from __future__ import annotations

import contextlib
import ctypes

# malloc.h of glibc, mallopt(3)
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8


def keep_freed(*, one_heap: bool) -> None:
    """Tells glibc to keep freed memory.

    Films, records and batches are megabytes each. Otherwise glibc gives each back to the system,
    which clears it page by page before the next, and all threads wait for each page in turn.

    Args:
        one_heap: whether all threads share one; where one takes what another frees. A thread's own
            heap can't grow over 64 MB.
    """
    with contextlib.suppress(OSError, AttributeError):  # another C library
        library = ctypes.CDLL("libc.so.6")
        if one_heap:
            library.mallopt(_M_ARENA_MAX, 1)
        library.mallopt(_M_MMAP_THRESHOLD, 1 << 30)
        library.mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)
