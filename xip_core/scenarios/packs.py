"""Stress packs: named stresses as lines of a table, so that those who own them can read and change them.

Comma-separated values, a header first; each line is one shift, and the lines of one scenario are those with its name,
which stand together::

    scenario,target,name,kind,size,after,until
    rates up 100 bp,risk_class,INTEREST_RATE,bps,100,,
    steepener,currency,*,bps,-25,,2Y
    steepener,currency,*,bps,50,10Y,
    crash,equity,*,relative,-0.3,,
    crash,equity_volatility,*,absolute,0.15,,

*target*, *name* and the bounds are those of a `Shift` (`model.scenario` has the targets), *kind* is bps, relative,
absolute or factor. Bounds that no line uses may be left out of the header. Empty lines and lines that begin with # are
let pass.
"""

from __future__ import annotations

import csv
import io

import msgspec

from xip_core.errors import RequestError
from xip_core.model.scenario import Scenario, ScenarioSet, Shift
from xip_core.scenarios.grids import SIZE_FIELDS

REQUIRED = ("scenario", "target", "name", "kind", "size")
BOUNDS = ("after", "until", "tenor_after", "tenor_until")
NUMBERS = ("strike_from", "strike_until", "moneyness_from", "moneyness_until")


def parse_pack(text: str) -> ScenarioSet:
    """
    The base and the scenarios of a pack, in its order.

    Raises:
        RequestError: BAD_PACK with the line.
    """
    rows = [
        (number, [cell.strip() for cell in next(csv.reader(io.StringIO(line)))])
        for number, line in enumerate(text.splitlines(), start=1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if not rows:
        raise RequestError("BAD_PACK", "a stress pack must have a header and a line, got nothing")
    header = _header(*rows[0])
    shifts: dict[str, list[Shift]] = {}
    current = ""
    for number, cells in rows[1:]:
        if len(cells) != len(header):
            raise _bad(number, f"must have {len(header)} cells like the header, got {len(cells)}")
        fields = dict(zip(header, cells, strict=True))
        name = fields["scenario"]
        if not name or name == "base":
            raise _bad(number, f"a scenario must have a name other than base, got {name!r}")
        if name in shifts and name != current:
            raise _bad(number, f"lines of one scenario must stand together, {name!r} was there before")
        current = name
        shifts.setdefault(name, []).append(_shift(number, fields))
    if not shifts:
        raise RequestError("BAD_PACK", "a stress pack must have a line besides its header, got none")
    scenarios = (Scenario(name=name, shifts=tuple(found)) for name, found in shifts.items())
    return ScenarioSet(scenarios=(Scenario(name="base"), *scenarios))


def _header(number: int, header: list[str]) -> list[str]:
    known = (*REQUIRED, *BOUNDS, *NUMBERS)
    for name in header:
        if name not in known or header.count(name) > 1:
            raise _bad(number, f"columns must be of {', '.join(known)}, each once, got {name!r}")
    for name in REQUIRED:
        if name not in header:
            raise _bad(number, f"the header must have {', '.join(REQUIRED)}, {name!r} is not there")
    return header


def _shift(number: int, fields: dict[str, str]) -> Shift:
    if fields["kind"] not in SIZE_FIELDS:
        raise _bad(number, f"kind must be one of {', '.join(SIZE_FIELDS)}, got {fields['kind']!r}")
    given: dict[str, object] = {"target": fields["target"], "name": fields["name"]}
    given[SIZE_FIELDS[fields["kind"]]] = _number(number, "size", fields["size"])
    given |= {name: fields[name] for name in BOUNDS if fields.get(name)}
    given |= {name: _number(number, name, fields[name]) for name in NUMBERS if fields.get(name)}
    try:
        return msgspec.convert(given, Shift)
    except msgspec.ValidationError as error:
        raise _bad(number, str(error)) from None
    except RequestError as error:
        raise _bad(number, str(error)) from None


def _number(line: int, name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise _bad(line, f"{name} must be a number, got {text!r}") from None


def _bad(line: int, sentence: str) -> RequestError:
    return RequestError("BAD_PACK", f"stress pack, line {line}: {sentence}")
