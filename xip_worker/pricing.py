"""The road to pricing, taken when the first tile needs it: a worker starts and attaches without importing it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from xip_core.errors import Failure
from xip_core.graph.plan import Plan
from xip_core.pricing.tile import Columns, TileData, TileValue


class PricingEvaluator:
    """Evaluator over `xip_core.pricing`; see `executor.Evaluator` and `isolation.IsolatedEvaluator`."""

    def warm_up(self) -> None:
        """Import what the first leases of a run need: 0.2 s and 10 MB, while the run is still being planned."""
        import xip_core.pricing.aggregate
        import xip_core.pricing.calibrate
        import xip_core.pricing.evaluate
        import xip_core.pricing.needed_objects
        import xip_core.pricing.reduce
        import xip_core.pricing.resolve
        import xip_core.pricing.value_tile  # noqa: F401 - all imported for their effect
        from xip_core.model.calendars import make_all

        make_all()  # their package and lists take 0.1 s at the first use of each

    def evaluate_tile(
        self, plan: Plan, node_id: int, tile: int, data: TileData, is_cancelled: Callable[[], bool]
    ) -> TileValue:
        from xip_core.pricing.evaluate import evaluate_tile

        return evaluate_tile(plan, node_id, tile, data, is_cancelled)

    def row_count(self, plan: Plan, node_id: int, tile: int) -> int:
        from xip_core.pricing.rows import row_count

        return row_count(plan, node_id, tile)

    def evaluate_rows(
        self,
        plan: Plan,
        node_id: int,
        tile: int,
        positions: range,
        data: TileData,
        is_cancelled: Callable[[], bool],
    ) -> None:
        from xip_core.pricing.rows import evaluate_rows

        evaluate_rows(plan, node_id, tile, positions, data, is_cancelled)

    def evaluate_without(
        self,
        plan: Plan,
        node_id: int,
        tile: int,
        refused: Mapping[int, Failure],
        data: TileData,
        is_cancelled: Callable[[], bool],
    ) -> TileValue:
        from xip_core.pricing.rows import evaluate_without

        return evaluate_without(plan, node_id, tile, refused, data, is_cancelled)

    def encode_block(self, columns: Columns) -> bytes:
        from xip_core.wire.convert import encode_block

        return encode_block(columns)
