"""What `from xip_core.kernels import suitability` gives: the module of suitability.pyx built for this CPU."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int32]
Bytes = npt.NDArray[np.uint8]

class Instruments:
    def __init__(
        self,
        market: Floats,
        stress: Floats,
        pv: Floats,
        exposure: Floats,
        maturity: Floats,
        issuer: Codes,
        sector: Codes,
        currency: Codes,
        has_number: Bytes,
        is_illiquid: Bytes,
        knowledge: Bytes,
    ) -> None: ...

def numbers(
    instruments: Instruments,
    begin: npt.NDArray[np.int64],
    instrument: Codes,
    quantity: Floats,
    cash: Floats,
    net_worth: Floats,
    horizon: Floats,
    knowledge: Bytes,
    place: int,
    span_years: float,
    large_issuer_share: float,
    z: float,
    z_squared: float,
) -> tuple[Floats, Bytes, Codes]: ...
