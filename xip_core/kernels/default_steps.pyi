"""What `from xip_core.kernels import default_steps` gives: the module of default_steps.pyx built for this CPU."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int32]

def rows(
    market: Floats,
    discount_begin: Indices,
    discount_factor: Indices,
    discount_weight: Floats,
    survival_begin: Indices,
    survival_factor: Indices,
    survival_weight: Floats,
    begin: Indices,
    end: Indices,
    row_begin: Indices,
    row_step: Indices,
    row_amount: Floats,
    row_growth: Floats,
) -> Floats: ...
def integrals(
    log_discount: Floats,
    log_survival: Floats,
    begin: Indices,
    end: Indices,
) -> Floats: ...
