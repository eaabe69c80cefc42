"""The ORE book's discount factors as a MarketLayout: log DF of every calendar day is a factor.

Third-party values live in ../shared/reference/ore beside the repository; where they are absent, tests say so and skip.
"""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import math
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from xip_core.errors import CellError, FailureReason
from xip_core.model.dates import DayNumbers, date_of
from xip_core.model.market_instruments import FxIndex, RateIndex
from xip_core.model.market_lgm import LinearGaussModel
from xip_core.pricing.layout import RefArrays, Refs, SmileRef, VolatilityRef, ref_arrays

REPOSITORY = Path(__file__).resolve().parents[3]
ORE = REPOSITORY.parent / "shared" / "reference" / "ore"
AS_OF = dt.date(2016, 2, 5)

needs_ore = pytest.mark.skipif(not ORE.exists(), reason=f"third-party values are absent: {ORE} (see the README)")

CURVES = ("EUR", "USD", "GBP", "EUR-EONIA", "EUR-EURIBOR-3M", "EUR-EURIBOR-6M", "USD-FedFunds", "USD-LIBOR-3M",
          "USD-LIBOR-6M", "GBP-LIBOR-6M", "BENCHMARK_EUR")  # fmt: skip
NAMES = ("BANK", "CPTY_A", "CPTY_C")


def _index(
    name: str, tenor: str, days: int, calendar: str, day_count: str = "A360", value_calendar: str = ""
) -> RateIndex:
    is_overnight = tenor == "1D"
    return RateIndex(
        name=name,
        currency=name[:3],
        tenor=tenor,
        settlement_days=days,
        calendar=calendar,
        convention="following" if is_overnight else "modified_following",
        day_count=day_count,
        curve=name,
        end_of_month=not is_overnight,
        value_calendar=value_calendar,
    )


INDICES = {
    index.name: index
    for index in (
        _index("EUR-EONIA", "1D", 0, "TARGET"),
        _index("EUR-EURIBOR-3M", "3M", 2, "TARGET"),
        _index("EUR-EURIBOR-6M", "6M", 2, "TARGET"),
        _index("USD-FedFunds", "1D", 0, "US-FED"),
        _index("USD-LIBOR-3M", "3M", 2, "UK", value_calendar="US,UK"),
        _index("USD-LIBOR-6M", "6M", 2, "UK", value_calendar="US,UK"),
        _index("GBP-LIBOR-6M", "6M", 0, "UK", day_count="A365F"),
    )
}


def read_table(name: str) -> list[dict[str, str]]:
    """Rows of a table of the reference folder, gzipped or not; a leading # of the header is dropped."""
    path = ORE / name
    text = gzip.decompress(path.read_bytes()).decode() if name.endswith(".gz") else path.read_text()
    return list(csv.DictReader(text.lstrip("#").splitlines()))


def read_fixings() -> dict[tuple[str, dt.date], float]:
    """Published fixings by index and day."""
    fixings = {}
    packed = (ORE / "config" / "fixings_20160205.txt.gz").read_bytes()
    for line in gzip.decompress(packed).decode().splitlines():
        day, name, value = line.split()
        fixings[name, dt.date.fromisoformat(day)] = float(value)
    return fixings


class GivenMarket:
    """MarketLayout of daily discount factors; spots, forwards and volatilities are added as factors when first set.

    `market` is the base column, (factor_count, 1).
    """

    as_of = AS_OF
    base_currency = "EUR"
    indices = INDICES
    fx_indices: ClassVar[dict[str, FxIndex]] = {
        "FX-ECB-EUR-USD": FxIndex(
            name="FX-ECB-EUR-USD", foreign_currency="EUR", domestic_currency="USD", calendar="TARGET,US,UK"
        )
    }

    def __init__(self) -> None:
        rows = read_table("curves_daily_df.csv.gz")
        self._first = dt.date.fromisoformat(rows[0]["Date"])
        self._day_count = (dt.date.fromisoformat(rows[-1]["Date"]) - self._first).days + 1
        days = [(dt.date.fromisoformat(row["Date"]) - AS_OF).days for row in rows]
        wanted = range((self._first - AS_OF).days, (self._first - AS_OF).days + self._day_count)
        self._begin: dict[str, int] = {}
        columns = []
        for name in (*CURVES, *NAMES):
            logs = [math.log(float(row[name])) for row in rows]
            self._begin[name] = len(columns) * self._day_count
            columns.append(np.interp(wanted, [0, *days], [0.0, *logs]))
        self._values = list(np.concatenate(columns))
        self._set: dict[tuple[object, ...], int] = {}
        self._fixings = read_fixings()

    @property
    def factor_count(self) -> int:
        return len(self._values)

    @property
    def market(self) -> np.ndarray:
        return np.array(self._values).reshape(-1, 1)

    def given(self, *key: object, value: float) -> None:
        """Say the value of a factor that is no discount factor."""
        self._set[key] = len(self._values)
        self._values.append(value)

    def _one(self, *key: object) -> Refs:
        if key not in self._set:
            raise CellError(FailureReason.MISSING_DATA, f"{key} is not given")
        return ((self._set[key], 1.0),)

    def time_years(self, date: dt.date) -> float:
        return (date - AS_OF).days / 365.0

    def discount_curve(self, currency: str) -> str:
        if currency not in ("EUR", "USD", "GBP"):
            raise CellError(FailureReason.MISSING_DATA, f"no discount curve for {currency} in the snapshot")
        return currency

    def index_curve(self, index: str) -> str:
        return INDICES[index].curve

    def _dated(self, name: str, date: dt.date) -> Refs:
        if name not in self._begin:
            raise CellError(FailureReason.MISSING_DATA, f"no curve {name} in the snapshot")
        if date <= AS_OF:
            return ()
        begin, day = self._begin[name], (date - self._first).days
        if day < 0:
            return ((begin, (date - AS_OF).days / (self._first - AS_OF).days),)
        if day < self._day_count:
            return ((begin + day, 1.0),)
        beyond = day - self._day_count + 1
        return ((begin + self._day_count - 2, -float(beyond)), (begin + self._day_count - 1, 1.0 + beyond))

    def log_discount(self, curve: str, date: dt.date) -> Refs:
        return self._dated(curve, date)

    def log_discounts(self, curve: str, days: DayNumbers) -> RefArrays:
        return ref_arrays([self._dated(curve, date_of(day)) for day in days])

    def log_survival(self, name: str, date: dt.date) -> Refs:
        return self._dated(name, date)

    def log_survivals(self, name: str, days: DayNumbers) -> RefArrays:
        return self.log_discounts(name, days)

    def recovery_rate(self, name: str) -> float:
        return 0.4

    def bond_curve(self, reference: str, security: str) -> str:
        return reference

    def security_recovery(self, name: str) -> None:
        """The book's curves recover what they say."""

    def isda_model(self, name: str) -> None:
        """ORE values by mid-points."""

    def log_fx(self, currency: str) -> Refs:
        return () if currency == "EUR" else self._one("fx", currency)

    def log_equity_spot(self, name: str) -> Refs:
        return self._one("equity", name)

    def log_equity_forward(self, name: str, date: dt.date) -> Refs:
        return self._one("equity forward", name, date)

    def commodity_forward(self, name: str, date: dt.date) -> Refs:
        return self._one("commodity", name, date)

    def inflation_base(self, index: str) -> dt.date:
        return {"UKRPI": dt.date(2015, 12, 1), "EUHICPXT": dt.date(2015, 11, 1)}[index]

    def log_growth(self, index: str, month: dt.date) -> Refs:
        return self._one("log growth", index, month)

    def year_on_year(self, index: str, month: dt.date) -> Refs | None:
        return self._one("year on year", index, month)

    def _volatility(self, date: dt.date, is_normal: bool, *key: object) -> VolatilityRef:
        return VolatilityRef(self._one(*key), False, is_normal, self.time_years(date))

    def fx_volatility(self, foreign: str, domestic: str, expiry: dt.date) -> VolatilityRef:
        return self._volatility(expiry, False, "fx volatility", foreign + domestic, expiry)

    def equity_volatility(self, name: str, expiry: dt.date, strike: float) -> VolatilityRef:
        return self._volatility(expiry, False, "equity volatility", name, expiry)

    def commodity_volatility(self, name: str, expiry: dt.date, strike: float) -> VolatilityRef:
        variance = ("commodity variance", name, expiry, round(strike, 9))
        if variance in self._set:
            return VolatilityRef(self._one(*variance), True, False, self.time_years(expiry))
        return self._volatility(expiry, False, "commodity volatility", name, expiry)

    def swaption_volatility(self, currency: str, expiry: dt.date, swap_length_years: float) -> VolatilityRef:
        return self._volatility(expiry, True, "swaption volatility", currency, expiry, swap_length_years)

    def linear_gauss_model(self, currency: str) -> LinearGaussModel:
        return LinearGaussModel(
            index="EUR-EURIBOR-6M", fixed_frequency_months=12, fixed_day_count="30/360",
            convention="modified_following", calendar="TARGET",
        )  # fmt: skip

    def caplet_volatility(self, index: str, fixing: dt.date, strike: float) -> VolatilityRef:
        return self._volatility(fixing, True, "caplet volatility", index, fixing, strike)

    def swaption_smile(self, currency: str, expiry: dt.date, swap_length_years: float) -> SmileRef | None:
        return None

    def smile(self, kind: str, name: str, expiry: dt.date) -> SmileRef | None:
        return None

    def fixing(self, index: str, date: dt.date) -> float | None:
        return self._fixings.get((index, date))

    def objects_of(self, refs: Refs) -> tuple[str, ...]:
        ends = sorted((begin, name) for name, begin in self._begin.items())
        names = set()
        for factor, _ in refs:
            names.add(f"curve/{[name for begin, name in ends if begin <= factor][-1]}")
        return tuple(sorted(names))
