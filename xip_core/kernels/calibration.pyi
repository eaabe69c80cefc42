"""What `from xip_core.kernels import calibration` gives: the module of calibration.pyx built for this CPU."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

INDEX_ARRAYS: tuple[str, ...]
WEIGHT_ARRAYS: tuple[str, ...]

class System:
    def __init__(self, factors: npt.NDArray[np.int32], own_begin: int, **arrays: npt.NDArray[np.generic]) -> None: ...
    def solve(
        self, market: Floats, columns: npt.NDArray[np.int64], quotes: Floats
    ) -> tuple[Floats, Floats, npt.NDArray[np.int32]]: ...

PROGRAM_INDEX_ARRAYS: tuple[str, ...]
PROGRAM_NUMBER_ARRAYS: tuple[str, ...]

class MarketProgram:
    def __init__(
        self,
        systems: Sequence[System | None],
        factor_count: int,
        quote_count: int,
        residual_max: float,
        hazard_rounding: float,
        **arrays: npt.NDArray[np.generic],
    ) -> None: ...

class MarketBlock:
    market: Floats
    place: int
    def __init__(
        self,
        program: MarketProgram,
        base: Floats,
        base_quotes: Floats,
        row_of_quote: npt.NDArray[np.int32],
        changed: Floats,
        changed_base: Floats,
        known: Floats | None = None,
        is_known: npt.NDArray[np.uint8] | None = None,
    ) -> None: ...
    def hold(self, place: int) -> None: ...
    def versions_of(self, place: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]: ...
    def walk_on(self) -> int: ...
