"""The covariance of a ladder's factors from what their quotes did.

A column of the history is a factor under its own name ("zero_rate curve/EUR1D 5Y"), or a quote that a bump of the
ladder moves alone; its moves over the horizon (`scenarios.historical`) are in the unit of the ladder:

    bp, vol_point   the difference of the quote, over 1e-4 or 0.01
    percent         the relative change, over 0.01

The covariance is that of the sample, about its mean, over n - 1 of n moves. Of no more moves than factors it is
singular: portfolios exist that it holds for riskless, which the command says. Overlapping moves are taken as they are;
they make the estimate less certain.
"""

from __future__ import annotations

import msgspec
import numpy as np

from xip_core.errors import RequestError
from xip_core.model.covariance import Covariance, covariance_of, factor_name
from xip_core.model.sensitivity import Bump, Expansion
from xip_core.model.sensitivity_kinds import UNIT_SIZES
from xip_core.scenarios.historical import History, Horizon, Missing, Return, historical


class HistoricalCovariance(msgspec.Struct, frozen=True):
    """A covariance, and of how many moves it is."""

    covariance: Covariance
    move_count: int


def historical_covariance(
    history: History, horizon: Horizon, expansion: Expansion, missing: Missing = "refuse", scale: float = 1.0
) -> HistoricalCovariance:
    """
    The covariance of all factors of *expansion*.

    Args:
        missing, scale: as of `historical`.

    Raises:
        RequestError: FACTOR_MISSING, factors without a column; BAD_HISTORY, also of a single move.
    """
    columns = [_column(bump, history.names) for bump in expansion.bumps]
    lost = [factor_name(bump) for bump, column in zip(expansion.bumps, columns, strict=True) if column is None]
    if lost:
        more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
        need = "the history must have a column for every factor, by its name or its one quote"
        sentence = f"{need}: {len(lost)} lack one"
        raise RequestError("FACTOR_MISSING", f"{sentence}, {', '.join(map(repr, lost[:3]))}{more}")
    place = {name: at for at, name in enumerate(history.names)}
    chosen = [place[column] for column in columns if column is not None]
    names = tuple(factor_name(bump) for bump in expansion.bumps)
    factors = History(history.dates, names, history.values[:, chosen])
    kinds: list[tuple[str, Return]] = [(_literal(factor_name(bump)), _kind(bump)) for bump in expansion.bumps]
    found = historical(factors, horizon, kinds, missing, scale)
    count = len(found.scenarios) - 1
    if count < 2:
        raise RequestError("BAD_HISTORY", f"a covariance must be of at least two moves, got {count}")
    moves = np.empty((len(names), count))
    number = {name: at for at, name in enumerate(names)}
    for table in found.tables or ():
        rows = [number[name] for name in table.names]
        moves[rows] = table.matrix() - table.neutral
    moves /= np.array([UNIT_SIZES[bump.unit] for bump in expansion.bumps])[:, None]
    moves -= moves.mean(axis=1, keepdims=True)
    return HistoricalCovariance(covariance_of(names, np.einsum("am,bm->ab", moves, moves) / (count - 1)), count)


def _column(bump: Bump, names: tuple[str, ...]) -> str | None:
    """The column of the history that is the factor."""
    candidates = [factor_name(bump), *(quote for quote, share in bump.quotes if len(bump.quotes) == 1 and share == 1.0)]
    return next((name for name in candidates if name in names), None)


def _kind(bump: Bump) -> Return:
    return "relative" if bump.unit == "percent" else "absolute"


def _literal(name: str) -> str:
    """A pattern that fits this name alone."""
    return "".join(f"[{sign}]" if sign in "*?[" else sign for sign in name)
