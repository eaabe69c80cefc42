"""Everything XiP raises on purpose, in one tree.

    XipError                      a sentence: what must hold, what was got, where
    ├── RequestError              a request refused before anything is stored; carries a machine-readable reason
    │   ├── OverloadedError       the scheduler has no room now; says when to come again
    │   └── ArgumentError         arguments of evaluate() that cannot be priced; a ValueError too
    ├── InputError                a file or table that cannot be read; carries path and line
    ├── CellError                 one trade (or one scenario of it) without a number; becomes a quarantined cell
    ├── CalibrationError          a curve or surface that does not fit; names object, instrument and residual
    ├── NotFoundError             an unknown run, blob or tile; forbidden ones look the same
    ├── UnavailableError          a daemon that cannot be reached; says address, tries and what to start
    ├── StoreError                the store refuses: locked, corrupt, written by another version
    └── IntegrityError            bytes that do not match their digest or checksum

A `Failure` is not an exception: it is the value that stands where a number would have stood.
"""

from __future__ import annotations

import enum

import msgspec


class FailureReason(enum.IntEnum):
    """Why a cell has no number; the values are those of xip.v1.FailureReason."""

    UNSUPPORTED = 1
    BAD_TRADE = 2
    DUPLICATE_TRADE = 3
    EXPIRED = 4
    MISSING_DATA = 5
    BAD_QUOTE = 6
    CALIBRATION_FAILED = 7
    NUMERICAL = 8
    EVALUATION_FAILED = 9
    CRASHED = 10
    TIMED_OUT = 11
    OUT_OF_MEMORY = 12
    KERNEL_STOPPED = 13


class Failure(msgspec.Struct, frozen=True):
    """What stands in place of a number: a reason from the closed list and a sentence for a person."""

    reason: FailureReason
    message: str


class XipError(Exception):
    """Root of all errors XiP raises on purpose."""


class RequestError(XipError):
    """A request that is refused as a whole, before anything is stored.

    Attributes:
        reason: upper-case word a program can match, such as "EMPTY_BOOK".
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class OverloadedError(RequestError):
    """A request that is refused only for now: a queue is full.

    Attributes:
        retry_after_s: when to try again; a client spreads its tries around it.
    """

    def __init__(self, reason: str, message: str, retry_after_s: float) -> None:
        super().__init__(reason, message)
        self.retry_after_s = retry_after_s


class ArgumentError(RequestError, ValueError):
    """Arguments of a call in this process: an unknown kernel, column or output, shapes that do not fit."""


class InputError(XipError):
    """A file that cannot be read.

    Attributes:
        path: the file, as the user named it.
        line: one-based, or None where the format has no lines.
    """

    def __init__(self, message: str, path: str, line: int | None = None) -> None:
        super().__init__(f"{path}:{line}: {message}" if line is not None else f"{path}: {message}")
        self.path = path
        self.line = line


class CellError(XipError):
    """A trade that cannot be valued; `failure` goes to quarantine, its neighbours are computed."""

    def __init__(self, reason: FailureReason, message: str) -> None:
        super().__init__(message)
        self.failure = Failure(reason, message)


class CalibrationError(XipError):
    """A curve or surface that cannot be built from its quotes.

    Attributes:
        market_object: the curve or surface.
        instrument: the quote it failed on, or "" where the whole system did not converge.
    """

    def __init__(self, market_object: str, instrument: str, message: str) -> None:
        super().__init__(f"{market_object}: {instrument}: {message}" if instrument else f"{market_object}: {message}")
        self.market_object = market_object
        self.instrument = instrument


class NotFoundError(XipError):
    """An unknown run, blob or tile."""


class UnavailableError(XipError):
    """A daemon that cannot be reached."""


class StoreError(XipError):
    """The store cannot be opened or trusted."""


class IntegrityError(XipError):
    """Bytes that do not match their digest or checksum."""
