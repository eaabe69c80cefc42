"""Many workers in one process: `python -m tests.chaos.herd --scheduler HOST:PORT --workers N`.

Each is the daemon's own code - stream, reconnection, core, slot thread - with its own channel; only the evaluation is
replaced: a probe tile is held until SIGUSR1, so a lease lives as long as the test wants. "all hold" is written when as
many evaluations have begun as there are workers. Evaluations are noted as by `observed_worker`.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import signal
import threading
from collections.abc import Callable

from tests.chaos.observed_worker import observe
from xip_core.kernel_versions import announced
from xip_worker import probe
from xip_worker.daemon import Daemon
from xip_worker.messages import Identity
from xip_worker.pricing import PricingEvaluator
from xip_worker.settings import Settings

LOOK_INTERVAL_S = 1.0
"""Of a held tile at its cancellation: a thousand of them look a thousand times a second."""

released = threading.Event()
begun = itertools.count(1)
worker_count = 0


class Quiet:
    """A log that tells the parent only what breaks a worker."""

    def info(self, event: str, **_: object) -> None:
        pass

    warning = debug = info

    def error(self, event: str, **details: object) -> None:
        tell(event, **{name: str(value) for name, value in details.items()})


class NoPricing(PricingEvaluator):
    """Nothing is priced, so nothing is imported."""

    def warm_up(self) -> None:
        pass


def held(until_ns: int, is_cancelled: Callable[[], bool]) -> bool:
    """In place of keeping a core busy: wait; False when cancelled."""
    if next(begun) == worker_count:
        tell("all hold")
    while not released.wait(LOOK_INTERVAL_S):
        if is_cancelled():
            return False
    return True


async def serve(addresses: tuple[str, ...]) -> None:
    settings = Settings(addresses, 1, 1 << 20, 1 << 20, 5.0, "info")
    daemons = []
    for number in range(worker_count):
        identity = Identity(f"herd-{os.getpid()}-{number}", 1, "v2", "0", "herd", os.getpid(), announced())
        daemons.append(Daemon(settings, identity, NoPricing(), Quiet()))
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, released.set)
    tell("started")
    await asyncio.gather(*(daemon.run() for daemon in daemons))


def tell(event: str, **details: str) -> None:
    print(json.dumps({"event": event, **details}), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--scheduler", required=True)
    parser.add_argument("--workers", type=int, required=True)
    options = parser.parse_args()
    worker_count = options.workers
    threading.stack_size(256 << 10)
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    probe._spin = held
    observe()
    asyncio.run(serve(tuple(options.scheduler.split(","))))
