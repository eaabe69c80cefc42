"""Requests, books and markets of the smallest size that still is one."""

from __future__ import annotations

import datetime as dt
import json

import msgspec

from xip_core.errors import NotFoundError
from xip_core.graph.plan import Plan, digest_of
from xip_core.graph.planner import plan_run
from xip_core.model.market import FxSpot, Snapshot, encode_snapshot
from xip_core.model.run_spec import DEFAULT_MEASURES, RiskWork, RunSpec
from xip_core.model.scenario import Scenario, ScenarioSet, Shift, encode_scenarios

AS_OF = "2016-02-05"


def a_line(trade_id: str, trade_type: str = "swap") -> bytes:
    """Enough of a trade for a planner."""
    return json.dumps({"type": trade_type, "id": trade_id}).encode()


def a_book(*lines: bytes) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def a_book_of(trade_type: str, count: int) -> bytes:
    return a_book(*(a_line(f"T{row}", trade_type) for row in range(count)))


def a_market(as_of: str = AS_OF) -> bytes:
    """EUR and one FX rate."""
    spot = FxSpot(foreign_currency="EUR", domestic_currency="USD", quote="FX/EUR/USD")
    snapshot = Snapshot(
        as_of=dt.date.fromisoformat(as_of), base_currency="EUR", quotes={"FX/EUR/USD": 1.1323}, fx_spots=(spot,)
    )
    return encode_snapshot(snapshot)


def some_scenarios(count: int) -> bytes:
    """The base and *count* - 1 moves of the FX rate."""
    moves = (
        Scenario(name=f"s{i}", shifts=(Shift(target="fx", name="EURUSD", shift_relative=i / 1000.0),))
        for i in range(1, count)
    )
    return encode_scenarios(ScenarioSet(scenarios=(Scenario(name="base"), *moves)))


class Blobs:
    """Uploaded blobs; planning takes `blobs.get`."""

    def __init__(self) -> None:
        self._content: dict[str, bytes] = {}

    def put(self, data: bytes) -> str:
        digest = digest_of(data)
        self._content[digest] = data
        return digest

    def get(self, digest: str) -> bytes:
        try:
            return self._content[digest]
        except KeyError:
            raise NotFoundError(f"blob {digest} is not here") from None


def a_request(
    blobs: Blobs,
    book: bytes | None = None,
    market: bytes | None = None,
    scenarios: bytes | None = None,
    **changes: object,
) -> RunSpec:
    work = RiskWork(
        book_digest=blobs.put(book if book is not None else a_book(a_line("T1"))),
        market_digest=blobs.put(market if market is not None else a_market()),
        scenarios_digest=blobs.put(scenarios if scenarios is not None else some_scenarios(3)),
        measures=DEFAULT_MEASURES,
        base_currency="EUR",
        as_of=AS_OF,
    )
    return RunSpec(name="a run", work=msgspec.structs.replace(work, **changes))


def a_plan(**parts: object) -> Plan:
    """Plan of `a_request(**parts)`."""
    blobs = Blobs()
    return plan_run(a_request(blobs, **parts), blobs.get)  # type: ignore[arg-type]  # parts are a_request's
