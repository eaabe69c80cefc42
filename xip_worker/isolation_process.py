"""The child process of a slot, seen from the slot: started, spoken to, watched, ended, and its end put into words.

Nothing here blocks longer than it is told to: a child that does not read or write is the case this is for.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys

import msgspec

from xip_core.errors import Failure, FailureReason
from xip_worker.isolation_settings import IsolationSettings
from xip_worker.isolation_wire import FRAME_BYTES_MAX, LENGTH_BYTES, Answer, FromChild, Order, frame, from_child

SEND_LIMIT_S = 10.0
"""For a child to take a message; it reads whenever it waits for one."""

TAIL_BYTES = 2_000
"""Kept of what a child writes to its standard output and error; the rest is read and forgotten."""


class ChildGoneError(Exception):
    """The child has ended, or says what no child says."""


class ChildProcess:
    """
    Attributes:
        order_count: orders it was given.
        plan_digest: of the plan it has.
    """

    def __init__(self, settings: IsolationSettings) -> None:
        self.order_count = 0
        self.plan_digest = b""
        self._line, theirs = socket.socketpair()
        self._line.settimeout(SEND_LIMIT_S)
        self._tail = b""
        self._received = bytearray()
        with theirs:
            command = (
                sys.executable, "-P", "-m", "xip_worker.isolation_child",
                str(theirs.fileno()), str(settings.memory_limit_bytes), settings.evaluator,
            )  # fmt: skip
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                env=os.environ | {"XIP_ISOLATED_PATH": json.dumps(sys.path), "PYTHONPATH": os.pathsep.join(sys.path)},
            )
        assert self._process.stdout is not None
        self._output = self._process.stdout.fileno()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._line, selectors.EVENT_READ)
        self._selector.register(self._output, selectors.EVENT_READ)

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, message: Order | Answer) -> None:
        """
        Raises:
            ChildGoneError: it is not there, or does not read.
        """
        try:
            self._line.sendall(frame(message))
        except OSError as error:
            raise ChildGoneError from error

    def receive(self, timeout_s: float) -> FromChild | None:
        """
        The next message; None when none came in time.

        Raises:
            ChildGoneError: it has closed its end, or sent more than a tile can have.
        """
        if (message := self._next_frame()) is not None:
            return message
        for key, _ in self._selector.select(timeout_s):
            if key.fd == self._output:
                self._read_output()
            elif not self._read_line():
                raise ChildGoneError
        return self._next_frame()

    def _next_frame(self) -> FromChild | None:
        received = self._received
        if len(received) < LENGTH_BYTES:
            return None
        size_bytes = int.from_bytes(received[:LENGTH_BYTES], "little")
        if size_bytes > FRAME_BYTES_MAX:
            raise ChildGoneError
        if len(received) < LENGTH_BYTES + size_bytes:
            return None
        content = bytes(received[LENGTH_BYTES : LENGTH_BYTES + size_bytes])
        del received[: LENGTH_BYTES + size_bytes]
        try:
            return from_child(content)
        except msgspec.MsgspecError as error:
            raise ChildGoneError from error

    def _read_line(self) -> bool:
        try:
            part = self._line.recv(1 << 20)
        except OSError:
            return False
        self._received += part
        return bool(part)

    def _read_output(self) -> None:
        part = os.read(self._output, 1 << 16)
        if not part:
            self._selector.unregister(self._output)
        self._tail = (self._tail + part)[-TAIL_BYTES:]

    def end(self) -> int:
        """Kill it and all it started; its exit code as subprocess counts, -9 when it was alive."""
        with contextlib.suppress(OSError):
            os.killpg(self.pid, signal.SIGKILL)
        code = self._process.wait()
        self._drain_output()
        self._selector.close()
        self._line.close()
        assert self._process.stdout is not None
        self._process.stdout.close()
        return code

    def code(self) -> int:
        """Its exit code, when it closes its end by dying; it may be a moment behind, and is killed if it is not."""
        try:
            code = self._process.wait(SEND_LIMIT_S)
        except subprocess.TimeoutExpired:
            return self.end()
        self.end()
        return code

    def _drain_output(self) -> None:
        os.set_blocking(self._output, False)
        with contextlib.suppress(OSError):
            while part := os.read(self._output, 1 << 16):
                self._tail = (self._tail + part)[-TAIL_BYTES:]

    def last_words(self) -> str:
        return self._tail.decode(errors="replace")


def failure_of_end(code: int, time_limit_s: float) -> Failure:
    """What the exit code of a child that ended by itself says about what it was at."""
    if code == -signal.SIGXCPU:
        sentence = f"used its processor time up, which is {time_limit_s:g} s for each core"
        return Failure(FailureReason.TIMED_OUT, sentence)
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = "unnamed"
        return Failure(FailureReason.CRASHED, f"ended its process by signal {-code} ({name})")
    return Failure(FailureReason.CRASHED, f"ended its process with exit code {code}")
