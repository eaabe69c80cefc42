"""What `from xip_core.kernels import option_rows` gives: the module of option_rows.pyx built for this CPU."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int32]
Terms = tuple[Indices, Floats, Floats, Indices, Indices, Floats, Indices, Indices, Floats]
Options = tuple[Indices | Floats | npt.NDArray[np.uint8], ...]

def rows(
    market: Floats, forward: Terms, discount: Terms, volatility: tuple[Indices, Indices, Floats], options: Options
) -> Floats: ...
def priced(forward: Floats, volatility: Floats, discount: Floats, options: Options) -> Floats: ...
