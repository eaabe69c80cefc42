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
@click.option("--data-dir", metavar="DIRECTORY", help="Of a scheduler that is stopped.")
@click.option("--store", metavar="URL", help="postgresql://USER@HOST:PORT/DATABASE; its scheduler may go on.")
@click.option("--store-password-file", metavar="PATH", help="File with the password of the store.")
@output_option("table", "json")
def verify(data_dir: str | None, store: str | None, store_password_file: str | None, output: str) -> None:
    """Check that a store is whole: records, sums, audit, blobs, and the file of a stopped one. Nothing is changed.

    Exit code 0 for a sound store, 1 for one that is not or that is in use.
    """
    module = "xip_scheduler.store.verify"  # the scheduler's package is started, never imported
    arguments = [sys.executable, "-m", module, "--output", output]
    for name, value in (("data-dir", data_dir), ("store", store), ("store-password-file", store_password_file)):
        if value is not None:
            arguments.append(f"--{name}={value}")
    click.get_current_context().exit(subprocess.run(arguments, check=False).returncode)
