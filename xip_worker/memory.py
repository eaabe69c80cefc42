"""Memory that a tile gives back stays with the process: the next tile of the slot needs as much again.

By its defaults glibc returns what is free at the end of a slot's arena to the operating system, and asks for it again
a tile later: a page fault for every 4 KiB, under one lock for all threads of the process. Resolving 1,000 swaps took
2,300 of them, 38 % of its time, and a second slot waited for the lock.

    blocks up to MMAP_THRESHOLD_BYTES   from the arena, not from the operating system one by one
    free end of an arena                kept up to TRIM_THRESHOLD_BYTES

A worker's memory stays where its largest tiles had it; what its caches hold is bounded by their own options. Where
there is another C library nothing changes.
"""

from __future__ import annotations

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Names of glibc's malloc.h."""

MMAP_THRESHOLD_BYTES = 32 << 20
"""The most glibc takes: half a heap of an arena."""

TRIM_THRESHOLD_BYTES = 512 << 20


def keep_freed_memory() -> bool:
    """Tells the C library; whether it listened. Of the whole process, to be called before slots start."""
    import ctypes

    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # no glibc
        return False
    settings = ((M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES), (M_TRIM_THRESHOLD, TRIM_THRESHOLD_BYTES))
    heard: list[int] = [mallopt(name, size_bytes) for name, size_bytes in settings]
    return 0 not in heard
