"""`python -m xip_core.client.tied PARENT_PID MODULE ARGUMENTS...` runs a module that dies with its parent.

The kernel sends SIGKILL when the parent ends, whatever ends it. Asked for here, in the child, and not between fork and
exec in the parent: a process that uses gRPC must not fork.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys

_PR_SET_PDEATHSIG = 1


def tie_to_parent(parent_pid: int) -> None:
    """Die when the parent dies; at once if it is not *parent_pid* any more."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:  # it died before the line above
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    tie_to_parent(int(sys.argv[1]))
    module = sys.argv[2]
    del sys.argv[1:3]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
