"""A small market with every kind of object, as a builder: quotes are keyword overrides, None takes a quote away."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec

from xip_core.model import market as m
from xip_core.model import market_instruments as i
from xip_core.model.market_instruments import Pillar

AS_OF = dt.date(2016, 2, 5)

QUOTES: dict[str, float] = {
    "EUR.ON": -0.001,
    "EUR.OIS.1Y": -0.002,
    "EUR.OIS.2Y": -0.001,
    "EUR.OIS.5Y": 0.002,
    "EUR.OIS.10Y": 0.006,
    "EUR.DEPO.6M": 0.0005,
    "EUR.FRA.6M": 0.0004,
    "EUR.SWAP.2Y": 0.0005,
    "EUR.SWAP.5Y": 0.003,
    "EUR.SWAP.10Y": 0.008,
    "USD.OIS.1Y": 0.004,
    "USD.OIS.5Y": 0.010,
    "USD.OIS.10Y": 0.015,
    "USD.SWAP.1Y": 0.007,
    "USD.SWAP.5Y": 0.013,
    "USD.SWAP.10Y": 0.018,
    "USD.BASIS.2Y": 0.0010,
    "USD.BASIS.10Y": 0.0012,
    "EURUSD": 1.13,
    "EURUSD.3M": 30.0,
    "EURUSD.1Y": 140.0,
    "XCCY.2Y": -0.0030,
    "XCCY.10Y": -0.0035,
    "SPREAD.5Y": 0.005,
    "ACME": 100.0,
    "ACME.1Y": 101.0,
    "ACME.2Y": 103.0,
    "INDX": 2000.0,
    "INDX.YIELD": 0.02,
    "OIL": 30.0,
    "OIL.1Y": 40.0,
    "BANK.1Y": 0.010,
    "BANK.5Y": 0.015,
    "EURUSD.VOL.1Y": 0.12,
    "EURUSD.VOL.2Y": 0.13,
    "ACME.VOL": 0.30,
    "OIL.VOL.1Y.30": 0.20,
    "OIL.VOL.1Y.40": 0.24,
    "EUR.SWPT.1Y.5Y": 0.006,
    "EUR.SWPT.5Y.5Y": 0.008,
    "EUR.CAP.1Y.0": 0.0030,
    "EUR.CAP.1Y.2": 0.0060,
    "EUR.CAP.3Y.0": 0.0040,
    "EUR.CAP.3Y.2": 0.0065,
}


def pillars(stem: str, *tenors: str) -> tuple[Pillar, ...]:
    """Quotes named stem.tenor."""
    return tuple(Pillar(tenor, f"{stem}.{tenor}") for tenor in tenors)


def _index(name: str, tenor: str, curve: str, calendar: str) -> i.RateIndex:
    return i.RateIndex(
        name=name,
        currency=name[:3],
        tenor=tenor,
        settlement_days=0 if tenor == "1D" else 2,
        calendar=calendar,
        convention="following" if tenor == "1D" else "modified_following",
        day_count="A360",
        curve=curve,
    )


INDICES = (
    _index("EUR-EONIA", "1D", "EUR1D", "TARGET"),
    _index("EUR-EURIBOR-6M", "6M", "EUR6M", "TARGET"),
    _index("USD-FedFunds", "1D", "USD1D", "US"),
    _index("USD-LIBOR-3M", "3M", "USD3M", "US"),
    _index("USD-LIBOR-6M", "6M", "USD6M", "US"),
)


def _overnight(stem: str, index: str, calendar: str, *tenors: str, payment_lag_days: int = 1) -> i.OvernightSwaps:
    return i.OvernightSwaps(
        pillars=pillars(stem, *tenors),
        index=index,
        settlement_days=2,
        calendar=calendar,
        fixed_frequency_months=12,
        fixed_convention="following",
        fixed_day_count="A360",
        payment_lag_days=payment_lag_days,
        rate_cutoff_days=1,
    )


def _swaps(stem: str, index: str, calendar: str, *tenors: str) -> i.FixedFloatSwaps:
    return i.FixedFloatSwaps(
        pillars=pillars(stem, *tenors),
        index=index,
        fixed_frequency_months=12,
        fixed_calendar=calendar,
        fixed_convention="modified_following",
        fixed_day_count="30/360",
    )


def curves() -> tuple[i.CurveDefinition, ...]:
    """Overnight and forward curves of EUR and USD, USD under EUR collateral, a spread curve."""
    overnight = i.Deposits(
        pillars=(Pillar("1D", "EUR.ON"),),
        settlement_days=0,
        calendar="TARGET",
        convention="following",
        day_count="A360",
    )
    depo = i.Deposits(
        pillars=pillars("EUR.DEPO", "6M"),
        settlement_days=2,
        calendar="TARGET",
        convention="modified_following",
        day_count="A360",
    )
    fra = i.ForwardRateAgreements(pillars=pillars("EUR.FRA", "6M"), index="EUR-EURIBOR-6M")
    basis = i.TenorBasisSwaps(
        pillars=pillars("USD.BASIS", "2Y", "10Y"),
        pay_index="USD-LIBOR-6M",
        receive_index="USD-LIBOR-3M",
        receive_frequency_months=6,
    )
    points = i.FxForwards(
        pillars=pillars("EURUSD", "3M", "1Y"),
        foreign_currency="EUR",
        domestic_currency="USD",
        spot_quote="EURUSD",
        points_factor=10_000.0,
        spot_days=2,
        calendar="TARGET,US",
        other_curve="EUR1D",
    )
    cross = i.CrossCurrencyBasisSwaps(
        pillars=pillars("XCCY", "2Y", "10Y"),
        flat_index="USD-LIBOR-6M",
        spread_index="EUR-EURIBOR-6M",
        settlement_days=2,
        calendar="TARGET,US",
        convention="modified_following",
        other_curve="EUR1D",
        resetting_index="USD-LIBOR-6M",
    )
    spread = i.ZeroSpreads(pillars=pillars("SPREAD", "5Y"), reference_curve="EUR1D")
    eonia = _overnight("EUR.OIS", "EUR-EONIA", "TARGET", "1Y", "2Y", "5Y", "10Y")
    euribor = _swaps("EUR.SWAP", "EUR-EURIBOR-6M", "TARGET", "2Y", "5Y", "10Y")
    fed_funds = _overnight("USD.OIS", "USD-FedFunds", "US", "1Y", "5Y", "10Y", payment_lag_days=2)
    libor = _swaps("USD.SWAP", "USD-LIBOR-3M", "US", "1Y", "5Y", "10Y")
    define = i.CurveDefinition
    return (
        define(name="EUR1D", currency="EUR", segments=(overnight, eonia), discount_curve="EUR1D"),
        define(name="EUR6M", currency="EUR", segments=(depo, fra, euribor), discount_curve="EUR1D"),
        define(name="USD1D", currency="USD", segments=(fed_funds,), discount_curve="USD1D"),
        define(name="USD3M", currency="USD", segments=(libor,), discount_curve="USD1D"),
        define(name="USD6M", currency="USD", segments=(basis,), discount_curve="USD1D"),
        define(name="USD-IN-EUR", currency="USD", segments=(points, cross)),
        define(name="LENDING", currency="EUR", segments=(spread,)),
    )


def _assets() -> dict[str, Any]:
    """Two equities, by forward prices and by dividend yields, a commodity and a name to default."""
    return {
        "equities": (
            m.EquityDefinition(
                name="ACME",
                currency="EUR",
                spot_quote="ACME",
                forecast_curve="EUR1D",
                forwards=pillars("ACME", "1Y", "2Y"),
            ),
            m.EquityDefinition(
                name="INDX",
                currency="USD",
                spot_quote="INDX",
                forecast_curve="USD1D",
                dividend_yields=(Pillar("1Y", "INDX.YIELD"),),
            ),
        ),
        "commodities": (
            m.CommodityDefinition(name="OIL", currency="USD", forwards=pillars("OIL", "1Y"), spot_quote="OIL"),
        ),
        "hazards": (
            m.HazardDefinition(
                name="BANK",
                currency="EUR",
                recovery_rate=0.4,
                cds_spreads=pillars("BANK", "1Y", "5Y"),
                discount_curve="EUR1D",
            ),
        ),
    }


def _volatilities() -> dict[str, Any]:
    """One surface of each kind."""
    return {
        "fx_volatilities": (
            m.FxVolatility(
                foreign_currency="EUR",
                domestic_currency="USD",
                pillars=pillars("EURUSD.VOL", "1Y", "2Y"),
                calendar="TARGET,US",
            ),
        ),
        "equity_volatilities": (m.EquityVolatility(name="ACME", pillars=(Pillar("6M", "ACME.VOL"),)),),
        "commodity_volatilities": (
            m.CommodityVolatility(
                name="OIL", expiries=("1Y",), strikes=(30.0, 40.0), quotes=("OIL.VOL.1Y.30", "OIL.VOL.1Y.40")
            ),
        ),
        "swaption_volatilities": (
            m.SwaptionVolatility(
                currency="EUR",
                is_normal=True,
                expiries=("1Y", "5Y"),
                swap_tenors=("5Y",),
                quotes=("EUR.SWPT.1Y.5Y", "EUR.SWPT.5Y.5Y"),
            ),
        ),
        "cap_volatilities": (
            m.CapVolatility(
                index="EUR-EURIBOR-6M",
                discount_curve="EUR1D",
                tenors=("1Y", "3Y"),
                strikes=(0.0, 0.02),
                quotes=("EUR.CAP.1Y.0", "EUR.CAP.1Y.2", "EUR.CAP.3Y.0", "EUR.CAP.3Y.2"),
            ),
        ),
    }


def a_snapshot(changes: dict[str, float | str | None] | None = None, **fields: object) -> m.Snapshot:
    """The small market; *changes* replaces quotes (None removes one), *fields* replaces fields of the snapshot."""
    quotes: dict[str, float | str] = dict(QUOTES)
    for name, value in (changes or {}).items():
        if value is None:
            del quotes[name]
        else:
            quotes[name] = value
    snapshot = m.Snapshot(
        as_of=AS_OF,
        base_currency="EUR",
        quotes=quotes,
        fixings={"EUR-EURIBOR-6M": {AS_OF: 0.0005}},
        indices=INDICES,
        curves=curves(),
        discount_curves={"EUR": "EUR1D", "USD": "USD-IN-EUR"},
        fx_spots=(m.FxSpot(foreign_currency="EUR", domestic_currency="USD", quote="EURUSD"),),
        **_assets(),
        **_volatilities(),
    )
    return msgspec.structs.replace(snapshot, **fields)
