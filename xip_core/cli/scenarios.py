"""xipctl scenarios: make scenario sets from files, and show what a set holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from xip_core.cli.covariances import historical_covariance, ore_covariance
from xip_core.cli.history_options import date_of_option, horizon_of
from xip_core.cli.options import output_option

if TYPE_CHECKING:
    from xip_core.model.market import FxSpot
    from xip_core.model.scenario import ScenarioSet

_file = click.Path(exists=True, dir_okay=False, path_type=Path)
_written = click.Path(dir_okay=False, path_type=Path)
_out = click.option("--out", "-o", required=True, type=_written, help="File to write.")
_market = click.option("--market", help="Check the set against a snapshot, an ORE directory or sample:NAME.")


@click.group("scenarios")
def command() -> None:
    """Make scenario sets and covariances from files, and show what a set holds.

    The sets are what `xipctl run --scenarios` takes, covariances what its --covariance does. See docs/scenarios.md.
    """


command.add_command(historical_covariance)
command.add_command(ore_covariance)


@command.command("historical")
@click.argument("history", type=_file)
@click.option("--horizon", default=1, show_default=True, help="Days: rows, or business days of --calendar.")
@click.option("--calendar", default="", help="Calendar of the horizon, such as TARGET or US; none counts rows.")
@click.option("--return", "returns", multiple=True, help="PATTERN=absolute|relative|log; the first that fits counts.")
@click.option("--only", multiple=True, help="Pattern of the quotes to take.")
@click.option("--without", multiple=True, help="Pattern of quotes to leave out.")
@click.option("--since", help="First day a move may end on.")
@click.option("--until", help="Last day a move may end on.")
@click.option("--separate", is_flag=True, help="Moves do not overlap.")
@click.option("--gaps", type=click.Choice(["refuse", "skip"]), default="refuse", show_default=True)
@click.option(
    "--missing",
    type=click.Choice(["refuse", "skip", "unmoved", "previous"]),
    default="refuse",
    show_default=True,
    help="What to do about a quote without a number.",
)
@click.option("--scale", default=1.0, show_default=True, help="Of every return; 3.1623 makes ten days of one.")
@click.option("--followers", is_flag=True, help="Spots take FX points and equity forward prices along.")
@click.option(
    "--target",
    type=click.Choice(["quote", "zero_rate", "discount", "hazard_rate", "survival"]),
    default="quote",
    show_default=True,
    help="What the columns are; of curves they are named NAME/TENOR, such as EUR1D/5Y.",
)
@_market
@_out
def historical(history: Path, returns: tuple[str, ...], out: Path, market: str | None, **fields: Any) -> None:
    """Moves of the quotes of HISTORY, a CSV of dates and quotes, done to today."""
    from xip_core.readers.history_table import read_history
    from xip_core.scenarios.historical import historical as made

    horizon = horizon_of(fields, fields["gaps"], is_overlapping=not fields["separate"])
    series = read_history(history).restricted(fields["only"], fields["without"])
    kinds = [_kind(text) for text in returns] or [("*", "relative")]
    scenarios = made(
        series,
        horizon,
        cast(Any, kinds),
        fields["missing"],
        fields["scale"],
        fields["target"],
        moves_followers=fields["followers"],
    )
    _write(scenarios, out, market)


@command.command("grid")
@click.argument("axes", nargs=-1, required=True)
@_market
@_out
def grid(axes: tuple[str, ...], out: Path, market: str | None) -> None:
    """Every combination of AXES, each 'TARGET NAME KIND SIZES'.

    Such as 'equity ACME relative -0.2:0.2:0.1' and 'equity_volatility ACME absolute -0.05,0,0.05'.
    """
    from xip_core.scenarios.grids import grid as made
    from xip_core.scenarios.grids import parse_axis

    _write(made([parse_axis(text) for text in axes]), out, market)


@command.command("stress")
@click.argument("pack", type=_file)
@_market
@_out
def stress(pack: Path, out: Path, market: str | None) -> None:
    """The stresses of PACK, a CSV with a line a shift."""
    from xip_core.readers.ore_files import read_bytes
    from xip_core.scenarios.packs import parse_pack

    _write(parse_pack(read_bytes(pack).decode("utf-8-sig", errors="replace")), out, market)


@command.command("montecarlo")
@click.argument("factors", type=_file)
@click.argument("correlation", type=_file)
@click.option("--count", required=True, type=int, help="Scenarios; powers of two are the most even.")
@click.option("--seed", required=True, type=int, help="0 to 2^32 - 1.")
@click.option("--horizon-years", required=True, type=float, help="0.04 is ten business days.")
@click.option("--market", required=True, help="Snapshot, ORE directory or sample:NAME whose quotes the factors move.")
@_out
def montecarlo(
    factors: Path, correlation: Path, count: int, seed: int, horizon_years: float, market: str, out: Path
) -> None:
    """Draws of FACTORS under CORRELATION, both CSV, by scrambled Sobol points."""
    from xip_core.cli.inputs import read_market_of
    from xip_core.model.market import decode_snapshot
    from xip_core.model.scenario import ScenarioMarket
    from xip_core.readers.factor_table import read_correlation, read_factors
    from xip_core.scenarios.draws import monte_carlo

    drawn = read_factors(factors)
    matrix = read_correlation(correlation, drawn)
    of_market = ScenarioMarket(decode_snapshot(read_market_of(market)))
    _write(monte_carlo(drawn, matrix, count, seed, horizon_years, of_market), out, None)


@command.command("join")
@click.argument("sets", nargs=-1, required=True, type=_file)
@click.option("--prefix", "prefixes", multiple=True, metavar="TEXT", help="Of the names of a set, once for each set.")
@_market
@_out
def join(sets: tuple[Path, ...], prefixes: tuple[str, ...], out: Path, market: str | None) -> None:
    """SETS as one: the base, then the scenarios of each; their names must differ.

    \b
    xipctl scenarios join history.json pack.json --prefix "" --prefix "stress " -o all.json
    """
    from xip_core.model.scenario import decode_scenarios
    from xip_core.readers.ore_files import read_bytes
    from xip_core.scenarios.joined import joined

    _write(joined([decode_scenarios(read_bytes(path)) for path in sets], prefixes), out, market)


@command.command("reduce")
@click.argument("market")
@click.argument("simulation", type=_file)
@_out
def reduce(market: str, simulation: Path, out: Path) -> None:
    """Reduce MARKET to the tenors of SIMULATION, a simulation.xml of ORE: what its stresses and histories shift."""
    from xip_core.cli.inputs import read_market_of
    from xip_core.model.market import decode_snapshot, encode_snapshot
    from xip_core.pricing.simulated_market import simulated_snapshot
    from xip_core.readers.ore_simulation import read_simulation_grid

    reduced = simulated_snapshot(decode_snapshot(read_market_of(market)), read_simulation_grid(simulation))
    out.write_bytes(encode_snapshot(reduced))
    click.echo(f"{out}: {len(reduced.curves)} curves, {len(reduced.quotes)} quotes")


@command.command("ore-market")
@click.argument("history", type=_file)
@click.argument("simulation", type=_file)
@click.option("--as-of", required=True, help="Day of the history to read, such as 2019-12-30.")
@click.option("--base-currency", required=True)
@click.option("--spot", "spots", multiple=True, help="PAIR=RATE, or PAIR=RATE:DAYS:CALENDAR of a later delivery.")
@click.option("--fixings", type=_file, help="Fixings file of ORE.")
@_out
def ore_market(
    history: Path,
    simulation: Path,
    as_of: str,
    base_currency: str,
    spots: tuple[str, ...],
    fixings: Path | None,
    out: Path,
) -> None:
    """The reduced market of one day of HISTORY, a scenario file of ORE: its curves, and the spot rates given."""
    from xip_core.model.market import encode_snapshot
    from xip_core.readers.ore_history import ore_scenario_market, read_ore_history
    from xip_core.readers.ore_market import read_fixings
    from xip_core.readers.ore_simulation import read_simulation_grid

    day = date_of_option(as_of, "--as-of")
    assert day is not None, "the option is required"
    quotes = {f"FX/RATE/{pair[:3]}/{pair[3:]}": rate for pair, rate, _, _ in map(_spot, spots)}
    snapshot = ore_scenario_market(
        read_ore_history(history),
        day,
        read_simulation_grid(simulation),
        base_currency,
        [_fx_spot(text) for text in spots],
        quotes,
        read_fixings(fixings, day) if fixings is not None else {},
    )
    out.write_bytes(encode_snapshot(snapshot))
    click.echo(f"{out}: {len(snapshot.curves)} curves, {len(snapshot.quotes)} quotes")


@command.command("ore-stress")
@click.argument("stresstest", type=_file)
@click.option("--market", required=True, help="The reduced market.")
@_out
def ore_stress(stresstest: Path, market: str, out: Path) -> None:
    """The stress tests of STRESSTEST, a stresstest.xml of ORE, on a reduced market."""
    from xip_core.cli.inputs import read_market_of
    from xip_core.model.market import decode_snapshot
    from xip_core.readers.ore_stress import read_ore_stresses

    found = read_ore_stresses(stresstest, decode_snapshot(read_market_of(market)))
    _write(found.scenarios, out, market)
    _tell_unread(found.unread)


@command.command("ore-sensitivities")
@click.argument("sensitivity", type=_file)
@click.option("--market", required=True, help="The reduced market.")
@click.option("--template", default="", help="Of the products that are meant, such as IR_FD; picks their shifts.")
@_out
def ore_sensitivities(sensitivity: Path, market: str, template: str, out: Path) -> None:
    """The ladders of SENSITIVITY, a sensitivity.xml of ORE, for xipctl run --sensitivities on a reduced market."""
    from xip_core.cli.inputs import read_market_of
    from xip_core.model.market import decode_snapshot
    from xip_core.model.sensitivity import encode_sensitivities, expand
    from xip_core.readers.ore_simulation import read_sensitivities

    snapshot = decode_snapshot(read_market_of(market))
    found = read_sensitivities(sensitivity, snapshot, template)
    expansion = expand(found.wanted, snapshot)
    out.write_bytes(encode_sensitivities(found.wanted))
    click.echo(f"{out}: {len(found.wanted.ladders)} ladders, {len(expansion.bumps)} bumps")
    _tell_unread(found.unread)


@command.command("ore-history")
@click.argument("history", type=_file)
@click.argument("simulation", type=_file)
@click.option("--market", required=True, help="The reduced market.")
@click.option("--horizon", default=10, show_default=True, help="Business days of --calendar.")
@click.option("--calendar", required=True, help="Such as US; pairs of dates that are not both there are left out.")
@click.option("--since", help="First day a move may end on.")
@click.option("--until", help="Last day a move may end on.")
@_out
def ore_history(history: Path, simulation: Path, market: str, out: Path, **fields: Any) -> None:
    """Moves of HISTORY, a scenario file of ORE, done to a reduced market."""
    from xip_core.cli.inputs import read_market_of
    from xip_core.model.market import decode_snapshot
    from xip_core.readers.ore_history import ore_scenarios, read_ore_history
    from xip_core.readers.ore_simulation import read_simulation_grid

    horizon = horizon_of(fields, "skip")
    snapshot = decode_snapshot(read_market_of(market))
    found = ore_scenarios(read_ore_history(history), horizon, read_simulation_grid(simulation), snapshot)
    _write(found.scenarios, out, market)
    _tell_unread(found.unread)


@command.command("show")
@click.argument("scenarios", type=_file)
@click.option("--market", help="Snapshot, ORE directory or sample:NAME: say what the set touches there.")
@output_option("table", "json")
def show(scenarios: Path, market: str | None, output: str) -> None:
    """Count what a set holds; with --market, what each scenario touches there."""
    from xip_core.cli.inputs import read_market_of
    from xip_core.cli.scenario_screen import contents_of, print_contents
    from xip_core.model.market import decode_snapshot
    from xip_core.model.scenario import ScenarioMarket, decode_scenarios
    from xip_core.readers.ore_files import read_bytes
    from xip_core.scenarios.contents import touched

    encoded = read_bytes(scenarios)
    decoded = decode_scenarios(encoded)
    of_market = ScenarioMarket(decode_snapshot(read_market_of(market))) if market is not None else None
    contents = contents_of(decoded, len(encoded), touched(decoded, of_market) if of_market is not None else None)
    if output == "json":
        from xip_core.cli.data import print_json

        print_json(contents)
    else:
        print_contents(scenarios.name, contents)


def _write(scenarios: ScenarioSet, out: Path, market: str | None) -> None:
    """Write the set, after it was found to fit *market*."""
    from xip_core.model.scenario import ScenarioMarket, encode_scenarios

    if market is not None:
        from xip_core.cli.inputs import read_market_of
        from xip_core.model.market import decode_snapshot

        ScenarioMarket(decode_snapshot(read_market_of(market))).check(scenarios)
    encoded = encode_scenarios(scenarios)
    out.write_bytes(encoded)
    click.echo(f"{out}: {len(scenarios.scenarios)} scenarios with the base, {len(encoded):,} bytes")


def _tell_unread(names: tuple[str, ...]) -> None:
    """What of a file moves nothing in the market: on stderr, because a set was written all the same."""
    if names:
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        click.echo(f"moves nothing in the market: {', '.join(names[:5])}{more}", err=True)


def _spot(text: str) -> tuple[str, float, int, str]:
    """Pair, rate, days and calendar."""
    pair, _, rest = text.partition("=")
    rate, days, calendar = (*rest.split(":"), "", "")[:3]
    try:
        if len(pair) == 6 and (not days or calendar):
            return pair, float(rate), int(days or "0"), calendar
    except ValueError:
        pass
    raise click.UsageError(f"--spot must look like EURUSD=1.12 or EURUSD=1.12:2:TARGET,US, got {text!r}")


def _fx_spot(text: str) -> FxSpot:
    from xip_core.model.market import FxSpot

    pair, _, days, calendar = _spot(text)
    return FxSpot(
        foreign_currency=pair[:3],
        domestic_currency=pair[3:],
        quote=f"FX/RATE/{pair[:3]}/{pair[3:]}",
        spot_days=days,
        calendar=calendar,
    )


def _kind(text: str) -> tuple[str, str]:
    pattern, equals, kind = text.rpartition("=")
    if not equals or kind not in ("absolute", "relative", "log"):
        raise click.UsageError(f"--return must look like 'EUR.*=absolute', got {text!r}")
    return pattern, kind
