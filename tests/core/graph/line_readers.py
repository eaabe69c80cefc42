"""Readers of trade lines beside the compiled one."""

from __future__ import annotations

from xip_core.graph.trade_lines import PYTHON_LINE, LineReader
from xip_core.model.trade_labels import MarketNames


class NothingTold(LineReader):
    """Leaves every line to Python."""

    def read(self, book, at, groups, *arrays):  # type: ignore[no-untyped-def]  # as the compiled one's
        end, count = super().read(book, at, groups, *arrays)
        groups[:] = PYTHON_LINE
        return end, count

    def leaves(self) -> list[tuple[str, ...]]:
        return []

    def market_names(self) -> list[MarketNames]:
        return []
