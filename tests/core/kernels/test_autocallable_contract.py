"""equity.autocallable: equal bytes on every level, split, thread; domain edges; limits without time or volatility."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from tests.core.kernels.levels import LEVELS, evaluate_at
from tests.core.kernels.note_book import NAME, NOTE, a_note_book, note_columns
from xip_core import evaluate
from xip_core.errors import FailureReason
from xip_core.kernels.catalogue import catalogue
from xip_core.kernels.interruption import interrupting

OUTPUTS = tuple(output.name for output in catalogue()[NAME].outputs)
AGAINST = {"correlation_12": -1.0, "asset_count": 2}


def bytes_of(value: dict[str, np.ndarray]) -> bytes:
    return b"".join(value[output].tobytes() for output in (*OUTPUTS, "status"))


@pytest.mark.parametrize("level", LEVELS[1:])
def test_every_level_gives_the_same_bytes(level: str) -> None:
    columns = a_note_book(9)
    columns["volatility_1"][::4] = 0.0
    columns["first_observation"][::5] = 0.0
    columns["spot_1"][7] = math.nan
    assert bytes_of(evaluate_at(LEVELS[0], NAME, columns)) == bytes_of(evaluate_at(level, NAME, columns))


def test_a_row_has_the_same_bytes_wherever_a_table_is_cut_and_in_any_thread() -> None:
    columns = a_note_book(24)
    whole = evaluate(NAME, **columns)

    def part(rows: slice) -> bool:
        value = evaluate(NAME, **{name: values[rows] for name, values in columns.items()})
        return all(value[output].tobytes() == whole[output][rows].tobytes() for output in (*OUTPUTS, "status"))

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(part, [slice(row, row + 1) for row in range(24)]))
        assert all(threads.map(part, [slice(0, 24), slice(3, 11), slice(11, 24)]))


def test_fewer_outputs_are_the_same_numbers() -> None:
    whole = evaluate(NAME, **NOTE)
    for wanted in ("pv", "delta_2", "vega_1", "rho", "loss_probability"):
        assert evaluate(NAME, outputs=wanted, **NOTE)[wanted].tobytes() == whole[wanted].tobytes()


def test_a_question_between_slices_ends_a_long_row_and_changes_no_byte() -> None:
    """2^15 paths of 40 dates with all Greeks are 4 slices."""
    long = NOTE | {"path_exponent": 15, "observation_count": 40, "interval": 0.05}
    asked = []
    with interrupting(lambda: asked.append(None)):
        heard = evaluate(NAME, **long)
    assert len(asked) >= 3
    assert bytes_of(heard) == bytes_of(evaluate(NAME, **long))

    class EnoughError(Exception):
        pass

    def enough() -> None:
        raise EnoughError

    with interrupting(enough), pytest.raises(EnoughError):
        evaluate(NAME, **long)


BAD = {
    "asset_count": (0.0, 4.0, 1.5),
    "spot_1": (0.0, -1.0),
    "initial_3": (0.0, -1.0),
    "volatility_2": (-0.01, 8.0),  # its square times the two years is 128
    "correlation_12": (1.01, -1.01),
    "first_observation": (-0.1,),
    "interval": (0.0, -1.0),
    "observation_count": (0.0, 257.0, 2.5),
    "autocall_barrier": (0.0, -1.0),
    "autocall_step": (-0.01, 0.4),  # the barrier of the fourth date is below 0
    "coupon_barrier": (-0.01,),
    "has_memory": (0.5, 2.0),
    "protection_barrier": (-0.01, 1.01),  # above put_strike
    "put_strike": (0.0, 0.5),  # below protection_barrier
    "path_exponent": (9.0, 25.0, 10.5),
    "is_philox": (0.5, -1.0),
    "seed": (-1.0, 4294967296.0, 0.5),
}


@pytest.mark.parametrize("column", list(NOTE))
def test_row_outside_the_domain_is_refused_and_its_neighbours_are_priced(column: str) -> None:
    good = evaluate(NAME, **note_columns([{}, {}]))
    for bad in (math.nan, math.inf, -math.inf, *BAD.get(column, ())):
        value = evaluate(NAME, **note_columns([{}, {column: bad}, {}]))
        assert value["status"].tolist() == [0, FailureReason.NUMERICAL, 0], bad
        for output in OUTPUTS:
            assert np.isnan(value[output][1])
            assert np.delete(value[output], 1).tobytes() == good[output].tobytes()


@pytest.mark.parametrize("column", sorted(BAD))
def test_domain_reaches_to_its_edges(column: str) -> None:
    edges: dict[str, tuple[float, ...]] = {
        "asset_count": (1, 3),
        "volatility_2": (0.0, 7.07),
        "correlation_12": (1.0,),
        "first_observation": (0.0,),
        "observation_count": (1, 256),
        "autocall_step": (0.0, 0.33),
        "coupon_barrier": (0.0,),
        "protection_barrier": (0.0, 1.0),
        "put_strike": (0.6,),
        "path_exponent": (10,),
        "seed": (0, 4294967295),
    }
    for value in edges.get(column, ()):
        others = {"correlation_13": 0.55} if column == "correlation_12" else {}
        assert int(evaluate(NAME, outputs="pv", **NOTE | others | {column: value})["status"]) == 0, value


def test_columns_of_further_assets_are_not_read() -> None:
    alone = NOTE | {"asset_count": 1}
    strange = {name: math.nan for name in NOTE if name.endswith(("_2", "_3", "_12", "_13", "_23"))}
    assert bytes_of(evaluate(NAME, **alone)) == bytes_of(evaluate(NAME, **alone | strange))


@pytest.mark.parametrize(
    ("correlations", "is_possible"),
    [
        ((1.0, 1.0, 1.0), True),
        ((1.0, 0.5, 0.5), True),
        ((-0.5, -0.5, -0.5), True),
        ((-1.0, -1.0, 1.0), True),
        ((0.9, 0.9, 0.62), True),
        ((0.9, 0.9, 0.61), False),
        ((1.0, 0.5, 0.2), False),
        ((-0.51, -0.5, -0.5), False),
        ((-1.0, 0.0, 1.0), False),
    ],
)
def test_correlations_must_be_positive_semidefinite_together(
    correlations: tuple[float, float, float], is_possible: bool
) -> None:
    columns = dict(zip(("correlation_12", "correlation_13", "correlation_23"), correlations, strict=True))
    value = evaluate(NAME, **NOTE | columns)
    assert (int(value["status"]) == 0) == is_possible
    assert np.isfinite(value["pv"]) == is_possible


def test_assets_that_are_one_are_worth_one() -> None:
    """Correlation 1 and equal terms: three assets are the first alone, other random numbers."""
    same: dict[str, Any] = {"path_exponent": 12} | {f"correlation_{pair}": 1.0 for pair in ("12", "13", "23")}
    for name in ("spot", "initial", "volatility", "dividend_yield"):
        same |= {f"{name}_{i}": NOTE[f"{name}_1"] for i in (2, 3)}
    three, one = evaluate(NAME, **NOTE | same), evaluate(NAME, **NOTE | same | {"asset_count": 1})
    error = math.hypot(three["standard_error"], one["standard_error"])
    assert float(three["pv"]) == pytest.approx(float(one["pv"]), abs=5 * error)


def test_assets_against_each_other_have_no_common_factor_and_still_a_price() -> None:
    """ln p_2 = -ln p_1: both above 95 % where |ln p_1| <= -ln 0.95, a difference of two digitals."""
    flat: dict[str, Any] = {"rate": 0.02, "observation_count": 1, "first_observation": 1.0, "path_exponent": 16}
    for i in (1, 2):
        flat |= {f"spot_{i}": 1.0, f"initial_{i}": 1.0, f"volatility_{i}": 0.2, f"dividend_yield_{i}": 0.0}
    note = NOTE | AGAINST | flat | {"autocall_barrier": 0.95, "coupon_barrier": 0.95, "protection_barrier": 0.95}
    value = evaluate(NAME, **note | {"put_strike": 1e6, "coupon": 0.0})
    edge = (-math.log(0.95) + 0.02 - 0.02) / 0.2
    chance = math.erf(edge / math.sqrt(2.0))
    assert float(value["pv"]) == pytest.approx(100.0 * math.exp(-0.02) * chance, abs=5 * value["standard_error"] + 1e-4)
    assert float(value["loss_probability"]) == pytest.approx(1.0 - chance, abs=1e-3)


# ---- limits ----------------------------------------------------------------------------------------------------------

CERTAIN = {f"volatility_{i}": 0.0 for i in (1, 2, 3)} | {"coupon": 0.03}


def test_without_volatility_the_forwards_decide() -> None:
    """Worst of forwards 1.005, 1.06, 1.04 at the first date: called there with its coupon."""
    value = evaluate(NAME, **NOTE | CERTAIN)
    assert float(value["pv"]) == pytest.approx(103.0 * math.exp(-0.015), rel=1e-15)
    assert (float(value["expected_life"]), float(value["loss_probability"])) == (0.5, 0.0)
    assert float(value["standard_error"]) < 1e-13


def test_without_volatility_a_loss_is_the_worst_forward() -> None:
    value = evaluate(NAME, **NOTE | CERTAIN | {"spot_3": 400.0})
    assert float(value["pv"]) == pytest.approx(40.0, rel=1e-14)  # no dividends: the forward discounted is the spot
    assert float(value["delta_3"]) == pytest.approx(0.1, rel=1e-6)
    assert float(value["loss_probability"]) == 1.0


def test_price_tends_to_its_limit_as_volatility_vanishes() -> None:
    limit = float(evaluate(NAME, **NOTE | CERTAIN)["pv"])
    for volatility in (1e-3, 1e-9, 1e-60, 1e-250):
        note = NOTE | {f"volatility_{i}": volatility for i in (1, 2, 3)}
        assert float(evaluate(NAME, **note)["pv"]) == pytest.approx(limit, rel=1e-12), volatility


def test_what_stands_at_its_barrier_is_above_it() -> None:
    still = NOTE | CERTAIN | {"rate": 0.0, "spot_2": 50.0, "spot_3": 1000.0}
    still |= {f"dividend_yield_{i}": 0.0 for i in (1, 2, 3)}
    value = evaluate(NAME, **still)
    assert (float(value["pv"]), float(value["expected_life"])) == (103.0, 0.5)
    below = evaluate(NAME, **still | {"spot_2": 50.0 * (1 - 1e-15)})
    assert (float(below["pv"]), float(below["expected_life"])) == (pytest.approx(112.0, rel=1e-14), 2.0)


@pytest.mark.parametrize(("spot", "pv"), [(100.0, 103.0), (85.0, 103.0), (70.0, 100.0), (50.0, 50.0)])
def test_at_maturity_the_note_pays_what_it_is_worth(spot: float, pv: float) -> None:
    now = NOTE | {"observation_count": 1, "first_observation": 0.0, "spot_1": spot}
    value = evaluate(NAME, **now)
    assert float(value["pv"]) == pytest.approx(pv, rel=1e-14)
    assert float(value["vega_1"]) == 0.0


def test_observation_today_may_call_the_note_at_once() -> None:
    value = evaluate(NAME, **NOTE | {"first_observation": 0.0})
    assert float(value["pv"]) == pytest.approx(103.0, rel=1e-14)
    assert float(value["expected_life"]) == 0.0
