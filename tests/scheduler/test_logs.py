"""xip_scheduler.logs"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
from pathlib import Path

from xip_scheduler.logs import LogWriter

REPOSITORY = Path(__file__).resolve().parents[2]


class StuckStream(io.StringIO):
    """Accepts nothing until released."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Event()
        self.released = threading.Event()

    def write(self, text: str) -> int:
        self.entered.set()
        assert self.released.wait(10.0)
        return super().write(text)


def test_lines_are_written_in_order_and_close_waits_for_them() -> None:
    stream = io.StringIO()
    writer = LogWriter(stream)
    for number in range(100):
        writer.write(f"{number}\n")
    writer.close()
    assert stream.getvalue().split() == [str(number) for number in range(100)]


def test_a_stream_that_does_not_accept_lines_costs_lines_not_time() -> None:
    stream = StuckStream()
    writer = LogWriter(stream, lines_waiting_max=3)
    writer.write("first\n")
    assert stream.entered.wait(10.0)
    for number in range(10):
        writer.write(f"{number}\n")
    stream.released.set()
    writer.close()
    lines = stream.getvalue().splitlines()
    assert [line for line in lines if not line.startswith("{")] == ["first", "0", "1", "2"]
    (dropped,) = (json.loads(line) for line in lines if line.startswith("{"))
    assert dropped == {"event": "log lines dropped", "level": "warning", "count": 7}


def test_a_closed_stream_ends_the_writer_quietly() -> None:
    stream = io.StringIO()
    stream.close()
    writer = LogWriter(stream)
    writer.write("line\n")
    writer.close()
    assert writer.write("after\n") == 6


def test_lines_of_libraries_go_the_same_way() -> None:
    program = (
        "import logging; from xip_scheduler.logs import configure_logs; writer = configure_logs('info');"
        "logging.getLogger('asyncio').error('task %s was lost', 7); writer.close()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    line = json.loads(done.stderr)
    assert (line["part"], line["level"], line["event"]) == ("asyncio", "error", "task 7 was lost")
