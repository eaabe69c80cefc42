"""A TCP proxy that treats a connection as a bad network does.

It stands between a client and a server on loopback and runs an event loop in a thread of its own. TCP delivers what was
sent, in order, or ends: so the faults are those a TCP peer can see.

    cut          every connection is reset, new ones are refused after the accept, until `heal`
    freeze       bytes of one or both directions stay here, unacknowledged by the other end (black hole, half-open)
    delay_s      every byte arrives so much later
    chunk_bytes  bytes arrive in pieces of at most so many, one wake-up each (dribble)
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Literal, Self

Direction = Literal["up", "down"]

READ_SIZE_BYTES = 1 << 16
QUEUE_CHUNKS_MAX = 256
START_LIMIT_S = 10.0
RESET = struct.pack("ii", 1, 0)


class Proxy:
    """A proxy in front of *target*, "HOST:PORT"; `address` is where to connect. A context manager."""

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self.address = ""
        self.connection_count = 0
        self.delay_s = 0.0
        self.chunk_bytes = READ_SIZE_BYTES
        self._is_cut = False
        self._loop = asyncio.new_event_loop()
        self._open: dict[Direction, asyncio.Event] = {}
        self._writers: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._started = threading.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(START_LIMIT_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(START_LIMIT_S)

    # ---- faults

    def cut(self) -> None:
        """Reset all connections and every new one until `heal`."""
        self._call(self._cut)

    def reset_all(self) -> None:
        """Reset the connections there are; new ones pass."""
        self._call(self._reset_writers)

    def freeze(self, *directions: Direction) -> None:
        """Keep the bytes of *directions*: nothing arrives, nothing ends."""
        self._call(lambda: self._freeze(directions))

    def heal(self) -> None:
        self._call(self._heal)

    # ---- the loop's side

    def _call(self, change: Callable[[], object]) -> None:
        done = threading.Event()

        def changed() -> None:
            change()
            done.set()

        self._loop.call_soon_threadsafe(changed)
        assert done.wait(START_LIMIT_S)

    def _freeze(self, directions: tuple[Direction, ...]) -> None:
        for direction in directions:
            self._open[direction].clear()

    def _cut(self) -> None:
        self._is_cut = True
        self._reset_writers()

    def _reset_writers(self) -> None:
        for writer in self._writers:
            _reset(writer)

    def _heal(self) -> None:
        self._is_cut = False
        self.delay_s, self.chunk_bytes = 0.0, READ_SIZE_BYTES
        for gate in self._open.values():
            gate.set()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        self._open = {"up": asyncio.Event(), "down": asyncio.Event()}
        self._heal()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._started.set()
        await self._stop.wait()
        server.close()
        self._reset_writers()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            _reset(writer)
            return
        self.connection_count += 1
        try:
            other_reader, other_writer = await asyncio.open_connection(*self._target)
        except OSError:
            _reset(writer)
            return
        pair = (writer, other_writer)
        self._writers.update(pair)
        try:
            await asyncio.gather(
                self._carry(reader, other_writer, "up"), self._carry(other_reader, writer, "down")
            )
        except (OSError, asyncio.CancelledError):
            pass  # one end is gone, so is the other; or the proxy stops
        finally:
            self._writers.difference_update(pair)
            for end in pair:
                _reset(end)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: Direction) -> None:
        """Bytes of one direction, each with the time from which it may arrive."""
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(QUEUE_CHUNKS_MAX)
        delivering = asyncio.create_task(self._deliver(queue, writer, direction))
        try:
            while chunk := await reader.read(READ_SIZE_BYTES):
                put = asyncio.create_task(queue.put((self._loop.time() + self.delay_s, chunk)))
                await asyncio.wait((put, delivering), return_when=asyncio.FIRST_COMPLETED)
                if delivering.done():
                    put.cancel()
                    break
            else:
                await queue.put((0.0, b""))
            await delivering
        finally:
            delivering.cancel()

    async def _deliver(
        self, queue: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter, direction: Direction
    ) -> None:
        while True:
            due_s, chunk = await queue.get()
            wait_s = due_s - self._loop.time()
            if wait_s > 0.0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await self._stop.wait()
            for begin in range(0, len(chunk), self.chunk_bytes):
                await self._open[direction].wait()
                writer.write(chunk[begin : begin + self.chunk_bytes])
                await writer.drain()
            if not chunk:
                await self._open[direction].wait()
                writer.write_eof()
                return


def _reset(writer: asyncio.StreamWriter) -> None:
    """End with RST, as a cut line does once packets flow again; a FIN would be an orderly goodbye."""
    sock = writer.get_extra_info("socket")
    if sock is not None and sock.fileno() >= 0:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()
