"""xip_core.pricing.vanilla: compiled rows are those of Python, to the byte, whatever is drawn."""

from __future__ import annotations

import datetime as dt
import functools
import random
import threading
from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.pricing import flat_market, smile_market
from tests.core.pricing.plain_trades import Draw, drawn_trades
from tests.core.pricing.some_bonds import a_bond
from xip_core import samples
from xip_core.errors import Failure, FailureReason
from xip_core.model.market import Security, Snapshot, decode_snapshot
from xip_core.model.trade import Trade, encode_trade
from xip_core.pricing.market_layout import SnapshotLayout
from xip_core.pricing.resolve import (
    RefusedTrade,
    decode_rows,
    json_value,
    resolve_rows,
    resolve_rows_in_python,
)
from xip_core.pricing.tile_market import MarketView
from xip_core.pricing.vanilla.program import PlainProgram


@functools.cache
def sample_book() -> list[Trade | RefusedTrade]:
    return decode_rows((samples.directory("cross-asset") / "book.jsonl").read_bytes().splitlines())


@functools.cache
def sample_snapshot() -> Snapshot:
    return decode_snapshot((samples.directory("cross-asset") / "market.json").read_bytes())


def of_single_deposits(snapshot: Snapshot) -> Snapshot:
    """Indices whose coupons are on the deposit of their own tenor, and a fixing that is no number."""
    indices = tuple(
        msgspec.structs.replace(index, is_par=False) if "LIBOR" in index.name else index for index in snapshot.indices
    )
    fixings = {name: dict(values) for name, values in snapshot.fixings.items()}
    last = max(fixings["EUR-EURIBOR-6M"])
    fixings["EUR-EURIBOR-6M"][last] = float("nan")
    return msgspec.structs.replace(snapshot, indices=indices, fixings=fixings)


def interpolated_otherwise(snapshot: Snapshot) -> Snapshot:
    """A market without plain curves in euro."""
    curves = tuple(
        msgspec.structs.replace(curve, interpolation="monotone_convex") if curve.name == "EUR1D" else curve
        for curve in snapshot.curves
    )
    return msgspec.structs.replace(snapshot, curves=curves)


@functools.cache
def view_of(market: str) -> MarketView:
    snapshot = {
        "sample": sample_snapshot,
        "single deposits": lambda: of_single_deposits(sample_snapshot()),
        "monotone convex": lambda: interpolated_otherwise(sample_snapshot()),
        "flat": flat_market.a_snapshot,
    }[market]()
    return MarketView(SnapshotLayout(snapshot))


def snapshot_of(market: str) -> Snapshot:
    return flat_market.a_snapshot() if market == "flat" else sample_snapshot()


def check_equal(rows: Sequence[Trade | RefusedTrade], view: MarketView) -> dict[str, np.ndarray]:
    """Every column of both ways: name, place, type, shape and bytes."""
    found, wanted = resolve_rows(rows, view), resolve_rows_in_python(rows, view)
    assert list(found) == list(wanted)
    for name, column in wanted.items():
        assert found[name].dtype == column.dtype, name
        assert found[name].shape == column.shape, name
        if found[name].tobytes() != column.tobytes():
            differing = np.flatnonzero(found[name] != column)[:5]
            raise AssertionError(f"{name} differs at {differing}: {found[name][differing]} {column[differing]}")
    return found


def left_of(rows: Sequence[Trade | RefusedTrade], view: MarketView) -> list[int]:
    """Rows that compiled resolving leaves to Python."""
    program = PlainProgram(view.plain, [b"" if isinstance(row, RefusedTrade) else encode_trade(row) for row in rows])
    program.read()
    program.prepare()
    program.resolve()
    return program.left()


def test_the_sample_book_has_the_columns_of_python():
    check_equal(sample_book(), view_of("sample"))


def test_nearly_all_of_the_sample_book_is_plain():
    """What is not: averages, rights on several days, inflation, stubs, lookbacks, resets, cash settlement."""
    assert len(left_of(sample_book(), view_of("sample"))) < 15


@pytest.mark.parametrize("market", ["sample", "single deposits", "monotone convex", "flat"])
@pytest.mark.parametrize("seed", [1, 2])
def test_drawn_books_have_the_columns_of_python(market, seed):
    rows = drawn_trades(random.Random(seed), snapshot_of(market), 250)
    columns = check_equal(rows, view_of(market))
    assert 0 < np.count_nonzero(columns["row_status"]) < 200  # some fail, with the same sentence, and most do not


@pytest.mark.long
@pytest.mark.parametrize("market", ["sample", "single deposits"])
def test_a_big_drawn_book_has_the_columns_of_python(market):
    check_equal(drawn_trades(random.Random(market), snapshot_of(market), 1500), view_of(market))


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from(["sample", "single deposits"]))
def test_whatever_is_drawn_has_the_columns_of_python(random_numbers, market):
    check_equal(drawn_trades(random_numbers, snapshot_of(market), 3), view_of(market))


def test_draws_are_of_every_kind_and_most_of_each_is_resolved_compiled():
    rows = drawn_trades(random.Random(3), sample_snapshot(), 2000)
    view = view_of("sample")
    left = set(left_of(rows, view))
    kinds = Counter(type(row).__name__ for row in rows)
    compiled = Counter(type(row).__name__ for place, row in enumerate(rows) if place not in left)
    assert set(kinds) == set(compiled)
    assert {kind for kind in kinds if compiled[kind] < 0.2 * kinds[kind]} == set()


def test_options_under_smiles_have_the_columns_of_python():
    smiles = (smile_market.fx_smile(), smile_market.equity_smile(expiries=("6M", "2Y")))
    snapshot = smile_market.a_snapshot(
        dict(smile_market.FX_QUOTES), smiles=smiles, fx_volatilities=(), equity_volatilities=()
    )
    view = MarketView(SnapshotLayout(snapshot))
    draw = Draw(random.Random(5), snapshot)
    rows = [make(f"T{place}") for place in range(150) for make in (draw.fx_option, draw.option, draw.fx_forward)]
    columns = check_equal(rows, view)
    assert len(columns["smile_option"]) > 50
    left = set(left_of(rows, view))
    assert sum(place not in left for place, row in enumerate(rows) if type(row).__name__ == "FxOption") > 30


def test_bonds_of_a_security_with_a_spread_have_the_columns_of_python_and_others_stay_compiled():
    securities = (Security(name="WIDE", spread_quote="WIDE"), Security(name="PLAIN", recovery_rate=0.3))
    view = MarketView(SnapshotLayout(flat_market.a_snapshot({"WIDE": 0.01}, securities=securities)))
    start, end = dt.date(2024, 1, 15), dt.date(2029, 1, 15)
    rows = [
        a_bond(start, end, id=f"{security} {curve}", security=security, credit_curve=curve)
        for security in ("WIDE", "PLAIN", "OTHER", "")
        for curve in ("", "ACME")
    ]
    assert check_equal(rows, view)["row_status"].tolist() == [0] * 8
    assert left_of(rows, view) == [0, 1]


def test_a_row_that_falls_back_is_put_among_its_neighbours():
    refused = RefusedTrade("no trade", Failure(FailureReason.BAD_TRADE, "not a trade"))
    rows = [refused, *sample_book()[:3], refused, *sample_book()[-3:], refused]
    columns = check_equal(rows, view_of("sample"))
    assert [place for place, _, _ in json_value(columns["failures"])] == [0, 4, 8]


def test_no_rows_have_columns_too():
    check_equal([], view_of("sample"))


def test_threads_that_resolve_against_one_new_view_get_the_same_columns():
    view = MarketView(SnapshotLayout(sample_snapshot()))
    wanted = resolve_rows_in_python(sample_book()[:400], view)
    found: list[dict[str, np.ndarray]] = []
    start = threading.Barrier(4)

    def run() -> None:
        start.wait()
        found.append(resolve_rows(sample_book()[:400], view))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for columns in found:
        assert {name: column.tobytes() for name, column in columns.items()} == {
            name: column.tobytes() for name, column in wanted.items()
        }
