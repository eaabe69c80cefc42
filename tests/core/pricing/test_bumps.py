"""xip_core.pricing.bumps and ladders: columns against bump-and-recalibrate and against formulas; sums and splits."""

from __future__ import annotations

import json

import msgspec
import numpy as np
import pytest

from tests.core.pricing.test_inflation import an_inflation_market
from tests.core.small_market import a_snapshot, curves
from xip_core import samples
from xip_core.errors import FailureReason
from xip_core.model.market import IsdaModel, Snapshot, decode_snapshot
from xip_core.model.market_instruments import Pillar
from xip_core.model.sensitivity import CrossGamma, Expansion, Ladder, SensitivitySet, expand
from xip_core.model.sensitivity_kinds import Kind
from xip_core.pricing.bumps import bump_tile
from xip_core.pricing.calibrate import calibrator_of
from xip_core.pricing.calibrate_failures import decode_failures
from xip_core.pricing.market_layout import SnapshotLayout
from xip_core.pricing.resolve import decode_rows, resolve_rows
from xip_core.pricing.tile_market import MarketView
from xip_core.pricing.value import row_values
from xip_core.risk.ladder import LadderRow, combine, ladder_rows

Floats = np.ndarray


def expanded(snapshot: Snapshot, *ladders: Ladder, cross_gammas: tuple[CrossGamma, ...] = ()) -> Expansion:
    return expand(SensitivitySet(ladders=ladders, cross_gammas=cross_gammas), snapshot)


def market_of(snapshot: Snapshot, expansion: Expansion, layout: SnapshotLayout | None = None) -> Floats:
    return bump_tile(snapshot, layout or SnapshotLayout(snapshot), expansion, 0, len(expansion.columns))["market"]


def recalibrated(expansion: Expansion) -> Expansion:
    """The same columns, every one calibrated again."""
    columns = (msgspec.structs.replace(column, is_recalibrated=True) for column in expansion.columns)
    return msgspec.structs.replace(expansion, columns=tuple(columns))


def slopes(market: Floats) -> Floats:
    """Central differences of every factor, (F, bumps), of an expansion with two columns a bump."""
    found: Floats = (market[:, 1::2] - market[:, 2::2]) / 2.0
    return found


def an_isda_market() -> Snapshot:
    """The small market, its hazard curve by the ISDA standard model from upfronts."""
    hazard = msgspec.structs.replace(
        a_snapshot().hazards[0],
        cds_spreads=(),
        isda=IsdaModel(upfronts=(Pillar("2019-03-20", "UP.3Y"), Pillar("2021-03-20", "UP.5Y"))),
    )
    return a_snapshot({"UP.3Y": 0.01, "UP.5Y": 0.03}, hazards=(hazard,))


# ---- par quotes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "name", "market"),
    [
        ("par_rate", "EUR1D", "small"),  # deposits and overnight swaps
        ("par_rate", "EUR6M", "small"),  # FRAs and swaps under another curve's discounting
        ("par_rate", "USD6M", "small"),  # tenor basis
        ("par_rate", "USD-IN-EUR", "small"),  # cross-currency basis
        ("par_rate", "LENDING", "small"),  # zero spreads
        ("par_credit", "BANK", "small"),
        ("par_credit", "*", "isda"),
        ("par_rate", "EUR1D", "isda"),
        ("inflation", "*", "inflation"),
    ],
)
def test_quote_sensitivities_equal_bump_and_recalibrate(kind: Kind, name: str, market: str) -> None:
    """Every factor of every object within 1e-6 of the object's largest, for a hundredth of a basis point."""
    makers = {"small": a_snapshot, "isda": an_isda_market, "inflation": an_inflation_market}
    snapshot = makers[market]()
    layout = SnapshotLayout(snapshot)
    expansion = expanded(snapshot, Ladder(kind=kind, name=name, bump=0.01))
    found, expected = (slopes(market_of(snapshot, item, layout)) for item in (expansion, recalibrated(expansion)))
    assert np.abs(expected).max() > 1e-7
    for begin, end in layout.ranges.values():
        scale = np.abs(expected[begin:end]).max()
        np.testing.assert_allclose(found[begin:end], expected[begin:end], rtol=0.0, atol=1e-6 * scale + 1e-14)


def sample_rows(*types: str) -> tuple[Snapshot, list[bytes]]:
    """Three trades of each type of the sample, and its market."""
    sample = samples.load("cross-asset")
    lines = sample.book.strip().split(b"\n")
    of_type = {name: [line for line in lines if json.loads(line)["type"] == name][:3] for name in types}
    return decode_snapshot(sample.market), [line for name in types for line in of_type[name]]


def test_par_ladders_of_trades_equal_bump_and_recalibrate() -> None:
    """A basis point on every rate of three currencies, 1e-6 of a trade's largest bucket."""
    snapshot, lines = sample_rows("swap", "fra", "fx_forward", "cds", "equity_forward")
    layout = SnapshotLayout(snapshot)
    columns = resolve_rows(decode_rows(lines), MarketView(layout))
    expansion = expanded(snapshot, Ladder(kind="par_rate", tenors=("1Y", "2Y", "5Y", "10Y", "20Y")))
    ladders = []
    for item in (expansion, recalibrated(expansion)):
        values = row_values(columns, market_of(snapshot, item, layout))
        ladders.append(combine(item, values - values[:, :1]))
    found, expected = ladders
    scale = np.abs(expected).max(axis=1, keepdims=True)
    assert scale.min() > 0.0
    np.testing.assert_array_less(np.abs(found - expected) / scale, 1e-6)


# ---- factors --------------------------------------------------------------------------------------------------------


def test_all_buckets_of_zero_rates_together_are_the_parallel_shift_of_dv01() -> None:
    snapshot = a_snapshot()
    layout = SnapshotLayout(snapshot)
    expansion = expanded(snapshot, Ladder(kind="zero_rate", scheme="forward"))
    tile = bump_tile(snapshot, layout, expansion, 0, len(expansion.columns))
    spread_begin, spread_end = layout.ranges["curve/LENDING"]
    moved = (tile["market"][:, 1:] - tile["market"][:, :1]).sum(axis=1)
    np.testing.assert_allclose(moved[spread_begin:spread_end], 1e-4, atol=1e-15)
    moved[spread_begin:spread_end] = 0.0  # the parallel shift leaves spreads alone
    np.testing.assert_allclose(moved, tile["dv01_shift"], atol=1e-15)


def test_a_monotone_convex_curve_moves_its_zero_rates_at_the_pillars() -> None:
    first, *others = curves()
    shaped = msgspec.structs.replace(first, interpolation="monotone_convex")
    snapshot = a_snapshot(curves=(shaped, *others))
    layout = SnapshotLayout(snapshot)
    slot = layout.curves["EUR1D"]
    assert slot.grid is not None
    expansion = expanded(snapshot, Ladder(kind="zero_rate", name="EUR1D", tenors=("2Y",), scheme="forward"))
    market = market_of(snapshot, expansion, layout)
    knots = slot.begin + slot.grid.knot_places
    years = (np.array(slot.knot_days) - layout.as_of_day) / 365.0
    np.testing.assert_allclose(market[knots, 1] - market[knots, 0], -1e-4 * years, atol=1e-14)


def test_hazard_rates_move_log_survival_by_minus_time() -> None:
    snapshot = a_snapshot()
    layout = SnapshotLayout(snapshot)
    ladder = Ladder(kind="hazard_rate", tenors=("parallel",), bump=5.0, scheme="forward")
    market = market_of(snapshot, expanded(snapshot, ladder), layout)
    slot = layout.hazards["BANK"]
    years = (np.array(slot.knot_days) - layout.as_of_day) / 365.0
    own = slice(slot.begin, slot.begin + len(years))
    np.testing.assert_allclose(market[own, 1] - market[own, 0], -5e-4 * years, atol=1e-15)


@pytest.mark.parametrize("kind", ["fx", "equity"])
def test_spots_move_by_percent_and_nothing_else_does(kind: Kind) -> None:
    snapshot = a_snapshot()
    layout = SnapshotLayout(snapshot)
    name = {"fx": "fx/USD", "equity": "equity/ACME"}[kind]
    ladder = Ladder(kind=kind, name=name, bump=3.0)
    market = market_of(snapshot, expanded(snapshot, ladder), layout)
    changed = np.flatnonzero((market[:, 1] != market[:, 0]) | (market[:, 2] != market[:, 0]))
    assert changed.tolist() == [layout.ranges[name][0]]
    np.testing.assert_allclose(np.exp(market[changed[0]] - market[changed[0], 0]), [1.0, 1.03, 0.97], rtol=1e-14)


def test_cash_dividends_keep_their_amounts_when_spot_or_rates_move() -> None:
    equity = msgspec.structs.replace(
        a_snapshot().equities[0], forwards=(), cash_dividends=(Pillar("6M", "DIV.6M"), Pillar("18M", "DIV.18M"))
    )
    snapshot = a_snapshot({"DIV.6M": 2.0, "DIV.18M": 3.0}, equities=(equity,), equity_volatilities=())
    layout = SnapshotLayout(snapshot)
    found = market_of(
        snapshot,
        expanded(snapshot, Ladder(kind="equity"), Ladder(kind="zero_rate", name="EUR1D", tenors=("parallel",))),
        layout,
    )
    spot, end = layout.ranges["equity/ACME"]
    up = {"ACME": 101.0}
    again, _ = calibrator_of(snapshot, layout).calibrate([up])
    np.testing.assert_allclose(found[spot:end, 1], again[spot:end, 0], atol=1e-13)
    moved = found[spot:end, 3] - found[spot:end, 0]
    assert moved[0] == 0.0
    assert (moved[1:] > 0.0).all()  # dividends are worth less, so more of the spot is left


# ---- volatilities, commodities --------------------------------------------------------------------------------------


def test_volatilities_move_as_their_quotes_do() -> None:
    snapshot = a_snapshot()
    layout = SnapshotLayout(snapshot)
    expansion = expanded(snapshot, Ladder(kind="vega", name="EURUSD"))
    again, _ = calibrator_of(snapshot, layout).calibrate([{"EURUSD.VOL.1Y": 0.13}, {"EURUSD.VOL.1Y": 0.11}])
    np.testing.assert_array_equal(market_of(snapshot, expansion, layout)[:, 1:3], again)


def test_a_volatility_that_falls_below_zero_fails_in_its_column_alone() -> None:
    snapshot = a_snapshot()
    expansion = expanded(snapshot, Ladder(kind="vega", name="ACME", bump=40.0))
    tile = bump_tile(snapshot, SnapshotLayout(snapshot), expansion, 0, 3)
    failures = decode_failures(tile["failures"])
    assert [(item.scenario, item.market_object, item.reason) for item in failures] == [
        (2, "equity_volatility/ACME", FailureReason.BAD_QUOTE)
    ]


def test_an_object_that_fails_in_the_base_is_listed_for_every_column() -> None:
    snapshot = a_snapshot({"BANK.5Y": "n/a"})
    expansion = expanded(snapshot, Ladder(kind="par_rate", name="USD3M"), Ladder(kind="par_credit"))
    tile = bump_tile(snapshot, SnapshotLayout(snapshot), expansion, 0, len(expansion.columns))
    failures = decode_failures(tile["failures"])
    assert {item.market_object for item in failures} == {"hazard/BANK"}
    assert [item.scenario for item in failures] == list(range(len(expansion.columns)))


def test_a_commodity_moves_all_its_prices_in_parallel() -> None:
    snapshot = a_snapshot()
    layout = SnapshotLayout(snapshot)
    ladder = Ladder(kind="commodity", tenors=("parallel",), bump=10.0, scheme="forward")
    market = market_of(snapshot, expanded(snapshot, ladder), layout)
    begin, end = layout.ranges["commodity/OIL"]
    np.testing.assert_allclose(market[begin:end, 1], [33.0, 44.0], rtol=1e-15)


# ---- blocks and sums ------------------------------------------------------------------------------------------------


def test_bytes_do_not_depend_on_the_split_into_blocks() -> None:
    snapshot = a_snapshot()
    kinds: tuple[Kind, ...] = ("zero_rate", "par_rate", "par_credit", "vega", "fx", "equity", "commodity")
    expansion = expanded(
        snapshot,
        *(Ladder(kind=kind) for kind in kinds),
        cross_gammas=(CrossGamma(first="fx/*", second="equity/*"),),
    )
    layout = SnapshotLayout(snapshot)
    whole = bump_tile(snapshot, layout, expansion, 0, len(expansion.columns))["market"]
    for width in (1, 7, 64):
        starts = range(0, len(expansion.columns), width)
        parts = [
            bump_tile(snapshot, layout, expansion, begin, min(begin + width, len(expansion.columns)))["market"]
            for begin in starts
        ]
        np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)


def test_columns_that_do_not_exist_are_refused() -> None:
    snapshot = a_snapshot()
    expansion = expanded(snapshot, Ladder(kind="fx"))
    with pytest.raises(ValueError, match=r"columns must be a range in \[0, 3\), got \[1, 4\)"):
        bump_tile(snapshot, SnapshotLayout(snapshot), expansion, 1, 4)


def test_differences_of_a_polynomial_are_its_derivatives() -> None:
    """f(x, y) = 3 x + 2 x^2 + 5 x y of the moves, bumps of 2 and 4 units."""
    snapshot = a_snapshot()
    expansion = expanded(
        snapshot,
        Ladder(kind="fx", bump=2.0, is_gamma=True),
        Ladder(kind="equity", name="ACME", bump=4.0),
        cross_gammas=(CrossGamma(first="fx/*", second="equity/*"),),
    )
    moves = np.zeros((2, len(expansion.columns)))
    for column, item in enumerate(expansion.columns):
        for number, sign in item.moves:
            moves[number, column] += sign * expansion.bumps[number].size
    x, y = moves
    values = np.stack([3.0 * x + 2.0 * x * x + 5.0 * x * y, y])
    np.testing.assert_allclose(combine(expansion, values), [[3.0, 4.0, 0.0, 5.0], [0.0, 0.0, 1.0, 0.0]], atol=1e-14)
    assert ladder_rows(expansion) == (
        LadderRow("fx", "fx", "delta", "fx/USD", "spot", "percent", 2.0),
        LadderRow("fx", "fx", "gamma", "fx/USD", "spot", "percent^2", 2.0),
        LadderRow("equity", "equity", "delta", "equity/ACME", "spot", "percent", 4.0),
        LadderRow("fx", "fx", "cross_gamma", "fx/USD", "spot", "percent*percent", 2.0, "equity/ACME", "spot"),
    )


def test_a_column_without_a_number_leaves_its_sensitivities_without_one() -> None:
    expansion = expanded(a_snapshot(), Ladder(kind="equity"))
    pnl = np.array([0.0, 1.0, -1.0, np.nan, 2.0])
    np.testing.assert_array_equal(combine(expansion, pnl), [1.0, np.nan])
    with pytest.raises(ValueError, match="pnl must have 5 columns, got 4"):
        combine(expansion, pnl[:4])
