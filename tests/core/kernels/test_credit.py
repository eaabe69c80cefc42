"""credit.cds_flat: hand value, limits, symmetry, twin and refused rows."""

from __future__ import annotations

import math

import numpy as np
import pytest

from xip_core import evaluate
from xip_core.errors import FailureReason
from xip_core.kernels.reference import credit_cds_flat

CDS = {
    "notional": 10e6,
    "coupon": 0.01,
    "time": 5.0,
    "period": 0.25,
    "rate": 0.02,
    "hazard_rate": 0.02,
    "recovery": 0.4,
}


def test_one_period_contract_is_worth_what_a_person_computes() -> None:
    """No interest, one year, one coupon: protection 0.6 (1 - Q), premium 0.01 (Q + (1 - Q) / 2), Q = exp(-0.02)."""
    value = evaluate("credit.cds_flat", **(CDS | {"rate": 0.0, "time": 1.0, "period": 1.0, "notional": 1.0}))
    survival = math.exp(-0.02)
    assert float(value["pv"]) == pytest.approx(0.6 * (1 - survival) - 0.01 * (survival + 1) / 2, abs=1e-17)


def test_coupon_at_hazard_times_loss_is_nearly_fair() -> None:
    """The credit triangle: without interest and with many periods the par spread is hazard_rate * (1 - recovery)."""
    fair = CDS | {"coupon": 0.02 * 0.6, "rate": 0.0, "period": 0.005, "notional": 1.0}
    assert abs(float(evaluate("credit.cds_flat", **fair)["pv"])) < 1e-9


def test_kernel_agrees_with_its_twin() -> None:
    random = np.random.default_rng(4)
    columns = {
        "notional": random.uniform(-1e7, 1e7, 200),
        "coupon": random.uniform(-0.01, 0.05, 200),
        "time": random.uniform(0.0, 30.0, 200),
        "period": random.choice([1 / 12, 0.25, 0.5, 1.0], 200),
        "rate": random.uniform(-0.02, 0.08, 200),
        "hazard_rate": random.uniform(0.0, 0.3, 200),
        "recovery": random.uniform(0.0, 1.0, 200),
    }
    computed = evaluate("credit.cds_flat", **columns)
    for row in range(200):
        cells = {name: float(values[row]) for name, values in columns.items()}
        for output, value in credit_cds_flat(**cells).items():
            assert computed[output][row] == pytest.approx(value, abs=1e-13 * abs(cells["notional"]) + 1e-9), cells


def test_neighbours_with_more_periods_do_not_change_a_row() -> None:
    alone = evaluate("credit.cds_flat", **CDS)["pv"]
    among = evaluate("credit.cds_flat", **(CDS | {"time": [30.0, 5.0, 0.0, 100.0]}))["pv"]
    assert among[1].tobytes() == alone.tobytes()


def test_sold_protection_is_bought_protection_with_the_sign_changed() -> None:
    bought, sold = evaluate("credit.cds_flat", **(CDS | {"notional": [10e6, -10e6]}))["pv"]
    assert sold == -bought


def test_without_hazard_only_the_premium_remains() -> None:
    value = evaluate("credit.cds_flat", **(CDS | {"hazard_rate": 0.0, "rate": 0.0}))
    assert float(value["pv"]) == pytest.approx(-10e6 * 0.01 * 5.0, rel=1e-15)
    assert float(value["cs01"]) > 0.0


def test_expired_contract_is_worth_nothing_and_defaults_into_the_loss() -> None:
    value = evaluate("credit.cds_flat", **(CDS | {"time": 0.0}))
    assert (float(value["pv"]), float(value["cs01"]), float(value["jtd"])) == (0.0, 0.0, 6e6)


@pytest.mark.parametrize(
    ("column", "bad"),
    [(column, math.nan) for column in CDS]
    + [("time", -1.0), ("time", 251.0), ("period", 0.0), ("hazard_rate", -0.01), ("recovery", 1.1), ("rate", math.inf)],
)
def test_row_outside_the_domain_is_refused_and_its_neighbours_are_priced(column: str, bad: float) -> None:
    value = evaluate("credit.cds_flat", **(CDS | {column: [CDS[column], bad]}))
    assert value["status"].tolist() == [0, FailureReason.NUMERICAL]
    for output in ("pv", "cs01", "jtd"):
        assert np.isfinite(value[output][0])
        assert np.isnan(value[output][1])
