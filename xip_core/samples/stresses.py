"""The sample's scenarios: the base, one risk factor at a time, then joint moves up to the wanted count.

    spots         equities, commodities, FX
    volatilities  every surface, relative
    credit        hazard rates and CDS spreads, upward only: they may not become negative
    rates         single basis and forward curves; every currency by maturity bucket and in parallel
    joint         all rates, spots and volatilities at once, drawn from the sample's seed

Sizes are those of a desk's daily grid (1 bp to 100 bp, 1 % to 30 %). A bucket in which a currency has no quote is left
out, because a shift that names nothing is refused. Kinks of a curve stay at 5 bp: volatilities of caps are flat quotes
that stand still while rates move, and with larger kinks those of far strikes have no caplet volatilities any more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, get_args

from xip_core.errors import RequestError
from xip_core.model.market import Snapshot
from xip_core.model.scenario import Scenario, ScenarioMarket, ScenarioSet, Shift, Target
from xip_core.samples.draws import Draw

PARALLEL_BPS = (-50.0, -25.0, -10.0, -1.0, 1.0, 10.0, 25.0, 50.0, 100.0)
BUCKETS = (("", "1Y"), ("1Y", "2Y"), ("2Y", "5Y"), ("5Y", "10Y"), ("10Y", "20Y"), ("20Y", ""))
BUCKET_BPS = (-5.0, 5.0)
CURVE_BPS = (5.0,)
SPOT_PERCENT = (-20.0, -10.0, -1.0, 1.0, 10.0, 20.0)
CREDIT_BPS = (1.0, 10.0, 50.0, 100.0)
VOLATILITY_PERCENT = (-25.0, -10.0, 10.0, 25.0)

_FIRST_JOINT_NUMBER = 1_000_000
"""Streams of joint moves; far from those of trades."""


class _Named(Protocol):
    """A surface, as far as a scenario names it."""

    @property
    def name(self) -> str: ...


def stresses(snapshot: Snapshot, count: int) -> ScenarioSet:
    """
    *count* scenarios, the base first.

    Raises:
        ValueError: there are more single moves than *count* allows.
    """
    market = ScenarioMarket(snapshot)
    singles = [scenario for scenario in _singles(snapshot) if _names_something(market, scenario)]
    joint_count = count - 1 - len(singles)
    if joint_count < 0:
        raise ValueError(f"count must be at least {len(singles) + 1}, the base and every single move, got {count}")
    joints = [joint_move(snapshot, number) for number in range(1, joint_count + 1)]
    scenarios = ScenarioSet(scenarios=(Scenario(name="base"), *singles, *joints))
    market.check(scenarios)
    return scenarios


def _names_something(market: ScenarioMarket, scenario: Scenario) -> bool:
    try:
        market.check(ScenarioSet(scenarios=(Scenario(name="base"), scenario)))
    except RequestError:
        return False
    return True


def _singles(snapshot: Snapshot) -> Iterator[Scenario]:
    """Cheapest first: what moves no curve needs none solved again, so the first blocks of numbers are out early."""
    for equity in snapshot.equities:
        yield from _moves(equity.name, "equity", equity.name, percent=SPOT_PERCENT)
    for commodity in snapshot.commodities:
        yield from _moves(commodity.name, "commodity", commodity.name, percent=SPOT_PERCENT)
    for surfaces, target in _surfaces(snapshot):
        for surface in surfaces:
            label = f"{target.replace('_', ' ')} {surface.name}"
            yield from _moves(label, target, surface.name, percent=VOLATILITY_PERCENT)
    for hazard in snapshot.hazards:
        yield from _moves(f"credit {hazard.name}", "hazard", hazard.name, bps=CREDIT_BPS)
    for spot in snapshot.fx_spots:
        pair = spot.foreign_currency + spot.domestic_currency
        yield from _moves(pair, "fx", pair, percent=SPOT_PERCENT)
    for curve in snapshot.curves:
        yield from _moves(f"curve {curve.name}", "curve", curve.name, bps=CURVE_BPS)
    currencies = sorted({curve.currency for curve in snapshot.curves})
    for currency in currencies:
        for after, until in BUCKETS:
            label = f"{currency} {after or 'now'} to {until or 'end'}"
            yield from _moves(label, "currency", currency, bps=BUCKET_BPS, after=after, until=until)
    for currency in currencies:
        yield from _moves(f"{currency} parallel", "currency", currency, bps=PARALLEL_BPS)


def _surfaces(snapshot: Snapshot) -> Iterator[tuple[Sequence[_Named], Target]]:
    yield snapshot.fx_volatilities, "fx_volatility"
    yield snapshot.equity_volatilities, "equity_volatility"
    yield snapshot.commodity_volatilities, "commodity_volatility"
    yield snapshot.swaption_volatilities, "swaption_volatility"
    yield snapshot.cap_volatilities, "cap_volatility"


def _moves(
    label: str,
    target: Target,
    name: str,
    bps: tuple[float, ...] = (),
    percent: tuple[float, ...] = (),
    after: str = "",
    until: str = "",
) -> Iterator[Scenario]:
    """One scenario a size."""
    for size in bps:
        shift = Shift(target=target, name=name, after=after, until=until, shift_bps=size)
        yield Scenario(name=f"{label} {size:+g} bp", shifts=(shift,))
    for size in percent:
        shift = Shift(target=target, name=name, after=after, until=until, shift_relative=size / 100.0)
        yield Scenario(name=f"{label} {size:+g} %", shifts=(shift,))


def joint_move(snapshot: Snapshot, number: int) -> Scenario:
    """Everything moves: rates by up to 25 bp with a slight tilt, spots by up to 12 %, volatilities by up to 30 %."""
    draw = Draw(_FIRST_JOINT_NUMBER + number)
    shifts: list[Shift] = []
    for currency in sorted({curve.currency for curve in snapshot.curves}):
        level, tilt = draw.uniform(-25.0, 25.0), draw.uniform(-4.0, 4.0)
        shifts.append(Shift(target="currency", name=currency, until="5Y", shift_bps=round(level - tilt, 1)))
        shifts.append(Shift(target="currency", name=currency, after="5Y", shift_bps=round(level + tilt, 1)))
    for spot in snapshot.fx_spots:
        pair = spot.foreign_currency + spot.domestic_currency
        shifts.append(Shift(target="fx", name=pair, shift_relative=round(draw.uniform(-0.06, 0.06), 4)))
    targets: tuple[Target, ...] = ("equity", "commodity")
    shifts += [Shift(target=one, name="*", shift_relative=round(draw.uniform(-0.12, 0.12), 4)) for one in targets]
    shifts += [
        Shift(target=one, name="*", shift_relative=round(draw.uniform(-0.1, 0.3), 4))
        for one in get_args(Target)
        if one.endswith("_volatility")
    ]
    return Scenario(name=f"joint {number:02d}", shifts=tuple(shifts))
