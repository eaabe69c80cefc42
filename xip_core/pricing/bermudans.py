"""Rights to enter a swap on one of several dates, under scenarios: the model is fitted anew in each of them.

What the model (`kernels.lgm`) needs is in the row: present values of the swap payments, and prices of the European
rights of each date, which are the row's own options. So a Bermudan right with one date is that European option, and one
with several is worth at least the best of them.
"""

from __future__ import annotations

import numpy as np

from xip_core.kernels import terms
from xip_core.kernels.level import load_module
from xip_core.pricing.polling import poll
from xip_core.pricing.program import Floats, sparse_of
from xip_core.pricing.tile import Columns


def bermudan_values(columns: Columns, market: Floats, prices: Floats) -> Floats:
    """
    Value of each right of `bermudan_row`, all its units.

    Args:
        columns: of a resolve tile (program.py).
        market: float64 (factor_count, scenario_count), C order.
        prices: (O, scenario_count), of all options of the tile, per unit.

    Returns:
        float64 (B, scenario_count), base currency; NaN where the model does not fit (kernels.lgm).
    """
    exponent = sparse_of(columns, "payment_exponent")
    worth = terms.gather_exp(market, exponent.ptr, exponent.factor, exponent.weight)
    payments = columns["payment_amount"][:, None] * worth
    bounds, of_row = columns["bermudan_ptr"].tolist(), columns["option_ptr"].tolist()
    values = np.empty((len(bounds) - 1, market.shape[1]))
    for right, row in enumerate(columns["bermudan_row"].tolist()):
        poll()
        own = slice(bounds[right], bounds[right + 1])
        unit = load_module("lgm").bermudan(
            payments[own],
            columns["payment_slope"][own],
            columns["payment_exercises"][own],
            np.ascontiguousarray(prices[of_row[row] : of_row[row + 1]]),
        )
        values[right] = columns["bermudan_amount"][right] * unit
    return values
