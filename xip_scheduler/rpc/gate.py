"""The door of a scheduler that may have to wait: it listens from the start, and answers when it leads.

gRPC takes services only before a server starts, but those of a standby are made when it takes over. So one generic
handler stands for all of them, and every call asks it: while `refusal` has a sentence, the call ends with UNAVAILABLE
and that sentence, which makes clients and workers try the next address. The health service is not behind the gate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import grpc

from xip_core.errors import UnavailableError


class Gate(grpc.GenericRpcHandler):
    """
    Takes services like a server (`add_XServicer_to_server(servicer, gate)`).

    Args:
        refusal: why calls are refused now, "" when they are not; asked at every call, so it must be cheap.
    """

    def __init__(self, refusal: Callable[[], str]) -> None:
        self._refusal = refusal
        self._handlers: list[Any] = []

    def add_generic_rpc_handlers(self, handlers: Sequence[Any]) -> None:
        self._handlers.extend(handlers)

    def add_registered_method_handlers(self, service_name: str, handlers: dict[str, Any]) -> None:
        """The generic handlers know the same methods."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        sentence = self._refusal()
        if not (sentence or self._handlers):
            sentence = "this scheduler is taking over; try again"
        if sentence:
            return _refusing(sentence)
        for handler in self._handlers:
            found: grpc.RpcMethodHandler[Any, Any] | None = handler.service(handler_call_details)
            if found is not None:
                return found
        return None


def _refusing(sentence: str) -> grpc.RpcMethodHandler[Any, Any]:
    """Streams both ways take calls of every kind."""

    async def refuse(requests: object, context: object) -> NoReturn:
        raise UnavailableError(sentence)

    return grpc.stream_stream_rpc_method_handler(refuse)
