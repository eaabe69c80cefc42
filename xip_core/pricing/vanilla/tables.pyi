"""What of tables.pyx Python sees."""

from xip_core.pricing.market_layout import SnapshotLayout

class PlainMarket:
    def __init__(self, layout: SnapshotLayout) -> None: ...
