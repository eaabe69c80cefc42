"""What can be seen of a process from outside: memory, descriptors, threads, and a scheduler's figures."""

from __future__ import annotations

import socket
import urllib.request
from pathlib import Path

LIMIT_S = 10.0


def resident_bytes(pid: int) -> int:
    return int(_status(pid)["VmRSS"].split()[0]) << 10


def thread_count(pid: int) -> int:
    return int(_status(pid)["Threads"])


def descriptor_count(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def metrics_of(port: int) -> dict[str, float]:
    """Figures of a scheduler started with --metrics-port."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=LIMIT_S) as answer:
        lines = answer.read().decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
