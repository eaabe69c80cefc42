"""`poison.row`: pv = 2 * value + 1, and before it whatever the row's `act` says.

Rows are taken in order, so when a row ends the process, the rows before it were computed and those behind it were not.

    0 COMPUTE            nothing else
    1 SEGFAULT           the process dies by SIGSEGV
    2 ABORT              the process dies by SIGABRT
    3 EXIT               the process ends with code 3, without a word
    4 SPIN_WITH_GIL      never returns, and no other Python thread of the process runs
    5 SPIN_WITHOUT_GIL   never returns
    6 ALLOCATE           takes memory until the process is killed or a limit makes it raise MemoryError
    7 RAISE              raises ValueError
    8 NAN                writes NaN and says status 0
    9 WRONG_SHAPE        gives its output another shape, then writes one value too many: raises
   10 PRINT              writes `amount` bytes to stdout
   11 LEAK               opens `amount` file descriptors and keeps them
   12 SLOW               waits `amount` seconds without the GIL
   13 REFUSE             status NUMERICAL, as a good kernel does
   14 BAD_STATUS         status 200, which is no FailureReason
   15 SICK               raises where the environment has POISON_SICK, so on one worker and not on another
   16 CRASH_IF_SICK      dies by SIGSEGV where the environment has POISON_SICK
   17 SYSTEM_EXIT        raises SystemExit, as sys.exit() does
"""

from __future__ import annotations

import enum
import os
import threading
from typing import Any

import numpy as np

from poison_kernels import crimes
from xip_core.kernels.extension import Column, ExtensionKernel, Output

NUMERICAL = 8
SICK_VARIABLE = "POISON_SICK"


class Act(enum.IntEnum):
    COMPUTE = 0
    SEGFAULT = 1
    ABORT = 2
    EXIT = 3
    SPIN_WITH_GIL = 4
    SPIN_WITHOUT_GIL = 5
    ALLOCATE = 6
    RAISE = 7
    NAN = 8
    WRONG_SHAPE = 9
    PRINT = 10
    LEAK = 11
    SLOW = 12
    REFUSE = 13
    BAD_STATUS = 14
    SICK = 15
    CRASH_IF_SICK = 16
    SYSTEM_EXIT = 17


def row(columns: tuple[Any, ...], outputs: tuple[Any, ...], status: Any) -> None:
    """See the head of this module; columns are value, act, amount."""
    values, acts, amounts = (np.broadcast_to(column, status.shape) for column in columns)
    pv = outputs[0]
    pv[:] = 2.0 * values + 1.0
    for position in np.flatnonzero(acts).tolist():
        commit(Act(int(acts[position])), float(amounts[position]), position, pv, status)


def commit(act: Act, amount: float, position: int, pv: Any, status: Any) -> None:
    match act:
        case Act.COMPUTE:
            pass
        case Act.SEGFAULT:
            crimes.segfault()
        case Act.ABORT:
            crimes.abort()
        case Act.EXIT:
            os._exit(3)
        case Act.SPIN_WITH_GIL:
            crimes.spin_with_gil()
        case Act.SPIN_WITHOUT_GIL:
            crimes.spin_without_gil()
        case Act.ALLOCATE:
            crimes.allocate_without_bound()
        case Act.RAISE:
            raise ValueError(f"row {position} of this call cannot be computed")
        case Act.NAN:
            pv[position] = np.nan
        case Act.WRONG_SHAPE:
            pv.shape = (1, len(status))
            pv[:] = np.zeros((1, len(status) + 1))
        case Act.PRINT:
            write_bytes(int(amount))
        case Act.LEAK:
            for _ in range(int(amount)):
                os.open(os.devnull, os.O_RDONLY)
        case Act.SLOW:
            threading.Event().wait(amount)
        case Act.REFUSE:
            status[position] = NUMERICAL
            pv[position] = np.nan
        case Act.BAD_STATUS:
            status[position] = 200
        case Act.SICK:
            if SICK_VARIABLE in os.environ:
                raise RuntimeError(f"this process is sick: {SICK_VARIABLE} is set")
        case Act.CRASH_IF_SICK:
            if SICK_VARIABLE in os.environ:
                crimes.segfault()
        case Act.SYSTEM_EXIT:
            raise SystemExit(4)


def write_bytes(count: int) -> None:
    line = b"poison" * 10_000
    while count > 0:
        count -= os.write(1, line[:count])


ROW = ExtensionKernel(
    name="poison.row",
    version="1",
    summary="2 * value + 1, or a crime",
    columns=(
        Column("value", "any", "finite"),
        Column("act", "number of an Act", "0 to 17"),
        Column("amount", "seconds, bytes or descriptors, as the act says", ">= 0"),
    ),
    outputs=(Output("pv", "as value"),),
    source="the fault catalogue of XiP's tests",
    function=row,
    sample={"value": [1.0, 2.0, -3.0, 0.5, 8.0], "act": [0, 0, 13, 0, 0], "amount": [0.0] * 5},
)
