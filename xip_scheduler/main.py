"""xip-scheduler: the command."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from pathlib import Path

import click

from xip_core import __version__

EXIT_REFUSED = 2
"""Settings or port: nothing was started. 1 means that the data directory is refused or a running scheduler gave up."""

SWITCH_INTERVAL_S = 0.0005
"""Threads of the store and the planner get the interpreter after this: with the default of 5 ms a commit beside a busy
loop takes 20 ms longer, for the loop to give way four times."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--listen", metavar="HOST:PORT", help="Where to serve; port 0 takes a free one. [127.0.0.1:7780]")
@click.option("--port-file", metavar="PATH", help="File that gets the port as soon as the scheduler serves.")
@click.option("--data-dir", metavar="DIRECTORY", help="Where runs and results are kept. [xip-data]")
@click.option("--restored", is_flag=True, default=None, help="A backup of the data directory was put back. Once.")
@click.option("--store", metavar="URL", help="postgresql://USER@HOST:PORT/DATABASE instead of a file in --data-dir.")
@click.option("--store-password-file", metavar="PATH", help="File with the password of the store.")
@click.option("--leader-silence", "leader_silence_s", type=float, metavar="SECONDS", help="Then a standby leads. [5]")
@click.option("--metrics-port", type=int, metavar="PORT", help="Prometheus endpoint on the same host; 0 for none. [0]")
@click.option("--insecure", is_flag=True, default=None, help="Allow an address other than loopback, without TLS.")
@click.option("--lease-duration", "lease_duration_s", type=float, metavar="SECONDS", help="Silence that ends a lease.")
@click.option("--heartbeat-interval", "heartbeat_interval_s", type=float, metavar="SECONDS", help="Asked of workers.")
@click.option("--tenant-weight", multiple=True, metavar="NAME=W", help="Share of a tenant; 1 for those not named.")
@click.option("--log-level", metavar="LEVEL", help="debug, info, warning or error. [info]")
@click.option("--settings", "path", type=click.Path(path_type=Path), help="TOML file with any of the settings.")
@click.version_option(__version__, prog_name="xip-scheduler")
def main(path: Path | None, tenant_weight: tuple[str, ...], **flags: object) -> None:
    """Run a scheduler: it takes runs from desks and leases their work to workers.

    Everything can also be set in the environment, as XIP_SCHEDULER_DATA_DIR for --data-dir, or in a TOML file.
    """
    from xip_core.errors import InputError, RequestError, StoreError, UnavailableError  # after --help
    from xip_scheduler.settings import load_settings, parse_weights

    try:
        if tenant_weight:
            flags["tenant_weights"] = parse_weights(tenant_weight, "--tenant-weight")
        settings = load_settings(path, os.environ, {name: flag for name, flag in flags.items() if flag is not None})
    except (InputError, RequestError) as error:
        click.echo(f"xip-scheduler: {error}", err=True)
        sys.exit(EXIT_REFUSED)

    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its lines would stand between ours, and say the same
    from xip_scheduler.daemon import run_scheduler
    from xip_scheduler.logs import configure_logs

    log = configure_logs(settings.log_level)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.freeze()  # what is loaded now lives for ever: the collector need not look at it again
    exit_code = 0
    try:
        asyncio.run(run_scheduler(settings))
    except (RequestError, UnavailableError) as error:
        click.echo(f"xip-scheduler: {error}", err=True)
        exit_code = EXIT_REFUSED
    except StoreError as error:
        click.echo(f"xip-scheduler: {error}", err=True)
        exit_code = 1
    finally:
        log.close()
    # The store is closed and what could be written is written. The interpreter's own end would still wait for locks of
    # threads that may never come back: the log's in a write that nobody reads, gRPC's pollers.
    os._exit(exit_code)
