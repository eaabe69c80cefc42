"""How much a run sends to clients."""

from __future__ import annotations

import enum


class Detail(enum.StrEnum):
    """What of the per-trade numbers travels to clients; sums and quarantine are complete whatever is chosen."""

    NONE = "none"
    BASE = "base"
    ALL = "all"
