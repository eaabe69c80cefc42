"""A TCP proxy in front of the server that cuts or holds a connection at a chosen word of the client.

    cut before     the word never reaches the server
    cut after      the server acts on it, its answer is lost: the outcome is unknown to the client
    hold           the word waits until it is released
"""

from __future__ import annotations

import contextlib
import enum
import socket
import threading
from collections.abc import Callable


class Fault(enum.Enum):
    CUT_BEFORE = "cut before"
    CUT_AFTER = "cut after"
    HOLD = "hold"


class Proxy:
    """Forwards to a port of this machine; one fault at a time, used once. A context manager."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._lock = threading.Lock()
        self._fault: tuple[Fault, Callable[[bytes], bool]] | None = None
        self._sockets: set[socket.socket] = set()
        self.struck = threading.Event()
        self.released = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *error: object) -> None:
        _close(self._listener)
        self.released.set()
        self.cut_all()

    def arm(self, fault: Fault, matches: Callable[[bytes], bool]) -> None:
        """Strike at the next bytes of any client for which *matches* is true."""
        self.struck.clear()
        self.released.clear()
        with self._lock:
            self._fault = (fault, matches)

    def disarm(self) -> None:
        with self._lock:
            self._fault = None

    def cut_all(self) -> None:
        with self._lock:
            sockets, self._sockets = list(self._sockets), set()
        for each in sockets:
            _close(each)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener was closed
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self._target_port))
                except OSError:
                    client.close()
                    continue
                for each in (client, server):
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self._lock:
                    self._sockets |= {client, server}
                _Relay(self, client, server)

    def take(self, data: bytes) -> Fault | None:
        with self._lock:
            if self._fault is None or not self._fault[1](data):
                return None
            fault, self._fault = self._fault[0], None
        return fault


class _Relay:
    """Both directions of one connection."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._loses_answers = False
        for forward in (self._forward_words, self._forward_answers):
            threading.Thread(target=forward, daemon=True).start()

    def _close(self) -> None:
        _close(self._client)
        _close(self._server)

    def _forward_words(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._client.recv(1 << 16):
                fault = self._proxy.take(data)
                match fault:
                    case Fault.CUT_BEFORE:
                        self._proxy.struck.set()
                        break
                    case Fault.CUT_AFTER:
                        self._loses_answers = True
                        self._proxy.struck.set()
                    case Fault.HOLD:
                        self._proxy.struck.set()
                        self._proxy.released.wait()
                    case None:
                        pass
                self._server.sendall(data)
        self._close()

    def _forward_answers(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._server.recv(1 << 16):
                if self._loses_answers:
                    break
                self._client.sendall(data)
        self._close()


def _close(each: socket.socket) -> None:
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()


def says(word: bytes) -> Callable[[bytes], bool]:
    return lambda data: word in data


def nth_message(count: int) -> Callable[[bytes], bool]:
    """The *count*-th piece that any client sends from now on, 1 for the next."""
    left = [count]

    def is_it(_: bytes) -> bool:
        left[0] -= 1
        return left[0] == 0

    return is_it
