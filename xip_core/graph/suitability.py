"""Suitability of clients as a plan: the instruments' book as a risk graph, and behind it one node of clients.

    resolve, calibrate, value ──> reduce, every trade a leaf group of its own ──> suitability (tile k: n clients)

So the vectors are those of any run: what an instrument is worth under each scenario, with how many rows were used, 1 or
0. A suitability tile reads all of them and n clients (`pricing.suitability_tile`). Clients are numbered behind the rows
of the book, so a row number means one row or one client wherever it stands; a client is one cell.

Everything is judged here, before anything is stored: limits, instruments against the book, references of the clients,
the stress pack, whether the scenarios are enough for the VaR. A bad trade is not: it becomes an instrument without a
number.
"""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Callable

import msgspec

from xip_core.errors import ArgumentError, NotFoundError, RequestError
from xip_core.graph import cost
from xip_core.graph.plan import ClientInputs, InputRef, Node, NodeKind, Plan
from xip_core.graph.risk_graph import RiskGraph, plan_graph
from xip_core.kernel_versions import OPERATION_VERSIONS, SUITABILITY_OPERATION, requirements
from xip_core.model.clients import check_references, decode_clients
from xip_core.model.run_spec import SuitabilityWork
from xip_core.model.scenario import decode_scenarios
from xip_core.model.suitability import InstrumentTerms, decode_instruments, decode_profiles
from xip_core.model.trade_labels import TRADE
from xip_core.model.unreadable import UNREADABLE
from xip_core.risk.quantiles import check_scenario_count

Blob = Callable[[str], bytes]

VECTOR_CELLS_MAX = 64 << 20
"""Instruments x scenarios that every worker holds: 512 MiB."""

SPAN_YEARS_MAX = 100.0


def plan_suitability(work: SuitabilityWork, blob: Blob) -> Plan:
    """
    Raises:
        RequestError: as `planner.plan_run` of the book; BAD_PROFILES, BAD_INSTRUMENTS, BAD_CLIENTS, UNKNOWN_PROFILE,
            UNKNOWN_INSTRUMENT, NO_STRESS, TOO_FEW_SCENARIOS, BAD_SPAN, BLOB_MISSING, TOO_LARGE.
    """
    profiles = decode_profiles(_uploaded(blob, "profiles", work.profiles_digest))
    instruments = decode_instruments(_uploaded(blob, "instruments", work.instruments_digest))
    clients = decode_clients(_uploaded(blob, "clients", work.clients_digest))
    check_references(clients, len(profiles.profiles), len(instruments))
    stress = _stress_scenarios(work, _uploaded(blob, "scenarios", work.scenarios_digest), profiles.confidence)
    _check_book(instruments, _uploaded(blob, "book", work.book_digest))
    plan = plan_graph(RiskGraph(works=(work.source,), names=("",), keys=(TRADE,), is_by_trade=True), blob)
    vector = plan.nodes[-1]
    if len(instruments) * vector.scenario_count > VECTOR_CELLS_MAX:
        got = f"{len(instruments)} x {vector.scenario_count}"
        raise RequestError("TOO_LARGE", f"instruments x scenarios must be at most {VECTOR_CELLS_MAX}, got {got}")
    node = _client_node(plan, clients.client_count, len(clients.quantity))
    return msgspec.structs.replace(
        plan,
        nodes=(*plan.nodes, node),
        cell_count=plan.cell_count + clients.client_count,
        clients=ClientInputs(
            instruments_digest=work.instruments_digest,
            clients_digest=work.clients_digest,
            profiles_digest=work.profiles_digest,
            span_years=work.span_years,
            stress=stress,
        ),
    )


def _client_node(plan: Plan, client_count: int, position_count: int) -> Node:
    vector = plan.nodes[-1]
    client_s = cost.client_s(vector.scenario_count, position_count / client_count)
    per_tile = min(client_count, cost.clients_per_tile(client_s))
    return Node(
        node_id=len(plan.nodes),
        name="suitability",
        kind=NodeKind.SUITABILITY,
        kernel=SUITABILITY_OPERATION,
        kernel_version=OPERATION_VERSIONS[SUITABILITY_OPERATION],
        kernels=requirements(SUITABILITY_OPERATION),
        tile_count=-(-client_count // per_tile),
        cost_s=per_tile * client_s,
        inputs=(InputRef(vector.node_id),),
        row_count=client_count,
        rows_per_tile=per_tile,
        scenario_count=1,
        scenarios_per_tile=1,
        row_begin=plan.first_source.row_count,
    )


def _stress_scenarios(work: SuitabilityWork, scenarios: bytes, confidence: float) -> tuple[int, ...]:
    """Positions of the stress pack; all others but the base are market scenarios."""
    if not (math.isfinite(work.span_years) and 0.0 < work.span_years <= SPAN_YEARS_MAX):
        sentence = f"a market scenario must span above 0 and at most {SPAN_YEARS_MAX:g} years, got {work.span_years}"
        raise RequestError("BAD_SPAN", sentence)
    names = [scenario.name for scenario in decode_scenarios(scenarios).scenarios]
    stress = tuple(at for at, name in enumerate(names) if at and fnmatch.fnmatchcase(name, work.stress))
    if not stress:
        sentence = f"stress must name at least one scenario beside the base, got {work.stress!r:.100}"
        raise RequestError("NO_STRESS", sentence)
    try:
        check_scenario_count(len(names) - 1 - len(stress), confidence)
    except ArgumentError as error:
        sentence = f"{error}: those that are neither the base nor stress"
        raise RequestError(error.reason, sentence) from None
    return stress


class _Id(msgspec.Struct, frozen=True):
    id: str


_id_decoder = msgspec.json.Decoder(_Id)


def _check_book(instruments: tuple[InstrumentTerms, ...], book: bytes) -> None:
    """
    Instrument i must be row i of the book; a line whose id cannot be read is some trade that has no number.

    Raises:
        RequestError: BAD_INSTRUMENTS.
    """
    lines = book.removesuffix(b"\n").split(b"\n")
    if len(lines) != len(instruments):
        sentence = f"instruments must be the rows of the book, {len(lines)}, got {len(instruments)}"
        raise RequestError("BAD_INSTRUMENTS", sentence)
    for row, (line, item) in enumerate(zip(lines, instruments, strict=True)):
        try:
            trade_id = _id_decoder.decode(line).id
        except UNREADABLE:
            continue
        if trade_id != item.id:
            sentence = f"instrument {row} must be row {row} of the book, {trade_id!r:.100}, got {item.id!r:.100}"
            raise RequestError("BAD_INSTRUMENTS", sentence)


def _uploaded(blob: Blob, what: str, digest: str) -> bytes:
    try:
        return blob(digest)
    except NotFoundError:
        sentence = f"{what}_digest must name an uploaded blob, got {digest!r}, which is not here"
        raise RequestError("BLOB_MISSING", sentence) from None
