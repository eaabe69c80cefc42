"""xipctl scenarios covariance, ore-covariance: the covariance that a delta-gamma VaR of ladders is asked with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xip_core.cli.history_options import horizon_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from xip_core.model.covariance import Covariance
    from xip_core.model.market import Snapshot
    from xip_core.model.sensitivity import Expansion

_file = click.Path(exists=True, dir_okay=False, path_type=Path)
_market = click.option("--market", required=True, help="Snapshot, ORE directory or sample:NAME of the run.")
_ladder = click.option("--ladder", "ladders", multiple=True, metavar="TEXT", help="As of xipctl run.")
_sensitivities = click.option("--sensitivities", type=_file, help="As of xipctl run.")
_out = click.option(
    "--out", "-o", required=True, type=click.Path(dir_okay=False, path_type=Path), help="File to write."
)


def _of_ladders(function: Callable[..., None]) -> Callable[..., None]:
    """The options that say which factors there are, and where the covariance goes."""
    for option in (_out, _sensitivities, _ladder, _market):
        function = option(function)
    return function


@click.command("covariance")
@click.argument("history", type=_file)
@_of_ladders
@click.option("--horizon", default=1, show_default=True, help="Days of a move: rows, or business days of --calendar.")
@click.option("--calendar", default="", help="Calendar of the horizon, such as TARGET; none counts rows.")
@click.option("--since", help="First day a move may end on.")
@click.option("--until", help="Last day a move may end on.")
@click.option("--separate", is_flag=True, help="Moves do not overlap.")
@click.option("--gaps", type=click.Choice(["refuse", "skip"]), default="refuse", show_default=True)
@click.option(
    "--missing", type=click.Choice(["refuse", "skip", "unmoved", "previous"]), default="refuse", show_default=True
)
@click.option("--scale", default=1.0, show_default=True, help="Of every move; 3.1623 makes ten days of one.")
def historical_covariance(
    history: Path, market: str, ladders: tuple[str, ...], sensitivities: Path | None, out: Path, **fields: Any
) -> None:
    """The covariance of the factors of ladders over HISTORY, a CSV of dates and quotes.

    A column is a factor by its name in the ladder's table, such as "fx fx/USD spot", or the one quote it moves.
    """
    from xip_core.readers.history_table import read_history
    from xip_core.scenarios.covariance import historical_covariance as made

    horizon = horizon_of(fields, fields["gaps"], is_overlapping=not fields["separate"])
    _, expansion = _expanded(market, ladders, sensitivities)
    found = made(read_history(history), horizon, expansion, fields["missing"], fields["scale"])
    _write(found.covariance, out, f"{found.move_count} moves")
    if found.move_count <= len(found.covariance.factors):
        factors = len(found.covariance.factors)
        click.echo(f"{found.move_count} moves of {factors} factors: some portfolios of them show no risk", err=True)


@click.command("ore-covariance")
@click.argument("covariance", type=_file)
@_of_ladders
def ore_covariance(
    covariance: Path, market: str, ladders: tuple[str, ...], sensitivities: Path | None, out: Path
) -> None:
    """COVARIANCE, a covariance file of ORE, for the factors of ladders on a reduced market."""
    from xip_core.readers.ore_covariance import read_ore_covariance

    snapshot, expansion = _expanded(market, ladders, sensitivities)
    found = read_ore_covariance(covariance, expansion, snapshot.base_currency)
    _write(found.covariance, out, f"{len(found.unmoved)} of them do not move")
    told = (("has no covariance and does not move", found.unmoved), ("is bumped by no ladder", found.unread))
    for what, names in told:
        if names:
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            click.echo(f"{what}: {', '.join(names[:5])}{more}", err=True)


def _expanded(market: str, ladders: tuple[str, ...], sensitivities: Path | None) -> tuple[Snapshot, Expansion]:
    from xip_core.cli.inputs import content_of, read_market_of
    from xip_core.cli.ladders import wanted_ladders
    from xip_core.model.market import decode_snapshot
    from xip_core.model.sensitivity import decode_sensitivities, expand

    if not ladders and sensitivities is None:
        raise click.UsageError("give --ladder or --sensitivities: the covariance is of the factors that they bump")
    wanted = wanted_ladders(ladders, content_of(sensitivities) if sensitivities else None)
    snapshot = decode_snapshot(read_market_of(market))
    return snapshot, expand(decode_sensitivities(wanted), snapshot)


def _write(covariance: Covariance, out: Path, what: str) -> None:
    """Write it, after it was found to be one."""
    from xip_core.model.covariance import encode_covariance
    from xip_core.risk.delta_gamma import check_covariance

    check_covariance(covariance.matrix(), covariance.factors)
    out.write_bytes(encode_covariance(covariance))
    click.echo(f"{out}: {len(covariance.factors)} factors, {what}")
