"""XipError to gRPC status and back.

A refusal travels as a status code, the sentence of the error, and a machine-readable reason in the trailing metadata
key `REASON_KEY`::

    OverloadedError     RESOURCE_EXHAUSTED                                         its own reason
    RequestError        INVALID_ARGUMENT, or the code `STATUS_BY_REASON` names     its own reason
    InputError          INVALID_ARGUMENT                                           BAD_INPUT
    NotFoundError       NOT_FOUND                                                  NOT_FOUND
    UnavailableError    UNAVAILABLE                                                UNAVAILABLE
    StoreError          INTERNAL                                                   STORE_REFUSED
    IntegrityError      DATA_LOSS                                                  INTEGRITY
    other XipError      INTERNAL                                                   INTERNAL
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import grpc

from xip_core.errors import (
    InputError,
    IntegrityError,
    NotFoundError,
    OverloadedError,
    RequestError,
    StoreError,
    UnavailableError,
    XipError,
)

REASON_KEY = "xip-reason"

RETRY_AFTER_KEY = "retry-after-ms"
"""Trailing metadata of an OverloadedError: whole milliseconds, what google.rpc.RetryInfo says without its envelope."""

Metadata = Iterable[Any]
"""(key, value) pairs; grpc and grpc.aio each have a type of their own for them."""

STATUS_BY_REASON = {
    "REQUEST_ID_REUSED": grpc.StatusCode.FAILED_PRECONDITION,
    "MESSAGE_TOO_LARGE": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "RUN_NOT_FINAL": grpc.StatusCode.FAILED_PRECONDITION,
    "NOTHING_TO_RETRY": grpc.StatusCode.FAILED_PRECONDITION,
    "RUN_PRUNED": grpc.StatusCode.FAILED_PRECONDITION,
}
"""Reasons of RequestError that are not INVALID_ARGUMENT."""

RETRIED_CODES = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNKNOWN, grpc.StatusCode.CANCELLED})
"""All mean "reconnect": a proxy that cuts an idle stream answers UNKNOWN, a server that stops CANCELLED."""

_REFUSALS = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
    }
)


def status_of(error: XipError) -> tuple[grpc.StatusCode, str]:
    """Status code and reason under which *error* travels; its text is the status message."""
    match error:
        case OverloadedError():
            return grpc.StatusCode.RESOURCE_EXHAUSTED, error.reason
        case RequestError():
            return STATUS_BY_REASON.get(error.reason, grpc.StatusCode.INVALID_ARGUMENT), error.reason
        case InputError():
            return grpc.StatusCode.INVALID_ARGUMENT, "BAD_INPUT"
        case NotFoundError():
            return grpc.StatusCode.NOT_FOUND, "NOT_FOUND"
        case UnavailableError():
            return grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE"
        case StoreError():
            return grpc.StatusCode.INTERNAL, "STORE_REFUSED"
        case IntegrityError():
            return grpc.StatusCode.DATA_LOSS, "INTEGRITY"
        case _:
            return grpc.StatusCode.INTERNAL, "INTERNAL"


def error_of(code: grpc.StatusCode, message: str, trailing_metadata: Metadata | None = None) -> XipError:
    """The error a failed call stands for."""
    reason = reason_of(trailing_metadata) or code.name
    if reason == "RESOURCE_EXHAUSTED" and "larger than max" in message:  # gRPC's own refusal, before any of our code
        reason, message = "MESSAGE_TOO_LARGE", f"a message must be no larger than its receiver takes: {message}"
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        retry_after_s = retry_after_s_of(trailing_metadata)
        if retry_after_s is not None:
            return OverloadedError(reason, message, retry_after_s)
    if code in _REFUSALS:
        return RequestError(reason, message)
    if code is grpc.StatusCode.NOT_FOUND:
        return NotFoundError(message)
    if code in RETRIED_CODES or code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return UnavailableError(message)
    if code is grpc.StatusCode.DATA_LOSS:
        return IntegrityError(message)
    if reason == "STORE_REFUSED":
        return StoreError(message)
    return XipError(message)


def reason_of(trailing_metadata: Metadata | None) -> str:
    """The reason in *trailing_metadata*, or ""."""
    return _text_of(REASON_KEY, trailing_metadata)


def retry_after_s_of(trailing_metadata: Metadata | None) -> float | None:
    """When the scheduler wants to be asked again; None where it did not say, or nothing that makes sense."""
    text = _text_of(RETRY_AFTER_KEY, trailing_metadata)
    return int(text) / 1000.0 if text.isdecimal() and len(text) < 10 else None


def _text_of(wanted: str, trailing_metadata: Metadata | None) -> str:
    for key, value in trailing_metadata or ():
        if key == wanted:
            return value if isinstance(value, str) else value.decode("ascii", "replace")
    return ""
