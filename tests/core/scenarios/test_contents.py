"""xip_core.scenarios.contents"""

from __future__ import annotations

import numpy as np

from tests.core.small_market import a_snapshot
from xip_core.model.risk_class import RISK_CLASSES
from xip_core.model.scenario import Scenario, ScenarioMarket, ScenarioSet, Shift
from xip_core.model.scenario_table import shift_table
from xip_core.scenarios.contents import touched


def test_touched_counts_quotes_by_class_curves_and_objects():
    """An FX spot with its two points; a zero rate of one curve; both reach what is built on them."""
    fx = Scenario(name="fx", shifts=(Shift(target="fx", name="EURUSD", shift_relative=0.1),))
    table = shift_table("absolute", ("EUR1D",), np.array([[0.0, 1e-4]]), target="zero_rate", tenors=("5Y",))
    scenarios = ScenarioSet(scenarios=(Scenario(name="base"), fx, Scenario(name="zero")), tables=(table,))
    base, spot, zero = touched(scenarios, ScenarioMarket(a_snapshot()))
    assert (base.quote_count, base.curves, base.objects) == (0, 0, 0)
    counts = dict(zip(RISK_CLASSES, spot.quotes, strict=True))
    assert (counts["FX"], counts["INTEREST_RATE"], spot.quote_count) == (1, 2, 3)
    assert spot.objects == 2  # fx/USD and curve/USD-IN-EUR
    assert (zero.quote_count, zero.curves, zero.objects) == (0, 1, 1)
