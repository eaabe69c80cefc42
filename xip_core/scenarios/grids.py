"""Grids: every combination of the points of some axes, in the order of loops nested as the axes are given.

An axis is one shift in several sizes, such as spot -20 % .. +20 %. The point where every axis has its neutral size is
kept: it is the base, costs nothing, and a grid with a hole in its middle is no matrix. A grid is exclusive: axes that
move the same quote contradict each other.

Axes are written as `TARGET NAME KIND SIZES`::

    equity ACME relative -0.2:0.2:0.1               -20 %, -10 %, 0, 10 %, 20 %
    equity_volatility ACME absolute -0.05,0,0.05
    currency EUR bps -100,-50,0,50,100
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import get_args

import msgspec

from xip_core.errors import RequestError
from xip_core.model.scenario import Scenario, ScenarioSet, Shift, Target

POINT_COUNT_MAX = 100_000

SIZE_FIELDS = {"bps": "shift_bps", "relative": "shift_relative", "absolute": "shift_absolute", "factor": "shift_factor"}
"""Kinds as they are written."""


class Axis(msgspec.Struct, frozen=True):
    """One dimension of a grid: the same shift in several sizes.

    Attributes:
        label: what scenario names call it.
    """

    label: str
    shifts: tuple[Shift, ...]


def axis(label: str, target: str, name: str, kind: str, sizes: Sequence[float], **bounds: str | float) -> Axis:
    """
    Args:
        target: of `model.scenario.Target`.
        kind: "bps", "relative", "absolute" or "factor".
        bounds: fields of `Shift` that narrow it, such as after and until.

    Raises:
        RequestError: BAD_GRID or BAD_SCENARIO.
    """
    if target not in get_args(Target):
        raise _bad(f"a target must be one of {', '.join(get_args(Target))}, got {target!r}")
    if kind not in SIZE_FIELDS:
        raise _bad(f"a kind must be one of {', '.join(SIZE_FIELDS)}, got {kind!r}")
    if not sizes or len(set(sizes)) < len(sizes):
        raise _bad(f"axis {label!r} must have sizes, each once, got {list(sizes)}")
    fields = {"target": target, "name": name, **bounds}
    return Axis(label, tuple(msgspec.convert({**fields, SIZE_FIELDS[kind]: size}, Shift) for size in sizes))


def grid(axes: Sequence[Axis]) -> ScenarioSet:
    """
    The base and every combination of *axes*.

    Raises:
        RequestError: BAD_GRID, no axis, two of one label, or too many points.
    """
    labels = [one.label for one in axes]
    if not axes or len(set(labels)) < len(labels):
        raise _bad(f"a grid must have axes of distinct labels, got {labels}")
    point_count = math.prod(len(one.shifts) for one in axes)
    if point_count >= POINT_COUNT_MAX:
        raise _bad(f"a grid must have fewer than {POINT_COUNT_MAX} points, got {point_count}")
    scenarios = [Scenario(name="base")]
    for shifts in itertools.product(*(one.shifts for one in axes)):
        name = ", ".join(f"{label} {_size_text(shift)}" for label, shift in zip(labels, shifts, strict=True))
        scenarios.append(Scenario(name=name, shifts=shifts))
    return ScenarioSet(scenarios=tuple(scenarios), exclusive=True)


def parse_axis(text: str) -> Axis:
    """
    An axis as it is typed.

    Raises:
        RequestError: BAD_GRID.
    """
    words = text.split()
    if len(words) != 4:
        raise _bad(f"an axis must look like 'equity ACME relative -0.2:0.2:0.1', got {text!r}")
    target, name, kind, sizes = words
    return axis(f"{target} {name}", target, name, kind, parse_sizes(sizes))


def parse_sizes(text: str) -> tuple[float, ...]:
    """
    "-1,0,1", or "-0.2:0.2:0.1" from first to last by step, in decimals: 0.1 + 0.2 is 0.3.

    Raises:
        RequestError: BAD_GRID.
    """
    try:
        if ":" not in text:
            return tuple(float(Decimal(part)) for part in text.split(","))
        first, last, step = (Decimal(part) for part in text.split(":"))
    except (InvalidOperation, ValueError):
        raise _bad(f"sizes must look like -1,0,1 or first:last:step, got {text!r}") from None
    if not (first.is_finite() and last.is_finite() and step.is_finite()) or step <= 0 or last < first:
        raise _bad(f"sizes must go from first to last by a positive step, got {text!r}")
    count = int((last - first) / step) + 1
    if count > POINT_COUNT_MAX:
        raise _bad(f"an axis must have at most {POINT_COUNT_MAX} sizes, got {count}")
    return tuple(float(first + step * place) for place in range(count))


def _size_text(shift: Shift) -> str:
    if shift.shift_bps is not None:
        return f"{shift.shift_bps:+g} bp"
    if shift.shift_relative is not None:
        return f"{100.0 * shift.shift_relative:+.10g} %"
    if shift.shift_absolute is not None:
        return f"{shift.shift_absolute:+g}"
    return f"x {shift.shift_factor:g}"


def _bad(message: str) -> RequestError:
    return RequestError("BAD_GRID", message)
