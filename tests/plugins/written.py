"""Packages of one module, written where a test wants them: module and metadata, no build."""

from __future__ import annotations

from pathlib import Path

MODULE = """
from xip_core.kernels.extension import Column, ExtensionKernel, Output

def twice(columns, outputs, status):
    outputs[0][:] = 2.0 * columns[0]

def kernel(name, **changes):
    declared = dict(
        name=name, version="3", summary="Twice the value", columns=(Column("x", "any", "finite"),),
        outputs=(Output("pv", "as x"),), source="arithmetic", function=twice, sample={"x": [1.0, 2.0, 3.0, 4.0]},
    )
    return ExtensionKernel(**(declared | changes))

TWICE = kernel("desk.twice")
MISNAMED = kernel("desk.other")
"""


def write_package(
    folder: Path, package: str, entry_points: dict[str, str], source: str = MODULE, version: str = "1.2.0"
) -> Path:
    """The directory to put on the path: *package* with an entry point NAME = package:ATTRIBUTE for each given."""
    directory = folder / package
    metadata = directory / f"{package}-{version}.dist-info"
    metadata.mkdir(parents=True)
    (directory / f"{package}.py").write_text(source)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    lines = [f"{name} = {package}:{attribute}" for name, attribute in entry_points.items()]
    (metadata / "entry_points.txt").write_text("\n".join(["[xip.kernels]", *lines]) + "\n")
    return directory
