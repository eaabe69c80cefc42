"""Speed of CDS and bonds: `python -m pytest bench/bench_kernels_credit.py --benchmark-only`.

`million_per_s` five-year contracts revalued, one core, from the fastest round: discount curve of 18 nodes and hazard
curves of 8 nodes given, schedules resolved, 70 contracts (a tile of a run) under 256 curve states. `standard` contracts
share their dates, as single-name trades do, on 7 names; `bespoke` ones share nothing, 70 maturities on 70 names. The
base alone (one curve state) is what pricing a book once costs.

QuantLib's IsdaCdsEngine prices one contract with the same curves in the same run, where QuantLib is installed (extra
`oracle`); `times_quantlib` is the ratio.
"""

from __future__ import annotations

import datetime as dt
import importlib.util
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bench.bench_kernels import LEVELS, ROWS, measure
from xip_core.kernels.level import load_module
from xip_core.model.market import HazardDefinition, IsdaModel, Snapshot
from xip_core.model.market_instruments import CurveDefinition, DiscountFactors, Pillar
from xip_core.model.trade import Cds, FixedLeg, Schedule
from xip_core.pricing import value
from xip_core.pricing.calibrate import calibrator_of
from xip_core.pricing.market_layout import SnapshotLayout
from xip_core.pricing.resolve import resolve_rows
from xip_core.pricing.tile import Columns
from xip_core.pricing.tile_market import MarketView

AS_OF = dt.date(2024, 1, 16)
CURVE_TENORS = ("1M", "2M", "3M", "6M", "9M", *(f"{n}Y" for n in (*range(1, 11), 12, 15, 20)))
HAZARD_TENORS = ("6M", "1Y", "2Y", "3Y", "4Y", "5Y", "7Y", "10Y")
CONTRACTS = 70


def years(tenor: str) -> float:
    return int(tenor[:-1]) * {"M": 1.0 / 12.0, "Y": 1.0}[tenor[-1]]


def a_market(names: int) -> Snapshot:
    quotes: dict[str, float | str] = {tenor: float(np.exp(-0.03 * years(tenor))) for tenor in CURVE_TENORS}
    quotes |= {f"H {tenor}": 0.01 + 0.001 * years(tenor) for tenor in HAZARD_TENORS}
    segment = DiscountFactors(pillars=tuple(Pillar(tenor, tenor) for tenor in CURVE_TENORS))
    hazards = tuple(
        HazardDefinition(
            name=f"N{name}",
            currency="USD",
            recovery_rate=0.4,
            hazard_rates=tuple(Pillar(tenor, f"H {tenor}") for tenor in HAZARD_TENORS),
            isda=IsdaModel(),
        )
        for name in range(names)
    )
    return Snapshot(
        as_of=AS_OF,
        base_currency="USD",
        quotes=quotes,
        curves=(CurveDefinition(name="USD", currency="USD", segments=(segment,)),),
        discount_curves={"USD": "USD"},
        hazards=hazards,
    )


def a_contract(number: int, name: str, maturity: dt.date, rule: str) -> Cds:
    schedule = Schedule(
        start=AS_OF, end=maturity, tenor="3M", calendar="WeekendsOnly", convention="following", rule=rule
    )  # type: ignore[arg-type] # rule is one of the literals
    leg = FixedLeg(
        payer=True, currency="USD", notionals=(1e7,), day_count="A360", schedule=schedule, rates=(0.01,)
    )  # fmt: skip
    return Cds(id=str(number), leg=leg, credit_curve=name, protection_start=AS_OF)


def a_book(kind: str) -> tuple[Columns, np.ndarray]:
    """Resolved contracts and the base market, (factors, 1)."""
    snapshot = a_market(7 if kind == "standard" else CONTRACTS)
    if kind == "standard":
        trades = [a_contract(i, f"N{i % 7}", dt.date(2028, 12, 20), "cds2015") for i in range(CONTRACTS)]
    else:
        ends = [dt.date(2028, 12, 1) + dt.timedelta(days=i) for i in range(CONTRACTS)]
        trades = [a_contract(i, f"N{i}", end, "backward") for i, end in enumerate(ends)]
    layout = SnapshotLayout(snapshot)
    columns = resolve_rows(trades, MarketView(layout))
    assert not columns["row_status"].any()
    market, failures = calibrator_of(snapshot, layout).calibrate([{}])
    assert not failures
    return columns, market


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("scenarios", [1, 256])
@pytest.mark.parametrize("kind", ["standard", "bespoke"])
def test_isda_contracts_from_curves(
    benchmark: Any, monkeypatch: pytest.MonkeyPatch, kind: str, scenarios: int, level: str
) -> None:
    columns, base = a_book(kind)
    monkeypatch.setattr(value, "terms", load_module("terms", level))
    monkeypatch.setattr(value, "default_steps", load_module("default_steps", level))
    market = np.ascontiguousarray(base * np.linspace(0.9, 1.1, scenarios))
    measure(benchmark, lambda: value.row_values(columns, market), CONTRACTS * scenarios, level)
    quantlib_s, theirs = quantlib_contract()
    if quantlib_s:
        benchmark.extra_info["times_quantlib"] = round(benchmark.extra_info["million_per_s"] * 1e6 * quantlib_s, 1)
        if kind == "standard":
            assert value.row_values(columns, base)[0, 0] == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize("level", LEVELS)
def test_bond_yields(benchmark: Any, level: str) -> None:
    """Bonds of twenty coupons, all outputs."""
    random = np.random.default_rng(1)
    columns = (
        random.uniform(0.6, 1.4, ROWS), random.uniform(0.0, 0.1, ROWS), np.full(ROWS, 2.0), np.full(ROWS, 20.0),
        random.uniform(0.01, 1.0, ROWS), np.ones(ROWS),
    )  # fmt: skip
    outputs, status = tuple(np.empty(ROWS) for _ in range(3)), np.empty(ROWS, np.uint8)
    function = load_module("bond", level).from_price
    measure(benchmark, lambda: function(columns, outputs, status), ROWS, level)
    assert not status.any()


def quantlib_contract() -> tuple[float, float]:
    """Seconds QuantLib takes to revalue one standard contract from given curves, and its value; 0 where it is not."""
    if importlib.util.find_spec("QuantLib") is None:
        return 0.0, 0.0
    import QuantLib as ql  # noqa: N813 - the name its users know it by

    today = ql.Date(AS_OF.day, AS_OF.month, AS_OF.year)
    ql.Settings.instance().evaluationDate = today
    base = a_market(1)
    layout = SnapshotLayout(base)
    knots = [today + (day - layout.as_of_day) for day in layout.discount_nodes("USD")]
    discounts = [float(base.quotes[tenor]) for tenor in CURVE_TENORS]
    curve = ql.DiscountCurve([today, *knots], [1.0, *discounts], ql.Actual365Fixed())
    hazard_days = [today + (day - layout.as_of_day) for day in layout.survival_nodes("N0")]
    rates = [float(base.quotes[f"H {tenor}"]) for tenor in HAZARD_TENORS]
    hazard = ql.HazardRateCurve([today, *hazard_days], [rates[0], *rates], ql.Actual365Fixed())
    schedule = ql.MakeSchedule(
        today, ql.Date(20, 12, 2028), ql.Period("3M"), calendar=ql.WeekendsOnly(), convention=ql.Following,
        terminalDateConvention=ql.Unadjusted, rule=ql.DateGeneration.CDS,
    )  # fmt: skip
    contract = ql.CreditDefaultSwap(
        ql.Protection.Buyer, 1e7, 0.0, 0.01, schedule, ql.Following, ql.Actual360(), True, True, today, today + 3,
        ql.FaceValueClaim(), ql.Actual360(True), True, today, 3,
    )  # fmt: skip
    engine = ql.IsdaCdsEngine(ql.DefaultProbabilityTermStructureHandle(hazard), 0.4, ql.YieldTermStructureHandle(curve))
    contract.setPricingEngine(engine)
    fastest_s = min(_seconds(contract.recalculate) for _ in range(5_000))  # as ours: the round nobody disturbed
    return fastest_s, contract.NPV()


def _seconds(work: Callable[[], object]) -> float:
    begin_s = time.perf_counter()
    work()
    return time.perf_counter() - begin_s
