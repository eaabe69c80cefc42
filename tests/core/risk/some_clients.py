"""Drawn instruments, clients and profiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from xip_core.model.clients import ClientTable, joined_ids
from xip_core.model.suitability import RULES, Limit, Profile, ProfileTable
from xip_core.risk.suitability import InstrumentVectors

Floats = npt.NDArray[np.float64]


def vectors(
    instrument_count: int = 50, market_count: int = 60, stress_count: int = 5, seed: int = 1
) -> InstrumentVectors:
    """Instruments worth 50 to 150, moving by some percent; every seventh illiquid, every fifth without a maturity."""
    random = np.random.default_rng(seed)
    pv = random.uniform(50.0, 150.0, instrument_count)
    number = np.arange(instrument_count)
    return InstrumentVectors(
        market=pv[:, None] * random.normal(0.0, 0.03, (instrument_count, market_count)),
        stress=pv[:, None] * random.normal(-0.1, 0.1, (instrument_count, stress_count)),
        pv=pv,
        exposure=np.where(number % 11 == 0, 5.0 * pv, pv),
        maturity=np.where(number % 5 == 0, np.nan, random.uniform(0.1, 30.0, instrument_count)),
        issuer=(number % 17 - 1).astype(np.int32),
        sector=(number % 6).astype(np.int32),
        currency=(number % 3 - 1).astype(np.int32),
        has_number=np.ones(instrument_count, np.uint8),
        is_illiquid=(number % 7 == 0).astype(np.uint8),
        knowledge=(number % 4).astype(np.uint8),
    )


def clients(client_count: int = 40, instrument_count: int = 50, seed: int = 2) -> ClientTable:
    """Clients of 1 to 12 positions, some of them short."""
    random = np.random.default_rng(seed)
    counts = random.integers(1, 13, client_count)
    position_count = int(counts.sum())
    return ClientTable(
        ids=joined_ids([f"C{number}" for number in range(client_count)]),
        profile=random.integers(0, 2, client_count).astype(np.uint8),
        knowledge=random.integers(0, 4, client_count).astype(np.uint8),
        horizon_years=random.uniform(1.0, 20.0, client_count),
        cash=random.uniform(0.0, 5000.0, client_count),
        net_worth=np.where(random.random(client_count) < 0.5, 0.0, 50_000.0),
        begin=np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        instrument=random.integers(0, instrument_count, position_count).astype(np.int32),
        quantity=random.uniform(1.0, 20.0, position_count) * random.choice([1.0, 1.0, 1.0, -0.5], position_count),
    )


def one_client(
    positions: Sequence[tuple[int, float]],
    cash: float = 0.0,
    net_worth: float = 0.0,
    knowledge: int = 9,
    horizon_years: float = 5.0,
) -> ClientTable:
    return ClientTable(
        ids=b"C0",
        profile=np.zeros(1, np.uint8),
        knowledge=np.array([knowledge], np.uint8),
        horizon_years=np.array([horizon_years]),
        cash=np.array([cash]),
        net_worth=np.array([net_worth]),
        begin=np.array([0, len(positions)], np.int64),
        instrument=np.array([instrument for instrument, _ in positions], np.int32),
        quantity=np.array([quantity for _, quantity in positions], np.float64),
    )


def a_profile(name: str = "cautious", **limits: tuple[float, float] | float) -> Profile:
    """A profile with the limits given, (limit, review) or a limit alone, and none else."""
    given: Mapping[str, Limit] = {
        rule: Limit(limit=limit[0], review=limit[1]) if isinstance(limit, tuple) else Limit(limit=limit)
        for rule, limit in limits.items()
    }
    return Profile(name=name, limits={rule: given.get(rule) for rule in RULES})


def profiles(*table: Profile) -> ProfileTable:
    return ProfileTable(profiles=table or (a_profile(volatility=0.1), a_profile("bold", leverage=3.0)))
