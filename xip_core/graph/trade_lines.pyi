"""What of trade_lines.pyx Python sees."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from xip_core.model.trade_labels import MarketNames

PYTHON_LINE: int
"""Group of a line of which nothing else is told."""

HIERARCHY_KEYS_MAX: int

def id_hash(trade_id: bytes) -> int: ...
def line_count(book: bytes) -> int: ...

class LineReader:
    """
    Args:
        types: (name, asset class, group) of every trade type; groups are below `PYTHON_LINE`.
        keys: hierarchy keys, at most `HIERARCHY_KEYS_MAX`; a line that lacks one is for Python.
        line_size_max: of a line with its end; id_length_max: of an id. What is longer is for Python.
    """

    def __init__(
        self, types: Sequence[tuple[str, str, int]], keys: Sequence[str], line_size_max: int, id_length_max: int
    ) -> None: ...
    def read(
        self,
        book: bytes,
        at: int,
        groups: npt.NDArray[np.uint8],
        leaves: npt.NDArray[np.int32],
        dependencies: npt.NDArray[np.int32],
        id_hashes: npt.NDArray[np.int64],
        begins: npt.NDArray[np.int64],
    ) -> tuple[int, int]:
        """
        The place behind the lines read from *at* on, and how many there are: as many as the arrays have room for.

        *begins* has one entry more than the others: the place behind the last line. Entries of *leaves*,
        *dependencies* and *id_hashes* mean nothing where the group is `PYTHON_LINE`.
        """
    def leaves(self) -> list[tuple[str, ...]]:
        """The hierarchy labels of each code of *leaves* so far."""
    def market_names(self) -> list[MarketNames]:
        """What each code of *dependencies* so far stands for."""
