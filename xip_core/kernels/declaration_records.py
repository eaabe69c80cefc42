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


ROW_S_DEFAULT = 100e-9
"""A European option with its Greeks, with half as much again for cold caches."""


class RowWork(msgspec.Struct, frozen=True):
    """What a row costs where its own columns say so: step_s * 2^exponent * count seconds on a v3 core."""

    step_s: float
    exponent_column: str
    count_column: str


class Kernel(msgspec.Struct, frozen=True):
    """One kernel of the catalogue.

    Attributes:
        version: changed whenever a number may change in any bit. Of a kernel of another package it ends in the
            package's own, "1+acme-kernels-2.3.0": lineage names the code that ran, not only what it was called.
        module, function: where its function is.
        package: "acme-kernels 2.3.0"; "" for our own.
        row_s: declared seconds of one row on a v3 core: the cost class that decides how tables are cut.
        work: where rows differ by orders of magnitude, how their columns tell; row_s is then that of a typical one.
    """

    name: str
    version: str
    summary: str
    columns: tuple[Column, ...]
    outputs: tuple[Output, ...]
    source: str
    module: str
    function: str
    package: str = ""
    row_s: float = ROW_S_DEFAULT
    work: RowWork | None = None


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
