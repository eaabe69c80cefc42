"""The horizon of moves over a history, as options of a command."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import click

if TYPE_CHECKING:
    from xip_core.scenarios.historical import Horizon


def horizon_of(fields: Mapping[str, Any], gaps: Literal["refuse", "skip"], is_overlapping: bool = True) -> Horizon:
    """Of the options --horizon, --calendar, --since and --until."""
    from xip_core.scenarios.historical import Horizon

    return Horizon(
        days=fields["horizon"],
        calendar=fields["calendar"],
        is_overlapping=is_overlapping,
        since=date_of_option(fields["since"], "--since"),
        until=date_of_option(fields["until"], "--until"),
        gaps=gaps,
    )


def date_of_option(text: str | None, option: str) -> dt.date | None:
    """
    Raises:
        click.UsageError: it is no date.
    """
    try:
        return dt.date.fromisoformat(text) if text else None
    except ValueError:
        raise click.UsageError(f"{option} must be a date like 2024-01-31, got {text!r}") from None
