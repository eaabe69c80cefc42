"""What a run is of, on the command line: the options that `xipctl run` and `xipctl plan` share.

Imports click and nothing else: this is on the way to the local daemons.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from xip_core.model.aggregates import Aggregate

Function = TypeVar("Function", bound=Callable[..., Any])

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_DIRECTORY = click.Path(exists=True, file_okay=False, path_type=Path)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RequestOptions:
    """Names are those of the options."""

    source: str | None
    ore: Path | None
    book: Path | None
    market: Path | None
    scenarios: Path | None
    graph: Path | None
    measures: str
    aggregate: tuple[str, ...]
    detail: str
    risk_class: tuple[str, ...]
    ladder: tuple[str, ...]
    sensitivities: Path | None
    covariance: Path | None

    def check(self) -> None:
        """
        Raises:
            click.UsageError: options that contradict each other, or not exactly one source.
        """
        sources = (
            self.source is not None,
            self.ore is not None,
            self.book is not None or self.market is not None,
            self.graph is not None,
        )
        if sum(sources) != 1:
            words = "one of SOURCE (such as sample:cross-asset), --ore, --graph, or --book with --market"
            raise click.UsageError(f"give {words}")
        if (self.book is None) != (self.market is None):
            raise click.UsageError("--book and --market go together")
        if self.has_ladders and (self.scenarios is not None or self.risk_class):
            raise click.UsageError("--ladder and --sensitivities stand in place of --scenarios and their --risk-class")
        options_of_one_book = (self.has_ladders, self.aggregate, self.measures, self.risk_class, self.scenarios)
        if self.graph is not None and any(options_of_one_book):
            raise click.UsageError("a graph says itself what is computed: --graph goes without options of one book")
        self.measure_names()
        needs_covariance = any(aggregate.measure == "delta_gamma_var" for aggregate in self.aggregates())
        if needs_covariance and self.covariance is None:
            raise click.UsageError("delta_gamma_var needs --covariance FILE, of the factors that the ladders bump")
        if self.covariance is not None and not needs_covariance:
            raise click.UsageError('--covariance is for --aggregate "delta_gamma_var q=0.99", which is not asked for')

    @property
    def has_ladders(self) -> bool:
        return bool(self.ladder) or self.sensitivities is not None

    def measure_names(self) -> tuple[str, ...]:
        """
        Those asked for, () for all.

        Raises:
            click.BadParameter: an unknown one.
        """
        names = tuple(word.strip() for word in self.measures.split(",") if word.strip())
        if names:
            from xip_core.model.run_spec import MEASURES

            for name in names:
                if name not in MEASURES:
                    raise click.BadParameter(f"{name!r} is not one of {', '.join(MEASURES)}", param_hint="--measures")
        return names

    def aggregates(self) -> tuple[Aggregate, ...]:
        """
        Raises:
            click.BadParameter: one that makes no sense, or two of one name.
        """
        if not self.aggregate and not self.has_ladders:
            return ()
        from xip_core.errors import RequestError
        from xip_core.model.aggregates import MEASURES_OF_BUMPS, Aggregate, check_aggregates, parse_aggregate

        try:
            parsed = tuple(parse_aggregate(text) for text in self.aggregate)
            if self.has_ladders and all(item.measure not in MEASURES_OF_BUMPS for item in parsed):
                parsed += (Aggregate(measure="ladder"),)
            check_aggregates(parsed)
        except RequestError as error:
            raise click.BadParameter(str(error), param_hint="--aggregate") from None
        return parsed


def request_options(function: Function) -> Function:
    """The options of `RequestOptions`."""
    options = (
        click.argument("source", required=False),
        click.option("--ore", type=_DIRECTORY, metavar="DIRECTORY", help="The portfolio.xml of an ORE directory."),
        click.option("--book", type=_FILE, metavar="FILE", help="Trades: .jsonl or .csv, also .gz."),
        click.option("--market", type=_FILE, metavar="FILE", help="Market snapshot, with --book: .json, also .gz."),
        click.option(
            "--scenarios",
            type=_FILE,
            metavar="FILE",
            help="Scenarios: .json, also .gz.  [those of the sample, else the base alone]",
        ),
        click.option("--graph", type=_FILE, metavar="FILE", help="A custom graph of several books, markets or days."),
        click.option(
            "--measures", default="", metavar="LIST", help="Of pv,delta,vega,dv01,gamma,theta.  [the first four]"
        ),
        click.option(
            "--aggregate",
            multiple=True,
            metavar="TEXT",
            help='A table of P&L, such as "var by=desk q=0.99"; repeatable.',
        ),
        click.option(
            "--detail",
            type=click.Choice(["none", "base", "all"]),
            default="all",
            show_default=True,
            help="What of the numbers of single trades travels here; sums are complete whatever is chosen.",
        ),
        click.option(
            "--ladder",
            multiple=True,
            metavar="TEXT",
            help='Sensitivities in place of scenarios, such as "par name=EUR* tenors=1Y,5Y,10Y"; repeatable.',
        ),
        click.option("--sensitivities", type=_FILE, metavar="FILE", help="Ladders as a file: .json, also .gz."),
        click.option(
            "--covariance",
            type=_FILE,
            metavar="FILE",
            help="Of the ladders' factors, for delta_gamma_var: .csv or .json, also .gz.",
        ),
        click.option(
            "--risk-class", multiple=True, metavar="CLASS", help="Apply shifts of this class alone; repeatable."
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function
