"""graph.suitability and pricing.suitability_tile: clients judged over the vectors of a run."""

from __future__ import annotations

import functools
from typing import Any

import msgspec
import numpy as np
import pytest

from tests.core.pricing.flat_market import a_snapshot
from tests.core.pricing.test_evaluate import Inputs, evaluate_all, good_book
from tests.core.pricing.test_properties import scenarios
from tests.core.risk.some_clients import a_profile, clients, profiles
from xip_core.errors import RequestError
from xip_core.graph.plan import NodeKind, Plan, decode_plan, digest_of
from xip_core.graph.planner import plan_run
from xip_core.graph.reuse import CLIENTS, compare
from xip_core.model.clients import ClientTable, encode_clients
from xip_core.model.market import encode_snapshot
from xip_core.model.run_spec import RunSpec, SuitabilityWork
from xip_core.model.scenario import encode_scenarios
from xip_core.model.suitability import (
    ClientStatus,
    InstrumentTerms,
    ProfileTable,
    Verdict,
    encode_instruments,
    encode_profiles,
)
from xip_core.model.trade import decode_head
from xip_core.pricing.book import calculate_work
from xip_core.pricing.tile import TileValue
from xip_core.risk.suitability import instrument_vectors, parameters, reference_numbers

STRESS_COUNT = 4
PROFILES = msgspec.structs.replace(
    profiles(a_profile(volatility=(0.005, 0.003)), a_profile("bold", knowledge_gap=1.0)), confidence=0.9
)


def stress_pattern() -> str:
    """Of the last scenarios, which are renamed for it."""
    return "stress *"


@functools.cache
def renamed_scenarios() -> bytes:
    given = scenarios()
    last = len(given.scenarios) - STRESS_COUNT
    named = tuple(
        msgspec.structs.replace(one, name=f"stress {at}") if at >= last else one
        for at, one in enumerate(given.scenarios)
    )
    return encode_scenarios(msgspec.structs.replace(given, scenarios=named))


def instruments_of(book: bytes) -> tuple[InstrumentTerms, ...]:
    return tuple(
        InstrumentTerms(
            id=decode_head(line).id, issuer=f"X{row % 5}", knowledge_class=row % 4, exposure=1e7 * (row + 1)
        )
        for row, line in enumerate(book.split(b"\n"))
    )


def some_clients(book: bytes) -> ClientTable:
    """With assets that positions of any sign leave above 0."""
    table = clients(client_count=60, instrument_count=book.count(b"\n") + 1)
    return msgspec.structs.replace(table, quantity=table.quantity * 1e-4, cash=table.cash + 20_000.0)


def planned(book: bytes, **change: Any) -> tuple[Plan, Inputs, SuitabilityWork]:
    """The plan of a suitability run over *book*; *change* replaces blobs by name, or fields of the work."""
    blobs: dict[str, bytes] = {
        "book": book,
        "market": encode_snapshot(a_snapshot()),
        "scenarios": renamed_scenarios(),
        "instruments": encode_instruments(instruments_of(good_book())),
        "clients": encode_clients(some_clients(book)),
        "profiles": encode_profiles(PROFILES),
    }
    blobs |= {name: value for name, value in change.items() if name in blobs}
    fields = {f"{name}_digest": digest_of(blob) for name, blob in blobs.items()}
    work = SuitabilityWork(
        **fields,
        base_currency="EUR",
        as_of="2024-01-15",
        span_years=0.04,
        stress=change.get("stress", stress_pattern()),
    )
    work = msgspec.structs.replace(
        work, **{name: value for name, value in change.items() if name not in blobs and name != "stress"}
    )
    inputs = Inputs({digest_of(blob): blob for blob in blobs.values()})
    return plan_run(RunSpec(name="test", work=work), inputs.blob), inputs, work


def judged(plan: Plan, inputs: Inputs) -> dict[str, np.ndarray]:
    values = evaluate_all(plan, inputs)
    tiles: list[TileValue] = [value for (node, _), value in values.items() if node == len(plan.nodes) - 1]
    return {name: np.concatenate([tile.detail[name] for tile in tiles]) for name in tiles[0].detail}


def test_clients_of_a_run_have_the_numbers_of_the_reference() -> None:
    book = good_book()
    plan, inputs, work = planned(book)
    found = judged(plan, inputs)
    table, terms = some_clients(book), instruments_of(book)
    source = msgspec.structs.replace(work.source, measures=("pv",))
    blobs = {digest: inputs.blob(digest) for digest in source_digests(work)}
    source = msgspec.structs.replace(source, detail=type(source.detail)("all"))
    pv = calculate_work(source, blobs, tuple(item.id for item in terms)).pv
    pnl, market_count = pv[:, 1:] - pv[:, :1], pv.shape[1] - 1 - STRESS_COUNT
    vectors = instrument_vectors(
        terms, pv[:, 0], pnl[:, :market_count], pnl[:, market_count:], np.isfinite(pv).all(axis=1), a_snapshot().as_of,
        "EUR",
    )  # fmt: skip
    given = parameters(PROFILES, market_count, 0.04)
    assert found["client"].tolist() == list(range(60))
    for client in range(60):
        expected, status, missing = reference_numbers(vectors, table, client, given)
        assert (found["client_status"][client], found["missing"][client]) == (status, missing)
        assert found["numbers"][client] == pytest.approx(expected, rel=1e-9, abs=1e-12, nan_ok=True)
    assert set(found["verdict"].tolist()) >= {Verdict.SUITABLE, Verdict.UNSUITABLE}


def source_digests(work: SuitabilityWork) -> tuple[str, ...]:
    return (work.book_digest, work.market_digest, work.scenarios_digest)


def test_every_cell_is_decided_once_and_no_detail_of_trades_travels() -> None:
    plan, inputs, work = planned(good_book())
    values = evaluate_all(plan, inputs)
    assert sum(value.cell_count for value in values.values()) == plan.cell_count
    assert all(not value.detail for (node, _), value in values.items() if plan.nodes[node].kind is NodeKind.VALUE)
    assert set(plan.input_digests) == {
        *source_digests(work),
        work.instruments_digest,
        work.clients_digest,
        work.profiles_digest,
    }
    assert decode_plan(plan.encode()) == plan


def test_clients_of_an_instrument_without_a_number_are_for_review() -> None:
    """Line 2 is no trade any more, and row 3 has no market: each stands in the quarantine, and nobody gets a number."""
    lines = good_book().split(b"\n")
    ids = [decode_head(line).id for line in lines]
    lines[2] = b"no trade"
    lines[3] = lines[3].replace(b'"EUR"', b'"XXX"')
    plan, inputs, _ = planned(b"\n".join(lines))
    found, table = judged(plan, inputs), some_clients(good_book())
    is_hit = np.array(
        [np.isin(table.instrument[table.begin[client] : table.begin[client + 1]], [2, 3]).any() for client in range(60)]
    )
    assert 0 < is_hit.sum() < 60, ids
    assert ((found["client_status"] == ClientStatus.MISSING_INSTRUMENT) == is_hit).all()
    assert (found["verdict"][is_hit] == Verdict.REVIEW).all()
    assert np.isnan(found["numbers"][is_hit]).all()
    assert np.isin(found["missing"][is_hit], [2, 3]).all()


def test_a_tile_has_the_bytes_of_its_clients_in_any_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = judged(*planned(good_book())[:2])
    monkeypatch.setattr("xip_core.graph.cost.CLIENTS_PER_TILE_MAX", 7)
    plan, inputs, _ = planned(good_book())
    assert plan.nodes[-1].tile_count == 9
    cut = judged(plan, inputs)
    assert {name: column.tobytes() for name, column in cut.items()} == {
        name: column.tobytes() for name, column in whole.items()
    }


def too_many_profiles() -> ProfileTable:
    return profiles(a_profile(volatility=0.1))


@pytest.mark.parametrize(
    ("change", "reason", "what"),
    [
        ({"stress": "nothing*"}, "NO_STRESS", "stress must name at least one scenario"),
        ({"stress": "*"}, "TOO_FEW_SCENARIOS", "got 0: those that are neither the base nor stress"),
        ({"span_years": 0.0}, "BAD_SPAN", "above 0"),
        ({"span_years": float("nan")}, "BAD_SPAN", "above 0"),
        ({"profiles": encode_profiles(too_many_profiles())}, "UNKNOWN_PROFILE", "one of the 1 given"),
        ({"profiles": b"{}"}, "BAD_PROFILES", "do not decode"),
        ({"clients": b"{}"}, "BAD_CLIENTS", "clients must be a MessagePack map"),
        ({"instruments": b'[{"id": "A"}]'}, "UNKNOWN_INSTRUMENT", "one of the 1 given"),
        ({"clients_digest": "00" * 32}, "BLOB_MISSING", "clients_digest must name an uploaded blob"),
        ({"as_of": ""}, "AS_OF_MISSING", "as_of"),
    ],
)
def test_what_makes_a_run_meaningless_is_refused_before_it_starts(
    change: dict[str, Any], reason: str, what: str
) -> None:
    with pytest.raises(RequestError, match=what) as refused:
        planned(good_book(), **change)
    assert refused.value.reason == reason


def test_instruments_must_be_the_rows_of_the_book() -> None:
    terms = instruments_of(good_book())
    with pytest.raises(RequestError, match=r"instrument 1 must be row 1 of the book"):
        planned(good_book(), instruments=encode_instruments((terms[0], terms[2], terms[1], *terms[3:])))
    extra = InstrumentTerms(id="one more")
    with pytest.raises(RequestError, match="instruments must be the rows of the book"):
        planned(good_book(), instruments=encode_instruments((*terms, extra)))


def test_verdicts_of_an_earlier_run_are_taken_over_only_for_the_same_clients_and_limits() -> None:
    """Whatever else changes, the instruments' vectors are the same and need no second valuation."""
    plan, inputs, _ = planned(good_book())
    again = compare(plan, plan, inputs.blob, {})
    assert all(node.same == ((0, node.tile_count),) for node in again.nodes)
    other_limits = profiles(a_profile(volatility=0.4), a_profile("bold", stress_loss=0.4))
    changes: dict[str, Any] = {
        "profiles": encode_profiles(msgspec.structs.replace(other_limits, confidence=0.9)),
        "clients": encode_clients(msgspec.structs.replace(some_clients(good_book()), cash=np.full(60, 1e6))),
        "stress": "stress 4*",
        "span_years": 0.05,
    }
    for name, change in changes.items():
        new, _, _ = planned(good_book(), **{name: change})
        *before, last = compare(plan, new, inputs.blob, {}).nodes
        assert all(node.same == ((0, node.tile_count),) for node in before), name
        assert (last.same, last.reasons) == ((), ((CLIENTS, last.tile_count),)), name


def test_many_instruments_are_cut_so_that_a_block_of_their_vectors_is_a_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As if a message held 7 scenarios of the book: the vector has as many blocks, and clients the same bytes."""
    whole = judged(*planned(good_book())[:2])
    count = good_book().count(b"\n") + 1
    monkeypatch.setattr("xip_core.graph.cost.REDUCED_CELLS_MAX", 7 * count)
    monkeypatch.setattr("xip_core.graph.cost.REDUCED_CELLS_OF_ONE_TILE", 7 * count)
    plan, inputs, _ = planned(good_book())
    vector = plan.nodes[-2]
    assert (vector.scenarios_per_tile, vector.tile_count) == (7, 6)
    cut = judged(plan, inputs)
    assert {name: column.tobytes() for name, column in cut.items()} == {
        name: column.tobytes() for name, column in whole.items()
    }
