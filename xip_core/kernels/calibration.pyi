"""What `from xip_core.kernels import calibration` gives: the module of calibration.pyx built for this CPU."""

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
