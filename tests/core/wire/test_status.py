"""xip_core.wire.status: an error arrives as the error it was."""

from __future__ import annotations

import grpc
import pytest

from xip_core.errors import IntegrityError, NotFoundError, RequestError, StoreError, UnavailableError, XipError
from xip_core.wire.status import REASON_KEY, error_of, status_of


@pytest.mark.parametrize(
    "error",
    [
        RequestError("EMPTY_BOOK", "a book must have trades"),
        RequestError("REQUEST_ID_REUSED", "request id r was used"),
        NotFoundError("run r9 is not known"),
        UnavailableError("draining"),
        StoreError("locked"),
        IntegrityError("digest differs"),
        XipError("something else"),
    ],
)
def test_an_error_arrives_as_the_error_it_was(error):
    code, reason = status_of(error)
    arrived = error_of(code, str(error), ((REASON_KEY, reason),))
    assert type(arrived) is type(error)
    assert str(arrived) == str(error)
    assert getattr(arrived, "reason", None) == getattr(error, "reason", None)


def test_a_reused_request_id_is_a_failed_precondition():
    assert status_of(RequestError("REQUEST_ID_REUSED", "m"))[0] is grpc.StatusCode.FAILED_PRECONDITION


def test_a_status_without_reason_names_its_code():
    error = error_of(grpc.StatusCode.RESOURCE_EXHAUSTED, "too large")
    assert isinstance(error, RequestError)
    assert error.reason == "RESOURCE_EXHAUSTED"


def test_grpcs_own_refusal_of_a_large_message_has_our_reason_and_a_sentence():
    error = error_of(grpc.StatusCode.RESOURCE_EXHAUSTED, "SERVER: Received message larger than max (9 vs. 4)")
    assert isinstance(error, RequestError)
    assert error.reason == "MESSAGE_TOO_LARGE"
    assert str(error).startswith("a message must be no larger than its receiver takes: ")
    assert "(9 vs. 4)" in str(error)
