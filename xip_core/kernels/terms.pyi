"""What `from xip_core.kernels import terms` gives: the module of terms.pyx built for this CPU."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int32]
Offsets = npt.NDArray[np.int32] | npt.NDArray[np.int64]

def rows(
    market: Floats,
    row_begin: Offsets,
    amount: Floats,
    constant: Floats,
    exponent_begin: Offsets,
    exponent_factor: Indices,
    exponent_weight: Floats,
    linear_begin: Offsets,
    linear_factor: Indices,
    linear_weight: Floats,
) -> Floats: ...
def gradient(
    market: Floats,
    row_begin: Offsets,
    amount: Floats,
    constant: Floats,
    exponent_begin: Offsets,
    exponent_factor: Indices,
    exponent_weight: Floats,
    linear_begin: Offsets,
    linear_factor: Indices,
    linear_weight: Floats,
    factors: Indices,
    scenario: int = 0,
) -> Floats: ...
def gather_linear(market: Floats, begin: Offsets, factor: Indices, weight: Floats) -> Floats: ...
def gather_exp(market: Floats, begin: Offsets, factor: Indices, weight: Floats) -> Floats: ...
