"""What `from xip_core.kernels import monte_carlo` gives: the module of monte_carlo.pyx built for this CPU."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

DIMENSION_COUNT_MAX: int
REPLICATE_COUNT: int
BLOCK_PATHS: int

def philox(counter: npt.ArrayLike, key: npt.ArrayLike) -> npt.NDArray[np.uint32]: ...
def sobol(first_point: int, point_count: int, dimension_count: int) -> npt.NDArray[np.uint32]: ...
def normal(words: npt.ArrayLike) -> Floats: ...
def normals(
    seed: int,
    first_path: int,
    path_count: int,
    dimension_count: int,
    replicate: int = 0,
    is_philox: bool = False,
    factor: npt.ArrayLike | None = None,
) -> Floats: ...
def cholesky(correlation: npt.ArrayLike, pivot_min: float = 1e-12) -> Floats: ...
def brownian(
    times: npt.ArrayLike,
    factor_count: int,
    seed: int,
    path_exponent: int,
    replicate: int = 0,
    is_philox: bool = False,
    block_count: int = 1,
) -> Floats: ...
