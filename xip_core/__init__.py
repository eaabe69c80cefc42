"""XiP: what desks, workers and the scheduler share.

Nothing is imported here eagerly: `xipctl --help` and a worker's start pay only for what they use.
`xip_core.evaluate`, `xip_core.catalogue` and `xip_core.Graph` are loaded at first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from xip_core.client.graph import Graph
    from xip_core.kernels.catalogue import catalogue, evaluate

__all__ = ["Graph", "__version__", "catalogue", "evaluate"]


def __getattr__(name: str) -> Any:
    if name in ("evaluate", "catalogue"):
        from xip_core.kernels import catalogue as module

        return getattr(module, name)
    if name == "Graph":
        from xip_core.client.graph import Graph

        return Graph
    raise AttributeError(f"module 'xip_core' has no attribute {name!r}")
