"""The market vector: where every market object of a snapshot lives, and how a value depends on it.

All market state of one scenario is one column of a float64 matrix `market` of shape (factor_count, scenario_count),
scenario fastest. A **factor** is one row of it::

    log discount factor at a curve's knot      log survival probability at a hazard curve's knot
    log FX spot (base currency per unit)        log equity spot
    log growth of a price index by month        growth of one over a year at a month
    commodity forward price at a pillar         volatility, or total variance, at a surface's node

Interpolations used in markets are linear in these factors with weights that depend on dates alone, never on quotes.
So a date, a strike or a tenor becomes a short list of `(factor, weight)` pairs once, when a trade is resolved, and
revaluing under any scenario is a sparse dot product followed by an exponential::

    DF(t)        = exp(w0 * market[k0] + w1 * market[k1])
    forward rate = (exp(log DF(start) - log DF(end)) - 1) / accrual
    FX forward   = exp(log spot + log DF_foreign(t) - log DF_domestic(t))

and a linear product is a sum of **terms**  amount * (constant + linear . market) * exp(exponent . market).
The layout is a pure function of the snapshot's definitions (names, dates, conventions), not of its quotes: resolve and
calibrate build the same one independently.

Knots: a curve has an implicit knot at the as-of date with log DF 0, which is not a factor; before the first knot the
interpolation runs from there. Beyond the last knot the last forward rate continues (weights outside [0, 1]).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from xip_core.model.dates import DayNumbers
from xip_core.model.market import IsdaModel
from xip_core.model.market_instruments import FxIndex, RateIndex
from xip_core.model.market_lgm import LinearGaussModel

Refs = tuple[tuple[int, float], ...]
"""(factor, weight) pairs, factors ascending and distinct."""


class RefArrays(msgspec.Struct, frozen=True):
    """Refs of many days: day i has the next sizes[i] pairs of `factors` and `weights`."""

    sizes: npt.NDArray[np.int64]
    factors: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64]


def ref_arrays(points: Sequence[Refs]) -> RefArrays:
    """Some refs as arrays."""
    sizes = np.fromiter(map(len, points), dtype=np.int64, count=len(points))
    pairs = np.fromiter(chain.from_iterable(chain.from_iterable(points)), dtype=np.float64)
    return RefArrays(sizes, pairs[::2].astype(np.int64), pairs[1::2])


class CubicRef(msgspec.Struct, frozen=True):
    """A volatility between two rows of a surface that a cubic joins in time; see pricing.cubic_volatilities.

    Attributes:
        rows: the volatility on the row before, left, right and after; () where there is no row.
        widths_years: between those rows; 0 where there is no row.
        share: of the way from left to right; below 0 or above 1 where the outer cubics go on.
    """

    rows: tuple[Refs, Refs, Refs, Refs]
    widths_years: tuple[float, float, float]
    share: float


class VolatilityRef(msgspec.Struct, frozen=True):
    """How a volatility follows from factors.

    Attributes:
        refs: linear in the factors.
        is_total_variance: the dot product is sigma^2 * t (lognormal surfaces); otherwise it is the volatility itself.
        is_normal: a normal (Bachelier) volatility in rate units per sqrt(year); otherwise lognormal.
        time_years: of the expiry on the surface's clock (Act/365F).
        cubic: what gives the volatility instead of the refs, whose factors say what it depends on; None elsewhere.
    """

    refs: Refs
    is_total_variance: bool
    is_normal: bool
    time_years: float
    cubic: CubicRef | None = None


class SmileSlice(msgspec.Struct, frozen=True):
    """The smile of one expiry: its factors are [begin, begin + width) of the market vector."""

    begin: int
    time_years: float
    weight: float


class SmileRef(msgspec.Struct, frozen=True):
    """How a volatility follows from factors, the option's forward and its strike: not linear, so not a `VolatilityRef`.

    The sum over slices of weight * w(k), w the slice's total variance at k = ln(strike / forward), is the option's
    total variance; `pricing.smile_values` has w by model.

    Attributes:
        model: "spline", "sabr" or "svi"; or "sabr_normal" of swaptions, whose slices give normal volatilities at the
            option's own forward and strike, and whose weights add volatilities up.
        width: factors of one slice.
        beta: of SABR; the forward of "sabr" is 1.
        shift: of "sabr_normal".
        is_inverse: the option is on the inverse of the surface's rate: k changes its sign.
        time_years: to the option's expiry.
    """

    model: str
    width: int
    beta: float
    is_inverse: bool
    time_years: float
    slices: tuple[SmileSlice, ...]
    shift: float = 0.0

    @property
    def refs(self) -> Refs:
        """Every factor it needs, with weight 0: they say what it depends on."""
        factors = {item.begin + place for item in self.slices for place in range(self.width)}
        return tuple((factor, 0.0) for factor in sorted(factors))


class MarketLayout(Protocol):
    """Dates, names and strikes to factors. Raises CellError(MISSING_DATA) naming the object that is not there."""

    @property
    def as_of(self) -> dt.date: ...

    @property
    def base_currency(self) -> str: ...

    @property
    def factor_count(self) -> int: ...

    @property
    def indices(self) -> Mapping[str, RateIndex]:
        """Conventions of the rate indices by name."""

    @property
    def fx_indices(self) -> Mapping[str, FxIndex]:
        """Published FX rates by name."""

    def time_years(self, date: dt.date) -> float:
        """Act/365F from the as-of date."""

    def discount_curve(self, currency: str) -> str:
        """Name of the curve that discounts *currency* under the snapshot's collateral."""

    def index_curve(self, index: str) -> str:
        """Name of the curve that forecasts a rate index such as "EUR-EURIBOR-6M"."""

    def log_discount(self, curve: str, date: dt.date) -> Refs: ...

    def log_discounts(self, curve: str, days: DayNumbers) -> RefArrays:
        """`log_discount` of many day numbers at once."""

    def log_survival(self, name: str, date: dt.date) -> Refs: ...

    def log_survivals(self, name: str, days: DayNumbers) -> RefArrays:
        """`log_survival` of many day numbers at once."""

    def recovery_rate(self, name: str) -> float: ...

    def security_recovery(self, name: str) -> float | None:
        """Recovery rate of a security, None where the market knows none."""

    def bond_curve(self, reference: str, security: str) -> str:
        """Name of the curve that discounts a security: its reference, or a name for that and the security's spread."""

    def isda_model(self, name: str) -> IsdaModel | None:
        """Set where a hazard curve is one of the ISDA standard model; None where it is one of mid-points."""

    def discount_nodes(self, curve: str) -> tuple[int, ...]:
        """Day numbers between which the forward rate is constant, ascending."""

    def survival_nodes(self, name: str) -> tuple[int, ...]:
        """Day numbers between which the hazard rate is constant, ascending."""

    def log_fx(self, currency: str) -> Refs:
        """Log of the base-currency value of one unit; () for the base currency."""

    def log_equity_spot(self, name: str) -> Refs: ...

    def log_equity_forward(self, name: str, date: dt.date) -> Refs: ...

    def commodity_forward(self, name: str, date: dt.date) -> Refs:
        """Linear, in price units."""

    def inflation_base(self, index: str) -> dt.date:
        """Month whose level `log_growth` starts from."""

    def log_growth(self, index: str, month: dt.date) -> Refs:
        """Log of the price index of a month, given by its first day, over that of the base month."""

    def year_on_year(self, index: str, month: dt.date) -> Refs | None:
        """Growth over the year that ends with a month, linear; None where no year-on-year swaps are quoted."""

    def fx_volatility(self, foreign: str, domestic: str, expiry: dt.date) -> VolatilityRef: ...

    def equity_volatility(self, name: str, expiry: dt.date, strike: float) -> VolatilityRef: ...

    def commodity_volatility(self, name: str, expiry: dt.date, strike: float) -> VolatilityRef: ...

    def swaption_volatility(self, currency: str, expiry: dt.date, swap_length_years: float) -> VolatilityRef: ...

    def linear_gauss_model(self, currency: str) -> LinearGaussModel:
        """Settings of the model that values rights on several days."""

    def caplet_volatility(self, index: str, fixing: dt.date, strike: float) -> VolatilityRef: ...

    def smile(self, kind: str, name: str, expiry: dt.date) -> SmileRef | None:
        """The smile of an underlying ("equity_volatility", "ACME"), None where its surface has none."""

    def swaption_smile(self, currency: str, expiry: dt.date, swap_length_years: float) -> SmileRef | None:
        """The smile of a swaption, None where the currency's volatilities are at the money."""

    def fixing(self, index: str, date: dt.date) -> float | None:
        """The published fixing, or None when the snapshot has none for that day."""

    def objects_of(self, refs: Refs) -> tuple[str, ...]:
        """Names of the market objects the factors belong to, sorted."""
