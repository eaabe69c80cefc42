"""Historical scenario files of ORE (scenarios.csv): a time series of the factors of its simulation market.

A column is a key, "DiscountCurve/EUR/3": kind of factor, name, position among the tenors of simulation.xml. A row is a
day; its numbers are discount factors, survival probabilities and spot rates of that day. Read into

    a history    what was, by key (`read_ore_history`)
    a set        ten-day moves done to today (`ore_scenarios`): ratios of two days, by ORE's default return types; of
                 "log" and "relative" ones the ratio is all that counts
    a market     the simulation market as it stood on one day (`ore_scenario_market`)

Objects are those of a reduced market: a discount curve has the name of its currency, a forecast curve that of its
index, every other the name it has. Keys of objects the market does not have move nothing, as in ORE; their names are
in `OreScenarios.unread`.
"""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from xip_core.errors import InputError, RequestError
from xip_core.model.market import FxSpot, Snapshot
from xip_core.model.market_instruments import CurveDefinition, DiscountFactors, Pillar, RateIndex
from xip_core.model.scenario import ScenarioSet
from xip_core.model.scenario_table import ShiftTable, TableTarget, shift_table
from xip_core.model.simulation_grid import SimulationGrid
from xip_core.readers.ore_files import read_lines
from xip_core.readers.ore_indices import rate_index
from xip_core.readers.ore_tenors import moved_date
from xip_core.scenarios.historical import History, Horizon, historical

Floats = npt.NDArray[np.float64]

HEAD = ("Date", "Scenario", "Numeraire")
CURVE_KINDS = ("DiscountCurve", "IndexCurve", "YieldCurve")


class OreScenarios(msgspec.Struct, frozen=True):
    """
    Attributes:
        unread: keys that move nothing in the market.
    """

    scenarios: ScenarioSet
    unread: tuple[str, ...]


class _Key(msgspec.Struct, frozen=True):
    """DiscountCurve/EUR/3: kind, name and position."""

    kind: str
    name: str
    position: int


def read_ore_history(path: Path) -> History:
    """
    The file as a history by key; an empty cell is a missing number.

    Raises:
        InputError: with path and line.
        RequestError: BAD_HISTORY, dates that do not ascend or a key there twice.
    """
    lines = read_lines(path)
    number, text = next(lines, (1, ""))
    header = [cell.strip() for cell in next(csv.reader([text]), [])]
    if tuple(header[: len(HEAD)]) != HEAD or len(header) == len(HEAD):
        sentence = f"the first line must begin with {','.join(HEAD)} and name a key, got {text[:80]!r}"
        raise InputError(sentence, str(path), 1)
    dates: list[dt.date] = []
    rows: list[list[float]] = []
    for number, line in lines:
        cells = line.split(",")
        if len(cells) != len(header):
            sentence = f"a line must have {len(header)} cells like the first, got {len(cells)}"
            raise InputError(sentence, str(path), number)
        dates.append(_date(cells[0], path, number))
        rows.append([_number(cell, key, path, number) for cell, key in zip(cells[3:], header[3:], strict=True)])
    if not rows:
        raise InputError("must have a line of numbers, got none", str(path))
    return History(tuple(dates), tuple(header[3:]), np.array(rows))


def ore_scenarios(history: History, horizon: Horizon, grid: SimulationGrid, snapshot: Snapshot) -> OreScenarios:
    """
    Historical scenarios of the reduced market *snapshot*; a key without a number on either day stands still, as in ORE.

    Raises:
        RequestError: BAD_HISTORY, as `historical`; or a key has a position beyond the tenors.
    """
    whole = historical(history, horizon, missing="unmoved")
    (ratios,) = whole.shift_tables
    known = _known_names(snapshot)
    rows: dict[TableTarget, list[tuple[str, str, Floats]]] = {}
    unread: list[str] = []
    for text, sizes in zip(ratios.names, ratios.matrix(), strict=True):
        key = _key(text)
        target: TableTarget = "quote"
        name, tenor = "", ""
        if key.kind in CURVE_KINDS and key.name in known["curve"]:
            target, name, tenor = "discount", key.name, _tenor(grid.curves, key)
        elif key.kind == "SurvivalProbability" and key.name in known["hazard"]:
            target, name, tenor = "survival", key.name, _tenor(grid.hazards, key)
        elif key.kind == "EquitySpot":
            name = known["equity"].get(key.name, "")
        elif key.kind == "FXSpot":
            name = known["fx"].get(key.name, "")
            inverse = known["fx"].get(key.name[3:] + key.name[:3], "")
            name, sizes = (name, sizes) if name else (inverse, 1.0 / sizes)
        if name:
            rows.setdefault(target, []).append((name, tenor, sizes))
        else:
            unread.append(text)
    if not rows:
        raise RequestError("BAD_HISTORY", "a key of the history must be of an object of the market, got none")
    tables = tuple(_table(target, found) for target, found in rows.items())
    return OreScenarios(ScenarioSet(scenarios=whole.scenarios, tables=tables), tuple(unread))


def ore_scenario_market(
    history: History,
    as_of: dt.date,
    grid: SimulationGrid,
    base_currency: str,
    fx_spots: Sequence[FxSpot],
    quotes: Mapping[str, float],
    fixings: Mapping[str, dict[dt.date, float]],
) -> Snapshot:
    """
    The simulation market of the day *as_of*: its curves through the discount factors of that row, log-linear.

    Args:
        fx_spots, quotes: spot rates and their quotes. Those of the file carry fewer digits.
        fixings: by index; those of other indices are left out.

    Raises:
        RequestError: BAD_HISTORY, the history has no such day, or a discount factor is missing.
    """
    if as_of not in history.dates:
        raise RequestError("BAD_HISTORY", f"the history has no row of {as_of}")
    row = history.values[history.dates.index(as_of)]
    factors: dict[str, float] = {}
    pillars: dict[tuple[str, str], list[Pillar]] = {}
    for text, value in zip(history.names, row.tolist(), strict=True):
        key = _key(text)
        if key.kind in CURVE_KINDS:
            if not np.isfinite(value):
                raise RequestError("BAD_HISTORY", f"{text} must have a number on {as_of}, got none")
            factors[text] = value
            date = moved_date(as_of, _tenor(grid.curves, key))
            pillars.setdefault((key.kind, key.name), []).append(Pillar(date.isoformat(), text))
    discounted = [name for kind, name in pillars if kind == "DiscountCurve"]
    indices = tuple(index for kind, name in pillars if kind == "IndexCurve" for index in _index(name))
    curves = tuple(
        CurveDefinition(name=name, currency=name[:3], segments=(DiscountFactors(pillars=tuple(points)),))
        for (_, name), points in pillars.items()
    )
    return Snapshot(
        as_of=as_of,
        base_currency=base_currency,
        quotes={**factors, **quotes},
        fixings={index.name: fixings[index.name] for index in indices if index.name in fixings},
        indices=indices,
        curves=curves,
        discount_curves={currency: currency for currency in discounted},
        fx_spots=tuple(fx_spots),
    )


def _table(target: TableTarget, rows: list[tuple[str, str, Floats]]) -> ShiftTable:
    names, tenors = tuple(row[0] for row in rows), tuple(row[1] for row in rows)
    sizes = np.stack([row[2] for row in rows])
    if target == "quote":
        return shift_table("factor", names, sizes, moves_followers=True)
    return shift_table("factor", names, sizes, target=target, tenors=tenors)


def _known_names(snapshot: Snapshot) -> dict[str, dict[str, str]]:
    """Names by kind of object; of spots the quote behind each."""
    return {
        "curve": {curve.name: "" for curve in snapshot.curves},
        "hazard": {hazard.name: "" for hazard in snapshot.hazards},
        "equity": {equity.name: equity.spot_quote for equity in snapshot.equities},
        "fx": {spot.foreign_currency + spot.domestic_currency: spot.quote for spot in snapshot.fx_spots},
    }


def _index(name: str) -> Iterable[RateIndex]:
    found = rate_index(name, name)
    return () if found is None else (found,)


def _key(text: str) -> _Key:
    parts = text.split("/")
    if len(parts) < 3 or not parts[-1].isdigit():
        raise RequestError("BAD_HISTORY", f"a key must look like DiscountCurve/EUR/3, got {text!r}")
    return _Key(parts[0], "/".join(parts[1:-1]), int(parts[-1]))


def _tenor(tenors: Sequence[str], key: _Key) -> str:
    if key.position >= len(tenors):
        text = f"{key.kind}/{key.name}/{key.position}"
        raise RequestError("BAD_HISTORY", f"a position must be below the {len(tenors)} tenors, got {text}")
    return tenors[key.position]


def _date(text: str, path: Path, number: int) -> dt.date:
    """30/12/2019 or 2019-12-30."""
    cell = text.strip()
    try:
        if "/" in cell:
            day, month, year = (int(part) for part in cell.split("/"))
            return dt.date(year, month, day)
        return dt.date.fromisoformat(cell)
    except ValueError:
        raise InputError(f"a date must look like 30/12/2019 or 2019-12-30, got {cell!r}", str(path), number) from None


def _number(text: str, key: str, path: Path, number: int) -> float:
    if not text.strip():
        return float("nan")
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{key} must be a number, got {text!r}", str(path), number) from None
