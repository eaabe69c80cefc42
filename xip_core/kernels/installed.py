"""Kernels of other packages, found through the entry point group `xip.kernels`.

    names()        the names that installed packages promise          reads their metadata, imports nothing of theirs
    find(name)     one of them, loaded and checked                     imports that one package
    load_all()     all of them; a worker at its start, `xipctl kernels`

Nothing happens before one of these is called: `xipctl --help` pays nothing, and a scheduler calls none of them, it
learns of kernels from requests and workers. What is loaded or refused stays so until the process ends. A refusal names
package, kernel and what must hold; it concerns that kernel alone.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
from typing import TYPE_CHECKING

import msgspec

from xip_core.kernels.declaration_records import Kernel
from xip_core.kernels.extension import ExtensionKernel

if TYPE_CHECKING:
    from importlib import metadata

GROUP = "xip.kernels"

_lock = threading.Lock()
_looked_up: dict[str, Installed | Refused] = {}


class Installed(msgspec.Struct, frozen=True):
    """A kernel that keeps the contract: as the catalogue shows it, and as its package declared it."""

    kernel: Kernel
    extension: ExtensionKernel


class Refused(msgspec.Struct, frozen=True):
    """A kernel that does not; *sentence* is for its author."""

    name: str
    package: str
    sentence: str


def names() -> tuple[str, ...]:
    """Names that entry points promise, sorted."""
    return tuple(sorted(_entries()))


def find(name: str) -> Installed | Refused | None:
    """The kernel *name*, loaded and checked at the first call; None where no package promises it."""
    entries = _entries().get(name)
    if entries is None:
        return None
    with _lock:  # slots are threads: one of them imports and checks
        found = _looked_up.get(name)
        if found is None:
            found = _looked_up[name] = _load(name, entries)
        return found


def load_all() -> tuple[tuple[Installed, ...], tuple[Refused, ...]]:
    """Every promised kernel: those that keep the contract and those that do not, by name."""
    found = [find(name) for name in names()]
    return (
        tuple(item for item in found if isinstance(item, Installed)),
        tuple(item for item in found if isinstance(item, Refused)),
    )


@functools.cache
def _entries() -> dict[str, tuple[metadata.EntryPoint, ...]]:
    """By name. One name in two packages has two entries; one package found twice on the path, as a wheel and as
    sources, has only its first, which is the one that is imported."""
    if not is_group_anywhere(sys.path):
        return {}
    from importlib import metadata

    found: dict[str, dict[str, metadata.EntryPoint]] = {}
    for entry in metadata.entry_points(group=GROUP):
        found.setdefault(entry.name, {}).setdefault(entry.dist.name if entry.dist else "", entry)
    return {name: tuple(by_package.values()) for name, by_package in found.items()}


def is_group_anywhere(path: list[str]) -> bool:
    """
    Does the metadata of any package on *path* name the group? 2 ms, where importing `importlib.metadata` to hear "no"
    would take 30 ms of every worker's start. What is no plain directory, a zip, may name it.
    """
    heading = f"[{GROUP}]".encode()
    for place in path:
        try:
            names = os.listdir(place or ".")
        except NotADirectoryError:
            return True
        except OSError:
            continue
        for name in names:
            if name.endswith((".dist-info", ".egg-info", ".egg")):
                file = os.path.join(place, name, *["EGG-INFO"] * name.endswith(".egg"), "entry_points.txt")
                try:
                    with open(file, "rb") as entry_points:
                        if heading in entry_points.read():
                            return True
                except OSError:
                    continue
    return False


def _load(name: str, entries: tuple[metadata.EntryPoint, ...]) -> Installed | Refused:
    packages = [f"{entry.dist.name} {entry.dist.version}" if entry.dist else "unnamed package" for entry in entries]
    if len(entries) > 1:
        sentence = f"kernel {name}: one package must have it, these do: {', '.join(packages)}"
        return Refused(name, ", ".join(packages), sentence)
    entry, package = entries[0], packages[0]
    try:
        loaded = entry.load()
    except Exception as error:  # whatever the import of somebody else's code raises
        got = f"{entry.value} must be importable, {type(error).__name__}: {error}"
        return Refused(name, package, f"kernel {name} of package {package}: {got}")
    from xip_core.kernels.contract import ContractError, checked

    try:
        extension = checked(loaded, name)
    except ContractError as error:
        return Refused(name, package, f"kernel {name} of package {package}: {error}")
    return Installed(_described(extension, entry, package), extension)


def _described(extension: ExtensionKernel, entry: metadata.EntryPoint, package: str) -> Kernel:
    return Kernel(
        name=extension.name,
        version=f"{extension.version}+{package.replace(' ', '-')}",
        summary=extension.summary,
        columns=extension.columns,
        outputs=extension.outputs,
        source=extension.source,
        module=entry.module,
        function=entry.attr,
        package=package,
        row_s=extension.row_s,
    )
