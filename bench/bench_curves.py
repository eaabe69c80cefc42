"""Curve bootstraps per second: `python -m pytest bench/bench_curves.py --benchmark-only`.

The work: a EUR overnight curve from a deposit and 19 swaps (1W to 50Y, every quote moved at random by some basis
points) and on it a 6M forward curve from a deposit and 19 swaps, 20 instruments each, solved again for 256 scenarios.
*Warm* starts from the base as scenarios do, *cold* from flat 1 %. `thousand_per_s` is of both curves together, one
core, fastest round. QuantLib (extra `[oracle]`) solves the same curves in the same run, warm in its own way: it keeps
its curve and starts from the last solution. Two threads calibrate different blocks of one market: `gain` is the time of
one thread over the time of two, for the same work.
"""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bench.bench_kernels import LEVELS
from xip_core import samples
from xip_core.kernels.level import cpu_level
from xip_core.model import market_instruments as instruments
from xip_core.model.market import Snapshot, decode_snapshot
from xip_core.model.market_instruments import CurveDefinition, Pillar, RateIndex
from xip_core.model.scenario import base_only, decode_scenarios
from xip_core.pricing.calibrate import calibrate_tile
from xip_core.pricing.curves_fit import START_RATE
from xip_core.pricing.curves_instruments import curve_system
from xip_core.pricing.layout_slots import YEAR_DAYS
from xip_core.pricing.market_layout import SnapshotLayout

AS_OF = dt.date(2016, 2, 5)
SCENARIOS = 256
OIS_TENORS = ("1W", "1M", "3M", "6M", "9M", *(f"{y}Y" for y in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 20, 30, 50)))
SWAP_TENORS = tuple(f"{y}Y" for y in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15, 20, 25, 30, 40, 50))


def rate(tenor: str) -> float:
    """An upward sloping curve."""
    years = float(tenor[:-1]) * {"D": 1 / 365, "W": 7 / 365, "M": 1 / 12, "Y": 1.0}[tenor[-1]]
    return 0.005 + 0.015 * (1.0 - 1.0 / (1.0 + 0.15 * years))


def two_curves() -> Snapshot:
    """EUR1D and EUR6M of 20 instruments each."""

    def index(name: str, tenor: str, curve: str, days: int) -> RateIndex:
        return RateIndex(
            name=name, currency="EUR", tenor=tenor, settlement_days=days, calendar="TARGET",
            convention="modified_following", day_count="A360", curve=curve,
        )  # fmt: skip

    def deposit(tenor: str, days: int) -> instruments.Deposits:
        return instruments.Deposits(
            pillars=(Pillar(tenor, f"D.{tenor}"),), settlement_days=days, calendar="TARGET",
            convention="modified_following", day_count="A360",
        )  # fmt: skip

    ois = instruments.OvernightSwaps(
        pillars=tuple(Pillar(tenor, f"O.{tenor}") for tenor in OIS_TENORS), index="OIS", settlement_days=2,
        calendar="TARGET", fixed_frequency_months=12, fixed_convention="modified_following", fixed_day_count="A360",
        payment_lag_days=0, rate_cutoff_days=0,
    )  # fmt: skip
    swaps = instruments.FixedFloatSwaps(
        pillars=tuple(Pillar(tenor, f"S.{tenor}") for tenor in SWAP_TENORS), index="6M", fixed_frequency_months=12,
        fixed_calendar="TARGET", fixed_convention="modified_following", fixed_day_count="30/360",
    )  # fmt: skip
    quotes: dict[str, float | str] = {"D.1D": 0.005, "D.6M": rate("6M") + 0.001}
    quotes |= {f"O.{tenor}": rate(tenor) for tenor in OIS_TENORS}
    quotes |= {f"S.{tenor}": rate(tenor) + 0.001 for tenor in SWAP_TENORS}
    define = CurveDefinition
    return Snapshot(
        as_of=AS_OF, base_currency="EUR", quotes=quotes,
        indices=(index("OIS", "1D", "EUR1D", 0), index("6M", "6M", "EUR6M", 2)),
        curves=(
            define(name="EUR1D", currency="EUR", segments=(deposit("1D", 0), ois), discount_curve="EUR1D"),
            define(name="EUR6M", currency="EUR", segments=(deposit("6M", 2), swaps), discount_curve="EUR1D"),
        ),
        discount_curves={"EUR": "EUR1D"},
    )  # fmt: skip


class Bootstrap:
    """Both curves for SCENARIOS sets of quotes, by the kernel."""

    def __init__(self, is_cold: bool) -> None:
        snapshot = two_curves()
        self.layout = SnapshotLayout(snapshot)
        base = calibrate_tile(snapshot, self.layout, base_only(), 0, 1)["market"]
        self.base = base[:, 0]
        self._start = np.repeat(base, SCENARIOS, axis=1)
        self._market = self._start.copy()
        self._columns = np.arange(SCENARIOS)
        self._curves = []
        random = np.random.default_rng(1)
        for name in ("EUR1D", "EUR6M"):
            slot = self.layout.curves[name]
            quotes = np.array([[float(snapshot.quotes[item.quote])] for item in slot.instruments])
            quotes = quotes + 5e-4 * random.standard_normal((len(quotes), SCENARIOS))
            own = slice(slot.begin, slot.begin + len(slot.knot_days))
            years = (np.array(slot.knot_days) - self.layout.as_of_day) / YEAR_DAYS
            if is_cold:
                self._start[own] = -START_RATE * years[:, None]
            self._curves.append((curve_system(self.layout, slot).kernel, own, quotes))

    def __call__(self) -> int:
        """Returns the rounds that were needed at most."""
        self._market[:] = self._start
        worst = 0
        for kernel, own, quotes in self._curves:
            knots, _, rounds = kernel.solve(self._market, self._columns, quotes)
            self._market[own] = knots
            assert (rounds > 0).all()
            worst = max(worst, int(rounds.max()))
        return worst


@pytest.mark.parametrize("start", ["warm", "cold"])
@pytest.mark.parametrize("level", LEVELS)
def test_two_curves_of_twenty_instruments(benchmark: Any, monkeypatch: Any, level: str, start: str) -> None:
    from xip_core.kernels.level import load_module
    from xip_core.pricing import curves_system

    monkeypatch.setattr(curves_system, "calibration", load_module("calibration", level))
    bootstrap = Bootstrap(is_cold=start == "cold")
    benchmark.extra_info["rounds"] = bootstrap()
    benchmark.pedantic(bootstrap, rounds=20, warmup_rounds=2)
    benchmark.extra_info["thousand_per_s"] = round(SCENARIOS / benchmark.stats.stats.min / 1e3, 1)


def test_two_curves_in_quantlib(benchmark: Any) -> None:
    """The same instruments; `largest_difference` of log discount factors at the knots is beside the time."""
    quantlib = pytest.importorskip("QuantLib", reason="QuantLib is in the extra [oracle]")
    ours = Bootstrap(is_cold=False)
    quotes, discount, forward, keep = _quantlib_curves(quantlib)
    numbers = iter(range(1_000_000))
    base = {name: quote.value() for name, quote in quotes.items()}

    def solve() -> None:
        shift = 1e-6 * next(numbers)
        for name, quote in quotes.items():
            quote.setValue(base[name] + shift)
        forward.discount(10.0)

    solve()
    found = [np.log(curve.discount(quantlib.Date.from_date(_date_of(day))))
             for curve, name in ((discount, "EUR1D"), (forward, "EUR6M"))
             for day in ours.layout.curves[name].knot_days]  # fmt: skip
    benchmark.extra_info["largest_difference"] = float(np.abs(np.array(found) - ours.base).max())
    benchmark.pedantic(solve, rounds=30, warmup_rounds=2)
    benchmark.extra_info["thousand_per_s"] = round(1e-3 / benchmark.stats.stats.min, 3)
    assert keep


def _date_of(day: int) -> dt.date:
    from xip_core.model.dates import date_of

    return date_of(day)


def _quantlib_curves(ql: Any) -> tuple[dict[str, Any], Any, Any, list[Any]]:
    """Quotes by name, both curves, and what Python must not collect."""
    ql.Settings.instance().evaluationDate = ql.Date.from_date(AS_OF)
    target = ql.TARGET()
    roll, day_count = ql.ModifiedFollowing, ql.Actual365Fixed()
    snapshot = two_curves()
    quotes = {name: ql.SimpleQuote(float(value)) for name, value in snapshot.quotes.items()}

    def handle(name: str) -> Any:
        return ql.QuoteHandle(quotes[name])

    overnight = ql.OvernightIndex("O", 0, ql.EURCurrency(), target, ql.Actual360())
    helpers = [ql.DepositRateHelper(handle("D.1D"), ql.Period("1D"), 0, target, roll, False, ql.Actual360())]
    helpers += [
        ql.OISRateHelper(2, ql.Period(tenor), handle(f"O.{tenor}"), overnight, telescopicValueDates=True)
        for tenor in OIS_TENORS
    ]  # fmt: skip
    discount = ql.PiecewiseLogLinearDiscount(ql.Date.from_date(AS_OF), helpers, day_count)
    discounting = ql.YieldTermStructureHandle(discount)
    index = ql.IborIndex("I", ql.Period("6M"), 2, ql.EURCurrency(), target, roll, False, ql.Actual360())
    others = [ql.DepositRateHelper(handle("D.6M"), index)]
    others += [
        ql.SwapRateHelper(
            handle(f"S.{tenor}"), ql.Period(tenor), target, ql.Annual, roll, ql.Thirty360(ql.Thirty360.BondBasis),
            index, ql.QuoteHandle(), ql.Period("0D"), discounting,
        )
        for tenor in SWAP_TENORS
    ]  # fmt: skip
    forward = ql.PiecewiseLogLinearDiscount(ql.Date.from_date(AS_OF), others, day_count)
    return quotes, discount, forward, [helpers, others, discounting]


# ---- two slots -------------------------------------------------------------------------------------------------------


def _gain(work: Callable[[], object], times: int) -> tuple[float, float]:
    """Seconds for 2 x times calls by one thread, and by two."""

    def repeat(count: int) -> None:
        for _ in range(count):
            work()

    begin = time.perf_counter()
    repeat(2 * times)
    one = time.perf_counter() - begin
    threads = [threading.Thread(target=repeat, args=(times,)) for _ in range(2)]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return one, time.perf_counter() - begin


def test_two_threads_against_one_in_the_kernel(benchmark: Any) -> None:
    own = threading.local()

    def work() -> None:
        if not hasattr(own, "bootstrap"):
            own.bootstrap = Bootstrap(is_cold=False)
        own.bootstrap()

    found = benchmark.pedantic(lambda: _gain(work, 300), rounds=3, warmup_rounds=1)
    benchmark.extra_info["gain"] = round(found[0] / found[1], 2)


def test_sample_calibrated_by_one_thread_and_by_two(benchmark: Any) -> None:
    """All 251 scenarios in tiles of 32, systems compiled; `seconds` of one thread, `gain` of two."""
    sample = samples.load("cross-asset")
    snapshot, scenarios = decode_snapshot(sample.market), decode_scenarios(sample.scenarios)
    layout, count = SnapshotLayout(snapshot), len(scenarios.scenarios)

    def work() -> None:
        for begin in range(0, count, 32):
            calibrate_tile(snapshot, layout, scenarios, begin, min(begin + 32, count))

    work()
    found = benchmark.pedantic(lambda: _gain(work, 3), rounds=3)
    benchmark.extra_info["seconds"] = round(found[0] / 6, 4)
    benchmark.extra_info["gain"] = round(found[0] / found[1], 2)
    benchmark.extra_info["level"] = cpu_level()
