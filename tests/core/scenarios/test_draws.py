"""xip_core.scenarios.draws: correlated Sobol normals as scenarios"""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from tests.core.small_market import QUOTES, a_snapshot
from xip_core.errors import RequestError
from xip_core.model.scenario import ScenarioMarket, ScenarioSet, encode_scenarios
from xip_core.scenarios.draws import Factor, monte_carlo

FACTORS = (
    Factor("oil", "commodity", "OIL", "log", volatility=0.4, mean=-0.08),
    Factor("acme", "equity", "ACME", "relative", volatility=0.2),
    Factor("eur", "currency", "EUR", "absolute", volatility=0.01, mean=0.002),
)
CORRELATION = np.array([[1.0, 0.5, -0.3], [0.5, 1.0, 0.2], [-0.3, 0.2, 1.0]])


def first_with(**fields: object) -> dict[str, object]:
    """The factors, the first of them changed."""
    return {"factors": (msgspec.structs.replace(FACTORS[0], **fields), *FACTORS[1:])}


def drawn(count: int = 64, seed: int = 1, horizon_years: float = 0.25, **fields: object) -> ScenarioSet:
    """Of the small market."""
    given = {"factors": FACTORS, "correlation": CORRELATION, "market": ScenarioMarket(a_snapshot()), **fields}
    return monte_carlo(**given, count=count, seed=seed, horizon_years=horizon_years)


def moves(scenarios: ScenarioSet, quote: str) -> np.ndarray:
    """Values of one quote, base excluded."""
    count = len(scenarios.scenarios)
    found = ScenarioMarket(a_snapshot()).quote_matrix(scenarios, 0, count).changed()
    return np.array([changed.get(quote, QUOTES[quote]) for changed in found[1:]])


def test_means_volatilities_and_correlations_are_those_asked_for():
    """Sobol's points are that even: 4,096 of them give a standard deviation to three digits."""
    scenarios = drawn(4096)
    oil = np.log(moves(scenarios, "OIL") / 30.0)
    acme = moves(scenarios, "ACME") / 100.0 - 1.0
    rate = moves(scenarios, "EUR.OIS.5Y") - 0.002
    assert [x.mean() for x in (oil, acme, rate)] == pytest.approx([-0.02, 0.0, 0.0005], abs=2e-4)
    assert [x.std() for x in (oil, acme, rate)] == pytest.approx([0.2, 0.1, 0.005], rel=2e-3)
    assert np.corrcoef([oil, acme, rate]) == pytest.approx(CORRELATION, abs=5e-3)


def test_spot_takes_its_forward_prices_along():
    """Dividend yields stand still, as with a shift of target equity."""
    scenarios = drawn(8)
    assert moves(scenarios, "ACME.1Y") / 101.0 == pytest.approx(moves(scenarios, "ACME") / 100.0)


def test_quotes_of_one_factor_move_together():
    """Spot and forward price of oil by one number."""
    scenarios = drawn(8)
    assert moves(scenarios, "OIL.1Y") / 40.0 == pytest.approx(moves(scenarios, "OIL") / 30.0, rel=1e-15)


def test_seed_decides_every_byte():
    """The same seed the same set, another seed another."""
    assert encode_scenarios(drawn()) == encode_scenarios(drawn())
    assert encode_scenarios(drawn()) != encode_scenarios(drawn(seed=2))


def test_longer_set_begins_with_the_shorter_one():
    """Path s is the same numbers however many are drawn."""
    short, long = drawn(16), drawn(64)
    assert np.array_equal(moves(short, "OIL"), moves(long, "OIL")[:16])


def test_perfect_correlation_is_sound():
    """Positive semidefinite, though singular."""
    twins = (FACTORS[0], msgspec.structs.replace(FACTORS[0], name="acme", target="equity", quotes="ACME"))
    scenarios = drawn(16, factors=twins, correlation=np.ones((2, 2)))
    assert moves(scenarios, "OIL") / 30.0 == pytest.approx(moves(scenarios, "ACME") / 100.0, rel=1e-14)


@pytest.mark.parametrize(
    ("correlation", "message"),
    [
        ([[1.0, 0.9, -0.9], [0.9, 1.0, 0.9], [-0.9, 0.9, 1.0]], "its smallest eigenvalue is -0.8"),
        ([[1.0, 0.5, 0.0], [0.4, 1.0, 0.0], [0.0, 0.0, 1.0]], r"must be symmetric .* it is not at \(0, 1\)"),
        ([[1.0, 0.0, 0.0], [0.0, 0.5, 0.0], [0.0, 0.0, 1.0]], r"with 1 on its diagonal, it is not at \(1, 1\)"),
        ([[1.0, 2.0, 0.0], [2.0, 1.0, 0.0], [0.0, 0.0, 1.0]], "must have entries from -1 to 1"),
        ([[1.0, 0.0], [0.0, 1.0]], r"must be \(3, 3\) for 3 factors, got \(2, 2\)"),
    ],
)
def test_correlation_that_is_none_is_refused(correlation, message):
    """The eigenvalue says how far it is from one."""
    with pytest.raises(RequestError, match=message) as caught:
        drawn(correlation=np.array(correlation))
    assert caught.value.reason == "BAD_CORRELATION"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"factors": (FACTORS[0],) * 3}, "factors must have distinct names"),
        (first_with(volatility=-0.1), "volatility of at least 0"),
        (first_with(quotes="GAS"), "factor oil: .* names nothing"),
        (first_with(target="wind"), "Invalid enum value 'wind'"),
        (first_with(target="zero_rate", quotes="*"), "factor oil must move quotes, got target 'zero_rate'"),
        ({"count": 0}, "count must be from 1"),
        ({"seed": -1}, "seed must be from 0"),
        ({"horizon_years": 0.0}, "horizon_years must be positive"),
    ],
)
def test_factors_that_cannot_be_drawn_are_refused(fields, message):
    """By name."""
    with pytest.raises(RequestError, match=message) as caught:
        drawn(**fields)
    assert caught.value.reason == "BAD_FACTOR"


def test_factors_that_move_one_quote_contradict_each_other():
    """EUR rates by currency and by curve."""
    factors = (FACTORS[0], FACTORS[2], msgspec.structs.replace(FACTORS[2], name="ois", target="curve", quotes="EUR1D"))
    with pytest.raises(RequestError, match="eur and ois both move EUR") as caught:
        drawn(factors=factors)
    assert caught.value.reason == "CONTRADICTORY_SHIFTS"
