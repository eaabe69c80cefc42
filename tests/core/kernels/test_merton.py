"""equity.merton: table, accuracy, Greeks, limits."""

from __future__ import annotations

import numpy as np
import pytest

from tests.core.kernels import exact_exotic
from tests.core.kernels.exotic_book import exotic_book
from tests.core.kernels.exotic_checks import (
    SPOT_GREEKS,
    assert_greeks,
    calls,
    column,
    largest_price_error,
    needs_reference,
    table,
)
from xip_core import evaluate

NAME = "equity.merton"
EUROPEAN = ("spot", "strike", "time", "rate", "dividend_yield", "volatility", "is_call")


@needs_reference
def test_haug_prices() -> None:
    """The book gives the total volatility and the share gamma of its variance that jumps without mean bring."""
    rows = table("merton76_haug.csv")
    intensity, variance, share = column(rows, "jumpIntensity"), column(rows, "v") ** 2, column(rows, "gamma")
    jump_variance = share * variance / intensity
    value = evaluate(
        NAME,
        spot=column(rows, "s"),
        strike=column(rows, "strike"),
        time=column(rows, "t"),
        rate=column(rows, "r"),
        dividend_yield=column(rows, "q"),
        volatility=np.sqrt(variance - intensity * jump_variance),
        is_call=calls(rows),
        jump_intensity=intensity,
        mean_log_jump=-0.5 * jump_variance,
        jump_volatility=np.sqrt(jump_variance),
    )
    assert np.abs(value["pv"] - column(rows, "result")).max() <= 6.8e-3


def test_price_is_within_5e_15_of_the_larger_leg() -> None:
    columns = exotic_book(NAME, 40)
    columns["jump_intensity"][::4] = 15.0 / columns["time"][::4]
    scale = np.maximum(columns["spot"], columns["strike"])
    assert largest_price_error(exact_exotic.merton, columns, evaluate(NAME, **columns)["pv"], scale) <= 5e-15


def test_greeks_are_derivatives_of_the_price() -> None:
    columns = exotic_book(NAME, 5, seed=4)
    assert_greeks(exact_exotic.merton, columns, evaluate(NAME, **columns), SPOT_GREEKS, rel=1e-11, smallest=1e-12)


@pytest.mark.parametrize("still", [{"jump_intensity": 0.0}, {"mean_log_jump": 0.0, "jump_volatility": 0.0}])
def test_without_jumps_it_is_the_european_option(still: dict[str, float]) -> None:
    columns = exotic_book(NAME, 300) | {name: np.full(300, cell) for name, cell in still.items()}
    value = evaluate(NAME, **columns)
    european = evaluate("equity.european", **{name: columns[name] for name in EUROPEAN})
    for output in ("pv", "delta", "gamma", "vega"):
        assert value[output] == pytest.approx(european[output], rel=1e-12, abs=1e-12), output


def test_call_less_put_is_the_forward() -> None:
    columns = exotic_book(NAME, 300)
    call, put = (evaluate(NAME, **columns | {"is_call": np.full(300, flag)})["pv"] for flag in (1.0, 0.0))
    forward = columns["spot"] * np.exp(-columns["dividend_yield"] * columns["time"])
    strike = columns["strike"] * np.exp(-columns["rate"] * columns["time"])
    assert call - put == pytest.approx(forward - strike, abs=1e-12)


def test_without_time_it_is_the_intrinsic_value() -> None:
    columns = exotic_book(NAME, 100) | {"time": np.zeros(100)}
    sign = 2.0 * columns["is_call"] - 1.0
    value = evaluate(NAME, **columns)
    assert value["pv"].tolist() == np.maximum(sign * (columns["spot"] - columns["strike"]), 0.0).tolist()
    assert not value["status"].any()


def test_more_jumps_than_terms_can_sum_are_refused() -> None:
    columns = {name: cells[:1] for name, cells in exotic_book(NAME, 1).items()} | {"time": 1.0, "mean_log_jump": 0.0}
    value = evaluate(NAME, **columns | {"jump_volatility": 0.0, "jump_intensity": [20.0, 20.1, 0.0]})
    assert value["status"].tolist() == [0, 8, 0]
