"""xip_core.graph.kept: what planning keeps of blobs spares reading and cannot change a plan"""

from __future__ import annotations

import itertools

import msgspec
import pytest

from tests.core.graph.builders import AS_OF, Blobs, a_book, a_line, a_market, a_request, some_scenarios
from tests.core.small_market import a_snapshot
from xip_core.errors import RequestError
from xip_core.graph import kept
from xip_core.graph.kept import KEPT, Kept
from xip_core.graph.planner import plan_run
from xip_core.graph.reuse import compare
from xip_core.model.aggregates import Aggregate
from xip_core.model.market import decode_snapshot, encode_snapshot
from xip_core.model.run_spec import RunSpec
from xip_core.model.scenario import Scenario, ScenarioSet, Shift, encode_scenarios


@pytest.fixture(autouse=True)
def _nothing_kept() -> None:
    KEPT.clear()


def moved_spot(rate: float) -> bytes:
    snapshot = decode_snapshot(a_market())
    return encode_snapshot(msgspec.structs.replace(snapshot, quotes={"FX/EUR/USD": rate}))


def requests(blobs: Blobs) -> list[RunSpec]:
    """Every pair of a book and a market, under two sets of scenarios and with and without a hierarchy."""
    line = b'{"type": "swap", "id": "T2", "desk": "rates", "legs": [{"currency": "USD", "index": "X"}]}'
    other = b'{"type": "fx_option", "id": "T1", "desk": "fx", "bought_currency": "EUR"}'
    books = a_book(line, other), a_book(other, line, b"{")
    by_desk = (Aggregate(measure="sum", by=("desk",)),)
    return [
        a_request(blobs, book=book, market=market, scenarios=scenarios, aggregates=aggregates)
        for book, market, scenarios, aggregates in itertools.product(
            books, (a_market(), moved_spot(2.0)), (some_scenarios(3), some_scenarios(40)), ((), by_desk)
        )
    ]


def test_a_plan_is_the_same_to_the_byte_whatever_was_planned_before() -> None:
    blobs = Blobs()
    asked = requests(blobs)
    alone = []
    for request in asked:
        KEPT.clear()
        alone.append(plan_run(request, blobs.get).encode())
    assert len(set(alone)) == len(asked), "every request has a plan of its own"
    for order in (asked, asked[::-1]):
        after_others = [plan_run(request, blobs.get).encode() for request in order]
        assert after_others == (alone if order is asked else alone[::-1])


def test_a_tick_reads_neither_the_book_nor_the_scenarios_again() -> None:
    blobs = Blobs()
    read: list[str] = []

    def get(digest: str) -> bytes:
        read.append(digest)
        return blobs.get(digest)

    plan_run(a_request(blobs), get)
    assert len(set(read)) == 3
    read.clear()
    ticked = a_request(blobs, market=moved_spot(2.0))
    plan_run(ticked, get)
    assert read == [ticked.work.market_digest]  # type: ignore[union-attr]  # a risk run


def test_comparing_reads_nothing_that_planning_has_read_and_leaves_it_alone() -> None:
    blobs = Blobs()
    old, new = (plan_run(a_request(blobs, market=market), blobs.get) for market in (a_market(), moved_spot(2.0)))

    def refuse(digest: str) -> bytes:
        raise AssertionError(digest)

    comparison = compare(old, new, refuse, {})
    assert [change.name for change in comparison.markets[0].quotes] == ["FX/EUR/USD"]
    market = kept.market_of(old.market_digest, lambda: refuse(old.market_digest))
    assert encode_snapshot(market.snapshot) == a_market()


def test_scenarios_that_do_not_fit_are_refused_every_time() -> None:
    blobs = Blobs()
    shift = Shift(target="fx", name="EURJPY", shift_relative=0.1)
    wrong = encode_scenarios(ScenarioSet(scenarios=(Scenario(name="base"), Scenario(name="up", shifts=(shift,)))))
    for _ in range(2):
        with pytest.raises(RequestError, match="names nothing in the market"):
            plan_run(a_request(blobs, scenarios=wrong), blobs.get)


def test_a_shift_by_moneyness_is_held_against_the_spot_of_each_market() -> None:
    """OIL has volatilities at 30 and 40: at a spot of 30 one is at most at the money, at a spot of 1 none is."""
    blobs = Blobs()
    shift = Shift(target="commodity_volatility", name="OIL", shift_absolute=0.01, moneyness_until=1.0)
    low = encode_scenarios(ScenarioSet(scenarios=(Scenario(name="base"), Scenario(name="low", shifts=(shift,)))))
    near, far = encode_snapshot(a_snapshot()), encode_snapshot(a_snapshot({"OIL": 1.0}))
    request = a_request(blobs, market=near, scenarios=low, as_of=AS_OF)
    assert plan_run(request, blobs.get).cell_count
    with pytest.raises(RequestError, match="names nothing in the market"):
        plan_run(a_request(blobs, market=far, scenarios=low, as_of=AS_OF), blobs.get)


def test_the_least_recently_used_goes_when_there_is_no_room() -> None:
    small = Kept(size_bytes_max=10)
    made: list[str] = []

    def get(key: str, size_bytes: int) -> str:
        def make() -> tuple[str, int]:
            made.append(key)
            return key.upper(), size_bytes

        return small.get(key, make)

    assert [get("a", 4), get("b", 4), get("a", 4), get("c", 4)] == ["A", "B", "A", "C"]
    assert (made, small.size_bytes) == (["a", "b", "c"], 8)
    assert get("a", 4) == "A"
    assert get("b", 4) == "B", "it had to go"
    assert made == ["a", "b", "c", "b"]
    assert [get("huge", 11), get("huge", 11)] == ["HUGE", "HUGE"]
    assert (made[-2:], small.size_bytes) == (["huge", "huge"], 8), "too large to be kept, and nothing went for it"


def test_a_book_that_is_amended_is_another_book() -> None:
    blobs = Blobs()
    one, other = (plan_run(a_request(blobs, book=a_book(*lines)), blobs.get) for lines in LINES)
    assert [node.row_count for node in one.nodes if node.rows] != [node.row_count for node in other.nodes if node.rows]


LINES = ([a_line("A"), a_line("B", "cds")], [a_line("A"), a_line("B")])
