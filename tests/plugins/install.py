"""Packages of kernels, built from their sources here and installed where only a test finds them.

    plugin = installed("poison_kernels")                  # pip install --target, offline, once per process
    Daemon(["xip_worker", ...], plugin.environment)       # this worker has the kernel poison.row

As fixtures (tests/conftest.py): `poison_kernels`, `example_kernels`.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCES = Path(__file__).resolve().parent
BUILD_LIMIT_S = 120.0


class Plugin(NamedTuple):
    """An installed package: its directory, and the variables with which a process finds it."""

    directory: Path
    environment: dict[str, str]


@functools.cache
def installed(package: str) -> Plugin:
    """The package in tests/plugins/*package*, installed into a directory that lives as long as this process."""
    home = Path(tempfile.mkdtemp(prefix=f"xip-{package}-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    sources, directory = home / "sources", home / "site"
    shutil.copytree(SOURCES / package, sources)  # a build writes beside its sources
    path = [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run(
        [*pip, "--target", str(directory), str(sources)],
        capture_output=True,
        text=True,
        check=False,
        timeout=BUILD_LIMIT_S,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path), "CFLAGS": "-O1 -g0"},
    )
    assert done.returncode == 0, f"{package} must install:\n{done.stdout}\n{done.stderr}"
    environment = {"PYTHONPATH": os.pathsep.join([str(directory), *path])}
    return Plugin(directory, environment)
