"""What can be set about a worker; every option has an environment variable XIP_WORKER_<OPTION> as well."""

from __future__ import annotations

import os

import msgspec

from xip_worker.isolation_settings import IsolationSettings

SLOT_PATIENCE_S = 20.0
"""From a revocation until the slot must be free. Kernels look every 10 ms by what they declare, so this is a declared
cost wrong by 2,000x."""

LOOP_LIMIT_S = 60.0
"""The loop turns within milliseconds unless a kernel holds the GIL; 1 GB of decoding takes some seconds."""

LEVEL_NAMES = ("debug", "info", "warning", "error")
DEFAULT_SCHEDULER = "127.0.0.1:7780"


class Settings(msgspec.Struct, frozen=True):
    """
    Attributes:
        schedulers: HOST:PORT, tried in turn.
        slot_count: leases evaluated at a time.
        blob_cache_bytes, output_cache_bytes: limits of the caches.
        slot_patience_s, loop_limit_s: of the watchdogs (`watchdogs`).
        isolation: limits of the child processes that evaluate suspects.
        drain_grace_s: how long a drain waits for running leases; below the 30 s Kubernetes grants a pod.
    """

    schedulers: tuple[str, ...]
    slot_count: int
    blob_cache_bytes: int
    output_cache_bytes: int
    drain_grace_s: float
    log_level: str
    isolation: IsolationSettings = IsolationSettings()
    slot_patience_s: float = SLOT_PATIENCE_S
    loop_limit_s: float = LOOP_LIMIT_S


def parse_schedulers(text: str) -> tuple[str, ...]:
    """
    Comma-separated HOST:PORT; IPv6 hosts in brackets.

    Raises:
        ValueError: an entry without host or port, or a port that is not a number of 1 to 65535.
    """
    addresses = tuple(entry.strip() for entry in text.split(","))
    for address in addresses:
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
            raise ValueError(f"a scheduler must be HOST:PORT with a port of 1 to 65535, got {address!r} in {text!r}")
        if ":" in host and not (host.startswith("[") and host.endswith("]")):
            raise ValueError(f"an IPv6 host must stand in brackets as in [::1]:7780, got {address!r}")
    return addresses


def core_count() -> int:
    """Cores this process may use, which in a container is less than the machine has."""
    return len(os.sched_getaffinity(0))
