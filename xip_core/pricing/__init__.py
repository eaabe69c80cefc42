"""Trades and market snapshots to numbers.

`requirements` and `calculate` are the doors for quants (xip_core/pricing/book.py); workers evaluate tiles
(xip_core/pricing/evaluate.py). Loaded at first use, because numpy and the kernels take 100 ms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xip_core.pricing.book import Calculation, Requirement, calculate, requirements

__all__ = ["Calculation", "Requirement", "calculate", "requirements"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from xip_core.pricing import book

        return getattr(book, name)
    raise AttributeError(f"module 'xip_core.pricing' has no attribute {name!r}")
