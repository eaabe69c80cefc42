"""A suitability tile: some clients judged over the vectors of all instruments.

Every tile reads the same vectors, so they are put together once a process and kept in the memo: market and stress P&Ls
by instrument, and what is known of the instruments. The key names all the numbers depend on: the blobs, and which rows
were used, since a row may lack a number in one run (its worker was killed) and have it in the next.

An instrument has a number where its row was used under every scenario; a row that is quarantined, in part or whole, has
none, and neither do the clients that hold it.

Columns: docs/tile-outputs.md. Memory: the vectors, 8 bytes an instrument and scenario, and a tile's clients.
"""

from __future__ import annotations

import datetime as dt
from typing import cast

import msgspec
import numpy as np
import numpy.typing as npt

from xip_core.graph.plan import ClientInputs, Node, NodeKind, Plan
from xip_core.kernels import suitability as kernel
from xip_core.model.clients import ClientTable, decode_clients
from xip_core.model.suitability import ProfileTable, decode_instruments, decode_profiles
from xip_core.pricing.polling import poll
from xip_core.pricing.tile import TileData, TileValue
from xip_core.pricing.vectors import Vector, read_vector, vector_block
from xip_core.risk.suitability import Parameters, compiled, instrument_vectors, judge_clients, parameters


class Shared(msgspec.Struct, frozen=True, eq=False):
    """What all tiles of a run judge by."""

    instruments: kernel.Instruments
    given: Parameters


def suitability_tile(plan: Plan, node: Node, tile: int, data: TileData) -> TileValue:
    """
    Verdicts and numbers of the clients of one tile.

    Raises:
        XipError: a tile of the instruments' vectors was given up.
    """
    inputs = plan.clients
    assert inputs is not None, node.name
    vector = plan.nodes[node.inputs[0].node_id]
    key = ("suitability", plan.first_source.input_digests, inputs, _used_rows(vector, data))
    poll()
    profiles = _profiles(inputs, data)
    shared = cast(Shared, data.memo(key, lambda: _shared(plan, read_vector(vector, data), profiles, data)))
    clients = _clients(inputs, data)
    begin, end = node.row_range(tile)
    judged = judge_clients(shared.instruments, clients, begin, end, profiles, shared.given, poll)
    detail = {
        "client": np.arange(begin, end, dtype="<i4"),
        "verdict": judged.verdict,
        "binding": judged.binding,
        "client_status": judged.status,
        "missing": judged.missing.astype("<i4"),
        "numbers": judged.numbers,
    }
    return TileValue(output={}, detail=detail, cell_count=end - begin)


def _used_rows(vector: Node, data: TileData) -> tuple[bytes, ...]:
    """Which rows have a number under which scenarios, a bit each: 125 kB for 2,000 instruments and 500 scenarios."""
    blocks = (vector_block(vector, tile, data) for tile in range(vector.tile_count))
    return tuple(np.packbits(block["rows_used"] == block["rows_expected"][:, None]).tobytes() for block in blocks)


def _shared(plan: Plan, vector: Vector, profiles: ProfileTable, data: TileData) -> Shared:
    inputs = plan.clients
    assert inputs is not None
    source = plan.first_source
    terms = decode_instruments(data.blob(inputs.instruments_digest))
    is_stress = np.zeros(vector.pnl.shape[1], bool)
    is_stress[list(inputs.stress)] = True
    is_market = ~is_stress
    is_market[0] = False
    group = _group_of_row(plan, len(terms))
    is_valued = group >= 0
    has_number = is_valued & (vector.rows_used == 1).all(axis=1)[group] & (vector.rows_expected == 1)[group]
    pv, pnl = vector.base[group, 0], vector.pnl[group]
    poll()
    vectors = instrument_vectors(
        terms,
        pv,
        pnl[:, is_market],
        pnl[:, is_stress],
        has_number,
        dt.date.fromisoformat(source.as_of),
        source.base_currency,
    )
    return Shared(compiled(vectors), parameters(profiles, int(is_market.sum()), inputs.span_years))


def _group_of_row(plan: Plan, row_count: int) -> npt.NDArray[np.int64]:
    """Leaf group of each row of the book; -1 of one that planning refused."""
    group = np.full(row_count, -1, np.int64)
    for node in plan.nodes:
        if node.kind is NodeKind.VALUE:
            group[np.frombuffer(node.rows, "<i4")] = np.frombuffer(node.groups, "<i4")
    return group


def _profiles(inputs: ClientInputs, data: TileData) -> ProfileTable:
    digest = inputs.profiles_digest
    return cast(ProfileTable, data.memo(("profiles", digest), lambda: decode_profiles(data.blob(digest))))


def _clients(inputs: ClientInputs, data: TileData) -> ClientTable:
    digest = inputs.clients_digest
    return cast(ClientTable, data.memo(("clients", digest), lambda: decode_clients(data.blob(digest))))
