"""CDS under the ISDA model and bond analytics against QuantLib, on thousands of drawn contracts (extra `oracle`)."""

from __future__ import annotations

import datetime as dt
import random
from typing import Any

import numpy as np
import pytest
import QuantLib as ql  # noqa: N813  # as its own examples call it
from msgspec.structs import replace

from tests.core.pricing.isda_market import standard_cds
from tests.core.pricing.some_bonds import a_bond
from xip_core.model.dates import day_number
from xip_core.model.market import HazardDefinition, IsdaModel, Snapshot
from xip_core.model.market_instruments import CurveDefinition, DiscountFactors, Pillar
from xip_core.model.schedules import boundaries
from xip_core.model.trade import Cds
from xip_core.pricing import calculate
from xip_core.pricing.bonds import YieldConvention, accrued_interest, bond_flows, from_clean_price

MARKETS = 60
CONTRACTS_PER_MARKET = 40
BONDS = 2_000


def ql_date(date: dt.date) -> Any:
    return ql.Date(date.day, date.month, date.year)


# ---- CDS -------------------------------------------------------------------------------------------------------------


def a_market(draw: random.Random) -> tuple[Snapshot, Any]:
    """Random nodes and rates, hazard from none to distressed; and QuantLib's engine on the same curves."""
    as_of = dt.date(2010, 1, 4) + dt.timedelta(days=draw.randrange(5000))
    node_days = sorted(draw.sample(range(20, 9000), 15))
    hazard_days = sorted(draw.sample(range(20, 5000), draw.choice([1, 3, 8])))
    rate = draw.uniform(-0.01, 0.08)
    factors = np.exp(-np.cumsum(np.diff([0, *node_days]) / 365.0 * [rate + draw.gauss(0, 0.005) for _ in node_days]))
    level = draw.choice([0.0, 1e-5, 0.01, 0.05, 0.5, 3.0])
    hazards = [level * draw.uniform(0.5, 1.5) for _ in hazard_days]
    nodes, knots = ([as_of + dt.timedelta(days=day) for day in days] for days in (node_days, hazard_days))
    quotes: dict[str, float | str] = {f"D{day}": float(f) for day, f in zip(node_days, factors, strict=True)}
    quotes |= {f"H{day}": h for day, h in zip(hazard_days, hazards, strict=True)}
    recovery = draw.choice([0.0, 0.25, 0.4, 0.7])
    segment = DiscountFactors(
        pillars=tuple(Pillar(n.isoformat(), f"D{d}") for n, d in zip(nodes, node_days, strict=True))
    )
    hazard = HazardDefinition(
        name="NAME",
        currency="USD",
        recovery_rate=recovery,
        hazard_rates=tuple(Pillar(n.isoformat(), f"H{d}") for n, d in zip(knots, hazard_days, strict=True)),
        isda=IsdaModel(),
    )
    snapshot = Snapshot(
        as_of=as_of,
        base_currency="USD",
        quotes=quotes,
        curves=(CurveDefinition(name="USD", currency="USD", segments=(segment,)),),
        discount_curves={"USD": "USD"},
        hazards=(hazard,),
    )
    ql.Settings.instance().evaluationDate = ql_date(as_of)
    day_count = ql.Actual365Fixed()
    curve = ql.DiscountCurve([ql_date(d) for d in (as_of, *nodes)], [1.0, *factors.tolist()], day_count)
    survival = ql.HazardRateCurve([ql_date(d) for d in (as_of, *knots)], [hazards[0], *hazards], day_count)
    curve.enableExtrapolation()
    survival.enableExtrapolation()
    engine = ql.IsdaCdsEngine(
        ql.DefaultProbabilityTermStructureHandle(survival), recovery, ql.YieldTermStructureHandle(curve)
    )
    return snapshot, engine


def a_contract(draw: random.Random, snapshot: Snapshot, number: int) -> tuple[Cds, Any]:
    """Traded today or up to three years ago, on its way to a quarterly twentieth."""
    as_of = snapshot.as_of
    traded = as_of - dt.timedelta(days=draw.choice([0, 0, 5, 100, 1000]))
    end = dt.date(as_of.year + draw.randrange(11), draw.choice([3, 6, 9, 12]), 20)
    if end <= as_of + dt.timedelta(days=1):
        end = dt.date(as_of.year + 1, end.month, 20)
    coupon = draw.choice([0.0, 0.01, 0.05, 0.0123])
    trade = standard_cds(traded, end, coupon, id=str(number))
    schedule = ql.Schedule(
        ql_date(traded), ql_date(end), ql.Period("3M"), ql.WeekendsOnly(), ql.Following, ql.Unadjusted,
        ql.DateGeneration.CDS, False,
    )  # fmt: skip
    theirs = ql.CreditDefaultSwap(
        ql.Protection.Buyer, 1e7, 0.0, coupon, schedule, ql.Following, ql.Actual360(), True, True, ql_date(traded),
        ql.WeekendsOnly().advance(ql_date(traded), 3, ql.Days), ql.FaceValueClaim(), ql.Actual360(True), True,
        ql_date(traded), 3,
    )  # fmt: skip
    return trade, theirs


def is_comparable(trade: Cds, as_of: dt.date) -> bool:
    """Where QuantLib's engine and the C code mean the same contract.

    QuantLib keeps a coupon whose period ends at step-in, forgets the last day's premium of a contract of one period,
    and observes survival a day before the payment, which a weekend moves.
    """
    days = boundaries(trade.leg.schedule).tolist()
    return len(days) > 2 and day_number(as_of) + 1 not in days and trade.leg.schedule.end.weekday() < 5


def test_drawn_contracts_are_worth_what_quantlibs_isda_engine_says() -> None:
    """Protection to the last digits. Premium within 1e-6: in the last period QuantLib pays for the day of maturity if
    the name survives the day before, the C code if it survives that day too, and what has accrued if not."""
    draw = random.Random(20)
    compared = 0
    for _ in range(MARKETS):
        snapshot, engine = a_market(draw)
        pairs = [a_contract(draw, snapshot, number) for number in range(CONTRACTS_PER_MARKET)]
        pairs = [(trade, theirs) for trade, theirs in pairs if is_comparable(trade, snapshot.as_of)]
        trades = [trade for trade, _ in pairs]
        if not trades:  # the day before coupons
            continue
        free = [replace(trade, id=f"{trade.id} free", leg=replace(trade.leg, rates=(0.0,))) for trade in trades]
        result = calculate(trades + free, snapshot, measures=("pv",))
        assert result.failures == {}
        values, protections = np.split(result.pv[:, 0], 2)
        for (trade, theirs), value, protection in zip(pairs, values, protections, strict=True):
            theirs.setPricingEngine(engine)
            assert protection == pytest.approx(theirs.defaultLegNPV(), rel=1e-12, abs=1e-6), (snapshot.as_of, trade)
            premium = theirs.couponLegNPV() + theirs.accrualRebateNPV()
            assert value - protection == pytest.approx(premium, rel=1e-6, abs=1e-5), (snapshot.as_of, trade)
            compared += 1
    assert compared > 0.5 * MARKETS * CONTRACTS_PER_MARKET


# ---- bonds -----------------------------------------------------------------------------------------------------------

RULES = {"backward": "Backward", "forward": "Forward"}


@pytest.mark.parametrize("day_count", ["ACT/ACT ICMA", "30/360", "A365F", "A360"])
def test_drawn_bonds_have_quantlibs_accrued_interest_yield_and_durations(day_count: str) -> None:
    draw = random.Random(day_count)
    counts = {
        "ACT/ACT ICMA": ql.ActualActual(ql.ActualActual.ISMA),
        "30/360": ql.Thirty360(ql.Thirty360.BondBasis),
        "A365F": ql.Actual365Fixed(),
        "A360": ql.Actual360(),
    }
    for _ in range(BONDS // 4):
        start = dt.date(2015, 1, 1) + dt.timedelta(days=draw.randrange(1500))
        end = start + dt.timedelta(days=draw.randrange(400, 8000))
        months, rule = draw.choice([3, 6, 12]), draw.choice(["backward", "forward"])
        coupon, ex_days = draw.choice([0.0, 0.01, 0.05, 0.12]), draw.choice([0, 7])
        bond = a_bond(
            start, end, (coupon,), f"{months}M", day_count, schedule={"rule": rule}, ex_coupon_days=ex_days,
            settlement_days=0,
        )  # fmt: skip
        settlement = start + dt.timedelta(days=draw.randrange(1, (end - start).days - 3))
        ql.Settings.instance().evaluationDate = ql_date(settlement)
        schedule = ql.Schedule(
            ql_date(start), ql_date(end), ql.Period(months, ql.Months), ql.NullCalendar(), ql.Unadjusted, ql.Unadjusted,
            getattr(ql.DateGeneration, RULES[rule]), False,
        )  # fmt: skip
        theirs = ql.FixedRateBond(
            0, 100.0, schedule, [coupon], counts[day_count], ql.Unadjusted, 100.0, ql.Date(), ql.NullCalendar(),
            ql.Period(ex_days, ql.Days), ql.NullCalendar(),
        )  # fmt: skip
        flows, price = bond_flows(bond), draw.uniform(60.0, 130.0)
        where = (day_count, start, end, months, rule, coupon, ex_days, settlement)
        accrued = accrued_interest(flows, settlement)
        assert accrued == pytest.approx(theirs.accruedAmount(ql_date(settlement)), abs=1e-10), where
        found = from_clean_price(flows, settlement, price, YieldConvention(day_count, "compounded", 12 // months))
        arguments = (counts[day_count], ql.Compounded, 12 // months)
        again = ql.BondFunctions.cleanPrice(theirs, found.yield_rate, *arguments, ql_date(settlement))
        assert again == pytest.approx(price, abs=1e-8), where
        duration = ql.BondFunctions.duration(
            theirs, found.yield_rate, *arguments, ql.Duration.Modified, ql_date(settlement)
        )
        convexity = ql.BondFunctions.convexity(theirs, found.yield_rate, *arguments, ql_date(settlement))
        assert (found.modified_duration, found.convexity) == pytest.approx((duration, convexity), rel=1e-9), where
