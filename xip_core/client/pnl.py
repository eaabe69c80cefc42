"""P&L explain as a custom graph: the book at the beginning along its market's moves, on the rolled market, at the end.

    moves = moves_between(decode_snapshot(begin), decode_snapshot(end))
    graph = explain_graph(book, begin, rolled, end, moves, by="desk")
    tables = client.tables(client.submit_graph(graph).run_id)
    explained_of(tables, moves)                    parts by desk

Three sources of one book: they share what is equal. Beginning and rolled market differ in the date alone, so the carry
is what a day brings when no quote moves (`pricing.roll`). Cash paid in between is not known here: it is missing in the
value at the end and on the rolled market alike, so it is in the total and in the carry.

A P&L is of the same trades at both ends. A group whose trades do not have numbers in all valuations is not explained:
it is listed with its counts. Only trades that mature in between, which have no number on the rolled market, may be
fewer at the end: their value leaves the total through the carry, as cash does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from xip_core.client.graph import Graph
from xip_core.client.tables import AggregateTable, Key
from xip_core.errors import RequestError
from xip_core.model.scenario import base_only, encode_scenarios
from xip_core.risk.explain import Directions, Explained, explain_directions
from xip_core.risk.measures import Floats
from xip_core.scenarios.moves import JOINT, Moves

BEGIN, MOVED, ROLLED, END = "pv begin", "pnl moved", "pv rolled", "pv end"


class ExplainTable(msgspec.Struct, frozen=True, eq=False):
    """The P&L of K groups, split.

    Attributes:
        by: hierarchy keys. keys: labels of each group.
        parts: total, carry, delta, gamma, vega, residual and its share, (K,) each.
        by_class: delta, and under VOLATILITY vega, of each risk class that moved, (K,).
        rows_used, rows_expected: (K,); the smallest number of trades that have a value in the beginning, under the
            moves, rolled and at the end.
        unexplained: groups whose trades do not have numbers wherever they need them, and how many have.
    """

    by: tuple[str, ...]
    keys: tuple[Key, ...]
    parts: Explained
    by_class: Mapping[str, Floats]
    rows_used: np.ndarray
    rows_expected: np.ndarray
    unexplained: tuple[tuple[Key, str], ...]


def explain_graph(
    book: bytes, begin: bytes, rolled: bytes, end: bytes, moves: Moves, by: Sequence[str] | str = ()
) -> Graph:
    """
    Args:
        begin, rolled, end: market snapshots; *rolled* is the beginning's on the end's date.

    Raises:
        RequestError: as `Graph`'s methods.
    """
    graph, alone = Graph(), encode_scenarios(base_only())
    keys = (by,) if isinstance(by, str) else tuple(by)
    moved = graph.value(book, begin, encode_scenarios(moves.scenarios), name="begin")
    graph.reduce("sum", moved, by=keys, name=BEGIN)
    graph.reduce("sum", graph.value(book, rolled, alone, name="rolled"), by=keys, name=ROLLED)
    graph.reduce("sum", graph.value(book, end, alone, name="end"), by=keys, name=END)
    if moves.directions:
        graph.reduce("pnl", moved, by=keys, name=MOVED)
    return graph


def explained_of(tables: Mapping[str, AggregateTable], moves: Moves) -> ExplainTable:
    """
    Raises:
        RequestError: NOT_EXPLAINED, a table is missing: its node was given up.
        ArgumentError: a part is not finite.
    """
    wanted = (BEGIN, ROLLED, END, *((MOVED,) if moves.directions else ()))
    lost = [name for name in wanted if name not in tables]
    if lost:
        raise RequestError("NOT_EXPLAINED", f"the run must have the tables {', '.join(wanted)}, missing {lost[0]}")
    rows = {name: {key: at for at, key in enumerate(tables[name].keys)} for name in wanted}
    everywhere = dict.fromkeys(key for name in wanted for key in tables[name].keys)
    used = {
        key: {name: int(tables[name].rows_used[rows[name][key]]) if key in rows[name] else 0 for name in wanted}
        for key in everywhere
    }
    keys = tuple(key for key in everywhere if all(key in found for found in rows.values()) and _is_whole(used[key]))
    at = {name: np.array([rows[name][key] for key in keys], np.int64) for name in wanted}
    pv = {name: tables[name].columns["pv"][at[name]] for name in (BEGIN, ROLLED, END)}
    along = _directions(tables[MOVED].columns["pnl"][at[MOVED]], moves) if moves.directions else _still(len(keys))
    parts, by_class = explain_directions(pv[BEGIN], pv[END], pv[ROLLED], np.zeros(len(keys)), along)
    return ExplainTable(
        by=tables[BEGIN].aggregate.by,
        keys=keys,
        parts=parts,
        by_class=by_class,
        rows_used=np.minimum.reduce([tables[name].rows_used[at[name]] for name in wanted]),
        rows_expected=np.maximum.reduce([tables[name].rows_expected[at[name]] for name in wanted]),
        unexplained=tuple((key, _counts(used[key])) for key in everywhere if key not in keys),
    )


def _is_whole(used: Mapping[str, int]) -> bool:
    """Those of the beginning are counted over all its scenarios; none may come back when only the date moves."""
    begin, rolled = used[BEGIN], used[ROLLED]
    return 0 < rolled <= begin and used[END] == rolled and used.get(MOVED, begin) == begin


def _counts(used: Mapping[str, int]) -> str:
    return "trades with a number: " + ", ".join(f"{count} {name}" for name, count in used.items())


def _directions(pnl: Floats, moves: Moves) -> Directions:
    """Of P&Ls (K, S) whose columns are up and down of each direction."""
    up = {name: pnl[:, 2 * at] for at, name in enumerate(moves.directions)}
    down = {name: pnl[:, 2 * at + 1] for at, name in enumerate(moves.directions)}
    nothing = np.zeros(len(pnl))
    joint_up, joint_down = up.pop(JOINT, nothing), down.pop(JOINT, nothing)
    return Directions(up, down, joint_up, joint_down, moves.step)


def _still(count: int) -> Directions:
    return Directions({}, {}, np.zeros(count), np.zeros(count), 1.0)
