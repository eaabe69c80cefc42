# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""What only compiled code can do to a process."""

from libc.stdlib cimport abort as c_abort, malloc
from libc.string cimport memset

cdef enum:
    BLOCK_BYTES = 16 << 20


def segfault():
    """Write through a null pointer."""
    cdef volatile int* nowhere = NULL
    nowhere[0] = 1


def abort():
    """What a failed assertion of a C library does."""
    c_abort()


def spin_with_gil():
    """Never come back, and let no other Python thread of the process run."""
    cdef volatile long turns = 0
    while True:
        turns += 1


def spin_without_gil():
    """Never come back; other threads go on."""
    cdef volatile long turns = 0
    with nogil:
        while True:
            turns += 1


def allocate_without_bound():
    """
    Take memory and touch it until there is none.

    Raises:
        MemoryError: the process has a limit and has reached it.
    """
    cdef void* block = NULL
    with nogil:
        while True:
            block = malloc(BLOCK_BYTES)
            if block == NULL:
                break
            memset(block, 1, BLOCK_BYTES)
    raise MemoryError("no more memory for the row")
