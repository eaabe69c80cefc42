"""xipctl store"""

from __future__ import annotations

import subprocess
import sys

import click

from xip_core.cli.options import output_option


@click.group("store")
def command() -> None:
    """Look after the data directory of a scheduler."""


@command.command("verify")
@click.option("--data-dir", required=True, metavar="DIRECTORY", help="Of a scheduler that is stopped.")
@output_option("table", "json")
def verify(data_dir: str, output: str) -> None:
    """Check that a stopped store is whole: file, records, sums, audit, blobs. Nothing is changed.

    Exit code 0 for a sound store, 1 for one that is not or that is in use.
    """
    module = "xip_scheduler.store.verify"  # the scheduler's package is started, never imported
    arguments = [sys.executable, "-m", module, "--data-dir", data_dir, "--output", output]
    click.get_current_context().exit(subprocess.run(arguments, check=False).returncode)
