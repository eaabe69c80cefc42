"""What `from xip_core.kernels import caplets` gives: the module of caplets.pyx built for this CPU."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int32]

def strip(
    forwards: Floats,
    weights: Floats,
    years: Floats,
    strikes: Floats,
    row_end: Indices,
    left: Indices,
    right: Indices,
    share: Floats,
    quotes: Floats,
    is_normal: bool = True,
) -> tuple[Floats, Floats, Floats]: ...
