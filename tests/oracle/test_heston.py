"""equity.heston against QuantLib's adaptive quadrature, on the books of the kernel's own tests."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
import QuantLib as ql  # noqa: N813  # as its own examples call it

from tests.core.kernels.exotic_book import row_of
from tests.core.kernels.heston_book import PARAMETERS, Columns, exact_price, harsh_book, heston_book
from tests.oracle.quantlib_options import DAYS_A_YEAR, Row, european, flat, plain, values
from xip_core import evaluate


def price(row: Row) -> dict[str, float]:
    spot = ql.QuoteHandle(ql.SimpleQuote(row["spot"]))
    parameters = [row[name] for name in PARAMETERS]
    process = ql.HestonProcess(flat(row["rate"]), flat(row["dividend_yield"]), spot, *parameters)
    option = ql.VanillaOption(plain(row), european(row["time"]))
    option.setPricingEngine(ql.AnalyticHestonEngine(ql.HestonModel(process), 1e-9, 100000))
    return {"pv": option.NPV()}


@pytest.mark.parametrize("book", [heston_book, harsh_book])
def test_prices(book: object) -> None:
    """
    QuantLib asks its integrals for 1e-9. In the harsh book a row in fifty is beyond it: it raises, or is off by up to
    3e-3 of the spot at |rho| = 1. There a quadrature in many digits decides, but for |rho| = 1 where it is too slow.
    """
    columns: Columns = book(1500)  # type: ignore[operator]  # one of two functions
    columns["time"] = np.maximum(np.round(columns["time"] * DAYS_A_YEAR), 1.0) / DAYS_A_YEAR

    def price_or_nothing(row: Row) -> dict[str, float]:
        try:
            return price(row)
        except RuntimeError:
            return {"pv": np.nan}

    theirs = values(columns, price_or_nothing)["pv"]
    ours = evaluate("equity.heston", **columns)
    assert not ours["status"].any()
    error = np.abs(ours["pv"] - theirs) / (columns["spot"] + columns["strike"])
    apart = np.flatnonzero(~(error <= 1e-9))
    assert len(apart) <= 0.04 * len(error)
    decided = [row for row in apart if abs(columns["rho"][row]) < 0.99 and columns["sigma"][row] > 0.05][:8]
    with mp.workdps(25):
        for row in decided:
            truth = float(exact_price(*(mp.mpf(float(cells[row])) for cells in columns.values())))
            legs = columns["spot"][row] + columns["strike"][row]
            assert abs(float(ours["pv"][row]) - truth) <= 1e-10 * legs, row_of(columns, row)
