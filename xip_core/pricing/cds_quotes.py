"""What desks say about a credit default swap: upfront, par spread, quoted spread, sensitivities; ISDA standard model.

    cds_measures(trade, snapshot)                                  upfront, par spread, CS01, IR01, jump to default
    upfront_from_spread(contract, 0.02, snapshot)                  converters between the two ways to quote
    spread_from_upfront(contract, 0.045, snapshot)

A **quoted spread** is the par spread of a flat hazard curve that prices the contract at its upfront; a converter builds
that curve, one contract long, on the snapshot's discount curve. Amounts are seen by the protection buyer of a positive
notional. The clean upfront is paid at cash settlement and leaves out what has accrued, the dirty one is net of it::

    clean = ((1 - R) protection - c annuity) / D(settlement)        dirty = clean - c accrued

CS01 and IR01 shift every quote of the hazard curve, or every rate of the currency's curves, by one basis point and
calibrate anew; the spreads stay what they are when rates move. Quotes in upfronts are made par spreads first.

Source: ISDA CDS Standard Model; Markit, The CDS big bang (2009).
"""

from __future__ import annotations

import datetime as dt

import msgspec
import numpy as np

from xip_core.errors import CellError, FailureReason
from xip_core.model.dates import day_number
from xip_core.model.daycounts import year_fractions
from xip_core.model.market import HazardDefinition, IsdaModel, Snapshot
from xip_core.model.market_instruments import Pillar, Pillars
from xip_core.model.scenario import Scenario, ScenarioSet, Shift
from xip_core.model.schedules import boundaries
from xip_core.model.trade import Cds
from xip_core.pricing.arithmetic import RefTable
from xip_core.pricing.book import calculate
from xip_core.pricing.calibrate import calibrator_of
from xip_core.pricing.curves_isda import Floats, isda_contracts
from xip_core.pricing.isda import accrued_days, cash_settlement_day
from xip_core.pricing.market_layout import SnapshotLayout

ONE_BASIS_POINT = 1.0


class CdsMeasures(msgspec.Struct, frozen=True):
    """Of a contract on the as-of date; amounts in base currency, seen by its owner.

    Attributes:
        pv: of protection less premium, with what has accrued; upfront and rebate not settled yet are left out.
        clean_upfront, dirty_upfront: fractions of the notional a protection buyer pays at cash settlement.
        accrued: premium accrued up to step-in, a fraction of the notional.
        par_spread: coupon at which the clean upfront is 0.
        protection: what is paid at default; annuity: the premium, clean, per unit of coupon. Fractions of the notional.
        cs01, ir01: PV(+1 bp) - PV, of the quotes of the hazard curve and of the rates of the currency.
        jtd: value just after default minus pv.
    """

    pv: float
    clean_upfront: float
    dirty_upfront: float
    accrued: float
    par_spread: float
    protection: float
    annuity: float
    cs01: float
    ir01: float
    jtd: float


class Contract(msgspec.Struct, frozen=True):
    """What two dealers agree on before they quote: a standard contract traded on the as-of date."""

    maturity: dt.date
    coupon: float = 0.01
    recovery_rate: float = 0.4
    currency: str = "USD"
    isda: IsdaModel = IsdaModel()


def cds_measures(trade: Cds, snapshot: Snapshot) -> CdsMeasures:
    """
    Measures of *trade*, whose hazard curve is one of the ISDA standard model.

    Raises:
        CellError: it has no value, with its reason; UNSUPPORTED, its hazard curve is one of mid-points.
    """
    snapshot = with_par_spreads(snapshot, trade.credit_curve)
    layout = SnapshotLayout(snapshot)
    if layout.isda_model(trade.credit_curve) is None:
        raise CellError(FailureReason.UNSUPPORTED, f"hazard curve {trade.credit_curve} is one of mid-points, not ISDA")
    leg = trade.leg
    settled = msgspec.structs.replace(trade, upfront_date=snapshot.as_of, upfront_fee=0.0)
    free, unit = (_with_coupon(settled, name, rate) for name, rate in (("free", 0.0), ("unit", 1.0)))
    scenarios = _scenarios(trade)
    result = calculate([settled, free, unit], snapshot, scenarios)
    for failure in result.failures.values():
        raise CellError(failure.reason, failure.message)
    pv, free_pv, unit_pv = result.pv[:, 0].tolist()
    buyer = 1.0 if leg.payer else -1.0
    trade_day = day_number(trade.protection_start) if trade.protection_start else layout.as_of_day
    accrued_years = _accrued_years(trade, max(trade_day, layout.as_of_day))
    settlement, spot = _settlement(layout, snapshot, leg.currency)
    notional = buyer * leg.notionals[0] * spot
    protection = free_pv / notional
    annuity = (free_pv - unit_pv) / notional - accrued_years * settlement
    coupon = leg.rates[0]
    clean = (protection - coupon * annuity) / settlement
    recovery = layout.recovery_rate(trade.credit_curve) if trade.recovery_rate is None else trade.recovery_rate
    return CdsMeasures(
        pv=pv,
        clean_upfront=clean,
        dirty_upfront=clean - coupon * accrued_years,
        accrued=coupon * accrued_years,
        par_spread=protection / annuity,
        protection=protection,
        annuity=annuity,
        cs01=float(result.pv[0, 1] - pv),
        ir01=float(result.pv[0, 2] - pv),
        jtd=notional * (1.0 - recovery - coupon * accrued_years) - pv,
    )


def _with_coupon(trade: Cds, name: str, rate: float) -> Cds:
    return msgspec.structs.replace(
        trade, id=f"{trade.id} {name}", leg=msgspec.structs.replace(trade.leg, rates=(rate,))
    )


def _scenarios(trade: Cds) -> ScenarioSet:
    spreads = Shift(target="hazard", name=trade.credit_curve, shift_bps=ONE_BASIS_POINT)
    rates = Shift(target="currency", name=trade.leg.currency, shift_bps=ONE_BASIS_POINT)
    return ScenarioSet(
        scenarios=(
            Scenario(name="base"),
            Scenario(name="cs01", shifts=(spreads,)),
            Scenario(name="ir01", shifts=(rates,)),
        )
    )


def _accrued_years(trade: Cds, day: int) -> float:
    begin, end = accrued_days(boundaries(trade.leg.schedule).tolist(), day)
    return float(year_fractions(trade.leg.day_count, np.array([begin]), np.array([end]))[0])


def _settlement(layout: SnapshotLayout, snapshot: Snapshot, currency: str) -> tuple[float, float]:
    """Discount factor to cash settlement, and base currency per unit of *currency*."""
    day = cash_settlement_day(layout.as_of_day)
    refs = layout.log_discount_of_day(layout.discount_curve(currency), day)
    discount, spot = RefTable([refs, layout.log_fx(currency)]).exp(_base_market(layout, snapshot))[:, 0].tolist()
    return discount, spot


def _base_market(layout: SnapshotLayout, snapshot: Snapshot) -> Floats:
    market, failures = calibrator_of(snapshot, layout).calibrate([{}])
    for failure in failures.values():
        raise CellError(failure.reason, failure.message)
    return market


# ---- converters ------------------------------------------------------------------------------------------------------


def with_par_spreads(snapshot: Snapshot, name: str) -> Snapshot:
    """
    *snapshot* with hazard curve *name* quoted in par spreads, where it is quoted in upfronts: the same curve.

    Raises:
        CellError: the curve cannot be built.
    """
    definition = next((hazard for hazard in snapshot.hazards if hazard.name == name), None)
    if definition is None or not definition.upfronts:
        return snapshot
    layout = SnapshotLayout(snapshot)
    market = _base_market(layout, snapshot)
    quotes = dict(snapshot.quotes)
    pillars = []
    for pillar, contract in zip(definition.contracts, isda_contracts(layout, definition), strict=True):
        protection, premium, _ = contract.legs(market)
        quote = f"{pillar.quote} as par spread"
        quotes[quote] = float((1.0 - definition.recovery_rate) * protection[0] / premium[0])
        pillars.append(Pillar(pillar.tenor, quote))
    assert isinstance(definition.isda, IsdaModel), name
    isda = msgspec.structs.replace(definition.isda, upfronts=())
    changed = msgspec.structs.replace(definition, cds_spreads=tuple(pillars), isda=isda)
    hazards = tuple(changed if hazard.name == name else hazard for hazard in snapshot.hazards)
    return msgspec.structs.replace(snapshot, quotes=quotes, hazards=hazards)


def spread_from_upfront(contract: Contract, upfront: float, snapshot: Snapshot) -> float:
    """
    The quoted spread of a contract whose clean upfront, a fraction of the notional, is known.

    Raises:
        CellError: no hazard rate explains the upfront.
    """
    isda = msgspec.structs.replace(contract.isda, upfronts=(_pillar(contract),), coupon=contract.coupon)
    single = with_par_spreads(_single(contract, snapshot, upfront, isda), _NAME)
    spread = single.quotes[f"{_QUOTE} as par spread"]
    assert isinstance(spread, float), spread
    return spread


def upfront_from_spread(contract: Contract, spread: float, snapshot: Snapshot) -> float:
    """
    The clean upfront, a fraction of the notional, of a contract whose quoted spread is known.

    Raises:
        CellError: no hazard rate explains the spread.
    """
    single = _single(contract, snapshot, spread, contract.isda, (_pillar(contract),))
    layout = SnapshotLayout(single)
    (compiled,) = isda_contracts(layout, single.hazards[-1])
    protection, premium, settlement = compiled.legs(_base_market(layout, single))
    value = (1.0 - contract.recovery_rate) * protection - contract.coupon * premium
    return float(value[0] / settlement[0])


_NAME = "quoted contract"
_QUOTE = "quoted contract"


def _pillar(contract: Contract) -> Pillar:
    return Pillar(contract.maturity.isoformat(), _QUOTE)


def _single(contract: Contract, snapshot: Snapshot, quote: float, isda: IsdaModel, spreads: Pillars = ()) -> Snapshot:
    """The discount curves of *snapshot* and a hazard curve of one contract."""
    currency = contract.currency
    curve = snapshot.discount_curves.get(currency)
    if curve is None:
        raise CellError(FailureReason.MISSING_DATA, f"no discount curve for {currency} in the snapshot")
    definition = HazardDefinition(
        name=_NAME,
        currency=currency,
        recovery_rate=contract.recovery_rate,
        discount_curve=curve,
        cds_spreads=spreads,
        isda=isda,
    )
    return Snapshot(
        as_of=snapshot.as_of,
        base_currency=snapshot.base_currency,
        quotes={**snapshot.quotes, _QUOTE: quote},
        indices=snapshot.indices,
        curves=snapshot.curves,
        discount_curves=snapshot.discount_curves,
        fx_spots=snapshot.fx_spots,
        hazards=(definition,),
    )
