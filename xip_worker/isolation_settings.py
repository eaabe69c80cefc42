"""What a child process of a slot may do (`isolation`)."""

from __future__ import annotations

import msgspec


class IsolationSettings(msgspec.Struct, frozen=True):
    """
    Attributes:
        time_limit_s: wall clock of one part, at least; a costly kernel gets a multiple of what it declares.
        memory_limit_bytes: of a child, beyond its imports.
        evaluator: MODULE:CLASS of the `isolation.IsolatedEvaluator` that a child makes.
    """

    time_limit_s: float = 20.0
    memory_limit_bytes: int = 1 << 30
    evaluator: str = "xip_worker.pricing:PricingEvaluator"
