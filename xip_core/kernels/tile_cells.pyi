"""What `from xip_core.kernels import tile_cells` gives: the module of tile_cells.pyx built for this CPU."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
Marks = npt.NDArray[np.uint8] | npt.NDArray[np.bool_]
Sparse = tuple[Indices, Indices, Floats]

def versions(market: Floats, base: Floats | None, factors: Longs) -> tuple[Longs, Longs]: ...
def shift(
    values: Floats,
    rows: Longs,
    positions: Longs,
    sizes: Floats,
    is_factor: bool,
    leaders: Longs,
    follower_begin: Longs,
    followers: Longs,
) -> None: ...
def mark(marks: Marks, factors: Indices) -> None: ...
def add_quotients(
    values: Floats,
    market: Floats,
    rows: Indices,
    notional: Floats,
    strike: Floats,
    accrual: Floats,
    index_accrual: Floats,
    discount: Sparse,
    growth: Sparse,
) -> None: ...
def group_sums(
    groups: Indices, values: Floats, base: Floats | None = None, refused: Marks | None = None
) -> tuple[Indices, Longs, Indices, Floats]: ...
def all_finite(values: Floats) -> bool: ...
