"""xip_core.pricing.cubic_volatilities: Kruger's cubic by hand, its shape, and caps that fix between rows of a surface.

What ORE gives between rows and outside them is in tests/oracle/test_ore_markets.py.
"""

from __future__ import annotations

import datetime as dt

import msgspec
import numpy as np
import pytest

from tests.core.pricing.test_surfaces_caplets import INDEX, by_spline
from xip_core.errors import FailureReason, RequestError
from xip_core.model.dates import date_of
from xip_core.model.market import Snapshot
from xip_core.model.scenario import Scenario, ScenarioSet, Shift, base_only
from xip_core.model.trade import CapFloor, FloatingLeg, Schedule
from xip_core.pricing import calculate
from xip_core.pricing.calibrate import calibrate_tile
from xip_core.pricing.cubic_volatilities import between_rows, cubic_volatilities
from xip_core.pricing.market_layout import SnapshotLayout
from xip_core.pricing.pruning import pruned_values
from xip_core.pricing.reference import reference_values
from xip_core.pricing.resolve import resolve_rows
from xip_core.pricing.tile import Columns
from xip_core.pricing.tile_market import MarketView
from xip_core.pricing.value import row_values

ABSENT = np.nan
"""What stands where there is no row: it must not be looked at."""


def at(rows: tuple[float, ...], widths: tuple[float, ...], share: float) -> float:
    return float(between_rows(np.array(rows), np.array(widths), np.array(share)))


@pytest.mark.parametrize(
    ("rows", "widths", "expected"),
    [  # of 1, 3, 4, 3 at 0, 1, 2, 3 the slopes are 7/3, 4/3, 0 and -3/2
        ((ABSENT, 1.0, 3.0, 4.0), (0.0, 1.0, 1.0), 2.0 + (7.0 / 3.0 - 4.0 / 3.0) / 8.0),
        ((1.0, 3.0, 4.0, 3.0), (1.0, 1.0, 1.0), 3.5 + (4.0 / 3.0 - 0.0) / 8.0),
        ((3.0, 4.0, 3.0, ABSENT), (1.0, 1.0, 0.0), 3.5 + (0.0 + 1.5) / 8.0),
        ((ABSENT, 1.0, 3.0, ABSENT), (0.0, 1.0, 0.0), 2.0),
    ],
)
def test_half_way_between_rows_it_is_what_slopes_by_hand_give(
    rows: tuple[float, ...], widths: tuple[float, ...], expected: float
) -> None:
    assert at(rows, widths, 0.5) == pytest.approx(expected, rel=1e-15)


def test_outer_cubics_go_on_without_a_bend_at_the_outer_row() -> None:
    rows, widths = (ABSENT, 1.0, 3.0, 4.0), (0.0, 1.0, 1.0)
    # 1 + 7/3 x - x^3 / 3: through 1 and 3, with slopes 7/3 and 4/3 there
    for share in (-0.2, 0.0, 0.3, 1.0):
        assert at(rows, widths, share) == pytest.approx(1.0 + 7.0 / 3.0 * share - share**3 / 3.0, rel=1e-14)
    mirrored = at((4.0, 3.0, 1.0, ABSENT), (1.0, 1.0, 0.0), 1.2)
    assert mirrored == pytest.approx(at(rows, widths, -0.2), rel=1e-14)
    assert at((ABSENT, 1.0, 3.0, ABSENT), (0.0, 2.0, 0.0), 1.5) == pytest.approx(4.0)


def test_between_inner_rows_it_never_leaves_what_lies_on_either_side() -> None:
    random = np.random.default_rng(7)
    rows, widths = random.uniform(0.0, 0.01, (4, 5000)), random.uniform(0.1, 1.0, (3, 5000))
    found = between_rows(rows, widths, random.uniform(0.0, 1.0, 5000))
    assert (found >= np.minimum(rows[1], rows[2]) - 1e-17).all()
    assert (found <= np.maximum(rows[1], rows[2]) + 1e-17).all()


@pytest.mark.parametrize("place", range(4))
def test_a_row_it_needs_that_is_no_number_makes_it_none(place: int) -> None:
    rows = [0.004, 0.005, 0.006, 0.005]
    rows[place] = np.nan
    assert np.isnan(at(tuple(rows), (1.0, 1.0, 1.0), 0.5))


def test_below_zero_it_is_no_number() -> None:
    assert np.isnan(at((ABSENT, 0.001, 0.003, 0.004), (0.0, 1.0, 1.0), -0.5))


# ---- caps on a surface ----------------------------------------------------------------------------------------------


def extended(snapshot: Snapshot) -> Snapshot:
    surfaces = (msgspec.structs.replace(snapshot.cap_volatilities[0], extrapolation="cubic"),)
    return msgspec.structs.replace(snapshot, cap_volatilities=surfaces)


def a_cap(start: dt.date, strike: float = 0.005, years: int = 4) -> CapFloor:
    schedule = Schedule(start=start, end=start.replace(year=start.year + years), tenor="6M", calendar="TARGET")
    leg = FloatingLeg(
        payer=False, currency="EUR", notionals=(1e6,), day_count="A360", schedule=schedule, index=INDEX
    )
    return CapFloor(id=f"cap {start} {strike}", leg=leg, position="long", caps=(strike,))


def resolved(snapshot: Snapshot, cap: CapFloor, scenarios: ScenarioSet | None = None) -> tuple[Columns, np.ndarray]:
    layout, chosen = SnapshotLayout(snapshot), scenarios or base_only()
    market = calibrate_tile(snapshot, layout, chosen, 0, len(chosen.scenarios))["market"]
    columns = resolve_rows([cap], MarketView(layout))
    assert not columns["row_status"].any()
    return columns, market


def moves(count: int) -> ScenarioSet:
    """The base, and curves up by 1, 2, .. basis points."""
    shifts = [Shift(target="curve", name="*", shift_bps=float(place)) for place in range(1, count)]
    named = [Scenario(name=f"{shift.shift_bps}", shifts=(shift,)) for shift in shifts]
    return ScenarioSet(scenarios=(Scenario(name="base"), *named))


@pytest.mark.parametrize("extend", [False, True])
def test_a_cap_between_rows_has_the_value_of_the_slow_twin_however_many_scenarios_there_are(extend: bool) -> None:
    snapshot = extended(by_spline()) if extend else by_spline()
    columns, market = resolved(snapshot, a_cap(dt.date(2016, 4, 12), 0.025), moves(20))
    # eight coupons, the first fixes before the first row and the last after the last one
    assert len(columns["cubic_option"]) == (8 if extend else 6)
    found = row_values(columns, market)
    np.testing.assert_allclose(found, reference_values(columns, market), rtol=1e-12)
    for scenario in (0, 13):
        alone = row_values(columns, np.ascontiguousarray(market[:, scenario : scenario + 1]))
        assert alone.tobytes() == np.ascontiguousarray(found[:, scenario : scenario + 1]).tobytes()


def test_pruned_values_have_the_bytes_of_all_scenarios_computed() -> None:
    volatility = Shift(target="cap_volatility", name=INDEX, shift_absolute=1e-4)
    fx = Shift(target="fx", name="*", shift_relative=0.1)
    named = [Scenario(name=shift.target, shifts=(shift,)) for shift in (volatility, fx)]
    scenarios = ScenarioSet(scenarios=(Scenario(name="base"), *named))
    columns, market = resolved(by_spline(), a_cap(dt.date(2016, 4, 12)), scenarios)
    found = pruned_values(columns, market, np.ascontiguousarray(market[:, :1]), has_base=True)
    assert found.pruned_count == 1
    assert found.values.tobytes() == row_values(columns, market).tobytes()
    assert found.values[0, 1] > found.values[0, 0]


def test_volatilities_between_rows_follow_those_of_the_rows_at_the_strike() -> None:
    snapshot = by_spline()
    layout = SnapshotLayout(snapshot)
    columns, market = resolved(snapshot, a_cap(dt.date(2016, 4, 12), 0.007))
    grid = layout.grids[f"cap_volatility/{INDEX}"]
    at_rows = [layout.caplet_volatility(INDEX, date_of(day), 0.007) for day in grid.row_days]
    assert all(ref.cubic is None for ref in at_rows)
    rows = [sum(weight * market[factor, 0] for factor, weight in ref.refs) for ref in at_rows]
    for found in cubic_volatilities(columns, market)[1:-1, 0].tolist():
        assert min(rows) <= found <= max(rows)


def test_outside_rows_and_strikes_it_is_flat_unless_the_surface_extends() -> None:
    snapshot = by_spline()
    flat, going_on = SnapshotLayout(snapshot), SnapshotLayout(extended(snapshot))
    early = date_of(flat.grids[f"cap_volatility/{INDEX}"].row_days[0] - 30)
    assert flat.caplet_volatility(INDEX, early, 0.0).cubic is None
    reached = going_on.caplet_volatility(INDEX, early, 0.0).cubic
    assert reached is not None
    assert reached.share < 0.0
    first = date_of(flat.grids[f"cap_volatility/{INDEX}"].row_days[0])
    assert len(flat.caplet_volatility(INDEX, first, 0.04).refs) == 1
    weights = [weight for _, weight in going_on.caplet_volatility(INDEX, first, 0.04).refs]
    assert len(weights) == 4
    assert sum(weights[:2]) == pytest.approx(1.0)


def test_a_cap_beside_a_caplet_without_a_volatility_says_why() -> None:
    result = calculate([a_cap(dt.date(2016, 4, 12), -0.01)], by_spline(A=0.0001, D=0.02, G=0.0001))
    assert result.status[0, 0] == FailureReason.CALIBRATION_FAILED


def test_only_splines_are_extended() -> None:
    surface = msgspec.structs.replace(extended(by_spline()).cap_volatilities[0], interpolation=msgspec.UNSET)
    with pytest.raises(RequestError, match="must be stripped by spline to be extended"):
        Snapshot(as_of=dt.date(2016, 2, 5), base_currency="EUR", quotes={}, cap_volatilities=(surface,))
