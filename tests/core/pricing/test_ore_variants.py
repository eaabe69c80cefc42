"""Trades that stress conventions, against ORE 1.8.17 on the same quotes (tests/reference/README.md)."""

from __future__ import annotations

import functools
from typing import Any

import msgspec
import pytest

from tests.core.pricing.ore_reference import ORE, REPOSITORY, needs_ore
from xip_core.model.trade import Trade
from xip_core.pricing import Calculation, calculate
from xip_core.readers.ore_market import read_ore_market

pytestmark = needs_ore

OF_NOTIONAL = 1e-10
REACHED = {  # where it is not OF_NOTIONAL
    "CMPFED2": 2e-7,  # under a lookback logs of growths are weighted by days, not the rates (pricing.resolve_legs)
}


class Variant(msgspec.Struct, frozen=True):
    npv_base: float
    notional_base: float
    trade: Trade


@functools.cache
def variants() -> dict[str, Variant]:
    lines = (REPOSITORY / "tests" / "reference" / "ore_variants.jsonl").read_bytes().splitlines()
    decoded = [msgspec.json.decode(line, type=Variant) for line in lines]
    return {variant.trade.id: variant for variant in decoded}


@functools.cache
def values() -> Calculation:
    return calculate([variant.trade for variant in variants().values()], read_ore_market(ORE))


@pytest.mark.parametrize("trade_id", variants())
def test_the_variant_has_the_value_ore_gives(trade_id: str) -> None:
    result: Any = values()
    row, variant = result.trade_ids.index(trade_id), variants()[trade_id]
    assert result.status[row, 0] == 0, result.failures.get(trade_id)
    difference = abs(result.pv[row, 0] - variant.npv_base)
    assert difference <= REACHED.get(trade_id, OF_NOTIONAL) * variant.notional_base
