"""Swaption cubes: forwards, fit, prices, scenarios, refusals."""

from __future__ import annotations

import datetime as dt
import functools
import itertools
from typing import Any

import msgspec
import numpy as np
import pytest

from tests.core.pricing.test_quote_sensitivities import bumped
from tests.core.small_market import AS_OF, a_snapshot
from xip_core import evaluate
from xip_core.errors import RequestError
from xip_core.model.dates import date_of
from xip_core.model.market import Snapshot, decode_snapshot, encode_snapshot
from xip_core.model.market_smiles import SwaptionSmile
from xip_core.model.scenario import Scenario, ScenarioSet, Shift
from xip_core.model.trade import FixedLeg, FloatingLeg, Schedule, Swap, Swaption
from xip_core.pricing import calculate
from xip_core.pricing.calibrate import calibrate_tile
from xip_core.pricing.calibrate_failures import decode_failures
from xip_core.pricing.curves_pillars import add_tenors, index_spot_day
from xip_core.pricing.market_layout import SnapshotLayout
from xip_core.pricing.quote_sensitivities import quote_jacobian
from xip_core.pricing.reference import reference_values
from xip_core.pricing.resolve import resolve_rows
from xip_core.pricing.surfaces_swaptions import SwaptionSmileBuilder
from xip_core.pricing.tile_market import MarketView
from xip_core.pricing.value import row_values

SPREADS = (-0.01, -0.005, 0.0, 0.005, 0.01, 0.02)
NODES = tuple((expiry, tenor) for expiry in ("1Y", "5Y") for tenor in ("2Y", "5Y"))
PARAMETERS = {node: (0.05 + 0.01 * place, -0.2 - 0.1 * place, 0.5 - 0.05 * place) for place, node in enumerate(NODES)}
BETA, SHIFT = 0.4, 0.02


def a_cube(**fields: Any) -> SwaptionSmile:
    names = tuple(f"EUR.CUBE.{expiry}.{tenor}.{place}" for expiry, tenor in NODES for place in range(len(SPREADS)))
    cube = SwaptionSmile(
        currency="EUR", index="EUR-EURIBOR-6M", fixed_frequency_months=12, fixed_calendar="TARGET",
        fixed_convention="modified_following", fixed_day_count="30/360", expiries=("1Y", "5Y"),
        swap_tenors=("2Y", "5Y"), strike_spreads=SPREADS, volatilities=names, beta=BETA, shift=SHIFT,
        calendar="TARGET",
    )  # fmt: skip
    return msgspec.structs.replace(cube, **fields)


@functools.cache
def forwards() -> np.ndarray:
    """Of the nodes, in the base."""
    snapshot = a_snapshot(
        dict.fromkeys(a_cube().volatilities, 0.006), swaption_smiles=(a_cube(),), swaption_volatilities=()
    )
    layout = SnapshotLayout(snapshot)
    base = ScenarioSet(scenarios=(Scenario(name="base"),))
    market = calibrate_tile(snapshot, layout, base, 0, 1)["market"]
    return SwaptionSmileBuilder(layout, layout.swaption_smiles["swaption_volatility/EUR"]).forwards(market)[:, 0]


@functools.cache
def cube_quotes() -> dict[str, float]:
    """Of PARAMETERS."""
    quotes = {}
    layout = SnapshotLayout(a_snapshot(swaption_smiles=(a_cube(),), swaption_volatilities=()))
    days = layout.swaption_smiles["swaption_volatility/EUR"].expiry_days
    for node, forward in zip(NODES, forwards(), strict=True):
        alpha, rho, nu = PARAMETERS[node]
        years = (days[("1Y", "5Y").index(node[0])] - layout.as_of_day) / 365.0
        found = evaluate(
            "volatility.sabr_normal", forward=forward, strike=forward + np.array(SPREADS), time=years, alpha=alpha,
            beta=BETA, rho=rho, nu=nu, shift=SHIFT,
        )["volatility"]  # fmt: skip
        quotes |= {f"EUR.CUBE.{node[0]}.{node[1]}.{place}": value for place, value in enumerate(found.tolist())}
    return quotes


def a_market(changes: dict[str, float] | None = None, **fields: Any) -> Snapshot:
    quotes = {**cube_quotes(), **(changes or {})}
    return a_snapshot(quotes, swaption_smiles=(a_cube(**fields),), swaption_volatilities=())


def swap_dates(expiry: str, tenor: str) -> tuple[dt.date, dt.date, dt.date]:
    """Expiry, start and unadjusted end of a node's swap."""
    layout = SnapshotLayout(a_snapshot())
    (day,) = add_tenors("TARGET", layout.as_of_day, (expiry,), "following", False).tolist()
    start = index_spot_day(layout.indices["EUR-EURIBOR-6M"], day)
    end = int(add_tenors("NullCalendar", start, (tenor,), "unadjusted", False)[0])
    return date_of(day), date_of(start), date_of(end)


def legs(start: dt.date, end: dt.date, rate: float, *, payer: bool) -> tuple[FixedLeg, FloatingLeg]:
    of_schedule = {"start": start, "end": end, "calendar": "TARGET", "rule": "backward"}
    shared: dict[str, Any] = {"currency": "EUR", "notionals": (1e6,)}
    fixed = FixedLeg(
        payer=payer, schedule=Schedule(tenor="12M", **of_schedule), day_count="30/360", rates=(rate,), **shared
    )
    floating = FloatingLeg(
        payer=not payer, schedule=Schedule(tenor="6M", **of_schedule), day_count="A360", index="EUR-EURIBOR-6M",
        **shared,
    )  # fmt: skip
    return fixed, floating


def a_swaption(expiry: str, tenor: str, strike: float, *, payer: bool, **fields: Any) -> Swaption:
    day, start, end = swap_dates(expiry, tenor)
    swaption = Swaption(
        id=f"{expiry}{tenor}{strike}{payer}", legs=legs(start, end, strike, payer=payer), expiry=day, position="long",
        settlement="physical",
    )  # fmt: skip
    return msgspec.structs.replace(swaption, **fields)


@pytest.mark.parametrize(("place", "node"), list(enumerate(NODES)))
def test_forward_of_a_node_is_the_par_rate_of_its_swap(place: int, node: tuple[str, str]) -> None:
    _, start, end = swap_dates(*node)
    swap = Swap(id="s", legs=legs(start, end, float(forwards()[place]), payer=True))
    assert abs(calculate([swap], a_snapshot()).pv[0, 0]) <= 1e-7  # of a million


def test_cube_made_of_sabr_parameters_gives_them_back() -> None:
    snapshot = a_market()
    layout = SnapshotLayout(snapshot)
    columns = calibrate_tile(snapshot, layout, ScenarioSet(scenarios=(Scenario(name="base"),)), 0, 1)
    assert decode_failures(columns["failures"]) == ()
    begin, end = layout.ranges["swaption_volatility/EUR"]
    expected = [value for node in NODES for value in PARAMETERS[node]]
    assert columns["market"][begin:end, 0] == pytest.approx(expected, rel=1e-9)


def implied(snapshot: Snapshot, expiry: str, tenor: str, forward: float, strike: float) -> float:
    """Normal volatility of a swaption's price; the annuity follows from payer less receiver."""
    payer, receiver = (a_swaption(expiry, tenor, strike, payer=payer) for payer in (True, False))
    pv = calculate([payer, receiver], snapshot).pv[:, 0]
    annuity = (pv[0] - pv[1]) / (forward - strike)
    years = (payer.expiry - AS_OF).days / 365.0
    found = evaluate(
        "implied.bachelier", forward=forward, strike=strike, time=years, discount=annuity, is_call=1, price=pv[0]
    )
    return float(found["volatility"])


@pytest.mark.parametrize("spread", [-0.01, -0.003, 0.007, 0.03])
def test_swaption_is_priced_at_the_volatility_of_its_strike(spread: float) -> None:
    """At a node, and between the swap tenors of two."""
    snapshot = a_market()
    at = dict(zip(NODES, forwards().tolist(), strict=True))
    years = (swap_dates("5Y", "2Y")[0] - AS_OF).days / 365.0

    def volatility(node: tuple[str, str], forward: float) -> float:
        alpha, rho, nu = PARAMETERS[node]
        found = evaluate(
            "volatility.sabr_normal", forward=forward, strike=forward + spread, time=years, alpha=alpha, beta=BETA,
            rho=rho, nu=nu, shift=SHIFT,
        )  # fmt: skip
        return float(found["volatility"])

    forward = at["5Y", "5Y"]
    assert implied(snapshot, "5Y", "5Y", forward, forward + spread) == pytest.approx(
        volatility(("5Y", "5Y"), forward), rel=1e-8
    )
    layout = SnapshotLayout(snapshot)
    ref = layout.swaption_smile("EUR", swap_dates("5Y", "2Y")[0], 3.0)
    assert ref is not None
    assert [item.weight for item in ref.slices] == pytest.approx([2.0 / 3.0, 1.0 / 3.0])


SHIFTS = (
    Shift(target="swaption_volatility", name="EUR", shift_relative=0.1),
    Shift(target="currency", name="EUR", shift_bps=30.0),
    Shift(target="currency", name="EUR", shift_bps=-400.0),
)


def test_scenarios_move_quotes_and_forwards_and_one_below_the_shift_is_refused_alone() -> None:
    snapshot = a_market()
    layout = SnapshotLayout(snapshot)
    scenarios = ScenarioSet(
        scenarios=(
            Scenario(name="base"),
            *(Scenario(name=f"s{place}", shifts=(shift,)) for place, shift in enumerate(SHIFTS)),
        )
    )
    columns = calibrate_tile(snapshot, layout, scenarios, 0, 4)
    failures = decode_failures(columns["failures"])
    assert [failure.scenario for failure in failures if failure.market_object == "swaption_volatility/EUR"] == [3]
    assert "expiry 1Y, swap tenor 2Y: strikes must be above -shift = -0.02, got -0." in failures[0].message
    part = calibrate_tile(snapshot, SnapshotLayout(snapshot), scenarios, 1, 3)["market"]
    assert part.tobytes() == np.ascontiguousarray(columns["market"][:, 1:3]).tobytes()
    option = a_swaption("5Y", "5Y", 0.015, payer=True)
    pv = calculate([option], snapshot, scenarios).pv[0]
    assert pv[1] > 1.05 * pv[0]
    assert pv[2] > 1.05 * pv[0]
    assert np.isnan(pv[3])


def test_cubes_have_the_values_of_their_slow_twin() -> None:
    """Strikes, expiries and tenors at, between and beyond the nodes; physical and cash."""
    market_of = a_market()
    layout = SnapshotLayout(market_of)
    market = calibrate_tile(market_of, layout, ScenarioSet(scenarios=(Scenario(name="base"),)), 0, 1)["market"]
    trades = [
        a_swaption(expiry, tenor, strike, payer=payer, settlement=settlement, id=f"{place}")
        for place, (expiry, tenor, strike, payer, settlement) in enumerate(
            itertools.product(("6M", "2Y", "7Y"), ("1Y", "3Y"), (0.0, 0.012), (True, False), ("physical", "cash"))
        )
    ]
    columns = resolve_rows(trades, MarketView(layout))
    fast, slow = row_values(columns, market), reference_values(columns, market)
    assert np.isfinite(fast).all()
    assert np.abs(fast - slow).max() <= 1e-6  # of a million


def test_quote_sensitivities_are_those_of_bumps() -> None:
    snapshot = a_market()
    layout = SnapshotLayout(snapshot)
    found = quote_jacobian(snapshot, layout)
    quotes = [name for name in found.quotes if name.startswith("EUR.CUBE.5Y.5Y")] + ["EUR.SWAP.10Y"]
    own = slice(*layout.ranges["swaption_volatility/EUR"])
    truth = bumped(snapshot, quotes, layout)[own]
    computed = found.dense()[own][:, [found.quotes.index(quote) for quote in quotes]]
    assert np.abs(computed - truth).max() <= 1e-6 * np.abs(truth).max()


def test_fit_that_misses_a_quote_is_refused_with_its_node() -> None:
    snapshot = a_market({"EUR.CUBE.5Y.2Y.3": 0.02})
    found = calculate([a_swaption("5Y", "2Y", 0.01, payer=True)], snapshot)
    assert np.isnan(found.pv).all()
    (failure,) = found.failures.values()
    assert "expiry 5Y, swap tenor 2Y: the SABR fit misses volatility" in failure.message
    assert "allowed are 0.0003" in failure.message


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"strike_spreads": (0.0, 0.01)}, "must have 3 strikes, got 2"),
        ({"strike_spreads": tuple(reversed(SPREADS))}, "strike spreads must ascend"),
        ({"beta": -0.1}, "beta must be in"),
        ({"volatilities": ("A",)}, "must have 24 volatilities, got 1"),
    ],
)
def test_cube_that_cannot_be_meant_refuses_the_snapshot(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        a_snapshot(swaption_smiles=(a_cube(**fields),), swaption_volatilities=())


def test_snapshot_with_a_cube_is_read_back_and_one_without_keeps_its_bytes() -> None:
    snapshot = a_market()
    assert decode_snapshot(encode_snapshot(snapshot)) == snapshot
    assert b"swaption_smiles" not in encode_snapshot(a_snapshot())
