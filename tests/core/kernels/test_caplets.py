"""xip_core.kernels.caplets: prices given back, bytes for every split, lane and CPU level, refused input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.core.kernels.levels import LEVELS
from xip_core.kernels.level import load_module
from xip_core.kernels.reference import bachelier_european, black_european

CAPS = {  # three caps of 2, 4 and 7 caplets; nodes at the last of each
    "years": np.array([0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5]),
    "strikes": np.array([0.0, 0.01, 0.05]),
    "row_end": np.array([2, 4, 7]),
    "left": np.array([0, 0, 0, 1, 1, 1, 2]),
    "right": np.array([0, 0, 1, 1, 2, 2, 2]),
    "share": np.array([0.0, 0.0, 0.5, 0.0, 1 / 3, 2 / 3, 0.0]),
}

BY_SCENARIO = ("forwards", "weights", "quotes")


def a_market(scenarios: int, seed: int = 4, is_normal: bool = True) -> dict[str, Any]:
    """Rates of both signs for normal volatilities, positive ones for lognormal."""
    random = np.random.default_rng(seed)
    if not is_normal:
        return {
            "forwards": random.uniform(0.001, 0.03, (7, scenarios)),
            "weights": 0.5 * np.exp(-0.02 * CAPS["years"])[:, None] * np.ones(scenarios),
            "quotes": 0.5 + 0.05 * np.arange(3)[:, None, None] + 0.02 * random.random((3, 3, scenarios)),
            "strikes": np.array([0.005, 0.01, 0.05]),
            "is_normal": False,
        }
    return {
        "forwards": random.normal(0.01, 0.005, (7, scenarios)),
        "weights": 0.5 * np.exp(-0.02 * CAPS["years"])[:, None] * np.ones(scenarios),
        "quotes": 0.006 + 0.001 * np.arange(3)[:, None, None] + 2e-4 * random.random((3, 3, scenarios)),
    }


def strip(market: dict[str, Any], level: str = LEVELS[-1], **changes: Any) -> tuple[np.ndarray, ...]:
    found: tuple[np.ndarray, ...] = load_module("caplets", level).strip(**(CAPS | market | changes))
    return found


@pytest.mark.parametrize("is_normal", [True, False])
def test_nodes_give_back_the_price_of_every_cap(is_normal: bool) -> None:
    """Caplet by caplet with the reference formula, at the quote and at the nodes."""
    market = a_market(3, is_normal=is_normal)
    price = bachelier_european if is_normal else black_european
    nodes, errors, targets = strip(market)
    for row, strike, scenario in np.ndindex(3, 3, 3):
        k = (CAPS | market)["strikes"][strike]
        at_quote = at_nodes = 0.0
        for c in range(CAPS["row_end"][row]):
            forward, weight = market["forwards"][c, scenario], market["weights"][c, scenario]
            share, left, right = CAPS["share"][c], CAPS["left"][c], CAPS["right"][c]
            mixed = (1.0 - share) * nodes[left, strike, scenario] + share * nodes[right, strike, scenario]
            is_call = float(k >= forward)
            quote = market["quotes"][row, strike, scenario]
            at_quote += price(forward, k, CAPS["years"][c], quote, weight, is_call)["pv"]
            at_nodes += price(forward, k, CAPS["years"][c], mixed, weight, is_call)["pv"]
        assert at_nodes == pytest.approx(at_quote, rel=1e-12, abs=1e-17)
        assert targets[row, strike, scenario] == pytest.approx(at_quote, rel=1e-13)
        assert abs(errors[row, strike, scenario]) <= 1e-12 * at_quote + 1e-18


def test_one_volatility_strips_to_itself() -> None:
    market = a_market(5)
    market["quotes"][:] = 0.007
    assert strip(market)[0] == pytest.approx(0.007, rel=1e-12)


@pytest.mark.parametrize("is_normal", [True, False])
@pytest.mark.parametrize("level", LEVELS)
def test_bytes_are_those_of_every_level_split_and_lane(level: str, is_normal: bool) -> None:
    market = a_market(11, is_normal=is_normal)
    whole = [array.tobytes() for array in strip(market)]
    assert [array.tobytes() for array in strip(market, level)] == whole
    for width in (1, 3, 8):
        parts = [
            strip(market | {name: market[name][..., b : b + width] for name in BY_SCENARIO}, level)
            for b in range(0, 11, width)
        ]
        assert [np.concatenate([part[k] for part in parts], axis=2).tobytes() for k in range(3)] == whole


def test_cell_without_solution_is_nan_from_there_on_and_moves_no_neighbour() -> None:
    """A longer cap cheaper than the shorter one inside it; a NaN quote; an infinite forward."""
    market, clean = a_market(4), strip(a_market(4))[0]
    market["quotes"][1, 0, 1] = 1e-5
    market["quotes"][0, 2, 2] = np.nan
    nodes, errors, _ = strip(market)
    is_bad = np.zeros((3, 3, 4), dtype=bool)
    is_bad[1:, 0, 1] = True
    is_bad[:, 2, 2] = True
    assert np.isnan(nodes).tolist() == is_bad.tolist()
    assert nodes[~is_bad].tobytes() == clean[~is_bad].tobytes()
    assert errors[1, 0, 1] > 0.0
    market = a_market(4)
    market["forwards"][0, 3] = np.inf
    nodes = strip(market)[0]
    assert np.isnan(nodes[:, :, 3]).all()
    assert nodes[:, :, :3].tobytes() == clean[:, :, :3].tobytes()


def test_lognormal_rates_must_not_be_negative() -> None:
    """A negative forward refuses its scenario; a strike of 0 is worth nothing out of the money, whatever the quote."""
    market, clean = a_market(3, is_normal=False), strip(a_market(3, is_normal=False))[0]
    market["forwards"][2, 1] = -0.001
    nodes = strip(market)[0]
    assert np.isnan(nodes[1:, :, 1]).all()
    assert nodes[:, :, [0, 2]].tobytes() == clean[:, :, [0, 2]].tobytes()
    at_zero = strip(a_market(3, is_normal=False) | {"strikes": np.zeros(3)})
    assert at_zero[0].tolist() == a_market(3, is_normal=False)["quotes"].tolist()


def test_no_volatility_at_all_strips_to_none() -> None:
    """Zero quotes: zero prices, out of the money and at it."""
    market = a_market(2)
    market["quotes"][:] = 0.0
    assert not strip(market)[0].any()


def test_no_scenario_is_an_empty_answer() -> None:
    assert [array.shape for array in strip(a_market(0))] == [(3, 3, 0)] * 3


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"weights": np.ones((6, 2))}, r"weights must have shape \(7, 2\) like forwards, got \(6, 2\)"),
        ({"years": np.ones(6)}, r"years must have shape \(7,\), got \(6,\)"),
        ({"years": -np.ones(7)}, "years must not be negative"),
        ({"years": np.full(7, np.nan)}, "years must not be negative"),
        ({"share": np.ones(8)}, r"share must have shape \(7,\)"),
        ({"row_end": np.array([2, 4, 6])}, "row_end must ascend to 7 in 3 rows"),
        ({"row_end": np.array([4, 2, 7])}, "row_end must ascend to 7 in 3 rows"),
        ({"row_end": np.array([4, 7])}, "row_end must ascend to 7 in 3 rows"),
        ({"left": np.array([0, 0, 0, 1, 1, 1, 3])}, r"left must be a node in \[0, 3\)"),
        ({"right": np.array([1, 0, 1, 1, 2, 2, 2])}, "right must be a node .* not after the caplet's own row"),
        ({"right": np.array([-1, 0, 1, 1, 2, 2, 2])}, "right must be a node"),
        ({"quotes": np.ones((3, 2, 2))}, r"quotes must have shape \(3, 3, 2\), got \(3, 2, 2\)"),
        ({"quotes": np.ones((3, 3, 1))}, r"quotes must have shape \(3, 3, 2\), got \(3, 3, 1\)"),
    ],
)
def test_input_that_does_not_fit_is_refused(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        strip(a_market(2), **changes)
