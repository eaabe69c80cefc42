"""Quotes of a smile to points: log-moneyness and volatility of one expiry, for all scenarios of a block at once.

A delta belongs to an option at its own strike, and the strike follows from delta and volatility (kernels
`fx.strike_of_delta`, `fx.atm_strike`), so points quoted by delta stand elsewhere in every scenario. Strikes that a
volatility's delta cannot have (premium-adjusted calls of high deltas) are NaN, which the caller reports.

Butterflies quoted as market strangles need the smile they are part of: the strangle priced with the one volatility
s + bf must cost what the smile makes it cost. Its smile strangles are found by Newton's method, in which the vega of
both options stands for the derivative (what moves the wing moves the volatility there by as much), over the spline
through the points; STRANGLE_STEPS steps leave less than 1e-10 of the forward for what is quoted.
"""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt

from xip_core.kernels.catalogue import evaluate
from xip_core.model.market_smiles import ATM_TYPES, DELTA_TYPES, DeltaQuotes
from xip_core.pricing.arithmetic import exp_, log_
from xip_core.pricing.smile_values import spline_volatility
from xip_core.pricing.surfaces_fit import spline_bends

Floats = npt.NDArray[np.float64]

STRANGLE_STEPS = 25

STRANGLE_ERROR_MAX = 1e-9
"""Of the forward; a strangle that ends further from its price has no smile."""


class Carry(msgspec.Struct, frozen=True):
    """Of an FX pair to one expiry; log discount factors (S,)."""

    years: float
    log_domestic: Floats
    log_foreign: Floats


def delta_points(
    quotes: DeltaQuotes, at_the_money: Floats, risk_reversals: Floats, butterflies: Floats, carry: Carry
) -> tuple[Floats, Floats]:
    """
    Log-moneyness and volatility (1 + 2 d, S), strikes ascending: puts from the smallest delta, the money, calls.

    Args:
        at_the_money: (S,).
        risk_reversals, butterflies: (d, S).
    """
    strangles = butterflies
    if quotes.is_market_strangle:
        strangles = _smile_strangles(quotes, at_the_money, risk_reversals, butterflies, carry)
    return _points(quotes, at_the_money, risk_reversals, strangles, carry)


def _points(
    quotes: DeltaQuotes, at_the_money: Floats, risk_reversals: Floats, strangles: Floats, carry: Carry
) -> tuple[Floats, Floats]:
    """As `delta_points`, of smile strangles."""
    calls = at_the_money + strangles + 0.5 * risk_reversals
    puts = at_the_money + strangles - 0.5 * risk_reversals
    x = [_delta_strike(quotes, -delta, puts[place], carry) for place, delta in enumerate(quotes.deltas)][::-1]
    x.append(_atm_strike(quotes, at_the_money, carry))
    x += [_delta_strike(quotes, delta, calls[place], carry) for place, delta in enumerate(quotes.deltas)]
    return np.stack(x), np.concatenate([puts[::-1], at_the_money[None], calls])


def _market(carry: Carry) -> dict[str, Floats | float]:
    """Columns of the FX kernels for a spot of 1."""
    years = carry.years
    return {
        "spot": 1.0,
        "time": years,
        "domestic_rate": -carry.log_domestic / years,
        "foreign_rate": -carry.log_foreign / years,
    }


def _log_moneyness(strike: Floats, carry: Carry) -> Floats:
    """Of a strike on the spot 1."""
    with np.errstate(invalid="ignore"):
        found: Floats = np.where(strike > 0.0, log_(strike) - (carry.log_foreign - carry.log_domestic), np.nan)
    return found


def _delta_strike(quotes: DeltaQuotes, delta: float, volatility: Floats, carry: Carry) -> Floats:
    found = evaluate(
        "fx.strike_of_delta",
        outputs="strike",
        delta=delta,
        volatility=volatility,
        is_call=float(delta > 0.0),
        delta_type=float(DELTA_TYPES.index(quotes.delta_type)),
        **_market(carry),
    )
    return _log_moneyness(found["strike"], carry)


def _atm_strike(quotes: DeltaQuotes, volatility: Floats, carry: Carry) -> Floats:
    found = evaluate(
        "fx.atm_strike",
        outputs="strike",
        volatility=volatility,
        atm_type=float(ATM_TYPES.index(quotes.atm_type)),
        delta_type=float(DELTA_TYPES.index(quotes.delta_type)),
        **_market(carry),
    )
    return _log_moneyness(found["strike"], carry)


def _smile_strangles(
    quotes: DeltaQuotes, at_the_money: Floats, risk_reversals: Floats, butterflies: Floats, carry: Carry
) -> Floats:
    """Smile strangles (d, S) of market strangles; NaN where none is found."""
    single = at_the_money + butterflies
    strikes = [
        (
            _delta_strike(quotes, delta, single[place], carry),
            _delta_strike(quotes, -delta, single[place], carry),
        )
        for place, delta in enumerate(quotes.deltas)
    ]
    prices = [_strangle(x, (single[place],) * 2, carry.years)[0] for place, x in enumerate(strikes)]
    strangles = butterflies
    misses = np.zeros_like(butterflies)
    with np.errstate(all="ignore"):  # a hopeless scenario becomes NaN
        for _ in range(STRANGLE_STEPS):
            x, volatility = _points(quotes, at_the_money, risk_reversals, strangles, carry)
            bends = spline_bends(x, volatility)
            steps = np.empty_like(butterflies)
            for place, (call, put) in enumerate(strikes):
                smile = (
                    spline_volatility(x, volatility, bends, call),
                    spline_volatility(x, volatility, bends, put),
                )
                price, vega = _strangle((call, put), smile, carry.years)
                misses[place] = prices[place] - price
                steps[place] = misses[place] / vega
            strangles = strangles + steps
        return np.where(np.abs(misses) <= STRANGLE_ERROR_MAX, strangles, np.nan)


def _strangle(x: tuple[Floats, Floats], volatility: tuple[Floats, Floats], years: float) -> tuple[Floats, Floats]:
    """Price of a call and a put on a forward of 1, undiscounted, and its vega."""
    found = [
        evaluate(
            "black.european",
            outputs=("pv", "vega"),
            forward=1.0,
            strike=exp_(strike),
            time=years,
            volatility=of_strike,
            discount=1.0,
            is_call=is_call,
        )
        for strike, of_strike, is_call in zip(x, volatility, (1.0, 0.0), strict=True)
    ]
    return found[0]["pv"] + found[1]["pv"], found[0]["vega"] + found[1]["vega"]
