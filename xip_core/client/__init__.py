"""What a desk embeds: one connection to a scheduler, asynchronous or not.

    async with connect("127.0.0.1:7780") as client:
        run = await client.submit(book, market, scenarios, request_id="eod-42")
        async for block in client.stream_results(run.run_id):
            ...

    with connect("127.0.0.1:7780") as client:
        run = client.submit(book, market, scenarios, request_id="eod-42")
        numbers = client.results(run.run_id).to_numpy()

Every call may be repeated: blobs are named by their content, a run by its request id, a place in the results by its
cursor. So when the scheduler restarts or a proxy cuts the line, the client reconnects and goes on where it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xip_core.client.client import Client
    from xip_core.client.connection import Patience
    from xip_core.client.sync import SyncClient

__all__ = ["connect", "connect_sync"]


def connect(address: str, patience: Patience | None = None) -> Client:
    """
    A client of the scheduler at *address*: `async with` gives awaitable calls, `with` gives calls that block. Nothing
    is sent before the first call.

    Args:
        address: "host:port", or several of them joined by commas for one scheduler with standbys.
        patience: how long calls are tried again; None takes the defaults.

    Raises:
        RequestError: BAD_ADDRESS.
    """
    from xip_core.client.client import Client

    return Client(address, patience)


def connect_sync(address: str, patience: Patience | None = None) -> SyncClient:
    """What `with connect(...)` gives, for code that cannot use a `with`; to be closed."""
    from xip_core.client.sync import SyncClient

    return SyncClient(connect(address, patience))
