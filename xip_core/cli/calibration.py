"""xipctl calibration"""

from __future__ import annotations

from pathlib import Path

import click

from xip_core.cli.options import output_option

EXIT_REFUSED = 3


@click.command("calibration")
@click.argument("market")
@click.argument("name", required=False)
@output_option("table", "json")
def command(market: str, name: str | None, output: str) -> None:
    """Calibrate a snapshot here and show how well every object fits, or the instruments of the object NAME.

    MARKET is a snapshot (JSON, also .gz), an ORE directory, or the market of a sample such as sample:cross-asset. Exit
    code 3 says that an object was refused.
    """
    from xip_core.cli.inputs import read_market_of
    from xip_core.errors import RequestError
    from xip_core.model.market import decode_snapshot
    from xip_core.pricing import calibration_report

    snapshot = decode_snapshot(read_market_of(market))
    report = calibration_report(snapshot)
    by_name = {item.name: item for item in report.objects}
    if name is not None and name not in by_name:
        raise RequestError("UNKNOWN_OBJECT", f"an object must be one of {', '.join(by_name)}, got {name!r}")
    if output == "json":
        from xip_core.cli.data import print_json

        print_json(report if name is None else by_name[name])
    elif name is None:
        from xip_core.cli.screen import print_calibration

        print_calibration(Path(market).name, str(snapshot.as_of), report)
    else:
        from xip_core.cli.screen import print_object_fit

        print_object_fit(by_name[name])
    shown = report.objects if name is None else (by_name[name],)
    if any(item.reason for item in shown):
        raise click.exceptions.Exit(EXIT_REFUSED)
