"""The instruments curves are built from: conventions once per segment, then the quoted tenors.

A segment is a list of quotes of one kind that share their conventions. `pricing.curves` says what each is worth; here
is only what they are.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from xip_core.model.trade import Convention, DayCount


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all definitions: immutable, unknown fields refused."""


class Pillar(msgspec.Struct, frozen=True, array_like=True):
    """One quoted instrument: its tenor or ISO date, and the name of its quote."""

    tenor: str
    quote: str


Pillars = tuple[Pillar, ...]


class RateIndex(Record, frozen=True, kw_only=True):
    """A published interest-rate index: the conventions of one deposit period, and the curve that forecasts it.

    Attributes:
        tenor: "1D" for overnight indices.
        settlement_days: business days from fixing to value date.
        calendar: fixing calendar; several joined by commas, "UK,US", are open when all are.
        value_calendar: for value and maturity dates where it differs (LIBOR in USD, CHF, JPY).
        is_par: a coupon's forward spans the coupon's own period, from this value date to the next ("par coupon");
            otherwise the deposit of the index's tenor, of which market practice makes the two differ by some days.
    """

    name: str
    currency: str
    tenor: str
    settlement_days: int
    calendar: str
    convention: Convention
    day_count: DayCount
    curve: str
    end_of_month: bool = False
    value_calendar: str = ""
    is_par: bool = True

    @property
    def is_overnight(self) -> bool:
        return self.tenor == "1D"


class FxIndex(Record, frozen=True, kw_only=True):
    """A published FX rate: price of one unit of `foreign_currency` in `domestic_currency`.

    Its forward is today's spot rate, moved to the value date of the fixing by the two discount curves.

    Attributes:
        spot_days: business days of *calendar* from fixing to value date.
        quote_days: business days from the as-of date to the day today's spot rate is for; None means *spot_days*.
    """

    name: str
    foreign_currency: str
    domestic_currency: str
    calendar: str
    spot_days: int = 2
    quote_days: int | None = None


class Deposits(Record, frozen=True, kw_only=True, tag="deposit"):
    """Simple-interest deposits; quotes are rates."""

    pillars: Pillars
    settlement_days: int
    calendar: str
    convention: Convention
    day_count: DayCount
    end_of_month: bool = False


class ForwardRateAgreements(Record, frozen=True, kw_only=True, tag="fra"):
    """FRAs; a pillar's tenor is the time to the start, the index gives the length; quotes are rates."""

    pillars: Pillars
    index: str


class OvernightSwaps(Record, frozen=True, kw_only=True, tag="overnight_swap"):
    """Fixed against compounded overnight; quotes are rates.

    Attributes:
        payment_lag_days: business days from period end to payment, both legs.
        rate_cutoff_days: fixings at the end of each period that repeat an earlier one.
        repeats_early_fixing: the repeated fixing is the one seven business days into the period, instead of the last
            before the cut-off. QuantLib's shortened ("telescoped") coupons do that, so markets read from ORE need it.
    """

    pillars: Pillars
    index: str
    settlement_days: int
    calendar: str
    fixed_frequency_months: int
    fixed_convention: Convention
    fixed_day_count: DayCount
    payment_lag_days: int = 0
    rate_cutoff_days: int = 0
    repeats_early_fixing: bool = False
    end_of_month: bool = False


class FixedFloatSwaps(Record, frozen=True, kw_only=True, tag="fixed_float_swap"):
    """Fixed against a term index, discounted on the curve's discount curve; quotes are rates."""

    pillars: Pillars
    index: str
    fixed_frequency_months: int
    fixed_calendar: str
    fixed_convention: Convention
    fixed_day_count: DayCount


class TenorBasisSwaps(Record, frozen=True, kw_only=True, tag="tenor_basis_swap"):
    """Two floating legs of one currency; the quote is the spread paid on top of one of them.

    Attributes:
        receive_frequency_months: payment period of the receive leg; where longer than its index it compounds.
        is_spread_on_receive: otherwise the spread is on the pay leg.
    """

    pillars: Pillars
    pay_index: str
    receive_index: str
    receive_frequency_months: int
    is_spread_on_receive: bool = True


class TwoSwapBasis(Record, frozen=True, kw_only=True, tag="two_swap_basis"):
    """Difference of two par swap rates: long index minus short index; quotes are rate differences."""

    pillars: Pillars
    long_index: str
    short_index: str
    fixed_frequency_months: int
    fixed_calendar: str
    fixed_convention: Convention
    fixed_day_count: DayCount


class FxForwards(Record, frozen=True, kw_only=True, tag="fx_forward"):
    """FX forward points of `foreign_currency` in `domestic_currency`, added to the spot quote after division by
    `points_factor`. One of the two currencies is the curve's, the other is discounted on `other_curve`."""

    pillars: Pillars
    foreign_currency: str
    domestic_currency: str
    spot_quote: str
    points_factor: float
    spot_days: int
    calendar: str
    other_curve: str


class CrossCurrencyBasisSwaps(Record, frozen=True, kw_only=True, tag="cross_currency_basis_swap"):
    """Floating against floating with notional exchanges; the quote is the spread over the spread index.

    Attributes:
        resetting_index: whose leg adjusts its notional to the FX rate at each period; "" for constant notionals.
        other_curve: discounts the currency that is not the curve's.
    """

    pillars: Pillars
    flat_index: str
    spread_index: str
    settlement_days: int
    calendar: str
    convention: Convention
    other_curve: str
    resetting_index: str = ""


class ZeroRates(Record, frozen=True, kw_only=True, tag="zero_rate"):
    """Continuously compounded zero rates, Act/365F."""

    pillars: Pillars
    calendar: str = "TARGET"
    settlement_days: int = 0


class ZeroSpreads(Record, frozen=True, kw_only=True, tag="zero_spread"):
    """Zero-rate spreads over another curve, continuous, Act/365F, linear in time between pillars, flat outside."""

    pillars: Pillars
    reference_curve: str
    calendar: str = "TARGET"
    settlement_days: int = 0


class DiscountFactors(Record, frozen=True, kw_only=True, tag="discount_factor"):
    """Given discount factors at dates; nothing to solve."""

    pillars: Pillars


Segment = (
    Deposits
    | ForwardRateAgreements
    | OvernightSwaps
    | FixedFloatSwaps
    | TenorBasisSwaps
    | TwoSwapBasis
    | FxForwards
    | CrossCurrencyBasisSwaps
    | ZeroRates
    | ZeroSpreads
    | DiscountFactors
)


Interpolation = Literal[
    "log_linear_discount", "linear_zero", "log_cubic_discount", "monotone_convex", "monotone_convex_positive"
]
"""Between the pillars of a curve; `pricing.curves_interpolation` says what each is."""


class CurveDefinition(Record, frozen=True, kw_only=True, omit_defaults=True):
    """A discount or forecast curve, Act/365F, through the discount factors at its pillars.

    Attributes:
        interpolation: log-linear in the discount factor where nothing else is said; not for zero spreads, which are
            linear on top of their reference curve.
        discount_curve: discounts its swaps; "" where the segments say it themselves or it discounts itself.
    """

    name: str
    currency: str
    segments: tuple[Segment, ...]
    discount_curve: str = ""
    interpolation: Interpolation = "log_linear_discount"
