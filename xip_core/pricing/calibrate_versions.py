"""Which scenarios of a block see a different object than the base, and which of them see the same one.

A scenario of a ladder moves one quote of some thousand; most objects of most scenarios are the base's. A scenario sees
another object than the base where one of the object's quotes has other bits than in the snapshot, or where it sees
another parent; two see the same one where all of these are the same (`kernels/market_program.pxi` finds them).
"""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


class Versions(msgspec.Struct, frozen=True):
    """Of one object in a block.

    Attributes:
        columns: (V,) scenarios of the block to build it for, one per distinct version.
        version_of: (S,) for each scenario its position in `columns`, -1 for the base.
    """

    columns: Ints
    version_of: Ints


def of_columns(market: npt.NDArray[np.float64], columns: Ints) -> npt.NDArray[np.float64]:
    """The market of some columns, which ascend: itself where they are all. Not to be changed."""
    return market if len(columns) == market.shape[1] else market[:, columns]
