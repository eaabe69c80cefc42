"""Smiles in pricing.quote_sensitivities: the implicit function against bump-and-recalibrate."""

from __future__ import annotations

import numpy as np
import pytest

from tests.core.pricing.smile_market import FX_QUOTES, equity_smile, fx_smile, snapshot_with
from tests.core.pricing.test_quote_sensitivities import bumped
from xip_core.model.market import Snapshot
from xip_core.model.market_smiles import SmileModel
from xip_core.pricing.market_layout import SnapshotLayout
from xip_core.pricing.quote_sensitivities import quote_jacobian


def largest_error(snapshot: Snapshot, name: str, quotes: list[str]) -> float:
    """Over all factors of an object, relative to the factor's largest sensitivity."""
    layout = SnapshotLayout(snapshot)
    found = quote_jacobian(snapshot, layout)
    assert not found.failures
    own = slice(*layout.ranges[name])
    truth = bumped(snapshot, quotes, layout)[own]
    computed = found.dense()[own][:, [found.quotes.index(quote) for quote in quotes]]
    scale = np.maximum(np.abs(truth).max(axis=1, keepdims=True), 1e-3)  # a spline's end has no bend to move
    return float((np.abs(computed - truth) / scale).max())


@pytest.mark.parametrize(("model", "is_market_strangle"), [("spline", True), ("sabr", False), ("svi", True)])
def test_delta_quotes_spot_and_rates_move_the_smile_as_bumps_do(model: SmileModel, is_market_strangle: bool) -> None:
    """The fits miss some quotes by up to 30 bp: the second derivatives of the model matter, and are there."""
    smile = fx_smile(model, expiries=("1Y",), is_market_strangle=is_market_strangle, volatility_error_max=0.01)
    quotes = [name for name in FX_QUOTES if name.endswith("1Y")]
    snapshot = snapshot_with(smile, FX_QUOTES)
    # At equal delta and volatility log-moneyness does not know the spot: its row of the smile would be rounding.
    assert largest_error(snapshot, "fx_volatility/EURUSD", [*quotes, "EUR.OIS.2Y", "XCCY.2Y"]) <= 1e-6


@pytest.mark.parametrize("model", ["spline", "sabr", "svi"])
def test_strike_quotes_and_forward_move_the_smile_as_bumps_do(model: SmileModel) -> None:
    volatilities = {f"ACME.VOL.1Y.{place}": v for place, v in enumerate((0.42, 0.36, 0.335, 0.31, 0.30, 0.29, 0.295))}
    snapshot = snapshot_with(equity_smile(model, volatility_error_max=0.02), volatilities)
    assert largest_error(snapshot, "equity_volatility/ACME", [*volatilities, "ACME", "ACME.1Y", "EUR.OIS.1Y"]) <= 1e-6
