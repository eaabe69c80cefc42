"""xip_core.pricing.calibrate_program: a compiled program builds what the object builder would, to the byte."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import numpy as np
import pytest

from bench.var_book import joint_scenarios
from tests.core.pricing.flat_market import a_snapshot as a_flat_snapshot
from tests.core.small_market import a_snapshot
from xip_core.model import market_instruments as instruments
from xip_core.model.market import Snapshot, decode_snapshot
from xip_core.model.market_instruments import Pillar
from xip_core.model.scenario import Scenario, ScenarioSet, Shift, decode_scenarios
from xip_core.pricing import calibrate_program
from xip_core.pricing.block_quotes import matrix_of
from xip_core.pricing.calibrate import calibrate_tile, calibrator_of
from xip_core.pricing.calibrate_program import BlockWalk, compiled_market
from xip_core.pricing.market_layout import SnapshotLayout
from xip_core.pricing.tile import Columns
from xip_core.samples import load

SAMPLE = decode_snapshot(load("cross-asset").market)
SINGLE_SHIFTS = decode_scenarios(load("cross-asset").scenarios)
JOINT_MOVES = decode_scenarios(joint_scenarios(12))


def assert_equal_bytes(ours: Columns, theirs: Columns) -> None:
    for name in ("market", "dv01_shift", "failures"):
        assert ours[name].tobytes() == theirs[name].tobytes(), name


def by_the_builder(
    monkeypatch: pytest.MonkeyPatch, snapshot: Snapshot, scenarios: ScenarioSet, begin: int, end: int
) -> Columns:
    """A block without the compiled program."""
    with monkeypatch.context() as patch:
        patch.setattr(calibrate_program, "_recipe", lambda *_: calibrate_program.OTHER)
        return calibrate_tile(snapshot, SnapshotLayout(snapshot), scenarios, begin, end)


def kinds_of(snapshot: Snapshot) -> Counter[int]:
    layout = SnapshotLayout(snapshot)
    calibrator = calibrator_of(snapshot, layout)
    calibrator.base_market()
    recipes = [calibrate_program._recipe(layout, calibrator.builder, name) for name in calibrator.order]
    return Counter(recipe.kind for recipe in recipes)


def test_nearly_all_objects_of_the_sample_are_plain() -> None:
    kinds = kinds_of(SAMPLE)
    assert kinds[calibrate_program.SOLVED] == 18
    assert kinds[calibrate_program.FORWARDS] == 1
    assert kinds[calibrate_program.CUMULATED] == 2
    assert kinds[calibrate_program.GENERAL] == 4, "inflation curves and cap surfaces"
    assert kinds.total() == 46


@pytest.mark.parametrize(("scenarios", "begin", "end"), [(SINGLE_SHIFTS, 1, 251), (JOINT_MOVES, 0, 12)])
def test_bytes_are_those_of_the_object_builder(
    monkeypatch: pytest.MonkeyPatch, scenarios: ScenarioSet, begin: int, end: int
) -> None:
    ours = calibrate_tile(SAMPLE, SnapshotLayout(SAMPLE), scenarios, begin, end)
    assert_equal_bytes(ours, by_the_builder(monkeypatch, SAMPLE, scenarios, begin, end))
    assert np.isfinite(ours["market"]).all()


CRASHES = (
    Shift(target="quote", name="EUR.OIS.5Y", shift_absolute=4.0),  # no curve fits, and what is built on it fails
    Shift(target="fx", name="EURUSD", shift_relative=-1.0),  # FX points have no spot to be a fraction of
    Shift(target="fx", name="EURUSD", shift_factor=-1.0),
    Shift(target="hazard", name="BANK", shift_absolute=-1.0),
    Shift(target="equity", name="ACME", shift_relative=-2.0),
    Shift(target="fx_volatility", name="*", shift_absolute=-3.0),
    Shift(target="currency", name="*", shift_bps=20.0),
    Shift(target="currency", name="USD", shift_absolute=float("inf")),
)
CRASHED = ScenarioSet(
    scenarios=(
        Scenario(name="base"),
        *(Scenario(name=f"{place}", shifts=(shift,)) for place, shift in enumerate(CRASHES)),
    )
)


@pytest.mark.parametrize("broken", [{}, {"USD.OIS.2Y": "none"}, {"EURUSD": "nan"}, {"BANK.1Y": -0.5}, {"OIL": "nan"}])
def test_failures_and_what_stands_beside_them_are_those_of_the_object_builder(
    monkeypatch: pytest.MonkeyPatch, broken: dict[str, Any]
) -> None:
    snapshot = a_snapshot(broken)
    ours = calibrate_tile(snapshot, SnapshotLayout(snapshot), CRASHED, 0, len(CRASHED.scenarios))
    assert_equal_bytes(ours, by_the_builder(monkeypatch, snapshot, CRASHED, 0, len(CRASHED.scenarios)))
    assert len(ours["failures"]) > 2, "some fail"


def given_curves() -> Snapshot:
    """Zero rates, discount factors, a spread over one of them, dividend yields: nothing is solved."""
    snapshot = a_flat_snapshot()
    pillars = tuple(Pillar(f"{year}Y", f"D.{year}") for year in (1, 2, 5))
    quotes = {f"D.{year}": 0.97**year for year in (1, 2, 5)}
    first = snapshot.curves[0]
    factors = msgspec.structs.replace(first, name="GIVEN", segments=(instruments.DiscountFactors(pillars=pillars),))
    return msgspec.structs.replace(snapshot, curves=(*snapshot.curves, factors), quotes={**snapshot.quotes, **quotes})


def test_given_curves_yields_and_variances_are_those_of_the_object_builder(monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = given_curves()
    shifts = [Shift(target="quote", name=name, shift_relative=0.05) for name in snapshot.quotes]
    moved = (Scenario(name=f"{place}", shifts=(shift,)) for place, shift in enumerate(shifts))
    all_moved = Scenario(name="all", shifts=(Shift(target="quote", name="*", shift_factor=0.9),))
    scenarios = ScenarioSet(scenarios=(Scenario(name="base"), *moved, all_moved))
    count = len(scenarios.scenarios)
    ours = calibrate_tile(snapshot, SnapshotLayout(snapshot), scenarios, 0, count)
    assert_equal_bytes(ours, by_the_builder(monkeypatch, snapshot, scenarios, 0, count))
    assert kinds_of(snapshot)[calibrate_program.GENERAL] <= 2


def test_a_shift_that_moves_nothing_leaves_the_base_and_equal_scenarios_are_built_once() -> None:
    snapshot = a_flat_snapshot()
    layout = SnapshotLayout(snapshot)
    calibrator = calibrator_of(snapshot, layout)
    base, _ = calibrator.base_market()
    spot = float(snapshot.quotes["EURUSD"])
    changed = matrix_of([{}, {"EURUSD": 1.5}, {"EURUSD": spot}, {"EURUSD": 1.5}, {"EURUSD": 1.6}], snapshot.quotes)
    compiled = compiled_market(layout, calibrator.builder, calibrator.order)
    walk = BlockWalk(compiled, base, compiled.numbers(snapshot.quotes), changed)
    walk.hold(calibrator.order)
    seen = {name: (found.columns.tolist(), found.version_of.tolist()) for name, found in walk.others()}
    assert list(seen) == list(calibrator.order)
    assert seen.pop("fx/USD") == ([1, 4], [-1, 0, -1, 0, 1])
    assert all(found == ([], [-1] * 5) for name, found in seen.items() if not layout.objects[name].parents)
    assert walk.market.tobytes() == np.repeat(base[:, None], 5, axis=1).tobytes(), "the caller builds what it holds"
