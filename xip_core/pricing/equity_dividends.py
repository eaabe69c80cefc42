"""Cash dividends of an equity: the escrowed model.

A share that pays D_i on its ex dates t_i is, for an expiry T, the present value of the dividends up to T, which is
certain, and a rest, which is what has volatility:

    S* = S - sum over t_i <= T of D_i DF(t_i)      F(T) = S* exp(-log DF(T) - T q(T))

with DF of the equity's forecast curve. The market vector holds log S* after each dividend, so the logarithm of the
forward stays linear in factors and every product on the equity, smile or not, takes dividends in. Black's volatility
is that of F. The holder on the ex date itself gets no dividend any more: t_i = T counts.

Source: J. Hull, Options, Futures and Other Derivatives, ch. 15.12; R. Roll, J. Financial Economics 5 (1977).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from xip_core.errors import Failure, FailureReason
from xip_core.model.dates import date_of
from xip_core.pricing.arithmetic import RefTable, exp_, log_
from xip_core.pricing.layout_slots import YEAR_DAYS
from xip_core.pricing.market_layout import SnapshotLayout

Floats = npt.NDArray[np.float64]
Built = tuple[Floats, dict[int, Failure]]


def add_dividends(
    layout: SnapshotLayout, name: str, market: Floats, built: Built, amounts: Callable[[Sequence[str]], Built]
) -> Built:
    """*built*, the factors of an equity, with those of its cash dividends after them, if it has any.

    Args:
        market: (F, S), the forecast curve built.
        amounts: quotes by name, as `calibrate.quote_matrix`.
    """
    slot = layout.dividends.get(name)
    if slot is None:
        return built
    factors, failures = built
    pays, more = amounts([use.quote for use in layout.objects[f"equity/{name}"].quotes if use.role == "dividend"])
    discounts = RefTable(
        [layout.log_discount_of_day(layout.forecast_curve(name), day) for day in slot.knot_days]
    ).exp(market)
    left = exp_(factors[0])
    rows = []
    found = {**failures, **more}
    for day, pay, discount in zip(slot.knot_days, pays, discounts, strict=True):
        left = left - pay * discount
        rows.append(log_(np.where(left > 0.0, left, 1.0)))
        for column in np.flatnonzero(~(left > 0.0)).tolist():
            if column not in found:
                message = f"dividends up to {date_of(day)} must be worth less than the spot, {left[column]:.4g} is left"
                found[column] = Failure(FailureReason.CALIBRATION_FAILED, message)
    return np.concatenate([factors, np.stack(rows)]), found


def dividend_shift(layout: SnapshotLayout, base: Floats, step: float) -> Floats:
    """Change of the factors of all cash dividends when zero rates rise by *step*, (F,); *base* is one column (F,)."""
    shift = np.zeros(layout.factor_count)
    for name, slot in layout.dividends.items():
        begin = layout.equities[name].begin
        before = exp_(base[begin : begin + 1])[0]
        worth_less = 0.0
        after = exp_(base[slot.begin : slot.begin + len(slot.knot_days)])
        for place, day in enumerate(slot.knot_days):
            worth_less += (before - after[place]) * (day - layout.as_of_day) / YEAR_DAYS
            shift[slot.begin + place] = step * worth_less / after[place]
            before = after[place]
    return shift
