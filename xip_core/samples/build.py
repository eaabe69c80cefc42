"""Writes the files of the cross-asset sample again: `python -m xip_core.samples.build --ore DIRECTORY`.

Input is a directory with an ORE portfolio, market data, configuration and fixings (README.md of the sample says which);
output are book.jsonl, market.json, scenarios.json and manifest.json, the same bytes on every machine.

The book's first rows are the ORE trades XiP supports and that have not matured, in their order; every further row n is
generated from the seed and n alone (`xip_core.samples.draws`), up to `ROW_COUNT`. The market is what the ORE reader
makes of the directory, less the objects no row of the book needs, and their quotes and fixings.
"""

from __future__ import annotations

import collections
from pathlib import Path

import click
import msgspec

from xip_core import samples
from xip_core.graph.plan import digest_of
from xip_core.model.market import Snapshot, encode_snapshot
from xip_core.model.scenario import encode_scenarios
from xip_core.model.trade import ASSET_CLASS_OF, Trade, decode_head, encode_trade
from xip_core.readers.ore_market import read_ore_market
from xip_core.readers.ore_portfolio import read_portfolio
from xip_core.samples.draws import AS_OF, SEED
from xip_core.samples.generated import generated_trades
from xip_core.samples.needed import refusals, snapshot_for
from xip_core.samples.stresses import stresses

ROW_COUNT = 2000
SCENARIO_COUNT = 251


class Origin(msgspec.Struct, frozen=True):
    """Where the facts come from."""

    repository: str = "https://github.com/OpenSourceRisk/Engine"
    commit: str = "b1f239332fdd51e5c514dd6de34a665fe0ff8326"
    path: str = "Examples (Legacy/Example_3, 15, 23, 24, 33; Input)"
    licence: str = "modified BSD"
    taken: str = "quotes, fixings, curve definitions and trade terms, as facts"


class Manifest(msgspec.Struct, frozen=True):
    """What the files hold.

    Attributes:
        ore_trades_left_out: why each trade of the portfolio that is not in the book is not.
        digests: names of the files as blobs.
    """

    as_of: str
    base_currency: str
    seed: int
    trade_count: int
    ore_trade_count: int
    trade_count_by_asset_class: dict[str, int]
    scenario_count: int
    quote_count: int
    ore_trades_left_out: dict[str, str]
    digests: dict[str, str]
    origin: Origin = Origin()


def with_plain_caps(market: Snapshot) -> Snapshot:
    """Caplet volatilities at the quoted caps alone: 12 nodes a strike, not 79 and their slopes; a small sample."""
    plain = (
        msgspec.structs.replace(cap, interpolation=msgspec.UNSET, extrapolation=msgspec.UNSET)
        for cap in market.cap_volatilities
    )
    return msgspec.structs.replace(market, cap_volatilities=tuple(plain))


def build_files(ore: Path) -> dict[str, bytes]:
    """
    Content of the sample's files by name.

    Args:
        ore: directory with portfolio.xml and the files of an ORE market.

    Raises:
        InputError: a file of *ore* cannot be read.
    """
    portfolio, market = read_portfolio(ore / "portfolio.xml"), with_plain_caps(read_ore_market(ore, as_of=AS_OF))
    left_out = {unread.id: unread.failure.message for unread in portfolio.unread}
    left_out |= refusals(portfolio.trades, market)
    ore_trades = [trade for trade in portfolio.trades if trade.id not in left_out]
    trades: list[Trade] = [*ore_trades, *generated_trades(len(ore_trades), ROW_COUNT - len(ore_trades))]
    lines = [encode_trade(trade) for trade in trades]
    snapshot = snapshot_for(trades, market)
    scenarios = stresses(snapshot, SCENARIO_COUNT)
    files = {
        "book.jsonl": b"".join(line + b"\n" for line in lines),
        "market.json": encode_snapshot(snapshot),
        "scenarios.json": encode_scenarios(scenarios),
    }
    manifest = Manifest(
        as_of=AS_OF.isoformat(),
        base_currency=snapshot.base_currency,
        seed=SEED,
        trade_count=len(trades),
        ore_trade_count=len(ore_trades),
        trade_count_by_asset_class=collections.Counter(ASSET_CLASS_OF[decode_head(line).type] for line in lines),
        scenario_count=len(scenarios.scenarios),
        quote_count=len(snapshot.quotes),
        ore_trades_left_out=left_out,
        digests={name: digest_of(content) for name, content in files.items()},
    )
    files["manifest.json"] = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
    return files


@click.command()
@click.option("--ore", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
def main(ore: Path) -> None:
    """Write the cross-asset sample from an ORE directory."""
    target = samples.directory("cross-asset")
    for name, content in build_files(ore).items():
        (target / name).write_bytes(content)
        click.echo(f"{name}: {len(content)} bytes")


if __name__ == "__main__":
    main()
