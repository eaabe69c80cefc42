"""What could not be calibrated: the `failures` column of a calibrate tile."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np
import numpy.typing as npt

from xip_core.errors import Failure


class PartialFailure(Failure, frozen=True):
    """Some factors of an object are NaN, the others stand: nodes of a surface."""


class CalibrationFailure(msgspec.Struct, frozen=True):
    """An object without numbers in one scenario; the JSON of the `failures` column.

    Attributes:
        is_partial: only some of its factors are NaN; a cell that came out finite is none the worse.
    """

    scenario: int
    market_object: str
    reason: int
    message: str
    is_partial: bool = False


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(tuple[CalibrationFailure, ...])


def encode_failures(failures: Mapping[tuple[str, int], Failure], begin: int) -> npt.NDArray[np.uint8]:
    """The `failures` column of a tile whose first scenario is *begin*, from failures by (object, column)."""
    listed = [
        CalibrationFailure(begin + column, name, int(found.reason), found.message, isinstance(found, PartialFailure))
        for (name, column), found in failures.items()
    ]
    return np.frombuffer(_encoder.encode(listed), dtype=np.uint8)


def decode_failures(column: npt.NDArray[np.uint8]) -> tuple[CalibrationFailure, ...]:
    """The `failures` column of a calibrate tile."""
    return _decoder.decode(column.tobytes())
