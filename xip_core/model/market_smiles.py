"""Volatility surfaces with a smile: how they are quoted, and which curve in strike goes through the quotes.

A smile is kept, expiry by expiry, as total variance w(k) = volatility^2 t of log-moneyness k = ln(strike / forward),
the forward being that of the scenario. Between expiries w is linear in time at the same k, outside them the volatility
is flat in time. So the surface says nothing of its own about what happens when the forward moves; the quotes do:

    quoted by strike       the quotes stand at their strikes: sticky strike
    quoted by moneyness    the quotes move with the forward: sticky moneyness
    quoted by delta        the quotes move with the forward and the volatility: sticky delta

because every scenario calibrates the surface anew, from its own quotes, forwards and curves.
"""

from __future__ import annotations

import itertools
from typing import Literal

from xip_core.model.market_instruments import Record
from xip_core.model.trade import Convention, DayCount

SmileModel = Literal["spline", "sabr", "svi"]
SmileKind = Literal["fx_volatility", "equity_volatility", "commodity_volatility"]
DeltaType = Literal["spot", "forward", "spot_adjusted", "forward_adjusted"]
AtmType = Literal["spot", "forward", "delta_neutral", "vega_max", "gamma_max", "put_call_50"]

DELTA_TYPES: tuple[DeltaType, ...] = ("spot", "forward", "spot_adjusted", "forward_adjusted")
"""In the order of the kernel fx.delta."""

ATM_TYPES: tuple[AtmType, ...] = ("spot", "forward", "delta_neutral", "vega_max", "gamma_max", "put_call_50")
"""In the order of the kernel fx.atm_strike."""


class StrikeQuotes(Record, frozen=True, kw_only=True, tag="strike"):
    """Volatilities at strikes, the same for every expiry.

    Attributes:
        strikes: ascending, > 0; prices, or fractions of the forward where `is_moneyness`.
        volatilities: row-major, expiries x strikes.
    """

    strikes: tuple[float, ...]
    volatilities: tuple[str, ...]
    is_moneyness: bool = False


class DeltaQuotes(Record, frozen=True, kw_only=True, tag="delta"):
    """At-the-money volatilities, risk reversals and butterflies of FX options.

    Of each delta, with s the at-the-money volatility, rr and bf the quotes:

        smile strangle     volatility of the call s + bf + rr / 2, of the put s + bf - rr / 2, at their own strikes
        market strangle    call and put with the one volatility s + bf, at the strikes this volatility gives them, cost
                           together what the smile makes them cost; rr is the difference of the smile's volatilities

    Attributes:
        deltas: positive, from the money outwards (0.25, 0.10); of calls, and with a minus of puts.
        at_the_money: volatilities by expiry.
        risk_reversals, butterflies: row-major, expiries x deltas.
        is_market_strangle: how butterflies are meant.
    """

    deltas: tuple[float, ...]
    at_the_money: tuple[str, ...]
    risk_reversals: tuple[str, ...]
    butterflies: tuple[str, ...]
    delta_type: DeltaType = "spot"
    atm_type: AtmType = "delta_neutral"
    is_market_strangle: bool = False


class VolatilitySmile(Record, frozen=True, kw_only=True):
    """The surface of one underlying; stands in place of its at-the-money volatilities.

    Attributes:
        name: of the equity or commodity; of an FX pair "EURUSD", strikes in USD per EUR.
        model: "spline" goes through every quote: natural cubic in k, volatility flat beyond the outer quotes. "sabr"
            and "svi" are least-squares fits of volatilities (`pricing.surfaces_fit`): Hagan's lognormal expansion with
            *beta* on the forward 1, and Gatheral's raw SVI.
        volatility_error_max: a fit that misses a quote by more is refused.
        allows_arbitrage: otherwise a surface with butterfly or calendar arbitrage within five standard deviations is
            refused (SVI; the other models are not checked).
    """

    kind: SmileKind
    name: str
    expiries: tuple[str, ...]
    quotes: StrikeQuotes | DeltaQuotes
    model: SmileModel
    calendar: str
    beta: float = 1.0
    volatility_error_max: float = 0.005
    allows_arbitrage: bool = False

    @property
    def object_name(self) -> str:
        return f"{self.kind}/{self.name}"

    @property
    def point_count(self) -> int:
        """Quoted points of one expiry."""
        quotes = self.quotes
        return 1 + 2 * len(quotes.deltas) if isinstance(quotes, DeltaQuotes) else len(quotes.strikes)


POINTS_MIN = {"spline": 2, "sabr": 3, "svi": 5}
"""As many as a model has parameters to find."""


def smile_fault(smile: VolatilitySmile) -> str | None:
    """A sentence on what cannot be meant, or None."""
    name, quotes, rows = smile.object_name, smile.quotes, len(smile.expiries)
    if smile.point_count < POINTS_MIN[smile.model]:
        return f"{name}: a {smile.model} smile must have {POINTS_MIN[smile.model]} points, got {smile.point_count}"
    if not 0.0 <= smile.beta <= 1.0:
        return f"{name}: beta must be in [0, 1], got {smile.beta!r}"
    if isinstance(quotes, StrikeQuotes):
        counts = {"volatilities": (len(quotes.volatilities), rows * len(quotes.strikes))}
        if quotes.strikes[0] <= 0.0:
            return f"{name}: strikes must be positive, got {quotes.strikes[0]!r}"
    else:
        if smile.kind != "fx_volatility":
            return f"{name}: only FX volatilities are quoted by delta"
        if len(smile.name) != 6:
            return f"{name}: an FX pair must be named by its two currencies like EURUSD"
        if any(not 0.0 < delta < 1.0 for delta in quotes.deltas):
            return f"{name}: deltas must be in (0, 1), got {list(quotes.deltas)}"
        counts = {
            "at-the-money volatilities": (len(quotes.at_the_money), rows),
            "risk reversals": (len(quotes.risk_reversals), rows * len(quotes.deltas)),
            "butterflies": (len(quotes.butterflies), rows * len(quotes.deltas)),
        }
    for what, (got, expected) in counts.items():
        if got != expected:
            return f"{name} must have {expected} {what}, got {got}"
    return None


class SwaptionSmile(Record, frozen=True, kw_only=True):
    """Normal volatilities of swaptions by expiry, swap tenor and strike; stands in place of those at the money.

    Each expiry and tenor has a SABR smile (Hagan's normal expansion with *beta* and *shift*), fitted by least squares.
    Volatilities are bilinear between them, flat outside, each smile evaluated at the option's own forward and strike.
    Quotes stand at spreads to the forward of the scenario: they are sticky in moneyness.

    Attributes:
        index: term index of the swaps' floating leg; its curve and that curve's discount curve give the forward.
        fixed_frequency_months, .. : of the fixed leg, as of the swaps a curve is built from.
        strike_spreads: strike less forward, ascending.
        volatilities: row-major, expiries x swap_tenors x strike_spreads; per sqrt(year), absolute.
        shift: added to forward and strike, so that both are positive.
        volatility_error_max: a fit that misses a quote by more is refused.
    """

    currency: str
    index: str
    fixed_frequency_months: int
    fixed_calendar: str
    fixed_convention: Convention
    fixed_day_count: DayCount
    expiries: tuple[str, ...]
    swap_tenors: tuple[str, ...]
    strike_spreads: tuple[float, ...]
    volatilities: tuple[str, ...]
    beta: float
    shift: float
    calendar: str
    volatility_error_max: float = 0.0003

    @property
    def object_name(self) -> str:
        return f"swaption_volatility/{self.currency}"


def swaption_smile_fault(smile: SwaptionSmile) -> str | None:
    """A sentence on what cannot be meant, or None."""
    name, spreads = smile.object_name, smile.strike_spreads
    if len(spreads) < POINTS_MIN["sabr"]:
        return f"{name}: a SABR smile must have {POINTS_MIN['sabr']} strikes, got {len(spreads)}"
    if any(a >= b for a, b in itertools.pairwise(spreads)):
        return f"{name}: strike spreads must ascend, got {list(spreads)}"
    if not 0.0 <= smile.beta <= 1.0:
        return f"{name}: beta must be in [0, 1], got {smile.beta!r}"
    count = len(smile.expiries) * len(smile.swap_tenors) * len(spreads)
    if len(smile.volatilities) != count:
        return f"{name} must have {count} volatilities, got {len(smile.volatilities)}"
    return None
