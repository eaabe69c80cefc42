"""xip_core.pricing.curves_shift: zero rates, discount factors and survival after calibration"""

from __future__ import annotations

import numpy as np
import pytest

from tests.core.small_market import a_snapshot, curves
from xip_core.model.scenario import Scenario, ScenarioSet, Shift
from xip_core.model.scenario_table import ShiftTable, shift_table
from xip_core.model.sensitivity import tent
from xip_core.pricing.arithmetic import RefTable
from xip_core.pricing.calibrate import calibrate_tile
from xip_core.pricing.curves_pillars import add_tenors
from xip_core.pricing.market_layout import SnapshotLayout

TENORS = ("1Y", "2Y", "5Y", "10Y")
AS_OF_YEARS = 365.0


def a_set(*shifts: Shift, tables: tuple[ShiftTable, ...] = ()) -> ScenarioSet:
    """The base and one scenario of *shifts*."""
    return ScenarioSet(scenarios=(Scenario(name="base"), Scenario(name="s", shifts=shifts)), tables=tables)


def zero_rates(scenarios: ScenarioSet, curve: str, **fields: object) -> tuple[np.ndarray, np.ndarray]:
    """(years, zero rates (knots, scenarios)) of a curve of the small market."""
    snapshot = a_snapshot(**fields)
    layout = SnapshotLayout(snapshot)
    market = calibrate_tile(snapshot, layout, scenarios, 0, len(scenarios.scenarios))["market"]
    days = layout.curves[curve].knot_days
    years = (np.array(days) - layout.as_of_day) / AS_OF_YEARS
    logs = RefTable([layout.log_discount_of_day(curve, day) for day in days]).dot(market)
    return years, -logs / years[:, None]


def test_parallel_shift_moves_every_zero_rate_of_the_curve_by_its_size():
    """And what is built on the curve stands still."""
    scenarios = a_set(Shift(target="zero_rate", name="EUR1D", shift_bps=10.0))
    _, zeros = zero_rates(scenarios, "EUR1D")
    assert zeros[:, 1] - zeros[:, 0] == pytest.approx(np.full(len(zeros), 1e-3), abs=1e-15)
    _, others = zero_rates(scenarios, "EUR6M")
    assert np.array_equal(others[:, 0], others[:, 1])


def test_bucket_moves_the_knots_inside_it():
    """By their own days: the knot of the 1Y swap lies after its year, the one of the 5Y swap after five."""
    shift = Shift(target="zero_rate", name="EUR1D", after="1Y", until="5Y", shift_bps=1.0)
    years, zeros = zero_rates(a_set(shift), "EUR1D")
    is_inside = (years > 1.0) & (years <= 5.0)
    assert is_inside.any()
    assert not is_inside.all()
    assert (zeros[:, 1] != zeros[:, 0]).tolist() == is_inside.tolist()


@pytest.mark.parametrize("interpolation", ["log_linear_discount", "linear_zero", "monotone_convex"])
def test_table_by_tenor_is_linear_between_and_flat_outside(interpolation):
    """Whatever the curve's own interpolation, at its knots."""
    from msgspec.structs import replace

    sizes = np.array([[1e-4], [3e-4], [2e-4], [-1e-4]])
    table = shift_table("absolute", ("EUR1D",) * 4, sizes, target="zero_rate", tenors=TENORS)
    some = tuple(replace(c, interpolation=interpolation) if c.name == "EUR1D" else c for c in curves())
    years, zeros = zero_rates(a_set(tables=(table,)), "EUR1D", curves=some)
    expected = np.interp(years, [366 / 365, 731 / 365, 1827 / 365, 3653 / 365], sizes[:, 0])
    assert zeros[:, 1] - zeros[:, 0] == pytest.approx(expected, abs=1e-14)


def test_shift_at_one_tenor_is_the_tent_of_a_ladder():
    """A table and a bump of the same curve at the same tenor move the same factors."""
    years, _ = zero_rates(a_set(), "EUR1D")
    layout = SnapshotLayout(a_snapshot())
    centres = add_tenors("NullCalendar", layout.as_of_day, TENORS, "unadjusted", False).tolist()
    for place in range(len(TENORS)):
        sizes = np.zeros((len(TENORS), 1))
        sizes[place] = 1e-4
        table = shift_table("absolute", ("EUR1D",) * 4, sizes, target="zero_rate", tenors=TENORS)
        _, zeros = zero_rates(a_set(tables=(table,)), "EUR1D")
        heights = [tent(centres, place, day) for day in layout.curves["EUR1D"].knot_days]
        assert zeros[:, 1] - zeros[:, 0] == pytest.approx(1e-4 * np.array(heights), abs=1e-15)
    assert len(years) == len(zeros)


def test_discount_factors_by_factor_are_multiplied_at_their_tenors():
    """exp(-0.001) at every tenor's day gives exp(-0.001) there."""
    table = shift_table("factor", ("EUR1D",) * 2, np.array([[0.999], [0.98]]), target="discount", tenors=("2Y", "10Y"))
    snapshot = a_snapshot()
    layout = SnapshotLayout(snapshot)
    market = calibrate_tile(snapshot, layout, a_set(tables=(table,)), 0, 2)["market"]
    slot = layout.curves["EUR1D"]
    values = np.exp(market[slot.begin : slot.begin + len(slot.knot_days)])
    years = (np.array(slot.knot_days) - layout.as_of_day) / 365.0
    ratio = np.log(values[:, 1] / values[:, 0]) / years
    low, high = np.log(0.999) / (731 / 365), np.log(0.98) / (3653 / 365)
    assert ratio == pytest.approx(np.interp(years, [731 / 365, 3653 / 365], [low, high]), abs=1e-13)


@pytest.mark.parametrize(("kind", "size", "multiple"), [("relative", 0.1, 1.1), ("factor", 0.5, 0.5)])
@pytest.mark.parametrize("curve", ["EUR1D", "LENDING"])
def test_relative_shift_multiplies_zero_rates(kind, size, multiple, curve):
    """Of a spread curve those of the whole curve, reference included."""
    table = shift_table(kind, (curve,), np.array([[size]]), target="zero_rate", tenors=("1Y",))
    _, zeros = zero_rates(a_set(tables=(table,)), curve)
    assert zeros[:, 1] == pytest.approx(zeros[:, 0] * multiple, abs=1e-15)


def test_spread_curve_moves_alone():
    """Its spread takes the shift, its reference does not."""
    scenarios = a_set(Shift(target="zero_rate", name="LENDING", shift_bps=5.0))
    _, zeros = zero_rates(scenarios, "LENDING")
    assert zeros[:, 1] - zeros[:, 0] == pytest.approx(5e-4, abs=1e-15)
    _, reference = zero_rates(scenarios, "EUR1D")
    assert np.array_equal(reference[:, 0], reference[:, 1])


@pytest.mark.parametrize("is_table", [False, True])
def test_hazard_rates_shift_survival(is_table):
    """ln S(t) falls by t h: named, or as survival factors at one tenor."""
    shift = Shift(target="hazard_rate", name="BANK", shift_bps=20.0)
    factor = np.array([[np.exp(-0.002 * 1827 / 365)]])
    table = shift_table("factor", ("BANK",), factor, target="survival", tenors=("5Y",))
    scenarios = a_set(tables=(table,)) if is_table else a_set(shift)
    snapshot = a_snapshot()
    layout = SnapshotLayout(snapshot)
    market = calibrate_tile(snapshot, layout, scenarios, 0, 2)["market"]
    slot = layout.hazards["BANK"]
    years = (np.array(slot.knot_days) - layout.as_of_day) / 365.0
    own = market[slot.begin : slot.begin + len(years)]
    assert own[:, 1] - own[:, 0] == pytest.approx(-0.002 * years, abs=1e-14)


def test_risk_class_keeps_curves_or_credit():
    """Seen through FX a shift of zero rates is none."""
    table = shift_table("absolute", ("EUR1D",), np.array([[1e-4]]), target="zero_rate", tenors=("5Y",))
    scenarios = a_set(Shift(target="hazard_rate", name="*", shift_bps=1.0), tables=(table,))
    snapshot = a_snapshot()
    layout = SnapshotLayout(snapshot)
    moved = {}
    for one in ("FX", "INTEREST_RATE", "CREDIT"):
        market = calibrate_tile(snapshot, layout, scenarios, 0, 2, (one,))["market"]
        rows = np.flatnonzero(market[:, 0] != market[:, 1])
        moved[one] = {name for name, (begin, end) in layout.ranges.items() if ((rows >= begin) & (rows < end)).any()}
    assert moved == {"FX": set(), "INTEREST_RATE": {"curve/EUR1D"}, "CREDIT": {"hazard/BANK"}}


def test_any_cut_gives_the_same_bytes():
    """Columns are independent of their neighbours."""
    sizes = np.random.default_rng(3).normal(0.0, 1e-3, (2, 6))
    table = shift_table("absolute", ("EUR1D", "EUR1D"), sizes, target="zero_rate", tenors=("2Y", "5Y"))
    scenarios = ScenarioSet(scenarios=tuple(Scenario(name=str(n) if n else "base") for n in range(7)), tables=(table,))
    snapshot = a_snapshot()
    layout = SnapshotLayout(snapshot)
    whole = calibrate_tile(snapshot, layout, scenarios, 0, 7)["market"]
    parts = [calibrate_tile(snapshot, layout, scenarios, b, e)["market"] for b, e in ((0, 2), (2, 3), (3, 7))]
    assert np.hstack(parts).tobytes() == np.ascontiguousarray(whole).tobytes()


def test_spot_rate_for_later_delivery_is_carried_back_by_both_curves():
    """S x D_EUR(T) / D_USD(T) is today's price of a dollar, where S is for T."""
    from xip_core.model.market import FxSpot

    spot = FxSpot(foreign_currency="EUR", domestic_currency="USD", quote="EURUSD", spot_days=2, calendar="TARGET,US")
    today, later = a_snapshot(), a_snapshot(fx_spots=(spot,))
    layout = SnapshotLayout(later)
    market = calibrate_tile(later, layout, ScenarioSet(scenarios=(Scenario(name="base"),)), 0, 1)["market"]
    delivery = layout.as_of_day + 4  # Friday to Tuesday
    curves_of = [layout.discount_curve(currency) for currency in ("EUR", "USD")]
    logs = RefTable([layout.log_discount_of_day(curve, delivery) for curve in curves_of]).dot(market)[:, 0]
    carried = RefTable([layout.log_fx("USD")]).dot(market)[0, 0]
    assert carried == pytest.approx(-np.log(1.13) + logs[0] - logs[1], abs=1e-15)
    assert carried != -np.log(1.13)
    assert len(SnapshotLayout(today).log_fx("USD")) == 1
