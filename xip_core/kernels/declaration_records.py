"""The records a kernel is declared with, and the columns many kernels share."""

from __future__ import annotations

import msgspec


class Column(msgspec.Struct, frozen=True):
    """One input of a kernel: *domain* says which values a row may have; others are refused row by row."""

    name: str
    unit: str
    domain: str


class Output(msgspec.Struct, frozen=True):
    """One output of a kernel, float64 like every column."""

    name: str
    unit: str


class Kernel(msgspec.Struct, frozen=True):
    """One closed-form kernel: `module` and `function` name the compiled door."""

    name: str
    version: str
    summary: str
    columns: tuple[Column, ...]
    outputs: tuple[Output, ...]
    source: str
    module: str
    function: str


TIME = Column("time", "years", ">= 0")
VOLATILITY = Column("volatility", "per sqrt(year), 0.20 is 20 %", ">= 0")
DISCOUNT = Column("discount", "discount factor to payment", "> 0")
IS_CALL = Column("is_call", "1 call, 0 put", "0 or 1")


def price(name: str, what: str = "price") -> Column:
    return Column(name, what, "> 0")


def rate(name: str) -> Column:
    return Column(name, "per year, continuous, 0.05 is 5 %", "finite")


def outputs(**units: str) -> tuple[Output, ...]:
    return tuple(Output(name, unit) for name, unit in units.items())
