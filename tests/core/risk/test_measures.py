"""xip_core.risk.measures"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from xip_core.errors import ArgumentError
from xip_core.risk import measures
from xip_core.risk.measures import (
    age_weights,
    completeness,
    confidence_interval,
    expected_shortfall,
    value_at_risk,
    weighted_measures,
)
from xip_core.risk.quantiles import QuantileRule, ShortfallRule

Floats = npt.NDArray[np.float64]

HISTVAR = Path(__file__).resolve().parents[4] / "shared/reference/histvar/ore_histsimvar"

pnls = arrays(np.float64, (3, 40), elements=st.floats(-1e6, 1e6, width=32))
rules = st.sampled_from(list(QuantileRule))
shortfall_rules = st.sampled_from(list(ShortfallRule))


@pytest.mark.skipif(not HISTVAR.is_dir(), reason="the reference values of other systems are not here")
def test_var_and_es_of_ores_historical_pnls_are_its_own_to_the_digit() -> None:
    """ORE 1.8, Examples/MarketRisk HistSimVar: 715 ten-day P&Ls; both sides of the distribution, six decimals."""
    with (HISTVAR / "expected_historical_PnL.csv").open() as lines:
        rows = [row for row in csv.reader(lines) if row[:3] == ["All", "All", "All"]]
    with (HISTVAR / "expected_var.csv").open() as lines:
        header, expected, *_ = list(csv.reader(lines))
    pnl = np.array([[float(row[5]) for row in rows]])
    assert pnl.shape == (1, 715)
    for name, number in zip(header[3:], expected[3:], strict=True):
        kind, quantile = name.split("_")
        measure = value_at_risk if kind == "Quantile" else expected_shortfall
        loss = measure(pnl, round(1.0 - float(quantile), 6))[0]
        assert f"{-loss:.6f}" == number, name


def test_hand_values() -> None:
    pnl = -np.arange(1.0, 101.0)[None, :]
    assert value_at_risk(pnl, 0.99)[0] == 99.0
    assert value_at_risk(pnl, 0.99, QuantileRule.PNL_ORDER_STATISTIC)[0] == 100.0
    assert value_at_risk(pnl, 0.95, QuantileRule.LINEAR)[0] == pytest.approx(95.05, abs=1e-12)
    assert expected_shortfall(pnl, 0.99)[0] == 99.5
    assert expected_shortfall(pnl, 0.99, ShortfallRule.FRACTIONAL)[0] == 100.0


def test_a_group_has_the_same_bytes_alone_and_among_others(monkeypatch: pytest.MonkeyPatch) -> None:
    pnl = np.random.default_rng(5).normal(size=(60, 300))
    for measure in (value_at_risk, expected_shortfall):
        together = measure(pnl, 0.975)
        alone = np.concatenate([measure(pnl[at : at + 1], 0.975) for at in range(60)])
        assert together.tobytes() == alone.tobytes()
        monkeypatch.setattr(measures, "BLOCK_SIZE_BYTES", 8 * 300 * 7)
        assert measure(pnl, 0.975).tobytes() == together.tobytes()


@settings(max_examples=30)
@given(pnls, rules, shortfall_rules, st.floats(-1e6, 1e6, width=32))
def test_translation(pnl: Floats, rule: QuantileRule, shortfall: ShortfallRule, cash: float) -> None:
    """Certain money lowers the risk by itself."""
    assert value_at_risk(pnl + cash, 0.95, rule) == pytest.approx(value_at_risk(pnl, 0.95, rule) - cash, abs=1e-8)
    moved = expected_shortfall(pnl + cash, 0.95, shortfall)
    assert moved == pytest.approx(expected_shortfall(pnl, 0.95, shortfall) - cash, abs=1e-8)


@settings(max_examples=30)
@given(pnls, rules, shortfall_rules, st.sampled_from([0.125, 0.5, 2.0, 1024.0]))
def test_homogeneity(pnl: Floats, rule: QuantileRule, shortfall: ShortfallRule, size: float) -> None:
    """Sizes are powers of two, so no bit may change but the exponent's."""
    assert (value_at_risk(size * pnl, 0.95, rule) == size * value_at_risk(pnl, 0.95, rule)).all()
    assert (expected_shortfall(size * pnl, 0.95, shortfall) == size * expected_shortfall(pnl, 0.95, shortfall)).all()


@settings(max_examples=30)
@given(pnls, arrays(np.float64, (3, 40), elements=st.floats(0, 1e6, width=32)), rules, shortfall_rules)
def test_monotonicity(pnl: Floats, loss: Floats, rule: QuantileRule, shortfall: ShortfallRule) -> None:
    """Who loses more in every scenario has the greater risk."""
    assert (value_at_risk(pnl - loss, 0.95, rule) >= value_at_risk(pnl, 0.95, rule) - 1e-9).all()
    worse = expected_shortfall(pnl - loss, 0.95, shortfall)
    assert (worse >= expected_shortfall(pnl, 0.95, shortfall) - 1e-9).all()


@settings(max_examples=30)
@given(pnls, shortfall_rules, st.sampled_from([0.5, 0.9, 0.95, 0.975]))
def test_shortfall_is_at_least_the_quantile(pnl: Floats, shortfall: ShortfallRule, q: float) -> None:
    assert (expected_shortfall(pnl, q, shortfall) >= value_at_risk(pnl, q) - 1e-9).all()


@settings(max_examples=30)
@given(pnls, shortfall_rules)
def test_shortfall_is_subadditive(pnl: Floats, shortfall: ShortfallRule) -> None:
    together = expected_shortfall(pnl.sum(axis=0, keepdims=True), 0.95, shortfall)[0]
    assert together <= expected_shortfall(pnl, 0.95, shortfall).sum() + 1e-8


def test_var_is_not_subadditive_and_the_textbook_case_shows_it() -> None:
    """Two loans that default in different scenarios, each beyond the quantile alone (Artzner et al., 1999)."""
    loans = np.zeros((2, 100))
    loans[0, :4], loans[1, 4:8] = -100.0, -100.0
    assert value_at_risk(loans, 0.95).tolist() == [0.0, 0.0]
    assert value_at_risk(loans.sum(axis=0, keepdims=True), 0.95)[0] == 100.0


@settings(max_examples=40)
@given(arrays(np.float64, (2, 100), elements=st.floats(-1e6, 1e6, width=32)))
def test_equal_weights_give_the_default_rules(pnl: Floats) -> None:
    for q in (0.5, 0.95, 0.99):
        quantile, shortfall = weighted_measures(pnl, age_weights(100, 1.0), q)
        assert (quantile == value_at_risk(pnl, q)).all()
        assert shortfall == pytest.approx(expected_shortfall(pnl, q), rel=1e-12, abs=1e-9)


def test_weights_by_age_move_the_quantile_to_recent_losses() -> None:
    """100 old losses of 1 and 20 new ones of 5: by count 5 begins at 0.84, by a decay of 0.97 long before."""
    pnl = np.concatenate((np.full(100, -1.0), np.full(20, -5.0)))[None, :]
    assert value_at_risk(pnl, 0.80)[0] == 1.0
    weights = age_weights(120, 0.97)
    assert weights[-1] > weights[0]
    assert weights.sum() == pytest.approx(1.0)
    assert weighted_measures(pnl, weights, 0.80)[0][0] == 5.0


def test_interval_contains_the_quantile_and_its_ranks_are_losses() -> None:
    pnl = np.random.default_rng(3).normal(size=(5, 1000))
    low, high = confidence_interval(pnl, 0.99)
    assert (low <= value_at_risk(pnl, 0.99)).all()
    assert (value_at_risk(pnl, 0.99) <= high).all()
    assert np.isin(low, -pnl).all()
    assert np.isin(high, -pnl).all()


def test_completeness_counts_scenarios_and_rows() -> None:
    expected = np.full((2, 4), 10)
    used = np.array([[10, 10, 10, 10], [10, 8, 10, 9]])
    counted = completeness(used, expected)
    assert counted.incomplete_scenario_count.tolist() == [0, 2]
    assert counted.rows_missing_max.tolist() == [0, 2]
    with pytest.raises(ArgumentError, match="at most rows_expected, got 1 more"):
        completeness(expected + 1, expected)


def test_a_pnl_without_a_number_is_refused_where_it_stands() -> None:
    pnl = np.zeros((3, 100))
    pnl[2, 17] = np.nan
    with pytest.raises(ArgumentError, match="got nan in group 2, scenario 17") as refused:
        value_at_risk(pnl, 0.99)
    assert refused.value.reason == "BAD_PNL"
    with pytest.raises(ArgumentError, match=r"float64 \(groups, scenarios\)"):
        value_at_risk(np.zeros(100), 0.99)


@pytest.mark.parametrize("weights", [np.zeros(100), np.full(100, -1.0), np.full(99, 1.0), np.full(100, np.nan)])
def test_weights_that_are_none_are_refused(weights: Floats) -> None:
    with pytest.raises(ArgumentError) as refused:
        weighted_measures(np.zeros((1, 100)), weights, 0.95)
    assert refused.value.reason == "BAD_WEIGHTS"
