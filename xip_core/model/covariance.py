"""The covariance of market factors as data: what a delta-gamma VaR is asked with, beside a run's ladders.

A factor is one bump of the run's ladders (`model.sensitivity`), named by kind, object and bucket as the ladder's table
has them::

    zero_rate curve/EUR1D 5Y        bp
    fx fx/USD spot                  percent
    vega fx_volatility/EURUSD 1Y    vol_point

The covariance is of the factors' moves over the horizon that the VaR is for, in the units of the ladder (25 bp^2 where
a rate moves by 5 bp), so that sensitivity times move is money. Blob: JSON, the matrix in base64 as of `ShiftTable`; 300
factors are 1 MB, the most is 11 MB.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from xip_core.errors import RequestError
from xip_core.model.market_instruments import Record
from xip_core.model.sensitivity import Bump, Expansion
from xip_core.model.unreadable import UNREADABLE, fault_of

Floats = npt.NDArray[np.float64]

FACTOR_COUNT_MAX = 1_024
"""Of one covariance: the dimensions that Sobol points have directions for; a matrix product is 10^9 additions."""


class Covariance(Record, frozen=True, kw_only=True, tag="covariance"):
    """A square matrix with names.

    Attributes:
        factors: names, in the order of rows and columns.
        values: float64, little-endian, row by row.
    """

    factors: tuple[str, ...]
    values: bytes

    def matrix(self) -> Floats:
        """(F, F), a read-only view."""
        return np.frombuffer(self.values, dtype="<f8").reshape(len(self.factors), len(self.factors))


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Covariance, strict=True)


def covariance_of(factors: Sequence[str], matrix: Floats) -> Covariance:
    """A covariance from an array; what no matrix could be is refused when it is read (`decode_covariance`)."""
    return Covariance(factors=tuple(factors), values=np.ascontiguousarray(matrix, dtype="<f8").tobytes())


def encode_covariance(covariance: Covariance) -> bytes:
    """Canonical bytes."""
    return _encoder.encode(covariance)


def decode_covariance(encoded: bytes) -> Covariance:
    """
    Inverse of `encode_covariance`; whether the numbers are those of a covariance is `risk.delta_gamma`'s to say.

    Raises:
        RequestError: BAD_COVARIANCE: it does not decode, no factor, one there twice, another number of values.
        RequestError: TOO_LARGE.
    """
    try:
        covariance = _decoder.decode(encoded)
    except UNREADABLE as error:
        raise RequestError("BAD_COVARIANCE", f"a covariance does not decode: {fault_of(encoded, error)}") from error
    count = len(covariance.factors)
    if count > FACTOR_COUNT_MAX:
        raise RequestError("TOO_LARGE", f"a covariance must have at most {FACTOR_COUNT_MAX} factors, got {count}")
    if not count or len(covariance.values) != 8 * count * count:
        got = f"{len(covariance.values) / 8:g} for {count}"
        raise RequestError("BAD_COVARIANCE", f"a covariance must have a number for each pair of factors, got {got}")
    seen: set[str] = set()
    for name in covariance.factors:
        if name in seen:
            raise RequestError("BAD_COVARIANCE", f"a covariance must name each factor once, {name!r} is there twice")
        seen.add(name)
    return covariance


def factor_name(bump: Bump) -> str:
    """What a covariance calls the factor that *bump* moves."""
    return f"{bump.kind} {bump.object} {bump.bucket}"


def factor_names(expansion: Expansion) -> tuple[str, ...]:
    """Of all bumps, in their order."""
    return tuple(factor_name(bump) for bump in expansion.bumps)


def matched(covariance: Covariance, names: Sequence[str]) -> Floats:
    """
    The covariance (F, F) of the factors *names*, in their order; it may have others beside.

    Raises:
        RequestError: FACTOR_MISSING, naming those that it does not have.
    """
    place = {name: at for at, name in enumerate(covariance.factors)}
    lost = [name for name in names if name not in place]
    if lost:
        more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
        sentence = f"a covariance must have every factor that the ladders bump, it lacks {len(lost)} of {len(names)}"
        raise RequestError("FACTOR_MISSING", f"{sentence}: {', '.join(map(repr, lost[:3]))}{more}")
    chosen = [place[name] for name in names]
    return np.ascontiguousarray(covariance.matrix()[np.ix_(chosen, chosen)])
