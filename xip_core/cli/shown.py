"""One run as the answer of a command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from xip_core.model.result import Run


def show_run(run: Run, output: str) -> None:
    if output == "json":
        from xip_core.cli.data import print_json, run_fields

        print_json(run_fields(run))
    else:
        from xip_core.cli.screen import run_line

        click.echo(run_line(run))
