"""What the commands have in common: where the scheduler is, how output looks, how long to wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
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
