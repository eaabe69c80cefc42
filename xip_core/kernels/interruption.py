"""Is a long row still wanted? Kernels that price by paths ask between slices of some 10 ms.

A kernel knows no tile and no run, so whoever calls it hangs his question here, for his own thread:

    with interrupting(poll):        # poll raises what is to end the call
        evaluate("equity.autocallable", ...)

Without a question only Python's own signals are heard, so that Ctrl-C ends a long row.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class _Thread(threading.local):
    question: Callable[[], None] | None = None


_thread = _Thread()


@contextmanager
def interrupting(question: Callable[[], None]) -> Iterator[None]:
    """Within, *question* is called between slices of a long row; what it raises ends the kernel's call."""
    before, _thread.question = _thread.question, question
    try:
        yield
    finally:
        _thread.question = before


def check() -> None:
    """
    Raises:
        Exception: what the question of this thread raises.
    """
    if _thread.question is not None:
        _thread.question()
