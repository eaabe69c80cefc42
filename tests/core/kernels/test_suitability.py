"""xip_core.kernels.suitability: bytes for every split and CPU level, selection, refused arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.kernels.levels import LEVELS
from tests.core.risk.some_clients import clients, vectors
from xip_core.kernels.level import load_module


def arguments(begin: int, end: int, **sizes: int) -> dict[str, Any]:
    """Clients [begin, end) of the drawn ones, as the kernel takes them."""
    table = clients(**sizes)
    first, last = table.begin[begin], table.begin[end]
    return {
        "begin": table.begin[begin : end + 1] - first,
        "instrument": table.instrument[first:last],
        "quantity": table.quantity[first:last],
        "cash": table.cash[begin:end],
        "net_worth": table.net_worth[begin:end],
        "horizon": table.horizon_years[begin:end],
        "knowledge": table.knowledge[begin:end],
        "place": 1,
        "span_years": 0.04,
        "large_issuer_share": 0.05,
        "z": 1.96,
        "z_squared": 3.842,
    }


def columns(**sizes: int) -> dict[str, Any]:
    told = vectors(**sizes)
    return {name: getattr(told, name) for name in told.__struct_fields__}


def found(level: str, begin: int, end: int, market_count: int) -> tuple[np.ndarray, ...]:
    module = load_module("suitability", level)
    instruments = module.Instruments(**columns(market_count=market_count))
    result: tuple[np.ndarray, ...] = module.numbers(instruments, **arguments(begin, end))
    return result


@pytest.mark.parametrize("market_count", [2, 7, 8, 9, 60, 251])
def test_levels_and_splits_give_the_same_bytes(market_count: int) -> None:
    whole = found(LEVELS[0], 0, 40, market_count)
    for level in LEVELS:
        parts = [found(level, begin, end, market_count) for begin, end in ((0, 1), (1, 17), (17, 17), (17, 40))]
        for all_of_it, pieces in zip(whole, zip(*parts, strict=True), strict=True):
            assert np.concatenate(pieces).tobytes() == all_of_it.tobytes(), level


@given(st.lists(st.integers(-4, 4), min_size=2, max_size=40), st.data())
def test_the_selected_value_is_the_sorted_one(drawn: list[int], data: st.DataObject) -> None:
    """Small whole numbers: many are equal, which is where partitions go wrong."""
    place = data.draw(st.integers(0, len(drawn) - 1))
    told = columns(instrument_count=1, market_count=len(drawn))
    told |= {"market": np.array([drawn], np.float64), "pv": np.array([1.0])}
    module = load_module("suitability")
    asked = arguments(0, 1) | {
        "begin": np.array([0, 1]), "instrument": np.zeros(1, np.int32), "quantity": np.ones(1),
        "cash": np.array([1023.0]), "place": place,
    }  # fmt: skip
    numbers, status, _ = module.numbers(module.Instruments(**told), **asked)
    assert status.tolist() == [0]
    assert numbers[0, 1] == -sorted(drawn)[place] / 1024.0


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"begin": np.array([0, 1])}, "begin must run from 0"),
        ({"begin": np.array([0, 9, 5, *range(6, 44)])}, "must"),
        ({"net_worth": np.zeros(3)}, "the 40 clients of cash"),
        ({"quantity": np.zeros(3)}, "positions of instrument"),
        ({"place": 60}, r"place must lie in \[0, 60\)"),
        ({"place": -1}, "place must lie"),
        ({"span_years": 0.0}, "span_years above 0"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change: dict[str, Any], what: str) -> None:
    module = load_module("suitability")
    with pytest.raises(ValueError, match=what):
        module.numbers(module.Instruments(**columns()), **(arguments(0, 40) | change))


@pytest.mark.parametrize("strange", [-1, 50])
def test_an_instrument_that_is_not_there_is_refused(strange: int) -> None:
    module, asked = load_module("suitability"), arguments(0, 40)
    asked["instrument"] = asked["instrument"].copy()
    asked["instrument"][3] = strange
    with pytest.raises(ValueError, match=rf"must lie in \[0, 50\), got {strange} at 3"):
        module.numbers(module.Instruments(**columns()), **asked)


def test_offsets_that_fall_are_refused() -> None:
    module, asked = load_module("suitability"), arguments(0, 40)
    asked["begin"] = asked["begin"].copy()
    asked["begin"][5] = asked["begin"][6] + 1
    with pytest.raises(ValueError, match="begin must not decrease, it does after client 5"):
        module.numbers(module.Instruments(**columns()), **asked)


def test_instruments_must_have_finite_numbers_where_they_have_any() -> None:
    module, told = load_module("suitability"), columns()
    told["market"][7, 3] = np.nan
    with pytest.raises(ValueError, match="market must be finite where has_number is set"):
        module.Instruments(**told)
    told["has_number"][7] = 0
    module.Instruments(**told)
    with pytest.raises(ValueError, match="the 50 instruments of pv"):
        module.Instruments(**(told | {"sector": told["sector"][:49]}))
    with pytest.raises(ValueError, match="at least 2 market and 1 stress scenarios"):
        module.Instruments(**(told | {"stress": told["stress"][:, :0].copy()}))
