"""JSON logs, one object a line, on standard error.

Field names are the same everywhere, so that one query follows a thing through the grid: `run_id`, `worker_id`, `epoch`,
`tenant`, `incident_id`. Values of trades and markets are never logged.

Lines are written by a thread. Whoever reads standard error may stop reading (a stuck log shipper, a pipe nobody drains:
64 kB and the next write blocks for ever); the event loop must not stop with it. So lines wait in a bounded queue, and
what does not fit is dropped and counted.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from queue import SimpleQueue
from typing import TextIO, cast

import structlog
from structlog.typing import FilteringBoundLogger

LINES_WAITING_MAX = 10_000
"""About 3 MB, and some minutes of a busy scheduler's log."""

CLOSE_PATIENCE_S = 1.0
"""For the last lines at the end of the process, if somebody reads them."""


class LogWriter:
    """A text stream for structlog whose `write` never blocks."""

    def __init__(self, stream: TextIO, lines_waiting_max: int = LINES_WAITING_MAX) -> None:
        self._stream = stream
        self._lines_waiting_max = lines_waiting_max
        self._lines: SimpleQueue[str | None] = SimpleQueue()
        self._dropped_count = 0
        self._thread = threading.Thread(target=self._write_lines, name="log", daemon=True)
        self._thread.start()

    def write(self, line: str) -> int:
        if self._lines.qsize() >= self._lines_waiting_max:
            self._dropped_count += 1
        else:
            self._lines.put(line)
        return len(line)

    def flush(self) -> None:
        """The thread flushes after each line."""

    def close(self) -> None:
        """Write what waits, as far as that is possible in `CLOSE_PATIENCE_S`."""
        self._lines.put(None)
        self._thread.join(CLOSE_PATIENCE_S)

    def _write_lines(self) -> None:
        while (line := self._lines.get()) is not None:
            dropped_count, self._dropped_count = self._dropped_count, 0
            if dropped_count:
                line += json.dumps({"event": "log lines dropped", "level": "warning", "count": dropped_count}) + "\n"
            try:
                self._stream.write(line)
                self._stream.flush()
            except (OSError, ValueError):
                return  # nobody will ever read it: the stream is closed


class _LibraryLines(logging.Handler):
    """What asyncio, gRPC and others log goes the same way: their own handler would write to a pipe that may be full."""

    def emit(self, record: logging.LogRecord) -> None:
        logger(record.name).log(record.levelno, record.getMessage(), exc_info=record.exc_info)


def configure_logs(level: str) -> LogWriter:
    """
    Set up structlog for the process and return its writer, to be closed at the end.

    Args:
        level: as in `Settings.log_level`.
    """
    writer = LogWriter(sys.stderr)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", writer)),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_LibraryLines()], level=logging.WARNING, force=True)
    return writer


def logger(part: str) -> FilteringBoundLogger:
    """Logger of one part of the scheduler, such as "driver"."""
    bound: FilteringBoundLogger = structlog.get_logger(part=part)
    return bound
