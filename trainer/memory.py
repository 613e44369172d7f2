"""Memory of this process."""

from __future__ import annotations

import contextlib
import ctypes

# malloc.h of glibc, mallopt(3)
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8


def keep_freed() -> None:
    """Tells glibc to keep freed memory, in one heap for all threads.

    Records and batches are megabytes each, taken by one thread and freed by another. Otherwise
    glibc gives each back to the system, which clears it page by page before the next: at 2048x1376
    up to 1,700 page faults a film, for which all threads wait in turn.
    """
    with contextlib.suppress(OSError, AttributeError):  # another C library
        library = ctypes.CDLL("libc.so.6")
        library.mallopt(_M_ARENA_MAX, 1)  # a thread's own heap can't grow over 64 MB
        library.mallopt(_M_MMAP_THRESHOLD, 1 << 30)
        library.mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)
