"""Compounding, stub rates and notionals reset to FX: against hand values, identities and the slow twin."""

from __future__ import annotations

import datetime as dt
import itertools
import math
from typing import Any, Literal

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.pricing.flat_market import AS_OF, a_snapshot
from xip_core.errors import FailureReason
from xip_core.model.market import Snapshot
from xip_core.model.market_instruments import FxIndex
from xip_core.model.trade import (
    Bond,
    FixedLeg,
    FloatingLeg,
    FxReset,
    Leg,
    OvernightLeg,
    Schedule,
    StubRate,
    Swap,
    Trade,
)
from xip_core.pricing import Calculation, calculate
from xip_core.pricing.calibrate import calibrator_of
from xip_core.pricing.market_layout import SnapshotLayout
from xip_core.pricing.reference import reference_values
from xip_core.pricing.resolve import resolve_rows
from xip_core.pricing.resolve_structured import payment_groups
from xip_core.pricing.tile_market import MarketView
from xip_core.pricing.value import row_values

Method = Literal["none", "straight", "flat", "spread_exclusive"]
METHODS: tuple[Method, ...] = ("none", "straight", "flat", "spread_exclusive")
FIXINGS = {
    "EUR-EURIBOR-3M": {dt.date(2023, 10, 12): 0.031, dt.date(2024, 1, 11): 0.032, dt.date(2024, 1, 12): 0.032},
    "ECB": {dt.date(2023, 10, 12): 1.06},
}


def a_market(**changes: Any) -> Snapshot:
    index = FxIndex(name="ECB", foreign_currency="EUR", domestic_currency="USD", calendar="TARGET", spot_days=2)
    return a_snapshot(fx_indices=(index,), fixings=FIXINGS, **changes)


def a_schedule(months: int = 12, tenor: str = "3M", start: dt.date = AS_OF, **changes: Any) -> Schedule:
    end = dt.date(start.year + months // 12, start.month + months % 12, start.day)
    return Schedule(start=start, end=end, tenor=tenor, calendar="TARGET", **changes)


def fixed(**changes: Any) -> FixedLeg:
    fields: dict[str, Any] = {
        "payer": False, "currency": "EUR", "notionals": (1e6,), "day_count": "1/1", "schedule": a_schedule(),
        "rates": (0.01,),
    }  # fmt: skip
    return FixedLeg(**fields | changes)


def floating(**changes: Any) -> FloatingLeg:
    fields: dict[str, Any] = {
        "payer": False, "currency": "EUR", "notionals": (1e6,), "day_count": "A360", "schedule": a_schedule(),
        "index": "EUR-EURIBOR-3M",
    }  # fmt: skip
    return FloatingLeg(**fields | changes)


def value(*legs: Leg, snapshot: Snapshot | None = None) -> float:
    result = priced(Swap(id="T", legs=legs), snapshot)
    assert result.status[0, 0] == 0, result.failures
    return float(result.pv[0, 0])


def priced(trade: Trade, snapshot: Snapshot | None = None) -> Calculation:
    return calculate([trade], snapshot or a_market())


def discount(day: dt.date) -> float:
    return math.exp(-0.02 * (day - AS_OF).days / 365.0)


# ---- compounding ----------------------------------------------------------------------------------------------------


def test_fixed_periods_paid_together_compound_or_add_up() -> None:
    paid = discount(dt.date(2025, 1, 15))
    assert value(fixed(periods_per_payment=0)) == pytest.approx(1e6 * 0.04 * paid, rel=1e-12)
    straight = fixed(periods_per_payment=0, compounding="straight", rates=(0.01, 0.02, 0.03))
    expected = 1e6 * (1.01 * 1.02 * 1.03 * 1.03 - 1.0) * paid
    assert value(straight) == pytest.approx(expected, rel=1e-12)
    halves = fixed(periods_per_payment=2, compounding="straight")
    expected = 1e6 * (1.01**2 - 1.0) * (discount(dt.date(2024, 7, 15)) + paid)
    assert value(halves) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_floating_periods_compound_by_the_method_of_the_contract(method: Method) -> None:
    leg = floating(
        schedule=a_schedule(start=dt.date(2024, 1, 17)), spreads=(0.004, 0.002), periods_per_payment=0,
        compounding=method,
    )  # fmt: skip
    dates = [*(dt.date(2024, month, 17) for month in (1, 4, 7, 10)), dt.date(2025, 1, 17)]
    earned = simple = 0.0
    for period, (begin, end) in enumerate(itertools.pairwise(dates)):
        accrual = (end - begin).days / 360.0
        rate = math.expm1(0.03 * (end - begin).days / 365.0) / accrual
        spread = 0.004 if period == 0 else 0.002
        earns = {"none": 0.0, "straight": rate + spread, "flat": rate, "spread_exclusive": rate}[method]
        added = rate if method == "spread_exclusive" else rate + spread
        earned = earned * (1.0 + accrual * earns) + accrual * added
        simple += accrual * spread if method == "spread_exclusive" else 0.0
    expected = 1e6 * (earned + simple) * discount(dates[-1])
    # the first fixing is today's of the flat curve, not published: a forecast like the others
    fixings = {"EUR-EURIBOR-3M": {}}
    assert value(leg, snapshot=a_snapshot(fixings=fixings)) == pytest.approx(expected, rel=1e-11)


def test_without_a_spread_all_methods_that_compound_agree() -> None:
    compounded = [value(floating(periods_per_payment=4, compounding=method)) for method in METHODS[1:]]
    assert compounded[0] == pytest.approx(compounded[1], rel=1e-14)
    assert compounded[0] == pytest.approx(compounded[2], rel=1e-14)
    assert compounded[0] > value(floating(periods_per_payment=4))


def test_published_fixings_compound_with_the_periods_to_come() -> None:
    leg = floating(
        schedule=a_schedule(start=dt.date(2023, 10, 16)), day_count="1/1", periods_per_payment=0,
        compounding="straight",
    )  # fmt: skip
    known = fixed(
        schedule=leg.schedule, periods_per_payment=0, compounding="straight", rates=(0.031, 0.032, 0.0, 0.0)
    )
    rest = [math.expm1(0.03 * days / 365.0) * 360.0 / days for days in (91, 92)]
    expected = 1.031 * 1.032 * (1.0 + rest[0]) * (1.0 + rest[1]) - 1.0
    assert value(known) == pytest.approx(1e6 * (1.031 * 1.032 - 1.0) * discount(dt.date(2024, 10, 16)), rel=1e-12)
    assert value(leg) == pytest.approx(1e6 * expected * discount(dt.date(2024, 10, 16)), rel=1e-11)


def test_periods_left_over_stand_where_the_schedule_is_not_anchored() -> None:
    forward = fixed(periods_per_payment=3)
    backward = fixed(periods_per_payment=3, schedule=a_schedule(rule="backward"))
    assert payment_groups(forward, 7) == [range(3), range(3, 6), range(6, 7)]
    assert payment_groups(backward, 7) == [range(1), range(1, 4), range(4, 7)]
    assert payment_groups(fixed(periods_per_payment=0), 7) == [range(7)]


# ---- stubs ----------------------------------------------------------------------------------------------------------


def test_a_stub_has_its_own_rate() -> None:
    schedule = a_schedule(months=11, rule="backward", start=dt.date(2024, 1, 15))
    with_rate = floating(schedule=schedule, front_stub=StubRate(rate=0.05))
    plain = floating(schedule=schedule)
    stub_end = dt.date(2024, 3, 15)
    stub = 1e6 * 60 / 360 * discount(stub_end)
    of_index = 1e6 * 60 / 360 * 0.032 * discount(stub_end)  # the published fixing of 2024-01-11
    assert value(with_rate) - value(plain) == pytest.approx(stub * 0.05 - of_index, rel=1e-10)


def test_a_stub_between_two_indices_is_linear_in_the_days_between_their_ends() -> None:
    snapshot = a_snapshot(fixings={})
    shorter = msgspec.structs.replace(snapshot.indices[0], name="EUR-EURIBOR-1M", tenor="1M", curve="EUR1D")
    snapshot = msgspec.structs.replace(snapshot, indices=(*snapshot.indices, shorter))
    schedule = a_schedule(months=2, tenor="2M", start=dt.date(2024, 1, 17))
    stub = StubRate(indices=("EUR-EURIBOR-1M", "EUR-EURIBOR-3M"))
    ends = {"1M": dt.date(2024, 2, 19), "3M": dt.date(2024, 4, 17)}
    start, end = dt.date(2024, 1, 17), dt.date(2024, 3, 18)
    rates = {
        tenor: math.expm1(zero * (ends[tenor] - start).days / 365.0) * 360.0 / (ends[tenor] - start).days
        for tenor, zero in (("1M", 0.02), ("3M", 0.03))
    }
    weight = (ends["3M"] - end).days / (ends["3M"] - ends["1M"]).days
    rate = weight * rates["1M"] + (1.0 - weight) * rates["3M"]
    expected = 1e6 * rate * (end - start).days / 360.0 * discount(end)
    leg = floating(schedule=schedule, front_stub=stub)
    assert value(leg, snapshot=snapshot) == pytest.approx(expected, rel=1e-11)
    half_year = a_schedule(6, "3M", dt.date(2024, 1, 17))
    compounded = floating(schedule=half_year, front_stub=stub, periods_per_payment=2, compounding="flat")
    failure = priced(Swap(id="T", legs=(compounded,)), snapshot).failures["T"]
    assert failure.reason == FailureReason.UNSUPPORTED


# ---- notionals that reset -------------------------------------------------------------------------------------------


def a_reset_leg(start: dt.date = dt.date(2024, 2, 15), **changes: Any) -> OvernightLeg:
    fields: dict[str, Any] = {
        "payer": False, "currency": "USD", "notionals": (1e6,), "day_count": "A360", "index": "USD-SOFR",
        "schedule": Schedule(start=start, end=start.replace(year=start.year + 1), tenor="3M", calendar="TARGET,US"),
        "initial_exchange": True, "final_exchange": True,
        "fx_reset": FxReset(foreign_currency="EUR", foreign_amount=1e6, index="ECB", resets_first=True),
    }  # fmt: skip
    return OvernightLeg(**fields | changes)


def test_a_floating_leg_that_resets_and_exchanges_is_worth_nothing_on_its_own_curve() -> None:
    # each period lends at the rate it is discounted with, whatever its notional
    assert abs(value(a_reset_leg())) <= 1e-8
    assert abs(value(a_reset_leg(payer=True))) <= 1e-8


def test_notionals_are_the_foreign_amount_at_the_forward_of_the_spot_day() -> None:
    schedule = Schedule(start=dt.date(2024, 4, 15), end=dt.date(2024, 7, 15), tenor="3M", calendar="TARGET,US")
    reset = FxReset(foreign_currency="EUR", foreign_amount=1e6, index="ECB", resets_first=True)
    leg = fixed(currency="USD", schedule=schedule, rates=(1.0,), fx_reset=reset)
    years = (dt.date(2024, 4, 15) - dt.date(2024, 1, 17)).days / 365.0  # from the day the spot rate settles
    notional = 1e6 * 1.25 * math.exp((0.04 - 0.02) * years)
    in_dollars = notional * math.exp(-0.04 * (dt.date(2024, 7, 15) - AS_OF).days / 365.0)
    assert value(leg) == pytest.approx(in_dollars / 1.25, rel=1e-12)
    today = msgspec.structs.replace(a_market().fx_indices[0], quote_days=0)
    moved = msgspec.structs.replace(a_market(), fx_indices=(today,))
    assert value(leg, snapshot=moved) == pytest.approx(in_dollars / 1.25 * math.exp(0.02 * 2 / 365.0), rel=1e-12)


def test_a_published_fixing_sets_the_notional_and_the_inverse_of_an_index_serves_as_well() -> None:
    schedule = Schedule(start=dt.date(2023, 10, 16), end=dt.date(2024, 7, 16), tenor="9M", calendar="TARGET")
    reset = FxReset(foreign_currency="EUR", foreign_amount=1e6, index="ECB", resets_first=True)
    leg = fixed(currency="USD", schedule=schedule, rates=(1.0,), fx_reset=reset)
    paid = math.exp(-0.04 * (dt.date(2024, 7, 16) - AS_OF).days / 365.0) / 1.25
    assert value(leg) == pytest.approx(1.06e6 * paid, rel=1e-12)
    euro = fixed(schedule=schedule, rates=(1.0,), fx_reset=FxReset(
        foreign_currency="USD", foreign_amount=1e6, index="ECB", resets_first=True,
    ))  # fmt: skip
    assert value(euro) == pytest.approx(1e6 / 1.06 * discount(dt.date(2024, 7, 16)), rel=1e-12)


def test_only_the_agreed_notional_of_the_first_period_stands() -> None:
    agreed, reset = a_reset_leg(), a_reset_leg()
    agreed = msgspec.structs.replace(agreed, fx_reset=msgspec.structs.replace(reset.fx_reset, resets_first=False))
    assert abs(value(agreed)) <= 1e-8  # par as well
    no_exchange = msgspec.structs.replace(agreed, initial_exchange=False, final_exchange=False)
    doubled = msgspec.structs.replace(no_exchange, notionals=(2e6,))
    first = value(msgspec.structs.replace(
        no_exchange, fx_reset=None, schedule=Schedule(dates=(dt.date(2024, 2, 15), dt.date(2024, 5, 15))),
    ))  # fmt: skip
    assert value(doubled) - value(no_exchange) == pytest.approx(first, rel=1e-9)


@pytest.mark.parametrize(
    ("changes", "reason", "message"),
    [
        ({"index": "BOE"}, FailureReason.MISSING_DATA, "no FX index BOE"),
        ({"foreign_currency": "GBP"}, FailureReason.BAD_TRADE, "must link USD and GBP"),
    ],
)
def test_a_reset_to_the_wrong_rate_is_refused(changes: dict[str, Any], reason: FailureReason, message: str) -> None:
    leg = a_reset_leg()
    leg = msgspec.structs.replace(leg, fx_reset=msgspec.structs.replace(leg.fx_reset, **changes))
    failure = priced(Swap(id="T", legs=(leg,))).failures["T"]
    assert failure.reason == reason
    assert message in failure.message


def test_a_bond_with_such_a_leg_is_unsupported_and_not_priced_wrongly() -> None:
    bond = Bond(
        id="B", leg=floating(periods_per_payment=2), issue_date=AS_OF, settlement_days=2, calendar="TARGET",
        reference_curve="EUR1D",
    )  # fmt: skip
    assert priced(bond).failures["B"].reason == FailureReason.UNSUPPORTED


# ---- the twin -------------------------------------------------------------------------------------------------------


@given(
    method=st.sampled_from(METHODS),
    size=st.integers(0, 5),
    spread=st.floats(-0.05, 0.05),
    gearing=st.floats(-2.0, 2.0),
    shift=st.floats(-0.05, 0.05),
)
@settings(max_examples=25, deadline=None)
def test_chains_have_the_value_of_the_slow_twin(
    method: Method, size: int, spread: float, gearing: float, shift: float
) -> None:
    leg = floating(
        schedule=a_schedule(24), spreads=(spread,), gearings=(gearing,), periods_per_payment=size, compounding=method
    )
    plain = fixed(rates=(spread,), periods_per_payment=size, compounding=method, payer=True)
    snapshot = a_market()
    layout = SnapshotLayout(snapshot)
    base, _ = calibrator_of(snapshot, layout).calibrate([{}, {"EUR3M": 0.03 + shift, "EUR1D": shift}])
    rows = [Swap(id="1", legs=(leg,)), Swap(id="2", legs=(plain, leg)), Swap(id="3", legs=(plain,))]
    columns = resolve_rows(rows, MarketView(layout))
    assert not columns["row_status"].any()
    np.testing.assert_allclose(row_values(columns, base), reference_values(columns, base), rtol=0, atol=1e-6)
    halves = [row_values(columns, np.ascontiguousarray(base[:, i : i + 1])) for i in range(2)]
    assert np.concatenate(halves, axis=1).tobytes() == row_values(columns, base).tobytes()
