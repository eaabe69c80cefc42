"""What the commands have in common: where the scheduler is, how output looks, how long to wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from xip_core.client.client import Client

Value = TypeVar("Value")
Function = TypeVar("Function", bound=Callable[..., Any])

SCHEDULER_DEFAULT = "127.0.0.1:7780"

SCHEDULER_HELP = f"Address of the scheduler, or several joined by commas; also $XIP_SCHEDULER. [{SCHEDULER_DEFAULT}]"


def scheduler_option(function: Function) -> Function:
    return click.option(
        "--scheduler", "scheduler", envvar="XIP_SCHEDULER", default=None, metavar="HOST:PORT", help=SCHEDULER_HELP
    )(function)


def output_option(*formats: str) -> Callable[[Function], Function]:
    """`--output`, one of *formats*; the first is the default."""
    return click.option(
        "--output",
        "-o",
        "output",
        type=click.Choice(formats),
        default=formats[0],
        show_default=True,
        help="With anything but table, stdout holds data alone.",
    )


def crif_option(function: Function) -> Function:
    """`--crif-buckets`."""
    return click.option(
        "--crif-buckets",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Names to SIMM buckets, of --output crif: .csv or .json.  [Residual; commodities 16]",
    )(function)


SECONDS_OF_UNIT = {"s": 1.0, "m": 60.0, "h": 3600.0}


def duration(text: str | float) -> float:
    """Seconds of "90", "90s", "5m" or "1.5h"."""
    word = str(text).strip()
    unit_s = SECONDS_OF_UNIT.get(word[-1:], 0.0)
    try:
        duration_s = float(word[:-1] if unit_s else word) * (unit_s or 1.0)
    except ValueError:
        duration_s = -1.0
    if not 0.0 <= duration_s < float("inf"):
        raise click.BadParameter(f"{word!r} is not a time such as 90s, 5m or 2h")
    return duration_s


def submission_options(function: Function) -> Function:
    """`--request-id`, `--tenant`, `--priority`, `--deadline` (as deadline_after_s), `--since` and `--no-reuse` (as
    is_reusing) of whatever submits a run."""
    options = (
        click.option(
            "--request-id", default="", metavar="ID", help="Submitting the same id again answers the same run."
        ),
        click.option("--tenant", default="", metavar="NAME", help="Who pays."),
        click.option(
            "--priority",
            type=click.Choice(["interactive", "batch"]),
            default="interactive",
            show_default=True,
            help="Interactive runs of a tenant go before its batch runs.",
        ),
        click.option(
            "--deadline",
            "deadline_after_s",
            type=duration,
            default=0.0,
            metavar="TIME",
            help="Wanted so long after submission, as 90s, 5m or 2h; the nearest deadline goes first.",
        ),
        click.option(
            "--since",
            default="",
            metavar="RUN",
            help="Take over what did not change since RUN, and show what did.  [the last run most like this one]",
        ),
        click.option(
            "--no-reuse", "is_reusing", flag_value=False, default=True, help="Compute every tile, whatever is known."
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def call(scheduler: str | None, action: Callable[[Client], Coroutine[Any, Any, Value]]) -> Value:
    """The value of *action*, called with a client of the scheduler."""
    from xip_core.client import connect

    async def connected() -> Value:
        async with connect(scheduler or SCHEDULER_DEFAULT) as client:
            return await action(client)

    return asyncio.run(connected())


def exit_code_of(state: int) -> int:
    """0 complete, 3 complete with quarantine, 1 otherwise."""
    from xip_core.model.result import RunState

    return {RunState.COMPLETED: 0, RunState.COMPLETED_WITH_QUARANTINE: 3}.get(RunState(state), 1)
