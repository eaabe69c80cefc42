"""fx.delta, fx.strike_of_delta, fx.atm_strike: conventions, tables of others, inverses, edges."""

from __future__ import annotations

import math
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.kernels.exact import normal_cdf
from tests.core.kernels.exotic_checks import column, needs_reference, table
from tests.core.kernels.levels import LEVELS, evaluate_at
from xip_core import evaluate
from xip_core.errors import FailureReason

QUANTLIB_STRIKES = [1.5406055727898824, 1.541719024377028, 1.530332430708394, 1.5315041622999228]
QUANTLIB_NEUTRAL = [1.4237071536606858, 1.4237071536606858, 1.4039991534456169, 1.4039991534456169]
QUANTLIB_DELTAS = [0.32664939091176876, 0.3291953880428925, 0.30284592690646506, 0.30520639315109566]
SPOT, FORWARD, SPOT_ADJUSTED, FORWARD_ADJUSTED = 0.0, 1.0, 2.0, 3.0
DELTA_TYPES = (SPOT, FORWARD, SPOT_ADJUSTED, FORWARD_ADJUSTED)
EURUSD: dict[str, Any] = {
    "spot": 1.421, "time": 1.5, "domestic_rate": 0.02, "foreign_rate": 0.035, "volatility": 0.12,
}  # fmt: skip


def a_book(rows: int, seed: int = 5) -> dict[str, np.ndarray]:
    """Strikes from deep in to deep out of the money; premium-adjusted calls above the strike of the largest delta."""
    random = np.random.default_rng(seed)
    columns = {
        "spot": random.uniform(0.5, 150.0, rows),
        "time": random.uniform(0.01, 10.0, rows),
        "domestic_rate": random.uniform(-0.01, 0.1, rows),
        "foreign_rate": random.uniform(-0.01, 0.1, rows),
        "volatility": random.uniform(0.02, 0.5, rows),
        "is_call": random.integers(0, 2, rows).astype(float),
        "delta_type": random.integers(0, 4, rows).astype(float),
    }
    forward = columns["spot"] * np.exp((columns["domestic_rate"] - columns["foreign_rate"]) * columns["time"])
    total_vol = columns["volatility"] * np.sqrt(columns["time"])
    lowest = np.where(columns["is_call"] * (columns["delta_type"] > 1.5) > 0.0, 0.3 * total_vol, -4.0)
    columns["strike"] = forward * np.exp(total_vol * random.uniform(lowest, 4.0, rows))
    return columns


def exact_delta(spot, strike, time, domestic_rate, foreign_rate, volatility, is_call, delta_type):  # type: ignore[no-untyped-def]  # mpf in, mpf out
    phi = 1 if is_call else -1
    forward = spot * mp.exp((domestic_rate - foreign_rate) * time)
    total_vol = volatility * mp.sqrt(time)
    d1 = mp.log(forward / strike) / total_vol + total_vol / 2
    scale = mp.exp(-foreign_rate * time) if delta_type in (SPOT, SPOT_ADJUSTED) else 1
    if delta_type < SPOT_ADJUSTED:
        return phi * scale * normal_cdf(phi * d1)
    return phi * scale * strike / forward * normal_cdf(phi * (d1 - total_vol))


@needs_reference
@pytest.mark.parametrize("name", ["fx_delta_conventions.csv", "fx_atm_conventions.csv"])
def test_quantlib_deltas_and_their_strikes(name: str) -> None:
    """The tables give discount factors and total volatility: one year, with rates and volatility to match."""
    rows = table(name)
    given_columns = {
        "spot": column(rows, "spot"),
        "time": 1.0,
        "domestic_rate": -np.log(column(rows, "dDf")),
        "foreign_rate": -np.log(column(rows, "fDf")),
        "volatility": column(rows, "stdDev"),
        "is_call": [row["ot"] == "Call" for row in rows],
        "delta_type": [{"Spot": SPOT, "Fwd": FORWARD}[row["dt"]] for row in rows],
    }
    quoted, strikes = column(rows, "value"), column(rows, "strike")
    delta = evaluate("fx.delta", strike=strikes, **given_columns)
    # Strikes have 6 or 7 digits, those of the yen rows 4. The strike of the row without volatility is not the forward
    # that its note promises (QuantLib's test does not read it): there the step in the strike decides.
    has_vol = column(rows, "stdDev") > 0.0
    digits = np.where(strikes >= 97.0, 1e-2, 1e-6)
    assert (np.abs(delta["delta"] - quoted) <= digits * np.abs(delta["to_strike"]) + 1e-6)[has_vol].all()
    found = evaluate("fx.strike_of_delta", delta=quoted, **given_columns)
    assert not found["status"].any()
    assert (np.abs(found["strike"] - strikes) <= digits)[has_vol].all()


@needs_reference
def test_at_the_money_of_the_quantlib_table_is_what_its_names_say() -> None:
    rows = table("fx_atm_conventions.csv")
    market = {
        "spot": column(rows, "spot"),
        "time": 1.0,
        "domestic_rate": -np.log(column(rows, "dDf")),
        "foreign_rate": -np.log(column(rows, "fDf")),
        "volatility": column(rows, "stdDev"),
    }
    for delta_type in DELTA_TYPES:
        strike = evaluate("fx.atm_strike", atm_type=2, delta_type=delta_type, **market)["strike"]
        call, put = (
            evaluate("fx.delta", strike=strike, is_call=is_call, delta_type=delta_type, **market)["delta"]
            for is_call in (1, 0)
        )
        has_vol = column(rows, "stdDev") > 0.0  # without, d1 is the rounding of the forward over nothing
        assert np.abs(call + put)[has_vol].max() <= 1e-13
    half = evaluate("fx.atm_strike", atm_type=5, delta_type=FORWARD, **market)["strike"]
    delta = evaluate("fx.delta", strike=half, is_call=1, delta_type=FORWARD, **market)["delta"]
    assert np.abs(delta - 0.5)[has_vol].max() <= 1e-13
    largest = evaluate("fx.atm_strike", atm_type=[[3], [4]], delta_type=SPOT, **market)["strike"]
    for output, strike in zip(("vega", "gamma"), largest, strict=True):
        beside = np.stack([strike * 0.999, strike, strike * 1.001])
        values = evaluate("fx.european", strike=beside, is_call=1, **market)[output]
        assert (values.argmax(axis=0) == 1)[has_vol].all(), output


def test_strikes_of_quantlib_for_every_convention() -> None:
    """BlackDeltaCalculator of QuantLib 1.44: strike of a 25-delta call, delta-neutral strike, delta of strike 1.5."""
    market = {"spot": 1.421, "time": 1.0, "volatility": 0.1180654}
    market |= {"domestic_rate": -math.log(0.997306), "foreign_rate": -math.log(0.992266)}
    strike = evaluate("fx.strike_of_delta", delta=0.25, is_call=1, delta_type=DELTA_TYPES, **market)["strike"]
    assert strike == pytest.approx(QUANTLIB_STRIKES, rel=2e-10)  # QuantLib's root finder stops at 1e-10
    neutral = evaluate("fx.atm_strike", atm_type=2, delta_type=DELTA_TYPES, **market)["strike"]
    assert neutral == pytest.approx(QUANTLIB_NEUTRAL, rel=1e-14)
    delta = evaluate("fx.delta", strike=1.5, is_call=1, delta_type=DELTA_TYPES, **market)["delta"]
    assert delta == pytest.approx(QUANTLIB_DELTAS, rel=1e-13)


def test_delta_and_its_derivatives_in_many_digits() -> None:
    columns = a_book(60)
    value = evaluate("fx.delta", **columns)
    names = ("spot", "strike", "time", "domestic_rate", "foreign_rate", "volatility", "is_call", "delta_type")
    with mp.workdps(40):
        for row in range(60):
            cells = [mp.mpf(columns[name][row]) for name in names]
            assert value["delta"][row] == pytest.approx(float(exact_delta(*cells)), rel=1e-12)
            for output, place in (("to_strike", 1), ("to_volatility", 5)):
                slope = mp.diff(lambda x, p=place, c=cells: exact_delta(*c[:p], x, *c[p + 1 :]), cells[place])
                assert value[output][row] == pytest.approx(float(slope), rel=1e-10, abs=1e-12), (output, row)


def test_spot_delta_without_premium_is_that_of_the_option() -> None:
    columns = a_book(400) | {"delta_type": np.zeros(400)}
    option = {name: values for name, values in columns.items() if name != "delta_type"}
    expected = evaluate("fx.european", **option)["delta"]
    assert np.abs(evaluate("fx.delta", **columns)["delta"] - expected).max() <= 1e-15


def test_premium_adjusted_delta_is_delta_less_the_premium_in_foreign_currency() -> None:
    columns = a_book(400) | {"delta_type": np.full(400, SPOT_ADJUSTED)}
    option = {name: values for name, values in columns.items() if name != "delta_type"}
    priced = evaluate("fx.european", **option)
    difference = evaluate("fx.delta", **columns)["delta"] - (priced["delta"] - priced["pv"] / columns["spot"])
    assert np.abs(difference).max() <= 1e-13


def test_strike_of_delta_is_the_inverse_of_delta() -> None:
    columns = a_book(20_000)
    strike = columns.pop("strike")
    delta = evaluate("fx.delta", strike=strike, **columns)
    found = evaluate("fx.strike_of_delta", delta=delta["delta"], **columns)
    assert not found["status"].any()
    again = evaluate("fx.delta", strike=found["strike"], **columns)
    assert np.abs(again["delta"] / delta["delta"] - 1.0).max() <= 1e-12
    # Where delta hardly moves with the strike its digits do not know the strike.
    known = np.abs(delta["to_strike"] * strike) > 1e-4 * np.maximum(1.0, np.abs(delta["delta"]))
    assert known.sum() > 10_000
    assert np.abs(found["strike"] / strike - 1.0)[known].max() <= 1e-11
    assert found["to_delta"][known] == pytest.approx(1.0 / again["to_strike"][known], rel=1e-9)
    implicit = -again["to_volatility"] / again["to_strike"]
    assert found["to_volatility"][known] == pytest.approx(implicit[known], rel=1e-8, abs=1e-9)


@pytest.mark.parametrize("distance", [1e-2, 1e-6, 1e-10, 1e-13])
@pytest.mark.parametrize("volatility", [0.02, 0.1, 0.5, 1.5])
def test_of_two_strikes_of_an_adjusted_call_delta_the_higher_is_found(volatility: float, distance: float) -> None:
    """Up to the largest delta there is; above it there is no strike, and the row says so."""
    market = EURUSD | {"volatility": volatility, "is_call": 1, "delta_type": FORWARD_ADJUSTED}
    total_vol = volatility * math.sqrt(EURUSD["time"])
    with mp.workdps(30):
        d2 = mp.findroot(lambda d: mp.npdf(d) / normal_cdf(d) - total_vol, 1.0)
        largest = float(mp.exp(-total_vol * d2 - mp.mpf(total_vol) ** 2 / 2) * normal_cdf(d2))
        summit = float(mp.exp(-total_vol * d2 - mp.mpf(total_vol) ** 2 / 2))
    forward = 1.421 * math.exp(-0.015 * 1.5)
    quoted = largest * (1.0 - distance)
    found = evaluate("fx.strike_of_delta", delta=[quoted, largest * (1.0 + 1e-9), largest * 1.2], **market)
    assert found["status"].tolist() == [0, FailureReason.NUMERICAL, FailureReason.NUMERICAL]
    assert found["strike"][0] > forward * summit * (1.0 - 1e-6)
    again = evaluate("fx.delta", strike=found["strike"][0], **market)
    assert again["delta"] == pytest.approx(quoted, rel=1e-13)
    assert again["to_strike"] <= 1e-6


def test_without_volatility_every_reachable_delta_belongs_to_the_forward() -> None:
    forward = 1.421 * math.exp(-0.015 * 1.5)
    for changes in ({"volatility": 0.0}, {"time": 0.0}):
        at = forward if "volatility" in changes else 1.421
        market = EURUSD | changes
        for is_call, delta in ((1, 0.3), (0, -0.7)):
            found = evaluate("fx.strike_of_delta", delta=delta, is_call=is_call, delta_type=DELTA_TYPES, **market)
            assert found["strike"] == pytest.approx([at] * 4, rel=1e-15)
        step = evaluate("fx.delta", strike=[0.9 * at, 1.1 * at], is_call=1, delta_type=FORWARD, **market)
        assert step["delta"].tolist() == [1.0, 0.0]
        neutral = evaluate("fx.atm_strike", atm_type=[1, 2, 3, 4], delta_type=FORWARD, **market)
        assert neutral["strike"] == pytest.approx([at] * 4, rel=1e-15)
    at_forward = evaluate(
        "fx.delta", spot=2.0, strike=2.0, time=0.0, domestic_rate=0.0, foreign_rate=0.0, volatility=0.1,
        is_call=[1, 0], delta_type=FORWARD,
    )  # fmt: skip
    assert at_forward["delta"].tolist() == [0.5, -0.5]


@given(
    volatility=st.floats(0.01, 1.0),
    time=st.floats(0.01, 20.0),
    delta=st.floats(0.01, 0.8),
    delta_type=st.sampled_from(DELTA_TYPES),
)
def test_put_strikes_lie_below_call_strikes_of_the_same_small_delta(
    volatility: float, time: float, delta: float, delta_type: float
) -> None:
    """Of 40 deltas and less, and the further out of the money the smaller delta is."""
    market = {"spot": 1.0, "time": time, "domestic_rate": 0.01, "foreign_rate": 0.01, "volatility": volatility}
    quotes = np.array([delta, 0.9 * delta])
    call = evaluate("fx.strike_of_delta", delta=quotes, is_call=1, delta_type=delta_type, **market)
    put = evaluate("fx.strike_of_delta", delta=-quotes, is_call=0, delta_type=delta_type, **market)
    if delta_type >= SPOT_ADJUSTED:
        assert put["status"].tolist() == [0, 0]
    for found, sign in ((call, 1.0), (put, -1.0)):
        if not found["status"].any():
            assert sign * (found["strike"][1] - found["strike"][0]) > 0.0
    if delta <= 0.4 and not call["status"].any() and delta_type < SPOT_ADJUSTED and time < 1.0:
        assert put["strike"][0] < call["strike"][0]


INVALID = {
    "spot": (0.0, -1.0),
    "strike": (0.0, -1.0),
    "time": (-0.1,),
    "domestic_rate": (),
    "foreign_rate": (),
    "volatility": (-0.1,),
    "is_call": (0.5, 2.0),
    "delta_type": (-1.0, 0.5, 4.0),
    "atm_type": (-1.0, 1.5, 6.0),
    "delta": (0.0, -0.2, 1.01),
}


@pytest.mark.parametrize("name", ["fx.delta", "fx.strike_of_delta", "fx.atm_strike"])
def test_row_outside_the_domain_is_refused_and_its_neighbours_stand(name: str) -> None:
    specific = {
        "fx.delta": {"strike": 1.4, "is_call": 1.0},
        "fx.strike_of_delta": {"delta": 0.25, "is_call": 1.0},
        "fx.atm_strike": {"atm_type": 2.0},
    }[name]
    good = {key: np.full(5, cell) for key, cell in (EURUSD | specific | {"delta_type": SPOT}).items()}
    before = evaluate(name, **good)
    assert not before["status"].any()
    for key in good:
        for bad in (*INVALID[key], math.nan, math.inf, -math.inf):
            columns = {other: values.copy() for other, values in good.items()}
            columns[key][2] = bad
            value = evaluate(name, **columns)
            assert value["status"].tolist() == [0, 0, FailureReason.NUMERICAL, 0, 0], (key, bad)
            for output in before:
                if output != "status":
                    assert np.isnan(value[output][2])
                    kept = np.delete(value[output], 2), np.delete(before[output], 2)
                    assert kept[0].tobytes() == kept[1].tobytes()


@pytest.mark.parametrize(
    ("changes", "statuses"),
    [
        ({"delta": 0.999 * math.exp(-0.035 * 1.5), "delta_type": SPOT}, 0),
        ({"delta": 1.001 * math.exp(-0.035 * 1.5), "delta_type": SPOT}, FailureReason.NUMERICAL),
        ({"delta": 0.999, "delta_type": FORWARD}, 0),
        ({"delta": 1.0, "delta_type": FORWARD}, FailureReason.NUMERICAL),
        ({"delta": -1.0, "delta_type": FORWARD, "is_call": 0}, FailureReason.NUMERICAL),
        ({"delta": -1.0, "delta_type": FORWARD_ADJUSTED, "is_call": 0}, 0),
        ({"delta": -3.0, "delta_type": SPOT_ADJUSTED, "is_call": 0}, 0),
        ({"delta": 0.25, "delta_type": FORWARD, "is_call": 0}, FailureReason.NUMERICAL),
        ({"delta": 1e-300, "delta_type": FORWARD}, 0),
    ],
)
def test_delta_is_refused_where_no_strike_has_it(changes: dict[str, float], statuses: int) -> None:
    assert evaluate("fx.strike_of_delta", **(EURUSD | {"is_call": 1} | changes))["status"] == statuses


def test_deltas_of_one_half_need_forward_deltas() -> None:
    found = evaluate("fx.atm_strike", atm_type=5, delta_type=DELTA_TYPES, **EURUSD)
    assert found["status"].tolist() == [8, 0, 8, 8]


@pytest.mark.parametrize("name", ["fx.delta", "fx.strike_of_delta", "fx.atm_strike"])
def test_bytes_do_not_depend_on_level_or_split(name: str) -> None:
    columns = a_book(700)
    columns["delta"] = evaluate("fx.delta", **columns)["delta"]
    columns["atm_type"] = np.arange(700.0) % 6
    columns["time"][::50], columns["volatility"][::35], columns["spot"][::60] = 0.0, 0.0, math.nan
    names = {
        "fx.delta": ["strike", "is_call"],
        "fx.strike_of_delta": ["delta", "is_call"],
        "fx.atm_strike": ["atm_type"],
    }
    columns = {key: columns[key] for key in [*EURUSD, "delta_type", *names[name]]}
    whole = evaluate(name, **columns)
    for level in LEVELS:
        other = evaluate_at(level, name, columns)
        assert [output for output in whole if whole[output].tobytes() != other[output].tobytes()] == [], level
    for begin, end in [(0, 1), (3, 260), (255, 257), (699, 700)]:
        part = evaluate(name, **{key: values[begin:end] for key, values in columns.items()})
        assert all(values.tobytes() == whole[output][begin:end].tobytes() for output, values in part.items())
