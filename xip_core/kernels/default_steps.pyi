"""What `from xip_core.kernels import default_steps` gives: the module of default_steps.pyx built for this CPU."""

import numpy as np
import numpy.typing as npt

def integrals(
    log_discount: npt.NDArray[np.float64],
    log_survival: npt.NDArray[np.float64],
    begin: npt.NDArray[np.int32],
    end: npt.NDArray[np.int32],
) -> npt.NDArray[np.float64]: ...
