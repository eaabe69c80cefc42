"""xip_core.samples.generated: drawn trades are sound, and do not depend on each other."""

from __future__ import annotations

import collections

import pytest

from xip_core.model.trade import ASSET_CLASS_OF, Swap, Trade, decode_head, decode_trade, encode_trade
from xip_core.samples.draws import AS_OF, Draw, business_day, eur_forward, par_rate
from xip_core.samples.generated import SHARES, generated_trades


@pytest.fixture(scope="module")
def trades() -> list[Trade]:
    return generated_trades(0, 1000)


def test_a_trade_depends_on_its_number_alone(trades):
    assert generated_trades(700, 20) == trades[700:720]


def test_a_generated_trade_reads_back_from_its_line(trades):
    assert [decode_trade(encode_trade(trade)) for trade in trades] == trades


def test_ids_are_distinct(trades):
    assert len({trade.id for trade in trades}) == len(trades)


def test_every_product_is_drawn_about_as_often_as_its_share_says(trades):
    counts = collections.Counter(trade.id.split("-")[0] for trade in trades)
    assert set(counts) == {prefix for _, prefix, _ in SHARES}
    for percent, prefix, _ in SHARES:
        assert 0.4 * percent < counts[prefix] / 10.0 < 1.9 * percent, prefix


def test_every_asset_class_is_there(trades):
    classes = {ASSET_CLASS_OF[decode_head(encode_trade(trade)).type] for trade in trades}
    assert classes == set(ASSET_CLASS_OF.values())


def test_swaps_end_in_the_future_and_a_third_of_them_began_in_the_past(trades):
    swaps = [trade for trade in trades if isinstance(trade, Swap)]
    starts = [swap.legs[0].schedule.start for swap in swaps]
    ends = [swap.legs[0].schedule.end for swap in swaps]
    assert all(end is not None and end > AS_OF for end in ends)
    assert 0.2 < sum(start is not None and start < AS_OF for start in starts) / len(swaps) < 0.4


def test_the_stream_of_a_number_is_the_one_the_sample_was_written_with():
    draw = Draw(123)
    assert [draw.whole(0, 999), draw.choice("abcdef"), draw.uniform(0.0, 1.0)] == [849, "f", 0.6976655866241019]


def test_days_are_business_days():
    draw = Draw(1)
    days = [draw.day_in(-12, 12, "TARGET") for _ in range(200)]
    assert all(business_day(day, "TARGET") == day for day in days)


def test_levels_run_linearly_between_their_knots():
    assert par_rate("EUR", 10.0) == 0.0069
    assert par_rate("EUR", 50.0) == 0.0115
    assert par_rate("USD", 3.5) == pytest.approx((0.0093 + 0.0124) / 2, abs=5e-5)
    assert eur_forward("EUR", 3.0) == 1.0
