"""
Which build of the kernels this process uses.

Every kernel is compiled once per x86-64 level (v2: SSE4.2, v3: AVX2 and FMA, v4: AVX-512) and once on arm64; all builds
give the same bytes, so the choice is about speed alone. The best level that CPU and operating system support is taken
at first use; the environment variable XIP_CPU_LEVEL forces another one, for tests and comparisons.
"""

from __future__ import annotations

import functools
import importlib
import os
import platform
import types
from pathlib import Path

VARIABLE = "XIP_CPU_LEVEL"

# Names as Linux prints them. The kernel hides what the operating system cannot save on a task switch.
V2_FLAGS = frozenset(["cx16", "lahf_lm", "popcnt", "pni", "ssse3", "sse4_1", "sse4_2"])
V3_FLAGS = V2_FLAGS | frozenset(["abm", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe", "xsave"])
V4_FLAGS = V3_FLAGS | frozenset(["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"])
X86_LEVELS = (("v2", V2_FLAGS), ("v3", V3_FLAGS), ("v4", V4_FLAGS))


def supported_levels(machine: str, cpu_flags: frozenset[str]) -> tuple[str, ...]:
    """Levels a machine can run, best last. Empty where it can run none."""
    if machine.lower() in ("aarch64", "arm64"):
        return ("arm64",)
    return tuple(name for name, needed in X86_LEVELS if needed <= cpu_flags)


def choose_level(forced: str | None, supported: tuple[str, ...]) -> str:
    """The best level, or the forced one.

    Raises:
        RuntimeError: no level is supported, or the forced one is unknown or not supported.
    """
    if not supported:
        raise RuntimeError(f"the kernels need a CPU of level {X86_LEVELS[0][0]} (SSE4.2) or arm64, this one is older")
    if not forced:
        return supported[-1]
    if forced not in supported:
        raise RuntimeError(f"{VARIABLE} must be one of {', '.join(supported)} on this machine, got {forced!r}")
    return forced


def read_cpu_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """Feature names of the first CPU; a machine has one kind."""
    with cpuinfo.open(encoding="ascii", errors="replace") as lines:
        for line in lines:
            name, _, value = line.partition(":")
            if name.strip() in ("flags", "Features"):
                return frozenset(value.split())
    return frozenset()


@functools.cache
def cpu_level() -> str:
    """The level in use, decided once: "v2", "v3", "v4" or "arm64"."""
    machine = platform.machine()
    flags = read_cpu_flags() if machine.lower() in ("x86_64", "amd64") else frozenset()
    return choose_level(os.environ.get(VARIABLE), supported_levels(machine, flags))


def load_module(name: str, level: str | None = None) -> types.ModuleType:
    """A kernel module such as "equity", built for *level* or the level in use.

    Raises:
        ImportError: the kernels are not built.
    """
    path = f"xip_core.kernels._{level or cpu_level()}.{name}"
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError as error:
        raise ImportError(
            f"kernel module {path} must be built: run `pip install -e .` or `python setup.py build_ext --inplace`",
            name=path,
        ) from error
